//! The console's commands: schema, first data, first people.

mod api;
mod command;
mod password;
mod role;
mod seed;
mod settings;

use std::process::ExitCode;

use chassis::{Life, Service};

use crate::command::Command;
use crate::settings::Settings;

fn main() -> ExitCode {
    let service = Service { name: "admin", about: "Sees and steers the shop: console, API, schema, first data" };
    chassis::main_with(service, Settings::read, run)
}

async fn run(command: Option<Command>, settings: Settings, life: Life) -> anyhow::Result<()> {
    match command {
        Some(command) => command.run(settings).await,
        None => chassis::http::serve(&life, &settings.http.clone(), |_no_pages_yet| {}).await,
    }
}

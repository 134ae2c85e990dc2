//! The command line: what every service understands, and what one adds.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command, Subcommand};
use config::Reader;

use crate::start::{settings_json, settings_text, start};
use crate::{Life, Service, ops};

/// For a service that only serves.
#[derive(Debug, Subcommand)]
pub enum NoCommands {}

/// The whole `main` of a service that only serves.
pub fn main<S, F, Fut>(service: Service, read: fn(&mut Reader<'_>) -> S, run: F) -> ExitCode
where
    F: FnOnce(S, Life) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    main_with(service, read, |_none: Option<NoCommands>, settings, life| run(settings, life))
}

fn flag(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name).long(name).help(about).action(ArgAction::SetTrue)
}

/// The whole `main` of a service with commands of its own. `run` gets `None` for `serve`, which is also what is done when
/// no command is given. A command runs without the ops port and may end when it likes.
pub fn main_with<C, S, F, Fut>(service: Service, read: fn(&mut Reader<'_>) -> S, run: F) -> ExitCode
where
    C: Subcommand,
    F: FnOnce(Option<C>, S, Life) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    main_for(service, read, read, run)
}

/// Like [`main_with`], for a service whose commands need fewer settings than serving: `read` is for serving and for the
/// lists of settings, `read_for_commands` for its own commands.
pub fn main_for<C, S, F, Fut>(
    service: Service,
    read: fn(&mut Reader<'_>) -> S,
    read_for_commands: fn(&mut Reader<'_>) -> S,
    run: F,
) -> ExitCode
where
    C: Subcommand,
    F: FnOnce(Option<C>, S, Life) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let command = Command::new(service.name)
        .about(service.about)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help("Settings come from environment variables; `settings` lists them. A variable X may also be given as a file named by X_FILE.")
        .subcommand(Command::new("serve").about("Run the service until SIGTERM (what is done without a command)"))
        .subcommand(
            Command::new("settings")
                .about("List every setting as lines of an environment file")
                .arg(flag("json", "List them as JSON instead, for programs")),
        )
        .subcommand(
            Command::new("healthcheck")
                .about("Ask the service running here whether it is ready; exit 0 if so")
                .arg(flag("alive", "Ask only whether it is alive, which does not depend on Redis or Postgres")),
        );
    let matches = C::augment_subcommands(command).subcommand_required(false).get_matches();
    match matches.subcommand() {
        Some(("settings", chosen)) => {
            let text = if chosen.get_flag("json") { settings_json(read) } else { settings_text(read) };
            // A reader that went away (`settings | head`) is no error.
            let _closed = write!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Some(("healthcheck", chosen)) => ops::healthcheck(chosen.get_flag("alive")),
        None | Some(("serve", _)) => start(service, read, true, |settings, life| run(None, settings, life)),
        Some(_own) => match C::from_arg_matches(&matches) {
            Ok(own) => start(service, read_for_commands, false, |settings, life| run(Some(own), settings, life)),
            Err(error) => error.exit(),
        },
    }
}

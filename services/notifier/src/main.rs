//! notifier: mails and text messages, each once, in time.
//!
//! It consumes `queue:email` and `queue:sms`. `notifier preview` writes every message as files, `notifier send-test` sends
//! one, `notifier load-sms` checks and stores texts registered with the DLT.

mod batch;
mod command;
mod dates;
mod deadline;
mod desk;
mod email;
mod mask;
mod outcome;
mod parts;
mod policy;
mod previews;
mod samples;
mod settings;
mod sms;

use std::process::ExitCode;

use chassis::Life;
use domain::job::Queue;
use queue::{Rate, Worker};

use crate::command::Command;
use crate::desk::in_hand;
use crate::parts::Parts;
use crate::settings::Settings;

fn main() -> ExitCode {
    let service = chassis::Service { name: "notifier", about: "Sends mails and text messages, each at most once" };
    chassis::main_with(service, Settings::read, run)
}

async fn run(command: Option<Command>, settings: Settings, life: Life) -> anyhow::Result<()> {
    let kv = kv::Kv::connect(&settings.kv)?;
    let pool = store::Pool::connect_by_key(&settings.store)?;
    let (mails_at_once, texts_at_once) = (settings.email.at_once, settings.sms.at_once);
    let (mail_rate, text_rate) = (settings.email.per_second, settings.sms.per_second);
    let parts = Parts::new(settings, &kv, pool.clone(), &life).await?;
    if let Some(command) = command {
        return command::run(command, &parts).await;
    }

    match previews::all(&parts) {
        Ok(previews) => drop(life.tasks().spawn(previews::store(pool.clone(), previews))),
        Err(error) => tracing::warn!(error.chain = telemetry::chain(&*error), "messages cannot be previewed"),
    }
    // The circuit of a whole queue only where no second provider could take its messages.
    let (mails_open, texts_open) = (parts.emails.first.circuit.clone(), parts.texts.circuit.clone());
    let has_second = parts.emails.second.is_some();
    if let Some(second) = &parts.emails.second {
        life.tasks().spawn(second.standby.clone().watch(life.shutdown()));
    }
    let mut worker = Worker::builder(kv, "notifier")
        .queue(Queue::Email, in_hand(mails_at_once))
        .queue(Queue::Sms, in_hand(texts_at_once))
        .circuit(Queue::Sms, texts_open)
        .register(parts.emails)
        .register(parts.texts);
    if !has_second {
        worker = worker.circuit(Queue::Email, mails_open);
    }
    for (queue, per_second) in [(Queue::Email, mail_rate), (Queue::Sms, text_rate)] {
        if per_second > 0 {
            worker = worker.rate(queue, Rate { per_second: f64::from(per_second), burst: per_second });
        }
    }
    let worker = worker.build()?;

    life.answers("postgres", &pool, |pool| async move { pool.ping().await });
    let health = worker.health();
    life.answers("worker", &health, |health| async move { health.check() });
    life.alive("worker", move || health.turning());
    worker.run(life.shutdown()).await?;
    Ok(())
}

//! Drives replays of many dead letters. How far one is stands in Redis, and there, for some seconds at a time, that somebody
//! drives it: what a process that ended or died left is driven on by another.

use std::time::Duration;

use actix_web::web;
use chrono::TimeDelta;
use domain::clock::{Clock as _, SystemClock};
use domain::job::Queue;
use kv::{Kv, KvError, keys, redis};
use queue::admin::{self, ReplayRun, ReplayState};
use tokio_util::sync::CancellationToken;

use crate::state::State;

/// How often it is looked for runs that nobody drives.
const LOOK: Duration = Duration::from_secs(5);
/// How long a run counts as driven after the last sign of life.
const HELD: Duration = Duration::from_secs(10);
/// For how long a run must not have moved. Who began it has said so by then.
const QUIET: TimeDelta = TimeDelta::seconds(10);

/// Takes up what nobody drives, until the end.
pub(crate) async fn keep(state: web::Data<State>) {
    let shutdown = state.shutdown.clone();
    loop {
        tokio::select! { () = tokio::time::sleep(LOOK) => {}, () = shutdown.cancelled() => return }
        if let Err(error) = take_up(&state).await {
            tracing::warn!(error.chain = telemetry::chain(&error), "replays of dead letters could not be looked at");
        }
    }
}

async fn take_up(state: &State) -> Result<(), KvError> {
    let quiet = SystemClock.now() - QUIET;
    for queue in Queue::ALL {
        let runs = admin::replay_runs(&state.kv, queue).await?;
        for run in runs.into_iter().filter(|run| run.state == ReplayState::Running && run.updated_at < quiet) {
            if hold(&state.kv, &place(&run), true).await? {
                tracing::info!(replay.id = run.id, "a replay of many is carried on");
                drive(state, run);
            }
        }
    }
    Ok(())
}

/// Where it stands that somebody drives a run.
fn place(run: &ReplayRun) -> String {
    keys::of_queue(run.queue, format_args!("replay_driven:{}", run.id))
}

/// Says that this process drives a run; `anew`: only if nobody does. Whether it was said.
async fn hold(kv: &Kv, place: &str, anew: bool) -> Result<bool, KvError> {
    let mut command = redis::cmd("SET");
    command.arg(place).arg(1).arg("EX").arg(HELD.as_secs());
    if anew {
        command.arg("NX");
    }
    let answer: Option<String> =
        command.query_async(&mut kv.commands()).await.map_err(kv::tried("holding a replay of many"))?;
    Ok(answer.is_some())
}

/// Drives a run in the background, until its end or that of this process.
pub(super) fn drive(state: &State, run: ReplayRun) {
    let (kv, shutdown) = (state.kv.clone(), state.shutdown.clone());
    let (place, id) = (place(&run), run.id.clone());
    state.tasks.spawn(async move {
        // It hears nothing of the end of this process: it would count as aborted, and another process drives it on.
        let never = CancellationToken::new();
        let driven = run.drive(&kv, &never);
        tokio::pin!(driven);
        let end = loop {
            if let Err(error) = hold(&kv, &place, false).await {
                tracing::warn!(replay.id = id, error.chain = telemetry::chain(&error), "a replay of many is not held");
            }
            tokio::select! {
                end = &mut driven => break Some(end),
                () = shutdown.cancelled() => break None,
                () = tokio::time::sleep(HELD / 4) => {}
            }
        };
        match end {
            Some(Ok(end)) => tracing::info!(replay.id = id, jobs = end.replayed, "a replay of many ended"),
            Some(Err(error)) => {
                tracing::error!(replay.id = id, error.chain = telemetry::chain(&error), "a replay of many broke off");
            }
            None => tracing::info!(replay.id = id, "a replay of many is left to another process"),
        }
        let _runs_out_by_itself = redis::cmd("DEL").arg(&place).query_async::<()>(&mut kv.commands()).await;
    });
}

//! The stage of a proof: a queue in some arrangement of servers, workers as processes, and what they wrote.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use config::{Reader, Source};
use domain::job::Queue;
use kv::Kv;
use queue::admin::{self, QueueStats};
use testkit::Process;

use crate::errand::{Act, Errand};

/// Long enough for anything here that is not itself timed.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) what: String,
    pub(crate) number: u64,
    pub(crate) pid: u32,
    /// When, in microseconds since the epoch.
    pub(crate) at: i64,
}

pub(crate) struct Stage {
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) kv: Kv,
    folder: tempfile::TempDir,
}

impl Stage {
    /// A stage on the servers that `settings` name.
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        Self {
            kv: connect(settings),
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A worker as a process of its own, which has taken its leases.
    pub(crate) fn worker(&self, more: &[(&str, &str)]) -> Process {
        let mut worker = self.worker_that_starts(more);
        worker.wait_for_line("its start", SOON, |line| line.contains("worker started").then_some(()));
        worker
    }

    pub(crate) fn worker_that_starts(&self, more: &[(&str, &str)]) -> Process {
        let mut command = Command::new(example("proof-worker"));
        command
            .env("FOLDER", self.folder.path())
            .env("LOG_FORMAT", "json")
            .envs(&self.settings)
            .envs(more.iter().copied());
        Process::start("proof-worker", &mut command)
    }

    /// What workers wrote so far.
    pub(crate) fn journal(&self) -> Vec<Note> {
        let text = std::fs::read_to_string(self.folder.path().join("journal")).unwrap_or_default();
        text.lines()
            .map(|line| {
                let words: Vec<_> = line.split(' ').collect();
                let [what, number, pid, at] = words[..] else { panic!("{line:?}") };
                Note {
                    what: what.to_owned(),
                    number: number.parse().unwrap(),
                    pid: pid.parse().unwrap(),
                    at: at.parse().unwrap(),
                }
            })
            .collect()
    }

    /// The beginnings among them.
    pub(crate) fn begun(&self) -> Vec<Note> {
        self.journal().into_iter().filter(|note| note.what == "began").collect()
    }

    /// The numbers whose effect is there. There cannot be two of one.
    pub(crate) fn effects(&self) -> HashSet<u64> {
        std::fs::read_dir(self.folder.path())
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .collect()
    }

    pub(crate) async fn stats(&self, queue: Queue) -> QueueStats {
        admin::stats(&self.kv, queue).await.unwrap()
    }
}

/// Settings in memory.
struct Settings<'a>(&'a [(&'a str, &'a str)]);

impl Source for Settings<'_> {
    fn get(&self, key: &str) -> Option<String> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        self.0.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(name, _)| (*name).to_owned()).collect()
    }
}

pub(crate) fn connect(settings: &[(&str, &str)]) -> Kv {
    let source = Settings(settings);
    let mut reader = Reader::new(&source);
    let settings = kv::Settings::read(&mut reader);
    Kv::connect(&reader.finish(settings).unwrap()).unwrap()
}

/// Microseconds since the epoch, as the journal counts.
pub(crate) fn now() -> i64 {
    domain::clock::Clock::now(&domain::clock::SystemClock).timestamp_micros()
}

/// The path of an example, which cargo builds together with the tests.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(name);
    assert!(path.exists(), "{} is not there: cargo builds it with the tests", path.display());
    path
}

/// An errand that does the same each time.
pub(crate) fn always(number: u64, act: Act) -> Errand {
    Errand { number, first: act, again: act }
}

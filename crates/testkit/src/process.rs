//! A child process whose output is kept and whose end is certain.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A running child. It is killed when this value is dropped.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Process {
    /// Starts `command`; both its outputs are kept, line by line.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started ({command:?}): {error}"));
        let output = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        keep(child.stdout.take().expect("piped"), output.clone());
        keep(child.stderr.take().expect("piped"), output.clone());
        Self { name: name.to_owned(), child, output }
    }

    /// Waits for a line that `pick` takes; panics after `limit` with everything the process said.
    pub fn wait_for_line<T>(&mut self, what: &str, limit: Duration, pick: impl Fn(&str) -> Option<T>) -> T {
        let begin = Instant::now();
        let mut seen = 0;
        let output = self.output.clone();
        let mut lines = output.0.lock().unwrap();
        loop {
            if let Some(found) = lines[seen..].iter().find_map(|line| pick(line)) {
                return found;
            }
            seen = lines.len();
            let left = limit.saturating_sub(begin.elapsed());
            let ended = self.child.try_wait().ok().flatten();
            assert!(
                !left.is_zero() && ended.is_none(),
                "{}: no line with {what} (ended: {ended:?}); it said:\n{}",
                self.name,
                lines.join("\n")
            );
            lines = output.1.wait_timeout(lines, left.min(Duration::from_millis(100))).unwrap().0;
        }
    }

    /// Everything it wrote so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        // It is read when a wait has failed too, which holds the lock.
        self.output.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "{} could not be sent SIG{name}", self.name);
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state can be asked")
    }

    /// Waits for its end; panics after `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                begin.elapsed() < limit,
                "{} still runs after {limit:?}; it said:\n{}",
                self.name,
                self.lines().join("\n")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, then waits for its end. Gives the exit code and how long it took.
    pub fn terminate(&mut self, limit: Duration) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        if self.ended().is_none() {
            self.signal("TERM");
        }
        let status = self.wait(limit);
        (status.code(), begin.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let lines = self.lines();
            let from = lines.len().saturating_sub(40);
            println!("--- the last lines of {}:\n{}", self.name, lines[from..].join("\n"));
        }
    }
}

fn keep(stream: impl std::io::Read + Send + 'static, output: Arc<(Mutex<Vec<String>>, Condvar)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            output.0.lock().unwrap().push(line);
            output.1.notify_all();
        }
    });
}

//! One connection: commands in, replies out.

use super::{deliver, is_known};
use crate::faults::{Fault, Kind};
use crate::journal::Entry;
use crate::provider::Provider;
use crate::sim::Sim;
use actix_web::web::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// `SendGrid`'s limit, which is as good as any.
const LARGEST: u64 = 30_000_000;

/// How long `accept_then_timeout` keeps silent unless told.
const SILENCE: Duration = Duration::from_secs(30);

/// How far a connection is on its way from clear to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    /// There is none, or it is done.
    None,
    /// Offered, and wanted before anything else is said (RFC 3207, 4).
    Offered,
    /// Asked for: the next bytes are TLS.
    Due,
}

/// A connection.
pub(super) struct Session<S> {
    sim: Arc<Sim>,
    wire: BufReader<S>,
    upgrade: Upgrade,
    greets: bool,
    is_known: bool,
    from: Option<String>,
    to: Vec<String>,
}

/// What a fault leaves of a step.
enum Left {
    /// The step goes on.
    All,
    /// It was answered already.
    Nothing,
    /// The connection is over.
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(sim: Arc<Sim>, stream: S) -> Self {
        let wire = BufReader::new(stream);
        Self { sim, wire, upgrade: Upgrade::None, greets: true, is_known: false, from: None, to: Vec::new() }
    }

    /// In clear, with TLS on offer.
    pub(super) fn with_upgrade(self) -> Self {
        Self { upgrade: Upgrade::Offered, ..self }
    }

    /// Goes on after `STARTTLS`, where the server has greeted already.
    pub(super) fn after_upgrade(self) -> Self {
        Self { greets: false, ..self }
    }

    /// Serves it until it is closed.
    pub(super) async fn run(mut self) -> io::Result<()> {
        self.serve().await
    }

    /// Serves it until it is closed, or until TLS is due on the stream.
    pub(super) async fn run_until_upgrade(mut self) -> io::Result<Option<(Arc<Sim>, S)>> {
        self.serve().await?;
        // What a client sends behind STARTTLS in clear must not be taken for what it says under TLS.
        let is_due = self.upgrade == Upgrade::Due && self.wire.buffer().is_empty();
        Ok(is_due.then(|| (self.sim, self.wire.into_inner())))
    }

    async fn serve(&mut self) -> io::Result<()> {
        if self.greets {
            match self.fault("CONNECT").await? {
                Left::All => self.say(220, "sim.example.in ESMTP").await?,
                Left::Nothing | Left::Closed => return Ok(()),
            }
        }
        while let Some(line) = self.line().await? {
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            let verb = verb.to_ascii_uppercase();
            match self.fault(&verb).await? {
                Left::Closed => return Ok(()),
                Left::Nothing => {}
                Left::All if verb == "QUIT" => return self.say(221, "bye").await,
                Left::All => {
                    if !self.command(&verb, argument).await? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Carries out a command; `false` when the connection is over.
    async fn command(&mut self, verb: &str, argument: &str) -> io::Result<bool> {
        match verb {
            "EHLO" => {
                let last = if self.upgrade == Upgrade::Offered { "STARTTLS" } else { "AUTH PLAIN LOGIN" };
                let lines = format!("250-sim.example.in\r\n250-SIZE {LARGEST}\r\n250-8BITMIME\r\n250 {last}\r\n");
                self.write(lines.as_bytes()).await?;
            }
            "HELO" => self.say(250, "sim.example.in").await?,
            "NOOP" => self.say(250, "2.0.0 ok").await?,
            "RSET" => {
                (self.from, self.to) = (None, Vec::new());
                self.say(250, "2.0.0 ok").await?;
            }
            "STARTTLS" if self.upgrade == Upgrade::Offered => {
                self.say(220, "2.0.0 go ahead").await?;
                self.upgrade = Upgrade::Due;
                return Ok(false);
            }
            _ if self.upgrade == Upgrade::Offered => self.say(530, "5.7.0 STARTTLS first").await?,
            "AUTH" => self.auth(argument).await?,
            "MAIL" if self.must_log_in() => self.say(530, "5.7.0 authentication required").await?,
            "MAIL" => {
                self.from = path(argument);
                self.to = Vec::new();
                self.say(250, "2.1.0 ok").await?;
            }
            "RCPT" => match (&self.from, path(argument).filter(|to| to.contains('@'))) {
                (None, _) => self.say(503, "5.5.1 MAIL first").await?,
                (Some(_), None) => self.say(501, "5.1.3 bad recipient address syntax").await?,
                (Some(_), Some(to)) => {
                    self.to.push(to);
                    self.say(250, "2.1.5 ok").await?;
                }
            },
            "DATA" if self.to.is_empty() => self.say(503, "5.5.1 RCPT first").await?,
            "DATA" => {
                self.say(354, "end with a dot on a line").await?;
                return self.message().await;
            }
            _ => self.say(502, "5.5.1 no such command").await?,
        }
        Ok(true)
    }

    fn must_log_in(&self) -> bool {
        !self.is_known && !self.sim.world().settings.keys.smtp.is_empty()
    }

    async fn auth(&mut self, argument: &str) -> io::Result<()> {
        let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        let pair = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let given = if initial.is_empty() { self.ask("").await? } else { initial.to_owned() };
                let text = decoded(&given);
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "LOGIN" => {
                let user = if initial.is_empty() { self.ask("VXNlcm5hbWU6").await? } else { initial.to_owned() };
                let password = self.ask("UGFzc3dvcmQ6").await?;
                (decoded(&user), decoded(&password))
            }
            _ => return self.say(504, "5.5.4 no such mechanism").await,
        };
        self.is_known = is_known(&self.sim.world(), &pair.0, &pair.1);
        if self.is_known { self.say(235, "2.7.0 welcome").await } else { self.say(535, "5.7.8 bad credentials").await }
    }

    /// Asks for the next part of the credentials.
    async fn ask(&mut self, challenge: &str) -> io::Result<String> {
        self.say(334, challenge).await?;
        Ok(self.line().await?.unwrap_or_default())
    }

    /// Takes the message after DATA, and answers for it. `false` when the connection is over.
    async fn message(&mut self) -> io::Result<bool> {
        let Some(raw) = self.body().await? else { return Ok(false) };
        let fault = self.met("MESSAGE");
        let kind = fault.as_ref().map(|fault| fault.kind);
        let latency = self.sim.options.latency();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        // These take the mail, and differ in what the sender hears of it.
        if matches!(kind, None | Some(Kind::Latency | Kind::AcceptThenTimeout | Kind::CutBody)) {
            let id = deliver(&self.sim, self.from.as_deref().unwrap_or_default(), &self.to, &raw);
            self.note("MESSAGE", 250, raw.len(), kind);
            (self.from, self.to) = (None, Vec::new());
            let pause = |or| fault.as_ref().and_then(|fault| fault.ms).map_or(or, Duration::from_millis);
            match kind {
                Some(Kind::CutBody) => return Ok(false),
                Some(Kind::AcceptThenTimeout) => {
                    tokio::time::sleep(pause(SILENCE)).await;
                    return Ok(false);
                }
                Some(_) => tokio::time::sleep(pause(Duration::from_secs(1))).await,
                None => {}
            }
            match id {
                Some(id) => self.say(250, &format!("2.0.0 queued as {id}")).await?,
                None => self.say(554, "5.6.0 this is no mail").await?,
            }
            return Ok(true);
        }
        (self.from, self.to) = (None, Vec::new());
        match fault {
            Some(fault) => Ok(!matches!(self.play("MESSAGE", &fault).await?, Left::Closed)),
            None => Ok(true),
        }
    }

    /// The message up to the lonely dot, with doubled dots made single again.
    async fn body(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut raw = Vec::new();
        loop {
            let begin = raw.len();
            let left = LARGEST.saturating_sub(u64::try_from(begin).unwrap_or(LARGEST));
            if left == 0 || (&mut self.wire).take(left).read_until(b'\n', &mut raw).await? == 0 {
                return Ok(None);
            }
            match raw.get(begin..) {
                Some(b".\r\n") => {
                    raw.truncate(begin);
                    return Ok(Some(raw));
                }
                Some([b'.', ..]) => drop(raw.remove(begin)),
                _ => {}
            }
        }
    }

    /// The fault that this step meets.
    fn met(&self, step: &str) -> Option<Fault> {
        let mut world = self.sim.world();
        let world = &mut *world;
        let ids = &mut world.ids;
        world.faults.meet(Provider::Smtp, step, |probability| ids.chance(probability))
    }

    async fn fault(&mut self, step: &str) -> io::Result<Left> {
        match self.met(step) {
            Some(fault) => self.play(step, &fault).await,
            None => Ok(Left::All),
        }
    }

    async fn play(&mut self, step: &str, fault: &Fault) -> io::Result<Left> {
        let (status, left) = match fault.kind {
            Kind::Latency => {
                tokio::time::sleep(Duration::from_millis(fault.ms.unwrap_or(1_000))).await;
                return Ok(Left::All);
            }
            // Nothing is taken before the message, so there is nothing to take and keep silent about.
            Kind::AcceptThenTimeout => {
                tokio::time::sleep(fault.ms.map_or(SILENCE, Duration::from_millis)).await;
                (0, Left::Closed)
            }
            Kind::Reset | Kind::CutBody => (0, Left::Closed),
            Kind::Html => {
                self.write(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
                (0, Left::Closed)
            }
            Kind::RateLimit => (421, Left::Closed),
            Kind::Status => (fault.status.unwrap_or(451), Left::Nothing),
        };
        if status > 0 {
            let text = match &fault.body {
                Some(serde_json::Value::String(text)) => text.clone(),
                _ if status == 421 => "4.7.0 too much at once, come back later".to_owned(),
                _ => "as ordered".to_owned(),
            };
            self.say(status, &text).await?;
        }
        self.note(step, status, 0, Some(fault.kind));
        Ok(if status == 421 { Left::Closed } else { left })
    }

    fn note(&self, step: &str, status: u16, body_bytes: usize, fault: Option<Kind>) {
        let mut world = self.sim.world();
        let entry = Entry {
            seq: 0,
            at: world.now(),
            provider: Provider::Smtp,
            method: "SMTP".to_owned(),
            path: step.to_owned(),
            query: String::new(),
            auth: String::new(),
            idempotency_key: None,
            body: Bytes::new(),
            body_bytes,
            status,
            micros: 0,
            fault: fault.map(Kind::name),
        };
        world.journal.record(entry);
    }

    async fn say(&mut self, code: u16, text: &str) -> io::Result<()> {
        self.write(format!("{code} {text}\r\n").as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.get_mut().write_all(bytes).await?;
        // TLS holds a record back until it is told.
        self.wire.get_mut().flush().await
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        // Longer than any command that RFC 5321 allows.
        if (&mut self.wire).take(4_096).read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }
}

/// What stands between the angle brackets of MAIL and RCPT.
fn path(argument: &str) -> Option<String> {
    let (_, rest) = argument.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    Some(path.to_owned())
}

fn decoded(text: &str) -> String {
    STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

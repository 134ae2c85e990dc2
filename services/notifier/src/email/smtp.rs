//! SMTP, for when the first provider does not take mails.
//!
//! `lettre` composes and speaks; the steps are taken one by one here, because what matters is how far a mail had come when
//! something went wrong: until its last line was written nobody can have it, afterwards only the server knows.

mod message;
mod settings;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::contact::EmailAddress;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Semaphore;

pub(crate) use settings::Settings;

use self::message::{Envelope, compose};
use self::settings::Tls;
use super::provider::{MailProvider, Outgoing};
use crate::deadline::Deadline;
use crate::mask::without_addresses;
use crate::outcome::Outcome;

/// The name in rows, metrics and errors.
pub(crate) const NAME: &str = "smtp";

/// Servers close idle connections after minutes (RFC 5321, 4.5.3.2, asks for five); ours go before.
const IDLE: Duration = Duration::from_mins(1);

/// Sends by SMTP.
pub(crate) struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    parameters: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello: ClientId,
    limit: Duration,
    places: Semaphore,
    parked: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

/// How far a mail had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Login,
    Sender,
    Recipient,
    Data,
    Message,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Login => "login",
            Self::Sender => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Message => "the message",
        }
    }
}

/// What went wrong at a step.
#[derive(Debug)]
struct Trouble {
    step: Step,
    kind: Kind,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A reply with 4xx.
    Transient,
    /// A reply with 5xx.
    Permanent,
    /// No TLS, or a certificate that is not theirs.
    Tls,
    /// The connection failed, broke off, or brought no reply that can be understood.
    Wire,
}

impl Trouble {
    fn new(step: Step, error: &Error) -> Self {
        let kind = match error {
            error if error.is_permanent() => Kind::Permanent,
            error if error.is_transient() => Kind::Transient,
            error if error.is_tls() => Kind::Tls,
            _ => Kind::Wire,
        };
        Self { step, kind, reason: format!("{}: {}", step.name(), without_addresses(&error.to_string())) }
    }

    fn timed_out(step: Step) -> Self {
        Self { step, kind: Kind::Wire, reason: format!("{}: no reply in time", step.name()) }
    }

    /// Whether a connection that had been parked was simply too old: nothing was asked of the server yet.
    fn is_stale(&self) -> bool {
        self.step == Step::Sender && matches!(self.kind, Kind::Wire | Kind::Transient)
    }
}

impl From<Trouble> for Outcome {
    fn from(Trouble { step, kind, reason }: Trouble) -> Self {
        match (kind, step) {
            (Kind::Permanent, Step::Connect | Step::Login | Step::Sender) | (Kind::Tls, _) => Self::Locked { reason },
            // RFC 3463: class 5.1 is about addresses; at this step it is the receiver's.
            (Kind::Permanent, Step::Recipient) => Self::Refused { bad_address: reason.contains(" 5.1."), reason },
            (Kind::Permanent, Step::Data | Step::Message) => Self::Refused { bad_address: false, reason },
            (Kind::Wire, Step::Message) => Self::Unknown { reason },
            (Kind::Transient | Kind::Wire, _) => Self::TryLater { reason, after: None, surely: true },
        }
    }
}

impl Smtp {
    /// Sends as `from`, whose host is also the name that servers are greeted with.
    pub(crate) fn new(settings: Settings, from: &EmailAddress) -> Result<Self, Error> {
        let Settings { host, port, tls, authority, credentials, connections, limit } = settings;
        let parameters = match tls {
            Tls::None => None,
            Tls::Upgraded | Tls::Implicit => {
                let builder = TlsParameters::builder(host.clone());
                let trusting = authority.into_iter().fold(builder, TlsParametersBuilder::add_root_certificate);
                Some(trusting.build_rustls()?)
            }
        };
        let own_host = from.as_str().rsplit('@').next().unwrap_or("localhost").to_owned();
        Ok(Self {
            host,
            port,
            tls,
            parameters,
            credentials,
            hello: ClientId::Domain(own_host),
            limit,
            places: Semaphore::new(connections),
            parked: Mutex::default(),
        })
    }

    fn unpark(&self) -> Option<AsyncSmtpConnection> {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked.retain(|(_, since)| since.elapsed() < IDLE);
        parked.pop().map(|(connection, _)| connection)
    }

    fn park(&self, connection: AsyncSmtpConnection) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
    }

    async fn connect(&self, deadline: Deadline) -> Result<AsyncSmtpConnection, Trouble> {
        let implicit = self.parameters.clone().filter(|_| self.tls == Tls::Implicit);
        let server = (self.host.as_str(), self.port);
        let opened = AsyncSmtpConnection::connect_tokio1(server, Some(self.limit), &self.hello, implicit, None);
        let mut connection = self.in_time(Step::Connect, deadline, opened).await?;
        if self.tls == Tls::Upgraded
            && let Some(parameters) = self.parameters.clone()
        {
            self.in_time(Step::Connect, deadline, connection.starttls(parameters, &self.hello)).await?;
        }
        if let Some(credentials) = &self.credentials {
            let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials);
            self.in_time(Step::Login, deadline, login).await?;
        }
        Ok(connection)
    }

    /// No step takes longer than a reply may take, and none before the message so long that there were no time left for that.
    async fn in_time<T>(
        &self,
        step: Step,
        deadline: Deadline,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        let last = if step == Step::Message { deadline.answer() } else { deadline.hand_over() };
        let until = last.min(tokio::time::Instant::now() + self.limit);
        match tokio::time::timeout_at(until, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Trouble::new(step, &error)),
            Err(_elapsed) => Err(Trouble::timed_out(step)),
        }
    }

    /// Sends on this connection and parks it; one that met any trouble is closed.
    async fn transfer(
        &self,
        mut connection: AsyncSmtpConnection,
        mail: &Envelope,
        deadline: Deadline,
    ) -> Result<(), Trouble> {
        let sender = Mail::new(Some(mail.from.clone()), Vec::new());
        self.in_time(Step::Sender, deadline, connection.command(sender)).await?;
        let recipient = Rcpt::new(mail.to.clone(), Vec::new());
        self.in_time(Step::Recipient, deadline, connection.command(recipient)).await?;
        self.in_time(Step::Data, deadline, connection.command(Data)).await?;
        self.in_time(Step::Message, deadline, connection.message(&mail.bytes)).await?;
        self.park(connection);
        Ok(())
    }

    async fn deliver(&self, mail: &Envelope, deadline: Deadline) -> Result<(), Trouble> {
        let Some(Ok(_place)) = deadline.before(self.places.acquire()).await else {
            return Err(Trouble::timed_out(Step::Connect));
        };
        if let Some(connection) = self.unpark() {
            match self.transfer(connection, mail, deadline).await {
                Err(trouble) if trouble.is_stale() => {}
                outcome => return outcome,
            }
        }
        let connection = self.connect(deadline).await?;
        self.transfer(connection, mail, deadline).await
    }
}

#[async_trait]
impl MailProvider for Smtp {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn send(&self, mail: &Outgoing<'_>) -> Outcome {
        let envelope = match compose(mail) {
            Ok(envelope) => envelope,
            Err(problem) => {
                return Outcome::Refused { reason: problem.to_string(), bad_address: problem.is_about_receiver() };
            }
        };
        match self.deliver(&envelope, mail.deadline).await {
            Ok(()) => Outcome::Accepted(Some(envelope.id)),
            Err(trouble) => trouble.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(step: Step, kind: Kind) -> Outcome {
        Trouble { step, kind, reason: "RCPT: permanent error (550): 5.1.1 no such user".to_owned() }.into()
    }

    #[test]
    fn until_the_last_line_nobody_can_have_the_mail() {
        for step in [Step::Connect, Step::Login, Step::Sender, Step::Recipient, Step::Data] {
            assert!(outcome(step, Kind::Wire).surely_not_taken(), "{step:?}");
            assert!(outcome(step, Kind::Transient).surely_not_taken(), "{step:?}");
        }
        assert!(matches!(outcome(Step::Message, Kind::Wire), Outcome::Unknown { .. }));
        assert!(outcome(Step::Message, Kind::Transient).surely_not_taken(), "a reply is a reply");
        for step in [Step::Connect, Step::Login, Step::Sender] {
            assert!(matches!(outcome(step, Kind::Permanent), Outcome::Locked { .. }), "{step:?}");
        }
        assert!(matches!(outcome(Step::Recipient, Kind::Permanent), Outcome::Refused { bad_address: true, .. }));
        assert!(matches!(outcome(Step::Message, Kind::Permanent), Outcome::Refused { bad_address: false, .. }));
        assert!(matches!(outcome(Step::Connect, Kind::Tls), Outcome::Locked { .. }));
    }
}

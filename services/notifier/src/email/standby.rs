//! Watches over the use of the second provider: a metric, and a mail to admins when it begins and when it is over.
//!
//! The trouble is one row in Postgres, so that however many replicas step over, one mail is written for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::contact::EmailAddress;
use domain::ids::AlertId;
use store::{GenericClient, Pool, StoreError, alerts};
use telemetry::metrics::{Counter, Gauge, KeyValue, meter};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::outcome::Outcome;

/// The trouble's key.
const KEY: &str = "mail-second-provider";
const TITLE: &str = "Mails go by the second provider";
const DETAIL: &str = "SendGrid does not take mails (it refuses, is down, or the account is out of credits); they go by \
                      SMTP meanwhile. Delivery reports do not come for those. See the log lines \"mail goes to the second \
                      provider\" for what SendGrid answers.";

/// The most often that Postgres is told.
const PACE: Duration = Duration::from_secs(5);

/// Notes who takes mails. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Standby(Arc<Inner>);

struct Inner {
    pool: Pool,
    admins: Vec<EmailAddress>,
    quiet: Duration,
    /// The second provider was asked, and Postgres does not know yet.
    used: AtomicBool,
    /// The first took a mail, and the trouble may be open.
    may_be_over: AtomicBool,
    wake: Notify,
    mails: Counter<u64>,
    in_use: Gauge<u64>,
}

impl Standby {
    /// `quiet` is how long no replica must have asked the second provider until its use is over.
    pub(crate) fn new(pool: Pool, admins: Vec<EmailAddress>, quiet: Duration) -> Self {
        Self(Arc::new(Inner {
            pool,
            admins,
            quiet,
            used: AtomicBool::new(false),
            may_be_over: AtomicBool::new(false),
            wake: Notify::new(),
            mails: meter()
                .u64_counter("mails_by_second_provider")
                .with_description("Mails that the second provider was asked to take, by outcome")
                .build(),
            in_use: meter()
                .u64_gauge("mail_second_provider_in_use")
                .with_description("1 while mails go by the second provider, by what this replica knows")
                .build(),
        }))
    }

    /// The second provider was asked.
    pub(crate) fn used(&self, outcome: &Outcome) {
        self.0.mails.add(1, &[KeyValue::new("outcome", outcome.name())]);
        // Whatever the first took before does not count.
        self.0.may_be_over.store(false, Ordering::Release);
        self.0.used.store(true, Ordering::Release);
        self.0.wake.notify_one();
    }

    /// The first provider took a mail.
    pub(crate) fn first_took(&self) {
        // Nearly always set already; a shared line of memory is not written to by every mail.
        if !self.0.may_be_over.load(Ordering::Relaxed) {
            self.0.may_be_over.store(true, Ordering::Release);
        }
    }

    /// Tells Postgres and the admins until `stop`.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let pace = PACE.min(self.0.quiet / 4).max(Duration::from_millis(100));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(pace) => {}
            }
            if let Err(error) = self.look().await {
                tracing::warn!(
                    error.chain = format!("{error:#}"),
                    "the use of the second mail provider could not be noted yet"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pace) => {}
            }
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        if self.0.used.swap(false, Ordering::AcqRel) {
            self.0.in_use.record(1, &[]);
            let begun = self.begin().await;
            if begun.is_err() {
                self.0.used.store(true, Ordering::Release);
            }
            return begun;
        }
        if self.0.may_be_over.swap(false, Ordering::AcqRel) {
            self.end().await.inspect_err(|_| self.0.may_be_over.store(true, Ordering::Release))?;
        }
        Ok(())
    }

    async fn begin(&self) -> anyhow::Result<()> {
        let mut client = self.0.pool.get().await?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        if alerts::open(&transaction, KEY, TITLE, DETAIL).await? {
            tracing::error!(alert = KEY, "mails go by the second provider");
            self.tell(&transaction, TITLE, DETAIL).await?;
        }
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Over when nobody has asked the second provider for a while; looked at again later when it is too early.
    async fn end(&self) -> anyhow::Result<()> {
        let mut client = self.0.pool.get().await?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        if alerts::close_when_quiet(&transaction, KEY, self.0.quiet.as_secs_f64()).await?.is_some() {
            tracing::info!(alert = KEY, "SendGrid takes all mails again");
            self.tell(&transaction, &format!("Over: {TITLE}"), "SendGrid takes all mails again.").await?;
            transaction.commit().await.map_err(StoreError::from)?;
            self.0.in_use.record(0, &[]);
        } else if alerts::open_keys(&transaction, KEY).await?.is_empty() {
            self.0.in_use.record(0, &[]);
        } else {
            self.0.may_be_over.store(true, Ordering::Release);
        }
        Ok(())
    }

    async fn tell(&self, client: &impl GenericClient, title: &str, detail: &str) -> anyhow::Result<()> {
        // Each beginning and each end is an event of its own.
        let key = format!("alert:{}", AlertId::generate());
        alerts::tell(client, &self.0.admins, &key, title, detail).await?;
        Ok(())
    }
}

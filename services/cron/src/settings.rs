//! The settings of the scheduler and of its jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use config::{List, Reader};
use domain::contact::EmailAddress;
use domain::network::Network;

/// The settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) store: store::Settings,
    pub(crate) kv: kv::Settings,
    /// The wall clock by which the shop lives.
    pub(crate) zone: Tz,
    /// Schedules that differ from the built-in ones, by job name.
    pub(crate) schedules: BTreeMap<String, String>,
    /// Networks that are pulled.
    pub(crate) networks: Vec<Network>,
    /// Who is told of troubles.
    pub(crate) alert_emails: Vec<EmailAddress>,
    /// After how many seconds without a worker a service counts as gone.
    pub(crate) service_gone_s: i64,
    /// How many dead letters of one queue are a trouble.
    pub(crate) dead_letters_limit: u64,
    /// How many seconds the first job of a queue may wait.
    pub(crate) queue_age_limit_s: i64,
    /// Files with certificates whose end is shown.
    pub(crate) certificates: Vec<String>,
}

impl Settings {
    /// Reads them. Shared, since every run looks at them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Arc<Self> {
        let schedules = reader.family(
            "CRON_SCHEDULE_",
            "another schedule for a job, such as CRON_SCHEDULE_EXPIRE_OFFERS='0 3 * * *'; never, to leave it out",
        );
        let alert_emails = store::alerts::recipients(reader);
        Arc::new(Self {
            store: store::Settings::read(reader),
            kv: kv::Settings::read(reader),
            zone: reader.default("SHOP_TIME_ZONE", Tz::Asia__Kolkata, "the wall clock by which schedules are read"),
            schedules: schedules.into_iter().map(|(name, text)| (name.to_lowercase(), text)).collect(),
            networks: reader
                .default("SYNC_NETWORKS", List(Network::ALL.to_vec()), "networks that are pulled, with commas")
                .0,
            alert_emails,
            service_gone_s: reader.default(
                "SERVICE_GONE_SECONDS",
                300,
                "after how many seconds without a worker a service counts as gone",
            ),
            dead_letters_limit: reader.default(
                "DEAD_LETTERS_LIMIT",
                100,
                "how many dead letters of one queue are told to ALERT_EMAILS",
            ),
            queue_age_limit_s: reader.default(
                "QUEUE_AGE_LIMIT_SECONDS",
                600,
                "how many seconds the first job of a queue may wait before ALERT_EMAILS is told",
            ),
            certificates: reader
                .default(
                    "WATCHED_CERTIFICATES",
                    List(Vec::new()),
                    "files with certificates in PEM whose end is shown in metrics, with commas",
                )
                .0,
        })
    }
}

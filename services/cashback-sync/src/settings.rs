//! The settings.

use std::time::Duration;

use config::Reader;
use domain::contact::EmailAddress;

/// What the service is told.
pub(crate) struct Settings {
    pub(crate) store: store::Settings,
    pub(crate) kv: kv::Settings,
    pub(crate) networks: networks::Settings,
    pub(crate) click_batch: usize,
    pub(crate) click_linger: Duration,
    pub(crate) concurrency: usize,
    pub(crate) upkeep_interval: Duration,
    pub(crate) alert_emails: Vec<EmailAddress>,
    pub(crate) unmatched_alert_percent: u64,
    pub(crate) approval_drop_percent: u64,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let percent = |reader: &mut Reader<'_>, key: &str, default: u64, about: &str| {
            let value = reader.default(key, default, about);
            if value > 100 {
                reader.problem(format!("{key}: a share is between 0 and 100 percent"));
            }
            value.min(100)
        };
        Self {
            store: store::Settings::read(reader),
            kv: kv::Settings::read(reader),
            networks: networks::Settings::read(reader),
            click_batch: reader
                .default("CLICK_FLUSH_BATCH", 5_000_usize, "write clicks when this many have come")
                .clamp(1, 50_000),
            click_linger: Duration::from_millis(reader.default(
                "CLICK_FLUSH_INTERVAL_MS",
                10_000_u64,
                "write clicks this long after the first of a batch, at the latest",
            )),
            concurrency: reader.default(
                "CASHBACK_CONCURRENCY",
                8_usize,
                "hints and pulls worked on at a time in one process",
            ),
            upkeep_interval: Duration::from_millis(
                reader
                    .default(
                        "CASHBACK_UPKEEP_INTERVAL_MS",
                        15_000_u64,
                        "how often late matches, ended holding periods and the ledger's chain are looked after",
                    )
                    .max(100),
            ),
            alert_emails: store::alerts::recipients(reader),
            unmatched_alert_percent: percent(
                reader,
                "UNMATCHED_ALERT_PERCENT",
                30,
                "tell the admins when more of a pull's new transactions than this have no click",
            ),
            approval_drop_percent: percent(
                reader,
                "APPROVAL_DROP_ALERT_PERCENT",
                30,
                "tell the admins when a merchant approves so much less than in the 28 days before",
            ),
        }
    }
}

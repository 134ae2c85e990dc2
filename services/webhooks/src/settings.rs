//! Everything that can be set.

use chassis::remote::Networks;
use config::Reader;

use crate::alerts::Alerts;
use crate::sources::Sources;
use crate::{intake, payments, push};

/// The settings of this service.
pub(crate) struct Settings {
    pub(crate) http: chassis::http::Settings,
    pub(crate) store: store::Settings,
    pub(crate) kv: kv::Settings,
    pub(crate) outbound: outbound::Settings,
    pub(crate) sources: Sources,
    pub(crate) intake: intake::Settings,
    pub(crate) push: push::Settings,
    pub(crate) payouts: Option<payments::start::Settings>,
    pub(crate) alerts: Alerts,
    pub(crate) trusted_proxies: Networks,
    pub(crate) payments_at_once: usize,
    pub(crate) receipts_at_once: usize,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            http: chassis::http::Settings::read(reader),
            store: store::Settings::read(reader),
            kv: kv::Settings::read(reader),
            outbound: outbound::Settings::read(reader),
            sources: Sources::read(reader),
            intake: intake::Settings::read(reader),
            push: push::Settings::read(reader),
            payouts: payments::start::Settings::read(reader),
            alerts: Alerts::read(reader),
            trusted_proxies: reader.default(
                "TRUSTED_PROXIES",
                Networks::default(),
                "networks of proxies whose X-Forwarded-For is believed, by comma",
            ),
            payments_at_once: reader.default(
                "PAYMENTS_CONCURRENCY",
                8,
                "how many payment events are worked off at a time",
            ),
            receipts_at_once: reader.default(
                "RECEIPTS_CONCURRENCY",
                4,
                "how many batches of reports are worked off at a time",
            ),
        }
    }
}

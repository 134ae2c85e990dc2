//! Admitad's postback. `payment_status=pending` means on hold *again*; `admitad_id` is a payment's id, not the action's.

use config::Reader;
use domain::network::Network;

use super::postback::{Layout, Postback};
use crate::source::WebhookSource;

pub(super) fn read(reader: &mut Reader<'_>) -> Box<dyn WebhookSource> {
    let layout = Layout {
        network: Network::Admitad,
        transaction: &["action_id"],
        sub_ids: &["subid", "subid4", "subid1", "subid2"],
        status: &["payment_status", "offer_status", "partnership_status"],
        personal: &["country_code", "user_agent", "user_referer", "action_ip"],
        constant: None,
    };
    Postback::read(reader, layout)
}

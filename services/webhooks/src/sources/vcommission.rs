//! vCommission's postback (Trackier): a GET with macros; an unknown macro arrives as literal text; reversals never arrive.

use config::Reader;
use domain::network::Network;

use super::postback::{Layout, Postback};
use crate::source::WebhookSource;

pub(super) fn read(reader: &mut Reader<'_>) -> Box<dyn WebhookSource> {
    let layout = Layout {
        network: Network::Vcommission,
        transaction: &["transaction_id", "conversion_id", "_id"],
        sub_ids: &["p1"],
        status: &["status"],
        personal: &["ip", "city", "region", "device"],
        constant: None,
    };
    Postback::read(reader, layout)
}

//! Cuelinks' postback: our own parameter names, and a constant parameter `token` that the panel can add.

use config::Reader;
use domain::network::Network;

use super::postback::{Layout, Postback};
use crate::source::WebhookSource;

pub(super) fn read(reader: &mut Reader<'_>) -> Box<dyn WebhookSource> {
    let layout = Layout {
        network: Network::Cuelinks,
        transaction: &["transaction_id"],
        sub_ids: &["click_id", "subid", "sub_id"],
        status: &["status"],
        personal: &["ip", "user_agent"],
        constant: Some("token"),
    };
    Postback::read(reader, layout)
}

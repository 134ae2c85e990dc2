//! Every sender of webhooks.

mod admitad;
mod cuelinks;
pub(crate) mod msg91;
mod postback;
mod razorpay;
pub(crate) mod sendgrid;
mod vcommission;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use config::Reader;

use crate::source::WebhookSource;

type Read = fn(&mut Reader<'_>) -> Box<dyn WebhookSource>;
/// Every source by its word, with the way to read its settings. A new one is a line here.
const ALL: [(&str, Read); 7] = [
    ("razorpay", razorpay::read),
    ("razorpayx", razorpay::read_x),
    ("admitad", admitad::read),
    ("vcommission", vcommission::read),
    ("cuelinks", cuelinks::read),
    ("sendgrid", sendgrid::read),
    ("msg91", msg91::read),
];

/// The sources that are switched on.
#[derive(Clone)]
pub(crate) struct Sources(Arc<Vec<Box<dyn WebhookSource>>>);

impl Sources {
    /// Reads `WEBHOOK_SOURCES` and the settings of each source named there. One that is named and has no secret is a problem, so
    /// that nothing is ever taken in unverified.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let names = reader.default("WEBHOOK_SOURCES", Names::default(), "which senders are listened to, by comma");
        let chosen = ALL.iter().filter(|(name, _)| names.0.iter().any(|chosen| chosen == name));
        Self(Arc::new(chosen.map(|(_, read)| read(reader)).collect()))
    }

    /// The source with this word.
    pub(crate) fn get(&self, slug: &str) -> Option<&dyn WebhookSource> {
        self.iter().find(|source| source.slug() == slug)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn WebhookSource> {
        self.0.iter().map(Box::as_ref)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(WebhookSource::slug)).finish()
    }
}

struct Names(Vec<String>);

impl Default for Names {
    /// All but `razorpayx`, whose events may also be sent to the address of `razorpay`.
    fn default() -> Self {
        Self(ALL.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name != "razorpayx").collect())
    }
}

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let known = ALL.map(|(name, _)| name).join(", ");
        match names.iter().find(|name| !ALL.iter().any(|(known, _)| known == name)) {
            Some(unknown) => Err(format!("{unknown:?} is not a source (one of {known})")),
            None => Ok(Self(names)),
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

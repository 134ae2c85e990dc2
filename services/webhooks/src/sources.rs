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

use config::{Entry, Map, Reader};

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
        let mut on = Vec::new();
        for (name, read) in ALL {
            if names.0.iter().any(|chosen| chosen == name) {
                on.push(read(reader));
            } else {
                list(reader, read);
            }
        }
        Self(Arc::new(on))
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

/// Notes what a source that is off would ask for, and asks for none of it: lists of settings name also what can be switched on.
fn list(reader: &mut Reader<'_>, read: Read) {
    let nothing = Map::default();
    let mut aside = Reader::new(&nothing);
    let _off = read(&mut aside);
    for Entry { key, about, default, secret, .. } in aside.entries() {
        if let Some(prefix) = key.strip_suffix('*') {
            let _unused = reader.family(prefix, about);
        } else if let Some(default) = default {
            let _unused = reader.default(key, default.clone(), about);
        } else if *secret {
            let _unused = reader.optional_secret(key, about);
        } else {
            let _unused = reader.optional(key, about);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_source_that_is_off_are_listed_and_none_is_demanded() {
        let nothing = Map::default();
        let mut reader = Reader::new(&nothing);
        let _sources = Sources::read(&mut reader);
        let entry = |key: &str| reader.entries().iter().find(|entry| entry.key == key).cloned();
        let (on, off) = (entry("RAZORPAY_WEBHOOK_SECRET").unwrap(), entry("RAZORPAYX_WEBHOOK_SECRET").unwrap());
        assert_eq!((on.required, on.secret), (true, true));
        assert_eq!((off.required, off.secret), (false, true));
        assert!(entry("RAZORPAYX_WEBHOOK_SECRET_PREVIOUS_*").is_some());

        let postbacks = Map::from([
            ("WEBHOOK_SOURCES", "admitad"),
            ("ADMITAD_POSTBACK_TOKEN", "0123456789abcdef0123456789"),
            ("MSG91_REPORT_TOKEN", "too short, and not used"),
        ]);
        let mut reader = Reader::new(&postbacks);
        let sources = Sources::read(&mut reader);
        assert!(reader.entries().iter().any(|entry| entry.key == "SENDGRID_WEBHOOK_TOLERANCE_S"));
        assert_eq!(format!("{:?}", reader.finish(sources).unwrap()), "[\"admitad\"]");
    }
}

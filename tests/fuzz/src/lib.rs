//! What the fuzz targets do with their bytes. Beside "no panic", each holds what must be true of whatever is accepted.

pub mod jobs;
pub mod links;
pub mod networks;
pub mod webhooks;

/// The webhook service has no library, on purpose: its files are compiled here as they are.
#[path = "../../../services/webhooks/src"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod service {
    pub(crate) mod proof;
    pub(crate) mod source;
    pub(crate) mod sources;
    pub(crate) mod payments {
        pub(crate) mod event;
    }
}
// By these names the files know each other.
pub(crate) use service::{proof, source, sources};

/// Settings as the targets need them.
struct Pairs(Vec<(&'static str, String)>);

impl config::Source for Pairs {
    fn get(&self, key: &str) -> Option<String> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        self.0.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// The first line and what follows it: a header, a query or a token, and a body.
fn head_and_body(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

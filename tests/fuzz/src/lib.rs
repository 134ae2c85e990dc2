//! What the fuzz targets do with their bytes. Beside "no panic", each holds what must be true of whatever is accepted.

pub mod heads;
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

/// What is asked at the door is the door's own affair; its file is compiled here as it is.
#[path = "../../../crates/chassis/src/http/door"]
#[allow(dead_code, unreachable_pub)]
mod door {
    pub(crate) mod asked;

    use actix_web::http::header::HeaderName;

    /// Whether the door would answer these bytes, and if so what it made of them: the method, path, query and the headers that it reads.
    pub(crate) fn taken(bytes: &[u8], prefix: &str, reads: &'static [HeaderName]) -> Option<Taken> {
        let mut held = asked::Held::default();
        // Left over from the request before.
        held.take(b"GET /out/before?x=1 HTTP/1.1\r\nHost: b\r\nCookie: before\r\n\r\n", prefix, &[reads]);
        held.take(bytes, prefix, &[reads]).then(|| {
            let asked = held.asked([127, 0, 0, 1].into());
            let headers = asked.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
            Taken {
                method: asked.method.as_str().to_owned(),
                path: asked.path.to_owned(),
                query: asked.query.to_owned(),
                headers: headers.collect(),
            }
        })
    }

    /// A request as the door understood it.
    #[derive(Debug)]
    pub(crate) struct Taken {
        pub(crate) method: String,
        pub(crate) path: String,
        pub(crate) query: String,
        pub(crate) headers: Vec<(String, Vec<u8>)>,
    }
}

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

//! How Admitad is reached.

use std::time::Duration;

use chrono::FixedOffset;
use config::{Reader, SecretString};
use outbound::base_url;

use crate::report::utc;
use crate::settings::bounded;

/// How Admitad is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    pub(super) refresh_token: Option<SecretString>,
    pub(super) base_url: String,
    pub(super) scope: String,
    pub(super) website: Option<String>,
    pub(super) zone: FixedOffset,
    pub(super) page_size: u64,
    pub(super) calls_per_minute: u64,
    pub(super) rate_limit_wait: Duration,
    pub(super) tells_sums: bool,
}

impl Settings {
    /// Reads `ADMITAD_*`; `None` when neither id nor secret is set.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let client_id = reader.optional("ADMITAD_CLIENT_ID", "Admitad's API client; without it Admitad is off");
        let client_secret = reader.optional_secret("ADMITAD_CLIENT_SECRET", "its secret");
        let refresh_token = reader.optional_secret("ADMITAD_REFRESH_TOKEN", "a refresh token to begin with");
        let base_url = base_url(reader, "ADMITAD_BASE_URL", "https://api.admitad.com", "where Admitad's API is");
        let scope =
            reader.default("ADMITAD_SCOPE", "statistics".to_owned(), "the scopes of the token, apart by spaces");
        let website = reader.optional("ADMITAD_WEBSITE_ID", "read the transactions of this ad space only");
        let minutes =
            reader.default("ADMITAD_UTC_OFFSET_MINUTES", 180_i32, "the offset of the times in Admitad's reports");
        let page_size = bounded(reader, "ADMITAD_PAGE_SIZE", 500, 500, "rows asked for at a time");
        let calls_per_minute = bounded(reader, "ADMITAD_CALLS_PER_MINUTE", 500, 1_000_000, "Admitad allows 600");
        let wait_ms =
            reader.default("ADMITAD_RATE_LIMIT_WAIT_MS", 60_000_u64, "the wait after a 503 without Retry-After");
        let tells_sums =
            reader.default("ADMITAD_SUMS", true, "whether runs are checked against Admitad's own sums (total=1)");
        let zone = minutes.checked_mul(60).and_then(FixedOffset::east_opt);
        if zone.is_none() {
            reader.problem("ADMITAD_UTC_OFFSET_MINUTES: must lie within a day");
        }
        match (client_id, client_secret) {
            (None, None) => None,
            (Some(client_id), Some(client_secret)) => Some(Self {
                client_id,
                client_secret,
                refresh_token,
                base_url,
                scope,
                website,
                zone: zone.unwrap_or_else(utc),
                page_size,
                calls_per_minute,
                rate_limit_wait: Duration::from_millis(wait_ms),
                tells_sums,
            }),
            _ => {
                reader.problem("ADMITAD_CLIENT_ID and ADMITAD_CLIENT_SECRET belong together: one of them is not set");
                None
            }
        }
    }
}

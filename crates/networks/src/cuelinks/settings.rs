//! How Cuelinks is reached.

use std::fmt;
use std::str::FromStr;

use config::{Reader, SecretString};
use outbound::base_url;

use crate::settings::bounded;

/// How Cuelinks is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) api_key: SecretString,
    pub(super) publisher_id: Option<String>,
    pub(super) api: Api,
    pub(super) base_url: String,
    pub(super) page_size: u64,
    pub(super) calls_per_minute: u64,
}

/// The version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Version 3.
    V3,
    /// Version 2.
    V2,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3 => "v3",
            Self::V2 => "v2",
        })
    }
}

/// A word that names no version.
#[derive(Debug, thiserror::Error)]
#[error("must be v3 or v2")]
pub struct UnknownApi;

impl FromStr for Api {
    type Err = UnknownApi;

    fn from_str(text: &str) -> Result<Self, UnknownApi> {
        match text {
            "v3" => Ok(Self::V3),
            "v2" => Ok(Self::V2),
            _ => Err(UnknownApi),
        }
    }
}

impl Settings {
    /// Reads `CUELINKS_*`; `None` when the key is not set.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let api_key = reader.optional_secret("CUELINKS_API_KEY", "Cuelinks' API key; without it Cuelinks is off");
        let publisher_id = reader.optional(
            "CUELINKS_PUBLISHER_ID",
            "our publisher id at Cuelinks; when set, a key of another account is refused before anything is read (version 3)",
        );
        let api = reader.default("CUELINKS_API", Api::V3, "the version of Cuelinks' API: v3 or v2");
        let default = match api {
            Api::V3 => "https://developers.cuelinks.com/pub_api/v3",
            Api::V2 => "https://www.cuelinks.com/api/v2",
        };
        let base_url = base_url(reader, "CUELINKS_BASE_URL", default, "where Cuelinks' API is, its version included");
        let most = match api {
            Api::V3 => 100,
            Api::V2 => 1_000,
        };
        let page_size = bounded(reader, "CUELINKS_PAGE_SIZE", 100, most, "rows asked for at a time");
        let calls_per_minute = bounded(reader, "CUELINKS_CALLS_PER_MINUTE", 60, 1_000_000, "how fast to ask");
        Some(Self { api_key: api_key?, publisher_id, api, base_url, page_size, calls_per_minute })
    }
}

//! The redirector's settings.

use std::path::PathBuf;
use std::time::Duration;

use chassis::remote::Networks;
use config::{Reader, SecretString};
use domain::offer::Schemes;

use crate::resolve::Keeping;

/// Everything the redirector is told.
pub(crate) struct Settings {
    pub(crate) http: chassis::http::Settings,
    pub(crate) store: store::Settings,
    pub(crate) kv: kv::Settings,
    pub(crate) keeping: Keeping,
    pub(crate) visits: Visits,
    pub(crate) limit: u32,
    pub(crate) redis_patience: Duration,
    pub(crate) spool_folder: PathBuf,
    pub(crate) spool_max_bytes: u64,
    pub(crate) stats_token: Option<SecretString>,
}

/// How a visit is looked at.
#[derive(Clone)]
pub(crate) struct Visits {
    pub(crate) schemes: Schemes,
    pub(crate) trusted_proxies: Networks,
    pub(crate) unlimited: Networks,
    pub(crate) limited_recorded: u32,
    pub(crate) repeat_seconds: u64,
    pub(crate) sessions: shopper::Settings,
    pub(crate) link_secrets: Option<SecretString>,
    pub(crate) client_hash_key: Option<SecretString>,
    pub(crate) secure_cookies: bool,
    pub(crate) landing: Option<String>,
}

impl Settings {
    /// Reads them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let seconds = Duration::from_secs;
        let keeping = Keeping {
            entries: reader.default("REDIRECT_MEMORY_ENTRIES", 100_000, "how many offers are kept in memory"),
            fresh: seconds(reader.default(
                "REDIRECT_MEMORY_SECONDS",
                5,
                "for how many seconds an offer in memory is served without a second look",
            )),
            stale: seconds(reader.default(
                "REDIRECT_STALE_SECONDS",
                3_600,
                "for how many seconds an offer in memory is served when Redis and Postgres are away",
            )),
        };
        let settings = Self {
            http: chassis::http::Settings::read(reader),
            store: store::Settings::read(reader),
            kv: kv::Settings::read(reader),
            keeping,
            limit: reader.default("REDIRECT_LIMIT", 100, "how many clicks a minute one client may make"),
            redis_patience: Duration::from_millis(reader.default(
                "REDIRECT_REDIS_PATIENCE_MS",
                300,
                "how many milliseconds Redis may take for a click before it is spooled",
            )),
            spool_folder: PathBuf::from(reader.default(
                "REDIRECT_SPOOL_DIR",
                "var/redirector-spool".to_owned(),
                "the folder for clicks while Redis is away; it must outlive the process",
            )),
            spool_max_bytes: reader.default(
                "REDIRECT_SPOOL_MAX_BYTES",
                1_073_741_824,
                "the most bytes of clicks kept there (about 2 million clicks a gigabyte)",
            ),
            stats_token: reader.optional_secret(
                "REDIRECT_STATS_TOKEN",
                "opens /stats (bearer token, or the password of any user); without it the page is off",
            ),
            visits: Visits::read(reader),
        };
        if settings.keeping.fresh > settings.keeping.stale {
            reader.problem("REDIRECT_STALE_SECONDS: must not be less than REDIRECT_MEMORY_SECONDS");
        }
        settings
    }
}

impl Visits {
    fn read(reader: &mut Reader<'_>) -> Self {
        let http_too =
            reader.default("REDIRECT_ALLOW_HTTP", false, "true lets templates and targets be http, for a simulator");
        let landing = reader.optional("REDIRECT_LANDING_URL", "where a click on an offer that is gone leads, with {reason} and {offer_id} filled in; without it there is a page of our own (404, 410)");
        if landing.as_deref().is_some_and(|landing| !landing.starts_with("https://") && !landing.starts_with("http://"))
        {
            reader.problem("REDIRECT_LANDING_URL: not an http or https URL");
        }
        if landing.as_deref().is_some_and(|landing| !chassis::http::is_sendable(landing.as_bytes())) {
            reader.problem("REDIRECT_LANDING_URL: it has control characters, which no header carries");
        }
        Self {
            schemes: if http_too { Schemes::HttpToo } else { Schemes::HttpsOnly },
            trusted_proxies: reader.default(
                "TRUSTED_PROXIES",
                Networks::default(),
                "networks whose X-Forwarded-For is believed, separated by commas",
            ),
            unlimited: reader.default(
                "REDIRECT_UNLIMITED",
                Networks::default(),
                "networks that are not limited, such as a carrier's NAT, separated by commas",
            ),
            limited_recorded: reader.default(
                "REDIRECT_LIMITED_RECORDED",
                1_000,
                "how many clicks a minute beyond the limit are recorded of one client; more are only counted",
            ),
            repeat_seconds: reader.default(
                "REDIRECT_REPEAT_SECONDS",
                10,
                "for how many seconds a click of the same shopper on the same offer is a duplicate",
            ),
            sessions: shopper::Settings::read(reader),
            link_secrets: reader.optional_secret(
                "REDIRECT_LINK_SECRET",
                "the secret of tokens in links (?t=, HS256, aud redirect-link), several separated by commas",
            ),
            client_hash_key: reader.optional_secret(
                "CLIENT_HASH_KEY",
                "the key that addresses are hashed with in click records; without it every process has one of its own",
            ),
            secure_cookies: reader.default(
                "REDIRECT_SECURE_COOKIES",
                true,
                "false lets cookies be set over http, for development",
            ),
            landing,
        }
    }
}

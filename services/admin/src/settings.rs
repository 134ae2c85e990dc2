//! The console's settings.

use anyhow::Context as _;
use chassis::remote::Networks;
use config::Reader;
use kv::Kv;
use store::Pool;
use store::vouchers::Cipher;

use crate::autoscale::Thresholds;
use crate::socket::Origins;

/// The settings.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Postgres. Serving demands it, and so does nearly every command.
    pub(crate) store: Option<store::Settings>,
    /// Redis. Serving demands it; commands such as `migrate` do without.
    pub(crate) kv: Option<kv::Settings>,
    pub(crate) http: chassis::http::Settings,
    /// Opens and seals voucher codes; `seed` needs it.
    pub(crate) cipher: Option<Cipher>,
    /// Whether the session's cookie travels by HTTPS only.
    pub(crate) secure_cookies: bool,
    /// Whose word about a client's address is believed.
    pub(crate) trusted_proxies: Networks,
    /// The address of a trace, with `{trace}` for its id.
    pub(crate) trace_link: Option<String>,
    /// How shoppers are known at `/ws`.
    pub(crate) shopper: shopper::Settings,
    /// Whose pages may open `/ws` with a cookie.
    pub(crate) socket_origins: Origins,
    /// How many notifiers `autoscale` wants.
    pub(crate) scaling: Thresholds,
}

impl Settings {
    /// Reads what serving needs.
    pub(crate) fn for_serving(reader: &mut Reader<'_>) -> Self {
        let (store, kv) = (store::Settings::read(reader), kv::Settings::read(reader));
        Self::read(reader, Some(store), Some(kv))
    }

    /// Reads what the commands need: Postgres and Redis only where they are set.
    pub(crate) fn for_commands(reader: &mut Reader<'_>) -> Self {
        let store = if reader.is_set("DATABASE_URL") { Some(store::Settings::read(reader)) } else { None };
        let kv = if reader.is_set("REDIS_URL") { Some(kv::Settings::read(reader)) } else { None };
        Self::read(reader, store, kv)
    }

    /// Connects to Postgres, if anybody said where it is.
    pub(crate) fn postgres(&self) -> anyhow::Result<Pool> {
        let store = self
            .store
            .as_ref()
            .context("DATABASE_URL is not set: Postgres, as postgres://user:password@host:5432/database")?;
        Ok(Pool::connect(store)?)
    }

    /// Connects to Redis, if anybody said where it is.
    pub(crate) fn redis(&self) -> anyhow::Result<Kv> {
        let kv = self.kv.as_ref().context("REDIS_URL is not set: Redis, as redis://host:6379/0")?;
        Ok(Kv::connect(kv)?)
    }

    fn read(reader: &mut Reader<'_>, store: Option<store::Settings>, kv: Option<kv::Settings>) -> Self {
        Self {
            store,
            kv,
            http: chassis::http::Settings::read(reader),
            cipher: reader.optional_parsed("VOUCHER_KEY", "the key that seals voucher codes; needed by `admin seed`"),
            secure_cookies: reader.default(
                "CONSOLE_SECURE_COOKIES",
                true,
                "whether the console's session cookie travels by HTTPS only; false for plain HTTP on a developer's machine",
            ),
            trusted_proxies: reader.default(
                "TRUSTED_PROXIES",
                Networks::default(),
                "networks of proxies whose X-Forwarded-For is believed, by comma",
            ),
            trace_link: reader.optional_parsed(
                "TRACE_LINK",
                "where a trace can be seen, with {trace} for its id, such as https://traces.example.in/trace/{trace}",
            ),
            shopper: shopper::Settings::read(reader),
            socket_origins: reader.default(
                "WS_ORIGINS",
                Origins::default(),
                "origins whose pages may open /ws with the session's cookie, by comma, such as https://shop.example.in; pages of \
                 the same host always may",
            ),
            scaling: Thresholds::read(reader),
        }
    }
}

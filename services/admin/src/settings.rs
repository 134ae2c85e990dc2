//! The console's settings.

use config::Reader;
use store::vouchers::Cipher;

use crate::autoscale::Thresholds;

/// The settings.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) store: store::Settings,
    /// Redis. Commands such as `migrate` do without, so it is missed only when the console is served.
    pub(crate) kv: Option<kv::Settings>,
    pub(crate) http: chassis::http::Settings,
    /// Opens and seals voucher codes; `seed` needs it.
    pub(crate) cipher: Option<Cipher>,
    /// Whether the session's cookie travels by HTTPS only.
    pub(crate) secure_cookies: bool,
    /// How many notifiers `autoscale` wants.
    pub(crate) scaling: Thresholds,
}

impl Settings {
    /// Reads them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            store: store::Settings::read(reader),
            kv: if reader.is_set("REDIS_URL") {
                Some(kv::Settings::read(reader))
            } else {
                let _missing = reader.optional_secret("REDIS_URL", "Redis; needed by `admin serve`, not by the commands");
                None
            },
            http: chassis::http::Settings::read(reader),
            cipher: reader.optional_parsed("VOUCHER_KEY", "the key that seals voucher codes; needed by `admin seed`"),
            secure_cookies: reader.default(
                "CONSOLE_SECURE_COOKIES",
                true,
                "whether the console's session cookie travels by HTTPS only; false for plain HTTP on a developer's machine",
            ),
            scaling: Thresholds::read(reader),
        }
    }
}

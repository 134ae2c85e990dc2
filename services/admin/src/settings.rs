//! The console's settings.

use config::Reader;
use store::vouchers::Cipher;

/// The settings.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) store: store::Settings,
    pub(crate) kv: kv::Settings,
    pub(crate) http: chassis::http::Settings,
    /// Whether cookies are for HTTPS only.
    pub(crate) secure_cookies: bool,
    /// Opens and seals voucher codes; `seed` needs it.
    pub(crate) cipher: Option<Cipher>,
}

impl Settings {
    /// Reads them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            store: store::Settings::read(reader),
            kv: kv::Settings::read(reader),
            http: chassis::http::Settings::read(reader),
            secure_cookies: reader.default(
                "CONSOLE_SECURE_COOKIES",
                true,
                "whether the console's cookie is for HTTPS only; false for a try on http://127.0.0.1",
            ),
            cipher: reader.optional_parsed("VOUCHER_KEY", "the key that seals voucher codes; needed by `admin seed`"),
        }
    }
}

//! The console's settings.

use config::Reader;
use store::vouchers::Cipher;

/// The settings.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) store: store::Settings,
    pub(crate) http: chassis::http::Settings,
    /// Opens and seals voucher codes; `seed` needs it.
    pub(crate) cipher: Option<Cipher>,
}

impl Settings {
    /// Reads them.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            store: store::Settings::read(reader),
            http: chassis::http::Settings::read(reader),
            cipher: reader.optional_parsed("VOUCHER_KEY", "the key that seals voucher codes; needed by `admin seed`"),
        }
    }
}

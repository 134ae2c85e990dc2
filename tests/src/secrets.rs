//! What only the holders of the story's secrets can make.

use domain::ids::VoucherCodeId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use store::vouchers::Cipher;

use crate::system::{RAZORPAY_SECRET, VOUCHER_KEY};

/// Razorpay's signature of a webhook's body.
#[must_use]
pub fn razorpay_signature(body: impl AsRef<[u8]>) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(RAZORPAY_SECRET.as_bytes()).expect("any length is a key");
    hex::encode(mac.chain_update(body.as_ref()).finalize().into_bytes())
}

/// A voucher's code as it lies in Postgres.
#[must_use]
pub fn sealed(id: VoucherCodeId, code: &str) -> Vec<u8> {
    let cipher: Cipher = VOUCHER_KEY.parse().expect("a key");
    cipher.seal(id, code).expect("sealed")
}

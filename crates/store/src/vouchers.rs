//! Voucher codes: sealed at rest, each handed out once.

use std::collections::HashMap;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deadpool_postgres::GenericClient;
use domain::ids::{OrderId, OrderItemId, ProductId, VoucherCodeId};
use domain::redacted::Redacted;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::statements::{execute, query, query_one};
use crate::{StoreError, sql};

/// Seals and opens codes with the shop's key. The row's id is bound in, so a sealed code cannot be moved to another row.
#[derive(Clone)]
pub struct Cipher(std::sync::Arc<LessSafeKey>);

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("not a key: 32 random bytes in base64 (for example: openssl rand -base64 32)")]
pub struct InvalidKey;

/// A code that cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[error("voucher code {0} cannot be opened with VOUCHER_KEY: another key sealed it, or it was altered")]
pub struct Sealed(pub VoucherCodeId);

impl FromStr for Cipher {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_not_base64| InvalidKey)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_wrong_length| InvalidKey)?;
        Ok(Self(std::sync::Arc::new(LessSafeKey::new(key))))
    }
}

impl Cipher {
    /// Seals a code: nonce, then ciphertext with its tag.
    pub fn seal(&self, id: VoucherCodeId, code: &str) -> Result<Vec<u8>, Sealed> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_no_randomness| Sealed(id))?;
        let mut sealed = code.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(id.as_uuid().into_bytes()),
                &mut sealed,
            )
            .map_err(|_too_long| Sealed(id))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens a code.
    pub fn open(&self, id: VoucherCodeId, sealed: &[u8]) -> Result<Redacted<String>, Sealed> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Sealed(id))?;
        let mut buffer = sealed.to_vec();
        let opened = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(id.as_uuid().into_bytes()), &mut buffer)
            .map_err(|_altered| Sealed(id))?;
        String::from_utf8(opened.to_vec()).map(Redacted::new).map_err(|_no_text| Sealed(id))
    }
}

/// Stores a sealed code.
pub async fn insert(
    client: &impl GenericClient,
    id: VoucherCodeId,
    product: ProductId,
    sealed: &[u8],
) -> Result<(), StoreError> {
    execute(client, sql!("vouchers/insert.sql"), &[&id, &product, &sealed]).await?;
    Ok(())
}

/// Gives the item as many codes as it lacks; `false` when there are not enough. No two items ever get the same code, and an
/// item that has its codes gets no more.
pub async fn allocate(
    client: &impl GenericClient,
    product: ProductId,
    item: OrderItemId,
    quantity: i32,
) -> Result<bool, StoreError> {
    let has: i64 = query_one(client, sql!("vouchers/count_of_item.sql"), &[&item]).await?.try_get(0)?;
    let lacks = i64::from(quantity) - has;
    if lacks <= 0 {
        return Ok(true);
    }
    let got = execute(client, sql!("vouchers/allocate.sql"), &[&product, &item, &lacks]).await?;
    Ok(i64::try_from(got).is_ok_and(|got| got == lacks))
}

/// The open codes of an order, by its lines.
pub async fn open_for_order(
    client: &impl GenericClient,
    order: OrderId,
    cipher: &Cipher,
) -> Result<HashMap<OrderItemId, Vec<Redacted<String>>>, StoreError> {
    let mut codes: HashMap<_, Vec<_>> = HashMap::new();
    for row in query(client, sql!("vouchers/of_order.sql"), &[&order]).await? {
        let (item, id, sealed): (OrderItemId, VoucherCodeId, Vec<u8>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let code = cipher.open(id, &sealed).map_err(|error| StoreError::WrongRow(error.to_string()))?;
        codes.entry(item).or_default().push(code);
    }
    Ok(codes)
}

/// Takes back the codes of an order that are not spent; returns how many were taken back, and how many are spent.
pub async fn revoke_for_order(client: &impl GenericClient, order: OrderId) -> Result<(u64, u64), StoreError> {
    let revoked = execute(client, sql!("vouchers/revoke_of_order.sql"), &[&order]).await?;
    let spent: i64 = query_one(client, sql!("vouchers/count_redeemed_of_order.sql"), &[&order]).await?.try_get(0)?;
    Ok((revoked, u64::try_from(spent).unwrap_or(0)))
}

/// How many codes of a product nobody has.
pub async fn count_unused(client: &impl GenericClient, product: ProductId) -> Result<usize, StoreError> {
    let count: i64 = query_one(client, sql!("vouchers/count_unused.sql"), &[&product]).await?.try_get(0)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_opens_only_under_its_own_id_and_key() {
        let cipher: Cipher = STANDARD.encode([7; 32]).parse().unwrap();
        let other: Cipher = STANDARD.encode([8; 32]).parse().unwrap();
        let id = VoucherCodeId::generate();
        let sealed = cipher.seal(id, "AMZN-1234").unwrap();
        assert_eq!(cipher.open(id, &sealed).unwrap().expose(), "AMZN-1234");
        assert!(!sealed.windows(4).any(|part| part == b"AMZN"));
        assert!(cipher.open(VoucherCodeId::generate(), &sealed).is_err());
        assert!(other.open(id, &sealed).is_err());
        assert!(cipher.open(id, &sealed[..20]).is_err());
        assert!("short".parse::<Cipher>().is_err());
    }
}

//! The key pairs of the Event Webhook, derived from the seed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use sha2::{Digest, Sha256};

/// A key pair on P-256.
#[derive(Debug)]
pub(crate) struct Pair(SigningKey);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningError {
    #[error("no key could be derived from the seed")]
    Derive,
    #[error("the public key could not be written")]
    Encode(#[source] p256::pkcs8::spki::Error),
}

impl Pair {
    /// The pair of a seed and a generation.
    pub(crate) fn derive(seed: u64, generation: u32) -> Result<Self, SigningError> {
        // All but about one in 2^32 digests are a valid scalar; the counter takes the next one then.
        (0_u8..=u8::MAX)
            .find_map(|counter| {
                let digest = Sha256::digest(format!("provider-sim sendgrid {seed} {generation} {counter}"));
                SigningKey::from_slice(&digest).ok()
            })
            .map(Self)
            .ok_or(SigningError::Derive)
    }

    /// Base64 of the DER `SubjectPublicKeyInfo`, as the panel shows it.
    pub(crate) fn public_key(&self) -> Result<String, SigningError> {
        let der = self.0.verifying_key().to_public_key_der().map_err(SigningError::Encode)?;
        Ok(STANDARD.encode(der.as_bytes()))
    }

    /// Base64 of the DER signature over timestamp and body.
    pub(crate) fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let signature: DerSignature = self.0.sign(&[timestamp.as_bytes(), body].concat());
        STANDARD.encode(signature.as_bytes())
    }
}

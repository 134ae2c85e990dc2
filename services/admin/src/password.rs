//! Passwords and random tokens.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The fewest characters of a password.
pub(crate) const SHORTEST: usize = 12;

/// Why a password cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Easy to guess.
    #[error("a password has at least {SHORTEST} characters and at most 200")]
    Length,
    /// The machine is at fault.
    #[error("the password could not be hashed: {0}")]
    Hash(argon2::password_hash::Error),
    /// The machine has no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// Argon2id with the library's parameters (19 MiB, two passes), in PHC form.
pub(crate) fn hash(password: &str) -> Result<String, PasswordError> {
    if !(SHORTEST..=200).contains(&password.chars().count()) {
        return Err(PasswordError::Length);
    }
    let salt = random_bytes::<16>()?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// Whether the password is the one that was hashed. A hash that cannot be read is no password's.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    Argon2::default().verify_password(password.as_bytes(), hash).is_ok()
}

/// The hash of a password that nobody knows: checking it takes as long as checking a person's.
pub(crate) fn decoy() -> &'static str {
    static DECOY: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| token().and_then(|secret| hash(&secret)).unwrap_or_default());
    &DECOY
}

/// 32 random bytes as text, for cookies, forms and programs.
pub(crate) fn token() -> Result<String, PasswordError> {
    Ok(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?))
}

fn random_bytes<const N: usize>() -> Result<[u8; N], PasswordError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_no_detail| PasswordError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_another_is_not() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse battery", &stored));
        assert!(!verify("correct horse batterz", &stored));
        assert_ne!(stored, hash("correct horse battery").unwrap(), "each has a salt of its own");
    }

    #[test]
    fn short_passwords_are_refused_and_a_broken_hash_opens_nothing() {
        assert!(hash("short").is_err());
        assert!(!verify("", "") && !verify("x", "$argon2id$"));
    }
}

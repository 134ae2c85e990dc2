//! Until when certificates are good.

use chrono::{DateTime, Utc};
use x509_cert::Certificate;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] std::io::Error),
    /// It holds no certificate.
    #[error("it holds no certificate in PEM")]
    Form(#[from] x509_cert::der::Error),
    /// It is empty.
    #[error("there is no certificate in it")]
    Empty,
}

/// When the first certificate of a chain runs out: the first is the server's own.
pub(crate) fn expiry(file: &str) -> Result<DateTime<Utc>, CertificateError> {
    let chain = Certificate::load_pem_chain(&std::fs::read(file)?)?;
    let first = chain.first().ok_or(CertificateError::Empty)?;
    let until = first.tbs_certificate.validity.not_after.to_system_time();
    Ok(until.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for this test: self-signed, good until 2 January 2031, its key thrown away.
    const CERTIFICATE: &str = include_str!("certificates/example.pem");

    #[test]
    fn the_time_is_the_one_in_the_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.pem");
        std::fs::write(&file, CERTIFICATE).unwrap();
        let until = expiry(file.to_str().unwrap()).unwrap();
        assert_eq!(until.to_rfc3339(), "2031-01-02T00:00:00+00:00");
    }

    #[test]
    fn what_is_none_says_so() {
        assert!(matches!(expiry("/nowhere/server.pem"), Err(CertificateError::Read(_))));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.pem");
        std::fs::write(&file, "hello").unwrap();
        assert!(matches!(expiry(file.to_str().unwrap()), Err(CertificateError::Form(_) | CertificateError::Empty)));
    }
}

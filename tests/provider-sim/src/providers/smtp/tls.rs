//! The mail server's certificate, made anew at each start.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::options::{Options, Tls};

/// How connections are kept from others.
#[derive(Clone)]
pub(crate) enum Security {
    /// Not at all.
    None,
    /// After `STARTTLS`.
    Upgraded(TlsAcceptor),
    /// From the first byte.
    Implicit(TlsAcceptor),
}

impl Security {
    /// As the command line has it; writes the certificate down.
    pub(crate) fn from_options(options: &Options) -> anyhow::Result<Self> {
        let (Some(tls), Some(path)) = (options.smtp_tls, &options.smtp_certificate) else { return Ok(Self::None) };
        let acceptor = acceptor(path)?;
        Ok(match tls {
            Tls::Starttls => Self::Upgraded(acceptor),
            Tls::Implicit => Self::Implicit(acceptor),
        })
    }
}

fn acceptor(path: &Path) -> anyhow::Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).context("making a certificate")?;
    std::fs::write(path, made.cert.pem())
        .with_context(|| format!("writing the mail server's certificate to {}", path.display()))?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .context("using the mail server's certificate")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

//! A mail as it travels by SMTP.

use lettre::address::{Address, AddressError};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};

use crate::email::provider::Outgoing;
use crate::mask::one_line;

/// A mail and its way.
pub(super) struct Envelope {
    pub(super) from: Address,
    pub(super) to: Address,
    /// Its `Message-ID`, without brackets: our own id, so that a mail that comes twice is known to be one.
    pub(super) id: String,
    pub(super) bytes: Vec<u8>,
}

/// Why a mail cannot be written down. No address is repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComposeError {
    /// The receiver's address.
    #[error("the receiver's address cannot be used by SMTP")]
    Receiver(#[source] AddressError),
    /// Ours.
    #[error("FROM_EMAIL or REPLY_TO cannot be used by SMTP")]
    Sender(#[source] AddressError),
    /// The mail.
    #[error("the mail cannot be composed")]
    Mail(#[from] lettre::error::Error),
}

impl ComposeError {
    pub(super) const fn is_about_receiver(&self) -> bool {
        matches!(self, Self::Receiver(_))
    }
}

/// Writes a mail down with the headers that every provider of ours sends.
pub(super) fn compose(mail: &Outgoing<'_>) -> Result<Envelope, ComposeError> {
    let from: Address = mail.from.as_str().parse().map_err(ComposeError::Sender)?;
    let to: Address = mail.to.as_str().parse().map_err(ComposeError::Receiver)?;
    let id = format!("{}@{}", mail.id, from.domain());
    let mut builder = Message::builder()
        .from(Mailbox::new(Some(one_line(mail.from_name)), from.clone()))
        .to(Mailbox::new(mail.to_name.map(one_line), to.clone()))
        .subject(&mail.letter.subject)
        .message_id(Some(format!("<{id}>")));
    if let Some(reply_to) = mail.reply_to {
        let address: Address = reply_to.as_str().parse().map_err(ComposeError::Sender)?;
        builder = builder.reply_to(Mailbox::new(None, address));
    }
    let parts = MultiPart::alternative_plain_html(mail.letter.text.clone(), mail.letter.html.clone());
    let mut message = builder.multipart(parts)?;
    for (name, value) in mail.headers() {
        let name = HeaderName::new_from_ascii_str(name);
        message.headers_mut().insert_raw(HeaderValue::new(name, value));
    }
    Ok(Envelope { from, to, id, bytes: message.formatted() })
}

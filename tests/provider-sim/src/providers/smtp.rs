//! A mail server on a port of its own, as RFC 5321 and RFC 4954 have it: EHLO, AUTH PLAIN and LOGIN, one envelope after
//! another on a connection, and faults at each step.

mod session;
mod tls;

use crate::inbox::{Channel, Message};
use crate::provider::Provider;
use crate::sim::{Sim, World};
use mail_parser::MessageParser;
use serde_json::{Map, Value};
use session::Session;
use std::io;
use std::sync::Arc;
pub(crate) use tls::Security;
use tokio::net::{TcpListener, TcpStream};

/// Takes connections until the simulator stops.
pub(crate) async fn serve(sim: Arc<Sim>, listener: TcpListener, security: Security) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shared, security) = (Arc::clone(&sim), security.clone());
                sim.in_background(async move {
                    if let Err(error) = converse(shared, stream, security).await {
                        tracing::debug!(%error, "an SMTP connection broke off");
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "an SMTP connection could not be taken"),
        }
    }
}

async fn converse(sim: Arc<Sim>, stream: TcpStream, security: Security) -> io::Result<()> {
    match security {
        Security::Implicit(acceptor) => Session::new(sim, acceptor.accept(stream).await?).run().await,
        Security::Upgraded(acceptor) => {
            let clear = Session::new(sim, stream).with_upgrade();
            match clear.run_until_upgrade().await? {
                Some((sim, stream)) => Session::new(sim, acceptor.accept(stream).await?).after_upgrade().run().await,
                None => Ok(()),
            }
        }
        Security::None => Session::new(sim, stream).run().await,
    }
}

/// Whether these credentials are accepted.
fn is_known(world: &World, user: &str, password: &str) -> bool {
    let accepted = &world.settings.keys.smtp;
    !user.is_empty()
        && !password.is_empty()
        && (accepted.is_empty() || accepted.contains(&format!("{user}:{password}")))
}

/// Puts a mail into the inbox of each receiver; gives its id.
fn deliver(sim: &Sim, from: &str, to: &[String], raw: &[u8]) -> Option<String> {
    let parsed = MessageParser::default().parse(raw)?;
    let shown_from = parsed.from().and_then(|from| from.first()).map_or_else(
        || from.to_owned(),
        |sender| match (&sender.name, &sender.address) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (_, Some(address)) => address.to_string(),
            _ => from.to_owned(),
        },
    );
    let headers: Map<String, Value> = parsed
        .headers_raw()
        .map(|(name, value)| (name.to_owned(), Value::String(value.replace("\r\n", "").trim().to_owned())))
        .collect();
    let to_name = parsed.to().and_then(|to| to.first()).and_then(|to| to.name.as_ref()).map(ToString::to_string);
    let mut world = sim.world();
    let id = world.ids.base62(22);
    for receiver in to {
        let message = Message {
            id: 0,
            at: world.now(),
            channel: Channel::Email,
            provider: Provider::Smtp,
            provider_id: parsed.message_id().unwrap_or(&id).to_owned(),
            to: receiver.clone(),
            to_name: to_name.clone(),
            from: shown_from.clone(),
            subject: parsed.subject().map(str::to_owned),
            text: parsed.body_text(0).map(std::borrow::Cow::into_owned),
            html: parsed.body_html(0).map(std::borrow::Cow::into_owned),
            template: None,
            categories: Vec::new(),
            args: Map::new(),
            headers: headers.clone(),
            sandbox: false,
        };
        world.inbox.deliver(message);
    }
    Some(id)
}

//! What every handler works with.

use std::future::Future;
use std::sync::Arc;

use actix_web::HttpRequest;
use chassis::remote::{self, Networks};
use kv::Kv;
use queue::Producer;
use serde_json::Value;
use store::audit::{self, Action};
use store::{Pool, StoreError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Caller, Who};
use crate::live::Live;
use crate::socket::{Gate, Hub};

/// Shared by all handlers.
pub(crate) struct State {
    pub(crate) pool: Pool,
    pub(crate) kv: Kv,
    pub(crate) producer: Producer,
    pub(crate) secure_cookies: bool,
    pub(crate) trusted_proxies: Networks,
    /// Checking a password takes 19 MiB and a core; this many are checked at once.
    pub(crate) passwords: Semaphore,
    pub(crate) live: Live,
    pub(crate) trace_link: Option<String>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) gate: Gate,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Who acts: a person in the console, or a program by its token.
#[derive(Debug, Clone)]
pub(crate) enum Actor {
    /// A person.
    Person(Who),
    /// A program.
    Program(Caller),
}

impl Actor {
    /// The name for the audit log and for replays.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Person(who) => who.email.clone(),
            Self::Program(caller) => format!("api:{}", caller.grant.name),
        }
    }

    /// Writes down what was done, in the transaction of its effect where that is in Postgres.
    pub(crate) async fn note(&self, client: &impl store::GenericClient, deed: &Deed<'_>) -> Result<(), StoreError> {
        let traceparent = telemetry::propagation::current_traceparent();
        let name = self.name();
        let (admin_id, role, remote_address) = match self {
            Self::Person(who) => (Some(who.admin_id), who.role.word(), &who.address),
            Self::Program(caller) => (None, caller.scope, &caller.address),
        };
        let action = Action {
            admin_id,
            actor: &name,
            role,
            action: deed.action,
            target: deed.target,
            reason: deed.reason,
            before: deed.before.clone(),
            after: deed.after.clone(),
            remote_address,
            traceparent: traceparent.as_deref(),
        };
        audit::insert(client, &action).await?;
        Ok(())
    }
}

impl From<Who> for Actor {
    fn from(who: Who) -> Self {
        Self::Person(who)
    }
}

impl From<Caller> for Actor {
    fn from(caller: Caller) -> Self {
        Self::Program(caller)
    }
}

/// What is done, for the audit log. Ids say enough: no personal data goes into it.
#[derive(Debug, Default)]
pub(crate) struct Deed<'a> {
    /// A dotted word such as `queue.pause`.
    pub(crate) action: &'a str,
    /// What it is done to, such as `queue:email`.
    pub(crate) target: &'a str,
    /// Why, in the person's words.
    pub(crate) reason: &'a str,
    /// How it was.
    pub(crate) before: Option<Value>,
    /// How it is.
    pub(crate) after: Option<Value>,
}

impl State {
    /// Where a request came from, as far as it can be believed; empty when the connection has no address.
    pub(crate) fn address_of(&self, request: &HttpRequest) -> String {
        let peer = request.peer_addr();
        let address = |peer: std::net::SocketAddr| remote::address(peer.ip(), request.headers(), &self.trusted_proxies);
        peer.map(|peer| address(peer).to_string()).unwrap_or_default()
    }

    /// Does what takes effect outside of Postgres, and writes it down. The note is written first and committed last: without
    /// a note there is no effect, and what failed leaves no note.
    pub(crate) async fn noted<T, E>(
        &self,
        actor: &Actor,
        deed: &Deed<'_>,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        actor.note(&transaction, deed).await?;
        let done = effect.await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(done)
    }
}

//! Who is not written to, and what of: asked for on the command line, or on a page of the console. The list holds hashes, so
//! it is looked into with the address at hand; the audit log gets the hash and what may be shown of the address.

use std::fmt;
use std::str::FromStr;

use actix_web::{HttpResponse, web};
use askama::Template;
use domain::contact::{EmailAddress, InvalidContact, Mobile};
use serde::Deserialize;
use serde_json::Value;
use store::audit::{self, Action};
use store::notifications::{Category, Channel};
use store::suppressions::{self, AddressHash, Suppression};
use store::{Pool, StoreError};

use crate::access::Who;
use crate::command::print;
use crate::error::PageError;
use crate::state::{Actor, Deed, State};
use crate::view::{self, Page};

/// A mail address or a mobile number; which of them it is says how messages to it travel.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    channel: Channel,
    hash: AddressHash,
    masked: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error: InvalidContact| error.to_string();
        if text.contains('@') {
            let address: EmailAddress = text.parse().map_err(wrong)?;
            Ok(Self { channel: Channel::Email, hash: AddressHash::from(&address), masked: address.masked() })
        } else {
            let number: Mobile = text.trim().parse().map_err(wrong)?;
            Ok(Self { channel: Channel::Sms, hash: AddressHash::from(number), masked: number.masked() })
        }
    }
}

/// What of it may be shown.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl Address {
    /// What names it in the audit log.
    fn target(&self) -> String {
        format!("address:{}", hex::encode(self.hash.as_bytes()))
    }

    /// For the audit log: what is stopped, or was.
    fn stopping(&self, kinds: &[&str]) -> Value {
        serde_json::json!({ "channel": self.channel.name(), "recipient": self.masked, "stopped": kinds })
    }
}

/// What is stopped: messages of a category, or all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind(Option<Category>);

impl Kind {
    fn word(self) -> &'static str {
        suppressions::word(self.0)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = suppressions::KINDS.into_iter().find(|kind| suppressions::word(*kind) == text.trim());
        let words = suppressions::KINDS.map(suppressions::word).join(", ");
        found.map(Self).ok_or_else(|| format!("{text:?} is no category of messages (one of {words})"))
    }
}

fn words(entries: &[Suppression]) -> Vec<&str> {
    entries.iter().map(|entry| entry.category.as_str()).collect()
}

/// Stops messages, from the command line.
pub(crate) async fn suppress(pool: &Pool, address: &Address, kind: Kind, reason: &str) -> anyhow::Result<()> {
    let reason = crate::api::reason(reason).map_err(anyhow::Error::msg)?;
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    if !suppressions::insert(&transaction, address.channel, &address.hash, kind.0, reason).await? {
        print(&format!("{} messages to {address} were stopped before", kind.word()));
        return Ok(());
    }
    let (target, after) = (address.target(), Some(address.stopping(&[kind.word()])));
    let action =
        Action { actor: "cli", role: "cli", action: ADDED, target: &target, reason, after, ..Action::default() };
    audit::insert(&transaction, &action).await?;
    transaction.commit().await?;
    print(&format!("{} messages to {address} are stopped", kind.word()));
    Ok(())
}

/// Lets messages through again, from the command line.
pub(crate) async fn unsuppress(pool: &Pool, address: &Address, kind: Option<Kind>, reason: &str) -> anyhow::Result<()> {
    let reason = crate::api::reason(reason).map_err(anyhow::Error::msg)?;
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let ended = suppressions::remove(&transaction, address.channel, &address.hash, kind.map(Kind::word)).await?;
    if ended.is_empty() {
        print(&format!("no such messages to {address} were stopped"));
        return Ok(());
    }
    let (target, before) = (address.target(), Some(address.stopping(&words(&ended))));
    let action =
        Action { actor: "cli", role: "cli", action: REMOVED, target: &target, reason, before, ..Action::default() };
    audit::insert(&transaction, &action).await?;
    transaction.commit().await?;
    for Suppression { category, reason, .. } in &ended {
        print(&format!("{category} messages to {address} go out again; they were stopped: {reason}"));
    }
    Ok(())
}

const ADDED: &str = "suppression.add";
const REMOVED: &str = "suppression.remove";

/// Whose entries are looked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "suppressions.html")]
struct SuppressionsPage {
    page: Page,
    /// The address as typed in; empty before.
    q: String,
    masked: String,
    stopped: Vec<Suppression>,
    kinds: Vec<&'static str>,
}

/// What is held back from an address.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Search>,
) -> Result<HttpResponse, PageError> {
    let Search { q, done } = query.into_inner();
    let q = q.trim().to_owned();
    let (mut masked, mut stopped) = (String::new(), Vec::new());
    if !q.is_empty() {
        let address: Address = q.parse().map_err(PageError::Input)?;
        let client = state.pool.get().await?;
        stopped = suppressions::of_address(&client, address.channel, &address.hash).await?;
        masked = address.masked;
    }
    let kinds = suppressions::KINDS.map(suppressions::word).to_vec();
    let page = Page::new(who, "deliveries").noting(done.as_deref());
    view::html(&SuppressionsPage { page, q, masked, stopped, kinds })
}

/// A change of the list, from a form.
#[derive(Deserialize)]
pub(crate) struct Change {
    #[serde(default)]
    address: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    reason: String,
}

impl Change {
    fn checked(&self) -> Result<(Address, Kind, &str), PageError> {
        let address = self.address.parse().map_err(PageError::Input)?;
        let kind = self.category.parse().map_err(PageError::Input)?;
        let reason = crate::api::reason(&self.reason).map_err(PageError::Input)?;
        Ok((address, kind, reason))
    }

    /// Back to the address, which says what was done.
    fn shown(&self, done: &str) -> HttpResponse {
        view::go(format!("/admin/suppressions?q={}&done={done}", view::escaped(self.address.trim())))
    }
}

/// Stops messages, from the console.
pub(crate) async fn add(state: web::Data<State>, who: Who, form: web::Form<Change>) -> Result<HttpResponse, PageError> {
    let (address, kind, reason) = form.checked()?;
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    if suppressions::insert(&transaction, address.channel, &address.hash, kind.0, reason).await? {
        let (target, after) = (address.target(), Some(address.stopping(&[kind.word()])));
        let deed = Deed { action: ADDED, target: &target, reason, before: None, after };
        Actor::from(who).note(&transaction, &deed).await?;
        transaction.commit().await.map_err(StoreError::from)?;
    }
    Ok(form.shown("suppressed"))
}

/// Lets messages through again, from the console.
pub(crate) async fn remove(
    state: web::Data<State>,
    who: Who,
    form: web::Form<Change>,
) -> Result<HttpResponse, PageError> {
    let (address, kind, reason) = form.checked()?;
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let ended = suppressions::remove(&transaction, address.channel, &address.hash, Some(kind.word())).await?;
    if !ended.is_empty() {
        let (target, before) = (address.target(), Some(address.stopping(&words(&ended))));
        let deed = Deed { action: REMOVED, target: &target, reason, before, after: None };
        Actor::from(who).note(&transaction, &deed).await?;
        transaction.commit().await.map_err(StoreError::from)?;
    }
    Ok(form.shown("unsuppressed"))
}

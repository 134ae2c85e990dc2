//! Affiliate networks: pulls, transactions without a click, rows that were not understood.

use actix_web::{HttpResponse, web};
use askama::Template;
use domain::clock::{Clock as _, SystemClock};
use domain::ids::{ClickId, TransactionId};
use domain::jobs::cashback::{SyncNetwork, SyncWindow};
use domain::network::Network;
use serde::Deserialize;
use store::cashback::{self, SettleError};
use store::outbox::{self, Lane};
use store::transactions::{self, PutAside, Suggestion, Unmatched};
use store::{StoreError, sync};

use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::state::{Actor, Deed, State};
use crate::view::{self, Done, Page};

#[derive(Template)]
#[template(path = "sync.html")]
struct SyncPage {
    page: Page,
    runs: Vec<sync::Run>,
    unmatched: Vec<Unmatched>,
    count: i64,
    aside: Vec<PutAside>,
}

/// Everything about the networks.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let runs = sync::list(&client, None, 30).await?;
    let unmatched = transactions::unmatched(&client, None, 50).await?;
    let count = transactions::unmatched_count(&client).await?;
    let aside = transactions::quarantined(&client, 50).await?;
    view::html(&SyncPage { page: Page::new(who, "sync").noting(query.done.as_deref()), runs, unmatched, count, aside })
}

/// Asks for a pull of a network.
pub(crate) async fn ask_pull(state: &State, actor: &Actor, network: Network, reason: &str) -> Result<(), StoreError> {
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await?;
    let job = SyncNetwork { network, window: SyncWindow::SinceCursor, requested_by: actor.name() };
    outbox::push(&transaction, &job, Lane::Normal).await?;
    let target = format!("network:{network}");
    actor.note(&transaction, &Deed { action: "sync.pull", target: &target, reason, ..Deed::default() }).await?;
    transaction.commit().await?;
    Ok(())
}

/// Asks for a pull, from the console.
pub(crate) async fn pull(act: Act, network: web::Path<String>) -> Result<HttpResponse, PageError> {
    let network: Network = network.parse().map_err(|_unknown| PageError::NotFound("network"))?;
    ask_pull(&act.state, &act.actor(), network, &act.reason).await?;
    Ok(view::go("/admin/sync?done=synced"))
}

#[derive(Template)]
#[template(path = "unmatched.html")]
struct UnmatchedPage {
    page: Page,
    id: TransactionId,
    known: Option<transactions::Transaction>,
    suggestions: Vec<Suggestion>,
}

/// One transaction with the clicks that may have led to it.
pub(crate) async fn unmatched(
    state: web::Data<State>,
    who: Who,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let id: TransactionId = view::id(&id, "transaction")?;
    let client = state.pool.get().await?;
    let known = transactions::find_many(&client, &[id]).await?.pop();
    if known.is_none() {
        return Err(PageError::NotFound("transaction"));
    }
    let suggestions = transactions::suggestions(&client, id, 10).await?;
    view::html(&UnmatchedPage { page: Page::new(who, "sync"), id, known, suggestions })
}

/// The click that a transaction is given to.
#[derive(Deserialize)]
pub(crate) struct Choice {
    click: String,
    #[serde(default)]
    reason: String,
}

/// Gives a transaction to a click and writes it down.
pub(crate) async fn assign_to(
    state: &State,
    actor: &Actor,
    id: TransactionId,
    click: ClickId,
    reason: &str,
) -> Result<(), SettleError> {
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    cashback::assign(&transaction, id, click, &actor.name(), SystemClock.now()).await?;
    let target = format!("transaction:{id}");
    let before = Some(serde_json::json!({ "click": null }));
    let after = Some(serde_json::json!({ "click": click }));
    actor.note(&transaction, &Deed { action: "transaction.assign", target: &target, reason, before, after }).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Gives a transaction to a click, from the console.
pub(crate) async fn assign(
    state: web::Data<State>,
    who: Who,
    id: web::Path<String>,
    form: web::Form<Choice>,
) -> Result<HttpResponse, PageError> {
    let id: TransactionId = view::id(&id, "transaction")?;
    let click: ClickId =
        form.click.trim().parse().map_err(|error: domain::ids::InvalidId| PageError::Input(error.to_string()))?;
    let reason = crate::api::reason(&form.reason).map_err(PageError::Input)?;
    match assign_to(&state, &who.into(), id, click, reason).await {
        Ok(()) => Ok(view::go("/admin/sync?done=assigned")),
        Err(SettleError::NoMatch(why)) => Err(PageError::Conflict(why.to_owned())),
        Err(SettleError::Store(error)) => Err(error.into()),
        Err(other) => Err(PageError::Failed(other.into())),
    }
}

//! Money moved by hand: one person asks, another decides.

use actix_web::{HttpResponse, web};
use askama::Template;
use domain::ids::{AdjustmentId, UserId};
use domain::money::Paise;
use domain::wallet::{Account, Transfer, TransferKind};
use serde::Deserialize;
use store::adjustments::{self, Adjustment};
use store::wallet::{self, LedgerError};
use store::{StoreError, users};

use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::state::{Actor, Deed, State};
use crate::view::{self, Done, Page};

#[derive(Template)]
#[template(path = "adjustments.html")]
struct AdjustmentsPage {
    page: Page,
    adjustments: Vec<Adjustment>,
}

/// Open adjustments and the last decided ones.
pub(crate) async fn list(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let adjustments = adjustments::list(&client, None, 100).await?;
    let page = Page::new(who, "wallets").noting(query.done.as_deref());
    view::html(&AdjustmentsPage { page, adjustments })
}

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Request {
    /// In rupees, such as `-150.50`.
    rupees: String,
    #[serde(default)]
    reason: String,
}

/// Asks for an adjustment.
pub(crate) async fn ask(
    state: web::Data<State>,
    who: Who,
    id: web::Path<String>,
    form: web::Form<Request>,
) -> Result<HttpResponse, PageError> {
    let id: UserId = view::id(&id, "shopper")?;
    if form.rupees.trim().split_once('.').is_some_and(|(_, paise)| paise.len() > 2) {
        return Err(PageError::Input("an amount has two digits after the point at most".to_owned()));
    }
    let amount = Paise::parse_rupees(form.rupees.trim()).map_err(|error| PageError::Input(error.to_string()))?;
    let reason = crate::api::reason(&form.reason).map_err(PageError::Input)?;
    if amount == Paise::ZERO || reason.chars().count() < 10 {
        return Err(PageError::Input("an amount other than zero and a reason of at least ten characters".to_owned()));
    }
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    users::find(&transaction, id).await?.ok_or(PageError::NotFound("shopper"))?;
    let asked = adjustments::request(&transaction, id, amount, reason, who.admin_id).await?;
    let target = format!("adjustment:{asked}");
    let after = Some(serde_json::json!({ "user": id, "amount_paise": amount, "status": "requested" }));
    let deed = Deed { action: "adjustment.request", target: &target, reason, before: None, after };
    Actor::from(who).note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(view::go(format!("/admin/wallets/{id}?done=adjusted")))
}

/// Decides: posts it, or not.
async fn decide(act: Act, id: &str, yes: bool) -> Result<HttpResponse, PageError> {
    let id: AdjustmentId = view::id(id, "adjustment")?;
    let who = &act.who;
    let mut client = act.state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let asked = adjustments::lock(&transaction, id).await?.ok_or(PageError::NotFound("adjustment"))?;
    if asked.status != "requested" {
        return Err(PageError::Conflict(format!("the adjustment is {} already", asked.status)));
    }
    if asked.requested_by == who.admin_id {
        return Err(PageError::Conflict("another person than the one who asked must decide".to_owned()));
    }
    let posted =
        if yes { Some(wallet::post(&transaction, &transfer(&asked)?).await.map_err(refused)?.id) } else { None };
    if !adjustments::decide(&transaction, id, who.admin_id, posted).await? {
        return Err(PageError::Conflict("the adjustment was decided meanwhile".to_owned()));
    }
    let target = format!("adjustment:{id}");
    let word = if yes { "approved" } else { "refused" };
    let deed = Deed {
        action: if yes { "adjustment.approve" } else { "adjustment.refuse" },
        target: &target,
        reason: &act.reason,
        before: Some(serde_json::json!({ "status": "requested", "by": asked.requester })),
        after: Some(serde_json::json!({ "status": word, "wallet_transaction": posted })),
    };
    act.actor().note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(view::go("/admin/adjustments?done=decided"))
}

fn transfer(asked: &Adjustment) -> Result<Transfer, PageError> {
    let (user, platform) = (Account::User(asked.user_id), Account::Adjustments);
    let takes = asked.amount.is_negative();
    let amount = if takes { asked.amount.checked_neg() } else { Ok(asked.amount) };
    Ok(Transfer {
        debit: if takes { user } else { platform },
        credit: if takes { platform } else { user },
        amount: amount.map_err(|error| PageError::Input(error.to_string()))?,
        kind: TransferKind::Correction,
        key: format!("adjustment:{}", asked.id),
        reason: serde_json::json!({ "adjustment": asked.id, "why": asked.reason }),
    })
}

fn refused(error: LedgerError) -> PageError {
    match error {
        LedgerError::Store(error) => error.into(),
        other => PageError::Conflict(other.to_string()),
    }
}

/// Approves one.
pub(crate) async fn approve(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    decide(act, &id, true).await
}

/// Refuses one.
pub(crate) async fn refuse(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    decide(act, &id, false).await
}

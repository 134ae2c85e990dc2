//! A balance that is not the sum of its entries is set right: one person asks, another decides. No entry is written.

use actix_web::{HttpResponse, web};
use askama::Template;
use domain::ids::{UserId, WalletRepairId};
use domain::money::Paise;
use store::drifts::{self, Repair};
use store::{StoreError, alerts, users};

use crate::access::Who;
use crate::deed::Act;
use crate::error::PageError;
use crate::state::{Actor, Deed, State};
use crate::view::{self, Done, Page};

#[derive(Template)]
#[template(path = "repairs.html")]
struct RepairsPage {
    page: Page,
    repairs: Vec<Repair>,
}

/// Open repairs and the last decided ones.
pub(crate) async fn list(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let repairs = drifts::list_repairs(&client, None, 100).await?;
    view::html(&RepairsPage { page: Page::new(who, "wallets").noting(query.done.as_deref()), repairs })
}

/// Asks for the repair of a wallet's drift as it is now.
pub(crate) async fn ask(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let id: UserId = view::id(&id, "shopper")?;
    let Act { state, who, reason } = act;
    if reason.chars().count() < 10 {
        return Err(PageError::Input("a reason of at least ten characters".to_owned()));
    }
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    users::find(&transaction, id).await?.ok_or(PageError::NotFound("shopper"))?;
    let drift = drifts::of_wallet(&transaction, id).await?;
    if drift == Paise::ZERO {
        return Err(PageError::Conflict("the wallet holds what its entries come to".to_owned()));
    }
    let asked = drifts::request_repair(&transaction, id, drift, &reason, who.admin_id)
        .await?
        .ok_or_else(|| PageError::Conflict("a repair of this wallet waits for a decision already".to_owned()))?;
    let target = format!("wallet-repair:{asked}");
    let after = Some(serde_json::json!({ "user": id, "drift_paise": drift, "status": "requested" }));
    let deed = Deed { action: "wallet.repair.request", target: &target, reason: &reason, before: None, after };
    Actor::from(who).note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(view::go(format!("/admin/wallets/{id}?done=repair-asked")))
}

/// Decides: sets the balance right, or not.
async fn decide(act: Act, id: WalletRepairId, yes: bool) -> Result<HttpResponse, PageError> {
    let Act { state, who, reason } = act;
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let asked = drifts::lock_repair(&transaction, id).await?.ok_or(PageError::NotFound("repair"))?;
    if asked.status != "requested" {
        return Err(PageError::Conflict(format!("the repair is {} already", asked.status)));
    }
    if asked.requested_by == who.admin_id {
        return Err(PageError::Conflict("another person than the one who asked must decide".to_owned()));
    }
    if yes && !drifts::repair(&transaction, asked.user_id, asked.drift).await? {
        let text = "the wallet drifts by another sum than when the repair was asked for; refuse it and ask again";
        return Err(PageError::Conflict(text.to_owned()));
    }
    if !drifts::decide_repair(&transaction, id, who.admin_id, yes).await? {
        return Err(PageError::Conflict("the repair was decided meanwhile".to_owned()));
    }
    if yes {
        alerts::close(&transaction, &format!("wallet-drift:{}", asked.user_id)).await?;
    }
    let target = format!("wallet-repair:{id}");
    let word = if yes { "repaired" } else { "refused" };
    let deed = Deed {
        action: if yes { "wallet.repair.approve" } else { "wallet.repair.refuse" },
        target: &target,
        reason: &reason,
        before: Some(serde_json::json!({ "status": "requested", "by": asked.requester, "drift_paise": asked.drift })),
        after: Some(serde_json::json!({ "status": word, "user": asked.user_id })),
    };
    Actor::from(who).note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(view::go("/admin/repairs?done=repair-decided"))
}

/// Approves one.
pub(crate) async fn approve(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    decide(act, view::id(&id, "repair")?, true).await
}

/// Refuses one.
pub(crate) async fn refuse(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    decide(act, view::id(&id, "repair")?, false).await
}

//! Shoppers' wallets: what is in them and why, freezing, and money moved by hand by two persons.

mod adjust;
mod repair;

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use domain::money::Paise;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::wallet::{self, Line, Overview};
use store::withdrawals::{self, Withdrawal};
use store::{StoreError, adjustments, drifts, users};

pub(crate) use self::adjust::{approve, ask, list as adjustments_page, refuse};
pub(crate) use self::repair::{
    approve as approve_repair, ask as ask_repair, list as repairs_page, refuse as refuse_repair,
};
use crate::access::Who;
use crate::api::Listing;
use crate::deed::Act;
use crate::error::PageError;
use crate::state::{Deed, State};
use crate::view::{self, Done, Page};
use crate::webhooks::known;

/// A shopper as everybody may see one.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Shopper {
    /// The shopper.
    pub(crate) id: UserId,
    /// The beginning of the name.
    pub(crate) name: String,
    /// Masked.
    pub(crate) email: String,
    /// Masked.
    pub(crate) mobile: String,
    /// Since when.
    pub(crate) since: DateTime<Utc>,
    /// Since when withdrawals are blocked.
    pub(crate) frozen_at: Option<DateTime<Utc>>,
}

impl Shopper {
    fn of(user: users::User, revealed: bool) -> Self {
        let first = user.name.chars().next().map(|letter| format!("{letter}•••")).unwrap_or_default();
        let email = user.email.map(|email| if revealed { email.as_str().to_owned() } else { email.masked() });
        let mobile = user.mobile.map(|mobile| if revealed { mobile.e164() } else { mobile.masked() });
        Self {
            id: user.id,
            name: if revealed { user.name } else { first },
            email: email.unwrap_or_default(),
            mobile: mobile.unwrap_or_default(),
            since: user.created_at,
            frozen_at: user.frozen_at,
        }
    }
}

/// What is looked for: a mail address, a number, the beginning of a name, or an id.
#[derive(Deserialize)]
pub(crate) struct Text {
    #[serde(default)]
    pub(crate) q: String,
}

#[derive(Template)]
#[template(path = "wallets.html")]
struct WalletsPage {
    page: Page,
    q: String,
    shoppers: Vec<Shopper>,
    open: Vec<adjustments::Adjustment>,
}

/// Finds shoppers.
pub(crate) async fn list(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Text>,
) -> Result<HttpResponse, PageError> {
    let client = state.pool.get().await?;
    let q = query.q.trim().to_owned();
    let found = match q.parse::<UserId>() {
        _ if q.is_empty() => Vec::new(),
        Ok(id) => users::find(&client, id).await?.into_iter().collect(),
        Err(_) => users::search(&client, &q, 50).await?,
    };
    let shoppers = found.into_iter().map(|user| Shopper::of(user, false)).collect();
    let open =
        adjustments::list(&client, None, 20).await?.into_iter().filter(|one| one.status == "requested").collect();
    view::html(&WalletsPage { page: Page::new(who, "wallets"), q, shoppers, open })
}

#[derive(Template)]
#[template(path = "wallet.html")]
struct WalletPage {
    page: Page,
    shopper: Shopper,
    revealed: bool,
    wallet: Overview,
    lines: Vec<Line>,
    withdrawals: Vec<Withdrawal>,
    adjustments: Vec<adjustments::Adjustment>,
    /// What the balance holds beyond what the entries come to.
    drift: Paise,
}

impl WalletPage {
    async fn read(state: &State, page: Page, id: UserId, revealed: bool) -> Result<Self, PageError> {
        let client = state.pool.get().await?;
        let user = users::find(&client, id).await?.ok_or(PageError::NotFound("shopper"))?;
        let wallet = wallet::overview(&client, id).await?.ok_or(PageError::NotFound("wallet"))?;
        let lines = wallet::statement(&client, id, None, 100).await?;
        let withdrawals = withdrawals::list(&client, Some(id), None, None, None, 20).await?;
        let adjustments = adjustments::list(&client, Some(id), 20).await?;
        let drift = drifts::of_wallet(&client, id).await?;
        let shopper = Shopper::of(user, revealed);
        Ok(Self { page, shopper, revealed, wallet, lines, withdrawals, adjustments, drift })
    }
}

/// Where a line of the statement comes from, in words.
fn origin(line: &Line) -> String {
    match &line.origin {
        wallet::Origin::Purchase(purchase) => {
            let sale = purchase.sale.map(|sale| format!(" of {sale}")).unwrap_or_default();
            format!("Purchase{sale} at {}, {} {}", purchase.merchant, purchase.network, purchase.external_id)
        }
        wallet::Origin::Withdrawal { id, status } => format!("Withdrawal {id}, {status}"),
        wallet::Origin::Other { reason } => view::figures(reason),
    }
}

/// One wallet.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    id: web::Path<String>,
    query: web::Query<Done>,
) -> Result<HttpResponse, PageError> {
    let page = Page::new(who, "wallets").noting(query.done.as_deref());
    view::html(&WalletPage::read(&state, page, view::id(&id, "shopper")?, false).await?)
}

/// One wallet with who it is.
pub(crate) async fn reveal(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let id: UserId = view::id(&id, "shopper")?;
    let shown = WalletPage::read(&act.state, Page::new(act.who.clone(), "wallets"), id, true).await?;
    let target = format!("user:{id}");
    let client = act.state.pool.get().await?;
    let deed = Deed { action: "user.reveal", target: &target, reason: &act.reason, ..Deed::default() };
    act.actor().note(&client, &deed).await?;
    view::html(&shown)
}

async fn set_frozen(act: Act, id: &str, frozen: bool) -> Result<HttpResponse, PageError> {
    let id: UserId = view::id(id, "shopper")?;
    let mut client = act.state.pool.get().await?;
    let transaction = client.transaction().await.map_err(StoreError::from)?;
    let before = users::find(&transaction, id).await?.ok_or(PageError::NotFound("shopper"))?;
    users::set_frozen(&transaction, id, frozen).await?;
    let target = format!("user:{id}");
    let deed = Deed {
        action: if frozen { "user.freeze" } else { "user.unfreeze" },
        target: &target,
        reason: &act.reason,
        before: Some(serde_json::json!({ "frozen": before.frozen_at.is_some() })),
        after: Some(serde_json::json!({ "frozen": frozen })),
    };
    act.actor().note(&transaction, &deed).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(view::go(format!("/admin/wallets/{id}?done={}", if frozen { "frozen" } else { "unfrozen" })))
}

/// Blocks a shopper's withdrawals.
pub(crate) async fn freeze(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    set_frozen(act, &id, true).await
}

/// Lets a shopper withdraw again.
pub(crate) async fn unfreeze(act: Act, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    set_frozen(act, &id, false).await
}

/// Which withdrawals.
#[derive(Deserialize)]
pub(crate) struct Standing {
    #[serde(default)]
    pub(crate) status: String,
    /// Where to go on.
    #[serde(default)]
    pub(crate) cursor: String,
}

#[derive(Template)]
#[template(path = "withdrawals.html")]
struct WithdrawalsPage {
    page: Page,
    status: String,
    list: Listing<Withdrawal>,
}

/// Withdrawals, the newest first.
pub(crate) async fn withdrawals_page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Standing>,
) -> Result<HttpResponse, PageError> {
    let status = known(&query.status, |word| word.parse().ok()).map_err(PageError::Input)?;
    let after = known(&query.cursor, |word| word.parse().ok()).map_err(PageError::Input)?;
    let client = state.pool.get().await?;
    let found = withdrawals::list(&client, None, status, None, after, 101).await?;
    let list = Listing::cut(found, 100, |one| one.id.to_string());
    view::html(&WithdrawalsPage { page: Page::new(who, "withdrawals"), status: query.status.clone(), list })
}

/// The class of an amount that went.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
fn sign(amount: &Paise) -> &'static str {
    if amount.is_negative() { "n minus" } else { "n" }
}

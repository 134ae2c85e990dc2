//! All that belongs to one thing, on one page: search by an id, a mail address, a number, an event or correlation key.

use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use domain::job::Queue;
use domain::money::Paise;
use queue::admin::{self, DeadFilter};
use schemars::JsonSchema;
use serde::Serialize;
use store::{StoreError, console};

use crate::access::Who;
use crate::error::PageError;
use crate::state::State;
use crate::view::{self, Page};
use crate::wallets::Text;

/// Dead letters of one queue that a search shows.
const LETTERS: u16 = 20;

/// A moment in the life of what was looked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Moment {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// click, transaction, cashback, ledger, order, payment, withdrawal, message, webhook, deed, dead letter.
    pub(crate) kind: String,
    /// The row.
    pub(crate) id: String,
    /// How it stood then.
    pub(crate) status: String,
    /// What else is known.
    pub(crate) detail: String,
    /// The money it was about.
    pub(crate) amount: Option<Paise>,
    /// The shopper.
    pub(crate) user_id: Option<UserId>,
    /// The queue of a dead letter.
    pub(crate) queue: Option<Queue>,
}

impl Moment {
    /// Where more of it is to be seen.
    fn address(&self) -> String {
        match (self.kind.as_str(), self.queue) {
            ("webhook", _) => format!("/admin/webhooks/{}", self.id),
            ("message", _) => format!("/admin/deliveries/{}", self.id),
            ("dead letter", Some(queue)) => format!("/admin/queues/{queue}/dead/{}", self.id),
            _ => format!("/admin/timeline?q={}", self.id),
        }
    }
}

/// All that belongs to what `text` names.
pub(crate) async fn moments(state: &State, text: &str) -> Result<Vec<Moment>, StoreError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    // A bare number is India's; a sub-id is a click.
    let mobile = text.parse::<domain::contact::Mobile>().map(|mobile| mobile.e164());
    let text = mobile.unwrap_or_else(|_not_a_number| text.to_owned());
    let id = text
        .parse::<UserId>()
        .map(|id| id.as_uuid())
        .ok()
        .or_else(|| domain::click::click_of(&text).map(|click| click.as_uuid()));
    let dead = dead_letters(state, &text).await;
    let client = state.pool.get().await?;
    let found = console::timeline(&client, &text, id).await?;
    let mut moments: Vec<_> = found
        .into_iter()
        .map(|moment| Moment {
            at: moment.at,
            kind: moment.kind,
            id: moment.id.to_string(),
            status: moment.status,
            detail: moment.balance.map_or(moment.detail, |balance| format!("the wallet then held {balance}")),
            amount: moment.amount,
            user_id: moment.user_id,
            queue: None,
        })
        .collect();
    moments.extend(dead);
    moments.sort_by_key(|moment| moment.at);
    Ok(moments)
}

/// Dead letters that hold the text: an id in the payload, an event key, a correlation id. Redis away hides nothing that Postgres
/// knows.
async fn dead_letters(state: &State, text: &str) -> Vec<Moment> {
    let filter = DeadFilter { text: Some(text.to_owned()), ..DeadFilter::default() };
    let searches = Queue::ALL.map(|queue| admin::search(&state.kv, queue, &filter, None, LETTERS));
    let found = match futures_util::future::try_join_all(searches).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error.chain = telemetry::chain(&error), "a search left out the dead letters");
            return Vec::new();
        }
    };
    let letters = Queue::ALL.into_iter().zip(found).flat_map(|(queue, page)| {
        page.letters.into_iter().map(move |letter| Moment {
            at: DateTime::from_timestamp_millis(letter.died_at).unwrap_or_default(),
            kind: "dead letter".to_owned(),
            id: letter.id,
            status: letter.reason,
            detail: letter.kind,
            amount: None,
            user_id: None,
            queue: Some(queue),
        })
    });
    letters.collect()
}

#[derive(Template)]
#[template(path = "timeline.html")]
struct TimelinePage {
    page: Page,
    q: String,
    moments: Vec<Moment>,
}

impl TimelinePage {
    fn shoppers(&self) -> std::collections::BTreeSet<UserId> {
        self.moments.iter().filter_map(|moment| moment.user_id).collect()
    }
}

/// The page of a search.
pub(crate) async fn page(
    state: web::Data<State>,
    who: Who,
    query: web::Query<Text>,
) -> Result<HttpResponse, PageError> {
    let moments = moments(&state, &query.q).await?;
    view::html(&TimelinePage { page: Page::new(who, "timeline"), q: query.q.clone(), moments })
}

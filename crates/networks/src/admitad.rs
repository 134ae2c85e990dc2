//! Admitad (Mitgo): the actions report.
//!
//! It tells changes (`status_updated_*`), so a run reads what changed since the last one. Offset paging over rows in
//! the order of their purchase, with the window's end in the past; sums by `total=1`. Times carry no zone: the
//! configured offset is theirs. Above 600 calls a minute it answers 503.

mod settings;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use config::ExposeSecret;
use domain::clock::Clock;
use domain::network::Network;
use domain::transaction::{NetworkTransaction, QuarantineReason, ReportedRow, TransactionStatus};
use outbound::oauth::TokenHolder;
use outbound::{Answer, ClientError, Method, ProviderError};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call::{Caller, Reply};
use crate::paging::{Addressing, Position};
use crate::rates::Rates;
use crate::record::{Field, Record, reported};
use crate::report::{Aggregate, CheckValue, Cursor, Page, Sum, Window, india};
use crate::settings::Calls;
use crate::{AffiliateNetwork, Foundation, NetworkError};
pub use settings::Settings;
use token::Credentials;

const NETWORK: Network = Network::Admitad;

/// The sub-ids, the one meant for clicks first.
const SUB_IDS: &[&str] = &["subid4", "subid", "subid1", "subid2", "subid3"];

/// What is kept of a row. Address, referrer and country of the shopper are not.
const KEPT: &[&str] = &[
    "id",
    "action_id",
    "order_id",
    "advcampaign_id",
    "advcampaign_name",
    "website_name",
    "banner_id",
    "tariff_id",
    "action",
    "action_type",
    "status",
    "processed",
    "paid",
    "payment",
    "cart",
    "currency",
    "subid",
    "subid1",
    "subid2",
    "subid3",
    "subid4",
    "click_date",
    "action_date",
    "status_updated",
    "closing_date",
    "conversion_time",
    "comment",
    "promocode",
    "positions",
];

/// Asks Admitad.
pub struct Admitad {
    settings: Settings,
    caller: Caller,
    tokens: TokenHolder<Credentials>,
    rates: Rates,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
    #[serde(rename = "_meta")]
    meta: Meta,
}

#[derive(Deserialize)]
struct Meta {
    count: u64,
}

/// An error body, which has been seen under status 200 too.
#[derive(Deserialize, Default)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
    error_code: Option<i64>,
    status_code: Option<u16>,
}

impl Admitad {
    pub(crate) fn new(settings: &Settings, calls: &Calls, foundation: &Foundation) -> Result<Self, ClientError> {
        let caller = Caller::new(NETWORK.slug(), calls, settings.calls_per_minute, &foundation.clock)?;
        let credentials = Credentials::new(settings.clone(), caller.client.clone());
        let tokens = TokenHolder::new(
            NETWORK.slug(),
            &settings.client_id,
            credentials,
            settings.refresh_token.clone(),
            Arc::clone(&foundation.tokens),
            Arc::clone(&foundation.clock),
        );
        let (rates, clock) = (calls.rates.clone(), Arc::clone(&foundation.clock));
        Ok(Self { settings: settings.clone(), caller, tokens, rates, clock })
    }

    /// The parameters of every question.
    fn always(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("language", "en".to_owned()), ("order_by", "datetime".to_owned())];
        parameters.extend(self.settings.website.clone().map(|website| ("website", website)));
        parameters
    }

    /// The parameters of a window; `None` when no day of it has begun yet.
    fn window(&self, window: Window) -> Option<Vec<(&'static str, String)>> {
        let mut parameters = self.always();
        match window {
            Window::UpdatedSince { from, to } => {
                let wire =
                    |at: DateTime<Utc>| at.with_timezone(&self.settings.zone).format("%d.%m.%Y %H:%M:%S").to_string();
                parameters.extend([("status_updated_start", wire(from)), ("status_updated_end", wire(to))]);
            }
            Window::ActionDates { from, to } => {
                let day_of = |at: DateTime<Utc>| at.with_timezone(&self.settings.zone).date_naive();
                let midnight = |day: chrono::NaiveDate| {
                    day.and_time(chrono::NaiveTime::MIN)
                        .and_local_timezone(india())
                        .single()
                        .map(|at| at.with_timezone(&Utc))
                };
                let first = day_of(midnight(from)?);
                let last = day_of(midnight(to.succ_opt()?)? - TimeDelta::seconds(1));
                // A day that has not begun yet in their zone breaks the call.
                let last = last.min(day_of(self.clock.now()));
                if last < first {
                    return None;
                }
                let wire = |day: chrono::NaiveDate| day.format("%d.%m.%Y").to_string();
                parameters.extend([("date_start", wire(first)), ("date_end", wire(last))]);
            }
        }
        Some(parameters)
    }

    /// Asks once; a refused token is replaced once.
    async fn ask(&self, parameters: &[(&str, String)]) -> Result<Reply, ProviderError> {
        let url = format!("{}/statistics/actions/", self.settings.base_url);
        let mut token = self.tokens.access().await?;
        let mut is_renewed = false;
        loop {
            let request =
                self.caller.client.request(Method::GET, &url).bearer_auth(token.expose_secret()).query(parameters);
            let reply = self.caller.send(request).await?;
            if reply.answer.status != 401 || is_renewed {
                return self.accepted(reply);
            }
            token = self.tokens.after_refusal(&token).await?;
            is_renewed = true;
        }
    }

    fn accepted(&self, reply: Reply) -> Result<Reply, ProviderError> {
        let answer = &reply.answer;
        let is_success = answer.status.is_success();
        if is_success && !answer.body.contains("\"error\"") {
            return Ok(reply);
        }
        let refusal: Refusal = serde_json::from_str(&answer.body).unwrap_or_default();
        // A row may well contain that word.
        if is_success && refusal.error.is_none() && refusal.status_code.is_none_or(|code| code < 400) {
            return Ok(reply);
        }
        Err(refused(&self.caller, answer, &refusal, self.settings.rate_limit_wait))
    }

    /// Asks for rows until the answer is whole.
    async fn rows(
        &self,
        parameters: &[(&str, String)],
        position: &Position,
    ) -> Result<(Page, Option<Position>), ProviderError> {
        let mut parameters = parameters.to_vec();
        parameters.extend([("limit", position.size.to_string()), ("offset", position.offset.to_string())]);
        self.caller
            .until_whole(|| async {
                let Reply { answer, asked_at } = self.ask(&parameters).await?;
                let report: Report<'_> =
                    serde_json::from_str(&answer.body).map_err(|error| self.caller.bad_json(&error))?;
                let mut page = Page { rows: Vec::new(), next: None, total: Some(report.meta.count), check: Vec::new() };
                for row in &report.results {
                    let record = Record::from_json(row).map_err(|error| self.caller.bad_json(&error))?;
                    page.check.push(record.check_value("action_id", "currency", "payment"));
                    page.rows.push(self.row(&record, asked_at));
                }
                self.caller.placed(page, position, None, Addressing::Offset)
            })
            .await
    }

    /// All rows of a filter that gives few.
    async fn few(&self, filter: &'static str, value: &str) -> Result<Vec<ReportedRow>, NetworkError> {
        let mut parameters = self.always();
        parameters.push((filter, value.to_owned()));
        let mut rows = Vec::new();
        let mut position = Some(Position::start(0, self.settings.page_size));
        while let Some(here) = position {
            let (page, next) = self.rows(&parameters, &here).await?;
            rows.extend(page.rows);
            position = next;
        }
        Ok(rows)
    }

    fn row(&self, record: &Record, observed_at: DateTime<Utc>) -> ReportedRow {
        reported(NETWORK, record, ("action_id", "status", KEPT), observed_at, |record| {
            self.understand(record, observed_at)
        })
    }

    fn understand(&self, record: &Record, observed_at: DateTime<Utc>) -> Field<NetworkTransaction> {
        let raw_status = record.must("status")?;
        let is_paid = matches!(record.text("paid")?.as_deref(), Some("1" | "true"));
        let (status, funded) = match (raw_status.as_str(), is_paid) {
            ("pending", _) => (TransactionStatus::Pending, false),
            ("approved", false) | ("approved_but_stalled", _) => (TransactionStatus::Confirmed, false),
            ("approved", true) => (TransactionStatus::Payable, true),
            ("declined", _) => (TransactionStatus::Declined, false),
            _ => return Err(QuarantineReason::UnknownStatus(raw_status)),
        };
        let zone = self.settings.zone;
        let payment =
            record.amount("payment")?.ok_or_else(|| QuarantineReason::Missing { field: "payment".to_owned() })?;
        let amounts = self.rates.rupees(record.currency("currency")?, record.amount("cart")?, payment)?;
        let occurred_at = record.must_instant("action_date", zone)?;
        Ok(NetworkTransaction {
            network: NETWORK,
            external_id: record.must("action_id")?,
            campaign_id: record.text("advcampaign_id")?,
            sub_ids: record.sub_ids(SUB_IDS),
            order_ref: record.text("order_id")?,
            sale: amounts.sale,
            commission: amounts.commission,
            foreign: amounts.foreign,
            raw_status,
            status,
            funded,
            reason: record.remark("comment").filter(|_| status == TransactionStatus::Declined),
            clicked_at: record.instant("click_date", zone)?,
            occurred_at,
            // An action whose status was never changed has it from the purchase on.
            status_updated_at: Some(record.instant("status_updated", zone)?.unwrap_or(occurred_at)),
            observed_at,
            raw: record.keep(KEPT),
        })
    }
}

/// What a refusal means, by the error code where there is one.
fn refused(caller: &Caller, answer: &Answer, refusal: &Refusal, rate_limit_wait: Duration) -> ProviderError {
    let provider = caller.client.provider();
    let code = refusal.error_code.map(|code| format!("code {code}"));
    let said: Vec<&str> = [code.as_deref(), refusal.error.as_deref(), refusal.error_description.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    let said: String = said.join(", ").chars().take(200).collect();
    let detail = format!("HTTP {}, {said}", answer.status.as_u16());
    let wait = Some(answer.retry_after().unwrap_or(rate_limit_wait));
    match (answer.status.as_u16(), refusal.error_code) {
        // 503 is how it says "too many requests"; 6 is "too many tokens".
        (429 | 503, _) | (_, Some(4 | 6)) => ProviderError::TryLater { provider, detail, after: wait },
        (_, Some(0..=2)) => ProviderError::Locked { provider, detail },
        (200..=299, _) => ProviderError::Refused { provider, detail },
        _ => caller.refusal(answer, &said),
    }
}

#[async_trait]
impl AffiliateNetwork for Admitad {
    fn network(&self) -> Network {
        NETWORK
    }

    fn tells_updates(&self) -> bool {
        true
    }

    async fn page(&self, window: Window, cursor: Option<&Cursor>) -> Result<Page, NetworkError> {
        let Some(parameters) = self.window(window) else {
            return Ok(Page { rows: Vec::new(), next: None, total: Some(0), check: Vec::new() });
        };
        let position = match cursor {
            Some(cursor) => cursor.read(NETWORK)?,
            None => Position::start(0, self.settings.page_size),
        };
        let (mut page, next) = self.rows(&parameters, &position).await?;
        page.next = next.map(|next| Cursor::write(NETWORK, &next)).transpose()?;
        Ok(page)
    }

    async fn aggregate(&self, window: Window) -> Result<Aggregate, NetworkError> {
        let Some(mut parameters) = self.window(window) else {
            return Ok(Aggregate { count: 0, sums: None });
        };
        let counted = {
            let mut one_row = parameters.clone();
            one_row.extend([("limit", "1".to_owned()), ("offset", "0".to_owned())]);
            self.caller
                .until_whole(|| async {
                    let answer = self.ask(&one_row).await?.answer;
                    let report: Report<'_> =
                        serde_json::from_str(&answer.body).map_err(|error| self.caller.bad_json(&error))?;
                    Ok(report.meta.count)
                })
                .await?
        };
        if !self.settings.tells_sums {
            return Ok(Aggregate { count: counted, sums: None });
        }
        parameters.push(("total", "1".to_owned()));
        let sums = self
            .caller
            .until_whole(|| async {
                let answer = self.ask(&parameters).await?.answer;
                let report: Report<'_> =
                    serde_json::from_str(&answer.body).map_err(|error| self.caller.bad_json(&error))?;
                report.results.iter().map(|row| self.sum(row)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(Aggregate { count: counted, sums: Some(sums) })
    }

    async fn by_id(&self, external_id: &str) -> Result<Vec<ReportedRow>, NetworkError> {
        let rows = self.few("action_id", external_id).await?;
        // What was not asked for is not believed.
        Ok(rows.into_iter().filter(|row| row.external_id() == Some(external_id)).collect())
    }

    async fn by_sub_id(&self, sub_id: &str) -> Result<Vec<ReportedRow>, NetworkError> {
        let mut rows = self.few("subid4", sub_id).await?;
        if rows.is_empty() {
            rows = self.few("subid", sub_id).await?;
        }
        Ok(rows)
    }
}

impl Admitad {
    fn sum(&self, row: &RawValue) -> Result<Sum, ProviderError> {
        let record = Record::from_json(row).map_err(|error| self.caller.bad_json(&error))?;
        match record.check_value("id", "currency", "payment") {
            CheckValue { commission: Some((currency, commission)), .. } => Ok(Sum { currency, commission }),
            CheckValue { commission: None, .. } => Err(self.caller.unreadable("a sum has no currency or no payment")),
        }
    }
}

//! vCommission, on Trackier: the conversions report.
//!
//! It tells no changes and carries no sums: the same days are read again, in pieces of a month, and the count is
//! checked. Where the account is served otherwise, path, parameter names, format (JSON, CSV, XML) and field names are
//! settings. `approved` is what the tracking says on arrival and a cancellation can follow for weeks, so it counts as
//! confirmed only when it still stands after the time of validation. Money that was paid out is told nowhere in the
//! report, so nothing is ever payable or funded by it.

mod formats;
mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use config::ExposeSecret;
use domain::clock::Clock;
use domain::network::Network;
use domain::transaction::{NetworkTransaction, QuarantineReason, ReportedRow, TransactionStatus};
use outbound::{Answer, ClientError, Method, ProviderError};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::Foundation;
use crate::call::{Caller, Reply};
use crate::daily::{DailyReport, Days};
use crate::paging::{Addressing, Position};
use crate::rates::Rates;
use crate::record::{Field, Record, reported};
use crate::report::{Page, india};
use crate::settings::Calls;
pub use settings::Settings;

const NETWORK: Network = Network::Vcommission;

/// The sub-ids.
const SUB_IDS: &[&str] = &["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10"];

/// What is kept of a row besides the fields of the map. The shopper's place, provider and device are not.
const KEPT: &[&str] = &[
    "click_id",
    "source",
    "campaign_name",
    "external_offer_id",
    "goal_id",
    "goal_name",
    "orig_sale_currency",
    "elapsed_time",
];

/// Asks vCommission.
pub struct Vcommission {
    settings: Settings,
    caller: Caller,
    rates: Rates,
    clock: Arc<dyn Clock>,
}

/// The three shapes of an error body.
#[derive(Deserialize, Default)]
struct Refusal {
    success: Option<bool>,
    error: Option<RefusalError>,
    #[serde(default)]
    errors: Vec<RefusalError>,
}

#[derive(Deserialize)]
struct RefusalError {
    /// A number in two of the shapes, a text in the third.
    code: Option<serde_json::Value>,
    message: Option<String>,
}

impl RefusalError {
    fn code(&self) -> Option<u64> {
        match self.code.as_ref()? {
            serde_json::Value::Number(number) => number.as_u64(),
            serde_json::Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

impl Vcommission {
    pub(crate) fn new(settings: &Settings, calls: &Calls, foundation: &Foundation) -> Result<Self, ClientError> {
        let caller = Caller::new(NETWORK.slug(), calls, settings.calls_per_minute, &foundation.clock)?;
        let (rates, clock) = (calls.rates.clone(), Arc::clone(&foundation.clock));
        Ok(Self { settings: settings.clone(), caller, rates, clock })
    }

    async fn ask(&self, parameters: &[(&str, String)]) -> Result<Reply, ProviderError> {
        let url = format!("{}{}", self.settings.base_url, self.settings.path);
        let request = self
            .caller
            .client
            .request(Method::GET, &url)
            .header("X-Api-Key", self.settings.api_key.expose_secret())
            .query(parameters);
        let reply = self.caller.send(request).await?;
        let answer = &reply.answer;
        let is_success = answer.status.is_success();
        if is_success && !answer.body.contains("\"success\"") {
            return Ok(reply);
        }
        let refusal: Refusal = serde_json::from_str(&answer.body).unwrap_or_default();
        if is_success && refusal.success != Some(false) {
            return Ok(reply);
        }
        Err(self.refused(answer, &refusal))
    }

    /// What a refusal means, by the error code: a wrong key is a 400 here.
    fn refused(&self, answer: &Answer, refusal: &Refusal) -> ProviderError {
        let provider = self.caller.client.provider();
        let error = refusal.error.as_ref().or(refusal.errors.first());
        let code = error.and_then(RefusalError::code);
        let said = error.and_then(|error| error.message.as_deref()).unwrap_or_default();
        let said: String = match code {
            Some(code) => format!("code {code}, {said}"),
            None => said.to_owned(),
        };
        let said: String = said.chars().take(200).collect();
        let detail = format!("HTTP {}, {said}", answer.status.as_u16());
        match code {
            Some(5 | 11..=13 | 41 | 42 | 60 | 102) => ProviderError::Locked { provider, detail },
            Some(40 | 50 | 51) => ProviderError::TryLater { provider, detail, after: answer.retry_after() },
            Some(20 | 30..=33 | 107) => ProviderError::Refused { provider, detail },
            _ if answer.status.is_success() => ProviderError::Refused { provider, detail },
            _ => self.caller.refusal(answer, &said),
        }
    }

    fn row(&self, record: &Record, observed_at: DateTime<Utc>) -> ReportedRow {
        let names = &self.settings.names;
        let mut kept = names.all();
        kept.extend(SUB_IDS);
        kept.extend(KEPT);
        reported(NETWORK, record, (&names.id, &names.status, &kept), observed_at, |record| {
            self.understand(record, &kept, observed_at)
        })
    }

    fn understand(&self, record: &Record, kept: &[&str], observed_at: DateTime<Utc>) -> Field<NetworkTransaction> {
        let names = &self.settings.names;
        let raw_status = record.must(&names.status)?;
        let occurred_at = record.must_instant(&names.created, india())?;
        let status = match raw_status.to_ascii_lowercase().as_str() {
            "pending" => TransactionStatus::Pending,
            "approved" if observed_at - occurred_at < self.settings.validation => TransactionStatus::Pending,
            "approved" => TransactionStatus::Confirmed,
            "cancelled" | "rejected" => TransactionStatus::Declined,
            _ => return Err(QuarantineReason::UnknownStatus(raw_status)),
        };
        let payout = match record.amount(&names.payout)? {
            Some(payout) => payout,
            None if matches!(status, TransactionStatus::Pending | TransactionStatus::Declined) => Decimal::ZERO,
            None => return Err(QuarantineReason::Missing { field: names.payout.clone() }),
        };
        let amounts = self.rates.rupees(record.currency(&names.currency)?, record.amount(&names.sale)?, payout)?;
        let mut sub_id_names = vec![names.sub_id.as_str()];
        sub_id_names.extend(SUB_IDS.iter().filter(|name| **name != names.sub_id));
        Ok(NetworkTransaction {
            network: NETWORK,
            external_id: record.must(&names.id)?,
            campaign_id: record.text(&names.campaign)?,
            sub_ids: record.sub_ids(&sub_id_names),
            order_ref: record.text(&names.order)?,
            sale: amounts.sale,
            commission: amounts.commission,
            foreign: amounts.foreign,
            raw_status,
            status,
            funded: false,
            reason: None,
            clicked_at: None,
            occurred_at,
            status_updated_at: None,
            observed_at,
            raw: record.keep(kept),
        })
    }
}

#[async_trait]
impl DailyReport for Vcommission {
    const NETWORK: Network = NETWORK;

    fn page_size(&self) -> u64 {
        self.settings.page_size
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    async fn rows(
        &self,
        (from, to): Days,
        sub_id: Option<&str>,
        position: &Position,
    ) -> Result<(Page, Option<Position>), ProviderError> {
        let settings = &self.settings;
        let mut parameters = vec![
            (settings.from_parameter.as_str(), from.to_string()),
            (settings.to_parameter.as_str(), to.to_string()),
            ("limit", position.size.to_string()),
            ("page", position.page().to_string()),
        ];
        parameters.extend(settings.asks_for.map(|format| ("format", format.word().to_owned())));
        parameters.extend(sub_id.map(|sub_id| (settings.names.sub_id.as_str(), sub_id.to_owned())));
        self.caller
            .until_whole(|| async {
                let Reply { answer, asked_at } = self.ask(&parameters).await?;
                let table =
                    formats::read(&answer, settings).map_err(|error| self.caller.unreadable(error.to_string()))?;
                let names = &settings.names;
                let mut page = Page { rows: Vec::new(), next: None, total: table.total, check: Vec::new() };
                for record in &table.rows {
                    page.check.push(record.check_value(&names.id, &names.currency, &names.payout));
                    page.rows.push(self.row(record, asked_at));
                }
                self.caller.placed(page, position, table.size, Addressing::Number)
            })
            .await
    }
}

//! Cuelinks: transactions, in version 3 of its API or the older 2.
//!
//! It tells no changes and carries no sums: the same days are read again and the count is checked. Version 3 writes
//! amounts as texts, version 2 as numbers, and version 2 says "nothing" with an empty 204.

mod account;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use config::ExposeSecret;
use domain::clock::Clock;
use domain::network::Network;
use domain::transaction::{NetworkTransaction, QuarantineReason, ReportedRow, TransactionStatus};
use outbound::{ClientError, Method, ProviderError, header};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Foundation;
use crate::call::{Caller, Reply};
use crate::daily::{DailyReport, Days};
use crate::paging::{Addressing, Position};
use crate::rates::Rates;
use crate::record::{Field, Record, reported};
use crate::report::{Page, india};
use crate::settings::Calls;
pub use settings::{Api, Settings};

use account::Account;

const NETWORK: Network = Network::Cuelinks;

/// The sub-ids in both versions, the first one under its two names.
const SUB_IDS: &[&str] = &["sub_id", "aff_sub", "subid1", "subid2", "subid3", "subid4", "subid5"];

/// What is kept of a row. The referrer and free text about the shopper are not.
const KEPT: &[&str] = &[
    "id",
    "campaign_id",
    "store_name",
    "order_id",
    "merchant_reference_id",
    "sale_amount",
    "user_commission",
    "commission",
    "currency",
    "status",
    "sub_id",
    "aff_sub",
    "subid1",
    "subid2",
    "subid3",
    "subid4",
    "subid5",
    "transaction_date",
    "pub_affiliate_id",
    "channel_id",
    "product_name",
    "category",
];

/// Asks Cuelinks.
pub struct Cuelinks {
    settings: Settings,
    caller: Caller,
    rates: Rates,
    clock: Arc<dyn Clock>,
    account: Account,
}

/// Both versions' answers.
#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow, alias = "transactions")]
    data: Vec<&'a RawValue>,
    meta: Option<Meta>,
    total_count: Option<u64>,
}

#[derive(Deserialize)]
struct Meta {
    per_page: Option<u64>,
    total: Option<u64>,
}

impl Cuelinks {
    pub(crate) fn new(settings: &Settings, calls: &Calls, foundation: &Foundation) -> Result<Self, ClientError> {
        let caller = Caller::new(NETWORK.slug(), calls, settings.calls_per_minute, &foundation.clock)?;
        let (rates, clock) = (calls.rates.clone(), Arc::clone(&foundation.clock));
        Ok(Self { settings: settings.clone(), caller, rates, clock, account: Account::default() })
    }

    async fn ask(&self, path: &str, parameters: &[(&str, String)]) -> Result<Reply, ProviderError> {
        let key = self.settings.api_key.expose_secret();
        let authorization = match self.settings.api {
            Api::V3 => format!("Token {key}"),
            Api::V2 => format!("Token token={key}"),
        };
        let mut authorization = header::HeaderValue::from_str(&authorization).map_err(|_secret| {
            let detail = "the key has characters that no header takes".to_owned();
            ProviderError::Locked { provider: self.caller.client.provider(), detail }
        })?;
        authorization.set_sensitive(true);
        let request = self
            .caller
            .client
            .request(Method::GET, &format!("{}{path}", self.settings.base_url))
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json")
            .query(parameters);
        let reply = self.caller.send(request).await?;
        let answer = &reply.answer;
        if answer.status.is_success() {
            return Ok(reply);
        }
        let said: BTreeMap<String, serde_json::Value> = serde_json::from_str(&answer.body).unwrap_or_default();
        let said = ["message", "error"].iter().find_map(|name| said.get(*name)?.as_str()).unwrap_or_default();
        let said: String = said.chars().take(200).collect();
        Err(self.caller.refusal(answer, &said))
    }

    fn row(&self, record: &Record, observed_at: DateTime<Utc>) -> ReportedRow {
        reported(NETWORK, record, ("id", "status", KEPT), observed_at, |record| self.understand(record, observed_at))
    }

    fn understand(&self, record: &Record, observed_at: DateTime<Utc>) -> Field<NetworkTransaction> {
        let raw_status = record.must("status")?;
        let (status, funded) = match raw_status.to_ascii_lowercase().as_str() {
            "pending" => (TransactionStatus::Pending, false),
            "validated" => (TransactionStatus::Confirmed, false),
            "payable" | "claimed" | "invoice_raised" => (TransactionStatus::Payable, false),
            "paid" => (TransactionStatus::Payable, true),
            "rejected" => (TransactionStatus::Declined, false),
            _ => return Err(QuarantineReason::UnknownStatus(raw_status)),
        };
        let commission = match record.amount("user_commission")? {
            Some(commission) => commission,
            // Not told yet, or nothing: both are nothing as long as nobody is owed.
            None if matches!(status, TransactionStatus::Pending | TransactionStatus::Declined) => Decimal::ZERO,
            None => return Err(QuarantineReason::Missing { field: "user_commission".to_owned() }),
        };
        let amounts = self.rates.rupees(record.currency("currency")?, record.amount("sale_amount")?, commission)?;
        let order_ref = match record.text("order_id")? {
            Some(order) => Some(order),
            None => record.text("merchant_reference_id")?,
        };
        let mut sub_ids = record.sub_ids(SUB_IDS);
        // Version 2 gives the first sub-id under two names.
        let mut seen = Vec::new();
        sub_ids.retain(|sub_id| {
            let is_new = !seen.contains(&sub_id.value);
            seen.push(sub_id.value.clone());
            is_new
        });
        Ok(NetworkTransaction {
            network: NETWORK,
            external_id: record.must("id")?,
            campaign_id: record.text("campaign_id")?,
            sub_ids,
            order_ref,
            sale: amounts.sale,
            commission: amounts.commission,
            foreign: amounts.foreign,
            raw_status,
            status,
            funded,
            reason: None,
            clicked_at: None,
            occurred_at: record.must_instant("transaction_date", india())?,
            status_updated_at: None,
            observed_at,
            raw: record.keep(KEPT),
        })
    }
}

#[async_trait]
impl DailyReport for Cuelinks {
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
        self.account.check(self).await?;
        let path = match self.settings.api {
            Api::V3 => "/transactions",
            Api::V2 => "/transactions.json",
        };
        let mut parameters = vec![
            ("start_date", from.to_string()),
            ("end_date", to.to_string()),
            ("page", position.page().to_string()),
            ("per_page", position.size.to_string()),
        ];
        parameters.extend(sub_id.map(|sub_id| ("sub_id", sub_id.to_owned())));
        self.caller
            .until_whole(|| async {
                let Reply { answer, asked_at } = self.ask(path, &parameters).await?;
                let report = if answer.status == 204 {
                    Report { data: Vec::new(), meta: None, total_count: None }
                } else {
                    serde_json::from_str(&answer.body).map_err(|error| self.caller.bad_json(&error))?
                };
                let (size, total) = match &report.meta {
                    Some(meta) => (meta.per_page, meta.total),
                    None => (None, report.total_count),
                };
                let mut page = Page { rows: Vec::new(), next: None, total, check: Vec::new() };
                for row in &report.data {
                    let record = Record::from_json(row).map_err(|error| self.caller.bad_json(&error))?;
                    page.check.push(record.check_value("id", "currency", "user_commission"));
                    page.rows.push(self.row(&record, asked_at));
                }
                self.caller.placed(page, position, size, Addressing::Number)
            })
            .await
    }
}

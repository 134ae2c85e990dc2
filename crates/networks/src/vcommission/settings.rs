//! How vCommission is reached.

use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;
use config::{Reader, SecretString};
use outbound::base_url;

use crate::settings::bounded;

/// How vCommission is reached, and how its report is written.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) api_key: SecretString,
    pub(super) base_url: String,
    pub(super) path: String,
    pub(super) from_parameter: String,
    pub(super) to_parameter: String,
    /// The format asked for; `None` asks for none and takes what the answer says it is.
    pub(super) asks_for: Option<Format>,
    pub(super) rows_key: String,
    pub(super) names: Names,
    pub(super) page_size: u64,
    pub(super) calls_per_minute: u64,
    pub(super) validation: TimeDelta,
}

/// What the report is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON.
    Json,
    /// Comma-separated values, the names in the first line.
    Csv,
    /// XML, an element for each row.
    Xml,
}

impl Format {
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Xml];

    /// Its word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Xml => "xml",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that names no format.
#[derive(Debug, thiserror::Error)]
#[error("must be json, csv or xml")]
pub(super) struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.word() == text).ok_or(UnknownFormat)
    }
}

/// The names of the fields that we need.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) id: String,
    pub(super) campaign: String,
    pub(super) order: String,
    pub(super) sub_id: String,
    pub(super) status: String,
    pub(super) payout: String,
    pub(super) sale: String,
    pub(super) currency: String,
    pub(super) created: String,
}

impl Names {
    fn standard() -> Self {
        let named = str::to_owned;
        Self {
            id: named("_id"),
            campaign: named("campaign_id"),
            order: named("txn_id"),
            sub_id: named("p1"),
            status: named("status"),
            payout: named("payout"),
            sale: named("sale_amount"),
            currency: named("currency"),
            created: named("created"),
        }
    }

    fn place(&mut self, what: &str) -> Option<&mut String> {
        Some(match what {
            "ID" => &mut self.id,
            "CAMPAIGN" => &mut self.campaign,
            "ORDER" => &mut self.order,
            "SUB_ID" => &mut self.sub_id,
            "STATUS" => &mut self.status,
            "PAYOUT" => &mut self.payout,
            "SALE" => &mut self.sale,
            "CURRENCY" => &mut self.currency,
            "CREATED" => &mut self.created,
            _ => return None,
        })
    }

    pub(super) fn all(&self) -> Vec<&str> {
        let Self { id, campaign, order, sub_id, status, payout, sale, currency, created } = self;
        [id, campaign, order, sub_id, status, payout, sale, currency, created].map(String::as_str).to_vec()
    }
}

/// The path of older set-ups, whose rows are named otherwise.
const OLD_PATH: &str = "/api/transactions";

impl Settings {
    /// Reads `VCOMMISSION_*`; `None` when the key is not set.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let api_key =
            reader.optional_secret("VCOMMISSION_API_KEY", "vCommission's API key; without it vCommission is off");
        let base_url =
            base_url(reader, "VCOMMISSION_BASE_URL", "https://api.trackier.com", "where vCommission's API is");
        let path = reader.default(
            "VCOMMISSION_PATH",
            "/v2/publishers/conversions".to_owned(),
            "the path of the conversions; older set-ups have /api/transactions",
        );
        let is_old = path == OLD_PATH;
        let from_parameter = reader.default("VCOMMISSION_FROM_PARAMETER", "start".to_owned(), "names the first day");
        let to_parameter = reader.default("VCOMMISSION_TO_PARAMETER", "end".to_owned(), "names the last day");
        let asks_for = reader.optional_parsed("VCOMMISSION_FORMAT", "ask for json, csv or xml; not set: ask for none");
        let rows_key = if is_old { "transactions" } else { "conversions" };
        let rows_key = reader.default("VCOMMISSION_ROWS", rows_key.to_owned(), "where the rows stand in JSON");
        let mut names = Names::standard();
        if is_old {
            "id".clone_into(&mut names.id);
        }
        let about = "the report's name of a field: ID CAMPAIGN ORDER SUB_ID STATUS PAYOUT SALE CURRENCY CREATED";
        for (what, name) in reader.family("VCOMMISSION_FIELD_", about) {
            match names.place(&what) {
                Some(place) => name.trim().clone_into(place),
                None => reader.problem(format!("VCOMMISSION_FIELD_{what}: no such field; {about}")),
            }
        }
        let page_size = bounded(reader, "VCOMMISSION_PAGE_SIZE", 1_000, 1_000, "rows asked for at a time");
        let calls_per_minute = bounded(reader, "VCOMMISSION_CALLS_PER_MINUTE", 150, 1_000_000, "how fast to ask");
        let days = reader.default(
            "VCOMMISSION_VALIDATION_DAYS",
            60_u16,
            "days after which an approved conversion counts as confirmed; the network cancels until then",
        );
        if !path.starts_with('/') {
            reader.problem("VCOMMISSION_PATH: must begin with a slash");
        }
        Some(Self {
            api_key: api_key?,
            base_url,
            path,
            from_parameter,
            to_parameter,
            asks_for,
            rows_key,
            names,
            page_size,
            calls_per_minute,
            validation: TimeDelta::days(days.into()),
        })
    }
}

//! What can be set while the simulator runs: where webhooks go, secrets, accepted keys and the providers' habits.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The settings, as JSON the body of `POST /_sim/config`. An empty URL switches that webhook off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, named as in the JSON")]
pub(crate) struct Settings {
    /// Accepted API keys. An empty list accepts any key that is not empty.
    pub(crate) keys: Keys,
    /// How often and how fast Razorpay and SendGrid try a webhook again. The other four send once.
    pub(crate) retry: Retry,
    /// Requests a minute each provider allows before it says "too many"; 0 is no limit.
    pub(crate) rate_per_minute: RatePerMinute,
    /// Moves the simulator's clock against the machine's, in seconds.
    pub(crate) clock_offset_s: i64,
    /// Record webhooks without sending them; `POST /_sim/webhooks/resend` lets them go in any order.
    pub(crate) hold_webhooks: bool,

    pub(crate) sendgrid_event_url: String,
    /// 0, 1, 2 …: another number is another signing key pair.
    pub(crate) sendgrid_key_generation: u32,
    /// How long events are gathered before a batch leaves.
    pub(crate) sendgrid_batch_ms: u64,

    pub(crate) msg91_report_url: String,
    pub(crate) msg91_report_format: ReportFormat,
    /// Body of the `webhook_new` format, with `{{macros}}`.
    pub(crate) msg91_report_template: String,
    /// Extra headers of the `webhook_new` format.
    pub(crate) msg91_report_headers: BTreeMap<String, String>,
    /// HTTP status under which errors are answered (MSG91 uses 200, 400 and 401).
    pub(crate) msg91_error_status: u16,
    /// Every call fails with code 418, as from an address that is not on the list.
    pub(crate) msg91_address_blocked: bool,
    /// Every send fails with code 301.
    pub(crate) msg91_out_of_credit: bool,
    /// Texts of the registered templates by id, `##NAME##` being a variable; a send with another id is refused once there is one.
    pub(crate) msg91_templates: BTreeMap<String, String>,

    pub(crate) admitad_postback_url: String,
    pub(crate) admitad_postback_method: Method,
    pub(crate) admitad_token_ttl_s: u32,
    /// Live tokens allowed at one time; 0 is no limit.
    pub(crate) admitad_max_tokens: usize,
    /// Offset of the naive times in reports, in minutes.
    pub(crate) admitad_zone_minutes: i32,
    pub(crate) admitad_amounts: AmountForm,

    pub(crate) vcommission_postback_url: String,
    /// Statuses that fire a postback; the network never offers `cancelled` and `rejected` here.
    pub(crate) vcommission_postback_on: Vec<String>,
    /// Add `sale_amount` to conversion rows (the network leaves it out unless asked).
    pub(crate) vcommission_sale_amount: bool,
    pub(crate) vcommission_address_blocked: bool,

    pub(crate) cuelinks_postback_url: String,
    pub(crate) cuelinks_postback_method: Method,
    /// The constant parameter `token`.
    pub(crate) cuelinks_postback_token: String,
    /// Add a `status` parameter to the postback (off in the only live set-up known).
    pub(crate) cuelinks_postback_status: bool,

    pub(crate) razorpay_webhook_url: String,
    pub(crate) razorpay_webhook_secret: String,
    /// URL for `payout.*` events; empty takes that of the payment side.
    pub(crate) razorpayx_webhook_url: String,
    pub(crate) razorpayx_webhook_secret: String,
    pub(crate) razorpay_account_id: String,
    /// Where a new payout walks by itself.
    pub(crate) razorpay_payouts: PayoutWalk,
    /// Pause between two steps of that walk.
    pub(crate) razorpay_payout_step_ms: u64,
}

/// Accepted API keys, by provider.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) sendgrid: Vec<String>,
    pub(crate) msg91: Vec<String>,
    /// `client_id:client_secret`.
    pub(crate) admitad: Vec<String>,
    pub(crate) vcommission: Vec<String>,
    pub(crate) cuelinks: Vec<String>,
    /// `key_id:key_secret`.
    pub(crate) razorpay: Vec<String>,
    /// `user:password` of the mail server; without any it takes mails from everybody.
    pub(crate) smtp: Vec<String>,
}

/// The back-off of a webhook that was not answered with 2xx.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retry {
    pub(crate) max_attempts: u32,
    /// Pause after the first failure; doubles each time.
    pub(crate) base_ms: u64,
    pub(crate) max_ms: u64,
    /// How long an answer may take before it counts as failed (Razorpay: 5 s).
    pub(crate) timeout_ms: u64,
}

/// Limits a minute by provider.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RatePerMinute {
    pub(crate) sendgrid: u32,
    pub(crate) msg91: u32,
    pub(crate) admitad: u32,
    pub(crate) vcommission: u32,
    pub(crate) cuelinks: u32,
    pub(crate) razorpay: u32,
}

/// How a postback is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Method {
    Get,
    /// A form body.
    Post,
    /// A JSON body.
    Json,
}

/// The four shapes of MSG91's delivery reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportFormat {
    V2,
    V3,
    V4,
    WebhookNew,
}

/// How amounts are written where a network is not consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AmountForm {
    Number,
    Text,
    /// Numbers in even rows, strings in odd ones.
    Mixed,
}

/// Where a payout goes without being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PayoutWalk {
    /// Stays `queued` until the control API moves it.
    Manual,
    /// Stops at `processing`.
    Processing,
    Processed,
    Failed,
    /// `processed`, then `reversed`.
    Reversed,
}

/// The body recommended in MSG91's panel for "Webhook (New)".
const REPORT_TEMPLATE: &str = r#"{"request_id":"{{requestId}}","crqid":"{{CRQID}}","mobile":"{{telNum}}","status":"{{status}}","reason":"{{failureReason}}","requested_at":"{{requestedAt}}","delivered_at":"{{deliveryTime}}","credit":"{{credit}}","sender":"{{senderId}}"}"#;

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            retry: Retry::default(),
            rate_per_minute: RatePerMinute::default(),
            clock_offset_s: 0,
            hold_webhooks: false,
            sendgrid_event_url: String::new(),
            sendgrid_key_generation: 0,
            sendgrid_batch_ms: 100,
            msg91_report_url: String::new(),
            msg91_report_format: ReportFormat::V3,
            msg91_report_template: REPORT_TEMPLATE.to_owned(),
            msg91_report_headers: BTreeMap::new(),
            msg91_error_status: 200,
            msg91_address_blocked: false,
            msg91_out_of_credit: false,
            msg91_templates: BTreeMap::new(),
            admitad_postback_url: String::new(),
            admitad_postback_method: Method::Get,
            admitad_token_ttl_s: 604_800,
            admitad_max_tokens: 100,
            admitad_zone_minutes: 180,
            admitad_amounts: AmountForm::Mixed,
            vcommission_postback_url: String::new(),
            vcommission_postback_on: vec!["approved".to_owned(), "pending".to_owned()],
            vcommission_sale_amount: false,
            vcommission_address_blocked: false,
            cuelinks_postback_url: String::new(),
            cuelinks_postback_method: Method::Get,
            cuelinks_postback_token: String::new(),
            cuelinks_postback_status: false,
            razorpay_webhook_url: String::new(),
            razorpay_webhook_secret: String::new(),
            razorpayx_webhook_url: String::new(),
            razorpayx_webhook_secret: String::new(),
            razorpay_account_id: "acc_SIM00000000001".to_owned(),
            razorpay_payouts: PayoutWalk::Processed,
            razorpay_payout_step_ms: 200,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 8, base_ms: 250, max_ms: 10_000, timeout_ms: 5_000 }
    }
}

impl Default for RatePerMinute {
    fn default() -> Self {
        // Admitad publishes 600. SendGrid names its limit on every answer, so it has one; no figure of the others binds.
        Self { sendgrid: 6_000_000, msg91: 0, admitad: 600, vcommission: 0, cuelinks: 0, razorpay: 0 }
    }
}

/// Why a change of settings was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("the settings must be a JSON object")]
    NotAnObject,
    #[error("a setting has an unknown name or a wrong value")]
    Value(#[source] serde_json::Error),
}

impl Settings {
    /// These settings with the given ones laid over them; objects are merged name by name.
    pub(crate) fn with(&self, changes: Value) -> Result<Self, SettingsError> {
        let mut whole = serde_json::to_value(self).map_err(SettingsError::Value)?;
        if !changes.is_object() {
            return Err(SettingsError::NotAnObject);
        }
        // Maps of our own naming are replaced as a whole, so that an entry can be taken out again.
        let replaced = ["msg91_report_headers", "msg91_templates"];
        if let (Value::Object(whole), Value::Object(changes)) = (&mut whole, changes) {
            for (name, value) in changes {
                match (whole.get_mut(&name), value) {
                    (Some(Value::Object(old)), Value::Object(new)) if !replaced.contains(&name.as_str()) => {
                        old.extend(new);
                    }
                    // `null` means "off" for a text, so that a script can pass what it has not.
                    (Some(old @ Value::String(_)), Value::Null) => *old = Value::String(String::new()),
                    (_, value) => {
                        whole.insert(name, value);
                    }
                }
            }
        }
        serde_json::from_value(whole).map_err(SettingsError::Value)
    }
}

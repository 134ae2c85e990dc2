//! Sending a withdrawal's money out through RazorpayX. The withdrawal's id is the idempotency key and the reference, so however
//! often this is tried there is one payout, and it can be found.

use std::sync::Arc;
use std::time::Duration;

use config::{ExposeSecret, Reader, SecretString};
use domain::clock::{Clock, SystemClock};
use domain::ids::WithdrawalId;
use domain::jobs::payment::StartPayout;
use outbound::{Answer, Client, Method, ProviderError, StatusCode, base_url};
use queue::{Handler, JobContext, JobError, Outcome};
use serde::Deserialize;
use serde_json::json;
use store::withdrawals::{self, PayoutError, Withdrawal};
use store::{Pool, StoreError, users};

use super::event::Payout;
use super::payout::told;
use crate::alerts::Alerts;
use crate::work::WorkError;

/// How long a payout waits when RazorpayX cannot be asked, or did not answer. No attempt is used up: the money is owed.
const PAUSE: Duration = Duration::from_secs(15);
/// How long it waits when RazorpayX does not let us in.
const LOCKED_PAUSE: Duration = Duration::from_mins(2);
/// How payouts can travel.
const MODES: [&str; 4] = ["IMPS", "NEFT", "RTGS", "UPI"];

/// How payouts are made.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    base_url: String,
    key_id: String,
    key_secret: SecretString,
    account_number: String,
    mode: String,
}

impl Settings {
    /// Reads `RAZORPAY_KEY_ID` and what belongs to it. Without it no payout is started, and `payout.start` jobs wait.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let about = "the API key for payouts; without it this process starts none";
        let key_id = reader.optional("RAZORPAY_KEY_ID", about);
        let base_url = base_url(reader, "RAZORPAY_BASE_URL", "https://api.razorpay.com", "where Razorpay's API is");
        let mode: String =
            reader.default("RAZORPAYX_PAYOUT_MODE", "IMPS".to_owned(), "how payouts travel: IMPS, NEFT, RTGS or UPI");
        let key_id = key_id?;
        // RazorpayX would refuse each payout, which is taken for a fault of the shopper's account.
        if !MODES.contains(&mode.as_str()) {
            reader.problem(format!("RAZORPAYX_PAYOUT_MODE: {mode:?} is not one of {}", MODES.join(", ")));
        }
        Some(Self {
            base_url,
            key_id,
            key_secret: reader.secret("RAZORPAY_KEY_SECRET", "the secret of RAZORPAY_KEY_ID"),
            account_number: reader
                .required("RAZORPAYX_ACCOUNT_NUMBER", "the RazorpayX account that payouts are taken from"),
            mode,
        })
    }
}

/// Starts payouts.
#[derive(Clone)]
pub(crate) struct Payouts {
    pool: Pool,
    client: Client,
    settings: Option<Arc<Settings>>,
    alerts: Arc<Alerts>,
}

/// What RazorpayX made of a wish.
enum Made {
    /// There is a payout.
    Payout(Box<Payout>),
    /// It surely made none, and never will for this wish.
    Refused(String),
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Payout>,
}

impl Payouts {
    pub(crate) fn new(pool: Pool, client: Client, settings: Option<Settings>, alerts: Arc<Alerts>) -> Self {
        Self { pool, client, settings: settings.map(Arc::new), alerts }
    }

    async fn start(&self, id: WithdrawalId) -> Outcome {
        let Some(settings) = &self.settings else {
            return Err(JobError::Defer(LOCKED_PAUSE, anyhow::anyhow!("RAZORPAY_KEY_ID is not set")));
        };
        let withdrawal = withdrawals::find(&self.pool.get().await.map_err(stored)?, id).await.map_err(stored)?;
        let Some(withdrawal) = withdrawal else {
            return Err(JobError::Fail(anyhow::anyhow!("there is no withdrawal {id}")));
        };
        if withdrawal.payout_id.is_some() || withdrawal.returned_at.is_some() {
            return Ok(());
        }
        let shopper = users::find(&self.pool.get().await.map_err(stored)?, withdrawal.user_id).await.map_err(stored)?;
        if shopper.is_none_or(|shopper| shopper.frozen_at.is_some()) {
            let text = "withdrawals of this shopper are blocked; the payout begins when they are allowed again";
            return Err(JobError::Defer(LOCKED_PAUSE, anyhow::anyhow!(text)));
        }
        match self.create(settings, &withdrawal).await? {
            Made::Payout(payout) => self.made(id, &payout).await,
            Made::Refused(reason) => self.refused(id, &reason).await,
        }
    }

    async fn create(&self, settings: &Settings, withdrawal: &Withdrawal) -> Result<Made, JobError> {
        let key = withdrawal.id.to_string();
        let body = json!({
            "account_number": settings.account_number,
            "fund_account_id": withdrawal.fund_account_id,
            "amount": withdrawal.amount.get(),
            "currency": "INR",
            "mode": settings.mode,
            "purpose": "cashback",
            "queue_if_low_balance": true,
            "reference_id": key,
            "narration": "Cashback payout",
            "notes": {"withdrawal_id": key},
        });
        let request = self
            .client
            .request(Method::POST, &format!("{}/v1/payouts", settings.base_url))
            .basic_auth(&settings.key_id, Some(settings.key_secret.expose_secret()))
            .header("X-Payout-Idempotency", &key)
            .json(&body);
        let answer = self.client.send(request).await.map_err(wait)?;
        match answer.status {
            status if status.is_success() => readable(&answer).map(|payout| Made::Payout(Box::new(payout))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(JobError::Defer(
                LOCKED_PAUSE,
                anyhow::anyhow!("RazorpayX does not let us in: {} {}", answer.status, error_code(&answer)),
            )),
            StatusCode::BAD_REQUEST => self.refusal(settings, withdrawal, &answer).await,
            status => {
                let wait = answer.retry_after().unwrap_or(PAUSE);
                Err(JobError::Defer(
                    wait,
                    anyhow::anyhow!("RazorpayX cannot take payouts now: {status} {}", error_code(&answer)),
                ))
            }
        }
    }

    /// A refusal can also mean that the key was used with another body, so that there is a payout. Money is only given back when
    /// RazorpayX knows of none.
    async fn refusal(&self, settings: &Settings, withdrawal: &Withdrawal, answer: &Answer) -> Result<Made, JobError> {
        let reference = withdrawal.id.to_string();
        let request = self
            .client
            .request(Method::GET, &format!("{}/v1/payouts", settings.base_url))
            .basic_auth(&settings.key_id, Some(settings.key_secret.expose_secret()))
            .query(&[("account_number", settings.account_number.as_str()), ("reference_id", &reference)]);
        let listed = self.client.send(request).await.map_err(wait)?;
        if !listed.status.is_success() {
            return Err(JobError::Defer(
                PAUSE,
                anyhow::anyhow!("RazorpayX does not list payouts now: {}", listed.status),
            ));
        }
        let page: Page = readable(&listed)?;
        let ours = page.items.into_iter().find(|payout| payout.reference_id.as_deref() == Some(&reference));
        Ok(match ours {
            Some(payout) => Made::Payout(Box::new(payout)),
            None => Made::Refused(error_code(answer)),
        })
    }

    async fn made(&self, id: WithdrawalId, payout: &Payout) -> Outcome {
        let mut news = told(payout, SystemClock.now()).map_err(WorkError::decide)?;
        news.withdrawal_id = Some(id);
        let mut client = self.pool.get().await.map_err(stored)?;
        let transaction = client.transaction().await.map_err(|error| stored(error.into()))?;
        let applied = withdrawals::apply_payout(&transaction, &news).await;
        let effect = applied.map_err(|error| WorkError::from(error).decide())?;
        transaction.commit().await.map_err(|error| stored(error.into()))?;
        tracing::info!(withdrawal.id = %id, payout.id = payout.id, payout.status = payout.status, ?effect, "a payout was started");
        Ok(())
    }

    async fn refused(&self, id: WithdrawalId, reason: &str) -> Outcome {
        let mut client = self.pool.get().await.map_err(stored)?;
        let transaction = client.transaction().await.map_err(|error| stored(error.into()))?;
        match withdrawals::refuse(&transaction, id, "the bank account was not accepted").await {
            Ok(_) => {}
            // A webhook told of a payout meanwhile.
            Err(PayoutError::OtherPayout { .. }) => return Ok(()),
            Err(error) => return Err(WorkError::from(error).decide()),
        }
        let detail = format!("withdrawal {id}: {reason}; the money is in the wallet again");
        self.alerts
            .raise(&transaction, &format!("withdrawal:{id}:refused"), "RazorpayX refused a payout", &detail)
            .await
            .map_err(stored)?;
        transaction.commit().await.map_err(|error| stored(error.into()))?;
        Ok(())
    }
}

impl Handler<StartPayout> for Payouts {
    async fn handle(&self, job: StartPayout, _context: JobContext) -> Outcome {
        self.start(job.withdrawal_id).await
    }
}

fn stored(error: StoreError) -> JobError {
    WorkError::from(error).decide()
}

/// Without an answer the same key is used again, so nothing is paid twice.
fn wait(error: ProviderError) -> JobError {
    match error {
        ProviderError::Refused { .. } => JobError::Fail(error.into()),
        _ => JobError::Defer(PAUSE, error.into()),
    }
}

fn readable<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, JobError> {
    let what = "RazorpayX answered with something unreadable";
    serde_json::from_str(&answer.body).map_err(|error| JobError::Defer(PAUSE, anyhow::Error::new(error).context(what)))
}

/// The provider's own words for an error, without what it repeats of our input.
fn error_code(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text =
        |name: &str| body.pointer(&format!("/error/{name}")).and_then(serde_json::Value::as_str).unwrap_or_default();
    format!("{} {}", text("code"), text("description")).trim().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_payouts_cannot_travel_is_told_at_the_start() {
        let problems = |mode| {
            let source = config::Map::from([
                ("RAZORPAY_KEY_ID", "rzp_test_key"),
                ("RAZORPAY_KEY_SECRET", "synthetic-key-secret"),
                ("RAZORPAYX_ACCOUNT_NUMBER", "synthetic-account"),
                ("RAZORPAYX_PAYOUT_MODE", mode),
            ]);
            let mut reader = Reader::new(&source);
            let settings = Settings::read(&mut reader);
            reader.finish(settings).err().map(|problems| problems.to_string()).unwrap_or_default()
        };
        assert_eq!(problems("NEFT"), "");
        assert!(problems("imps").contains("RAZORPAYX_PAYOUT_MODE"), "{}", problems("imps"));
    }
}

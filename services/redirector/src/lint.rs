//! Looks at every merchant once at the start, so that a template that would lose clicks is told before a shopper meets it.
//! After that each is looked at when it is loaded (see `resolve`).

use std::time::Duration;

use chrono::DateTime;
use domain::offer::Schemes;
use store::{Pool, StoreError};
use tokio_util::sync::CancellationToken;

use crate::terms::{Merchant, MerchantTerms};

/// How long it waits for a Postgres that is away. Nobody waits for the outcome.
const RETRY: Duration = Duration::from_secs(5);

/// Tells every merchant whose template or hosts cannot be used, as an error in the log.
pub(crate) async fn at_start(pool: Pool, schemes: Schemes, end: CancellationToken) {
    let mut told = false;
    loop {
        match look(&pool, schemes).await {
            Ok((merchants, unusable)) => {
                tracing::info!(merchants, unusable, "looked at the tracking templates of all merchants");
                return;
            }
            Err(error) if !told => {
                tracing::warn!(error.chain = telemetry::chain(&error), "not all tracking templates could be looked at");
                told = true;
            }
            Err(_told) => {}
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn look(pool: &Pool, schemes: Schemes) -> Result<(usize, usize), StoreError> {
    let client = pool.get().await?;
    let ids = store::catalogue::merchants_changed_since(&client, DateTime::UNIX_EPOCH).await?;
    let mut unusable = 0;
    for id in &ids {
        let Some(merchant) = store::catalogue::find_merchant(&client, *id).await? else { continue };
        let active = merchant.active;
        if let Err(error) = Merchant::check(*id, &MerchantTerms::from(merchant), schemes)
            && active
        {
            unusable += 1;
            error.tell(*id);
        }
    }
    Ok((ids.len(), unusable))
}

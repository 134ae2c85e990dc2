//! Looks at every merchant once at the start, so that a template that would lose clicks is told before a shopper meets it.
//! After that each is looked at when it is loaded (see `resolve`).

use std::time::Duration;

use domain::ids::MerchantId;
use domain::offer::Schemes;
use store::{Pool, StoreError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::terms::{Merchant, MerchantTerms, Unusable};

/// How long it waits for a Postgres that is away. Nobody waits for the outcome.
const RETRY: Duration = Duration::from_secs(5);
/// How many merchants are read at once.
const PAGE: i64 = 500;

/// Tells every merchant whose template or hosts cannot be used, as an error in the log.
pub(crate) async fn at_start(pool: Pool, schemes: Schemes, end: CancellationToken) {
    let mut look = Look { after: MerchantId::from_uuid(Uuid::nil()), merchants: 0, unusable: 0 };
    let mut told = false;
    loop {
        match look.go_on(&pool, schemes).await {
            Ok(()) => {
                let Look { merchants, unusable, .. } = look;
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

/// How far it has come.
struct Look {
    after: MerchantId,
    merchants: usize,
    unusable: usize,
}

impl Look {
    /// Looks at those that are left; after an error it goes on where it stood.
    async fn go_on(&mut self, pool: &Pool, schemes: Schemes) -> Result<(), StoreError> {
        let client = pool.get().await?;
        loop {
            let page = store::catalogue::list_merchants(&client, self.after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            self.after = *last;
            self.merchants += page.len();
            for (id, row) in page {
                if let Err(error) = check(id, row, schemes) {
                    self.unusable += 1;
                    error.tell(id);
                }
            }
        }
    }
}

fn check(
    id: MerchantId,
    row: Result<store::catalogue::Merchant, StoreError>,
    schemes: Schemes,
) -> Result<(), Unusable> {
    let merchant = row?;
    if merchant.active {
        Merchant::check(id, &MerchantTerms::from(merchant), schemes)?;
    }
    Ok(())
}

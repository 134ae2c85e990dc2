//! What was decided on transactions, written as sets.

use deadpool_postgres::GenericClient;
use domain::ids::TransactionId;
use domain::jobs::cashback::MatchTransaction;
use domain::network::Network;
use futures_util::future::{try_join, try_join3, try_join4};
use tokio_postgres::Row;

use super::matching::Verdict;
use super::settle::Case;
use crate::outbox::{self, Lane, Promise};
use crate::statements::{execute, prepare, query};
use crate::transactions::{self, Pair, Transaction};
use crate::{StoreError, sql};

/// Transactions as they are to be from now on.
pub(super) struct Decided<'a> {
    pub(super) network: Network,
    pub(super) source: &'a str,
    pub(super) cases: &'a [Case<'a>],
    /// Those on the list of the unmatched that have their click now.
    pub(super) found: Vec<TransactionId>,
    /// Those that have none, and why.
    pub(super) lost: Vec<(TransactionId, &'static str)>,
}

impl Decided<'_> {
    /// Call it before [`Self::write`].
    pub(super) async fn prepare(&self, client: &impl GenericClient) -> Result<(), StoreError> {
        prepare(
            client,
            &[
                sql!("transactions/insert_many.sql"),
                sql!("transactions/update_many.sql"),
                sql!("transactions/update_match.sql"),
                sql!("transactions/insert_history.sql"),
                sql!("transactions/note_unmatched.sql"),
                sql!("transactions/resolve_unmatched.sql"),
                sql!("transactions/leave_quarantine.sql"),
            ],
        )
        .await
    }

    /// Writes it, in statements that are sent together and carried out in this order.
    pub(super) async fn write(&self, client: &impl GenericClient) -> Result<(), StoreError> {
        let (new, changed) = (self.reported(true), self.reported(false));
        let accepted: Vec<_> = new.iter().chain(&changed).copied().collect();
        let rematched = self.rematched();
        let rows = try_join4(
            transactions::insert_many(client, self.network, &new),
            transactions::update_many(client, &changed),
            transactions::update_match(client, &rematched),
            transactions::insert_history(client, &accepted, self.source),
        );
        let understood: Vec<_> = accepted.iter().map(|pair| pair.0.external_id.as_str()).collect();
        let lists = try_join3(
            self.note_lost(client),
            self.resolve_found(client),
            leave_quarantine(client, self.network, &understood),
        );
        try_join(rows, lists).await?;
        Ok(())
    }

    /// Those of which there is a new report.
    fn reported(&self, is_new: bool) -> Vec<Pair<'_>> {
        let of_kind = self.cases.iter().filter(|case| case.is_new == is_new);
        of_kind.filter_map(|case| Some((&case.transaction, case.report?))).collect()
    }

    /// Those that only have their click now.
    fn rematched(&self) -> Vec<&Transaction> {
        let silent = self.cases.iter().filter(|case| case.report.is_none());
        silent
            .filter(|case| matches!(case.verdict, Some(Verdict::Found { .. })))
            .map(|case| &case.transaction)
            .collect()
    }

    /// Whoever has no click is looked for again soon, and seen by a person if that does not help.
    async fn note_lost(&self, client: &impl GenericClient) -> Result<(), StoreError> {
        if self.lost.is_empty() {
            return Ok(());
        }
        let (ids, reasons): (Vec<_>, Vec<_>) = self.lost.iter().copied().unzip();
        let noted = query(client, sql!("transactions/note_unmatched.sql"), &[&ids, &reasons]).await?;
        outbox::push_many(client, &matches(&noted)?).await
    }

    async fn resolve_found(&self, client: &impl GenericClient) -> Result<(), StoreError> {
        if !self.found.is_empty() {
            execute(client, sql!("transactions/resolve_unmatched.sql"), &[&self.found, &self.source]).await?;
        }
        Ok(())
    }
}

/// Takes out what was put aside and is understood by now.
pub(super) async fn leave_quarantine(
    client: &impl GenericClient,
    network: Network,
    external_ids: &[&str],
) -> Result<(), StoreError> {
    if !external_ids.is_empty() {
        execute(client, sql!("transactions/leave_quarantine.sql"), &[&network.slug(), &external_ids]).await?;
    }
    Ok(())
}

/// The jobs that look again for the clicks of those that were noted for the first time.
fn matches(noted: &[Row]) -> Result<Vec<Promise>, StoreError> {
    let mut promises = Vec::new();
    for row in noted {
        if row.try_get(1)? {
            let job = MatchTransaction { transaction_id: row.try_get(0)? };
            promises.push(Promise::of(&job, Lane::Normal)?);
        }
    }
    Ok(promises)
}

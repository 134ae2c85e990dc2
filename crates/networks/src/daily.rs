//! Reports that are asked for by days and numbered pages, tell a count and no sums, and cannot be asked for what changed.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use domain::network::Network;
use domain::transaction::ReportedRow;
use outbound::ProviderError;

use crate::call::Caller;
use crate::paging::Position;
use crate::report::{Aggregate, Cursor, Page, Window, days_after_click, pieces};
use crate::{AffiliateNetwork, NetworkError};

/// The most days asked for at a time.
const MOST_DAYS: u64 = 31;

/// Days, both included.
pub(crate) type Days = (NaiveDate, NaiveDate);

/// What such a network does in its own way. Everything else of [`AffiliateNetwork`] follows.
#[async_trait]
pub(crate) trait DailyReport: Send + Sync + 'static {
    /// Which one.
    const NETWORK: Network;

    /// Rows asked for at a time.
    fn page_size(&self) -> u64;

    /// Its caller.
    fn caller(&self) -> &Caller;

    /// The time.
    fn now(&self) -> DateTime<Utc>;

    /// Asks for the rows of some days, or of those that carry a sub-id, until the answer is whole; gives the page and where
    /// the days go on.
    async fn rows(
        &self,
        days: Days,
        sub_id: Option<&str>,
        position: &Position,
    ) -> Result<(Page, Option<Position>), ProviderError>;
}

#[async_trait]
impl<R: DailyReport> AffiliateNetwork for R {
    fn network(&self) -> Network {
        R::NETWORK
    }

    fn tells_updates(&self) -> bool {
        false
    }

    async fn page(&self, window: Window, cursor: Option<&Cursor>) -> Result<Page, NetworkError> {
        let pieces = days::<R>(window)?;
        let start = |piece| Position::start(piece, self.page_size());
        let position = match cursor {
            Some(cursor) => cursor.read(R::NETWORK)?,
            None => start(0),
        };
        let Some(days) = pieces.get(position.piece) else {
            return Ok(Page { rows: Vec::new(), next: None, total: Some(0), check: Vec::new() });
        };
        let (mut page, next) = self.rows(*days, None, &position).await?;
        let next_piece = || (position.piece + 1 < pieces.len()).then(|| start(position.piece + 1));
        page.next = next.or_else(next_piece).map(|next| Cursor::write(R::NETWORK, &next)).transpose()?;
        Ok(page)
    }

    async fn aggregate(&self, window: Window) -> Result<Aggregate, NetworkError> {
        let mut count = 0_u64;
        for piece in days::<R>(window)? {
            let (page, _) = self.rows(piece, None, &Position::start(0, self.page_size())).await?;
            let told = match page.total {
                Some(total) => total,
                // Nothing is nothing, said without a count, as in an empty 204.
                None if page.rows.is_empty() => 0,
                None => return Err(self.caller().unreadable("it tells no count to check the rows against").into()),
            };
            count = count.saturating_add(told);
        }
        Ok(Aggregate { count, sums: None })
    }

    async fn by_id(&self, _external_id: &str) -> Result<Vec<ReportedRow>, NetworkError> {
        Err(NetworkError::Unsupported { network: R::NETWORK, question: "for a transaction by its id" })
    }

    async fn by_sub_id(&self, sub_id: &str) -> Result<Vec<ReportedRow>, NetworkError> {
        let (from, to) = days_after_click(sub_id, self.now());
        let mut rows = Vec::new();
        for piece in pieces(from, to, MOST_DAYS) {
            let mut position = Some(Position::start(0, self.page_size()));
            while let Some(here) = position {
                let (page, next) = self.rows(piece, Some(sub_id), &here).await?;
                // Not every filter is documented: what the network does not leave out is left out here.
                rows.extend(page.rows.into_iter().filter(|row| carries(row, sub_id)));
                position = next;
            }
        }
        Ok(rows)
    }
}

/// Whether a row carries a sub-id; one that was put aside may.
fn carries(row: &ReportedRow, sub_id: &str) -> bool {
    match row {
        ReportedRow::Transaction(transaction) => transaction.sub_ids.iter().any(|one| one.value == sub_id),
        ReportedRow::Quarantined(row) => row.raw.contains(sub_id),
    }
}

/// The pieces of a window.
fn days<R: DailyReport>(window: Window) -> Result<Vec<Days>, NetworkError> {
    match window {
        Window::ActionDates { from, to } => Ok(pieces(from, to, MOST_DAYS)),
        Window::UpdatedSince { .. } => {
            Err(NetworkError::Unsupported { network: R::NETWORK, question: "for what changed since a time" })
        }
    }
}

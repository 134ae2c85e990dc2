//! A pull: one window of one network, page by page, tied out against the network's own sums.
//!
//! Every page commits its rows and the run's next page together, so a run that was cut off goes on behind its last page,
//! in whichever process takes it up. The cursor moves only when everything was read and agrees.

use std::sync::Arc;

use chrono::TimeDelta;
use domain::clock::india_day;
use domain::ids::SyncRunId;
use domain::jobs::cashback::SyncWindow;
use domain::money::Currency;
use domain::network::Network;
use networks::{AffiliateNetwork, Aggregate, CheckValue, Cursor, NetworkError, Page, Tally, TieOut, Window, lookback};
use serde_json::Value;
use store::StoreError;
use store::sync::{self, CheckRow, Outcome, Run, Turn};
use tokio_util::sync::CancellationToken;

use crate::apply::{Applied, ApplyError, PageOf, apply};
use crate::evidence::note_error;
use crate::parts::Parts;

/// Why a pull did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error("{0} has no credentials here")]
    NotSetUp(Network),
    #[error("another pull of {0} is running")]
    Busy(Network),
    #[error("the pull was interrupted; it goes on behind its last page")]
    Interrupted,
    #[error("{0} could not be read")]
    Network(Network, #[source] NetworkError),
    #[error("a page of {0} could not be applied")]
    Apply(Network, #[source] ApplyError),
    #[error("the rows of {0} do not agree with its own sums: {1}")]
    Differs(Network, String),
    #[error("the sums of {0} changed while they were read")]
    Moving(Network),
    #[error("the run could not be noted")]
    Store(#[from] StoreError),
    #[error("what is to be read cannot be written down")]
    Json(#[from] serde_json::Error),
}

impl PullError {
    /// The network's own refusal, if it was that.
    pub(crate) const fn of_network(&self) -> Option<&NetworkError> {
        match self {
            Self::Network(_, error) => Some(error),
            _ => None,
        }
    }

    /// Whether the run stays open, to be taken up behind its last page.
    pub(crate) fn can_go_on(&self) -> bool {
        match self {
            Self::Interrupted | Self::Busy(_) => true,
            Self::Network(_, error) => error.is_transient(),
            Self::Apply(_, error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::NotSetUp(_) | Self::Differs(..) | Self::Moving(_) | Self::Json(_) => false,
        }
    }
}

/// What is asked for.
pub(crate) struct Order<'a> {
    pub(crate) network: Network,
    pub(crate) window: SyncWindow,
    pub(crate) requested_by: &'a str,
    /// Read and compute, and leave everything as it is.
    pub(crate) dry_run: bool,
}

/// Whether the ends of a window are swapped: it holds no day, and a pull of it would read nothing and succeed.
pub(crate) fn is_swapped(window: SyncWindow) -> bool {
    match window {
        SyncWindow::SinceCursor => false,
        SyncWindow::ActionDates { from, to } => from > to,
        SyncWindow::DaysBack { nearest, farthest } => nearest > farthest,
    }
}

/// Hears how far a pull is: rows read, and the network's count.
pub(crate) type Progress<'a> = &'a mut (dyn FnMut(u64, Option<u64>) + Send);

/// What a pull came to.
#[derive(Debug, Default)]
pub(crate) struct Pulled {
    pub(crate) applied: Applied,
    pub(crate) pages: u64,
    pub(crate) windows: Vec<Window>,
}

/// Pulls. A run of the same order that was cut off is taken up first.
pub(crate) async fn pull(
    parts: &Parts,
    order: &Order<'_>,
    shutdown: &CancellationToken,
    progress: Progress<'_>,
) -> Result<Pulled, PullError> {
    let outcome = read(parts, order, shutdown, progress).await;
    if let Some(error) = outcome.as_ref().err().and_then(PullError::of_network) {
        note_error(parts, order.network, order.requested_by, error).await;
    }
    outcome
}

async fn read(
    parts: &Parts,
    order: &Order<'_>,
    shutdown: &CancellationToken,
    progress: Progress<'_>,
) -> Result<Pulled, PullError> {
    let network = parts.network(order.network).ok_or(PullError::NotSetUp(order.network))?;
    // Held until this function returns.
    let right = sync::lock(&parts.pool, order.network).await?;
    let Some(_right) = right else { return Err(PullError::Busy(order.network)) };
    let requested = serde_json::to_value(order.window)?;
    let reading = Reading { parts, network, order, shutdown };
    let mut pulled = Pulled::default();
    let mut taken_up = None;
    if !order.dry_run
        && let Some(run) = left_over(parts, order, &requested).await?
    {
        let window: Window = serde_json::from_value(run.window.clone())?;
        tracing::info!(network = %order.network, run.id = %run.id, pages = run.pages, "the pull goes on");
        let (turn, cursor) = (run.turn(), run.cursor.map(Cursor::from_text));
        reading.window(Some(turn), window, cursor, progress, &mut pulled).await?;
        taken_up = Some(window);
    }
    let windows = windows(parts, &*reading.network, order).await?;
    // What the order lists before the window that was taken up was read before it. One of another day stands for none of today's.
    let place = taken_up.and_then(|read| windows.iter().position(|window| stands_for(read, *window)));
    for window in windows.into_iter().skip(place.map_or(0, |place| place + 1)) {
        let run = if order.dry_run {
            None
        } else {
            let window = serde_json::to_value(window)?;
            let client = parts.pool.get().await?;
            Some(sync::begin(&client, order.network, &requested, &window, order.requested_by).await?)
        };
        reading.window(run, window, None, progress, &mut pulled).await?;
    }
    Ok(pulled)
}

/// Gives up the run of a network that was left open.
pub(crate) async fn give_up(parts: &Parts, network: Network, error: &str) -> Result<(), PullError> {
    let Some(_right) = sync::lock(&parts.pool, network).await? else { return Ok(()) };
    let client = parts.pool.get().await?;
    if let Some(run) = sync::running(&client, network).await? {
        sync::finish(&client, run.turn(), Outcome::Failed, Some(error)).await?;
    }
    Ok(())
}

/// The windows that an order comes to today.
async fn windows(parts: &Parts, network: &dyn AffiliateNetwork, order: &Order<'_>) -> Result<Vec<Window>, PullError> {
    let now = parts.clock.now();
    let today = india_day(now);
    Ok(match order.window {
        SyncWindow::SinceCursor => {
            let read_up_to = sync::cursor(&parts.pool.get().await?, order.network).await?;
            lookback::due(network.tells_updates(), read_up_to, now)
        }
        SyncWindow::ActionDates { from, to } => vec![Window::ActionDates { from, to }],
        SyncWindow::DaysBack { nearest, farthest } => vec![Window::ActionDates {
            from: today - TimeDelta::days(farthest.into()),
            to: today - TimeDelta::days(nearest.into()),
        }],
    })
}

/// Whether nothing is left to read of a window when another one was read. What changed meanwhile is the next day's.
fn stands_for(read: Window, window: Window) -> bool {
    match (read, window) {
        (Window::UpdatedSince { to: read, .. }, Window::UpdatedSince { to, .. }) => india_day(read) == india_day(to),
        _ => read == window,
    }
}

/// The run that was cut off, taken up, if it is of this order; one of another order is given up.
async fn left_over(parts: &Parts, order: &Order<'_>, requested: &Value) -> Result<Option<Run>, StoreError> {
    let client = parts.pool.get().await?;
    let Some(run) = sync::running(&client, order.network).await? else { return Ok(None) };
    if run.requested == *requested {
        // As it is by then: whoever had it may have come a page further.
        return sync::resume(&client, run.id).await;
    }
    sync::finish(&client, run.turn(), Outcome::Abandoned, Some("cut off, and something else was asked for")).await?;
    Ok(None)
}

/// Reads the windows of one order.
struct Reading<'a> {
    parts: &'a Parts,
    network: Arc<dyn AffiliateNetwork>,
    order: &'a Order<'a>,
    shutdown: &'a CancellationToken,
}

impl Reading<'_> {
    /// Reads a window from a cursor to its end. Without a run nothing is kept. While a page is written, the next one is
    /// asked for.
    async fn window(
        &self,
        turn: Option<Turn>,
        window: Window,
        cursor: Option<Cursor>,
        progress: Progress<'_>,
        pulled: &mut Pulled,
    ) -> Result<(), PullError> {
        let is_resumed = cursor.is_some();
        let before = self.aggregate(window).await?;
        let mut tally = Tally::default();
        let mut following = Some(self.ask(window, cursor.as_ref()).await?);
        while let Some(page) = following.take() {
            let next = page.next.clone();
            let total = page.total;
            if turn.is_none() {
                tally.add(&page);
            }
            let ask = async {
                match &next {
                    Some(next) => self.ask(window, Some(next)).await.map(Some),
                    None => Ok(None),
                }
            };
            let (applied, asked) = tokio::join!(self.page(turn, page), ask);
            let applied = applied?;
            pulled.pages += 1;
            pulled.applied.quarantined += applied.quarantined;
            pulled.applied.settled.add(applied.settled);
            progress(pulled.applied.settled.read + pulled.applied.quarantined, total);
            following = asked?;
        }
        let after = self.aggregate(window).await?;
        if let Some(turn) = turn {
            tally = self.tally(turn.run).await?;
        }
        if let (Some(before), Some(after)) = (before, after) {
            // What the network counted before a run was cut off is gone; its rows must agree with what it counts now.
            let before = if is_resumed { &after } else { &before };
            match tally.against(before, &after) {
                TieOut::Agrees => {}
                TieOut::Moving => return Err(PullError::Moving(self.order.network)),
                TieOut::Differs(how) => return Err(PullError::Differs(self.order.network, how)),
            }
        }
        pulled.windows.push(window);
        if let Some(turn) = turn {
            self.succeed(turn, window).await?;
        }
        Ok(())
    }

    async fn ask(&self, window: Window, cursor: Option<&Cursor>) -> Result<Page, PullError> {
        if self.shutdown.is_cancelled() {
            return Err(PullError::Interrupted);
        }
        self.network.page(window, cursor).await.map_err(self.network_error())
    }

    async fn page(&self, turn: Option<Turn>, page: Page) -> Result<Applied, PullError> {
        let checks: Vec<_> = page.check.iter().map(check_row).collect();
        let next = page.next.as_ref().map(Cursor::as_text);
        let of = turn.map(|turn| PageOf { turn, next, checks: &checks });
        apply(self.parts, self.order.network, page.rows, "pull", of, turn.is_none()).await.map_err(
            |error| match error {
                // The right to pull went with its connection, and somebody else has it.
                ApplyError::TakenUp => PullError::Busy(self.order.network),
                error => PullError::Apply(self.order.network, error),
            },
        )
    }

    /// The network's own sums; `None` where it tells none.
    async fn aggregate(&self, window: Window) -> Result<Option<Aggregate>, PullError> {
        match self.network.aggregate(window).await {
            Ok(aggregate) => Ok(Some(aggregate)),
            Err(NetworkError::Unsupported { .. }) => Ok(None),
            Err(error) => Err(self.network_error()(error)),
        }
    }

    async fn tally(&self, run: SyncRunId) -> Result<Tally, PullError> {
        let rows = sync::check_rows(&self.parts.pool.get().await?, run).await?;
        let check = rows.into_iter().map(check_value).collect();
        let mut tally = Tally::default();
        tally.add(&Page { rows: Vec::new(), next: None, total: None, check });
        Ok(tally)
    }

    /// Ends the run and moves the cursor, in one transaction.
    async fn succeed(&self, turn: Turn, window: Window) -> Result<(), PullError> {
        let mut client = self.parts.pool.get().await?;
        let transaction = client.transaction().await.map_err(StoreError::from)?;
        if !sync::finish(&transaction, turn, Outcome::Succeeded, None).await? {
            return Err(PullError::Busy(self.order.network));
        }
        if let (SyncWindow::SinceCursor, Window::UpdatedSince { to, .. }) = (self.order.window, window) {
            sync::set_cursor(&transaction, self.order.network, to, turn.run).await?;
        }
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    fn network_error(&self) -> impl FnOnce(NetworkError) -> PullError + use<> {
        let network = self.order.network;
        move |error| PullError::Network(network, error)
    }
}

fn check_row(value: &CheckValue) -> CheckRow {
    let commission = value.commission.map(|(currency, amount)| (currency.as_str().to_owned(), amount.to_string()));
    CheckRow { external_id: value.external_id.clone(), commission }
}

fn check_value(row: CheckRow) -> CheckValue {
    let read = |(currency, amount): (String, String)| Some((Currency::parse(&currency)?, amount.parse().ok()?));
    CheckValue { external_id: row.external_id, commission: row.commission.and_then(read) }
}

//! Networks to ask, and the reading of a whole window.

use std::sync::Arc;

use chrono::NaiveDate;
use config::{Reader, Source};
use domain::clock::{Clock, SystemClock};
use domain::network::Network;
use domain::transaction::{NetworkTransaction, Quarantined, ReportedRow};
use networks::{AffiliateNetwork, Foundation, NetworkError, Settings, Tally, TieOut, Window};
use outbound::oauth::MemoryTokenStore;

/// The page size that the tests ask for; no network is asked for less than it takes.
const PAGE_SIZE: &str = "100";

/// A network's API as it can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Admitad,
    Vcommission,
    /// The seed's older path, in one of its formats.
    OldVcommission(&'static str),
    CuelinksV3,
    CuelinksV2,
}

impl Api {
    pub(crate) const ALL: [Self; 7] = [
        Self::Admitad,
        Self::Vcommission,
        Self::OldVcommission("json"),
        Self::OldVcommission("csv"),
        Self::OldVcommission("xml"),
        Self::CuelinksV3,
        Self::CuelinksV2,
    ];

    /// One for each network.
    pub(crate) const MAIN: [Self; 3] = [Self::Admitad, Self::Vcommission, Self::CuelinksV3];

    pub(crate) const fn network(self) -> Network {
        match self {
            Self::Admitad => Network::Admitad,
            Self::Vcommission | Self::OldVcommission(_) => Network::Vcommission,
            Self::CuelinksV3 | Self::CuelinksV2 => Network::Cuelinks,
        }
    }

    /// Where the simulator plays it.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Admitad => "/admitad",
            Self::Vcommission | Self::OldVcommission(_) => "/vcommission",
            Self::CuelinksV3 => "/cuelinks/pub_api/v3",
            Self::CuelinksV2 => "/cuelinks/api/v2",
        }
    }

    /// The network at this address, with what a test sets besides.
    pub(crate) fn at(self, base: &str, more: &[(&str, &str)]) -> Arc<dyn AffiliateNetwork> {
        self.with_clock(base, more, Arc::new(SystemClock))
    }

    pub(crate) fn with_clock(
        self,
        base: &str,
        more: &[(&str, &str)],
        clock: Arc<dyn Clock>,
    ) -> Arc<dyn AffiliateNetwork> {
        let mut pairs = vec![
            ("PROVIDER_RETRY_FIRST_MS", "5"),
            ("PROVIDER_RETRY_LONGEST_MS", "2000"),
            ("OUTBOUND_TIMEOUT_MS", "5000"),
            ("FX_RATE_USD", "84.10"),
        ];
        match self {
            Self::Admitad => pairs.extend([
                ("ADMITAD_CLIENT_ID", "client"),
                ("ADMITAD_CLIENT_SECRET", "secret"),
                ("ADMITAD_BASE_URL", base),
                ("ADMITAD_PAGE_SIZE", PAGE_SIZE),
                ("ADMITAD_CALLS_PER_MINUTE", "1000000"),
                ("ADMITAD_RATE_LIMIT_WAIT_MS", "20"),
            ]),
            Self::Vcommission | Self::OldVcommission(_) => pairs.extend([
                ("VCOMMISSION_API_KEY", "key"),
                ("VCOMMISSION_BASE_URL", base),
                ("VCOMMISSION_PAGE_SIZE", PAGE_SIZE),
                ("VCOMMISSION_CALLS_PER_MINUTE", "1000000"),
            ]),
            Self::CuelinksV3 | Self::CuelinksV2 => pairs.extend([
                ("CUELINKS_API_KEY", "key"),
                ("CUELINKS_API", if self == Self::CuelinksV2 { "v2" } else { "v3" }),
                ("CUELINKS_BASE_URL", base),
                ("CUELINKS_PAGE_SIZE", PAGE_SIZE),
                ("CUELINKS_CALLS_PER_MINUTE", "1000000"),
            ]),
        }
        if let Self::OldVcommission(format) = self {
            pairs.extend([("VCOMMISSION_PATH", "/api/transactions"), ("VCOMMISSION_FORMAT", format)]);
        }
        pairs.extend(more);
        let source = Pairs(pairs);
        let mut reader = Reader::new(&source);
        let settings = Settings::read(&mut reader);
        let settings = reader.finish(settings).expect("good settings");
        let foundation = Foundation { tokens: Arc::new(MemoryTokenStore::default()), clock };
        networks::all(&settings, &foundation).unwrap().pop().expect("one network")
    }
}

/// Settings; of two with one name the later counts.
struct Pairs<'a>(Vec<(&'a str, &'a str)>);

impl Source for Pairs<'_> {
    fn get(&self, key: &str) -> Option<String> {
        self.0.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        self.0.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// What a window held.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) transactions: Vec<NetworkTransaction>,
    pub(crate) put_aside: Vec<Quarantined>,
    pub(crate) pages: usize,
    pub(crate) tally: Tally,
}

impl Read {
    /// The ids, sorted, each once.
    pub(crate) fn ids(&self) -> Vec<String> {
        let ids = self.transactions.iter().map(|transaction| transaction.external_id.clone());
        let mut ids: Vec<_> = ids.chain(self.put_aside.iter().filter_map(|row| row.external_id.clone())).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    pub(crate) fn take(&mut self, rows: Vec<ReportedRow>) {
        for row in rows {
            match row {
                ReportedRow::Transaction(transaction) => self.transactions.push(*transaction),
                ReportedRow::Quarantined(row) => self.put_aside.push(*row),
            }
        }
    }
}

/// Reads a window to its end; `between` is done after each page but the last.
pub(crate) async fn read_with(
    network: &dyn AffiliateNetwork,
    window: Window,
    mut between: impl AsyncFnMut(usize),
) -> Result<Read, NetworkError> {
    let mut read = Read::default();
    let mut cursor = None;
    loop {
        let page = network.page(window, cursor.as_ref()).await?;
        read.pages += 1;
        read.tally.add(&page);
        read.take(page.rows);
        match page.next {
            // A cursor is stored as text, so it must survive that.
            Some(next) => cursor = Some(networks::Cursor::from_text(next.as_text())),
            None => return Ok(read),
        }
        assert!(read.pages < 2_000, "the reading goes round in circles");
        between(read.pages).await;
    }
}

pub(crate) async fn read(network: &dyn AffiliateNetwork, window: Window) -> Result<Read, NetworkError> {
    read_with(network, window, async |_page| {}).await
}

/// Reads a window as a run does, its sums before and after included.
pub(crate) async fn tied_out(network: &dyn AffiliateNetwork, window: Window) -> (Read, TieOut) {
    let before = network.aggregate(window).await.unwrap();
    let read = read(network, window).await.unwrap();
    let after = network.aggregate(window).await.unwrap();
    let verdict = read.tally.against(&before, &after);
    (read, verdict)
}

/// Days that hold all that the tests make.
pub(crate) fn wide() -> Window {
    let today = (SystemClock.now() + chrono::TimeDelta::hours(12)).date_naive();
    Window::ActionDates { from: today - chrono::TimeDelta::days(60), to: today }
}

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

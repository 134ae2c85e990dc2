//! The outside world: everything the providers know, behind one lock.

use crate::clicks::Clicks;
use crate::deliveries::Log;
use crate::faults::Faults;
use crate::ids::Ids;
use crate::inbox::Inbox;
use crate::journal::Journal;
use crate::options::Options;
use crate::provider::{Network, Provider};
use crate::providers::{admitad, msg91, razorpay, sendgrid};
use crate::settings::Settings;
use crate::transactions::Book;
use chrono::{DateTime, Duration, Utc};
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Calls to us at one time: enough to press hard, few enough for the usual limit of open files.
const CALLS: usize = 128;

/// The simulator: the world and the means to call us.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) options: Options,
    pub(crate) http: reqwest::Client,
    /// How many calls to us may be under way at one time.
    pub(crate) calls: Semaphore,
    world: Mutex<World>,
    runtime: tokio::runtime::Handle,
    background: TaskTracker,
    stop: CancellationToken,
    epochs: AtomicU64,
}

/// What the providers know.
#[derive(Debug)]
pub(crate) struct World {
    /// Counts resets: what belongs to an older epoch is dropped.
    pub(crate) epoch: u64,
    pub(crate) settings: Settings,
    pub(crate) ids: Ids,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) inbox: Inbox,
    pub(crate) clicks: Clicks,
    pub(crate) deliveries: Log,
    pub(crate) admitad_book: Book,
    pub(crate) vcommission_book: Book,
    pub(crate) cuelinks_book: Book,
    pub(crate) admitad: admitad::State,
    pub(crate) sendgrid: sendgrid::State,
    pub(crate) msg91: msg91::State,
    pub(crate) razorpay: razorpay::State,
    rates: HashMap<Provider, Window>,
}

/// Requests counted in one minute.
#[derive(Debug, Default, Clone, Copy)]
struct Window {
    minute: i64,
    count: u32,
}

/// What a provider's rate limit says of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// When the count starts anew, unix seconds.
    pub(crate) reset: i64,
    pub(crate) exceeded: bool,
}

impl Sim {
    /// A fresh world. Background work runs on the runtime this is called from.
    pub(crate) fn new(options: Options, settings: Settings, http: reqwest::Client) -> Self {
        let world = Mutex::new(World::new(&options, settings, 0));
        Self {
            options,
            http,
            calls: Semaphore::new(CALLS),
            world,
            runtime: tokio::runtime::Handle::current(),
            background: TaskTracker::new(),
            stop: CancellationToken::new(),
            epochs: AtomicU64::new(0),
        }
    }

    /// The world. Never held over an await.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // A handler that panicked leaves at worst a half-made entry, which a test double can live with.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` beside the requests; it is dropped when the simulator stops.
    pub(crate) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let stoppable = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        };
        self.background.spawn_on(stoppable, &self.runtime);
    }

    /// Drops what runs in the background and waits until it is gone.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
    }

    /// Forgets everything but the settings, and these too when asked. Ids start anew from the seed.
    pub(crate) fn reset(&self, settings: Option<Settings>) {
        let epoch = self.epochs.fetch_add(1, Ordering::Relaxed) + 1;
        let mut world = self.world();
        let settings = settings.unwrap_or_else(|| world.settings.clone());
        *world = World::new(&self.options, settings, epoch);
    }
}

/// Shared by all handlers.
pub(crate) type Shared = actix_web::web::Data<Sim>;

/// The `Arc` inside of `Shared`, for work that outlives the request.
pub(crate) fn arc(sim: &Shared) -> Arc<Sim> {
    sim.clone().into_inner()
}

impl World {
    fn new(options: &Options, settings: Settings, epoch: u64) -> Self {
        Self {
            epoch,
            settings,
            ids: Ids::new(options.seed),
            faults: Faults::default(),
            journal: Journal::new(options.journal_limit),
            inbox: Inbox::new(options.inbox_limit),
            clicks: Clicks::default(),
            deliveries: Log::default(),
            admitad_book: Book::new(Network::Admitad, options.seed),
            vcommission_book: Book::new(Network::Vcommission, options.seed),
            cuelinks_book: Book::new(Network::Cuelinks, options.seed),
            admitad: admitad::State::default(),
            sendgrid: sendgrid::State::default(),
            msg91: msg91::State::default(),
            razorpay: razorpay::State::default(),
            rates: HashMap::new(),
        }
    }

    /// The simulated time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        crate::clock::machine() + Duration::seconds(self.settings.clock_offset_s)
    }

    /// A network's book.
    pub(crate) fn book(&self, network: Network) -> &Book {
        match network {
            Network::Admitad => &self.admitad_book,
            Network::Vcommission => &self.vcommission_book,
            Network::Cuelinks => &self.cuelinks_book,
        }
    }

    /// A network's book, to write.
    pub(crate) fn book_mut(&mut self, network: Network) -> &mut Book {
        match network {
            Network::Admitad => &mut self.admitad_book,
            Network::Vcommission => &mut self.vcommission_book,
            Network::Cuelinks => &mut self.cuelinks_book,
        }
    }

    /// Counts a request against the provider's limit.
    pub(crate) fn count_request(&mut self, provider: Provider) -> Option<Allowance> {
        let limits = self.settings.rate_per_minute;
        let limit = match provider {
            Provider::Sendgrid => limits.sendgrid,
            Provider::Msg91 => limits.msg91,
            Provider::Admitad => limits.admitad,
            Provider::Vcommission => limits.vcommission,
            Provider::Cuelinks => limits.cuelinks,
            Provider::Razorpay => limits.razorpay,
            Provider::Shop | Provider::Smtp => 0,
        };
        if limit == 0 {
            return None;
        }
        let minute = self.now().timestamp().div_euclid(60);
        let window = self.rates.entry(provider).or_default();
        if window.minute != minute {
            *window = Window { minute, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        Some(Allowance {
            limit,
            remaining: limit.saturating_sub(window.count),
            reset: (minute + 1) * 60,
            exceeded: window.count > limit,
        })
    }
}

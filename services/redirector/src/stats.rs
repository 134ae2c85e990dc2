//! `GET /stats`: what is clicked, over the last 24 hours.
//!
//! Postgres is the truth; what is still on its way there (on the list, in a worker's hand, in this process' spool) is
//! added, so that the figures are right before the flush and equal to Postgres after it.

mod chart;
mod waiting;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use base64::Engine;
use chrono::{DateTime, TimeDelta, Utc};
use config::{ExposeSecret, SecretString};
use domain::click::ClickClass;
use domain::clock::{Clock, SystemClock};
use kv::Kv;
use serde::Serialize;
use store::{Pool, StoreError};
use subtle::ConstantTimeEq;

use self::waiting::Waiting;
use crate::answers::guard;
use crate::out::Shared;
use crate::spool::Spool;

/// For how long figures are shown before they are computed anew.
const KEPT: Duration = Duration::from_secs(5);
const POSTGRES_LIMIT: Duration = Duration::from_secs(10);
const TOP: i64 = 20;

/// Clicks by class.
pub(crate) type Classes = BTreeMap<&'static str, u64>;

/// Everything that `/stats` shows.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    generated_at: DateTime<Utc>,
    since: DateTime<Utc>,
    /// Clicks of all classes.
    total: u64,
    classes: Classes,
    /// Whether Postgres and Redis both answered.
    complete: bool,
    waiting: Waiting,
    top_offers: Vec<TopOffer>,
    top_merchants: Vec<TopMerchant>,
    per_minute: Vec<Minute>,
    cache: Cache,
    process: Process,
}

#[derive(Debug, Serialize)]
struct TopOffer {
    offer_id: String,
    title: String,
    merchant: String,
    clicks: u64,
}

#[derive(Debug, Serialize)]
struct TopMerchant {
    merchant_id: String,
    name: String,
    clicks: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Minute {
    minute: DateTime<Utc>,
    #[serde(flatten)]
    classes: Classes,
}

/// How often each tier of this process' cache knew an offer.
#[derive(Debug, Serialize)]
struct Cache {
    memory: u64,
    stale: u64,
    redis: u64,
    postgres: u64,
    failed: u64,
    /// In thousandths.
    memory_hit_rate_permille: u64,
}

/// This process since its start.
#[derive(Debug, Serialize)]
struct Process {
    acknowledged: u64,
    spooled: u64,
    lost: u64,
    round_trips: u64,
    limited_and_only_counted: u64,
    classes: Classes,
}

/// Computes figures; one for all threads.
pub(crate) struct Stats {
    pool: Pool,
    kv: Kv,
    spool: Spool,
    shared: Shared,
    token: SecretString,
    latest: tokio::sync::Mutex<Option<(Instant, Arc<Figures>)>>,
}

impl Stats {
    pub(crate) fn new(pool: Pool, kv: Kv, spool: Spool, shared: Shared, token: SecretString) -> Self {
        Self { pool, kv, spool, shared, token, latest: tokio::sync::Mutex::default() }
    }

    /// The figures, at most some seconds old. Who comes while they are computed waits for the same ones.
    async fn figures(&self) -> Arc<Figures> {
        let mut latest = self.latest.lock().await;
        if let Some((at, figures)) = &*latest
            && at.elapsed() < KEPT
        {
            return figures.clone();
        }
        let figures = Arc::new(self.compute().await);
        *latest = Some((Instant::now(), figures.clone()));
        figures
    }

    async fn compute(&self) -> Figures {
        let generated_at = SystemClock.now();
        let since = generated_at.checked_sub_signed(TimeDelta::hours(24)).unwrap_or(generated_at);
        // First what waits, then what has arrived: a click that arrives in between is counted twice for some seconds,
        // never missed.
        let waiting = waiting::look(&self.kv, self.spool.level()).await;
        let recorded = tokio::time::timeout(POSTGRES_LIMIT, self.recorded(since)).await;
        let mut figures = Figures {
            generated_at,
            since,
            total: 0,
            classes: no_clicks(),
            complete: waiting.redis_answered,
            top_offers: Vec::new(),
            top_merchants: Vec::new(),
            per_minute: Vec::new(),
            cache: self.cache(),
            process: self.process(),
            waiting,
        };
        match recorded {
            Ok(Ok(recorded)) => figures.take_in(recorded),
            Ok(Err(error)) => figures.miss(&telemetry::chain(&error)),
            Err(_elapsed) => figures.miss("no answer in time"),
        }
        figures.add_waiting();
        figures
    }

    async fn recorded(&self, since: DateTime<Utc>) -> Result<Recorded, StoreError> {
        let client = self.pool.get().await?;
        Ok(Recorded {
            minutes: store::click_stats::per_minute(&client, since).await?,
            offers: store::click_stats::top_offers(&client, since, TOP).await?,
            merchants: store::click_stats::top_merchants(&client, since, TOP).await?,
        })
    }

    fn cache(&self) -> Cache {
        let hits = self.shared.catalogue.hits();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (memory, stale) = (count(&hits.memory), count(&hits.stale));
        let (redis, postgres, failed) = (count(&hits.redis), count(&hits.postgres), count(&hits.failed));
        let all = memory + stale + redis + postgres;
        let memory_hit_rate_permille = ((memory + stale) * 1_000).checked_div(all).unwrap_or(0);
        Cache { memory, stale, redis, postgres, failed, memory_hit_rate_permille }
    }

    fn process(&self) -> Process {
        let health = &self.shared.route.health;
        Process {
            acknowledged: health.acknowledged.load(Ordering::Relaxed),
            spooled: health.spooled.load(Ordering::Relaxed),
            lost: health.lost.load(Ordering::Relaxed),
            round_trips: health.round_trips.load(Ordering::Relaxed),
            limited_and_only_counted: self.shared.tally.unrecorded_count(),
            classes: self.shared.tally.classes().map(|(class, clicks)| (class.word(), clicks)).collect(),
        }
    }

    /// Whether the request has the token: as bearer, or as the password of whatever user a browser asks for.
    fn admits(&self, request: &HttpRequest) -> bool {
        let headers = request.headers();
        let password = || {
            let encoded = shopper::credentials(headers, "Basic")?;
            let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
            Some(String::from_utf8(decoded).ok()?.split_once(':')?.1.to_owned())
        };
        let given = shopper::bearer(headers).map(str::to_owned).or_else(password).unwrap_or_default();
        bool::from(given.as_bytes().ct_eq(self.token.expose_secret().as_bytes()))
    }
}

struct Recorded {
    minutes: Vec<store::click_stats::MinuteCount>,
    offers: Vec<store::click_stats::OfferCount>,
    merchants: Vec<store::click_stats::MerchantCount>,
}

impl Figures {
    fn take_in(&mut self, recorded: Recorded) {
        let count = |clicks: i64| u64::try_from(clicks).unwrap_or(0);
        let mut minutes: BTreeMap<DateTime<Utc>, Classes> = BTreeMap::new();
        for row in recorded.minutes {
            let clicks = count(row.clicks);
            self.total += clicks;
            *self.classes.entry(row.class.word()).or_default() += clicks;
            *minutes.entry(row.minute).or_default().entry(row.class.word()).or_default() += clicks;
        }
        self.per_minute = minutes.into_iter().map(|(minute, classes)| Minute { minute, classes }).collect();
        let offers = recorded.offers.into_iter().map(|offer| TopOffer {
            offer_id: offer.offer_id.to_string(),
            title: offer.title,
            merchant: offer.merchant,
            clicks: count(offer.clicks),
        });
        self.top_offers = offers.collect();
        let merchants = recorded.merchants.into_iter().map(|merchant| TopMerchant {
            merchant_id: merchant.merchant_id.to_string(),
            name: merchant.name,
            clicks: count(merchant.clicks),
        });
        self.top_merchants = merchants.collect();
    }

    fn miss(&mut self, why: &str) {
        self.complete = false;
        tracing::warn!(reason = why, "figures without what Postgres holds");
    }

    /// Adds what has not arrived yet. What no class is known of (in hand, or beyond the part of a long list that is
    /// read) is shared out as the known part is.
    fn add_waiting(&mut self) {
        let waiting = &self.waiting;
        self.total += waiting.total();
        for (class, clicks) in &waiting.classes {
            *self.classes.entry(class).or_default() += clicks;
        }
        for (minute, classes) in &waiting.minutes {
            match self.per_minute.iter_mut().find(|known| known.minute == *minute) {
                Some(known) => {
                    classes.iter().for_each(|(class, clicks)| *known.classes.entry(class).or_default() += clicks);
                }
                None => self.per_minute.push(Minute { minute: *minute, classes: classes.clone() }),
            }
        }
        self.per_minute.sort_by_key(|minute| minute.minute);
        for offer in &mut self.top_offers {
            offer.clicks += waiting.offers.get(&offer.offer_id).copied().unwrap_or(0);
        }
        for merchant in &mut self.top_merchants {
            merchant.clicks += waiting.merchants.get(&merchant.merchant_id).copied().unwrap_or(0);
        }
        for (offer_id, clicks) in &waiting.offers {
            if !self.top_offers.iter().any(|known| known.offer_id == *offer_id) {
                self.top_offers.push(TopOffer {
                    offer_id: offer_id.clone(),
                    title: String::new(),
                    merchant: String::new(),
                    clicks: *clicks,
                });
            }
        }
        for (merchant_id, clicks) in &waiting.merchants {
            if !self.top_merchants.iter().any(|known| known.merchant_id == *merchant_id) {
                self.top_merchants.push(TopMerchant {
                    merchant_id: merchant_id.clone(),
                    name: String::new(),
                    clicks: *clicks,
                });
            }
        }
        self.top_offers
            .sort_by(|one, other| other.clicks.cmp(&one.clicks).then_with(|| one.offer_id.cmp(&other.offer_id)));
        self.top_merchants
            .sort_by(|one, other| other.clicks.cmp(&one.clicks).then_with(|| one.merchant_id.cmp(&other.merchant_id)));
        self.top_offers.truncate(usize::try_from(TOP).unwrap_or(usize::MAX));
        self.top_merchants.truncate(usize::try_from(TOP).unwrap_or(usize::MAX));
    }
}

/// Every class with no clicks.
fn no_clicks() -> Classes {
    ClickClass::ALL.into_iter().map(|class| (class.word(), 0)).collect()
}

#[derive(Template)]
#[template(path = "stats.html")]
struct Page<'a> {
    figures: &'a Figures,
    minutes: String,
    classes: Vec<(&'static str, u64, u64)>,
    at: String,
    rate: String,
    per_round_trip: String,
}

impl<'a> Page<'a> {
    fn of(figures: &'a Figures) -> Self {
        let most = figures.classes.values().copied().max().unwrap_or(0).max(1);
        let mut per_round_trip = String::new();
        let tenths = (figures.process.acknowledged * 10).checked_div(figures.process.round_trips).unwrap_or(0);
        let _infallible = write!(per_round_trip, "{}.{}", tenths / 10, tenths % 10);
        let permille = figures.cache.memory_hit_rate_permille;
        Self {
            minutes: chart::minutes(figures.since, &figures.per_minute),
            classes: figures.classes.iter().map(|(class, clicks)| (*class, *clicks, clicks * 100 / most)).collect(),
            at: figures.generated_at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            rate: format!("{}.{} %", permille / 10, permille % 10),
            per_round_trip,
            figures,
        }
    }
}

/// The handler: a page for browsers, JSON for everybody else.
pub(crate) async fn stats(request: HttpRequest, stats: web::Data<Option<Stats>>) -> HttpResponse {
    let Some(stats) = stats.get_ref() else {
        return chassis::problem::Problem::new(
            StatusCode::NOT_FOUND,
            "stats-off",
            "There is no REDIRECT_STATS_TOKEN, so the figures are off",
        )
        .response();
    };
    if !stats.admits(&request) {
        let problem =
            chassis::problem::Problem::new(StatusCode::UNAUTHORIZED, "token-needed", "The figures need the token");
        let mut response = problem.response();
        let challenge = header::HeaderValue::from_static("Basic realm=\"figures\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    }
    let figures = stats.figures().await;
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut response = HttpResponse::Ok();
    guard(&mut response);
    if !accept.contains("text/html") {
        return response.json(&*figures);
    }
    match Page::of(&figures).render() {
        Ok(page) => response
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ))
            .body(page),
        Err(error) => {
            tracing::error!(%error, "the page of figures cannot be written");
            response.json(&*figures)
        }
    }
}

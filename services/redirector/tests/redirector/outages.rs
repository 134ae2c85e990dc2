//! Redis goes, the process is killed, the spool is full: no click whose redirect was sent is missing.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::ids::ClickId;
use testkit::{Service, eventually_true};

use crate::shop::{PHONE, Shop, click_in};
use crate::way::Way;

const SOON: Duration = Duration::from_secs(30);

/// Shoppers who click all the time.
struct Crowd {
    sent: Arc<Mutex<HashSet<ClickId>>>,
    failed: Arc<Mutex<Vec<String>>>,
    enough: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    /// About `per_second` clicks by 20 shoppers, each from an address of its own.
    fn start(shop: &Shop, service: &Service, per_second: u32) -> Self {
        let (sent, failed) = (Arc::<Mutex<HashSet<ClickId>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let enough = Arc::new(AtomicBool::new(false));
        let url = format!("{}/out/{}", service.http(), shop.offer.id);
        let shopper = |number: u32| {
            let (http, url, sent, failed, enough) =
                (testkit::http(), url.clone(), sent.clone(), failed.clone(), enough.clone());
            async move {
                let mut pace = tokio::time::interval(Duration::from_secs(20) / per_second);
                let mut round = 0_u32;
                while !enough.load(Ordering::Relaxed) {
                    pace.tick().await;
                    round += 1;
                    let client = format!("10.{number}.{}.{}", round / 250 % 250, round % 250);
                    match http.get(&url).header("x-forwarded-for", client).header("user-agent", PHONE).send().await {
                        Ok(answer) if answer.status() == 302 => {
                            let fresh = sent.lock().unwrap().insert(click_in(&answer));
                            assert!(fresh, "two shoppers have one click id");
                        }
                        Ok(answer) => failed.lock().unwrap().push(answer.status().to_string()),
                        Err(error) => failed.lock().unwrap().push(error.to_string()),
                    }
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "tests have no tracker")]
        let tasks = (0..20).map(|number| tokio::spawn(shopper(number))).collect();
        Self { sent, failed, enough, tasks }
    }

    fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Waits for `more` further redirects.
    async fn go_on(&self, more: usize) {
        let goal = self.count() + more;
        eventually_true("more redirects", SOON, async || self.count() >= goal).await;
    }

    /// Everybody stops; gives the clicks that were answered with a redirect, and what else was answered.
    async fn stop(self) -> (HashSet<ClickId>, Vec<String>) {
        self.enough.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        (self.sent.lock().unwrap().clone(), self.failed.lock().unwrap().clone())
    }
}

async fn all_arrive(shop: &Shop, sent: &HashSet<ClickId>) {
    eventually_true("every click in Redis", SOON, async || shop.click_ids().await.is_superset(sent)).await;
}

#[tokio::test]
async fn serial_redis_stops_under_load_and_no_click_is_lost() {
    let mut shop = Shop::open().await;
    let service = shop.redirector(&[]);
    let crowd = Crowd::start(&shop, &service, 1_000);
    crowd.go_on(300).await;
    shop.redis.stop();
    crowd.go_on(2_000).await;
    shop.redis.start_again();
    crowd.go_on(300).await;
    let (sent, failed) = crowd.stop().await;
    assert!(failed.is_empty(), "{failed:?}");
    all_arrive(&shop, &sent).await;
    assert!(service.logs().contains("they are spooled") && service.logs().contains("spooled clicks are in Redis"));
    eventually_true("an empty spool", SOON, async || segments(&shop).is_empty()).await;
    // Only what was on its way when Redis went may be there twice; Postgres keeps each id once.
    let (elements, clicks) = (shop.clicks().await.len(), shop.click_ids().await.len());
    assert_eq!(clicks, sent.len());
    assert!(elements - clicks <= 40, "{elements} elements for {clicks} clicks");
}

/// Redis is away for `REDIS_AWAY_SECONDS`, 4 unless told otherwise.
#[tokio::test]
async fn serial_after_an_outage_postgres_has_every_click_once() {
    let seconds: usize = std::env::var("REDIS_AWAY_SECONDS").map_or(4, |text| text.parse().unwrap());
    let mut shop = Shop::open().await;
    let service = shop.redirector(&[]);
    let flush = Service::start(
        "cashback-sync",
        &[("DATABASE_URL", &shop.database.url()), ("REDIS_URL", &shop.redis.url()), ("CLICK_FLUSH_INTERVAL_MS", "250")],
    );
    let crowd = Crowd::start(&shop, &service, 1_000);
    crowd.go_on(1_000).await;
    shop.redis.stop();
    for _ in 0..seconds {
        crowd.go_on(1_000).await;
    }
    shop.redis.start_again();
    crowd.go_on(1_000).await;
    let (sent, failed) = crowd.stop().await;
    assert!(failed.is_empty(), "{failed:?}");
    assert!(sent.len() >= (seconds + 2) * 1_000);
    let client = shop.database.pool().get().await.unwrap();
    let stored = async || -> Vec<ClickId> {
        let rows = client.query("SELECT id FROM affiliate_clicks", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    eventually_true("every click in Postgres", SOON * 2, async || stored().await.len() >= sent.len()).await;
    // Nothing comes after that either: spool and list are empty.
    eventually_true("an empty spool", SOON, async || segments(&shop).is_empty() && shop.clicks().await.is_empty())
        .await;
    let stored = stored().await;
    assert_eq!(stored.iter().copied().collect::<HashSet<_>>(), sent, "none lost, none from nowhere");
    assert_eq!(stored.len(), sent.len(), "none twice");
    drop(flush);
}

#[tokio::test]
async fn serial_a_redis_that_hangs_holds_nobody_up_for_long() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[]);
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    let hang = |signal: &str| {
        let id = shop.redis.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
    };
    hang("-STOP");
    let begin = std::time::Instant::now();
    let answer = shop.click(&service, shop.offer.id, "192.0.2.8").send().await.unwrap();
    let took = begin.elapsed();
    hang("-CONT");
    assert_eq!(answer.status(), 302);
    assert!(took < Duration::from_secs(2), "{took:?}");
    all_arrive(&shop, &HashSet::from([click_in(&answer)])).await;
}

/// How many round trips with clicks there were.
async fn round_trips(shop: &Shop, service: &Service) -> usize {
    let metrics = shop.http.get(format!("{}/metrics", service.ops())).send().await.unwrap().text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with("clicks_round_trips_total"));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn serial_a_redis_that_hangs_with_two_batches_under_way_loses_none() {
    let shop = Shop::open().await;
    let service = shop.redirector(&[("HTTP_WORKERS", "1"), ("REDIRECT_REDIS_PATIENCE_MS", "3000")]);
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    let before = round_trips(&shop, &service).await;
    shop.redis.signal("STOP");
    let mut clicks = tokio::task::JoinSet::new();
    // One click, beside it a batch that is worth it, and what waits for both.
    for (number, under_way) in [(1, 1), (40, 2), (40, 2)] {
        for client in 0..number {
            clicks.spawn(shop.click(&service, shop.offer.id, &format!("198.51.100.{client}")).send());
        }
        let goal = before + under_way;
        eventually_true("as many under way", SOON, async || round_trips(&shop, &service).await == goal).await;
    }
    let mut sent = HashSet::new();
    while let Some(answer) = clicks.join_next().await {
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), 302);
        sent.insert(click_in(&answer));
    }
    assert_eq!(round_trips(&shop, &service).await, before + 2, "the rest is spooled");
    shop.redis.signal("CONT");
    assert_eq!(sent.len(), 81);
    all_arrive(&shop, &sent).await;
    assert_eq!(service.logs().matches("Redis does not take clicks").count(), 1, "one line was lost");
}

#[tokio::test]
async fn serial_a_batch_that_fails_late_does_not_cost_the_next_connection() {
    let shop = Shop::open().await;
    let way = Way::to(shop.redis.port()).await;
    let settings = [("REDIS_URL", way.url.as_str()), ("HTTP_WORKERS", "1"), ("REDIRECT_REDIS_PATIENCE_MS", "30000")];
    let service = shop.redirector(&settings);
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    let before = round_trips(&shop, &service).await;
    way.hold();
    let mut clicks = tokio::task::JoinSet::new();
    for (number, under_way) in [(1, 1), (40, 2)] {
        for client in 0..number {
            clicks.spawn(shop.click(&service, shop.offer.id, &format!("198.51.100.{client}")).send());
        }
        let goal = before + under_way;
        eventually_true("as many under way", SOON, async || round_trips(&shop, &service).await == goal).await;
    }
    way.refuse().await;
    eventually_true("the next connection", SOON, async || service.logs().contains("Redis takes clicks again")).await;
    way.cut();
    let mut sent = HashSet::new();
    while let Some(answer) = clicks.join_next().await {
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), 302);
        sent.insert(click_in(&answer));
    }
    assert_eq!(sent.len(), 41);
    all_arrive(&shop, &sent).await;
    assert_eq!(service.logs().matches("Redis does not take clicks").count(), 1, "{}", service.logs());
}

#[tokio::test]
async fn serial_killed_in_the_middle_of_a_load_it_has_every_click_it_redirected() {
    let shop = Shop::open().await;
    let mut service = shop.redirector(&[]);
    let crowd = Crowd::start(&shop, &service, 1_500);
    crowd.go_on(1_000).await;
    service.process().kill();
    let (sent, failed) = crowd.stop().await;
    assert!(sent.len() > 1_000 && !failed.is_empty());
    let there = shop.click_ids().await;
    assert_eq!(sent.difference(&there).count(), 0);
}

#[tokio::test]
async fn serial_killed_with_a_spool_the_next_one_replays_it() {
    let mut shop = Shop::open().await;
    let mut service = shop.redirector(&[]);
    // Known before Redis goes; from then on only the disk has the clicks.
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    shop.redis.stop();
    let crowd = Crowd::start(&shop, &service, 1_500);
    crowd.go_on(1_500).await;
    service.process().kill();
    let (sent, _) = crowd.stop().await;
    assert!(!segments(&shop).is_empty());
    // Started while Redis is still away, and another replica beside it: it works, and waits with the replay.
    let next = shop.redirector(&[]);
    let beside = shop.redirector(&[]);
    for service in [&next, &beside] {
        assert_eq!(shop.click(service, shop.offer.id, "192.0.2.7").send().await.unwrap().status(), 302);
    }
    shop.redis.start_again();
    all_arrive(&shop, &sent).await;
    eventually_true("an empty spool", SOON, async || segments(&shop).is_empty()).await;
    let (elements, clicks) = (shop.clicks().await.len(), shop.click_ids().await.len());
    assert_eq!(elements, clicks, "replayed once");
}

#[tokio::test]
async fn serial_what_a_killed_replay_left_behind_is_not_taken_for_a_new_segment() {
    let mut shop = Shop::open().await;
    let slot = shop.spool.path().join("slot-0");
    std::fs::create_dir(&slot).unwrap();
    // Killed between removing a segment and the file that says how far it was pushed.
    std::fs::write(slot.join("0000000000000001.pushed"), "4194304").unwrap();
    std::fs::write(slot.join("0000000000000002.damaged"), "for a person to look at").unwrap();
    let service = shop.redirector(&[]);
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    shop.redis.stop();
    let answer = shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    assert_eq!(answer.status(), 302);
    shop.redis.start_again();
    all_arrive(&shop, &HashSet::from([click_in(&answer)])).await;
    assert_eq!(std::fs::read_to_string(slot.join("0000000000000002.damaged")).unwrap(), "for a person to look at");
}

#[tokio::test]
async fn a_torn_segment_is_set_aside_and_takes_nobody_out_of_service() {
    let shop = Shop::open().await;
    let slot = shop.spool.path().join("slot-0");
    std::fs::create_dir(&slot).unwrap();
    let file = |name: &str| slot.join(name);
    std::fs::write(file("0000000000000001.clicks"), "torn by a power cut").unwrap();
    std::fs::write(file("0000000000000002.clicks"), "").unwrap();
    let service = shop.redirector(&[]);
    eventually_true("both are looked at", SOON, async || {
        file("0000000000000001.damaged").exists() && !file("0000000000000002.clicks").exists()
    })
    .await;
    eventually_true("it is told", SOON, async || service.logs().contains("is set aside")).await;
    let ops = async |path: &str| shop.http.get(format!("{}{path}", service.ops())).send().await.unwrap();
    let metrics = ops("/metrics").await.text().await.unwrap();
    let is_told = |line: &str| line.starts_with("clicks_spool_damaged") && line.ends_with(" 1");
    assert!(metrics.lines().any(is_told), "{metrics}");
    assert_eq!(ops("/readyz").await.status(), 200, "it works as before");
}

#[tokio::test]
async fn serial_a_full_spool_sends_nobody_off_without_a_record() {
    let mut shop = Shop::open().await;
    let service = shop.redirector(&[("REDIRECT_SPOOL_MAX_BYTES", "4000"), ("REDIRECT_LIMIT", "100000")]);
    shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
    shop.redis.stop();
    let mut sent = HashSet::new();
    let mut refused = 0;
    for _ in 0..20 {
        let answer = shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap();
        match answer.status().as_u16() {
            302 => assert!(sent.insert(click_in(&answer))),
            503 => {
                refused += 1;
                assert_eq!(answer.headers()["retry-after"], "5");
                assert!(answer.text().await.unwrap().contains("click-not-recorded"));
            }
            other => panic!("{other}"),
        }
    }
    assert!(!sent.is_empty() && refused > 0, "{} sent, {refused} refused", sent.len());
    shop.redis.start_again();
    all_arrive(&shop, &sent).await;
    eventually_true("room in the spool", SOON, async || {
        shop.click(&service, shop.offer.id, "192.0.2.7").send().await.unwrap().status() == 302
    })
    .await;
}

/// The files with clicks in the spool.
pub(crate) fn segments(shop: &Shop) -> Vec<std::path::PathBuf> {
    let slots = std::fs::read_dir(shop.spool.path()).unwrap().filter_map(Result::ok);
    let files = slots.flat_map(|slot| std::fs::read_dir(slot.path()).unwrap().filter_map(Result::ok));
    files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|kind| kind != "pushed")).collect()
}

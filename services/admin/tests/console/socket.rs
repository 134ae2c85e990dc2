//! Shoppers' sockets: who may open one, what comes on it, what is missed.

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use domain::ids::{OrderId, UserId};
use domain::jobs::event::{NotifyShopper, ShopperEvent};
use domain::money::Paise;
use futures_util::StreamExt as _;
use hmac::{Hmac, KeyInit, Mac};
use kv::redis;
use queue::{Enqueue, Producer};
use serde_json::{Value, json};
use sha2::Sha256;
use store::outbox::{self, Lane};
use testkit::{Service, eventually};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::stage::{SOON, Stage};

const SECRET: &str = "a-session-secret-of-decent-length";
const SETTINGS: &[(&str, &str)] =
    &[("JWT_SECRET", SECRET), ("WS_ORIGINS", "https://shop.example.in"), ("HTTP_STALL_SECONDS", "1")];

fn token(user: UserId, seconds: i64) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "sub": user, "exp": Utc::now().timestamp() + seconds });
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&claims));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A socket of a shopper's.
struct Socket {
    stream: WebSocketStream<TcpStream>,
}

/// Opens one with these headers; the status when it is refused.
async fn knock(service: &Service, query: &str, headers: &[(&str, String)], buffer: Option<u32>) -> Result<Socket, u16> {
    let address = service.http().trim_start_matches("http://").to_owned();
    let mut request = format!("ws://{address}/ws{query}").into_client_request().unwrap();
    for (name, value) in headers {
        let name: reqwest::header::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(size) = buffer {
        socket.set_recv_buffer_size(size).unwrap();
    }
    let tcp = socket.connect(address.parse().unwrap()).await.unwrap();
    match tokio_tungstenite::client_async(request, tcp).await {
        Ok((stream, _)) => Ok(Socket { stream }),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn open(service: &Service, user: UserId, query: &str) -> Socket {
    knock(service, query, &[("authorization", format!("Bearer {}", token(user, 60)))], None).await.unwrap()
}

impl Socket {
    /// The next frame of text, or `None` when the socket was closed.
    async fn next(&mut self) -> Option<Value> {
        loop {
            match tokio::time::timeout(SOON, self.stream.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    async fn hello(&mut self) -> Value {
        let hello = self.next().await.unwrap();
        assert_eq!(hello["type"], "hello", "{hello}");
        hello
    }

    /// The next event's amount, and its place.
    async fn amount(&mut self) -> (i64, String) {
        let frame = self.next().await.unwrap();
        assert_eq!(
            (&frame["type"], &frame["event"]["type"]),
            (&json!("event"), &json!("cashback_credited")),
            "{frame}"
        );
        assert!(frame["at"].as_str().unwrap().starts_with("20"), "{frame}");
        (frame["event"]["amount"].as_i64().unwrap(), frame["id"].as_str().unwrap().to_owned())
    }
}

fn credited(user_id: UserId, paise: i64, merchant: &str) -> NotifyShopper {
    let (amount, balance) = (Paise::new(paise), Paise::new(99_999));
    NotifyShopper { user_id, event: ShopperEvent::CashbackCredited { merchant: merchant.to_owned(), amount, balance } }
}

/// Promises an event, as services do.
async fn promise(stage: &Stage, news: &NotifyShopper) {
    let client = stage.pool.get().await.unwrap();
    outbox::push(&client, news, Lane::Normal).await.unwrap();
}

/// How many events are in a shopper's log.
async fn kept(stage: &Stage, user: UserId) -> usize {
    let length = redis::cmd("XLEN").arg(kv::keys::shopper_events(user)).query_async(&mut stage.kv.commands()).await;
    length.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_opened_by_its_shopper_from_the_shops_pages() {
    let stage = Stage::start_with(SETTINGS).await;
    let (asha, service) = (UserId::generate(), &stage.service);
    let good = token(asha, 60);
    let cookie = ("cookie", format!("token={good}"));
    let origin = |origin: &str| ("origin", origin.to_owned());
    for refused in [
        vec![],
        vec![("authorization", format!("Bearer {good}x"))],
        vec![("authorization", format!("Bearer {}", token(asha, -600)))],
    ] {
        assert_eq!(knock(service, "", &refused, None).await.err(), Some(401), "{refused:?}");
    }
    assert_eq!(knock(service, "", &[cookie.clone(), origin("https://evil.example.com")], None).await.err(), Some(403));
    assert_eq!(knock(service, "?after=yesterday", std::slice::from_ref(&cookie), None).await.err(), Some(422));
    let protocols = ("sec-websocket-protocol", format!("shop.v1, bearer.{good}"));
    for headers in [
        vec![cookie.clone(), origin("https://shop.example.in")],
        vec![cookie.clone(), origin(service.http())],
        vec![protocols, origin("https://app.example.in")],
    ] {
        let mut socket =
            knock(service, "", &headers, None).await.unwrap_or_else(|status| panic!("{status}: {headers:?}"));
        assert_eq!(socket.hello().await["gap"], false);
    }
    // It lasts no longer than the session.
    let brief = knock(service, "", &[("authorization", format!("Bearer {}", token(asha, 3)))], None).await;
    let mut brief = brief.ok().unwrap();
    brief.hello().await;
    assert_eq!(brief.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_at_the_socket_is_a_problem_and_no_page() {
    let stage = Stage::start_with(SETTINGS).await;
    let (client, bearer) = (testkit::http(), token(UserId::generate(), 60));
    let at = |query: &str| format!("{}/ws{query}", stage.service.http());
    for (request, status) in [(client.post(at("")), 405), (client.get(at("?after=1-0&after=2-0")), 422)] {
        let answer = request.bearer_auth(&bearer).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_shows_on_every_replica_once() {
    let stage = Stage::start_with(SETTINGS).await;
    let other = stage.replica(SETTINGS).await;
    let (asha, ravi) = (UserId::generate(), UserId::generate());
    let mut sockets = [open(&stage.service, asha, "").await, open(&other, asha, "").await];
    let mut foreign = open(&other, ravi, "").await;
    for socket in sockets.iter_mut().chain([&mut foreign]) {
        socket.hello().await;
    }
    promise(&stage, &credited(asha, 1, "Kirana Express")).await;
    // A job that is delivered twice is told once.
    let producer = Producer::new(stage.kv.clone());
    let twice = domain::ids::JobId::generate();
    for _ in 0..2 {
        producer.enqueue(Enqueue::new(&credited(asha, 2, "Kirana Express")).id(twice)).await.unwrap();
    }
    eventually("both jobs done", SOON, async || {
        let stats = queue::admin::stats(&stage.kv, domain::job::Queue::Events).await.unwrap();
        (stats.counts.get("done").copied() == Some(3)).then_some(())
    })
    .await;
    promise(&stage, &credited(asha, 3, "Kirana Express")).await;
    let order = OrderId::generate();
    let news = ShopperEvent::OrderUpdated { order_id: order, status: "fulfilled".to_owned() };
    promise(&stage, &NotifyShopper { user_id: ravi, event: news }).await;
    for socket in &mut sockets {
        let mut seen = vec![socket.amount().await.0, socket.amount().await.0, socket.amount().await.0];
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3]);
    }
    let frame = foreign.next().await.unwrap();
    assert_eq!(
        frame["event"],
        json!({ "type": "order_updated", "order_id": order, "status": "fulfilled" }),
        "ravi's own, and the first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_with_the_last_event_has_missed_nothing() {
    let mut stage = Stage::start_with(SETTINGS).await;
    let other = stage.replica(SETTINGS).await;
    let asha = UserId::generate();
    let mut socket = open(&stage.service, asha, "").await;
    let from = socket.hello().await["id"].as_str().unwrap().to_owned();
    // Whoever saw no event before the line broke knows from the greeting where to go on.
    drop(socket);
    for (paise, count) in (1..=3).zip(1..) {
        promise(&stage, &credited(asha, paise, "Kirana Express")).await;
        eventually("the event in the log", SOON, async || (kept(&stage, asha).await == count).then_some(())).await;
    }
    let mut socket = open(&other, asha, &format!("?after={from}")).await;
    socket.hello().await;
    let (first, second, third) = (socket.amount().await, socket.amount().await, socket.amount().await);
    assert_eq!((first.0, second.0, third.0), (1, 2, 3));
    let mut again = open(&stage.service, asha, &format!("?after={}", second.1)).await;
    assert_eq!(again.hello().await["gap"], false);
    assert_eq!(again.amount().await, third);
    assert_eq!(open(&other, asha, "").await.hello().await["id"], third.1, "without a place one begins at the newest");
    assert_eq!(open(&other, asha, "?after=1-1").await.hello().await["gap"], true, "longer ago than events are kept");

    // The replicas lose their channel while something happens.
    let killed: i64 =
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).query_async(&mut stage.kv.commands()).await.unwrap();
    assert_eq!(killed, 2);
    promise(&stage, &credited(asha, 4, "Kirana Express")).await;
    assert_eq!((socket.amount().await.0, again.amount().await.0), (4, 4));
    // At the end of a replica its sockets are told to come back.
    let (code, took) = stage.service.process().terminate(SOON);
    assert_eq!((code, again.next().await), (Some(0), None));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// The figure of a metric with this label.
async fn metric(service: &Service, name: &str, label: &str) -> Option<u64> {
    let text = testkit::http().get(format!("{}/metrics", service.ops())).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(name) && line.contains(label))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_dropped_and_nobody_else_is() {
    let stage = Stage::start_with(SETTINGS).await;
    // Here the kernel closes what takes nothing for a second; there it would be a minute, and the socket is given up before.
    let patient = stage.replica(&[("JWT_SECRET", SECRET), ("HTTP_STALL_SECONDS", "60")]).await;
    let asha = UserId::generate();
    let bearer = [("authorization", format!("Bearer {}", token(asha, 600)))];
    let mut slow = knock(&stage.service, "", &bearer, Some(4_096)).await.ok().unwrap();
    let mut slower = knock(&patient, "", &bearer, Some(4_096)).await.ok().unwrap();
    let mut quick = open(&stage.service, asha, "").await;
    for socket in [&mut slow, &mut slower, &mut quick] {
        socket.hello().await;
    }
    // More than all buffers between the two ends hold.
    let (count, merchant) = (600, "x".repeat(40_000));
    let reading = tokio::spawn(async move {
        let mut sum = 0;
        for _ in 0..count {
            sum += quick.amount().await.0;
        }
        sum
    });
    let producer = Producer::new(stage.kv.clone());
    for paise in 1..=count {
        producer.enqueue(Enqueue::new(&credited(asha, paise, &merchant))).await.unwrap();
    }
    assert_eq!(reading.await.unwrap(), count * (count + 1) / 2, "who reads gets everything, once");
    for service in [&stage.service, &patient] {
        eventually("the slow one is dropped", SOON, async || {
            (metric(service, "sockets_open", "").await? == 0).then_some(())
        })
        .await;
    }
    assert_eq!(metric(&patient, "sockets_dropped_total", "reason=\"slow\"").await, Some(1));
    // The connection is closed as well: what is in the client's buffer, then the end.
    let mut frames = 0;
    while slow.next().await.is_some() {
        frames += 1;
    }
    assert!(frames < count, "it was not sent everything");
}

/// What a process holds in memory, in kB.
fn memory(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn may_open_many_files(process: u32) {
    let status = Command::new("prlimit").args(["--pid", &process.to_string(), "--nofile=16384:"]).status().unwrap();
    assert!(status.success(), "this test needs 16,384 open files");
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_five_thousand_idle_sockets_fit_one_replica() {
    const SOCKETS: u64 = 5_000;
    let stage = Stage::start_with(SETTINGS).await;
    may_open_many_files(std::process::id());
    may_open_many_files(stage.service.id());
    let users: Vec<UserId> = (0..SOCKETS).map(|_| UserId::generate()).collect();
    // The first ones make what is made once.
    let mut sockets = Vec::new();
    for user in users.iter().take(100) {
        sockets.push(open(&stage.service, *user, "").await);
    }
    let (before, begin) = (memory(&stage.service), Instant::now());
    for some in users[100..].chunks(50) {
        let opening = some.iter().map(|user| open(&stage.service, *user, ""));
        sockets.extend(futures_util::future::join_all(opening).await);
    }
    for socket in &mut sockets {
        socket.hello().await;
    }
    let (after, took) = (memory(&stage.service), begin.elapsed());
    let each = (after - before) / (SOCKETS - 100);
    println!("{SOCKETS} sockets: {before} kB, then {after} kB: {each} kB a socket; opened in {took:?}");
    assert!(each < 40, "{each} kB a socket");
    let begin = Instant::now();
    promise(&stage, &credited(users[4_321], 7, "Kirana Express")).await;
    assert_eq!(sockets[4_321].amount().await.0, 7);
    println!("an event reached its socket among them after {:?}", begin.elapsed());
}

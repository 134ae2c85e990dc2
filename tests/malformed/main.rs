//! Malformed requests against every route of every service: no 500, no panic, a clear answer. On the real binaries.

mod cases;
mod contents;
mod doors;
mod request;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use e2e::{Place, Ports, System};
use testkit::{Database, Redis, http};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cases::{Case, Expected};
use crate::doors::{Door, Keys, Tongue};
use crate::wire::{Answer, End};

const PASSWORD: &str = "correct horse battery";

/// What is wrong with what came, if anything is.
fn fault(door: &Door, case: &Case, end: &End) -> Option<String> {
    let answer = match end {
        End::Answer(answer) => answer,
        End::Closed if matches!(case.expected, Expected::BadHttpOrEnd | Expected::AnswerOrEnd) => return None,
        End::Closed => return Some("closed without an answer".to_owned()),
        End::Silent => return Some("no answer".to_owned()),
    };
    let status = answer.status;
    let is_refusal = (400..500).contains(&status);
    if !(200..500).contains(&status) {
        return Some(format!("answered {status}"));
    }
    if !matches!(case.expected, Expected::Answer | Expected::AnswerOrEnd) && !is_refusal {
        return Some(format!("answered {status}, not refused"));
    }
    // What is as long as this is refused by the server before a route is found.
    let is_long = case.request.target.len() > 32_000;
    let reached =
        matches!(case.expected, Expected::Answer | Expected::Refusal) && case.request.method != "HEAD" && !is_long;
    if is_refusal && reached { unclear(door.tongue, answer) } else { None }
}

/// A refusal says what is wrong, in the route's tongue.
fn unclear(tongue: Tongue, answer: &Answer) -> Option<String> {
    let kind = answer.header("content-type").unwrap_or_default();
    let status = answer.status;
    if status == 405 && answer.header("allow").is_none() {
        return Some("405 without Allow".to_owned());
    }
    let is_clear = match tongue {
        // What became of another path may be of the console.
        Tongue::Problem | Tongue::Page => kind.starts_with("text/html") || kind == "application/problem+json",
        Tongue::Plain => true,
    };
    (!is_clear || answer.body.is_empty()).then(|| {
        let said: String = String::from_utf8_lossy(&answer.body).chars().take(80).collect();
        format!("{status} says {said:?} as {kind:?}")
    })
}

async fn keys(system: &System) -> Keys {
    let client = system.client().await;
    let mut scopes: Vec<String> =
        doors::console_routes().iter().filter_map(|route| route["scope"].as_str().map(str::to_owned)).collect();
    scopes.sort();
    scopes.dedup();
    // A token may be used so and so often in a minute: everybody has one of his own.
    let tokens: Vec<String> = (0..200).map(|number| format!("a-token-of-a-program-{number}")).collect();
    for token in &tokens {
        store::api_tokens::upsert(&client, token, token, &scopes, "test").await.unwrap();
    }
    let mut people = Vec::new();
    for role in ["operator", "finance"] {
        let form = [("email", format!("{role}@example.in")), ("password", PASSWORD.to_owned())];
        let answer = http().post(system.at("admin", "/admin/login")).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{role} cannot log in");
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let page = http().get(system.at("admin", "/admin/workers")).header("cookie", &cookie).send().await.unwrap();
        let page = page.text().await.unwrap();
        let token_at = page.find("name=\"csrf\" value=\"").expect("a form with a token");
        people.push((role, cookie, page[token_at..].split('"').nth(3).unwrap().to_owned()));
    }
    Keys { tokens, people }
}

async fn knock(door: Door, served: Vec<String>) -> (usize, Vec<(String, String)>) {
    let cases = cases::of(&door, &served);
    let mut faults = Vec::new();
    for case in &cases {
        let bytes = case.request.bytes();
        let mut end = wire::send(door.address, &bytes, case.request.is_cut).await;
        // Too slow a head, says a server that was not let run for five seconds: that is the machine, not the request.
        if matches!(&end, End::Answer(answer) if answer.status == 408 && answer.body.is_empty()) {
            end = wire::send(door.address, &bytes, case.request.is_cut).await;
        }
        if let Some(fault) = fault(&door, case, &end) {
            eprintln!("{} {} {}: {}: {fault}", door.service, door.method, door.pattern, case.name);
            faults.push((format!("{} {} {}: {}", door.service, door.method, door.pattern, case.name), fault));
        }
    }
    eprintln!("{} requests at {} {} {}", cases.len(), door.service, door.method, door.pattern);
    (cases.len(), faults)
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_malformed_requests_get_a_clear_answer_where_everybody_may_knock() {
    knock_at_all(37, |door| door.service != "admin" || door.tongue == Tongue::Plain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_malformed_requests_get_a_clear_answer_from_the_console() {
    knock_at_all(45, |door| door.service == "admin" && door.tongue == Tongue::Page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_malformed_requests_get_a_clear_answer_from_the_api() {
    knock_at_all(35, |door| door.service == "admin" && door.tongue == Tongue::Problem).await;
}

/// Tries everything at the doors that are meant, which are so many at least.
async fn knock_at_all(least: usize, is_meant: impl Fn(&Door) -> bool) {
    let (database, redis) = (Database::empty().await, Redis::start());
    let folder = tempfile::tempdir().unwrap();
    let people = ["operator", "finance"].map(|role| format!("{role}:{role}@example.in:{PASSWORD}")).to_vec();
    let place = Place {
        settings: Vec::new(),
        database_url: database.url(),
        redis_url: redis.url(),
        ports: Ports::Free,
        folder: folder.path().to_owned(),
        people,
    };
    let mut system = System::start(place).await;
    let keys = keys(&system).await;
    let mut doors = doors::all(&mut system, &keys).await;
    doors.retain(is_meant);
    assert!(doors.len() >= least, "{} doors", doors.len());

    let mut tasks = JoinSet::new();
    let gate = Arc::new(Semaphore::new(6));
    for door in &doors {
        let beside = doors.iter().filter(|other| (other.address, &other.pattern) == (door.address, &door.pattern));
        let served = beside.map(|other| other.method.clone()).collect();
        let (door, gate) = (door.clone(), gate.clone());
        tasks.spawn(async move {
            let _turn = gate.acquire().await;
            knock(door, served).await
        });
    }
    let (mut sent, mut faults) = (0, BTreeMap::<String, Vec<String>>::new());
    for (count, found) in tasks.join_all().await {
        sent += count;
        for (name, fault) in found {
            faults.entry(fault).or_default().push(name);
        }
    }
    for (name, service) in system.services() {
        assert!(service.process().ended().is_none(), "{name} has ended");
        let logs = service.logs();
        let bad = logs.lines().find(|line| line.contains("panicked"));
        assert_eq!(bad, None, "{name} panicked");
    }
    println!("{sent} requests at {} routes", doors.len());
    let report: Vec<_> =
        faults.iter().map(|(fault, names)| format!("{fault} ({}):\n  {}", names.len(), names.join("\n  "))).collect();
    assert!(faults.is_empty(), "of {sent} requests:\n{}", report.join("\n"));
}

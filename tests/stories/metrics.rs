//! Every metric that a rule or a dashboard asks for is exported by a binary, and every metric that is exported is documented.
//! `UPDATE_METRICS=1` writes docs/operations/metrics.md anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::job::Queue;
use e2e::{Story, System};
use kv::keys;
use kv::redis::AsyncCommands;
use regex::Regex;
use serde_json::{Value, json};
use testkit::{eventually_true, http};

use crate::shopper::Stage;

const SERVICES: [&str; 6] = ["redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"];

/// What one metric is, over all services.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Metric {
    kind: String,
    about: String,
    labels: BTreeSet<String>,
    services: BTreeSet<String>,
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Adds what one service's `/metrics` shows.
fn add(metrics: &mut BTreeMap<String, Metric>, service: &str, text: &str) {
    let label = Regex::new(r#"([a-zA-Z_]+)=""#).unwrap();
    let mut name = String::new();
    for line in text.lines() {
        if let Some((named, about)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            named.clone_into(&mut name);
            let metric = metrics.entry(name.clone()).or_default();
            about.trim_end_matches('.').clone_into(&mut metric.about);
        } else if let Some((named, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            named.clone_into(&mut name);
            let metric = metrics.entry(name.clone()).or_default();
            kind.clone_into(&mut metric.kind);
            metric.services.insert(service.to_owned());
        } else if let Some((series, _)) = line.rsplit_once(' ') {
            let labels = series.split_once('{').map_or("", |(_, labels)| labels);
            let names = label.captures_iter(labels).map(|found| found[1].to_owned());
            metrics.entry(name.clone()).or_default().labels.extend(names.filter(|label| label != "le"));
        }
    }
}

/// The names that a `PromQL` expression asks for.
fn asked_by(expression: &str) -> BTreeSet<String> {
    let drop = [r#""[^"]*""#, r"\{[^}]*\}", r"\[[^\]]*\]", r"\b(by|without|on|ignoring)\s*\([^)]*\)"];
    let bare = drop
        .iter()
        .fold(expression.to_owned(), |text, pattern| Regex::new(pattern).unwrap().replace_all(&text, " ").into_owned());
    let word = Regex::new(r"[a-zA-Z_][a-zA-Z0-9_]*\s*\(?").unwrap();
    let known = ["and", "or", "unless", "bool", "offset", "ALERTS", "up"];
    let words = word.find_iter(&bare).map(|found| found.as_str());
    words
        .filter(|word| !word.ends_with('('))
        .map(str::trim)
        .filter(|word| !known.contains(word))
        .map(|word| {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end));
            base.unwrap_or(word).to_owned()
        })
        .collect()
}

/// Everything that rules and dashboards ask Prometheus for, with where.
fn asked() -> BTreeMap<String, String> {
    let mut asked = BTreeMap::new();
    let rules = std::fs::read_to_string(file("docker/observability/prometheus/rules.yml")).unwrap();
    let mut inside = false;
    for line in rules.lines() {
        let (key, rest) = line.trim().trim_start_matches("- ").split_once(':').unwrap_or((line.trim(), ""));
        if key == "expr" {
            inside = true;
            asked
                .extend(asked_by(rest.trim_start_matches(" |")).into_iter().map(|name| (name, "rules.yml".to_owned())));
        } else if ["for", "labels", "annotations"].contains(&key) {
            inside = false;
        } else if inside {
            asked.extend(asked_by(line).into_iter().map(|name| (name, "rules.yml".to_owned())));
        }
    }
    for name in ["overview", "queues", "money", "http"] {
        let text =
            std::fs::read_to_string(file(&format!("docker/observability/grafana/dashboards/{name}.json"))).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            if panel["datasource"]["type"] != "prometheus" {
                continue;
            }
            for target in panel["targets"].as_array().unwrap() {
                let names = asked_by(target["expr"].as_str().unwrap());
                asked.extend(names.into_iter().map(|metric| (metric, format!("{name}: {}", panel["title"]))));
            }
        }
    }
    assert!(asked.len() > 30, "{asked:#?}");
    asked
}

async fn scrape(system: &System) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    for service in SERVICES {
        let answer = http().get(system.ops(service, "/metrics")).send().await.unwrap();
        add(&mut metrics, service, &answer.text().await.unwrap());
    }
    metrics
}

const HEAD: &str = "# Metrics

Written by a test from what the binaries export (`UPDATE_METRICS=1 cargo nextest run --workspace --test stories -E 'test(metrics)'`);
rows of metrics that a quiet system does not show stay as they are. Labels have few values: routes are patterns, kinds and queues
are ours, and whatever a stranger can invent counts as one. A histogram has `_bucket`, `_sum` and `_count`, in seconds.

| Name | Type | Labels | Exported by | Meaning |
| --- | --- | --- | --- | --- |
";

/// The reference, as a page. What is not seen now keeps its row of `before`.
fn page(metrics: &BTreeMap<String, Metric>, before: &str) -> String {
    let mut rows = BTreeMap::new();
    for line in before.lines() {
        if let Some((name, _)) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) {
            rows.insert(name.to_owned(), line.to_owned());
        }
    }
    for (name, metric) in metrics {
        let join = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(", ");
        let by = if metric.services.len() == SERVICES.len() { "all".to_owned() } else { join(&metric.services) };
        let Metric { kind, about, labels, .. } = metric;
        rows.insert(name.clone(), format!("| `{name}` | {kind} | {} | {by} | {about} |", join(labels)));
    }
    rows.into_values().fold(HEAD.to_owned(), |page, row| page + &row + "\n")
}

/// Brings everything about that is counted.
async fn provoke(stage: &Stage) {
    let system = &stage.system;
    let mut story = Story::new();
    story.click(system).await;
    story.purchase(system).await;
    story.approval(system).await;
    story.payment(system).await;
    story.withdrawal(system).await;
    let _unknown = http().get(system.at("redirector", "/out/nothing")).send().await.unwrap();
    let forged = http().post(system.at("webhooks", "/webhooks/razorpay")).header("content-type", "application/json");
    assert_eq!(forged.body("{}").send().await.unwrap().status(), 401);
    let _login = http().get(system.at("admin", "/login")).send().await.unwrap();
    let purchase = json!({
        "network": "admitad", "sub_id": "", "campaign_id": 10001, "order_id": "OD-lost", "sale_amount": "100.00",
        "commission": "10.00", "currency": "INR", "status": "pending", "postback": true,
    });
    system.sim.post("/_sim/transactions", &purchase).await;
    let sync = r#"{"kind":"cashback.sync","payload":{"network":"admitad","window":{"type":"since_cursor"},"requested_by":"test"}}"#;
    let _length: i64 = system.kv.commands().rpush(keys::ready(Queue::Cashback), sync).await.unwrap();
}

#[test]
fn names_are_found_in_expressions() {
    let names = asked_by(
        r#"histogram_quantile(0.99, sum by (le, route) (rate(http_seconds_bucket{route="/out/{id}", x="y"}[5m]))) > 1 and max(other) unless on (a) third"#,
    );
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["http_seconds", "other", "third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_metrics_that_are_asked_for_are_exported_and_what_is_exported_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("server.pem");
    std::fs::copy(file("services/cron/src/certificates/example.pem"), &certificate).unwrap();
    let stage = Stage::open_with(&[("WATCHED_CERTIFICATES", certificate.to_str().unwrap())]).await;
    let token = "INSERT INTO api_tokens (id, name, token_hash, scopes, created_by, expires_at)
                 VALUES (gen_random_uuid(), 'warehouse', sha256('x'), '{read}', 'test', now() + interval '3 days')";
    stage.system.client().await.execute(token, &[]).await.unwrap();
    provoke(&stage).await;

    let asked = asked();
    let mut missing = Vec::new();
    eventually_true("every metric that is asked for", Duration::from_secs(60), async || {
        let metrics = scrape(&stage.system).await;
        missing = asked.iter().filter(|(name, _)| !metrics.contains_key(*name)).collect();
        if !missing.is_empty() {
            eprintln!("not exported yet: {missing:?}");
        }
        missing.is_empty()
    })
    .await;

    let metrics = scrape(&stage.system).await;
    let path = file("docs/operations/metrics.md");
    if std::env::var_os("UPDATE_METRICS").is_some() {
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, page(&metrics, &before)).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let rows: BTreeMap<&str, Vec<&str>> = written
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`'))
        .map(|(name, rest)| (name, rest.split('|').map(str::trim).skip(1).collect()))
        .collect();
    let mut problems = Vec::new();
    for (name, metric) in &metrics {
        let Some([kind, labels, _, about, ..]) = rows.get(name.as_str()).map(Vec::as_slice) else {
            problems.push(format!("{name} is not documented"));
            continue;
        };
        let known: BTreeSet<_> = labels.split(", ").map(str::to_owned).collect();
        let strange: Vec<_> = metric.labels.difference(&known).collect();
        if *kind != metric.kind || *about != metric.about || !strange.is_empty() {
            problems.push(format!("{name} is documented otherwise: {metric:?}"));
        }
    }
    assert!(problems.is_empty(), "run it with UPDATE_METRICS=1: {problems:#?}");
    // What is documented and not seen just now must at least stand in the code.
    let sources = sources();
    for name in rows.keys().filter(|name| !metrics.contains_key(**name) && !name.starts_with("process_")) {
        let stem = name.trim_end_matches("_total").trim_end_matches("_seconds");
        assert!(sources.contains(&format!("\"{stem}")), "{name} is documented and nobody exports it");
    }
    stage_is_bounded(&metrics);
}

/// No label takes what a stranger says.
fn stage_is_bounded(metrics: &BTreeMap<String, Metric>) {
    for (name, metric) in metrics {
        for label in ["path", "url", "user", "email", "order_id", "click_id", "id"] {
            assert!(!metric.labels.contains(label), "{name} has a label {label}");
        }
    }
}

fn sources() -> String {
    let mut text = String::new();
    let mut folders = vec![file("crates"), file("services")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

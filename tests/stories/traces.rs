//! One story is one trace: what a click or a payment causes, in whichever service, hangs together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use e2e::Story;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use testkit::{eventually, http};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::shopper::Stage;

/// A span as the collector gets it.
#[derive(Debug, Clone)]
struct Span {
    service: String,
    name: String,
    id: Vec<u8>,
    parent: Vec<u8>,
}

/// Whichever service: each has a relay of the outbox, and the quickest pushes.
const ANY: &str = "any";

/// A receiver of OTLP over HTTP.
pub(crate) struct Collector(MockServer);

impl Collector {
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let taken = ResponseTemplate::new(200).set_body_raw(Vec::new(), "application/x-protobuf");
        Mock::given(method("POST")).and(path("/v1/traces")).respond_with(taken).mount(&server).await;
        Self(server)
    }

    pub(crate) fn endpoint(&self) -> String {
        self.0.uri()
    }

    /// Everything received, as text in which words can be looked for.
    pub(crate) async fn text(&self) -> String {
        let requests = self.0.received_requests().await.unwrap();
        let exports =
            requests.iter().map(|request| ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap());
        exports.map(|export| format!("{export:#?}")).collect::<Vec<_>>().join("\n")
    }

    /// Everything received, by trace.
    async fn traces(&self) -> BTreeMap<Vec<u8>, Vec<Span>> {
        let mut traces: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for request in self.0.received_requests().await.unwrap() {
            let export = ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap();
            for resource in export.resource_spans {
                let attributes = resource.resource.unwrap().attributes;
                let text = |key: &str| {
                    let found = attributes.iter().find(|attribute| attribute.key == key);
                    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
                        Some(Value::StringValue(text)) => text.clone(),
                        other => panic!("{key}: {other:?}"),
                    }
                };
                let service = text("service.name");
                assert!(!text("service.version").is_empty() && text("service.instance.id").contains(':'));
                for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    let (service, name) = (service.clone(), span.name);
                    let kept = Span { service, name, id: span.span_id, parent: span.parent_span_id };
                    traces.entry(span.trace_id).or_default().push(kept);
                }
            }
        }
        traces
    }

    /// The trace that holds all of `steps`, each as (service, name of the span), and hangs together. Each service sends its spans
    /// in its own time, so a parent may come after its child.
    async fn trace_of(&self, steps: &[(&str, &str)]) -> Vec<u8> {
        let has = |spans: &[Span], (service, name): (&str, &str)| {
            spans.iter().any(|span| (service == ANY || span.service == service) && span.name == name)
        };
        let (service, name) = steps[0];
        eventually(&format!("a trace from {service} {name} to its end"), Duration::from_secs(30), async || {
            let traces = self.traces().await;
            for spans in traces.values().filter(|spans| has(spans, steps[0])) {
                let seen: Vec<_> = spans.iter().map(|span| format!("{} {}", span.service, span.name)).collect();
                eprintln!("so far: {}", seen.join(", "));
            }
            traces
                .into_iter()
                .find(|(_, spans)| steps.iter().all(|step| has(spans, *step)) && hangs_together(spans))
                .map(|(trace, _)| trace)
        })
        .await
    }
}

/// Whether every span but one has its parent among them.
fn hangs_together(spans: &[Span]) -> bool {
    let known: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    let roots = spans.iter().filter(|span| span.parent.is_empty()).count();
    let lost: Vec<_> = spans.iter().filter(|span| !span.parent.is_empty() && !known.contains(&span.parent)).collect();
    if !lost.is_empty() {
        eprintln!("without their parents so far: {lost:?}");
    }
    roots == 1 && lost.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_a_click_and_a_payment_are_one_trace_each() {
    let collector = Collector::start().await;
    let stage = Stage::open_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ])
    .await;
    let mut story = Story::new();
    story.click(&stage.system).await;
    story.purchase(&stage.system).await;
    story.payment(&stage.system).await;

    let click = [
        ("redirector", "GET /out/{offer_id}"),
        ("cashback-sync", "click.record"),
        (ANY, "outbox"),
        ("notifier", "email.send"),
    ];
    let click_trace = collector.trace_of(&click).await;

    let payment = [
        ("webhooks", "POST /webhooks/{source}"),
        ("webhooks", "payment.event"),
        (ANY, "outbox"),
        ("notifier", "email.send"),
    ];
    let payment_trace = collector.trace_of(&payment).await;
    assert_ne!(click_trace, payment_trace);

    // What people search by is the trace's own id where nobody gave another.
    let client = stage.system.client().await;
    for (trace, sql) in [
        (&click_trace, "SELECT correlation_id FROM affiliate_clicks"),
        (&click_trace, "SELECT correlation_id FROM notifications WHERE template = 'cashback_tracked'"),
        (
            &payment_trace,
            "SELECT correlation_id FROM notifications WHERE template = 'order_confirmation' AND channel = 'email'",
        ),
        (&payment_trace, "SELECT correlation_id FROM outbox WHERE kind = 'sms.send'"),
    ] {
        let hex = hex::encode(trace);
        assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, Option<String>>(0), Some(hex), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_a_correlation_id_goes_from_the_request_to_the_ledger_and_back_to_the_caller() {
    // Nobody takes the traces: that must not matter.
    let stage = Stage::open_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ])
    .await;
    let mut stage = stage;
    let mut story = Story::new();
    story.called("story-4410293");
    story.click(&stage.system).await;
    story.purchase(&stage.system).await;
    story.approval(&stage.system).await;

    let client = stage.system.client().await;
    for sql in [
        "SELECT correlation_id FROM affiliate_clicks",
        "SELECT reason->>'correlation_id' FROM wallet_transactions WHERE kind = 'cashback_credit'",
        "SELECT min(correlation_id) FROM notifications WHERE template = 'cashback_credited'",
        "SELECT min(correlation_id) FROM outbox WHERE kind = 'sms.send'",
    ] {
        let found: Option<String> = client.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(found.as_deref(), Some("story-4410293"), "{sql}");
    }
    // And one search of the console shows all of it, although every job of it is long done.
    let scopes = ["timeline:read".to_owned()];
    store::api_tokens::upsert(&client, "searches", "a-token-that-searches", &scopes, "test").await.unwrap();
    let search = stage.system.at("admin", "/api/v1/timeline?q=story-4410293");
    let found: serde_json::Value =
        http().get(search).bearer_auth("a-token-that-searches").send().await.unwrap().json().await.unwrap();
    let moments = found["items"].as_array().unwrap();
    let amounts = |kind: &str| -> Vec<_> {
        moments.iter().filter(|moment| moment["kind"] == kind).map(|moment| moment["amount"].clone()).collect()
    };
    let rupees = serde_json::to_value(domain::money::Paise::new(12_000)).unwrap();
    assert_eq!(amounts("click").len(), 1, "{moments:?}");
    assert!(amounts("transaction").len() >= 2, "pending, then approved: {moments:?}");
    assert!(amounts("cashback").contains(&rupees), "{moments:?}");
    assert_eq!(amounts("ledger"), [rupees], "{moments:?}");
    assert!(moments.iter().any(|moment| moment["detail"] == "the wallet then held ₹120.00"), "{moments:?}");
    assert_eq!(amounts("message").len(), 3, "two mails and a text: {moments:?}");
    assert_eq!(amounts("webhook").len(), 2, "two postbacks: {moments:?}");

    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let webhook = stage.system.at("webhooks", "/webhooks/razorpay");
    let ask = || http().post(&webhook).header("content-type", "application/json").body("{}");
    let answers = [
        (ask().header("x-request-id", "mine-7"), Some("mine-7")),
        (ask().header("traceparent", traceparent), Some("0af7651916cd43dd8448eb211c80319c")),
        (ask().header("x-request-id", "asha@example.in"), None),
    ];
    for (request, expected) in answers {
        let answer = request.send().await.unwrap();
        let told = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        match expected {
            Some(expected) => assert_eq!(told, expected),
            None => assert!(told.len() == 32 && !told.contains('@'), "{told}"),
        }
    }
    // Each says who it is and what its lines belong to.
    for (name, service) in stage.system.services() {
        let lines: Vec<serde_json::Value> = service
            .logs()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect();
        for line in &lines {
            assert_eq!(line["service"], name, "{line}");
            assert!(line["version"].is_string() && line["instance"].is_string(), "{line}");
        }
        if name == "webhooks" {
            let refused = lines.iter().find(|line| line["correlation_id"] == "mine-7");
            let refused = refused.unwrap_or_else(|| panic!("no line of mine-7 in {lines:#?}"));
            assert!(refused["trace_id"].is_string() && refused["span_id"].is_string(), "{refused}");
        }
    }
}

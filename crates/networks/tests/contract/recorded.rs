//! Recorded answers, read to the last field.

use std::path::Path;

use domain::network::Network;
use domain::transaction::NetworkTransaction;
use networks::Window;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::setup::{Api, Read, day, read};

fn fixture(network: Network, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(network.slug()).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

async fn recorded(api: Api, name: &str, kind: &str) -> Read {
    let server = MockServer::start().await;
    let body = fixture(api.network(), name);
    let page = ResponseTemplate::new(200).set_body_raw(body, kind);
    Mock::given(method("GET")).respond_with(page).mount(&server).await;
    let token = fixture(Network::Admitad, "token.json");
    let token = ResponseTemplate::new(200).set_body_raw(token, "application/json");
    Mock::given(method("POST")).respond_with(token).mount(&server).await;
    let window = Window::ActionDates { from: day("2026-08-01"), to: day("2026-08-31") };
    read(&*api.at(&server.uri(), &[]), window).await.unwrap()
}

/// Everything that money or a match depends on.
fn lines(read: &Read) -> Vec<String> {
    assert!(read.put_aside.is_empty(), "{:?}", read.put_aside);
    read.transactions.iter().map(line).collect()
}

fn line(row: &NetworkTransaction) -> String {
    let sub_ids: Vec<_> = row.sub_ids.iter().map(|sub_id| format!("{}={}", sub_id.name, sub_id.value)).collect();
    format!(
        "{} {}->{}{} {} of {} order {} campaign {} [{}] bought {} updated {}",
        row.external_id,
        row.raw_status,
        row.status,
        if row.funded { " funded" } else { "" },
        row.commission,
        row.sale.map_or_else(|| "-".to_owned(), |sale| sale.to_string()),
        row.order_ref.as_deref().unwrap_or("-"),
        row.campaign_id.as_deref().unwrap_or("-"),
        sub_ids.join(" "),
        row.occurred_at.format("%FT%TZ"),
        row.status_updated_at.map_or_else(|| "-".to_owned(), |at| at.format("%FT%TZ").to_string()),
    )
}

#[test]
fn every_network_has_its_recorded_page() {
    for network in Network::ALL {
        assert!(fixture(network, "page.json").contains('{'), "{network}");
    }
}

#[tokio::test]
async fn admitad_numbers_texts_and_nulls_are_read_with_its_zone() {
    let read = recorded(Api::Admitad, "page.json", "application/json").await;
    assert_eq!(
        lines(&read),
        [
            "700000001 pending->pending ₹124.95 of ₹2,499.00 order OD-SYN-1001 campaign 10001 \
             [subid4=018f6b3a7c1d7e2f8a9b0c1d2e3f4a5b subid=newsletter] bought 2026-09-01T07:25:00Z updated 2026-09-01T07:40:00Z",
            "700000002 approved_but_stalled->confirmed ₹49.98 of ₹999.50 order OD-SYN-1002 campaign 10001 \
             [subid4=018f6b3a7c1d7e2f8a9b0c1d2e3f4a5c] bought 2026-08-01T06:30:00Z updated 2026-08-31T21:05:00Z",
            "700000003 approved->payable funded ₹1.00 of - order - campaign 10002 [] bought 2026-08-02T06:30:00Z \
             updated 2026-09-02T21:05:00Z",
            "700000004 declined->declined ₹10.00 of ₹100.00 order 55 campaign 10002 [] bought 2026-08-02T06:30:00Z \
             updated 2026-08-02T06:30:00Z",
            "700000005 approved->confirmed ₹10.00 of ₹100.00 order 56 campaign 10002 [] bought 2026-08-02T06:30:00Z \
             updated 2026-08-02T06:30:00Z",
        ]
    );
    assert_eq!(read.transactions[3].reason.as_deref(), Some("returned by the customer"));
    assert_eq!(read.transactions[0].click().unwrap().compact(), "018f6b3a7c1d7e2f8a9b0c1d2e3f4a5b");
}

const VCOMMISSION: [&str; 3] = [
    "66d000000000000000000001 pending->pending ₹62.50 of - order OD-SYN-2001 campaign 10001 \
     [p1=018f6b3a7c1d7e2f8a9b0c1d2e3f4a5b] bought 2026-08-14T09:15:30Z updated -",
    "66d000000000000000000002 cancelled->declined ₹0.00 of - order - campaign 10001 \
     [p1=018f6b3a7c1d7e2f8a9b0c1d2e3f4a5c] bought 2026-08-20T18:00:00Z updated -",
    // Approved on arrival means nothing yet; after the time of validation it does.
    "66d000000000000000000003 approved->confirmed ₹7.00 of - order OD-SYN-2003 campaign 10002 [p2=app_home] \
     bought 2025-01-20T18:00:00Z updated -",
];

#[tokio::test]
async fn vcommission_reads_its_documented_conversions() {
    let read = recorded(Api::Vcommission, "page.json", "application/json").await;
    assert_eq!(lines(&read), VCOMMISSION);
}

#[tokio::test]
async fn vcommission_reads_json_csv_and_xml_of_the_older_path_alike() {
    for (format, kind) in [("json", "application/json"), ("csv", "text/csv"), ("xml", "application/xml")] {
        let read = recorded(Api::OldVcommission(format), &format!("transactions.{format}"), kind).await;
        let expected = VCOMMISSION.map(|line| line.replace(" of - ", " of ₹1,250.00 "));
        assert_eq!(lines(&read), expected, "{format}");
    }
}

const CUELINKS: [&str; 4] = [
    "5500001 pending->pending ₹51.96 of ₹1,299.00 order OD-SYN-3001 campaign 3001 \
     [sub_id=018f6b3a7c1d7e2f8a9b0c1d2e3f4a5b] bought 2026-08-14T09:15:00Z updated -",
    "5500002 rejected->declined ₹0.00 of ₹499.00 order OD-SYN-3001 campaign 3001 \
     [sub_id=018f6b3a7c1d7e2f8a9b0c1d2e3f4a5b] bought 2026-08-14T09:15:00Z updated -",
    "5500003 invoice_raised->payable ₹3.00 of - order REF-9 campaign 3001 [] bought 2026-08-14T09:15:00Z updated -",
    "5500004 Paid->payable funded ₹3.29 of - order - campaign 3001 [] bought 2026-08-14T09:15:00Z updated -",
];

#[tokio::test]
async fn cuelinks_v3_reads_decimal_texts_and_v2_numbers() {
    let v3 = recorded(Api::CuelinksV3, "page.json", "application/json").await;
    assert_eq!(lines(&v3), CUELINKS);
    let v2 = recorded(Api::CuelinksV2, "page_v2.json", "application/json").await;
    let expected = ["5500001 validated->confirmed ₹51.96 of ₹1,299.00 order - campaign 3001 \
                     [aff_sub=018f6b3a7c1d7e2f8a9b0c1d2e3f4a5b subid2=direct] bought 2026-08-14T09:15:00Z updated -"];
    assert_eq!(lines(&v2), expected);
}

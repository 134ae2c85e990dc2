//! A transaction that names no click: an operator gives it to the right one, and that is written down.

use chrono::{DateTime, TimeDelta, Utc};
use domain::click::ClickClass;
use domain::ids::{ClickId, MerchantId, OfferId, TransactionId, UserId};
use domain::jobs::Language;
use domain::jobs::click::RecordClick;
use domain::money::{BasisPoints, Paise};
use domain::network::Network;
use domain::transaction::{NetworkTransaction, TransactionStatus};
use reqwest::Method;
use serde_json::json;
use store::catalogue::{self, Merchant};
use store::{cashback, users, wallet};

use crate::stage::Stage;

/// A merchant, two shoppers who clicked on it, and a purchase that names neither.
struct Case {
    right: (UserId, ClickId),
    wrong: (UserId, ClickId),
    transaction: TransactionId,
}

async fn merchant(stage: &Stage, network: Network) -> MerchantId {
    let id = MerchantId::generate();
    let carrier = if network == Network::Vcommission { "p1" } else { "subid" };
    let merchant = Merchant {
        id,
        name: "Shoes".to_owned(),
        network,
        campaign_id: "100".to_owned(),
        tracking_template: format!("https://track.example.com/?{carrier}={{click_id}}"),
        allowed_hosts: vec!["shoes.example.in".to_owned()],
        landing_url: "https://shoes.example.in/".to_owned(),
        cashback: BasisPoints::new(5_000).unwrap(),
        cashback_cap: None,
        active: true,
        version: 1,
        updated_at: Utc::now(),
    };
    catalogue::insert_merchant(&stage.pool.get().await.unwrap(), &merchant).await.unwrap();
    id
}

async fn click(stage: &Stage, merchant_id: MerchantId, network: Network, name: &str) -> (UserId, ClickId) {
    let (user, click_id) = (UserId::generate(), ClickId::generate());
    let mut client = stage.pool.get().await.unwrap();
    let email = format!("{name}@example.in").parse().unwrap();
    users::insert(&client, user, name, Some(&email), None, Language::En).await.unwrap();
    let click = RecordClick {
        click_id,
        offer_id: OfferId::generate(),
        merchant_id,
        network,
        user_id: Some(user),
        rate: BasisPoints::new(5_000).unwrap(),
        cap: None,
        offer_version: 1,
        class: ClickClass::Human,
        reason: String::new(),
        client_hash: "0badcafe".to_owned(),
        user_agent: "Mozilla/5.0".to_owned(),
        clicked_at: Utc::now(),
    };
    testkit::seed::clicks(&mut client, [&click]).await;
    (user, click_id)
}

fn purchase(at: DateTime<Utc>) -> NetworkTransaction {
    NetworkTransaction {
        network: Network::Admitad,
        external_id: "7001".to_owned(),
        campaign_id: Some("100".to_owned()),
        sub_ids: Vec::new(),
        order_ref: Some("OD-7001".to_owned()),
        sale: Some(Paise::new(100_000)),
        commission: Paise::new(10_000),
        foreign: None,
        raw_status: "approved".to_owned(),
        status: TransactionStatus::Confirmed,
        funded: false,
        reason: None,
        clicked_at: None,
        occurred_at: at,
        status_updated_at: Some(at),
        observed_at: at,
        raw: "{\"id\":7001}".to_owned(),
    }
}

async fn case(stage: &Stage) -> Case {
    let shoes = merchant(stage, Network::Admitad).await;
    let right = click(stage, shoes, Network::Admitad, "asha").await;
    let elsewhere = merchant(stage, Network::Cuelinks).await;
    let wrong = click(stage, elsewhere, Network::Cuelinks, "ravi").await;
    let at = Utc::now() + TimeDelta::minutes(1);
    let mut client = stage.pool.get().await.unwrap();
    let work = client.transaction().await.unwrap();
    let settled = cashback::settle(&work, Network::Admitad, &[purchase(at)], "pull", at).await.unwrap();
    work.commit().await.unwrap();
    Case { right, wrong, transaction: settled.without_click[0] }
}

async fn balance(stage: &Stage, user: UserId) -> i64 {
    wallet::balance(&stage.pool.get().await.unwrap(), user).await.unwrap().unwrap().get()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_gives_an_unmatched_transaction_to_its_click_and_it_is_written_down() {
    let stage = Stage::start().await;
    let Case { right, wrong, transaction } = case(&stage).await;
    let (viewer, operator) = (stage.person("viewer").await, stage.person("operator").await);
    assert!(operator.get("/admin/sync").await.contains(&transaction.to_string()), "it stands on the list");
    let page = operator.get(&format!("/admin/unmatched/{transaction}")).await;
    assert!(page.contains(&right.1.to_string()), "the click of that shop at that time is suggested");
    assert!(!page.contains(&wrong.1.to_string()), "the one through another network is not");

    let assign = format!("/admin/unmatched/{transaction}/assign");
    let why = ("reason", "she sent the receipt");
    let (ours, theirs) = (right.1.to_string(), wrong.1.to_string());
    assert_eq!(viewer.post(&assign, &[("click", &ours), why]).await.status(), 403);
    assert_eq!(operator.post(&assign, &[("click", &ours), ("reason", "")]).await.status(), 400, "no reason");
    assert_eq!(operator.post(&assign, &[("click", &theirs), why]).await.status(), 409, "another network's click");
    assert_eq!((balance(&stage, right.0).await, balance(&stage, wrong.0).await), (0, 0));
    assert!(stage.audit().await.iter().all(|deed| deed.0 != "transaction.assign"), "nothing happened yet");

    let page = operator.act(&assign, &[("click", &ours), why]).await;
    assert!(page.contains("The transaction belongs to that click now."), "{page}");
    assert_eq!((balance(&stage, right.0).await, balance(&stage, wrong.0).await), (5_000, 0));
    let deed = ("transaction.assign".to_owned(), format!("transaction:{transaction}"), why.1.to_owned());
    assert_eq!(stage.audit().await[0], deed);
    assert_eq!(operator.post(&assign, &[("click", &ours), why]).await.status(), 409, "once");
    assert_eq!(balance(&stage, right.0).await, 5_000);

    let client = stage.pool.get().await.unwrap();
    let kept = client
        .query_one(
            "SELECT t.matched_by, u.resolved_by FROM affiliate_transactions t JOIN unmatched_transactions u ON u.transaction_id = t.id WHERE t.id = $1",
            &[&transaction],
        )
        .await
        .unwrap();
    let (by, who): (String, String) = (kept.get(0), kept.get(1));
    assert_eq!(by, "operator");
    assert!(who.contains("operator@example.in") || who.contains("Asha Operator"), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_assigns_by_the_api_with_the_same_rules() {
    let stage = Stage::start().await;
    let Case { right, wrong, transaction } = case(&stage).await;
    let (_, list) = stage.call(Method::GET, "/unmatched", None).await;
    assert_eq!(
        (&list["items"][0]["id"], &list["items"][0]["reason"]),
        (&json!(transaction), &json!("no_click")),
        "{list}"
    );
    let assign = format!("/unmatched/{transaction}/assign");
    let body = |click: ClickId, reason: &str| Some(json!({ "click_id": click, "reason": reason }));
    assert_eq!(stage.call(Method::POST, &assign, body(right.1, "")).await.0, 422);
    assert_eq!(stage.call(Method::POST, &assign, body(wrong.1, "a guess")).await.0, 409);
    assert_eq!(stage.call(Method::POST, &assign, body(ClickId::generate(), "a guess")).await.0, 409);
    assert_eq!(stage.call(Method::POST, &assign, body(right.1, "by receipt")).await.0, 204);
    assert_eq!(balance(&stage, right.0).await, 5_000);
    assert_eq!(stage.call(Method::GET, "/unmatched", None).await.1["items"], json!([]));
    assert_eq!(stage.audit().await[0].0, "transaction.assign");
}

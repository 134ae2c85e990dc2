//! Wallets: masked, frozen, and money moved by hand by two persons.

use domain::ids::{UserId, WithdrawalId};
use domain::jobs::Language;
use domain::money::Paise;
use reqwest::Method;
use serde_json::json;
use store::{users, wallet};

use crate::stage::Stage;

async fn shopper(stage: &Stage) -> UserId {
    let id = UserId::generate();
    let client = stage.pool.get().await.unwrap();
    let (email, mobile) = ("asha@example.in".parse().unwrap(), "+919800000001".parse().unwrap());
    users::insert(&client, id, "Asha Rao", Some(&email), Some(mobile), Language::En).await.unwrap();
    id
}

async fn balance(stage: &Stage, id: UserId) -> Paise {
    let client = stage.pool.get().await.unwrap();
    wallet::balance(&client, id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn money_moves_by_hand_only_when_two_persons_agree() {
    let stage = Stage::start().await;
    let id = shopper(&stage).await;
    let first = stage.person("finance").await;
    stage.add_person("second@example.in", "finance");
    let second = stage.log_in("second@example.in").await;
    let why = ("reason", "the shop forgot a purchase");
    let adjust = format!("/admin/wallets/{id}/adjust");
    assert_eq!(first.post(&adjust, &[("rupees", "0"), why]).await.status(), 400);
    assert_eq!(first.post(&adjust, &[("rupees", "12.345"), why]).await.status(), 400);
    let page = first.act(&adjust, &[("rupees", "123456.50"), why]).await;
    assert!(page.contains("waits for a second person") && page.contains("₹1,23,456.50"), "{page}");
    assert_eq!(balance(&stage, id).await, Paise::ZERO);

    let asked: String = {
        let client = stage.pool.get().await.unwrap();
        store::adjustments::list(&client, None, 1).await.unwrap()[0].id.to_string()
    };
    let approve = format!("/admin/adjustments/{asked}/approve");
    assert!(!first.get("/admin/adjustments").await.contains(&approve), "the asker is not offered the decision");
    assert_eq!(first.post(&approve, &[why]).await.status(), 409);
    assert_eq!(balance(&stage, id).await, Paise::ZERO);
    let page = second.act(&approve, &[why]).await;
    assert!(page.contains("The adjustment is decided"));
    assert_eq!(balance(&stage, id).await, Paise::new(12_345_650));
    assert_eq!(second.post(&approve, &[why]).await.status(), 409, "once");
    assert_eq!(balance(&stage, id).await, Paise::new(12_345_650));
    assert!(first.get(&format!("/admin/wallets/{id}")).await.contains("correction"));
    let deeds: Vec<String> = stage.audit().await.into_iter().map(|(action, ..)| action).collect();
    assert_eq!(deeds.iter().filter(|deed| deed.starts_with("adjustment.")).count(), 2, "{deeds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_is_masked_until_somebody_says_why() {
    let stage = Stage::start().await;
    let id = shopper(&stage).await;
    let (viewer, finance) = (stage.person("viewer").await, stage.person("finance").await);
    for path in [
        format!("/admin/wallets/{id}"),
        "/admin/wallets?q=%2B919800000001".to_owned(),
        format!("/admin/timeline?q={id}"),
    ] {
        let page = viewer.get(&path).await;
        assert!(!page.contains("Asha Rao") && !page.contains("asha@example.in"), "{path}: {page}");
    }
    let reveal = format!("/admin/wallets/{id}/reveal");
    assert_eq!(viewer.post(&reveal, &[("reason", "curious")]).await.status(), 403);
    let shown = finance.post(&reveal, &[("reason", "she called")]).await.text().await.unwrap();
    assert!(shown.contains("Asha Rao") && shown.contains("asha@example.in"), "{shown}");
    assert_eq!(stage.audit().await[0], ("user.reveal".to_owned(), format!("user:{id}"), "she called".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_wallet_gives_nothing_and_a_withdrawal_is_made_once() {
    let stage = Stage::start().await;
    let id = shopper(&stage).await;
    let finance = stage.person("finance").await;
    {
        let client = stage.pool.get().await.unwrap();
        let gift = domain::wallet::Transfer {
            debit: domain::wallet::Account::Adjustments,
            credit: domain::wallet::Account::User(id),
            amount: Paise::from_rupees(1_000).unwrap(),
            kind: domain::wallet::TransferKind::Goodwill,
            key: "gift".to_owned(),
            reason: json!({}),
        };
        wallet::post(&client, &gift).await.unwrap();
    }
    let wanted = json!({ "user_id": id, "amount_paise": 50_000, "fund_account_id": "fa_1", "idempotency_key": "w1" });
    finance.act(&format!("/admin/wallets/{id}/freeze"), &[("reason", "a stolen phone")]).await;
    assert_eq!(stage.call(Method::POST, "/withdrawals", Some(wanted.clone())).await.0, 409);
    finance.act(&format!("/admin/wallets/{id}/unfreeze"), &[("reason", "found again")]).await;
    let (status, made) = stage.call(Method::POST, "/withdrawals", Some(wanted.clone())).await;
    assert_eq!((status, &made["status"]), (201, &json!("requested")), "{made}");
    let (_, again) = stage.call(Method::POST, "/withdrawals", Some(wanted)).await;
    assert_eq!(again["id"], made["id"]);
    assert_eq!(balance(&stage, id).await, Paise::from_rupees(500).unwrap());
    let job = testkit::eventually("the payout's job", crate::stage::SOON, async || {
        let jobs = queue::admin::peek(&stage.kv, domain::job::Queue::Payments, 10).await.unwrap();
        (jobs.len() == 1).then(|| String::from_utf8_lossy(&jobs[0]).into_owned())
    })
    .await;
    let withdrawal: WithdrawalId = made["id"].as_str().unwrap().parse().unwrap();
    assert!(job.contains("payout.start") && job.contains(&withdrawal.to_string()), "{job}");
    let (_, wallet) = stage.call(Method::GET, &format!("/wallets/{id}"), None).await;
    assert_eq!(wallet["balance_paise"], 50_000);
    let (_, moments) = stage.call(Method::GET, &format!("/timeline?q={withdrawal}"), None).await;
    assert_eq!(moments["items"][0]["kind"], "withdrawal", "{moments}");
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawals_of_one_moment_are_all_listed() {
    let stage = Stage::start().await;
    let id = shopper(&stage).await;
    let many = "INSERT INTO withdrawals (id, user_id, amount_paise, status, fund_account_id, idempotency_key, rule_version, requested_at)
                SELECT ('01981b1e-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, $1::uuid, 100, 'requested', 'fa_1', 'w' || n,
                       (SELECT min(version) FROM cashback_rules), '2026-09-01T10:00:00Z'
                FROM generate_series(1, 250) n";
    stage.database.client().await.execute(many, &[&id]).await.unwrap();
    let (mut seen, mut path) = (Vec::new(), format!("/withdrawals?user_id={id}&status=requested"));
    loop {
        let (status, page) = stage.call(Method::GET, &path, None).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap().iter();
        seen.extend(items.map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/withdrawals?user_id={id}&status=requested&cursor={next}");
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((all, seen.len()), (250, 250), "each once");
    let viewer = stage.person("viewer").await;
    let page = viewer.get("/admin/withdrawals?status=requested").await;
    let (_, rest) = page.split_once("rel=\"next\" href=\"").expect("a way on");
    let older = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let older = viewer.get(&older).await;
    let shown = |page: &str| page.matches("/admin/timeline?q=01981b1e-").count();
    assert_eq!((shown(&page), shown(&older)), (100, 100));
    let (_, none) = stage.call(Method::GET, "/withdrawals?before=2026-09-01T10:00:00Z", None).await;
    assert_eq!(none["items"].as_array().unwrap().len(), 0);
    assert_eq!(stage.call(Method::GET, "/withdrawals?cursor=newest", None).await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_found_by_whatever_names_its_shopper() {
    let stage = Stage::start().await;
    let id = shopper(&stage).await;
    for whose in [id.to_string(), "ASHA@example.in".to_owned(), "%2B919800000001".to_owned(), "9800000001".to_owned()] {
        let (status, wallet) = stage.call(Method::GET, &format!("/wallets?user={whose}"), None).await;
        assert_eq!((status, &wallet["user_id"]), (200, &json!(id)), "{whose}: {wallet}");
        assert_eq!(wallet["balance_paise"], 0);
    }
    // Neither a part of an address nor a name names one shopper.
    for nobody in ["asha@example", "Asha", "asha@example.com", "%25"] {
        assert_eq!(stage.call(Method::GET, &format!("/wallets?user={nobody}"), None).await.0, 404, "{nobody}");
    }
    assert_eq!(stage.call(Method::GET, "/wallets", None).await.0, 422, "whose is not said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_is_repaired_only_when_two_persons_agree_on_the_sum_that_both_saw() {
    let stage = Stage::start().await;
    let id = shopper(&stage).await;
    let (first, viewer) = (stage.person("finance").await, stage.person("viewer").await);
    stage.add_person("second@example.in", "finance");
    let second = stage.log_in("second@example.in").await;
    let why = ("reason", "somebody wrote past the ledger");
    let repair = format!("/admin/wallets/{id}/repair");
    assert_eq!(first.post(&repair, &[why]).await.status(), 409, "nothing is wrong");
    let tamper = async |paise: i64| {
        let client = stage.database.client().await;
        let sql = "UPDATE wallet_balances SET balance_paise = balance_paise + $2 WHERE user_id = $1";
        client.execute(sql, &[&id, &paise]).await.unwrap();
    };
    tamper(5_000).await;
    {
        let client = stage.pool.get().await.unwrap();
        let drifts = wallet::drift(&client, 10).await.unwrap();
        store::drifts::note(&client, &drifts).await.unwrap();
        store::alerts::open(&client, &format!("wallet-drift:{id}"), "t", "d").await.unwrap();
    }
    let page = first.get(&format!("/admin/wallets/{id}")).await;
    assert!(page.contains("holds ₹50.00 that its entries do not account for") && page.contains(&repair), "{page}");
    assert_eq!(viewer.post(&repair, &[why]).await.status(), 403);
    assert!(first.act(&repair, &[why]).await.contains("waits for a second person"));
    assert_eq!(second.post(&repair, &[why]).await.status(), 409, "one is asked for already");
    let asked = async || {
        let client = stage.pool.get().await.unwrap();
        store::drifts::list_repairs(&client, None, 1).await.unwrap()[0].id.to_string()
    };
    let id_of_first = asked().await;
    let approve = format!("/admin/repairs/{id_of_first}/approve");
    assert_eq!(first.post(&approve, &[why]).await.status(), 409, "the asker does not decide");
    // It drifts further meanwhile: what was looked at is not what would be repaired.
    tamper(1).await;
    assert_eq!(second.post(&approve, &[why]).await.status(), 409);
    assert_eq!(balance(&stage, id).await, Paise::new(5_001));
    second.act(&format!("/admin/repairs/{id_of_first}/refuse"), &[why]).await;
    first.act(&repair, &[why]).await;
    let approve = format!("/admin/repairs/{}/approve", asked().await);
    assert!(second.act(&approve, &[why]).await.contains("The repair is decided"));
    assert_eq!(balance(&stage, id).await, Paise::ZERO);
    assert_eq!(second.post(&approve, &[why]).await.status(), 409, "once");

    let client = stage.pool.get().await.unwrap();
    assert!(users::find(&client, id).await.unwrap().unwrap().frozen_at.is_none(), "the check's own block is lifted");
    assert_eq!(store::drifts::count_open(&client).await.unwrap(), 0);
    assert!(store::alerts::open_keys(&client, "wallet-drift:").await.unwrap().is_empty());
    assert!(wallet::statement(&client, id, None, 10).await.unwrap().is_empty(), "a repair writes no entry");
    let deeds: Vec<String> = stage.audit().await.into_iter().map(|(action, ..)| action).collect();
    assert_eq!(deeds.iter().filter(|deed| deed.starts_with("wallet.repair.")).count(), 4, "{deeds:?}");
}

//! Working off stored webhooks again.

use std::process::{Command, Output};

use domain::ids::{ReplayId, WebhookId};
use domain::job::Queue;
use store::webhooks::{self, Replay};
use testkit::{binary, eventually, eventually_true};

use crate::events::{event, payment};
use crate::shop::{SOON, Shop, TOKEN};

async fn replay(shop: &Shop, webhook: WebhookId, dry_run: bool) -> Replay {
    let mut client = shop.client().await;
    let transaction = client.transaction().await.unwrap();
    let id: ReplayId = webhooks::replay(&transaction, webhook, "asha", dry_run).await.unwrap();
    transaction.commit().await.unwrap();
    eventually("the replay has ended", SOON, async || {
        webhooks::find_replay(&client, id).await.unwrap().filter(|replay| replay.finished_at.is_some())
    })
    .await
}

async fn only_webhook(shop: &Shop) -> WebhookId {
    shop.client().await.query_one("SELECT id FROM webhook_logs", &[]).await.unwrap().get(0)
}

/// Waits until the event's own job has used up its tries: one that comes later would be taken for a replay.
async fn given_up(shop: &Shop) {
    eventually_true("the event is a dead letter", SOON, async || shop.dead(Queue::Payments).await.len() == 1).await;
}

#[tokio::test]
async fn a_replay_is_previewed_and_then_applied_and_a_second_one_too_with_one_effect() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(2).await);
    // The order does not exist yet, so the event has no effect by itself.
    shop.razorpay(&event("payment.captured", &[("payment", payment("pay_1", "order_1", 49_900, "captured"))])).await;
    let webhook = only_webhook(&shop).await;
    let preview = replay(&shop, webhook, true).await;
    assert!(preview.report.as_deref().unwrap().starts_with("it would fail: no order of ours"), "{preview:?}");
    given_up(&shop).await;
    shop.order(user, "order_1", product, 1).await;

    let preview = replay(&shop, webhook, true).await;
    assert_eq!(preview.outcome.as_deref(), Some("previewed"));
    assert!(preview.report.as_deref().unwrap().contains("is fulfilled"), "{preview:?}");
    assert_eq!(shop.text("SELECT status FROM orders").await, "created", "a preview changes nothing");

    for expected in ["is fulfilled", "stays fulfilled"] {
        let applied = replay(&shop, webhook, false).await;
        assert_eq!(applied.outcome.as_deref(), Some("applied"));
        assert!(applied.report.as_deref().unwrap().contains(expected), "{applied:?}");
    }
    assert_eq!(shop.count("SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL").await, 1);
    assert_eq!(shop.count("SELECT count(*) FROM outbox WHERE kind = 'email.send'").await, 1);
    assert_eq!(shop.count("SELECT count(*) FROM webhook_effects WHERE replay_id IS NOT NULL").await, 2);
}

#[tokio::test]
async fn a_hint_is_handed_on_again_and_rejected_ones_never() {
    let shop = Shop::open().await;
    let url = shop.url(&format!("/webhooks/admitad/{TOKEN}?action_id=700000001&payment_status=approved"));
    assert_eq!(shop.http.get(&url).send().await.unwrap().status(), 200);
    let webhook = only_webhook(&shop).await;
    let handed_on = replay(&shop, webhook, false).await;
    assert_eq!(handed_on.outcome.as_deref(), Some("handed_on"));
    assert_eq!(handed_on.report.as_deref(), Some("admitad is asked about 700000001"));

    assert_eq!(shop.http.get(shop.url("/webhooks/admitad/wrong")).send().await.unwrap().status(), 401);
    let rejected = eventually("it is logged", SOON, async || {
        let sql = "SELECT id FROM webhook_logs WHERE verdict = 'rejected'";
        shop.client().await.query_opt(sql, &[]).await.unwrap().map(|row| row.get::<_, WebhookId>(0))
    })
    .await;
    let refused = replay(&shop, rejected, true).await;
    assert!(refused.report.as_deref().unwrap().contains("was not verified"), "{refused:?}");
}

#[tokio::test]
async fn what_to_replay_is_found_by_source_and_time() {
    let shop = Shop::open().await;
    for name in ["payment.captured", "settlement.processed"] {
        shop.razorpay(&event(name, &[])).await;
    }
    shop.worked_off(1).await;
    let client = shop.client().await;
    let now = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(365 * 200);
    let found = async |source: &str, only_without_effect: bool| {
        let since = chrono::DateTime::UNIX_EPOCH;
        webhooks::replayable(&client, source, since, now, only_without_effect, 10).await.unwrap().len()
    };
    assert_eq!(
        (found("razorpay", false).await, found("razorpay", true).await, found("admitad", false).await),
        (2, 1, 0)
    );
}

/// `admin webhooks replay` with these arguments, and what it said.
fn on_the_command_line(shop: &Shop, arguments: &[&str]) -> (Output, String) {
    let output = Command::new(binary("admin"))
        .env("DATABASE_URL", shop.database.url())
        .args(["webhooks", "replay"])
        .args(arguments)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, said)
}

#[tokio::test]
async fn the_command_line_previews_replays_and_reports() {
    let shop = Shop::open().await;
    let (user, product) = (shop.shopper().await, shop.product(2).await);
    // The order comes after its payment, so the event has no effect by itself.
    shop.razorpay(&event("payment.captured", &[("payment", payment("pay_1", "order_1", 49_900, "captured"))])).await;
    let id = only_webhook(&shop).await.to_string();
    let (_, said) = on_the_command_line(&shop, &["--id", &id, "--dry-run"]);
    assert!(said.contains("it would fail: no order of ours"), "{said}");
    given_up(&shop).await;
    shop.order(user, "order_1", product, 1).await;

    let (output, said) = on_the_command_line(&shop, &["--id", &id, "--dry-run"]);
    assert!(output.status.success() && said.contains("previewed") && said.contains("1 asked for, all ended"), "{said}");
    assert_eq!(shop.text("SELECT status FROM orders").await, "created", "a preview changes nothing");
    for expected in ["is fulfilled", "stays fulfilled"] {
        let since = ["--source", "razorpay", "--since", "2020-01-01T00:00:00Z", "--reason", "it was lost"];
        let (output, said) = on_the_command_line(&shop, &since);
        assert!(output.status.success() && said.contains("applied") && said.contains(expected), "{said}");
    }
    assert_eq!(shop.count("SELECT count(*) FROM voucher_codes WHERE order_item_id IS NOT NULL").await, 1);
    assert_eq!(
        shop.count("SELECT count(*) FROM audit_logs WHERE action = 'webhook.replay' AND reason = 'it was lost'").await,
        2
    );
    let (output, said) =
        on_the_command_line(&shop, &["--source", "razorpay", "--since", "2020-01-01T00:00:00Z", "--without-effect"]);
    assert!(output.status.success() && said.contains("no accepted webhook is like that"), "{said}");

    assert_eq!(shop.http.get(shop.url("/webhooks/admitad/wrong")).send().await.unwrap().status(), 401);
    let rejected = eventually("it is logged", SOON, async || {
        let sql = "SELECT id FROM webhook_logs WHERE verdict = 'rejected'";
        shop.client().await.query_opt(sql, &[]).await.unwrap().map(|row| row.get::<_, WebhookId>(0))
    })
    .await;
    let (output, said) = on_the_command_line(&shop, &["--id", &rejected.to_string()]);
    assert!(!output.status.success() && said.contains("only what was verified can be replayed"), "{said}");
    for wrong in [&["--dry-run"][..], &["--source", "razorpay"], &["--id", "7"]] {
        assert!(!on_the_command_line(&shop, wrong).0.status.success(), "{wrong:?}");
    }
}

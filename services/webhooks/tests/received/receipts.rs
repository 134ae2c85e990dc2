//! Reports of deliveries.

use domain::contact::{EmailAddress, Mobile};
use domain::ids::NotificationId;
use serde_json::json;
use store::notifications::Channel;
use store::suppressions::{AddressHash, of_address};
use testkit::{Sim, eventually_true};

use crate::shop::{SOON, Shop, TOKEN};

pub(crate) async fn message(shop: &Shop, channel: Channel, address: AddressHash) -> NotificationId {
    let id = NotificationId::generate();
    shop.client()
        .await
        .execute(
            "INSERT INTO notifications (id, event_key, channel, template, lang, category, recipient, address_hash, status, provider, queued_at)
             VALUES ($1, $2, $3, 'otp', 'en', 'security', 'a***', $4, 'sent', 'x', now())",
            &[&id, &format!("test:{id}"), &channel.name(), &address.as_bytes()],
        )
        .await
        .unwrap();
    id
}

fn number() -> AddressHash {
    AddressHash::from("9800000001".parse::<Mobile>().unwrap())
}

fn mailbox(address: &str) -> AddressHash {
    AddressHash::from(&address.parse::<EmailAddress>().unwrap())
}

async fn state(shop: &Shop, id: NotificationId) -> String {
    let row = shop.client().await.query_one("SELECT status FROM notifications WHERE id = $1", &[&id]).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn reports_of_text_messages_become_their_state() {
    let shop = Shop::open().await;
    let (good, bad) = (message(&shop, Channel::Sms, number()).await, message(&shop, Channel::Sms, number()).await);
    let report = |id: NotificationId, status: &str| json!({"date": "2026-09-01 18:05:09", "number": "919800000001", "requestId": "36aa", "CRQID": id.to_string(), "status": status, "desc": "TEMPLATE-NOT-MATCHED"});
    for (id, status) in [(good, "1"), (bad, "16"), (good, "42"), (bad, "16")] {
        let request =
            shop.http.post(shop.url(&format!("/webhooks/msg91/{TOKEN}"))).header("content-type", "application/json");
        assert_eq!(request.body(report(id, status).to_string()).send().await.unwrap().status(), 200);
    }
    eventually_true("both are known", SOON, async || {
        (state(&shop, good).await, state(&shop, bad).await) == ("delivered".to_owned(), "failed".to_owned())
    })
    .await;
}

#[tokio::test]
async fn signed_batches_of_sendgrid_become_states_and_suppressions() {
    let sim = Sim::start();
    let key = sim.get("/_sim/keys").await;
    let public = key["sendgrid"]["public_key"].as_str().expect("the simulator tells its key").to_owned();
    let shop = Shop::open_with(&[("WEBHOOK_SOURCES", "sendgrid"), ("SENDGRID_WEBHOOK_PUBLIC_KEY", &public)]).await;
    sim.post("/_sim/config", &json!({"sendgrid_event_url": shop.url("/webhooks/sendgrid"), "sendgrid_batch_ms": 20}))
        .await;
    let mut ids = Vec::new();
    for to in ["asha@example.in", "bounce@example.in", "dropped@example.in", "open@example.in"] {
        let id = message(&shop, Channel::Email, mailbox(to)).await;
        let mail = json!({
            "personalizations": [{"to": [{"email": to}], "custom_args": {"notification_id": id.to_string()}}],
            "from": {"email": "shop@example.in"}, "subject": "Hello", "content": [{"type": "text/plain", "value": "Hello"}],
        });
        let sent = shop
            .http
            .post(sim.at("/sendgrid/v3/mail/send"))
            .bearer_auth("SG.synthetic")
            .json(&mail)
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status(), 202);
        ids.push(id);
    }
    for (id, expected) in ids.iter().zip(["delivered", "bounced", "dropped", "opened"]) {
        eventually_true(expected, SOON, async || state(&shop, *id).await == expected).await;
    }
    let client = shop.client().await;
    let stopped = async |address| of_address(&client, Channel::Email, &mailbox(address)).await.unwrap();
    assert_eq!(stopped("bounce@example.in").await.first().map(|entry| entry.category.as_str()), Some("all"));
    assert_eq!(stopped("dropped@example.in").await, []);
}

#[tokio::test]
async fn one_click_ends_reminders_and_looking_does_not() {
    let shop = Shop::open().await;
    let id = NotificationId::generate();
    let address = mailbox("asha@example.in");
    let client = shop.client().await;
    client
        .execute(
            "INSERT INTO notifications (id, event_key, channel, template, lang, category, recipient, address_hash, status, provider, queued_at)
             VALUES ($1, 'reminder:1', 'email', 'pending_reminder', 'en', 'reminder', 'a***', $2, 'sent', 'sendgrid', now())",
            &[&id, &address.as_bytes()],
        )
        .await
        .unwrap();
    let link = shop.url(&format!("/unsubscribe/{id}"));
    assert_eq!(shop.http.get(&link).send().await.unwrap().status(), 200);
    assert_eq!(of_address(&client, Channel::Email, &address).await.unwrap(), []);
    for _ in 0..2 {
        let click = shop.http.post(&link).body("List-Unsubscribe=One-Click").send().await.unwrap();
        assert_eq!(click.status(), 200);
    }
    let stopped = of_address(&client, Channel::Email, &address).await.unwrap();
    assert_eq!(stopped.iter().map(|entry| entry.category.as_str()).collect::<Vec<_>>(), ["reminder"]);
    let foreign = shop.url(&format!("/unsubscribe/{}", NotificationId::generate()));
    assert_eq!(shop.http.post(&foreign).send().await.unwrap().status(), 404);
}

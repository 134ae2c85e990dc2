//! Messages: claimed once whoever asks, reports in any order, and who is not written to.

use chrono::{DateTime, TimeDelta, Utc};
use domain::contact::EmailAddress;
use domain::ids::NotificationId;
use domain::jobs::Language;
use store::notifications::{self, Answer, Category, Channel, Claim, DeliveryEvent, Message, Report, Settlement};
use store::suppressions::{self, AddressHash};
use testkit::Database;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
}

fn hash(address: &str) -> AddressHash {
    AddressHash::from(&address.parse::<EmailAddress>().unwrap())
}

fn mail(event: &str, address: &str) -> Message {
    Message {
        event_key: event.parse().unwrap(),
        channel: Channel::Email,
        template: "otp",
        lang: Language::En,
        category: Category::Security,
        user_id: None,
        recipient: "a***@example.in".to_owned(),
        address: hash(address),
        provider: "sendgrid",
        queued_at: at(0),
        newest_wins: false,
        correlation_id: None,
        per_hour: 0,
        per_day: 0,
    }
}

async fn claim_one(client: &store::Client, message: &Message) -> Claim {
    notifications::claim(client, std::slice::from_ref(message)).await.unwrap().remove(0)
}

async fn sent(client: &store::Client, message: &Message) -> NotificationId {
    match claim_one(client, message).await {
        Claim::Send { id, .. } => id,
        other => panic!("not sent: {other:?}"),
    }
}

async fn settle(client: &store::Client, id: NotificationId, settlement: Settlement) {
    notifications::settle(client, &[Answer::of(id, "sendgrid", settlement)]).await.unwrap();
}

async fn status(database: &Database, id: NotificationId) -> String {
    let client = database.client().await;
    client.query_one("SELECT status FROM notifications WHERE id = $1", &[&id]).await.unwrap().get(0)
}

#[tokio::test]
async fn of_many_claims_at_once_one_may_send() {
    let database = Database::start().await;
    let pool = database.pool();
    let message = mail("order:1:paid", "asha@example.in");
    let claims = (0..12).map(|_| async { claim_one(&pool.get().await.unwrap(), &message).await });
    let claims = futures_util::future::join_all(claims).await;
    let sends = claims.iter().filter(|claim| matches!(claim, Claim::Send { .. })).count();
    let doubts = claims.iter().filter(|claim| matches!(claim, Claim::InDoubt { .. })).count();
    assert_eq!((sends, doubts), (1, 11), "{claims:?}");
}

#[tokio::test]
async fn a_batch_gives_each_message_its_own_claim() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let old = mail("a:1", "asha@example.in");
    settle(&client, sent(&client, &old).await, Settlement::Sent(Some("sg-1".to_owned()))).await;
    suppressions::insert(&client, Channel::Email, &hash("gone@example.in"), None, "bounced").await.unwrap();
    let batch = [mail("a:2", "asha@example.in"), old, mail("a:3", "gone@example.in"), mail("a:4", "ravi@example.in")];
    let claims = notifications::claim(&client, &batch).await.unwrap();
    assert!(matches!(claims[0], Claim::Send { attempt: 1, .. }), "{claims:?}");
    assert_eq!(claims[1], Claim::Settled("sent".to_owned()));
    assert_eq!(claims[2], Claim::Withheld { status: "suppressed".to_owned(), reason: "bounced".to_owned() });
    assert!(matches!(claims[3], Claim::Send { attempt: 1, .. }), "{claims:?}");
}

#[tokio::test]
async fn only_what_was_surely_not_accepted_is_claimed_again() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let message = mail("a:1", "asha@example.in");
    let id = sent(&client, &message).await;
    settle(&client, id, Settlement::Retry("429".to_owned())).await;
    assert_eq!(claim_one(&client, &message).await, Claim::Send { id, attempt: 2 });
    settle(&client, id, Settlement::Unknown("no answer".to_owned())).await;
    assert!(matches!(claim_one(&client, &message).await, Claim::InDoubt { .. }));
    settle(&client, id, Settlement::Failed("400".to_owned())).await;
    assert_eq!(claim_one(&client, &message).await, Claim::Settled("failed".to_owned()));
}

#[tokio::test]
async fn a_message_in_doubt_is_taken_over_only_when_reports_come_in_and_none_of_it() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let doubtful = mail("a:1", "asha@example.in");
    let id = sent(&client, &doubtful).await;
    assert_eq!(notifications::take_over(&client, id, 0.0).await.unwrap(), None, "no reports at all: nothing is known");
    let later = sent(&client, &mail("a:2", "ravi@example.in")).await;
    let report = |id| DeliveryEvent {
        notification_id: id,
        provider_event: "e1",
        report: Report::Accepted,
        reason: "",
        occurred_at: at(0),
    };
    assert!(is_news(&client, &report(later)).await);
    assert_eq!(notifications::take_over(&client, id, 3600.0).await.unwrap(), None, "too early");
    assert_eq!(notifications::take_over(&client, id, 0.0).await.unwrap(), Some(2));
    assert!(is_news(&client, &report(id)).await);
    assert_eq!(notifications::take_over(&client, id, 0.0).await.unwrap(), None, "its own report came");
    assert_eq!(status(&database, id).await, "sent");
}

/// Tells of one event; whether it was new.
async fn is_news(client: &store::Client, event: &DeliveryEvent<'_>) -> bool {
    notifications::apply_events(client, std::slice::from_ref(event)).await.unwrap() == 1
}

#[tokio::test]
async fn a_batch_with_every_order_of_reports_and_each_report_twice_gives_the_same_state() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let reports = [Report::Accepted, Report::Deferred, Report::Delivered, Report::Opened, Report::Bounced];
    let (mut told, mut messages) = (Vec::new(), Vec::new());
    for (number, order) in permutations(&reports).into_iter().enumerate() {
        let id = sent(&client, &mail(&format!("o:{number}"), &format!("p{number}@example.in"))).await;
        told.extend(order.iter().chain(&order).map(|report| (id, format!("{report:?}"), *report)));
        messages.push(id);
    }
    told.push((NotificationId::generate(), "of nobody".to_owned(), Report::Bounced));
    let batch: Vec<_> = told
        .iter()
        .map(|(id, name, report)| DeliveryEvent {
            notification_id: *id,
            provider_event: name,
            report: *report,
            reason: if *report == Report::Deferred { "421 busy" } else { "" },
            occurred_at: at(1),
        })
        .collect();
    assert_eq!(notifications::apply_events(&client, &batch).await.unwrap(), 600, "each report once");
    assert_eq!(notifications::apply_events(&client, &batch).await.unwrap(), 0, "and never again");
    for id in messages {
        assert_eq!(status(&database, id).await, "bounced");
    }
    let counts = "SELECT (SELECT count(*) FROM notification_events), (SELECT count(*) FROM suppressions WHERE reason = 'bounced'),
                         (SELECT count(*) FROM notifications WHERE reason = '421 busy' AND sent_at = $1)";
    let row = client.query_one(counts, &[&at(1)]).await.unwrap();
    assert_eq!([row.get::<_, i64>(0), row.get(1), row.get(2)], [600, 120, 120]);
}

#[tokio::test]
async fn reports_in_every_order_give_the_same_state() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let reports = [Report::Accepted, Report::Deferred, Report::Delivered, Report::Opened, Report::Bounced];
    for (number, order) in permutations(&reports).into_iter().enumerate() {
        let id = sent(&client, &mail(&format!("o:{number}"), &format!("p{number}@example.in"))).await;
        for (place, report) in order.iter().chain(&order).enumerate() {
            let name = format!("{report:?}");
            let event = DeliveryEvent {
                notification_id: id,
                provider_event: &name,
                report: *report,
                reason: "",
                occurred_at: at(1),
            };
            assert_eq!(is_news(&client, &event).await, place < order.len());
            if place == number % 5 {
                settle(&client, id, Settlement::Sent(Some("sg".to_owned()))).await;
            }
        }
        assert_eq!(status(&database, id).await, "bounced", "{order:?}");
    }
    let row = database.client().await;
    let row = row
        .query_one(
            "SELECT count(*), count(provider_message_id), (SELECT count(*) FROM notification_events) FROM notifications",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (120, 120, 600));
}

fn permutations(reports: &[Report]) -> Vec<Vec<Report>> {
    if reports.len() <= 1 {
        return vec![reports.to_vec()];
    }
    let mut all = Vec::new();
    for (place, first) in reports.iter().enumerate() {
        let mut rest = reports.to_vec();
        rest.remove(place);
        all.extend(permutations(&rest).into_iter().map(|tail| [vec![*first], tail].concat()));
    }
    all
}

#[tokio::test]
async fn a_bounce_stops_everything_a_complaint_only_what_can_be_done_without() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    for (report, address, money) in
        [(Report::Bounced, "gone@example.in", false), (Report::Complained, "cross@example.in", true)]
    {
        let id = sent(&client, &mail(&format!("first:{address}").replace('@', "-"), address)).await;
        let event = DeliveryEvent { notification_id: id, provider_event: "e", report, reason: "", occurred_at: at(1) };
        assert!(is_news(&client, &event).await);
        for (category, allowed) in [(Category::Money, money), (Category::Reminder, false)] {
            let key = format!("next:{address}:{}", category.name()).replace('@', "-");
            let message = Message { category, template: "other", ..mail(&key, address) };
            let claim = claim_one(&client, &message).await;
            assert_eq!(matches!(claim, Claim::Send { .. }), allowed, "{report:?} {category:?}: {claim:?}");
        }
    }
}

#[tokio::test]
async fn one_click_ends_reminders_and_only_reminders() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let otp = sent(&client, &mail("a:1", "asha@example.in")).await;
    assert!(!suppressions::unsubscribe(&client, otp).await.unwrap(), "a code cannot be unsubscribed from");
    let reminder =
        |key| Message { category: Category::Reminder, template: "pending_reminder", ..mail(key, "asha@example.in") };
    let id = sent(&client, &reminder("r:1")).await;
    assert!(suppressions::unsubscribe(&client, id).await.unwrap());
    assert!(suppressions::unsubscribe(&client, id).await.unwrap(), "twice is fine");
    let stopped = Claim::Withheld { status: "suppressed".to_owned(), reason: "unsubscribed".to_owned() };
    assert_eq!(claim_one(&client, &reminder("r:2")).await, stopped);
    assert!(matches!(claim_one(&client, &mail("a:2", "asha@example.in")).await, Claim::Send { .. }));
    let address = hash("Asha@example.in");
    let list = suppressions::of_address(&client, Channel::Email, &address).await.unwrap();
    assert_eq!(list.iter().map(|entry| entry.category.as_str()).collect::<Vec<_>>(), ["reminder"]);
    client.execute("DELETE FROM suppressions", &[]).await.unwrap();
    assert!(matches!(claim_one(&client, &reminder("r:3")).await, Claim::Send { .. }));
}

#[tokio::test]
async fn the_newest_code_wins() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let code = |key, seconds| Message { newest_wins: true, queued_at: at(seconds), ..mail(key, "asha@example.in") };
    let first = code("otp:1", 0);
    let id = sent(&client, &first).await;
    settle(&client, id, Settlement::Retry("circuit".to_owned())).await;
    sent(&client, &code("otp:2", 5)).await;
    assert!(matches!(claim_one(&client, &first).await, Claim::Withheld { status, .. } if status == "superseded"));
    let other = Message { address: hash("ravi@example.in"), ..code("otp:3", 1) };
    assert!(matches!(claim_one(&client, &other).await, Claim::Send { .. }), "another person's code does not count");
}

#[tokio::test]
async fn an_address_gets_no_more_than_its_share() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let limited = |number: i32| Message { per_hour: 3, per_day: 5, ..mail(&format!("t:{number}"), "asha@example.in") };
    for number in 0..3 {
        settle(&client, sent(&client, &limited(number)).await, Settlement::Sent(None)).await;
    }
    assert!(matches!(claim_one(&client, &limited(3)).await, Claim::Withheld { status, .. } if status == "throttled"));
    database
        .client()
        .await
        .execute("UPDATE notifications SET created_at = now() - interval '2 hours' WHERE status = 'sent'", &[])
        .await
        .unwrap();
    for number in 4..6 {
        sent(&client, &limited(number)).await;
    }
    assert!(
        matches!(claim_one(&client, &limited(6)).await, Claim::Withheld { status, .. } if status == "throttled"),
        "the sixth of the day"
    );
    let other = Message { address: hash("ravi@example.in"), ..limited(7) };
    assert!(matches!(claim_one(&client, &other).await, Claim::Send { .. }));
}

#[tokio::test]
async fn an_unknown_shopper_and_old_rows_are_no_trouble() {
    let database = Database::start().await;
    let client = database.pool().get().await.unwrap();
    let message = Message { user_id: Some(domain::ids::UserId::generate()), ..mail("a:1", "asha@example.in") };
    let id = sent(&client, &message).await;
    settle(&client, id, Settlement::Sent(Some("sg-7".to_owned()))).await;
    assert_eq!(notifications::delete_old(&client, 400, 100).await.unwrap(), 0);
    let old = now() - TimeDelta::days(401);
    let admin = database.client().await;
    admin.execute("UPDATE notifications SET id = uuid_floor($1)", &[&old]).await.unwrap();
    assert_eq!(notifications::delete_old(&client, 400, 100).await.unwrap(), 1);
}

fn now() -> DateTime<Utc> {
    use domain::clock::Clock;
    domain::clock::SystemClock.now()
}

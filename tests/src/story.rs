//! One shopper's story, scene by scene. Each scene acts from outside, then waits until everything that must follow is seen.

use std::time::{Duration, Instant};

use domain::click::click_of;
use domain::ids::{ClickId, OrderId, WithdrawalId};
use domain::money::Paise;
use serde_json::{Value, json};
use store::withdrawals::{self, NewWithdrawal};
use store::{orders, wallet};
use testkit::{eventually, http};

use crate::session;
use crate::system::{SESSION_SECRET, System};

/// How long anything may take. A loaded machine is slow, a lost job never comes.
const LIMIT: Duration = Duration::from_secs(60);
/// What the network pays for the purchase: of it 60 % is promised.
const COMMISSION: &str = "200.00";

/// What was seen.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What happened.
    pub title: String,
    /// What was seen of it, one thing a line.
    pub facts: Vec<String>,
    /// From the act to the last thing seen.
    pub took: Duration,
}

/// The story so far.
#[derive(Debug, Default)]
pub struct Story {
    click: Option<ClickId>,
    sub_id: String,
    purchase: String,
    order: Option<OrderId>,
    called: Option<String>,
}

impl Story {
    /// A story that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the click a correlation id, as the edge does.
    pub fn called(&mut self, id: &str) {
        self.called = Some(id.to_owned());
    }

    /// The shopper follows an offer to the merchant, and the click is written down.
    pub async fn click(&mut self, system: &System) -> Scene {
        let begin = Instant::now();
        let cast = &system.cast;
        let link = system.at("redirector", &format!("/out/{}", cast.offer));
        let token = session::token(SESSION_SECRET, cast.shopper);
        let browser =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
        let request = http().get(&link).header("cookie", format!("token={token}")).header("user-agent", browser);
        let request = self.called.iter().fold(request, |request, id| request.header("x-request-id", id));
        let answer = request.send().await.expect("the redirector answers");
        let answered = begin.elapsed();
        assert_eq!(answer.status(), 302, "{link}");
        let location: reqwest::Url = answer.headers()["location"].to_str().unwrap().parse().unwrap();
        self.sub_id = location.query_pairs().find(|(name, _)| name == "subid").expect("a sub-id").1.into_owned();
        let click = click_of(&self.sub_id).expect("the click's id in the sub-id");
        self.click = Some(click);
        // The shopper's browser goes there, and on to the merchant.
        let landing = http().get(location.clone()).send().await.expect("the network answers");
        assert!(landing.status().is_redirection() || landing.status().is_success(), "{}", landing.status());

        let seen = eventually("the click in Postgres", LIMIT, async || {
            let sql = "SELECT class, rate_bps FROM affiliate_clicks WHERE id = $1 AND user_id = $2";
            system.client().await.query_opt(sql, &[&click, &cast.shopper]).await.expect("a query")
        })
        .await;
        let (class, rate): (String, i32) = (seen.get(0), seen.get(1));
        Scene {
            title: format!("A shopper clicks an offer of {}", cast.merchant),
            facts: vec![
                format!("302 after {:.1} ms to {}", answered.as_secs_f64() * 1e3, shortened(location.as_str())),
                format!("click {click} is in the sub-id"),
                format!("affiliate_clicks: a {class} click, {}% of the commission promised", rate / 100),
            ],
            took: begin.elapsed(),
        }
    }

    /// The network reports a pending commission.
    pub async fn purchase(&mut self, system: &System) -> Scene {
        let begin = Instant::now();
        self.report_purchase(system).await;
        let event = self.cashback(system, "pending").await;
        let mail = mail(system, "cashback tracked").await;
        Scene {
            title: format!("The network reports a purchase: ₹{COMMISSION} commission, pending"),
            facts: vec![
                format!("cashback_events: {} pending", Paise::new(event)),
                format!("mail: “{}”", subject(&mail)),
            ],
            took: begin.elapsed(),
        }
    }

    /// Only the network's part of [`Story::purchase`]: the postback is out, nothing is waited for.
    pub async fn report_purchase(&mut self, system: &System) {
        let purchase = json!({
            "network": "admitad", "sub_id": self.sub_id, "campaign_id": 10001, "campaign_name": system.cast.merchant,
            "order_id": "OD-4410293", "sale_amount": "2499.00", "commission": COMMISSION, "currency": "INR",
            "status": "pending", "postback": true,
        });
        let made = system.sim.post("/_sim/transactions", &purchase).await;
        self.purchase = match &made["id"] {
            Value::String(id) => id.clone(),
            id => id.to_string(),
        };
    }

    /// The network approves it: the wallet is credited.
    pub async fn approval(&mut self, system: &System) -> Scene {
        let begin = Instant::now();
        self.report_approval(system).await;
        let balance = eventually("money in the wallet", LIMIT, async || {
            let balance = wallet::balance(&system.client().await, system.cast.shopper).await.expect("a balance");
            balance.filter(|balance| balance.is_positive())
        })
        .await;
        let mail = mail(system, "is in your wallet").await;
        let text = text(system, "cashback from").await;
        Scene {
            title: "The network approves it".to_owned(),
            facts: vec![
                format!("wallet: {balance}, both sides booked"),
                format!("mail: “{}”", subject(&mail)),
                format!("SMS: “{}”", text["text"].as_str().unwrap_or_default()),
            ],
            took: begin.elapsed(),
        }
    }

    /// Only the network's part of [`Story::approval`], as [`Story::report_purchase`] is.
    pub async fn report_approval(&self, system: &System) {
        let path = format!("/_sim/transactions/admitad/{}", self.purchase);
        system.sim.post(&path, &json!({"status": "approved", "postback": true})).await;
    }

    /// The shopper buys two vouchers, and Razorpay tells that they are paid.
    pub async fn payment(&mut self, system: &System) -> Scene {
        let begin = Instant::now();
        let order = OrderId::generate();
        self.order = Some(order);
        let provider_order = format!("order_{}", &order.as_uuid().simple().to_string()[18..]);
        let (shopper, product) = (system.cast.shopper, system.cast.product);
        let mut client = system.client().await;
        let transaction = client.transaction().await.expect("a transaction");
        let total =
            orders::create(&transaction, order, shopper, &provider_order, &[(product, 2)]).await.expect("an order");
        transaction.commit().await.expect("a commit");
        let payment = json!({"amount_paise": total.get(), "order_id": provider_order, "email": system.cast.email});
        system.sim.post("/_sim/payments", &payment).await;

        let codes = eventually("the vouchers", LIMIT, async || {
            let sql = "SELECT count(*) FROM voucher_codes JOIN order_items ON order_items.id = order_item_id WHERE order_id = $1";
            let count: i64 = client.query_one(sql, &[&order]).await.expect("a count").get(0);
            (count == 2).then_some(count)
        })
        .await;
        let mail = mail(system, "order is confirmed").await;
        let body = mail["text"].as_str().unwrap_or_default();
        let shown = body.lines().filter(|line| line.trim().starts_with("DEMO-")).count();
        assert_eq!(shown, 2, "both codes are in the mail:\n{body}");
        let text = text(system, "is confirmed").await;
        Scene {
            title: format!(
                "The shopper buys 2 × {}, and Razorpay reports the payment of {total}",
                system.cast.product_title
            ),
            facts: vec![
                format!("{codes} voucher codes are this order's, and nobody else's"),
                format!("mail: “{}”, with {shown} codes", subject(&mail)),
                format!("SMS: “{}”", text["text"].as_str().unwrap_or_default()),
            ],
            took: begin.elapsed(),
        }
    }

    /// The shopper takes ₹100 out.
    pub async fn withdrawal(&mut self, system: &System) -> Scene {
        let begin = Instant::now();
        let new = NewWithdrawal {
            id: WithdrawalId::generate(),
            user_id: system.cast.shopper,
            amount: Paise::new(10_000),
            fund_account_id: "fa_demo00000001".to_owned(),
            idempotency_key: format!("demo-{}", self.order.map(|order| order.to_string()).unwrap_or_default()),
        };
        let client = system.client().await;
        withdrawals::request(&client, &new).await.expect("the wallet holds enough");
        let utr = eventually("the withdrawal is processed", LIMIT, async || {
            let found = withdrawals::find(&client, new.id).await.expect("a query").expect("the withdrawal");
            (found.processed_at.is_some()).then_some(found.utr.unwrap_or_else(|| "not told".to_owned()))
        })
        .await;
        let balance = wallet::balance(&client, system.cast.shopper).await.expect("a balance").unwrap_or(Paise::ZERO);
        let mail = mail(system, "is on its way").await;
        let text = text(system, "is on its way").await;
        Scene {
            title: format!("The shopper withdraws {}", new.amount),
            facts: vec![
                format!("RazorpayX processed it, the bank's reference is {utr}"),
                format!("wallet: {balance} left"),
                format!("mail: “{}”", subject(&mail)),
                format!("SMS: “{}”", text["text"].as_str().unwrap_or_default()),
            ],
            took: begin.elapsed(),
        }
    }

    async fn cashback(&self, system: &System, status: &str) -> i64 {
        let click = self.click.expect("a click came before");
        eventually(&format!("{status} cashback"), LIMIT, async || {
            let sql = "SELECT amount_paise FROM cashback_events JOIN affiliate_transactions ON affiliate_transactions.id = transaction_id
                       WHERE affiliate_transactions.click_id = $1 AND cashback_events.status = $2";
            let row = system.client().await.query_opt(sql, &[&click, &status]).await.expect("a query");
            row.map(|row| row.get(0))
        })
        .await
    }
}

fn subject(mail: &Value) -> &str {
    mail["subject"].as_str().unwrap_or_default()
}

/// The newest mail to the shopper with these words.
async fn mail(system: &System, words: &str) -> Value {
    message(system, "email", &system.cast.email, words).await
}

/// The newest text to the shopper with these words.
async fn text(system: &System, words: &str) -> Value {
    message(system, "sms", &system.cast.mobile, words).await
}

async fn message(system: &System, channel: &str, to: &str, words: &str) -> Value {
    eventually(&format!("{channel} to {to} with {words:?}"), LIMIT, async || {
        let url = reqwest::Url::parse_with_params(
            &system.sim.at("/_sim/inbox.json"),
            [("channel", channel), ("to", to), ("contains", words)],
        )
        .expect("a URL");
        let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let inbox = system.sim.get(&path).await;
        inbox["messages"].as_array().and_then(|messages| messages.first()).cloned()
    })
    .await
}

fn shortened(url: &str) -> String {
    if url.len() <= 96 { url.to_owned() } else { format!("{}…", url.chars().take(95).collect::<String>()) }
}

//! What operators do all day.

use domain::ids::OrderId;
use serde_json::json;
use testkit::eventually;

use crate::driver::SOON;
use crate::shop::Shop;

/// A cell of the table of queues, which is kept up to date while the page is open.
fn cell(queue: &str, column: usize) -> String {
    format!("#now tr:has(a[href='/admin/queues/{queue}']) > :nth-child({column})")
}

const WAITING: usize = 2;
const DEAD: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn browser_a_job_arrives_live_dies_is_replayed_and_succeeds() {
    let shop = Shop::open().await;
    let browser = shop.enter("operator").await;
    browser.visit("/admin/queues/email").await;
    browser.act("/pause", "to see the job arrive").await;
    browser.sees("Paused: to see the job arrive").await;

    // From here to the death the page is loaded once: the mark would be gone.
    browser.visit("/admin/workers").await;
    browser.run("window.mark = 'not loaded again'").await;
    browser.reads(&cell("email", WAITING), "0").await;
    let order = OrderId::generate();
    let id = shop.confirm(order).await;
    browser.reads(&cell("email", WAITING), "1").await;
    shop.call("/queue/email/resume", &json!({ "reason": "it was seen" })).await;
    browser.reads(&cell("email", DEAD), "1").await;
    browser.reads(&cell("email", WAITING), "0").await;
    assert_eq!(browser.run("return window.mark").await, "not loaded again");

    browser.press(&format!("{} a", cell("email", DEAD))).await;
    browser.press(&format!("tbody a[href$='{id}']")).await;
    browser.sees("Dead letter").await;
    let letter = browser.text().await;
    assert!(letter.contains("email.send") && !letter.contains("asha@example.in"), "{letter}");
    shop.order(order).await;
    browser.act("/replay", "the order is there now").await;
    browser.sees("The job is back on its queue.").await;
    browser.visit("/admin/workers").await;
    browser.reads(&cell("email", DEAD), "0").await;
    browser.visit("/admin/deliveries").await;
    browser.finds("delivered").await;
    browser.visit("/admin/audit").await;
    browser.sees("the order is there now").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_a_webhook_is_replayed_a_job_triggered_a_purchase_assigned() {
    let shop = Shop::open().await;
    shop.play().await;
    let browser = shop.enter("operator").await;

    browser.visit("/admin/webhooks?source=razorpay").await;
    browser.press("tbody tr:last-child a").await;
    browser.sees("Webhook from razorpay").await;
    browser.act("/preview", "what would it do?").await;
    browser.sees("The replay is asked for").await;
    browser.loses("On its way.").await;
    browser.act("/replay", "to be sure").await;
    browser.loses("On its way.").await;
    let page = browser.text().await;
    assert!(page.contains("preview") && page.matches("by operator@example.in").count() == 2, "{page}");

    browser.visit("/admin/cron").await;
    browser.act("/expire_offers/run", "a sale ended early").await;
    browser.sees("The run is asked for").await;
    browser.finds("by operator@example.in").await;
    let client = shop.system.client().await;
    eventually("the run's end", SOON, async || {
        let sql = "SELECT FROM cron_runs WHERE job = 'expire_offers' AND requested_by = 'operator@example.in' AND status = 'succeeded'";
        client.query_opt(sql, &[]).await.unwrap()
    })
    .await;

    let purchase = shop.purchase_without_a_click().await;
    browser.visit("/admin/sync").await;
    browser.press(&format!("a[href='/admin/unmatched/{purchase}']")).await;
    browser.sees("Clicks that fit").await;
    let click = browser.run("return document.querySelector('main section a').innerText").await;
    let fields = [("click", click.as_str().unwrap()), ("reason", "the shopper sent the receipt")];
    browser.fill("form[action$='/assign']", &fields).await;
    browser.sees("The transaction belongs to that click now.").await;
    let sql = "SELECT count(*) FROM affiliate_transactions WHERE click_id IS NULL";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
}

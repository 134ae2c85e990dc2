//! What each role is offered, and what it is refused.

use serde_json::json;

use crate::driver::Browser;
use crate::shop::Shop;

/// Sends a form from the page itself, with its token, as a person with the developer's tools can; gives the status.
async fn sneak(browser: &Browser, path: &str) -> i64 {
    let script = format!(
        "const done = arguments[arguments.length - 1];
         const body = new URLSearchParams({{ csrf: document.querySelector('[name=csrf]').value, reason: 'I may not' }});
         fetch({}, {{ method: 'POST', body, redirect: 'manual' }}).then((answer) => done(answer.status));",
        json!(path)
    );
    browser.run_to_end(&script).await.as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_each_role_is_offered_what_it_may_and_refused_the_rest() {
    let shop = Shop::open().await;
    let wallet = format!("/admin/wallets/{}", shop.system.cast.shopper);
    // Where, the form that is offered there, and to whom.
    let offers = [
        ("/admin/queues/email", "/pause", "operator"),
        ("/admin/cron", "/expire_offers/run", "operator"),
        ("/admin/sync", "/admitad/pull", "operator"),
        ("/admin/people", "/end", "operator"),
        (wallet.as_str(), "/freeze", "finance"),
        (wallet.as_str(), "/adjust", "finance"),
    ];
    for role in ["viewer", "operator", "finance"] {
        let browser = shop.enter(role).await;
        for (page, action, whom) in offers {
            browser.visit(page).await;
            let offered = browser.has(&format!("form[action$='{action}']")).await;
            assert_eq!(offered, role == whom, "{action} of {page} for {role}");
        }
        browser.visit("/admin/workers").await;
        for (path, whom) in [("/admin/queues/email/resume", "operator"), (&format!("{wallet}/unfreeze"), "finance")] {
            let status = sneak(browser, path).await;
            // 0 is how a script sees that it would be sent on to the next page.
            assert_eq!(status, if role == whom { 0 } else { 403 }, "{path} for {role}");
        }
        browser.visit("/admin/queues/email/dead/export").await;
        if role == "viewer" {
            browser.sees("Your role does not allow this.").await;
        }
    }
    shop.browser.visit("/admin/workers").await;
    shop.browser.press(".out button").await;
    shop.browser.visit("/admin/workers").await;
    assert_eq!(shop.browser.path().await, "/admin/login?next=%2Fadmin%2Fworkers");
}

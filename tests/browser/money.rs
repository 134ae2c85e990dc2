//! Money moved by hand, by two persons.

use domain::money::Paise;
use store::wallet;

use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn browser_money_moves_by_hand_when_a_second_person_agrees() {
    let shop = Shop::open().await;
    let page = format!("/admin/wallets/{}", shop.system.cast.shopper);
    let browser = shop.enter("finance").await;
    browser.visit("/admin/wallets").await;
    browser.run("document.querySelector('[name=q]').value = 'asha@example.in'").await;
    browser.press("main form button").await;
    browser.press(&format!("a[href='{page}']")).await;
    let form = "form[action$='/adjust']";
    browser.fill(form, &[("rupees", "250.50"), ("reason", "the shop forgot a purchase")]).await;
    browser.sees("The adjustment waits for a second person.").await;
    browser.visit("/admin/adjustments").await;
    browser.sees("₹250.50").await;
    assert!(!browser.has("form[action$='/approve']").await, "who asked is not offered the decision");

    let browser = shop.enter("second").await;
    browser.visit("/admin/adjustments").await;
    browser.act("/approve", "the receipt was seen").await;
    browser.sees("The adjustment is decided.").await;
    browser.visit(&page).await;
    browser.sees("₹250.50").await;
    let client = shop.system.client().await;
    let balance = wallet::balance(&client, shop.system.cast.shopper).await.unwrap();
    assert_eq!(balance, Some(Paise::new(25_050)));
}

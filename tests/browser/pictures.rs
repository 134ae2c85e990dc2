//! Every page as it looks, on a desk by day and by night and on a phone; kept in `target/pictures`.

use std::path::Path;

use serde_json::json;

use crate::accessible::pages;
use crate::driver::Look;
use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn browser_every_page_fits_a_desk_and_a_phone() {
    let shop = Shop::open().await;
    shop.furnish().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let browser = shop.enter("operator").await;
    let mut pages: Vec<(String, String)> = pages(browser).await.into_iter().collect();
    pages.push(("/admin/timeline of a shopper".to_owned(), format!("/admin/timeline?q={}", shop.system.cast.shopper)));
    for (pattern, page) in pages {
        let name = pattern.trim_start_matches("/admin/").replace(['{', '}'], "").replace([' ', '/'], "-");
        for look in [Look::Light, Look::Dark, Look::Phone] {
            browser.look(look).await;
            browser.visit(&page).await;
            let wider =
                "const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth - clientWidth";
            assert_eq!(browser.run(wider).await, json!(0), "{page} is wider than the window ({})", look.word());
            std::fs::write(folder.join(format!("{name}-{}.png", look.word())), browser.picture().await).unwrap();
        }
    }
}

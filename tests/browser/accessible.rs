//! Everybody can use every page: no violation that axe-core knows of, nothing wider than the window, everything by keyboard, and
//! without scripts. The pictures that are taken meanwhile are kept in `target/pictures`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::driver::{Browser, Look};
use crate::pages::pages;
use crate::shop::Shop;

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(name)
}

/// axe-core, as `tests/setup/axe.sh` fetched it.
fn axe() -> String {
    let file = target("axe/axe.min.js");
    fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{} cannot be read ({error}); tests/setup/prerequisites.sh fetches it", file.display())
    })
}

/// What is wrong with the page as it is now, a line each.
async fn violations(browser: &Browser, axe: &str) -> Vec<String> {
    browser.run(axe).await;
    let found = browser
        .run_to_end(
            "const done = arguments[arguments.length - 1];
             axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations.flatMap((one) =>
                 one.nodes.map((node) => `${one.id}: ${one.help}: ${node.html.slice(0, 160)}: ${node.failureSummary}`))),
                 (error) => done([`axe-core failed: ${error}`]));",
        )
        .await;
    found.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// Notes what gets the focus, and whether that shows.
const WATCH: &str = "
    window.focused = new Set(); window.unseen = [];
    document.addEventListener('focusin', ({ target }) => {
        window.focused.add(target);
        const { outlineStyle, outlineWidth } = getComputedStyle(target);
        if (outlineStyle === 'none' || outlineWidth === '0px') window.unseen.push(target.outerHTML.slice(0, 120));
    });
    const all = document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]');
    window.wanted = [...all].filter((one) => one.checkVisibility());
    // A field for a time has a stop for each of its parts, and one for its calendar.
    const parts = 7 * window.wanted.filter((one) => one.type === 'datetime-local').length;
    return window.wanted.length + parts;";

/// What the key TAB does not lead to, or leads to without a sign, a line each.
async fn unreachable(browser: &Browser) -> Vec<String> {
    browser.run("document.activeElement.blur()").await;
    let count = browser.run(WATCH).await.as_u64().unwrap();
    browser.tabs(usize::try_from(count).unwrap() + 3).await;
    let missed = "const text = (one) => one.outerHTML.slice(0, 120);
        const missed = window.wanted.filter((one) => one.isConnected && !window.focused.has(one));
        return [...missed.map((one) => `no key leads to ${text(one)}`), ...window.unseen.map((one) => `no sign of the focus on ${one}`)]";
    let found = browser.run(missed).await;
    found.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// All that is wrong with a page as it is looked at.
async fn problems(browser: &Browser, look: Look, axe: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let wider = "const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth - clientWidth";
    let wider = browser.run(wider).await;
    if wider != json!(0) {
        wrong.push(format!("wider than the window by {wider}"));
    }
    if look != Look::Phone {
        wrong.extend(violations(browser, axe).await);
    }
    if look == Look::Light {
        wrong.extend(unreachable(browser).await);
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_every_page_is_for_everybody() {
    let (shop, axe, pictures) = (Shop::open().await, axe(), target("pictures"));
    shop.furnish().await;
    fs::create_dir_all(&pictures).unwrap();
    let browser = shop.enter("operator").await;
    let mut pages: Vec<(String, String)> = pages(browser).await.into_iter().collect();
    pages.push(("/admin/timeline of a shopper".to_owned(), format!("/admin/timeline?q={}", shop.system.cast.shopper)));
    pages.push(("/admin/nowhere".to_owned(), "/admin/nowhere".to_owned()));
    let mut wrong = Vec::new();
    for look in [Look::Light, Look::Dark, Look::Phone] {
        browser.look(look).await;
        for (pattern, page) in &pages {
            browser.visit(page).await;
            let name = pattern.trim_start_matches("/admin/").replace(['{', '}'], "").replace([' ', '/'], "-");
            fs::write(pictures.join(format!("{name}-{}.png", look.word())), browser.picture().await).unwrap();
            let found = problems(browser, look, &axe).await;
            wrong.extend(found.into_iter().map(|problem| format!("{page} ({}): {problem}", look.word())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_an_errand_is_done_without_a_mouse_and_without_scripts() {
    let shop = Shop::open().await;
    let browser = shop.enter("operator").await;
    // The first key leads past the navigation; a whole errand without a mouse.
    browser.visit("/admin/queues/sms").await;
    browser.tabs(1).await;
    browser.keys(['\u{e007}']).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "main");
    browser.tabs(2).await;
    browser.keys("by keyboard\u{e007}".chars()).await;
    browser.sees("Paused: by keyboard").await;

    browser.without_scripts().await;
    browser.visit("/admin/workers").await;
    browser.finds("notifier").await;
    browser.visit("/admin/queues/sms").await;
    browser.act("/resume", "without scripts").await;
    browser.sees("The queue is claimed from again.").await;
}

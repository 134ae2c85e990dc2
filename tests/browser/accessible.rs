//! Everybody can use every page: no violation that axe-core knows of, everything by keyboard, and without scripts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::binary;

use crate::driver::{Browser, Look};
use crate::shop::Shop;

/// axe-core, as `tests/setup/axe.sh` fetched it.
fn axe() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/axe/axe.min.js");
    std::fs::read_to_string(&file).unwrap_or_else(|error| {
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

/// The patterns of all pages, from the console's own table.
fn patterns() -> BTreeSet<String> {
    let output = Command::new(binary("admin")).env("DATABASE_URL", "postgres://localhost/none").arg("routes").output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let routes = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let pages = routes.filter(|route| route["method"] == "GET").filter_map(|route| {
        let path = route["path"].as_str()?;
        let is_page = path.starts_with("/admin/")
            && !["/assets/", "/live", "/now", "/export", "/preview"].iter().any(|part| path.contains(part));
        is_page.then(|| path.to_owned())
    });
    pages.collect()
}

/// The pattern that a path is of.
pub(crate) fn pattern_of(path: &str, patterns: &BTreeSet<String>) -> Option<String> {
    let parts: Vec<&str> = path.split(['?', '#']).next()?.split('/').collect();
    let fits = |pattern: &&String| {
        let wanted: Vec<&str> = pattern.split('/').collect();
        wanted.len() == parts.len()
            && wanted.iter().zip(&parts).all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
    };
    patterns.iter().find(fits).cloned()
}

/// One address for each pattern, found by following links from the first page.
pub(crate) async fn pages(browser: &Browser) -> BTreeMap<String, String> {
    let patterns = patterns();
    let (mut found, mut open) = (BTreeMap::new(), VecDeque::from(["/admin/workers".to_owned()]));
    found.insert("/admin/login".to_owned(), "/admin/login".to_owned());
    while let Some(path) = open.pop_front() {
        let Some(pattern) = pattern_of(&path, &patterns) else { continue };
        if found.contains_key(&pattern) {
            continue;
        }
        browser.visit(&path).await;
        found.insert(pattern, path);
        let links =
            "return [...document.querySelectorAll('main a[href], nav a[href]')].map((a) => a.getAttribute('href'))";
        let links = browser.run(links).await;
        open.extend(links.as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned()));
    }
    let missing: Vec<_> = patterns.iter().filter(|pattern| !found.contains_key(*pattern)).collect();
    assert!(missing.is_empty(), "no link leads to {missing:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_no_page_has_a_violation_in_light_or_dark() {
    let (shop, axe) = (Shop::open().await, axe());
    shop.furnish().await;
    let browser = shop.enter("operator").await;
    let mut pages: Vec<String> = pages(browser).await.into_values().collect();
    pages.push("/admin/nowhere".to_owned());
    pages.push(format!("/admin/timeline?q={}", shop.system.cast.shopper));
    let mut wrong = String::new();
    for page in pages {
        for look in [Look::Light, Look::Dark] {
            browser.look(look).await;
            browser.visit(&page).await;
            for line in violations(browser, &axe).await {
                let _never_fails = writeln!(wrong, "{page} ({}): {line}", look.word());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
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
    return window.wanted.length;";

#[tokio::test(flavor = "multi_thread")]
async fn browser_everything_is_reached_by_keyboard_and_shows_that_it_is() {
    let shop = Shop::open().await;
    shop.furnish().await;
    let browser = shop.enter("operator").await;
    for (_, page) in pages(browser).await {
        browser.visit(&page).await;
        browser.run("document.activeElement.blur()").await;
        let count = browser.run(WATCH).await.as_u64().unwrap();
        browser.tabs(usize::try_from(count).unwrap() + 3).await;
        let missed = "return window.wanted.filter((one) => !window.focused.has(one) && one.isConnected).map((one) => one.outerHTML.slice(0, 120))";
        assert_eq!(browser.run(missed).await, json!([]), "not reached on {page}");
        assert_eq!(browser.run("return window.unseen").await, json!([]), "reached on {page}, but it does not show");
    }
    // The first key leads past the navigation; a whole errand without a mouse.
    browser.visit("/admin/queues/sms").await;
    browser.tabs(1).await;
    browser.keys(['\u{e007}']).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "main");
    browser.tabs(2).await;
    browser.keys("by keyboard\u{e007}".chars()).await;
    browser.sees("Paused: by keyboard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_pages_work_without_scripts() {
    let shop = Shop::open().await;
    let browser = &shop.browser;
    browser.without_scripts().await;
    shop.enter("operator").await;
    browser.visit("/admin/workers").await;
    browser.finds("notifier").await;
    browser.visit("/admin/queues/sms").await;
    browser.act("/pause", "without scripts").await;
    browser.sees("Paused: without scripts").await;
}

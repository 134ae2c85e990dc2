//! Every page of the console, found by following links from the first one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use serde_json::Value;
use testkit::binary;

use crate::driver::Browser;

/// The patterns of all pages, from the console's own table.
fn patterns() -> BTreeSet<String> {
    let output = Command::new(binary("admin")).arg("routes").output();
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
fn pattern_of(path: &str, patterns: &BTreeSet<String>) -> Option<String> {
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
        let links = links.as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned());
        // A download is no page, though its address looks like that of one.
        open.extend(links.filter(|link| !link.contains("/export")));
    }
    let missing: Vec<_> = patterns.iter().filter(|pattern| !found.contains_key(*pattern)).collect();
    assert!(missing.is_empty(), "no link leads to {missing:?}");
    found
}

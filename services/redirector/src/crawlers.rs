//! Who says of itself that it is no person.

use std::sync::LazyLock;

use regex::bytes::{RegexSet, RegexSetBuilder};

/// The maintained list (see the file's head), compiled once.
static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::compile(include_str!("../data/crawlers.regex")));

struct Rules {
    /// Most patterns, searched together in one pass.
    plain: RegexSet,
    plain_reasons: Vec<String>,
    /// The few with look-around ("bot" but not in "Cubot"), which one-pass engines cannot do.
    careful: Vec<(fancy_regex::Regex, String)>,
}

impl Rules {
    /// A pattern that does not compile is left out with an error in the log: a redirect is worth more than a class.
    /// (A test holds that the shipped file compiles whole.)
    fn compile(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (looking_around, plain): (Vec<&str>, Vec<&str>) =
            lines.partition(|line| ["(?=", "(?!", "(?<"].iter().any(|mark| line.contains(mark)));
        let plain: Vec<_> = plain.into_iter().filter(|pattern| usable(pattern, &set(&[pattern]))).collect();
        let compiled = set(&plain);
        let careful = looking_around.into_iter().filter_map(|pattern| {
            let regex = fancy_regex::Regex::new(&format!("(?i){pattern}"));
            usable(pattern, &regex).then(|| regex.ok().map(|regex| (regex, reason(pattern))))?
        });
        let careful = careful.collect();
        Self {
            plain_reasons: plain.iter().map(|pattern| reason(pattern)).collect(),
            plain: compiled.unwrap_or_else(|_already_told| RegexSet::empty()),
            careful,
        }
    }
}

fn set(patterns: &[&str]) -> Result<RegexSet, regex::Error> {
    // The list is written for JavaScript, whose \w and \b are ASCII.
    RegexSetBuilder::new(patterns).case_insensitive(true).unicode(false).build()
}

fn usable<T, E: std::fmt::Display>(pattern: &str, compiled: &Result<T, E>) -> bool {
    if let Err(error) = compiled {
        tracing::error!(pattern, %error, "a crawler pattern does not compile and is left out");
    }
    compiled.is_ok()
}

fn reason(pattern: &str) -> String {
    format!("user agent matches {pattern}")
}

/// Compiles the patterns, and searches once so that the engines build their tables: before a port is bound, not in front of
/// the first shopper.
pub(crate) fn prepare() {
    let _only_for_its_tables = recognise("Mozilla/5.0 (X11; Linux x86_64) prepare");
}

/// Why a `User-Agent` is taken for a crawler's, if it is. Costs some microseconds: callers remember the answer.
pub(crate) fn recognise(user_agent: &str) -> Option<&'static str> {
    if user_agent.trim().is_empty() {
        return Some("no user agent");
    }
    let rules = &*RULES;
    if let Some(index) = rules.plain.matches(user_agent.as_bytes()).iter().next() {
        return rules.plain_reasons.get(index).map(String::as_str);
    }
    let careful = rules.careful.iter().find(|(regex, _)| regex.is_match(user_agent).unwrap_or(false));
    careful.map(|(_, reason)| reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(text: &str) -> impl Iterator<Item = &str> {
        text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
    }

    #[test]
    fn every_pattern_of_the_list_compiles() {
        let shipped = corpus(include_str!("../data/crawlers.regex")).count();
        assert_eq!(RULES.plain.len() + RULES.careful.len(), shipped);
        assert!(shipped > 150 && RULES.careful.len() >= 5);
    }

    #[test]
    fn at_least_99_of_100_crawlers_are_recognised() {
        let crawlers: Vec<_> = corpus(include_str!("../tests/corpora/crawlers.txt")).collect();
        let missed: Vec<_> = crawlers.iter().filter(|agent| recognise(agent).is_none()).collect();
        assert!(crawlers.len() > 2_000);
        assert!(missed.len() * 100 <= crawlers.len(), "{} of {} missed: {missed:#?}", missed.len(), crawlers.len());
    }

    #[test]
    fn no_browser_is_taken_for_a_crawler() {
        let browsers: Vec<_> = corpus(include_str!("../tests/corpora/browsers.txt")).collect();
        let wronged: Vec<_> =
            browsers.iter().filter_map(|agent| recognise(agent).map(|reason| (agent, reason))).collect();
        assert!(browsers.len() > 900 && browsers.iter().filter(|agent| agent.contains("CUBOT")).count() >= 7);
        assert!(wronged.is_empty(), "{wronged:#?}");
    }
}

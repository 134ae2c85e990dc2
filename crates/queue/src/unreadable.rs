//! What is wrong with bytes that cannot be read, without what they say: a payload holds addresses and codes, and errors of JSON
//! quote what they found.

/// The text of an error of JSON, with everything that it quotes from the input left out: for logs, rows and dead letters.
pub fn unreadable(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    // Names of missing fields and expected variants are ours; what was found instead is not.
    let (found, expected) = text.split_once(", expected").map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let quotes_input = ["invalid type", "invalid value", "unknown variant", "unknown field", "invalid length"];
    let mut shown = without(found, '"');
    if quotes_input.iter().any(|opening| found.contains(opening)) {
        shown = without(&shown, '`');
    }
    match expected {
        Some(expected) => format!("{shown}, expected{expected}"),
        None => shown,
    }
}

/// Text with everything from the first `quote` to the last one left out: what is quoted may hold quotes.
fn without(text: &str, quote: char) -> String {
    match (text.find(quote), text.rfind(quote)) {
        (Some(first), Some(last)) if first < last => {
            let (before, after) = (text.get(..=first).unwrap_or_default(), text.get(last..).unwrap_or_default());
            format!("{before}…{after}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase", deny_unknown_fields)]
    enum Word {
        Known,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Payload {
        #[expect(dead_code, reason = "only read")]
        number: u32,
        #[expect(dead_code, reason = "only read")]
        word: Word,
    }

    #[test]
    fn what_was_found_is_left_out_and_what_was_expected_stays() {
        let cases = [
            (r#"{"number":"pl\"ant, expected ed","word":"known"}"#, "u32"),
            (r#"{"number":1,"word":"planted"}"#, "`known`"),
            (r#"{"number":1,"planted":2}"#, "`number` or `word`"),
            (r#"{"number":1}"#, "missing field `word`"),
            (r#"{"number":-77777,"word":"known"}"#, "u32"),
            ("planted", "line 1"),
        ];
        for (text, kept) in cases {
            let shown = unreadable(&serde_json::from_str::<Payload>(text).unwrap_err());
            assert!(!shown.contains("plant") && !shown.contains("77777"), "{shown}");
            assert!(shown.contains(kept), "{shown}");
        }
    }
}

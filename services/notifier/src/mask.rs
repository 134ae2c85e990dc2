//! Takes addresses and numbers out of what providers say, before it is stored or logged.

/// The first 160 characters, with every mail address, link and long number replaced by what it was.
pub(crate) fn without_addresses(text: &str) -> String {
    let masked = text.split_whitespace().map(|word| {
        if word.contains('@') {
            "[address]"
        } else if word.contains("://") {
            "[link]"
        } else if word.chars().filter(char::is_ascii_digit).count() >= 6 {
            "[number]"
        } else {
            word
        }
    });
    masked.collect::<Vec<_>>().join(" ").chars().take(160).collect()
}

/// One line: control characters become spaces. A line break in a value must not begin a header or a line of ours.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_repeats_is_not_kept() {
        assert_eq!(
            without_addresses("asha@example.in (919800000001) https://x.in/t?c=1 does\nnot exist"),
            "[address] [number] [link] does not exist"
        );
        assert_eq!(one_line("Shop\r\nPreview: \u{7}free"), "Shop Preview: free");
    }
}

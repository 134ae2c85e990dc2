//! Queries and forms as lists of names and values.

use std::collections::HashMap;

/// The parameters of a query or form.
#[derive(Debug, Default)]
pub(crate) struct Params(HashMap<String, String>);

impl Params {
    /// Reads `a=1&b=2`, percent-decoded. The last of several equal names counts.
    pub(crate) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// A value; nothing when it is missing or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// A value as a number; `Err` when it is something else.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<usize>, NotANumber> {
        self.get(name).map(|v| v.parse().map_err(|_not| NotANumber(name))).transpose()
    }
}

/// A parameter that should be a whole number is not.
#[derive(Debug, thiserror::Error)]
#[error("{0} must be a whole number")]
pub(crate) struct NotANumber(pub(crate) &'static str);

/// Names and values as a query or form body.
pub(crate) fn encode(pairs: &[(&str, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Puts values into a postback address: macros in it are replaced (percent-encoded); an address without any gets
/// them all appended as a query, which is what the panels call the simple mode.
pub(crate) fn fill(template: &str, open: &str, close: &str, pairs: &[(&str, String)]) -> String {
    if !template.contains(open) {
        let joint = if template.contains('?') { '&' } else { '?' };
        return format!("{template}{joint}{}", encode(pairs));
    }
    let mut filled = template.to_owned();
    for (name, value) in pairs {
        let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        filled = filled.replace(&format!("{open}{name}{close}"), &encoded);
    }
    filled
}

//! Reads settings one by one and remembers what was wrong.

use std::fmt::{self, Display};
use std::str::FromStr;

use secrecy::SecretString;

use crate::source::Source;

/// One setting that was asked for: what `.env.example` and the operations guide are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The variable.
    pub key: String,
    /// What it is for.
    pub about: String,
    /// Its value when it is not set; `None` when it must be set or may be absent.
    pub default: Option<String>,
    /// Whether the service refuses to start without it.
    pub required: bool,
    /// Whether it must not be shown.
    pub secret: bool,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// One line per problem, in the order of reading.
    #[must_use]
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{count} {noun} in the configuration:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for Problems {}

/// Reads settings from a source. Its getters never fail: they note the problem and give a placeholder, and
/// [`Reader::finish`] then refuses to hand out the settings.
pub struct Reader<'a> {
    source: &'a dyn Source,
    entries: Vec<Entry>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader over `source`.
    #[must_use]
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, entries: Vec::new(), problems: Vec::new() }
    }

    /// A text that must be set.
    pub fn required(&mut self, key: &str, about: &str) -> String {
        self.note(key, about, None, true, false);
        self.must(key, about).unwrap_or_default()
    }

    /// A secret that must be set.
    pub fn secret(&mut self, key: &str, about: &str) -> SecretString {
        self.note(key, about, None, true, true);
        SecretString::from(self.must(key, about).unwrap_or_default())
    }

    /// A secret that may be absent.
    pub fn optional_secret(&mut self, key: &str, about: &str) -> Option<SecretString> {
        self.note(key, about, None, false, true);
        self.text(key).map(SecretString::from)
    }

    /// A text that may be absent.
    pub fn optional(&mut self, key: &str, about: &str) -> Option<String> {
        self.note(key, about, None, false, false);
        self.text(key)
    }

    /// A value that must be set and well formed. `None` only when a problem was noted.
    pub fn parsed<T>(&mut self, key: &str, about: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.note(key, about, None, true, false);
        let text = self.must(key, about)?;
        self.parse(key, &text)
    }

    /// A value that may be absent but must be well formed.
    pub fn optional_parsed<T>(&mut self, key: &str, about: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.note(key, about, None, false, false);
        let text = self.text(key)?;
        self.parse(key, &text)
    }

    /// A value with a default.
    pub fn default<T>(&mut self, key: &str, default: T, about: &str) -> T
    where
        T: FromStr + Display,
        T::Err: Display,
    {
        self.note(key, about, Some(default.to_string()), false, false);
        match self.text(key) {
            None => default,
            Some(text) => self.parse(key, &text).unwrap_or(default),
        }
    }

    /// Whether a setting is given, for parts that are switched on by their credentials.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.source.get(key).is_some() || self.source.unreadable(key).is_some()
    }

    /// The settings whose name starts with `prefix`, such as `MSG91_TEMPLATE_ID_`: name without prefix, and text.
    pub fn family(&mut self, prefix: &str, about: &str) -> Vec<(String, String)> {
        self.note(&format!("{prefix}*"), about, None, false, false);
        let mut members = Vec::new();
        for key in self.source.keys(prefix) {
            if let Some(text) = self.text(&key)
                && let Some(name) = key.strip_prefix(prefix)
            {
                members.push((name.to_owned(), text));
            }
        }
        members
    }

    /// Notes a problem that only the caller can see, such as two settings that contradict each other.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Everything that was asked for so far.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The settings, or all problems.
    pub fn finish<T>(self, settings: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(settings) } else { Err(Problems(self.problems)) }
    }

    fn must(&mut self, key: &str, about: &str) -> Option<String> {
        let known = self.problems.len();
        let text = self.text(key);
        if text.is_none() && self.problems.len() == known {
            self.problems.push(format!("{key} is not set: {about}"));
        }
        text
    }

    /// The text of a setting. One that is given and cannot be read is a problem: it was not meant to be absent.
    fn text(&mut self, key: &str) -> Option<String> {
        let text = self.source.get(key);
        if text.is_none() {
            self.problems.extend(self.source.unreadable(key));
        }
        text
    }

    fn parse<T>(&mut self, key: &str, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match text.trim().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("{key}: {error}"));
                None
            }
        }
    }

    fn note(&mut self, key: &str, about: &str, default: Option<String>, required: bool, secret: bool) {
        if !self.entries.iter().any(|entry| entry.key == key) {
            let (key, about) = (key.to_owned(), about.to_owned());
            self.entries.push(Entry { key, about, default, required, secret });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Map;

    #[test]
    fn all_problems_are_told_at_once_and_a_secret_is_never_repeated() {
        let source = Map::from([("PORT", "eighty"), ("KEY", " ")]);
        let mut reader = Reader::new(&source);
        let _ = reader.default("PORT", 80_u16, "port");
        let _ = reader.secret("KEY", "the key");
        let _ = reader.required("HOST", "our name");
        let text = reader.finish(()).unwrap_err().to_string();
        assert_eq!(
            text,
            "3 problems in the configuration:\n  - PORT: invalid digit found in string\n  - KEY is not set: the key\n  - HOST is not set: our name"
        );
    }

    #[test]
    fn a_family_is_read_by_its_prefix() {
        let source = Map::from([("MSG91_TEMPLATE_ID_OTP", "a"), ("MSG91_TEMPLATE_ID_ORDER", "b"), ("OTHER", "c")]);
        let mut reader = Reader::new(&source);
        let family = reader.family("MSG91_TEMPLATE_ID_", "template ids");
        assert_eq!(family, [("ORDER".to_owned(), "b".to_owned()), ("OTP".to_owned(), "a".to_owned())]);
    }
}

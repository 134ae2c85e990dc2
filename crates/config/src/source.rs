//! Where settings come from: the process environment, or a map in tests.

use std::collections::{BTreeMap, BTreeSet};

/// Gives the text of a setting.
pub trait Source {
    /// The text, if it is set and not empty.
    fn get(&self, key: &str) -> Option<String>;
    /// Why the text of a setting that was given cannot be read: its file is away, say.
    fn unreadable(&self, _key: &str) -> Option<String> {
        None
    }
    /// All settings whose names start with `prefix`, sorted.
    fn keys(&self, prefix: &str) -> Vec<String>;
}

/// The process environment. For a key `X` that is not set, the file named by `X_FILE` is read, so that
/// secrets can be mounted as files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Environment;

#[expect(clippy::disallowed_methods, reason = "this is the room where the environment comes in")]
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty())
}

/// The file that `key` is in, unless it is set itself.
fn file_of(key: &str) -> Option<String> {
    if set(key).is_some() { None } else { set(&format!("{key}_FILE")) }
}

impl Source for Environment {
    fn get(&self, key: &str) -> Option<String> {
        set(key).or_else(|| {
            let text = std::fs::read_to_string(file_of(key)?).ok()?;
            // An empty file is a secret that was not filled in.
            Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
        })
    }

    fn unreadable(&self, key: &str) -> Option<String> {
        let path = file_of(key)?;
        let error = std::fs::read_to_string(&path).err()?;
        Some(format!("{key}_FILE: {path} cannot be read: {error}"))
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let keys: BTreeSet<_> = variables
            .filter(|name| name.starts_with(prefix))
            .map(|name| setting_of(&name, prefix).to_owned())
            .collect();
        keys.into_iter().collect()
    }
}

/// The setting of a family that a variable is for: `X` is in the file that `X_FILE` names, but a member may be called `FILE`.
fn setting_of<'a>(variable: &'a str, prefix: &str) -> &'a str {
    variable.strip_suffix("_FILE").filter(|setting| setting.len() > prefix.len()).unwrap_or(variable)
}

/// Settings held in memory.
#[derive(Debug, Clone, Default)]
pub struct Map(BTreeMap<String, String>);

impl<const N: usize> From<[(&str, &str); N]> for Map {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

impl FromIterator<(String, String)> for Map {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Source for Map {
    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).filter(|text| !text.trim().is_empty()).cloned()
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        self.0.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_family_may_be_in_a_file_and_may_be_called_file() {
        let of = |variable| setting_of(variable, "INVENTORY_SOURCE_");
        assert_eq!(of("INVENTORY_SOURCE_ACME"), "INVENTORY_SOURCE_ACME");
        assert_eq!(of("INVENTORY_SOURCE_ACME_FILE"), "INVENTORY_SOURCE_ACME");
        assert_eq!(of("INVENTORY_SOURCE_FILE"), "INVENTORY_SOURCE_FILE");
        assert_eq!(of("INVENTORY_SOURCE_FILE_FILE"), "INVENTORY_SOURCE_FILE");
    }
}

//! Where settings come from: the process environment, or a map in tests.

use std::collections::BTreeMap;

/// Gives the text of a setting.
pub trait Source {
    /// The text, if it is set and not empty.
    fn get(&self, key: &str) -> Option<String>;
    /// All keys that start with `prefix`, sorted.
    fn keys(&self, prefix: &str) -> Vec<String>;
}

/// The process environment. For a key `X` that is not set, the file named by `X_FILE` is read, so that
/// secrets can be mounted as files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Environment;

impl Source for Environment {
    #[expect(clippy::disallowed_methods, reason = "this is the room where the environment comes in")]
    fn get(&self, key: &str) -> Option<String> {
        let set = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        set(key).or_else(|| {
            let path = set(&format!("{key}_FILE"))?;
            // An empty file is a secret that was not filled in.
            std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned()).filter(|text| !text.is_empty())
        })
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<_> = std::env::vars_os()
            .filter_map(|(key, _)| key.into_string().ok())
            .filter(|key| key.starts_with(prefix))
            .collect();
        keys.sort();
        keys
    }
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

//! The texts as registered: those in Postgres stand over those that come along.

use std::collections::HashMap;

use domain::jobs::Language;
use serde::Deserialize;
use store::sms_templates::SmsTemplate;

use super::dlt::{Category, Kind};
use super::lint::{Registered, Rules, check_text};
use super::values::{TEMPLATES, kinds};

/// A text as written in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    template: String,
    lang: Language,
    category: String,
    entity_id: String,
    dlt_template_id: String,
    #[serde(default)]
    sender_id: Option<String>,
    body: String,
}

/// Why texts cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The file is not what it should be.
    #[error("the SMS texts cannot be read")]
    Form(#[from] serde_json::Error),
    /// A category is not one.
    #[error("a text has a wrong category")]
    Category(#[from] super::dlt::UnknownCategory),
    /// A text of ours is missing.
    #[error("there is no English text for {0}")]
    Missing(&'static str),
    /// A text is for no message.
    #[error("{0:?} is no text message of ours")]
    NotOurs(String),
    /// Carriers would drop these.
    #[error("carriers would drop these texts:{0}")]
    Wrong(String),
}

/// The texts by template and language.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    texts: HashMap<(String, Language), Registered>,
}

/// The texts that come along. They are samples: real ones are registered by the firm and loaded by `load-sms`.
const BUNDLED: &str = include_str!("../../templates/sms.json");

/// Reads texts from a file; `<brand>` in a text stands for `brand`, and `sender` for a sender that is not given.
pub(crate) fn read(json: &str, brand: &str, sender: &str) -> Result<Vec<Registered>, RegistryError> {
    let entries: Vec<Entry> = serde_json::from_str(json)?;
    entries
        .into_iter()
        .map(|entry| {
            Ok(Registered {
                template: entry.template,
                hindi: entry.lang == Language::Hi,
                entity_id: entry.entity_id,
                dlt_template_id: entry.dlt_template_id,
                sender_id: entry.sender_id.unwrap_or_else(|| sender.to_owned()),
                category: entry.category.parse::<Category>()?,
                body: entry.body.replace("<brand>", brand),
            })
        })
        .collect()
}

fn lang(text: &Registered) -> Language {
    if text.hindi { Language::Hi } else { Language::En }
}

fn gives(text: &Registered) -> &'static [Kind] {
    kinds(&text.template, lang(text))
}

/// Checks texts, all of them, and says everything that is wrong.
pub(crate) fn check(texts: &[Registered], rules: &Rules) -> Result<(), RegistryError> {
    let mut wrong = Vec::new();
    for text in texts {
        if !TEMPLATES.contains(&text.template.as_str()) {
            return Err(RegistryError::NotOurs(text.template.clone()));
        }
        let name = format!("{} ({})", text.template, lang(text).code());
        wrong.extend(check_text(text, gives(text), rules).iter().map(|problem| format!("\n  - {name}: {problem}")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(RegistryError::Wrong(wrong.concat())) }
}

impl Registry {
    /// The texts that come along, with `stored` over them; refused when a carrier would drop one.
    pub(crate) fn new(stored: Vec<SmsTemplate>, sender: &str, rules: &Rules) -> Result<Self, RegistryError> {
        let mut all = read(BUNDLED, &rules.brand, sender)?;
        for row in stored {
            all.push(Registered {
                hindi: row.lang == Language::Hi,
                entity_id: row.entity_id,
                dlt_template_id: row.dlt_template_id,
                sender_id: row.sender_id,
                category: row.category.parse::<Category>()?,
                body: row.body,
                template: row.template,
            });
        }
        let texts: HashMap<_, _> = all.into_iter().map(|text| ((text.template.clone(), lang(&text)), text)).collect();
        if let Some(missing) =
            TEMPLATES.into_iter().find(|name| !texts.contains_key(&((*name).to_owned(), Language::En)))
        {
            return Err(RegistryError::Missing(missing));
        }
        check(&texts.values().cloned().collect::<Vec<_>>(), rules)?;
        Ok(Self { texts })
    }

    /// The text of a message in exactly this language.
    pub(crate) fn exactly(&self, template: &str, lang: Language) -> Option<&Registered> {
        self.texts.get(&(template.to_owned(), lang))
    }
}

impl From<&Registered> for SmsTemplate {
    fn from(text: &Registered) -> Self {
        Self {
            template: text.template.clone(),
            lang: lang(text),
            dlt_template_id: text.dlt_template_id.clone(),
            entity_id: text.entity_id.clone(),
            sender_id: text.sender_id.clone(),
            category: match text.category {
                Category::Transactional => "transactional",
                Category::ServiceImplicit => "service_implicit",
                Category::ServiceExplicit => "service_explicit",
                Category::Promotional => "promotional",
            }
            .to_owned(),
            body: text.body.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_that_come_along_pass() {
        let rules = Rules { brand: "Demo Cashback".to_owned(), hosts: vec![], numbers: vec![], most_parts: 3 };
        let registry = Registry::new(Vec::new(), "DEMOCB", &rules).unwrap();
        for template in TEMPLATES {
            for lang in Language::ALL {
                assert_eq!(super::lang(registry.exactly(template, lang).unwrap()), lang);
            }
        }
        let other = Rules { brand: "Other".to_owned(), ..rules };
        let mut stored: Vec<SmsTemplate> = registry.texts.values().map(SmsTemplate::from).collect();
        stored.truncate(1);
        let error = Registry::new(stored, "DEMOCB", &other).unwrap_err().to_string();
        assert!(error.contains("the brand is not in the text"), "{error}");
    }
}

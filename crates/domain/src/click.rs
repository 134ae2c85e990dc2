//! What a click is, and how its id travels in a network's sub-id and comes back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::ClickId;

/// What kind of visitor made a click. All are recorded; only human ones count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClickClass {
    /// A person.
    Human,
    /// A crawler, a preview, a script.
    Bot,
    /// A browser that loads ahead of its user.
    Prefetch,
    /// A `HEAD` request.
    Head,
    /// The same shopper and offer again within seconds.
    Duplicate,
    /// Over the rate limit.
    Limited,
}

impl ClickClass {
    /// Every class.
    pub const ALL: [Self; 6] = [Self::Human, Self::Bot, Self::Prefetch, Self::Head, Self::Duplicate, Self::Limited];

    /// The word in tables and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Bot => "bot",
            Self::Prefetch => "prefetch",
            Self::Head => "head",
            Self::Duplicate => "duplicate",
            Self::Limited => "limited",
        }
    }
}

/// The sub-id that carries a click: its 32 hexadecimal digits, which every network takes.
#[must_use]
pub fn sub_id(click: ClickId) -> String {
    click.compact()
}

/// Reads the click back from a sub-id that a network returned: hyphens, case and a `c_` in front do not matter, and a
/// UUID of another version is not ours.
#[must_use]
pub fn click_of(sub_id: &str) -> Option<ClickId> {
    let text = sub_id.trim();
    let text = text.strip_prefix("c_").unwrap_or(text);
    let id = text.parse::<ClickId>().ok()?;
    (id.as_uuid().get_version_num() == 7).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_comes_back_from_every_form_of_its_sub_id() {
        let click = ClickId::generate();
        for form in [sub_id(click), click.to_string(), sub_id(click).to_uppercase(), format!(" c_{} ", sub_id(click))] {
            assert_eq!(click_of(&form), Some(click), "{form}");
        }
        for other in ["", "direct", "c_", "00000000-0000-4000-8000-000000000000"] {
            assert_eq!(click_of(other), None, "{other}");
        }
    }
}

//! A text as registered with the DLT, and its variables.

use std::fmt;
use std::str::FromStr;

/// What a variable may hold. Since November 2025 each must say so; an untyped one is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Digits, with points and commas as in amounts.
    Numeric,
    /// Letters, digits and plain punctuation.
    Alphanumeric,
    /// A link to a whitelisted host.
    Url,
    /// A whitelisted number to call.
    CallBack,
    /// A mail address.
    Email,
}

impl Kind {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Numeric, "numeric"),
        (Self::Alphanumeric, "alphanumeric"),
        (Self::Url, "url"),
        (Self::CallBack, "cbn"),
        (Self::Email, "email"),
    ];

    fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == tag).map(|(kind, _)| kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

/// Why it is sent, which decides hours and who gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    /// Banks only.
    Transactional,
    /// The result of the person's own act.
    ServiceImplicit,
    /// Service that needs a consent on record.
    ServiceExplicit,
    /// Advertising.
    Promotional,
}

/// A word that is no category.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a category (transactional, service_implicit, service_explicit or promotional)")]
pub(crate) struct UnknownCategory(String);

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(text: &str) -> Result<Self, UnknownCategory> {
        match text {
            "transactional" => Ok(Self::Transactional),
            "service_implicit" => Ok(Self::ServiceImplicit),
            "service_explicit" => Ok(Self::ServiceExplicit),
            "promotional" => Ok(Self::Promotional),
            _ => Err(UnknownCategory(text.chars().take(40).collect())),
        }
    }
}

/// A piece of a registered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Fixed: it must travel byte for byte.
    Fixed(&'a str),
    /// A variable of a known kind.
    Variable(Kind),
    /// `{#var#}`, as registered before November 2025.
    Untyped,
    /// Something in `{#…#}` that is no tag.
    Unknown(&'a str),
}

/// Takes a registered text apart.
pub(crate) fn pieces(body: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = body;
    while let Some((fixed, after)) = rest.split_once("{#") {
        let Some((tag, behind)) = after.split_once("#}") else { break };
        if !fixed.is_empty() {
            pieces.push(Piece::Fixed(fixed));
        }
        pieces.push(match Kind::of_tag(tag) {
            Some(kind) => Piece::Variable(kind),
            None if tag == "var" => Piece::Untyped,
            None => Piece::Unknown(tag),
        });
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Fixed(rest));
    }
    pieces
}

/// The kinds of a text's variables, in order.
pub(crate) fn kinds(body: &str) -> Vec<Kind> {
    let kind = |piece| if let Piece::Variable(kind) = piece { Some(kind) } else { None };
    pieces(body).into_iter().filter_map(kind).collect()
}

/// The text with its values filled in, as the handset shows it.
pub(crate) fn fill(body: &str, values: &[String]) -> String {
    let mut values = values.iter();
    pieces(body)
        .into_iter()
        .map(|piece| match piece {
            Piece::Fixed(text) | Piece::Unknown(text) => text,
            Piece::Variable(_) | Piece::Untyped => values.next().map_or("", String::as_str),
        })
        .collect()
}

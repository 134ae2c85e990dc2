//! Refuses here, with the reason, what a carrier would drop in silence while the provider says "sent". Run when a text is
//! saved, when the notifier starts, and before each message.

use super::dlt::{Category, Kind, Piece, fill, kinds, pieces};
use super::segments::{first_outside_gsm7, measure};

/// A registered text with what the linter has to know of us.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    /// Our name for it.
    pub(crate) template: String,
    /// Whether it is in Hindi, and so in UCS-2 anyway.
    pub(crate) hindi: bool,
    pub(crate) entity_id: String,
    pub(crate) dlt_template_id: String,
    pub(crate) sender_id: String,
    pub(crate) category: Category,
    pub(crate) body: String,
}

/// What the linter has to know of us.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The name that every text must have in it.
    pub(crate) brand: String,
    /// Hosts that are whitelisted with the DLT.
    pub(crate) hosts: Vec<String>,
    /// Numbers that are whitelisted with the DLT, digits only.
    pub(crate) numbers: Vec<String>,
    /// The most parts of one message.
    pub(crate) most_parts: i16,
}

/// The longest value of a variable.
pub(crate) const LONGEST_VALUE: usize = 30;
/// The longest text that the DLT registers.
const LONGEST_BODY: usize = 2_000;

/// Why a carrier would drop it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the entity id is not 19 digits")]
    EntityId,
    #[error("the DLT template id is not 19 digits")]
    TemplateId,
    #[error("the sender must be six letters for service messages")]
    LettersSender,
    #[error("the sender must be six digits for promotional messages")]
    DigitsSender,
    #[error("the text is empty")]
    Empty,
    #[error("the text has more than 2000 letters")]
    LongBody,
    #[error("the brand is not in the text")]
    NoBrand,
    #[error("white space at the beginning or end does not match the registered text")]
    Edges,
    #[error("two spaces in a row: the text must match byte for byte")]
    DoubleSpace,
    #[error("{0:?} is a typographic sign that editors put in; the text must match byte for byte")]
    Typographic(char),
    #[error("control character in the text")]
    Control,
    #[error("{{#var#}} has no kind: since November 2025 it is blocked")]
    Untyped,
    #[error("{{#{0}#}} is not a tag (numeric, alphanumeric, url, cbn, email, in lower case)")]
    UnknownTag(String),
    #[error("a brace without its tag: a variable is written {{#numeric#}}")]
    Brace,
    #[error("two variables stand side by side")]
    Adjacent,
    #[error("variables could make up over 60 % of the longest message")]
    MostlyVariable,
    #[error("the text has {has} variables, the message gives {gives}")]
    Count { has: usize, gives: usize },
    #[error("variable {place} is {has} in the text, the message gives {gives}")]
    Order { place: usize, has: Kind, gives: Kind },
    #[error("the host {0:?} is not whitelisted")]
    Host(String),
    #[error("the number {0} is not whitelisted")]
    Number(String),
    #[error("only banks may send transactional messages: use service_implicit")]
    NoBank,
    #[error("{0:?} is advertising; the category is not promotional")]
    Advertising(&'static str),
    #[error("a code must not be promotional: it would wait for the morning")]
    PromotionalCode,
    #[error("the code's text does not warn against sharing it")]
    NoWarning,
    #[error("{0:?} makes an English text cost 70 letters a part; write Rs. for the rupee sign")]
    Costly(char),
    #[error("{parts} parts; at most {most}")]
    Parts { parts: i16, most: i16 },
    #[error("value {place} is empty")]
    EmptyValue { place: usize },
    #[error("value {place} has {length} letters; at most 30")]
    LongValue { place: usize, length: usize },
    #[error("value {place} is not {kind}")]
    WrongValue { place: usize, kind: Kind },
    #[error("value {place} holds {sign:?}")]
    ForbiddenSign { place: usize, sign: char },
    #[error("value {place} is a link; its variable is not one")]
    HiddenLink { place: usize },
    #[error("value {place} repeats the brand")]
    BrandInValue { place: usize },
}

/// Words that make a text advertising, in both languages.
const ADVERTISING: [&str; 12] = [
    "% off",
    "discount",
    "hurry",
    "buy now",
    "shop now",
    "limited time",
    "sale",
    "best deal",
    "छूट",
    "जल्दी करें",
    "अभी खरीदें",
    "ऑफ़र",
];

/// Everything that is wrong with a registered text. `gives` are the kinds of the values that the message will bring.
pub(crate) fn check_text(text: &Registered, gives: &[Kind], rules: &Rules) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_ids(text, &mut problems);
    check_letters(text, &mut problems);
    check_variables(text, gives, &mut problems);
    check_content(text, rules, &mut problems);
    problems
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_ids(text: &Registered, problems: &mut Vec<Problem>) {
    let is_id = |id: &str| id.len() == 19 && all_digits(id);
    if !is_id(&text.entity_id) {
        problems.push(Problem::EntityId);
    }
    if !is_id(&text.dlt_template_id) {
        problems.push(Problem::TemplateId);
    }
    let sender = &text.sender_id;
    if text.category == Category::Promotional {
        if sender.len() != 6 || !all_digits(sender) {
            problems.push(Problem::DigitsSender);
        }
    } else if sender.len() != 6 || !sender.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        problems.push(Problem::LettersSender);
    }
}

fn check_letters(text: &Registered, problems: &mut Vec<Problem>) {
    let body = &text.body;
    if body.trim().is_empty() {
        problems.push(Problem::Empty);
        return;
    }
    if body.chars().count() > LONGEST_BODY {
        problems.push(Problem::LongBody);
    }
    if body.trim() != body {
        problems.push(Problem::Edges);
    }
    if body.contains("  ") {
        problems.push(Problem::DoubleSpace);
    }
    if body.chars().any(|c| c.is_control() && c != '\n') {
        problems.push(Problem::Control);
    }
    let typographic = "\u{201c}\u{201d}\u{2018}\u{2019}\u{2013}\u{2014}\u{2026}\u{a0}\u{200b}\u{200c}\u{200d}\u{feff}";
    if let Some(sign) =
        body.chars().find(|c| typographic.contains(*c) && !(text.hindi && "\u{200c}\u{200d}".contains(*c)))
    {
        problems.push(Problem::Typographic(sign));
    }
    if !text.hindi
        && let Some(letter) = first_outside_gsm7(body)
        && !typographic.contains(letter)
    {
        problems.push(Problem::Costly(letter));
    }
}

fn check_variables(text: &Registered, gives: &[Kind], problems: &mut Vec<Problem>) {
    let pieces = pieces(&text.body);
    for piece in &pieces {
        match piece {
            Piece::Untyped => problems.push(Problem::Untyped),
            Piece::Unknown(tag) => problems.push(Problem::UnknownTag(tag.chars().take(20).collect())),
            Piece::Fixed(fixed) if fixed.contains(['{', '}']) || fixed.contains("##") => problems.push(Problem::Brace),
            Piece::Fixed(_) | Piece::Variable(_) => {}
        }
    }
    if pieces.windows(2).any(|pair| matches!(pair, [Piece::Variable(_), Piece::Variable(_)])) {
        problems.push(Problem::Adjacent);
    }
    let has = kinds(&text.body);
    if has.len() != gives.len() {
        problems.push(Problem::Count { has: has.len(), gives: gives.len() });
    } else if let Some((place, (has, gives))) = (1..).zip(has.iter().zip(gives)).find(|(_, (has, gives))| has != gives)
    {
        problems.push(Problem::Order { place, has: *has, gives: *gives });
    }
    let fixed: usize =
        pieces.iter().map(|piece| if let Piece::Fixed(text) = piece { text.chars().count() } else { 0 }).sum();
    let variable = has.len() * LONGEST_VALUE;
    if variable * 10 > (fixed + variable) * 6 {
        problems.push(Problem::MostlyVariable);
    }
}

fn check_content(text: &Registered, rules: &Rules, problems: &mut Vec<Problem>) {
    let lower = text.body.to_lowercase();
    if !rules.brand.is_empty() && !lower.contains(&rules.brand.to_lowercase()) {
        problems.push(Problem::NoBrand);
    }
    problems.extend(links(&text.body).filter(|host| !is_listed(host, &rules.hosts)).map(Problem::Host));
    problems.extend(numbers(&text.body).filter(|number| !rules.numbers.contains(number)).map(Problem::Number));
    if text.category == Category::Transactional {
        problems.push(Problem::NoBank);
    }
    if text.category != Category::Promotional
        && let Some(word) = ADVERTISING.into_iter().find(|word| has_word(&lower, word))
    {
        problems.push(Problem::Advertising(word));
    }
    if text.template == "otp" {
        if text.category == Category::Promotional {
            problems.push(Problem::PromotionalCode);
        }
        if !(lower.contains("share") || lower.contains("साझा") || lower.contains("किसी को न")) {
            problems.push(Problem::NoWarning);
        }
    }
    let longest = vec!["0".repeat(LONGEST_VALUE); kinds(&text.body).len()];
    let parts = measure(&fill(&text.body, &longest)).parts;
    if parts > rules.most_parts {
        problems.push(Problem::Parts { parts, most: rules.most_parts });
    }
}

/// Whole words only: a wholesale is no sale.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, found)| {
        let before = text.get(..start).and_then(|text| text.chars().next_back());
        let after = text.get(start + found.len()..).and_then(|text| text.chars().next());
        let begins_inside = found.starts_with(char::is_alphanumeric) && before.is_some_and(char::is_alphanumeric);
        !begins_inside && !after.is_some_and(char::is_alphanumeric)
    })
}

/// The hosts of what a handset would make a link of.
fn links(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || "()<>\"'".contains(c)).filter_map(host_of)
}

/// `https://x.in/a`, `www.x.in`, `x.in/a`: the host, if a handset would link it.
fn host_of(word: &str) -> Option<String> {
    let word = word.trim_end_matches(['.', ',', '!', '?', ':', ';']).to_lowercase();
    let bare = word.split_once("://").map_or(word.as_str(), |(_, rest)| rest);
    let host = bare.split(['/', '?', '#', ':']).next()?;
    let (name, end) = host.rsplit_once('.')?;
    let is_host = !name.is_empty()
        && !host.contains("..")
        && !host.starts_with('.')
        && end.len() >= 2
        && end.bytes().all(|byte| byte.is_ascii_alphabetic())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-');
    (is_host && !word.contains('@')).then(|| host.to_owned())
}

fn is_listed(host: &str, hosts: &[String]) -> bool {
    hosts
        .iter()
        .any(|listed| host == listed || host.strip_suffix(listed.as_str()).is_some_and(|sub| sub.ends_with('.')))
}

/// Runs of ten digits and more, as one would call them.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '+' || c == '-'))
        .map(|run| run.chars().filter(char::is_ascii_digit).collect::<String>())
        .filter(|digits| digits.len() >= 10)
}

/// Everything that is wrong with the values of one message.
pub(crate) fn check_values(text: &Registered, values: &[String], rules: &Rules) -> Vec<Problem> {
    let kinds = kinds(&text.body);
    if kinds.len() != values.len() {
        return vec![Problem::Count { has: kinds.len(), gives: values.len() }];
    }
    let mut problems: Vec<_> = (1..)
        .zip(kinds.iter().zip(values))
        .flat_map(|(place, (kind, value))| check_value(place, *kind, value, rules))
        .collect();
    let parts = measure(&fill(&text.body, values)).parts;
    if parts > rules.most_parts {
        problems.push(Problem::Parts { parts, most: rules.most_parts });
    }
    problems
}

fn check_value(place: usize, kind: Kind, value: &str, rules: &Rules) -> Vec<Problem> {
    let mut problems = Vec::new();
    if value.trim().is_empty() {
        return vec![Problem::EmptyValue { place }];
    }
    let length = value.chars().count();
    if length > LONGEST_VALUE {
        problems.push(Problem::LongValue { place, length });
    }
    if let Some(sign) = value.chars().find(|c| c.is_control() || "<>{}#".contains(*c)) {
        problems.push(Problem::ForbiddenSign { place, sign });
    }
    let fits = match kind {
        Kind::Numeric => {
            value.chars().all(|c| c.is_ascii_digit() || ".,".contains(c))
                && value.contains(|c: char| c.is_ascii_digit())
        }
        Kind::Alphanumeric | Kind::Email => true,
        Kind::Url => host_of(value).is_some(),
        Kind::CallBack => numbers(value).next().is_some(),
    };
    if !fits {
        problems.push(Problem::WrongValue { place, kind });
    }
    match kind {
        Kind::Url => problems.extend(links(value).filter(|host| !is_listed(host, &rules.hosts)).map(Problem::Host)),
        Kind::CallBack => {
            problems.extend(numbers(value).filter(|number| !rules.numbers.contains(number)).map(Problem::Number));
        }
        Kind::Alphanumeric => {
            if value.contains("://")
                || value.to_lowercase().contains("www.")
                || value
                    .split_whitespace()
                    .any(|word| host_of(word).is_some_and(|host| word.contains('/') || ends_like_a_host(&host)))
            {
                problems.push(Problem::HiddenLink { place });
            }
            if !rules.brand.is_empty() && value.to_lowercase().contains(&rules.brand.to_lowercase()) {
                problems.push(Problem::BrandInValue { place });
            }
        }
        Kind::Numeric | Kind::Email => {}
    }
    problems
}

/// Ends that handsets turn into links without a scheme.
fn ends_like_a_host(host: &str) -> bool {
    ["com", "in", "net", "org", "co", "io", "ly", "me", "link", "app"]
        .iter()
        .any(|end| host.ends_with(&format!(".{end}")))
}

/// The parts that a message is billed as.
pub(crate) fn cost(text: &Registered, values: &[String]) -> i16 {
    measure(&fill(&text.body, values)).parts
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;

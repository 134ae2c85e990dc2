//! The network's link, with `{click_id}`, `{url}` and `{offer_id}` where their values go.

use std::fmt;

use url::Url;

use super::{Schemes, Target};
use crate::ids::{ClickId, OfferId};
use crate::network::Network;

/// One thing that is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateProblem {
    /// The link itself.
    #[error("{0}")]
    Link(&'static str),
    /// A brace that opens or closes nothing, or a macro nobody fills.
    #[error("{0:?} is not a macro (there are {{click_id}}, {{url}} and {{offer_id}}); a network must never see braces")]
    UnknownMacro(String),
    /// A macro outside the query's values.
    #[error("{{{0}}} may only be the value of a query parameter")]
    Misplaced(&'static str),
    /// No parameter that comes back from the network carries the click.
    #[error("{{click_id}} has to be in {0}: it is what the network gives back")]
    ClickNotCarried(&'static str),
    /// `{click_id}` in a parameter that is no sub-id.
    #[error("{0:?} is no sub-id of this network")]
    NotASubId(String),
    /// Too long for the network.
    #[error("{parameter} becomes {length} characters long, the network takes {limit}")]
    TooLong {
        /// The parameter.
        parameter: String,
        /// Its length with the click id filled in.
        length: usize,
        /// The network's limit.
        limit: usize,
    },
    /// A sub-id with characters that networks change.
    #[error("{0} may have letters, digits, _ and - beside its macro")]
    Characters(String),
    /// `{url}` elsewhere than in the network's parameter.
    #[error("{{url}} has to be the whole value of {0}")]
    UrlParameter(&'static str),
    /// A parameter that occurs twice.
    #[error("the parameter {0:?} occurs twice")]
    Twice(String),
    /// A filled-in example did not come back as it was.
    #[error("an example link does not give back {0}: is something encoded twice?")]
    NoRoundTrip(&'static str),
}

/// Everything that is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateProblems(pub Vec<TemplateProblem>);

impl fmt::Display for TemplateProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tracking template cannot be used")?;
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(index, problem)| write!(f, "{} {problem}", if index == 0 { ":" } else { ";" }))
    }
}

impl std::error::Error for TemplateProblems {}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    ClickId,
    OfferId,
    Url,
}

/// A network's link whose macros are known to stand where they work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackingTemplate {
    network: Network,
    pieces: Vec<Piece>,
}

/// A template with everything filled in but the click: making the final URL is joining texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    first: Box<str>,
    after_click: Vec<Box<str>>,
}

const MAX_BYTES: usize = 2_000;

/// The parameters of a network.
struct Parameters {
    /// Sub-ids that may carry the click, with the characters each takes. Admitad documents them; the other two document nothing, so
    /// these are the widths that their own clients keep to.
    sub_ids: &'static [(&'static str, usize)],
    /// At least one of these must carry it: they come back in every report.
    carriers: &'static [&'static str],
    carriers_text: &'static str,
    /// The parameter for a page at the shop.
    url: &'static str,
}

const fn parameters(network: Network) -> Parameters {
    match network {
        // subid3 is overwritten when a personal promo code is used, so it carries nothing of ours.
        Network::Admitad => Parameters {
            sub_ids: &[("subid", 50), ("subid1", 50), ("subid2", 50), ("subid4", 120)],
            carriers: &["subid", "subid4"],
            carriers_text: "subid or subid4",
            url: "ulp",
        },
        Network::Vcommission => Parameters {
            sub_ids: &[
                ("p1", 64),
                ("p2", 64),
                ("p3", 64),
                ("p4", 64),
                ("p5", 64),
                ("p6", 64),
                ("p7", 64),
                ("p8", 64),
                ("p9", 64),
                ("p10", 64),
            ],
            carriers: &["p1"],
            carriers_text: "p1",
            url: "url",
        },
        Network::Cuelinks => Parameters {
            sub_ids: &[("subid", 40), ("subid2", 40), ("subid3", 40), ("subid4", 40), ("subid5", 40)],
            carriers: &["subid"],
            carriers_text: "subid",
            url: "url",
        },
    }
}

impl TrackingTemplate {
    /// Reads and lints a template; all problems are told at once.
    pub fn parse(network: Network, text: &str, schemes: Schemes) -> Result<Self, TemplateProblems> {
        let mut problems = Vec::new();
        let pieces = split(text, &mut problems);
        check_link(text, schemes, &mut problems);
        check_parameters(network, text, &mut problems);
        let template = Self { network, pieces };
        if problems.is_empty() {
            template.check_round_trip(&mut problems);
        }
        if problems.is_empty() { Ok(template) } else { Err(TemplateProblems(problems)) }
    }

    /// Whether the shopper is led to the offer's own page; without `{url}` the network decides.
    #[must_use]
    pub fn takes_url(&self) -> bool {
        self.pieces.contains(&Piece::Url)
    }

    /// Fills in everything but the click. The target is percent-encoded once.
    #[must_use]
    pub fn link(&self, offer: OfferId, target: &Target) -> Link {
        self.fill(offer, target.as_str())
    }

    fn fill(&self, offer: OfferId, target: &str) -> Link {
        let mut texts = vec![String::new()];
        for piece in &self.pieces {
            let Some(text) = texts.last_mut() else { continue };
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::OfferId => text.push_str(&offer.as_uuid().simple().to_string()),
                Piece::Url => percent_encode(target, text),
                Piece::ClickId => texts.push(String::new()),
            }
        }
        let mut texts = texts.into_iter().map(String::into_boxed_str);
        Link { first: texts.next().unwrap_or_default(), after_click: texts.collect() }
    }

    fn check_round_trip(&self, problems: &mut Vec<TemplateProblem>) {
        let click = ClickId::generate();
        let target = "https://shop.example/p?a=1&b=%20+#ü";
        let link = self.fill(OfferId::from_uuid(click.as_uuid()), target).to_url(click);
        let parameters = parameters(self.network);
        let Ok(url) = Url::parse(&link) else {
            problems.push(TemplateProblem::NoRoundTrip("a URL"));
            return;
        };
        let carried = url.query_pairs().any(|(name, value)| {
            parameters.carriers.contains(&name.as_ref()) && crate::click::click_of(&value) == Some(click)
        });
        if !carried {
            problems.push(TemplateProblem::NoRoundTrip("its click id"));
        }
        if self.takes_url() && !url.query_pairs().any(|(name, value)| name == parameters.url && value == target) {
            problems.push(TemplateProblem::NoRoundTrip("its target"));
        }
    }
}

impl Link {
    /// The URL for one click.
    #[must_use]
    pub fn to_url(&self, click: ClickId) -> String {
        let mut buffer = [0_u8; 32];
        let id: &str = click.as_uuid().simple().encode_lower(&mut buffer);
        let rest: usize = self.after_click.iter().map(|text| text.len() + id.len()).sum();
        let mut url = String::with_capacity(self.first.len() + rest);
        url.push_str(&self.first);
        for text in &self.after_click {
            url.push_str(id);
            url.push_str(text);
        }
        url
    }
}

/// Cuts at the macros.
fn split(text: &str, problems: &mut Vec<TemplateProblem>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        pieces.push(Piece::Text(before.to_owned()));
        match name {
            "click_id" => pieces.push(Piece::ClickId),
            "offer_id" => pieces.push(Piece::OfferId),
            "url" => pieces.push(Piece::Url),
            other => problems
                .push(TemplateProblem::UnknownMacro(format!("{{{}}}", other.chars().take(40).collect::<String>()))),
        }
        rest = behind;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    let stray = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains('}'));
    if pieces.iter().any(stray) {
        problems.push(TemplateProblem::UnknownMacro("}".to_owned()));
    }
    pieces
}

/// The link as such: what would not be the same for every reader of it.
fn check_link(text: &str, schemes: Schemes, problems: &mut Vec<TemplateProblem>) {
    let mut link = |problem| problems.push(TemplateProblem::Link(problem));
    let lower = text.to_ascii_lowercase();
    if text.len() > MAX_BYTES {
        link("it is longer than 2000 bytes");
    }
    if text
        .bytes()
        .any(|byte| !(0x21..=0x7e).contains(&byte) || matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'|'))
    {
        link("it has white space or characters that a URL must encode");
    }
    if lower.contains("%7b") || lower.contains("%7d") {
        link("its braces are percent-encoded, so the macros would never be filled in");
    }
    if lower.contains("%00") || lower.contains("%25") {
        link("it has %00 or is percent-encoded twice");
    }
    if text.contains('#') {
        link("it has a fragment, which no network receives");
    }
    let Some(rest) = schemes.strip(text) else {
        link("it does not start with https://");
        return;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') || authority.is_empty() {
        link("it has a user name or no host");
    }
    let before_query = text.split('?').next().unwrap_or_default();
    for name in ["click_id", "url", "offer_id"] {
        if before_query.contains(&format!("{{{name}}}")) {
            problems.push(TemplateProblem::Misplaced(name));
        }
    }
}

/// The query's parameters, against what the network documents.
fn check_parameters(network: Network, text: &str, problems: &mut Vec<TemplateProblem>) {
    const ID: &str = "{click_id}";
    let known = parameters(network);
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let mut seen: Vec<&str> = Vec::new();
    let mut carried = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if seen.contains(&name) {
            problems.push(TemplateProblem::Twice(name.to_owned()));
        }
        seen.push(name);
        for (macro_name, label) in [("{click_id}", "click_id"), ("{url}", "url"), ("{offer_id}", "offer_id")] {
            if name.contains(macro_name) {
                problems.push(TemplateProblem::Misplaced(label));
            }
        }
        if value.contains("{url}") && (value != "{url}" || name != known.url) {
            problems.push(TemplateProblem::UrlParameter(known.url));
        }
        let sub_id = known.sub_ids.iter().find(|(sub_id, _)| *sub_id == name);
        match sub_id {
            Some(&(_, limit)) => {
                let (ids, offers) = (value.matches(ID).count(), value.matches("{offer_id}").count());
                let literal = value.replace(ID, "").replace("{offer_id}", "");
                let length = literal.len() + 32 * (ids + offers);
                if length > limit {
                    problems.push(TemplateProblem::TooLong { parameter: name.to_owned(), length, limit });
                }
                if !literal.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
                    problems.push(TemplateProblem::Characters(name.to_owned()));
                }
                carried |= ids == 1 && known.carriers.contains(&name);
            }
            None if value.contains(ID) => problems.push(TemplateProblem::NotASubId(name.to_owned())),
            None => {}
        }
    }
    if !carried {
        problems.push(TemplateProblem::ClickNotCarried(known.carriers_text));
    }
}

/// Everything but letters, digits and `-._~` becomes `%XX`.
fn percent_encode(text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().map_or('0', char::from);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(hex(byte >> 4));
            into.push(hex(byte & 15));
        }
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;

//! From an offer to the URL a shopper is sent to.
//!
//! A [`Target`] is a page at the shop, checked against the merchant's [`AllowedHosts`]. A [`TrackingTemplate`] is the
//! network's link with macros; it is linted when it is saved and again when it is loaded. Together they make a
//! [`Link`], which needs nothing but a click id to become the final URL.

mod hosts;
mod target;
mod template;

pub use hosts::{AllowedHosts, InvalidHost};
pub use target::{Refused, Target};
pub use template::{Link, TemplateProblem, TemplateProblems, TrackingTemplate};

/// Which schemes a template or a target may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schemes {
    /// `https` and nothing else.
    #[default]
    HttpsOnly,
    /// Also `http`, for a simulator on this machine.
    HttpToo,
}

impl Schemes {
    /// Takes `https://` (or `http://`, where allowed) off the front.
    fn strip(self, text: &str) -> Option<&str> {
        let strip = |scheme: &str| {
            let head = text.get(..scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then(|| text.get(scheme.len()..))?
        };
        strip("https://").or_else(|| if self == Self::HttpToo { strip("http://") } else { None })
    }
}

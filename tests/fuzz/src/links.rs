//! Where shoppers are sent.

use domain::click::click_of;
use domain::ids::{ClickId, OfferId};
use domain::network::Network;
use domain::offer::{AllowedHosts, Schemes, Target, TrackingTemplate};
use url::Url;

use crate::head_and_body;

const PAGE: &str = "https://www.shop.in/shoes?size=9&colour=red%20#x";

fn hosts() -> AllowedHosts {
    AllowedHosts::parse(&["shop.in", "*.shop.in"]).expect("good hosts")
}

fn ids() -> (ClickId, OfferId) {
    let id = "01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f";
    (id.parse().expect("an id"), id.parse().expect("an id"))
}

/// `NETWORK\nTEMPLATE`: a template that passes gives a link to its own host that brings the click back, for the plain page and
/// for one that needs encoding.
pub fn template(data: &[u8]) {
    let (head, body) = head_and_body(data);
    let network = Network::ALL[usize::from(head.first().copied().unwrap_or_default()) % Network::ALL.len()];
    let Ok(text) = std::str::from_utf8(body) else { return };
    let Ok(template) = TrackingTemplate::parse(network, text, Schemes::HttpsOnly) else { return };
    let (click, offer) = ids();
    let target = Target::parse(PAGE, &hosts(), Schemes::HttpsOnly).expect("a good page");
    let link = template.link(offer, &target).to_url(click);
    let url = Url::parse(&link).expect("a template that passes makes a URL");
    assert_eq!(url.scheme(), "https");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{link}");
    assert!(!link.contains(['{', '}', ' ', '\\', '\r', '\n']), "{link}");
    assert!(url.query_pairs().any(|(_, value)| click_of(&value) == Some(click)), "{link} carries no click");
    let example = text.replace("{click_id}", "0").replace("{offer_id}", "0").replace("{url}", "0");
    assert_eq!(Url::parse(&example).expect("a URL").host_str(), url.host_str(), "no macro decides the host");
    if template.takes_url() {
        assert!(url.query_pairs().any(|(_, value)| value == target.as_str()), "{link} lost its page");
    }
}

/// A page that passes is at the shop, however it is read, and passes again in the form in which it is sent.
pub fn page(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for schemes in [Schemes::HttpsOnly, Schemes::HttpToo] {
        let Ok(target) = Target::parse(text, &hosts(), schemes) else { continue };
        let url = Url::parse(target.as_str()).expect("a page that passes is a URL");
        assert!(url.scheme() == "https" || schemes == Schemes::HttpToo && url.scheme() == "http", "{url}");
        let host = url.host_str().expect("a host");
        assert!(host == "shop.in" || host.ends_with(".shop.in"), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        // A careless reader takes all up to the first slash, or all behind an @.
        let authority = target.as_str().split_once("://").expect("a scheme").1;
        let authority = authority.split(['/', '?', '#']).next().expect("an authority");
        assert!(!authority.contains(['@', '\\', '%']), "{url}");
        assert!(target.as_str().bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\'), "{url}");
        let again = Target::parse(target.as_str(), &hosts(), schemes).map(|again| again.as_str().to_owned());
        assert_eq!(again.as_deref(), Ok(target.as_str()), "{text:?} is judged otherwise in the form it is sent in");
    }
}

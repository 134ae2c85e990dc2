//! Templates that work, templates that would lose every click, and the way there and back.

use proptest::prelude::*;

use super::*;
use crate::offer::AllowedHosts;

const ADMITAD: &str = "https://ad.admitad.com/g/HASH/?ulp={url}&subid={click_id}&subid4={click_id}";
const VCOMMISSION: &str = "https://track.vcommission.com/click?campaign_id=1&pub_id=2&p1={click_id}&url={url}";
const CUELINKS: &str = "https://linksredirect.com/?cid=1&source=linkkit&subid={click_id}&url={url}";
const USED: [(Network, &str); 7] = [
    (Network::Admitad, ADMITAD),
    (Network::Admitad, "https://ad.admitad.com/g/HASH/?subid=c_{click_id}&subid1={offer_id}&ulp={url}"),
    (Network::Admitad, "https://ad.admitad.com/goto/HASH/?subid4={click_id}"),
    (Network::Vcommission, VCOMMISSION),
    (Network::Vcommission, "https://track.vcommission.com/0123456789abcdef01234567?p1=c_{click_id}"),
    (Network::Cuelinks, CUELINKS),
    (Network::Cuelinks, "https://linksredirect.com/?cid=1&source=linkkit&subid={click_id}&subid2=home&url={url}"),
];

fn problems(network: Network, text: &str) -> Vec<TemplateProblem> {
    TrackingTemplate::parse(network, text, Schemes::HttpsOnly).map_or_else(|problems| problems.0, |_| Vec::new())
}

fn target(page: &str) -> Target {
    let hosts = AllowedHosts::parse(&["shop.in"]).unwrap();
    Target::parse(&format!("https://shop.in/{page}"), &hosts, Schemes::HttpsOnly).unwrap()
}

#[test]
fn a_click_fits_into_every_sub_id() {
    let click = ClickId::generate().compact();
    for network in Network::ALL {
        assert!(parameters(network).sub_ids.iter().all(|(_, limit)| click.len() <= *limit), "{network}");
    }
}

#[test]
fn the_templates_in_use_pass() {
    for (network, text) in USED {
        assert_eq!(problems(network, text), [], "{text}");
    }
}

#[test]
fn the_final_url_is_what_the_network_documents() {
    let click: ClickId = "01981b1e-7a4c-7cc2-8f3e-0d9a5c1b2e4f".parse().unwrap();
    let template = TrackingTemplate::parse(Network::Admitad, ADMITAD, Schemes::HttpsOnly).unwrap();
    let link = template.link(OfferId::generate(), &target("p?a=1&b=%20"));
    assert_eq!(
        link.to_url(click),
        "https://ad.admitad.com/g/HASH/?ulp=https%3A%2F%2Fshop.in%2Fp%3Fa%3D1%26b%3D%2520\
         &subid=01981b1e7a4c7cc28f3e0d9a5c1b2e4f&subid4=01981b1e7a4c7cc28f3e0d9a5c1b2e4f"
    );
}

#[test]
fn the_linter_says_what_is_wrong() {
    use TemplateProblem as P;
    let wide = format!("https://linksredirect.com/?subid=campaign_{}{{click_id}}", "x");
    for (network, text, expected) in [
        (Network::Admitad, "https://ad.admitad.com/g/H/?ulp={url}", P::ClickNotCarried("subid or subid4")),
        (Network::Admitad, "https://ad.admitad.com/g/H/?subid1={click_id}", P::ClickNotCarried("subid or subid4")),
        (
            Network::Admitad,
            "https://ad.admitad.com/g/H/?subid={click_id}&subid3={click_id}",
            P::NotASubId("subid3".to_owned()),
        ),
        (Network::Vcommission, "https://t.example/click?p2={click_id}", P::ClickNotCarried("p1")),
        (Network::Cuelinks, "https://l.example/?subid={click_id}&u={click_id}", P::NotASubId("u".to_owned())),
        (Network::Cuelinks, "https://l.example/?subid={click_id}&to={url}", P::UrlParameter("url")),
        (Network::Cuelinks, "https://l.example/?subid={click_id}&url=x{url}", P::UrlParameter("url")),
        (Network::Cuelinks, &wide, P::TooLong { parameter: "subid".to_owned(), length: 42, limit: 40 }),
        (Network::Cuelinks, "https://l.example/?subid=a.{click_id}", P::Characters("subid".to_owned())),
        (Network::Cuelinks, "https://l.example/?subid={click_id}&subid={click_id}", P::Twice("subid".to_owned())),
        (
            Network::Vcommission,
            "https://t.example/click?p1={click_id}&p2={your-sub-aff-id}",
            P::UnknownMacro("{your-sub-aff-id}".to_owned()),
        ),
        (Network::Vcommission, "https://t.example/click?p1={click_id}&p2={", P::UnknownMacro("{}".to_owned())),
        (Network::Vcommission, "https://t.example/click?p1={click_id}&p2=}", P::UnknownMacro("}".to_owned())),
        (Network::Vcommission, "https://{url}/click?p1={click_id}", P::Misplaced("url")),
        (Network::Vcommission, "https://t.example/{click_id}?p1={click_id}", P::Misplaced("click_id")),
        (Network::Vcommission, "http://t.example/click?p1={click_id}", P::Link("it does not start with https://")),
        (Network::Vcommission, "https://a@t.example/click?p1={click_id}", P::Link("it has a user name or no host")),
        (
            Network::Vcommission,
            "https://t.example/click?p1={click_id}#x",
            P::Link("it has a fragment, which no network receives"),
        ),
        (
            Network::Vcommission,
            "https://t.example/click?p1={click_id}&p2=%00",
            P::Link("it has %00 or is percent-encoded twice"),
        ),
        (
            Network::Vcommission,
            "https://t.example/click?p1={click_id}&url=%7Burl%7D",
            P::Link("its braces are percent-encoded, so the macros would never be filled in"),
        ),
        (
            Network::Vcommission,
            "https://t.example/cl ick?p1={click_id}",
            P::Link("it has white space or characters that a URL must encode"),
        ),
    ] {
        let found = problems(network, text);
        assert!(found.contains(&expected), "{text}: {found:?}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let error = TrackingTemplate::parse(Network::Cuelinks, "http://l.example/?to={url}&x={foo}", Schemes::HttpsOnly)
        .unwrap_err();
    assert!(error.0.len() >= 4, "{error}");
}

proptest! {
    #[test]
    fn a_click_comes_back_from_every_link(
        page in "[a-zA-Z0-9]{1,10}(/[a-zA-Z0-9_.~-]{1,8}){0,3}(\\?[a-z]{1,4}=([a-zA-Z0-9&+=]|%20|%26|%2520|%E0%A4%9C){0,20})?", millis in 0_u64..(1 << 47), low in any::<u64>(),
    ) {
        let target = target(&page);
        let time = uuid::Timestamp::from_unix_time(millis / 1_000, u32::try_from(millis % 1_000).unwrap() * 1_000_000, 0, 0);
        let mut bytes = *uuid::Uuid::new_v7(time).as_bytes();
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let click = ClickId::from_uuid(uuid::Uuid::from_bytes(bytes));
        for (network, text) in USED {
            let template = TrackingTemplate::parse(network, text, Schemes::HttpsOnly).unwrap();
            let url = Url::parse(&template.link(OfferId::generate(), &target).to_url(click)).unwrap();
            let known = parameters(network);
            let carried: Vec<_> = url.query_pairs().filter(|(name, _)| known.carriers.contains(&name.as_ref())).collect();
            prop_assert!(!carried.is_empty());
            for (name, value) in carried {
                let limit = known.sub_ids.iter().find(|(sub_id, _)| *sub_id == name).unwrap().1;
                prop_assert!(value.len() <= limit);
                prop_assert_eq!(crate::click::click_of(&value), Some(click));
            }
            if template.takes_url() {
                let carried = url.query_pairs().find(|(name, _)| name == known.url).unwrap().1.into_owned();
                prop_assert_eq!(carried.as_str(), target.as_str());
            }
        }
    }
}

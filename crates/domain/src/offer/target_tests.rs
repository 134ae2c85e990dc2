//! The open-redirect table: what must be refused, and what must not.

use proptest::prelude::*;

use super::*;

fn hosts() -> AllowedHosts {
    AllowedHosts::parse(&["shop.in", "*.shop.in"]).unwrap()
}

const ATTACKS: [&str; 96] = [
    // Another host, plainly or by look.
    "https://evil.example",
    "https://evil.example/shop.in",
    "https://evil.example?shop.in",
    "https://evil.example#shop.in",
    "https://shop.in.evil.example/",
    "https://notshop.in/",
    "https://shop.in-evil.example/",
    "https://evilshop.in/",
    "https://xshop.in/p/1",
    "https://shop.inn/",
    "https://shop.com/",
    "https://in/",
    // Userinfo.
    "https://shop.in@evil.example/",
    "https://shop.in:pw@evil.example/",
    "https://user@shop.in/",
    "https://shop.in%40evil.example/",
    "https://evil.example@shop.in/",
    "https://@shop.in/",
    "https://shop.in:443@evil.example/",
    "https://a:b@c@shop.in/",
    // Backslash.
    "https://evil.example\\@shop.in/",
    "https:\\\\evil.example",
    "https://shop.in\\.evil.example/",
    "https:/\\evil.example",
    "https://shop.in\\evil",
    "https://evil.example\\.shop.in/",
    "/\\evil.example",
    "\\\\evil.example",
    // Scheme tricks.
    "//evil.example",
    "///evil.example",
    "////shop.in",
    "//shop.in/p",
    "http://shop.in/",
    "https:shop.in",
    "https:/shop.in",
    "https:///shop.in",
    "HTTPS:evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//https://shop.in",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://shop.in/",
    "intent://shop.in#Intent;end",
    "blob:https://shop.in/x",
    "view-source:https://shop.in/",
    "javascript://shop.in/%0aalert(1)",
    "wss://shop.in/",
    "shop.in",
    "",
    "/p/1",
    "?x",
    "#https://shop.in",
    "h\tttps://shop.in/",
    " https://shop.in/",
    "https://shop.in /",
    "\u{feff}https://shop.in/",
    // Control characters and header splitting.
    "https://shop.in/\r\nLocation: https://evil.example",
    "https://shop.in/\tx",
    "https://shop.in/%0d%0aSet-Cookie:x=1",
    "https://shop.in/%00",
    "https://shop.in/%2500",
    "https://shop.in/\u{0}",
    "https://shop.in/%250d%250aX:1",
    // Unicode and odd hosts.
    "https://ｓhop.in/",
    "https://shop。in/",
    "https://shop．in/",
    "https://shоp.in/",
    "https://shop.in\u{200b}.evil.example/",
    "https://evil.example\u{ff0f}shop.in/",
    "https://shop.in\u{2044}.evil.example/",
    "https://sh%6fp.in/",
    "https://shop.in./",
    "https://shop.in%2eevil.example/",
    "https://shop.in%2f.evil.example/",
    "https://[::1]/",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://shop.in:8443/",
    "https://shop.in:/",
    "https://.shop.in/",
    "https://shop.in%23.evil.example/",
    // Nested, once and twice encoded: the shop's own open redirect.
    "https://shop.in/r?url=https://evil.example",
    "https://shop.in/r?url=https%3A%2F%2Fevil.example",
    "https://shop.in/r?u=//evil.example",
    "https://shop.in/r?u=%2F%2Fevil.example",
    "https://shop.in/r?url=https%253A%252F%252Fevil.example",
    "https://shop.in//evil.example",
    "https://shop.in/%2f%2fevil.example",
    "https://shop.in/%5cevil.example",
    "https://shop.in/r?u=https:evil.example",
    "https://shop.in/r?u=javascript:alert(1)",
    "https://shop.in/r?u=java%2573cript:alert(1)",
    "https://shop.in/#//evil.example",
    "https://shop.in/r?u=https://shop.in@evil.example/",
];

#[test]
fn no_attack_of_the_table_gets_through() {
    let through: Vec<_> =
        ATTACKS.iter().filter(|text| Target::parse(text, &hosts(), Schemes::HttpsOnly).is_ok()).collect();
    assert!(through.is_empty(), "{through:?}");
}

#[test]
fn what_a_whole_url_encoded_again_hides_is_not_looked_at() {
    for text in ["https%3A%2F%2Fshop.in%2F", "https%253A%252F%252Fshop.in", "https%3A//shop.in/"] {
        assert_eq!(Target::parse(text, &hosts(), Schemes::HttpsOnly), Err(Refused::Scheme), "{text}");
    }
    let endless = format!("https://shop.in/?q=%{}41", "25".repeat(8));
    assert_eq!(Target::parse(&endless, &hosts(), Schemes::HttpsOnly), Err(Refused::Encoding));
    let long = format!("https://shop.in/{}", "a".repeat(2_000));
    assert_eq!(Target::parse(&long, &hosts(), Schemes::HttpsOnly), Err(Refused::TooLong));
}

#[test]
fn the_form_that_is_sent_is_judged_too() {
    // An apostrophe ends an address; sent as %27 it is a part of its host.
    let text = "https://shop.in/p.in/r?u%252F%25ttps://shop.in'2Fevi";
    assert_eq!(Target::parse(text, &hosts(), Schemes::HttpsOnly), Err(Refused::Nested));
    // A quotation mark is sent as %22: what is short enough as it is typed may be too long as it is sent.
    let page = |marks: usize| format!("https://shop.in/?q={}", "\"".repeat(marks));
    let sent = Target::parse(&page(660), &hosts(), Schemes::HttpsOnly).unwrap();
    assert_eq!(sent.as_str().len(), 19 + 3 * 660);
    assert_eq!(Target::parse(&page(661), &hosts(), Schemes::HttpsOnly), Err(Refused::TooLong));
}

#[test]
fn pages_of_the_shop_are_let_through() {
    for (text, sent) in [
        ("https://shop.in", "https://shop.in/"),
        ("HTTPS://WWW.SHOP.IN/P/1", "https://www.shop.in/P/1"),
        ("https://shop.in:443/p/1?x=1&y=2#reviews", "https://shop.in/p/1?x=1&y=2#reviews"),
        (
            "https://m.shop.in/@brand/p?filters=brand:nike,price:1-2",
            "https://m.shop.in/@brand/p?filters=brand:nike,price:1-2",
        ),
        (
            "https://shop.in/जूते?q=लाल",
            "https://shop.in/%E0%A4%9C%E0%A5%82%E0%A4%A4%E0%A5%87?q=%E0%A4%B2%E0%A4%BE%E0%A4%B2",
        ),
        ("https://shop.in/s?q=red%20shoes+men&n=%26%3D", "https://shop.in/s?q=red%20shoes+men&n=%26%3D"),
        ("https://shop.in/s?q=100%25", "https://shop.in/s?q=100%25"),
        (
            "https://shop.in/login?next=https%3A%2F%2Fwww.shop.in%2Fp%2F1",
            "https://shop.in/login?next=https%3A%2F%2Fwww.shop.in%2Fp%2F1",
        ),
    ] {
        assert_eq!(
            Target::parse(text, &hosts(), Schemes::HttpsOnly).map(|target| target.to_string()),
            Ok(sent.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn plain_http_and_a_port_need_their_permission() {
    let simulator = AllowedHosts::parse(&["127.0.0.1:4010"]).unwrap();
    assert!(Target::parse("http://127.0.0.1:4010/shop/1", &simulator, Schemes::HttpToo).is_ok());
    assert_eq!(Target::parse("http://127.0.0.1:4010/shop/1", &simulator, Schemes::HttpsOnly), Err(Refused::Scheme));
    assert_eq!(Target::parse("http://127.0.0.1:4011/", &simulator, Schemes::HttpToo), Err(Refused::ForeignHost));
}

proptest! {
    /// Whatever is typed: what gets through is on the list, by the URL standard's own reading of what is sent.
    #[test]
    fn what_gets_through_leads_to_the_shop(text in "(https?:)?[/\\\\]{0,3}[a-z@.:%0-9]{0,12}(shop\\.in|evil\\.example)[/@:?#\\\\.%a-z0-9=&]{0,24}") {
        if let Ok(target) = Target::parse(&text, &hosts(), Schemes::HttpsOnly) {
            let url = Url::parse(target.as_str()).unwrap();
            prop_assert_eq!(url.scheme(), "https");
            prop_assert_eq!(url.username(), "");
            let host = url.host_str().unwrap();
            prop_assert!(host == "shop.in" || host.ends_with(".shop.in"), "{}", host);
        }
    }
}

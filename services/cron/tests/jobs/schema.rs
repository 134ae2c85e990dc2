//! What the schemas of sitemaps.org demand of a sitemap and of an index, as a check of our own.

use chrono::DateTime;
use quick_xml::Reader;
use quick_xml::events::Event;
use url::Url;

const SPACE: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";

/// The addresses in a file whose root is `root` and whose entries are `entry`, or what is wrong with it: the namespace, the
/// order of the elements, an address that is none or is longer than 2,048 characters, a time that is none, a text where
/// none belongs.
pub(crate) fn addresses(xml: &str, root: &str, entry: &str) -> Result<Vec<Url>, String> {
    let mut reader = Reader::from_str(xml);
    let mut path: Vec<String> = Vec::new();
    let mut found = Vec::new();
    // What the present entry has had so far, in order.
    let mut had: Vec<String> = Vec::new();
    let mut text = String::new();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Decl(decl) => {
                let encoding = decl.encoding().ok_or("no encoding")?.map_err(|error| error.to_string())?;
                if !path.is_empty() || encoding != "UTF-8" {
                    return Err("the declaration is out of place or the encoding is not UTF-8".to_owned());
                }
            }
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                let parents: Vec<_> = path.iter().map(String::as_str).collect();
                match parents.as_slice() {
                    [] if name == root => {
                        let space = start.try_get_attribute("xmlns").map_err(|error| error.to_string())?;
                        if space.is_none_or(|space| space.value != SPACE) {
                            return Err("the root is not in the namespace of sitemaps".to_owned());
                        }
                    }
                    [_] if name == entry => had.clear(),
                    [_, _] if name == "loc" && had.is_empty() => had.push(name.clone()),
                    [_, _] if name == "lastmod" && had == ["loc"] => had.push(name.clone()),
                    _ => return Err(format!("<{name}> does not belong into {path:?} after {had:?}")),
                }
                path.push(name);
                text.clear();
            }
            Event::Text(piece) => text.push_str(&piece),
            Event::GeneralRef(name) => text.push_str(match name.as_ref() {
                "amp" => "&",
                "lt" => "<",
                "gt" => ">",
                "quot" => "\"",
                "apos" => "'",
                other => return Err(format!("an unknown entity {other:?}")),
            }),
            Event::End(_) => {
                match path.pop().as_deref() {
                    Some("loc") => {
                        if !(12..=2048).contains(&text.len()) {
                            return Err(format!("{} characters are no address", text.len()));
                        }
                        found.push(Url::parse(&text).map_err(|error| format!("{text:?}: {error}"))?);
                    }
                    Some("lastmod") => {
                        DateTime::parse_from_rfc3339(&text).map_err(|error| format!("{text:?}: {error}"))?;
                    }
                    Some(name) if !text.trim().is_empty() => return Err(format!("text in <{name}>: {text:?}")),
                    Some(name) if name == entry && had.first().is_none_or(|first| first != "loc") => {
                        return Err("an entry without an address".to_owned());
                    }
                    _ => {}
                }
                text.clear();
            }
            Event::Eof => break,
            other => return Err(format!("{other:?} does not belong into a sitemap")),
        }
    }
    if !path.is_empty() || found.is_empty() {
        return Err("cut off or empty".to_owned());
    }
    Ok(found)
}

#[test]
fn the_check_finds_what_is_wrong() {
    let file = |inner: &str| {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"{SPACE}\">\n{inner}</urlset>\n")
    };
    let check = |xml: &str| addresses(xml, "urlset", "url");
    let fine = "<url><loc>https://shop.example/a?b=1&amp;c=2</loc><lastmod>2026-01-15T00:00:00Z</lastmod></url>";
    assert_eq!(check(&file(fine)).unwrap()[0].query(), Some("b=1&c=2"));
    for wrong in [
        "<url><lastmod>2026-01-15T00:00:00Z</lastmod><loc>https://shop.example/a</loc></url>",
        "<url><loc>https://shop.example/a</loc><lastmod>yesterday</lastmod></url>",
        "<url><loc>/a-relative-one</loc></url>",
        "<url><loc>https://shop.example/a</loc><image>x</image></url>",
        "<url></url>",
        "<loc>https://shop.example/a</loc>",
        "",
    ] {
        assert!(check(&file(wrong)).is_err(), "{wrong}");
    }
    assert!(check(&file(fine).replace(SPACE, "urn:other")).is_err());
    assert!(check(&file(fine).replace("</urlset>", "")).is_err());
}

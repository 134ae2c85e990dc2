//! HTML from MJML at the price of filling in a form.
//!
//! Turning MJML into HTML takes longer than everything else that is done for a mail, and gives the same HTML for the same
//! template: only values differ. So the template marks each value that it writes ([`Marked`]), the values are taken out, and
//! what is left is turned into HTML once and kept. Conditions and loops of a template change what is left, so each shape of a
//! mail is a page of its own.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use askama::filters::{Escaper, Html};
use mrml::prelude::render::RenderOptions;

/// ⟦ and ⟧: in no template of ours, and written as references where a value has them. The renderer of MJML writes attributes
/// as Rust writes strings, so marks must be printable.
const OPEN: char = '\u{27e6}';
const CLOSE: char = '\u{27e7}';

/// More shapes than this are not kept: orders with many lines have a shape each.
const MOST_PAGES: usize = 512;

/// Escapes as for HTML, and marks what it wrote.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marked;

impl Escaper for Marked {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        dest.write_char(OPEN)?;
        for part in string.split_inclusive([OPEN, CLOSE]) {
            let plain = part.trim_end_matches([OPEN, CLOSE]);
            Html.write_escaped_str(&mut dest, plain)?;
            match part.strip_prefix(plain).unwrap_or_default().chars().next() {
                Some(OPEN) => dest.write_str("&#10214;")?,
                Some(_) => dest.write_str("&#10215;")?,
                None => {}
            }
        }
        dest.write_char(CLOSE)
    }
}

/// Why a page cannot be made. It never repeats a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// The marks do not pair.
    #[error("the marks around values do not pair")]
    Marks,
    /// The MJML cannot be read.
    #[error("the MJML cannot be read")]
    Parse(#[from] mrml::prelude::parser::Error),
    /// The MJML cannot be rendered.
    #[error("the MJML cannot be rendered")]
    Render(#[from] mrml::prelude::render::Error),
}

/// HTML with holes.
struct Page {
    /// What stands before each value, and the number of that value.
    pieces: Vec<(String, usize)>,
    end: String,
}

/// The pages made so far.
#[derive(Default)]
pub(crate) struct Pages(RwLock<HashMap<String, Arc<Page>>>);

impl Pages {
    /// The HTML of `marked`, the output of a template that marks its values.
    pub(crate) fn html(&self, marked: &str) -> Result<String, PageError> {
        let (form, values) = take_apart(marked).ok_or(PageError::Marks)?;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&form).cloned();
        let page = match known {
            Some(page) => page,
            None => self.make(form)?,
        };
        page.fill(&values).ok_or(PageError::Marks)
    }

    fn make(&self, form: String) -> Result<Arc<Page>, PageError> {
        let page = Arc::new(Page::read(&render(&form)?).ok_or(PageError::Marks)?);
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if pages.len() < MOST_PAGES {
            pages.insert(form, page.clone());
        }
        Ok(page)
    }
}

/// MJML to HTML.
fn render(mjml: &str) -> Result<String, PageError> {
    // Without fonts: nothing is fetched from elsewhere when a mail is opened.
    let options = RenderOptions { fonts: HashMap::new(), ..RenderOptions::default() };
    Ok(mrml::parse(mjml)?.element.render(&options)?)
}

/// The text with each value replaced by its number, and the values. Values that touch are one: how many pieces a value is
/// written in depends on the value.
fn take_apart(marked: &str) -> Option<(String, Vec<String>)> {
    let mut form = String::with_capacity(marked.len());
    let mut values = Vec::new();
    let mut rest = marked;
    while let Some((before, mut behind)) = rest.split_once(OPEN) {
        form.push_str(before);
        let mut value = String::new();
        loop {
            let (piece, after) = behind.split_once(CLOSE)?;
            value.push_str(piece);
            let Some(more) = after.strip_prefix(OPEN) else {
                rest = after;
                break;
            };
            behind = more;
        }
        write!(form, "{OPEN}{}{CLOSE}", values.len()).ok()?;
        values.push(value);
    }
    form.push_str(rest);
    Some((form, values))
}

impl Page {
    fn read(html: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = html;
        while let Some((before, behind)) = rest.split_once(OPEN) {
            let (number, after) = behind.split_once(CLOSE)?;
            pieces.push((before.to_owned(), number.parse().ok()?));
            rest = after;
        }
        Some(Self { pieces, end: rest.to_owned() })
    }

    fn fill(&self, values: &[String]) -> Option<String> {
        let fixed: usize = self.pieces.iter().map(|(before, _)| before.len()).sum();
        let filled: usize = self.pieces.iter().filter_map(|(_, number)| values.get(*number)).map(String::len).sum();
        let mut html = String::with_capacity(fixed + filled + self.end.len());
        for (before, number) in &self.pieces {
            html.push_str(before);
            html.push_str(values.get(*number)?);
        }
        html.push_str(&self.end);
        Some(html)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(value: &str) -> String {
        let mut text = String::new();
        Marked.write_escaped_str(&mut text, value).unwrap();
        text
    }

    fn mjml(name: &str, link: &str) -> String {
        format!(
            "<mjml><mj-head><mj-title>{name}</mj-title></mj-head><mj-body><mj-section><mj-column><mj-text>Hello {name}, \
                 <a href=\"{link}?a=1\">{link}</a></mj-text><mj-button href=\"{link}\">Go</mj-button></mj-column></mj-section></mj-body></mjml>"
        )
    }

    #[test]
    fn a_filled_form_is_what_rendering_would_give() {
        let pages = Pages::default();
        let plain = |value: &str| marked(value).replace([OPEN, CLOSE], "");
        for (name, link) in
            [("Asha", "https://a.in/x?b=1&c=2"), ("<b>\"O'Neil\"</b> & {{co}}", "https://b.in/"), ("", "")]
        {
            let form = pages.html(&mjml(&marked(name), &marked(link))).unwrap();
            assert_eq!(form, render(&mjml(&plain(name), &plain(link))).unwrap(), "{name}");
        }
        assert_eq!(pages.0.read().unwrap().len(), 1, "one shape");
    }

    #[test]
    fn a_value_can_bring_no_marks_of_its_own() {
        assert_eq!(marked("a⟦7⟧⟧b"), "⟦a&#10214;7&#10215;&#10215;b⟧");
        assert_eq!(take_apart("x⟦a"), None, "an open mark");
        let (form, values) = take_apart("x⟦a⟧⟦b⟧y⟦⟧").unwrap();
        assert_eq!((form.as_str(), values), ("x⟦0⟧y⟦1⟧", vec!["ab".to_owned(), String::new()]));
    }
}

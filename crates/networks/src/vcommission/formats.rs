//! One table from JSON, CSV or XML.

use std::borrow::Cow;
use std::collections::BTreeMap;

use outbound::{Answer, header};
use quick_xml::events::{BytesStart, Event};
use serde_json::value::RawValue;

use super::settings::{Format, Settings};
use crate::record::Record;

/// What a page holds.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<Record>,
    /// How many rows all pages have.
    pub(super) total: Option<u64>,
    /// How many rows a page has.
    pub(super) size: Option<u64>,
}

/// A page that cannot be read. What stands there may be a shopper's, so only the place is told.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormatError {
    #[error("the JSON breaks off or has another shape (line {0}, column {1})")]
    Json(usize, usize),
    #[error("the JSON has no rows named {0:?}")]
    NoRows(String),
    #[error("the CSV cannot be read (record {0})")]
    Csv(u64),
    #[error("the XML cannot be read (byte {0})")]
    Xml(u64),
    #[error("the answer is neither JSON, CSV nor XML")]
    Unknown,
}

impl From<serde_json::Error> for FormatError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.line(), error.column())
    }
}

/// Reads a page in the format that its content type names, else in the one asked for.
pub(super) fn read(answer: &Answer, settings: &Settings) -> Result<Table, FormatError> {
    if answer.status == 204 {
        return Ok(Table { rows: Vec::new(), total: Some(0), size: None });
    }
    let told = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let told = [("json", Format::Json), ("csv", Format::Csv), ("xml", Format::Xml)]
        .into_iter()
        .find_map(|(word, format)| told.contains(word).then_some(format));
    // HTML comes under status 200 from proxies.
    if told.is_none() && answer.body.trim_start().to_ascii_lowercase().starts_with("<!doctype html") {
        return Err(FormatError::Unknown);
    }
    match told.or(settings.asks_for).unwrap_or(Format::Json) {
        Format::Json => json(&answer.body, &settings.rows_key),
        Format::Csv => {
            let total = answer.headers.get("x-total-count").and_then(|value| value.to_str().ok()?.trim().parse().ok());
            csv(&answer.body, total, &settings.names.id)
        }
        Format::Xml => xml(&answer.body),
    }
}

fn json(body: &str, rows_key: &str) -> Result<Table, FormatError> {
    let top: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body)?;
    let rows = top.get(rows_key).ok_or_else(|| FormatError::NoRows(rows_key.to_owned()))?;
    // One variant of the platform gives an object of rows by their id.
    let rows: Vec<&RawValue> = if rows.get().starts_with('{') {
        serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(rows.get())?.into_values().collect()
    } else {
        serde_json::from_str(rows.get())?
    };
    let rows = rows.into_iter().map(Record::from_json).collect::<Result<_, _>>()?;
    let pagination: Option<BTreeMap<Cow<'_, str>, &RawValue>> =
        top.get("pagination").and_then(|raw| serde_json::from_str(raw.get()).ok());
    let number = |raw: &&RawValue| raw.get().trim_matches('"').parse::<u64>().ok();
    let (inner, outer) =
        (|name: &str| pagination.as_ref()?.get(name).and_then(number), |name: &str| top.get(name).and_then(number));
    Ok(Table {
        rows,
        total: inner("total").or_else(|| outer("total")).or_else(|| outer("count")),
        size: inner("perPage").or_else(|| outer("limit")),
    })
}

fn csv(body: &str, total: Option<u64>, id: &str) -> Result<Table, FormatError> {
    let broken = |error: &csv::Error| FormatError::Csv(error.position().map_or(0, csv::Position::record));
    let mut reader = csv::Reader::from_reader(body.trim_start_matches('\u{feff}').as_bytes());
    let names = reader.headers().map_err(|error| broken(&error))?.clone();
    if !names.iter().any(|name| name == id) {
        return Err(FormatError::NoRows(id.to_owned()));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        // A row with fewer fields than the first line has is a row that broke off.
        let record = record.map_err(|error| broken(&error))?;
        let fields = names.iter().zip(record.iter()).map(|(name, text)| (name.to_owned(), text.to_owned()));
        rows.push(Record::from_texts(fields)?);
    }
    Ok(Table { rows, total, size: None })
}

/// An attribute that is a number.
fn number(tag: &BytesStart<'_>, name: &str) -> Option<u64> {
    tag.try_get_attribute(name).ok()??.value.trim().parse().ok()
}

/// The root's attributes tell the counts, its children are the rows, theirs the fields.
fn xml(body: &str) -> Result<Table, FormatError> {
    let mut reader = quick_xml::Reader::from_str(body);
    let mut table = Table { rows: Vec::new(), total: None, size: None };
    let (mut depth, mut is_whole) = (0_u32, false);
    let mut fields: Vec<(String, String)> = Vec::new();
    loop {
        let broken = |at: u64| FormatError::Xml(at);
        let at = reader.buffer_position();
        match reader.read_event().map_err(|_place_is_enough| broken(at))? {
            Event::Start(tag) => {
                depth += 1;
                let name = tag.local_name().as_ref().to_owned();
                match depth {
                    1 => (table.total, table.size) = (number(&tag, "total"), number(&tag, "limit")),
                    3 => fields.push((name, String::new())),
                    _ => {}
                }
            }
            Event::Empty(tag) if depth == 2 => {
                fields.push((tag.local_name().as_ref().to_owned(), String::new()));
            }
            // A report without rows is its root alone.
            Event::Empty(tag) if depth == 0 => {
                (table.total, table.size) = (number(&tag, "total"), number(&tag, "limit"));
                is_whole = true;
            }
            Event::Empty(_) | Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Text(text) => {
                if let (3, Some((_, value))) = (depth, fields.last_mut()) {
                    value.push_str(&text.xml10_content());
                }
            }
            Event::CData(text) => {
                if let (3, Some((_, value))) = (depth, fields.last_mut()) {
                    value.push_str(&text.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().map_err(|_place_is_enough| broken(at))? {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())
                        .ok_or_else(|| broken(at))?
                        .to_owned(),
                };
                if let (3, Some((_, value))) = (depth, fields.last_mut()) {
                    value.push_str(&character);
                }
            }
            Event::End(_) => {
                if depth == 2 {
                    table.rows.push(Record::from_texts(fields.drain(..))?);
                }
                depth = depth.saturating_sub(1);
                is_whole = depth == 0;
            }
            Event::Eof if is_whole => return Ok(table),
            Event::Eof => return Err(broken(at)),
        }
    }
}

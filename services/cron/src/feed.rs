//! Feeds that tell how many there are of each product: JSON or CSV, from HTTP or from a file. A feed is believed whole or
//! not at all.

use std::collections::HashSet;

use config::{ExposeSecret, Reader, SecretString};
use outbound::retry::{RetryPolicy, reading};
use outbound::{Client, Method, ProviderError};
use serde::Deserialize;
use store::inventory::Told;

/// More than any shelf holds: a number beyond it is no number of things.
const MOST: i32 = 10_000_000;

/// Where a feed is.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// `http(s)://…`, or the path of a file.
    place: String,
    token: Option<SecretString>,
}

impl Source {
    /// Reads `INVENTORY_SOURCE_*` and `INVENTORY_TOKEN_*`.
    pub(crate) fn read_all(reader: &mut Reader<'_>) -> Vec<Self> {
        let sources = reader.family(
            "INVENTORY_SOURCE_",
            "a feed of stocks, as https://… or the path of a file: JSON or CSV with product (sku or id), stock, and low_stock_at if wanted",
        );
        let tokens = reader.family("INVENTORY_TOKEN_", "the bearer token for the INVENTORY_SOURCE_ of the same name");
        for (name, _) in &tokens {
            if !sources.iter().any(|(known, _)| known == name) {
                reader.problem(format!("INVENTORY_TOKEN_{name} is for a feed that does not exist"));
            }
        }
        let token = |name: &str| tokens.iter().find(|(of, _)| of == name).map(|(_, token)| token.clone().into());
        let one = |(name, place): (String, String)| Self { token: token(&name), name: name.to_lowercase(), place };
        sources.into_iter().map(one).collect()
    }
}

/// Why a feed is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error("the feed could not be fetched")]
    Fetch(#[from] ProviderError),
    #[error("the feed's file could not be read")]
    File(#[from] std::io::Error),
    #[error("the feed is not JSON as agreed")]
    Json(#[from] serde_json::Error),
    #[error("the feed is not CSV as agreed")]
    Csv(#[from] csv::Error),
    #[error("the feed has no rows")]
    Empty,
    #[error("row {row} of the feed tells {stock} of {product}, with a mark of {low_stock_at:?}")]
    Impossible { row: usize, product: String, stock: i32, low_stock_at: Option<i32> },
    #[error("the feed names {0} twice")]
    Twice(String),
}

/// A row, whatever the form.
#[derive(Deserialize)]
struct Row {
    #[serde(alias = "sku", alias = "product_id", alias = "id")]
    product: String,
    #[serde(alias = "quantity")]
    stock: i32,
    #[serde(default)]
    low_stock_at: Option<i32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    Rows(Vec<Row>),
    Wrapped { items: Vec<Row> },
}

/// Fetches a feed and reads it.
pub(crate) async fn read(source: &Source, client: &Client) -> Result<Vec<Told>, FeedError> {
    let text = if source.place.starts_with("http://") || source.place.starts_with("https://") {
        reading(&RetryPolicy::default(), || fetch(source, client)).await?
    } else {
        tokio::fs::read_to_string(source.place.strip_prefix("file://").unwrap_or(&source.place)).await?
    };
    parse(&text)
}

async fn fetch(source: &Source, client: &Client) -> Result<String, ProviderError> {
    let mut request = client.request(Method::GET, &source.place);
    if let Some(token) = &source.token {
        request = request.bearer_auth(token.expose_secret());
    }
    let answer = client.send(request).await?;
    let (provider, detail) = (client.provider(), format!("status {}", answer.status.as_u16()));
    match answer.status {
        status if status.is_success() => Ok(answer.body),
        status if status.is_server_error() || status.as_u16() == 429 => {
            Err(ProviderError::TryLater { provider, detail, after: answer.retry_after() })
        }
        _ => Err(ProviderError::Refused { provider, detail }),
    }
}

/// Reads a feed. JSON begins with a bracket, CSV with the names of its columns.
pub(crate) fn parse(text: &str) -> Result<Vec<Told>, FeedError> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let rows = if text.starts_with(['[', '{']) {
        match serde_json::from_str(text)? {
            Json::Rows(rows) | Json::Wrapped { items: rows } => rows,
        }
    } else {
        csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes())
            .deserialize()
            .collect::<Result<_, _>>()?
    };
    if rows.is_empty() {
        return Err(FeedError::Empty);
    }
    let mut seen = HashSet::new();
    let mut told = Vec::with_capacity(rows.len());
    for (place, Row { product, stock, low_stock_at }) in rows.into_iter().enumerate() {
        let fits = |number: i32| (0..=MOST).contains(&number);
        if product.is_empty() || !fits(stock) || !low_stock_at.is_none_or(fits) {
            return Err(FeedError::Impossible { row: place + 1, product, stock, low_stock_at });
        }
        if !seen.insert(product.to_lowercase()) {
            return Err(FeedError::Twice(product));
        }
        told.push(Told { product, stock, low_stock_at });
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_csv_say_the_same() {
        let told = |product: &str, stock, low_stock_at| Told { product: product.to_owned(), stock, low_stock_at };
        let expected = [told("A-1", 3, None), told("B", 0, Some(5))];
        for text in [
            r#"[{"product": "A-1", "stock": 3}, {"sku": "B", "quantity": 0, "low_stock_at": 5, "colour": "red"}]"#,
            r#"{"items": [{"product": "A-1", "stock": 3}, {"product": "B", "stock": 0, "low_stock_at": 5}]}"#,
            "sku,stock,low_stock_at\nA-1,3,\nB,0,5\n",
            "\u{feff}stock, product ,low_stock_at,colour\r\n3,A-1,,red\r\n0,\"B\",5,\r\n",
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_broken_feed_is_not_believed() {
        for text in [
            "",
            "[]",
            "<html>502 Bad Gateway</html>",
            "sku,stock\n",
            "sku,stock\nA,1\nB",
            "sku,stock\nA,1\nB,-1\n",
            "sku,stock\nA,1\nA,2\n",
            "sku,stock\nA,1\nB,many\n",
            "sku,stock\n,1\n",
            r#"[{"sku": "A", "stock": 1}, {"sku": "B"}]"#,
            r#"[{"sku": "A", "stock": 1}, {"sku": "B", "sto"#,
            r#"[{"sku": "A", "stock": 99999999999}]"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

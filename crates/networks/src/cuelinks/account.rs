//! Whose account the key opens.
//!
//! A key of another account answers as well as the right one, with another publisher's transactions: none of them has a
//! click of ours, and ours would be missing without a word. So the account is asked for before the first page. Version 2
//! has no such question.

use outbound::ProviderError;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;

use super::Cuelinks;
use super::settings::Api;

/// Whether the account was seen to be the right one.
#[derive(Default)]
pub(super) struct Account {
    checked: OnceCell<()>,
}

/// The answer to `GET /ping`; one client finds the publisher under `data`.
#[derive(Deserialize)]
struct Ping<'a> {
    #[serde(borrow)]
    publisher: Option<Publisher<'a>>,
    #[serde(borrow)]
    data: Option<Inner<'a>>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow)]
    publisher: Option<Publisher<'a>>,
}

/// Ids come as numbers or texts.
#[derive(Deserialize)]
struct Publisher<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    publisher_id: Option<&'a RawValue>,
}

impl Account {
    /// Asks once whether the key belongs to the publisher of the settings; again after an answer that could not be had.
    pub(super) async fn check(&self, cuelinks: &Cuelinks) -> Result<(), ProviderError> {
        let Some(wanted) = cuelinks.settings.publisher_id.as_deref() else { return Ok(()) };
        if cuelinks.settings.api == Api::V2 {
            return Ok(());
        }
        self.checked.get_or_try_init(|| cuelinks.caller.until_whole(|| ask(cuelinks, wanted))).await?;
        Ok(())
    }
}

async fn ask(cuelinks: &Cuelinks, wanted: &str) -> Result<(), ProviderError> {
    let answer = cuelinks.ask("/ping", &[]).await?.answer;
    let ping: Ping<'_> = serde_json::from_str(&answer.body).map_err(|error| cuelinks.caller.bad_json(&error))?;
    let publisher = ping.publisher.or_else(|| ping.data.and_then(|data| data.publisher));
    let Some(publisher) = publisher else {
        return Err(cuelinks.caller.unreadable("its /ping names no publisher"));
    };
    let ids = [publisher.id, publisher.publisher_id];
    let ids: Vec<_> = ids.into_iter().flatten().map(|id| id.get().trim_matches('"')).collect();
    if ids.contains(&wanted) {
        return Ok(());
    }
    let found = ids.first().copied().unwrap_or("none");
    let detail =
        format!("CUELINKS_API_KEY opens the account of publisher {found}; CUELINKS_PUBLISHER_ID says {wanted}");
    Err(ProviderError::Locked { provider: cuelinks.caller.client.provider(), detail })
}

//! What a mail is to a provider.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::contact::EmailAddress;
use domain::ids::NotificationId;

use super::letter::Letter;
use crate::deadline::Deadline;
use crate::outcome::Outcome;

/// A rendered mail on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) id: NotificationId,
    /// Until when it may be handed over, and an answer is of use.
    pub(crate) deadline: Deadline,
    pub(crate) to: &'a EmailAddress,
    pub(crate) to_name: Option<&'a str>,
    pub(crate) from: &'a EmailAddress,
    pub(crate) from_name: &'a str,
    pub(crate) reply_to: Option<&'a EmailAddress>,
    pub(crate) template: &'static str,
    pub(crate) category: &'static str,
    /// The one-click link, when the category asks for one.
    pub(crate) unsubscribe_url: Option<&'a str>,
    pub(crate) letter: &'a Letter,
}

impl Outgoing<'_> {
    /// Headers beside those that every mail has.
    pub(crate) fn headers(&self) -> BTreeMap<&'static str, String> {
        // Keeps mail clients from folding messages with the same subject into one thread.
        let mut headers = BTreeMap::from([("X-Entity-Ref-ID", self.id.to_string())]);
        if let Some(url) = self.unsubscribe_url {
            headers.insert("List-Unsubscribe", format!("<{url}>"));
            headers.insert("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned());
        }
        headers
    }
}

/// Takes mails.
#[async_trait]
pub(crate) trait MailProvider: Send + Sync {
    /// The name in rows and metrics.
    fn name(&self) -> &'static str;

    /// Asks it to take one mail, until its deadline.
    async fn send(&self, mail: &Outgoing<'_>) -> Outcome;
}

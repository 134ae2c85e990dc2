//! SendGrid's v3 mail send.

use std::collections::BTreeMap;

use async_trait::async_trait;
use config::{ExposeSecret, SecretString};
use outbound::{Answer, Client, Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;

use super::provider::{MailProvider, Outgoing};
use crate::mask::without_addresses;
use crate::outcome::Outcome;

/// The name in rows, metrics and errors.
pub(crate) const NAME: &str = "sendgrid";

/// Sends by SendGrid.
pub(crate) struct SendGrid {
    http: Client,
    url: String,
    key: SecretString,
    sandbox: bool,
}

impl SendGrid {
    /// `base` is `https://api.sendgrid.com` or what stands in for it.
    pub(crate) fn new(http: Client, base: &str, key: SecretString, sandbox: bool) -> Self {
        Self { http, url: format!("{base}/v3/mail/send"), key, sandbox }
    }
}

#[derive(Serialize)]
struct Address<'a> {
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Personalization<'a> {
    to: [Address<'a>; 1],
}

#[derive(Serialize)]
struct Content<'a> {
    r#type: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct Enable {
    enable: bool,
}

#[derive(Serialize)]
struct MailSettings {
    sandbox_mode: Enable,
}

/// Links carry tokens and codes must look as sent: SendGrid rewrites and measures nothing.
#[derive(Serialize)]
struct TrackingSettings {
    click_tracking: Enable,
    open_tracking: Enable,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "SendGrid names its fields")]
struct Mail<'a> {
    personalizations: [Personalization<'a>; 1],
    from: Address<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Address<'a>>,
    subject: &'a str,
    content: [Content<'a>; 2],
    categories: [&'a str; 2],
    custom_args: CustomArgs,
    headers: BTreeMap<&'static str, String>,
    mail_settings: MailSettings,
    tracking_settings: TrackingSettings,
}

/// Comes back at the top level of every event.
#[derive(Serialize)]
struct CustomArgs {
    notification_id: String,
}

#[async_trait]
impl MailProvider for SendGrid {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn send(&self, mail: &Outgoing<'_>) -> Outcome {
        let body = Mail {
            personalizations: [Personalization { to: [Address { email: mail.to.as_str(), name: mail.to_name }] }],
            from: Address { email: mail.from.as_str(), name: Some(mail.from_name) },
            reply_to: mail.reply_to.map(|address| Address { email: address.as_str(), name: None }),
            subject: &mail.letter.subject,
            content: [
                Content { r#type: "text/plain", value: &mail.letter.text },
                Content { r#type: "text/html", value: &mail.letter.html },
            ],
            categories: [mail.template, mail.category],
            custom_args: CustomArgs { notification_id: mail.id.to_string() },
            headers: mail.headers(),
            mail_settings: MailSettings { sandbox_mode: Enable { enable: self.sandbox } },
            tracking_settings: TrackingSettings {
                click_tracking: Enable { enable: false },
                open_tracking: Enable { enable: mail.category == "reminder" },
            },
        };
        let request = self.http.request(Method::POST, &self.url).bearer_auth(self.key.expose_secret()).json(&body);
        match timeout_at(mail.deadline.answer(), self.http.send(request)).await {
            Ok(Ok(answer)) => read(&answer),
            Ok(Err(error)) => error.into(),
            Err(_elapsed) => Outcome::no_answer(),
        }
    }
}

/// What SendGrid's answer means, by its status; the texts of its errors are for people.
fn read(answer: &Answer) -> Outcome {
    let status = answer.status.as_u16();
    match status {
        200 | 202 => {
            Outcome::Accepted(answer.headers.get("x-message-id").and_then(|id| id.to_str().ok()).map(str::to_owned))
        }
        401 | 403 => Outcome::Locked { reason: reason(answer) },
        408 | 429 => Outcome::TryLater {
            reason: reason(answer),
            after: answer.retry_after().or(Some(std::time::Duration::from_millis(1_100))),
            surely: true,
        },
        500 | 503 => Outcome::TryLater { reason: reason(answer), after: None, surely: true },
        // A gateway speaks for something behind it that may have taken the mail: the contract says try again, but only here.
        _ if answer.status.is_server_error() => {
            Outcome::TryLater { reason: reason(answer), after: None, surely: false }
        }
        // A success that is not in the contract: it may have been taken.
        _ if answer.status.is_success() => Outcome::Unknown { reason: format!("an unknown success ({status})") },
        _ => Outcome::Refused { bad_address: names_the_address(answer), reason: reason(answer) },
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    message: String,
    #[serde(default)]
    field: Option<String>,
}

/// A 413 and whatever a front proxy says come as HTML.
fn problems(answer: &Answer) -> Vec<Problem> {
    serde_json::from_str::<Errors>(&answer.body).map(|body| body.errors).unwrap_or_default()
}

fn names_the_address(answer: &Answer) -> bool {
    let about_address =
        |problem: &Problem| problem.field.as_deref().is_some_and(|field| field.starts_with("personalizations.0.to"));
    answer.status == StatusCode::BAD_REQUEST && problems(answer).iter().any(about_address)
}

fn reason(answer: &Answer) -> String {
    let said = problems(answer)
        .iter()
        .map(|problem| match &problem.field {
            Some(field) => format!("{field}: {}", problem.message),
            None => problem.message.clone(),
        })
        .collect::<Vec<_>>()
        .join("; ");
    format!("{} {}", answer.status.as_u16(), without_addresses(&said)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outbound::header::HeaderMap;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Outcome {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        read(&Answer { status: StatusCode::from_u16(status).unwrap(), headers: map, body: body.to_owned() })
    }

    #[test]
    fn every_answer_has_its_documented_meaning() {
        assert_eq!(answer(202, &[("x-message-id", "AbC")], ""), Outcome::Accepted(Some("AbC".to_owned())));
        assert_eq!(answer(200, &[], ""), Outcome::Accepted(None));
        let credits = r#"{"errors":[{"message":"Maximum credits exceeded","field":null,"help":null}]}"#;
        assert_eq!(answer(401, &[], credits), Outcome::Locked { reason: "401 Maximum credits exceeded".to_owned() });
        assert!(matches!(answer(403, &[], ""), Outcome::Locked { .. }));
        for status in [404, 405, 406, 413, 415] {
            assert!(matches!(answer(status, &[], "<html>"), Outcome::Refused { bad_address: false, .. }), "{status}");
        }
        for (status, surely) in [(500, true), (503, true), (502, false), (504, false)] {
            let outcome = answer(status, &[], "<html>");
            assert_eq!(outcome.surely_not_taken(), surely, "{status}");
            assert!(matches!(outcome, Outcome::TryLater { after: None, .. }), "{status}");
        }
        let limited = r#"{"errors":[{"field":null,"message":"too many requests"}]}"#;
        let wait = Some(Duration::from_secs(7));
        assert_eq!(
            answer(429, &[("retry-after", "7")], limited),
            Outcome::TryLater { reason: "429 too many requests".to_owned(), after: wait, surely: true }
        );
        let reset = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 30;
        let Outcome::TryLater { after: Some(wait), surely: true, .. } =
            answer(429, &[("x-ratelimit-reset", &reset.to_string())], limited)
        else {
            panic!("429 is tried later");
        };
        assert!((28..=30).contains(&wait.as_secs()), "until the reset: {wait:?}");
        assert!(matches!(answer(204, &[], ""), Outcome::Unknown { .. }));
    }

    #[test]
    fn a_refused_address_is_known_and_not_repeated() {
        let body =
            r#"{"errors":[{"message":"asha@example.in is not valid.","field":"personalizations.0.to.0.email"}]}"#;
        let reason = "400 personalizations.0.to.0.email: [address] is not valid.".to_owned();
        assert_eq!(answer(400, &[], body), Outcome::Refused { reason, bad_address: true });
    }
}

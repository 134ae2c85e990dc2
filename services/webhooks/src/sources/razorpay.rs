//! Razorpay and RazorpayX: HMAC-SHA256 over the raw bytes, the event id in a header that is not signed.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use config::Reader;
use domain::ids::WebhookId;
use domain::jobs::payment::ProcessPaymentEvent;
use serde::Deserialize;

use crate::proof::Secrets;
use crate::source::{Decoded, Effect, Malformed, Rejection, Request, Verified, WebhookSource, word};

/// Events that our worker acts on. Everything else is stored and acknowledged.
const ACTED_ON: [&str; 4] = ["payment.", "order.paid", "refund.", "payout."];

struct Razorpay {
    slug: &'static str,
    secrets: Secrets,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Box<dyn WebhookSource> {
    let about = "the secret typed into Razorpay's webhook settings";
    Box::new(Razorpay { slug: "razorpay", secrets: Secrets::read(reader, "RAZORPAY_WEBHOOK_SECRET", about) })
}

pub(super) fn read_x(reader: &mut Reader<'_>) -> Box<dyn WebhookSource> {
    let about = "the secret typed into RazorpayX's webhook settings";
    Box::new(Razorpay { slug: "razorpayx", secrets: Secrets::read(reader, "RAZORPAYX_WEBHOOK_SECRET", about) })
}

/// What is read of every event before it is stored.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default)]
    created_at: Option<i64>,
}

impl WebhookSource for Razorpay {
    fn slug(&self) -> &'static str {
        self.slug
    }

    fn verify<'r>(&self, request: &Request<'r>) -> Result<Verified<'r>, Rejection> {
        let claimed = request.header("x-razorpay-signature").ok_or(Rejection::NoSignature)?;
        let (proof, secret) =
            self.secrets.signed(request.body, claimed, request.received_at).ok_or(Rejection::WrongSignature)?;
        // The bytes are proven, so they may be looked into: retries of old events are signed with the old secret, and nothing
        // newer may be.
        let made_at = || {
            let head = serde_json::from_slice::<Head<'_>>(request.body).ok()?;
            DateTime::<Utc>::from_timestamp(head.created_at?, 0)
        };
        if secret.was_replaced() && !secret.covers(made_at()) {
            return Err(Rejection::SecretReplaced);
        }
        let event_id = request.header("x-razorpay-event-id");
        Ok(Verified::new(proof, request.body, request.received_at).with_event_id(event_id))
    }

    fn event_id(&self, verified: &Verified<'_>) -> String {
        verified.event_id().map_or_else(|| hex::encode(verified.sha256()), str::to_owned)
    }

    fn decode(&self, verified: &Verified<'_>, id: WebhookId) -> Result<Decoded, Malformed> {
        let head: Head<'_> = serde_json::from_slice(verified.raw())?;
        let acted_on = ACTED_ON.iter().any(|prefix| head.event.starts_with(prefix));
        let effect = acted_on.then_some(Effect::Payment(ProcessPaymentEvent { webhook_id: id }));
        Ok(Decoded { event: word(&head.event), effect })
    }

    #[cfg(test)]
    fn example(&self, now: DateTime<Utc>) -> crate::contract_tests::Example {
        let body =
            format!(r#"{{"entity":"event","event":"payment.failed","payload":{{}},"created_at":{}}}"#, now.timestamp());
        let secret = self.secrets.iter().next().unwrap();
        let signature = crate::contract_tests::hmac_hex(secret.text(), body.as_bytes());
        crate::contract_tests::Example::post("application/json", &body)
            .header("x-razorpay-signature", &signature)
            .header("x-razorpay-event-id", "SYNTHevent0001")
            .queued("payments")
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
    use chrono::TimeDelta;

    use super::*;
    use crate::proof::Secret;

    const BODY: &[u8] = br#"{"entity":"event","event":"payout.processed","created_at":1790000010}"#;
    const SIGNATURE: &str = "d2ccbde199de17d72fb79d7eb68be3b22ca84404c8e3dbf73b83686f42320efa";

    fn check(secrets: Vec<Secret>, body: &[u8], signature: &str, received_at: DateTime<Utc>) -> Result<(), Rejection> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-razorpay-signature"), HeaderValue::from_str(signature).unwrap());
        let request = Request {
            method: &Method::POST,
            headers: &headers,
            token: None,
            query: "",
            body,
            remote: [127, 0, 0, 1].into(),
            received_at,
        };
        Razorpay { slug: "razorpay", secrets: Secrets::new(secrets) }.verify(&request).map(drop)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_vectors_of_the_contract_pass_and_one_flipped_bit_fails() {
        let official =
            (&br#"{"a":1,"b":2,"c":{"d":3}}"#[..], "2fe04e22977002e6c7cb553adab8b460cb9e2a4970d5953cb27a8472752e3bbc");
        assert_eq!(check(vec![Secret::current("123456")], official.0, official.1, at(1_790_000_020)), Ok(()));
        let secret = || vec![Secret::current("synthetic-webhook-secret")];
        assert_eq!(check(secret(), BODY, SIGNATURE, at(1_790_000_020)), Ok(()));
        for position in 0..BODY.len() {
            for bit in 0..8 {
                let mut body = BODY.to_vec();
                body[position] ^= 1 << bit;
                let verdict = check(secret(), &body, SIGNATURE, at(1_790_000_020));
                assert_eq!(verdict, Err(Rejection::WrongSignature), "byte {position}, bit {bit}");
            }
        }
        let flipped = SIGNATURE.replacen('d', "c", 1);
        assert_eq!(check(secret(), BODY, &flipped, at(1_790_000_020)), Err(Rejection::WrongSignature));
        for wrong in ["", "d2cc", &SIGNATURE[1..], "zz"] {
            assert_eq!(check(secret(), BODY, wrong, at(1_790_000_020)), Err(Rejection::WrongSignature), "{wrong:?}");
        }
    }

    #[test]
    fn a_rotation_with_a_day_of_retries_rejects_nothing_genuine() {
        let rotation = at(1_790_000_000);
        let secrets = || vec![Secret::current("new"), Secret::replaced("old", rotation)];
        let sign = |secret: &str, made: DateTime<Utc>| {
            let body = format!(r#"{{"event":"payment.captured","created_at":{}}}"#, made.timestamp());
            let signature = crate::contract_tests::hmac_hex(secret, body.as_bytes());
            (body, signature)
        };
        let mut retries = 0;
        // Events of the day before, each retried every ten minutes for 24 hours after it was made.
        for minutes_before in (0..24 * 60).step_by(7) {
            let made = rotation - TimeDelta::minutes(minutes_before);
            let (body, signature) = sign("old", made);
            let mut received = rotation;
            while received <= made + TimeDelta::hours(24) {
                assert_eq!(check(secrets(), body.as_bytes(), &signature, received), Ok(()));
                received += TimeDelta::minutes(10);
                retries += 1;
            }
            let (body, signature) = sign("new", made);
            assert_eq!(
                check(secrets(), body.as_bytes(), &signature, rotation + TimeDelta::days(5)),
                Ok(()),
                "a replay by hand"
            );
        }
        assert!(retries > 10_000, "{retries} retries");
        let (body, signature) = sign("old", rotation + TimeDelta::hours(1));
        let verdict = check(secrets(), body.as_bytes(), &signature, rotation + TimeDelta::hours(1));
        assert_eq!(verdict, Err(Rejection::SecretReplaced), "a leaked old secret makes no new events");
        let (body, signature) = sign("old", rotation - TimeDelta::hours(1));
        let verdict = check(secrets(), body.as_bytes(), &signature, rotation + TimeDelta::days(3));
        assert_eq!(verdict, Err(Rejection::WrongSignature));
    }
}

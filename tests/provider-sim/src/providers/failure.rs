//! How each provider says that something went wrong.

use crate::provider::Provider;
use crate::sim::Allowance;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// An error body in the provider's own shape, saying no more than the status does.
fn body(provider: Provider, status: StatusCode) -> Value {
    let text = status.canonical_reason().unwrap_or("error");
    match provider {
        Provider::Sendgrid => json!({"errors": [{"message": text, "field": null, "help": null}]}),
        Provider::Msg91 => json!({"type": "error", "message": text}),
        Provider::Admitad => json!({"error": text, "error_description": text, "error_code": 3}),
        Provider::Vcommission => {
            json!({"success": false, "error": {"code": 51, "codeMsg": "SERVER_ERROR", "message": text}})
        }
        Provider::Razorpay => {
            let code = if status.is_server_error() { "SERVER_ERROR" } else { "BAD_REQUEST_ERROR" };
            json!({"error": {"code": code, "description": text, "source": "NA", "step": "NA", "reason": "NA", "metadata": {}}})
        }
        Provider::Cuelinks | Provider::Shop | Provider::Smtp => json!({"message": text}),
    }
}

/// An answer with this status, and the ordered body or one of the provider's own shape.
pub(crate) fn with_body(provider: Provider, status: StatusCode, ordered: Option<&Value>) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    match ordered {
        Some(Value::String(text)) => answer.content_type("text/plain; charset=utf-8").body(text.clone()),
        Some(json) => answer.json(json),
        None => answer.json(body(provider, status)),
    }
}

/// "Too many requests", as this provider puts it.
pub(crate) fn rate_limited(provider: Provider, allowance: Option<Allowance>) -> HttpResponse {
    match provider {
        // Admitad answers 503 where others answer 429, and sends no header along.
        Provider::Admitad => HttpResponse::ServiceUnavailable().json(json!({
            "error": "too_many_requests", "error_description": "limit of requests exceeded", "error_code": 4,
        })),
        Provider::Sendgrid => {
            let mut answer = HttpResponse::TooManyRequests()
                .json(json!({"errors": [{"field": null, "message": "too many requests"}]}));
            let reset = crate::clock::machine().timestamp() + 2;
            let allowance = allowance.unwrap_or(Allowance { limit: 600, remaining: 0, reset, exceeded: true });
            add_rate_headers(provider, answer.headers_mut(), allowance);
            answer
        }
        Provider::Vcommission => HttpResponse::TooManyRequests().json(json!({
            "success": false, "error": {"code": 40, "codeMsg": "TOO_MANY_REQUESTS", "message": "Too many requests"},
        })),
        Provider::Razorpay => HttpResponse::TooManyRequests().json(json!({"error": {
            "code": "BAD_REQUEST_ERROR", "description": "Request failed because of too many requests",
            "source": "NA", "step": "NA", "reason": "NA", "metadata": {},
        }})),
        Provider::Msg91 | Provider::Cuelinks | Provider::Shop | Provider::Smtp => {
            HttpResponse::TooManyRequests().json(body(provider, StatusCode::TOO_MANY_REQUESTS))
        }
    }
}

/// SendGrid tells its limits on every answer; the others keep them to themselves.
pub(crate) fn add_rate_headers(provider: Provider, headers: &mut HeaderMap, allowance: Allowance) {
    if provider != Provider::Sendgrid {
        return;
    }
    let values = [
        ("x-ratelimit-limit", i64::from(allowance.limit)),
        ("x-ratelimit-remaining", i64::from(allowance.remaining)),
        ("x-ratelimit-reset", allowance.reset),
    ];
    for (name, value) in values {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

/// A front proxy's page.
pub(crate) fn html(status: StatusCode) -> HttpResponse {
    let reason = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let page = format!(
        "<html>\r\n<head><title>{code} {reason}</title></head>\r\n<body>\r\n<center><h1>{code} {reason}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    HttpResponse::build(status).content_type("text/html").body(page)
}

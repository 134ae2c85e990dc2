//! Errors of HTTP handlers, as `application/problem+json` (RFC 9457).

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::Serialize;

/// What went wrong, for a program and for a person.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// A stable word for programs, such as `unknown-offer`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What it was about; no secret and nothing personal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str) -> Self {
        Self { kind, title, status: status.as_u16(), detail: None }
    }

    /// Adds what it was about.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(self)
    }
}

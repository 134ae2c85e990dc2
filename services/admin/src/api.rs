//! The API for programs: bearer tokens with scopes, problems as `application/problem+json`, lists by cursor.

pub(crate) mod dead;
pub(crate) mod money;
pub(crate) mod openapi;
pub(crate) mod queues;
pub(crate) mod records;
pub(crate) mod replays;

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError, web};
use chassis::problem::Problem;
use domain::job::Queue;
use kv::KvError;
use queue::EnqueueError;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::StoreError;

/// What is said when Postgres refuses a value.
pub(crate) const VALUE: &str = "a text holds a NUL, or a number or a time is out of range";

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No token, or a void one.
    #[error("a valid bearer token is needed")]
    Unauthorized,
    /// The token lacks a scope.
    #[error("the token lacks the scope {0}")]
    Scope(&'static str),
    /// Too many calls.
    #[error("too many calls")]
    TooMany(Duration),
    /// No such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// What was sent cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// The queue is full.
    #[error("the queue is full")]
    Full,
    /// Postgres.
    #[error("the database does not answer as it should")]
    Store(#[from] StoreError),
    /// Redis.
    #[error("Redis does not answer as it should")]
    Kv(#[from] KvError),
    /// Anything else.
    #[error("something went wrong")]
    Failed(#[source] anyhow::Error),
}

impl ApiError {
    /// The answer.
    pub(crate) fn answer(&self) -> HttpResponse {
        let problem = |status, kind, title| Problem::new(status, kind, title);
        let problem = match self {
            Self::Unauthorized => problem(StatusCode::UNAUTHORIZED, "unauthorized", "A valid bearer token is needed"),
            Self::Scope(_) => problem(StatusCode::FORBIDDEN, "missing-scope", "The token does not allow this"),
            Self::TooMany(_) => problem(StatusCode::TOO_MANY_REQUESTS, "too-many-calls", "Too many calls in a minute"),
            Self::NotFound(_) => problem(StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::Invalid(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "What was sent cannot be used"),
            Self::Store(error) if error.is_bad_value() => {
                problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "What was sent cannot be stored")
            }
            Self::Conflict(_) => problem(StatusCode::CONFLICT, "conflict", "It cannot be done as things stand"),
            Self::Full => problem(StatusCode::TOO_MANY_REQUESTS, "queue-full", "The queue holds as much as it may"),
            Self::Store(_) | Self::Kv(_) => {
                problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "A store does not answer; try again")
            }
            Self::Failed(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "failed", "Something went wrong"),
        };
        if problem.status >= 500 {
            tracing::error!(error.chain = telemetry::chain(self), "a call failed");
        }
        let detail = match self {
            Self::Store(error) if error.is_bad_value() => VALUE.to_owned(),
            _ => self.to_string(),
        };
        let mut answer = problem.with_detail(detail).response();
        let mut set = |name, value: &str| {
            if let Ok(value) = header::HeaderValue::from_str(value) {
                answer.headers_mut().insert(name, value);
            }
        };
        match self {
            Self::Unauthorized => set(header::WWW_AUTHENTICATE, "Bearer"),
            Self::TooMany(left) => set(header::RETRY_AFTER, &left.as_secs().max(1).to_string()),
            Self::Full => set(header::RETRY_AFTER, "10"),
            _ => {}
        }
        answer
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.answer().status()
    }

    fn error_response(&self) -> HttpResponse {
        self.answer()
    }
}

impl From<EnqueueError> for ApiError {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Full { .. } => Self::Full,
            EnqueueError::TooBig { .. } | EnqueueError::Payload(_) | EnqueueError::Envelope(_) => {
                Self::Invalid(error.to_string())
            }
            EnqueueError::Redis(error) => Self::Kv(error),
            EnqueueError::NotReplicated(_) => Self::Failed(error.into()),
        }
    }
}

/// A list with the place where it goes on.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listing<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Give it as `cursor` to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl<T> Listing<T> {
    /// A page of a list that was asked for one more than `limit`; `place` is where an item is.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, place: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(place) } else { None };
        Self { items, next }
    }
}

/// Why something is done.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Reason {
    /// In a person's words; it goes to the audit log.
    #[schemars(length(min = 3, max = 500))]
    pub(crate) reason: String,
}

impl Reason {
    /// The reason, if it is one.
    pub(crate) fn checked(&self) -> Result<&str, ApiError> {
        reason(&self.reason).map_err(ApiError::Invalid)
    }
}

/// A reason has 3 to 500 characters.
pub(crate) fn reason(text: &str) -> Result<&str, String> {
    let text = text.trim();
    if (3..=500).contains(&text.chars().count()) { Ok(text) } else { Err("say why, in 3 to 500 characters".to_owned()) }
}

/// The queue of a path.
pub(crate) fn queue(name: &str) -> Result<Queue, ApiError> {
    name.parse().map_err(|_unknown: domain::job::UnknownQueue| ApiError::NotFound("queue"))
}

/// An id, or a word, of a path or a query.
pub(crate) fn id<T: std::str::FromStr>(text: &str) -> Result<T, ApiError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| ApiError::Invalid(error.to_string()))
}

/// A body of JSON; what is wrong with it is told.
pub(crate) fn body<T: DeserializeOwned>(bytes: &web::Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::Invalid(format!("the body cannot be read: {error}")))
}

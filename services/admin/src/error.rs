//! What goes wrong in a page, and the page that says so.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use askama::Template;
use kv::KvError;
use store::StoreError;

use crate::api::VALUE;

/// Why a page cannot be shown or an action was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// No such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The person may not.
    #[error("your role does not allow this")]
    Forbidden,
    /// A form that our page did not send.
    #[error("this form did not come from this console, or it is too old: open the page again")]
    ForeignForm,
    /// What was entered cannot be used.
    #[error("{0}")]
    Input(String),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// Postgres.
    #[error("the database does not answer as it should")]
    Store(#[from] StoreError),
    /// Redis.
    #[error("Redis does not answer as it should")]
    Kv(#[from] KvError),
    /// Anything else.
    #[error("something went wrong")]
    Failed(#[from] anyhow::Error),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    status: u16,
    title: &'a str,
    detail: String,
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Forbidden | Self::ForeignForm => StatusCode::FORBIDDEN,
            Self::Input(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Store(error) if error.is_bad_value() => StatusCode::BAD_REQUEST,
            Self::Store(_) | Self::Kv(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Store(error) if error.is_bad_value() => VALUE.to_owned(),
            _ => self.to_string(),
        }
    }

    /// The page.
    pub(crate) fn answer(&self) -> HttpResponse {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error.chain = telemetry::chain(self), "a page failed");
        }
        let title = match self {
            Self::NotFound(_) => "Not found",
            Self::Forbidden | Self::ForeignForm => "Not allowed",
            Self::Conflict(_) => "That cannot be done now",
            Self::Input(_) => "That cannot be used",
            Self::Store(error) if error.is_bad_value() => "That cannot be used",
            Self::Store(_) | Self::Kv(_) => "Not available",
            Self::Failed(_) => "Something went wrong",
        };
        let page = ErrorPage { status: status.as_u16(), title, detail: sentence(&self.detail()) };
        let text = page.render().unwrap_or_else(|_error| page.detail.clone());
        HttpResponse::build(status).content_type("text/html; charset=utf-8").body(text)
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.answer()
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

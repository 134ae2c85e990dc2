//! What a person does in the console: by whom, and why. Without a reason no handler runs.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;

use crate::access::Who;
use crate::error::PageError;
use crate::state::{Actor, State};

/// A person's action that needs nothing but its reason.
pub(crate) struct Act {
    pub(crate) state: web::Data<State>,
    pub(crate) who: Who,
    pub(crate) reason: String,
}

/// Why something is done, from a form.
#[derive(Deserialize)]
struct Why {
    #[serde(default)]
    reason: String,
}

impl Act {
    /// The person, for the audit log.
    pub(crate) fn actor(&self) -> Actor {
        self.who.clone().into()
    }
}

impl FromRequest for Act {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = web::Data::<State>::extract(request);
        let who = Who::extract(request);
        let form = web::Form::<Why>::from_request(request, payload);
        Box::pin(async move {
            let unreadable = |error: actix_web::Error| PageError::Input(error.to_string());
            let state = state.await.map_err(|error| PageError::Failed(anyhow::anyhow!("{error}")))?;
            let (who, form) = (who.await?, form.await.map_err(unreadable)?);
            let reason = crate::api::reason(&form.reason).map_err(PageError::Input)?.to_owned();
            Ok(Self { state, who, reason })
        })
    }
}

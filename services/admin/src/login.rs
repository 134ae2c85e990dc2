//! In and out.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use store::admin_users;

use crate::access::{SESSION_LIFE, Who, cookie, cookie_name};
use crate::error::PageError;
use crate::role::Role;
use crate::state::{Actor, Deed, State};
use crate::{password, view};

/// Tries in a quarter of an hour: of one address for one person, of one address, and for one person from anywhere.
const TRIES: [u64; 3] = [10, 60, 100];
const WINDOW: Duration = Duration::from_secs(900);

/// The first page.
pub(crate) async fn home() -> HttpResponse {
    view::go("/admin/workers")
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    next: &'a str,
    email: &'a str,
    refusal: Option<&'static str>,
}

/// Where to go after the login.
#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

/// Only our own pages are gone to.
fn ours(next: &str) -> &str {
    let fine = next == "/admin" || next.starts_with("/admin/") || next.starts_with("/admin?");
    if fine && !next.contains(['\\', '\r', '\n']) { next } else { "/admin/workers" }
}

/// The form.
pub(crate) async fn page(query: web::Query<Next>) -> Result<HttpResponse, PageError> {
    view::html(&LoginPage { next: ours(&query.next), email: "", refusal: None })
}

/// What the form holds.
#[derive(Deserialize)]
pub(crate) struct Entry {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Checks the password and opens a session.
pub(crate) async fn enter(
    state: web::Data<State>,
    request: HttpRequest,
    form: web::Form<Entry>,
) -> Result<HttpResponse, PageError> {
    let address = state.address_of(&request);
    let email = form.email.trim().to_lowercase();
    if !may_try(&state, &email, &address).await? {
        tracing::warn!("a login was refused: too many tries");
        return refuse(
            &form,
            actix_web::http::StatusCode::TOO_MANY_REQUESTS,
            "Too many tries. Wait a quarter of an hour.",
        );
    }
    let client = state.pool.get().await?;
    let found = admin_users::find_by_email(&client, &email).await?.filter(|user| user.disabled_at.is_none());
    // An unknown person costs as much time as a known one.
    let hash = found.as_ref().map_or_else(|| password::decoy().to_owned(), |user| user.password_hash.expose().clone());
    let given = form.password.clone();
    let permit = state.passwords.acquire().await.map_err(|error| PageError::Failed(error.into()))?;
    let right =
        web::block(move || password::verify(&given, &hash)).await.map_err(|error| PageError::Failed(error.into()))?;
    drop(permit);
    let Some(user) = found.filter(|_| right) else {
        tracing::warn!("a login was refused: wrong address or password");
        return refuse(&form, actix_web::http::StatusCode::UNAUTHORIZED, "The mail address or the password is wrong.");
    };
    drop(client);
    let random = || password::token().map_err(|error| PageError::Failed(error.into()));
    let (token, csrf) = (random()?, random()?);
    let role: Role = user.role.parse().map_err(|error: String| PageError::Failed(anyhow::anyhow!(error)))?;
    let who = Who { admin_id: user.id, email: user.email, name: user.name, role, csrf: csrf.clone(), address };
    let mut client = state.pool.get().await?;
    let transaction = client.transaction().await.map_err(store::StoreError::from)?;
    admin_users::open_session(&transaction, &token, user.id, &csrf, SESSION_LIFE).await?;
    let target = format!("admin:{}", user.id);
    Actor::Person(who).note(&transaction, &Deed { action: "admin.login", target: &target, ..Deed::default() }).await?;
    transaction.commit().await.map_err(store::StoreError::from)?;
    Ok(HttpResponse::SeeOther()
        .cookie(cookie(state.secure_cookies, token))
        .insert_header((header::LOCATION, ours(&form.next)))
        .finish())
}

/// Counts a try; `false` when there were too many.
async fn may_try(state: &State, email: &str, address: &str) -> Result<bool, PageError> {
    let whom = [format!("{email} {address}"), format!("from {address}"), format!("for {email}")];
    for (who, most) in whom.iter().zip(TRIES) {
        let hash = hex::encode(Sha256::digest(who.as_bytes()));
        let key = kv::keys::console_logins(&hash);
        if kv::rate_limit::count(&state.kv, &key, WINDOW).await?.used > most {
            return Ok(false);
        }
    }
    Ok(true)
}

fn refuse(form: &Entry, status: actix_web::http::StatusCode, why: &'static str) -> Result<HttpResponse, PageError> {
    let page = LoginPage { next: ours(&form.next), email: &form.email, refusal: Some(why) };
    let text = page.render().map_err(|error| PageError::Failed(error.into()))?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(text))
}

/// Ends the session.
pub(crate) async fn leave(state: web::Data<State>, request: HttpRequest, who: Who) -> Result<HttpResponse, PageError> {
    if let Some(cookie) = request.cookie(cookie_name(state.secure_cookies)) {
        let client = state.pool.get().await?;
        admin_users::close_session(&client, cookie.value()).await?;
        let target = format!("admin:{}", who.admin_id);
        let deed = Deed { action: "admin.logout", target: &target, ..Deed::default() };
        Actor::Person(who).note(&client, &deed).await?;
    }
    let mut gone = cookie(state.secure_cookies, String::new());
    gone.make_removal();
    Ok(HttpResponse::SeeOther().cookie(gone).insert_header((header::LOCATION, "/admin/login")).finish())
}

#[cfg(test)]
mod tests {
    use super::ours;

    #[test]
    fn a_login_leads_to_our_own_pages_only() {
        assert_eq!(ours("/admin/queues/email?done=paused"), "/admin/queues/email?done=paused");
        for foreign in ["", "https://example.com", "//example.com", "/administrator", "/admin/\\example.com", "/api/v1"]
        {
            assert_eq!(ours(foreign), "/admin/workers");
        }
    }
}

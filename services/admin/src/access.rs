//! Who may do what. The rule of every route stands beside it in [`crate::routes`]; here it is applied, before any handler
//! runs. What has no rule is refused.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::cookie::Cookie;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, web};
use chassis::problem::Problem;
use chrono::TimeDelta;
use domain::ids::AdminId;
use store::admin_users::{self, Session};
use store::api_tokens::{self, Grant};
use subtle::ConstantTimeEq as _;

use crate::api::ApiError;
use crate::error::PageError;
use crate::role::Role;
use crate::routes;
use crate::socket;
use crate::state::State;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everybody: the login, the style sheet, the description of the API.
    Anyone,
    /// People with one of these roles.
    People(&'static [Role]),
    /// Programs whose token has this scope.
    Program(&'static str),
    /// Shoppers with a session of the shop.
    Shopper,
}

/// How long a session lasts at most, and how long it may lie idle.
pub(crate) const SESSION_LIFE: TimeDelta = TimeDelta::hours(12);
pub(crate) const SESSION_IDLE: TimeDelta = TimeDelta::hours(2);
/// Calls of one token in a minute.
const API_LIMIT: u64 = 600;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A person who is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) admin_id: AdminId,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) csrf: String,
    pub(crate) address: String,
}

impl FromRequest for Who {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or(PageError::Forbidden))
    }
}

/// A program that called with a token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) grant: Grant,
    /// The scope by which it was let in.
    pub(crate) scope: &'static str,
    pub(crate) address: String,
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or(ApiError::Unauthorized))
    }
}

/// The cookie's name: with HTTPS, one that no other host and no plain page can set.
pub(crate) const fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-console" } else { "console" }
}

/// The session's cookie.
pub(crate) fn cookie(secure: bool, token: String) -> Cookie<'static> {
    Cookie::build(cookie_name(secure), token)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(actix_web::cookie::SameSite::Strict)
        .finish()
}

/// Whether programs ask for this path, who are answered with problems and not with pages.
pub(crate) fn is_api(path: &str) -> bool {
    path.starts_with("/api/") || path == "/ws"
}

/// Applies the rules. Wraps every route.
pub(crate) async fn check(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_api = is_api(request.path());
    let mut answer = match admit(&state, request).await {
        Ok(request) => in_our_words(next.call(request).await?, is_api),
        Err((request, refusal)) => ServiceResponse::new(request, refusal),
    };
    protect(answer.headers_mut(), is_api);
    Ok(answer)
}

/// What the framework refuses before a handler runs (a body that is too large, or of another media type) in the form in which
/// all else is refused.
fn in_our_words(answer: ServiceResponse<BoxBody>, is_api: bool) -> ServiceResponse<BoxBody> {
    let status = answer.status();
    let is_ours = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != "text/plain; charset=utf-8");
    let Some(error) = answer.response().error().filter(|_| status.is_client_error() && !is_ours) else { return answer };
    let words = in_words(status, error.to_string(), is_api);
    ServiceResponse::new(answer.into_parts().0, words)
}

fn in_words(status: StatusCode, why: String, is_api: bool) -> HttpResponse {
    if is_api {
        return Problem::new(status, "invalid", "What was sent cannot be used").with_detail(why).response();
    }
    let mut page = PageError::Input(why).answer();
    *page.status_mut() = status;
    page
}

type Refusal = (HttpRequest, HttpResponse);

async fn admit(state: &State, mut request: ServiceRequest) -> Result<ServiceRequest, Refusal> {
    let pattern = request.match_pattern().unwrap_or_default();
    let Some(rule) = routes::rule(request.method(), &pattern) else {
        let answer = not_here(request.path(), &routes::methods(request.path()));
        return Err((request.into_parts().0, answer));
    };
    let verdict = match rule {
        Rule::Anyone if request.method() == Method::GET => Ok(()),
        Rule::Anyone if from_our_page(request.headers()) => {
            body(&mut request).await.map(drop).map_err(|(status, why)| in_words(status, why, false))
        }
        Rule::Anyone => Err(PageError::ForeignForm.answer()),
        Rule::People(roles) => admit_person(state, &mut request, roles).await,
        Rule::Program(scope) => admit_program(state, &mut request, scope).await,
        Rule::Shopper => match state.gate.admit(request.headers()) {
            Ok(pass) => {
                request.extensions_mut().insert(pass);
                Ok(())
            }
            Err(socket::Refusal::Unknown) => Err(ApiError::Unauthorized.answer()),
            Err(socket::Refusal::Foreign) => {
                let title = "A page of somebody else's cannot use the session's cookie";
                Err(Problem::new(StatusCode::FORBIDDEN, "foreign-origin", title).response())
            }
        },
    };
    match verdict {
        Ok(()) => Ok(request),
        Err(answer) => Err((request.into_parts().0, answer)),
    }
}

async fn admit_program(state: &State, request: &mut ServiceRequest, scope: &'static str) -> Result<(), HttpResponse> {
    let caller = program(state, request, scope).await.map_err(|error| error.answer())?;
    request.extensions_mut().insert(caller);
    if request.method() != Method::GET {
        body(request).await.map_err(|(status, why)| in_words(status, why, true))?;
    }
    Ok(())
}

/// Reads the whole body, within a time, and leaves it there for the handler.
async fn body(request: &mut ServiceRequest) -> Result<web::Bytes, (StatusCode, String)> {
    let read = tokio::time::timeout(BODY_TIME, request.extract::<web::Bytes>()).await;
    let body = match read {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Err((error.as_response_error().status_code(), error.to_string())),
        Err(_elapsed) => return Err((StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned())),
    };
    request.set_payload(Payload::from(body.clone()));
    Ok(body)
}

async fn admit_person(state: &State, request: &mut ServiceRequest, roles: &[Role]) -> Result<(), HttpResponse> {
    let who = match person(state, request).await {
        Ok(Some(who)) => who,
        Ok(None) => return Err(to_login(request)),
        Err(error) => return Err(error.answer()),
    };
    if !roles.contains(&who.role) {
        return Err(PageError::Forbidden.answer());
    }
    if request.method() != Method::GET {
        if !from_our_page(request.headers()) {
            return Err(PageError::ForeignForm.answer());
        }
        let body = body(request).await.map_err(|(status, why)| in_words(status, why, false))?;
        let carries = url::form_urlencoded::parse(&body)
            .any(|(name, value)| name == "csrf" && bool::from(value.as_bytes().ct_eq(who.csrf.as_bytes())));
        if !carries {
            return Err(PageError::ForeignForm.answer());
        }
    }
    request.extensions_mut().insert(who);
    Ok(())
}

/// Nothing is at the path, or only for these methods.
fn not_here(path: &str, methods: &[&str]) -> HttpResponse {
    let status = if methods.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::METHOD_NOT_ALLOWED };
    let mut answer = if is_api(path) {
        let (kind, title) = if methods.is_empty() {
            ("not-found", "There is nothing at this path")
        } else {
            ("wrong-method", "This path does not take that method")
        };
        Problem::new(status, kind, title).response()
    } else {
        let mut answer = PageError::NotFound("page").answer();
        *answer.status_mut() = status;
        answer
    };
    if let Ok(allowed) = HeaderValue::from_str(&methods.join(", "))
        && !methods.is_empty()
    {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    answer
}

fn to_login(request: &ServiceRequest) -> HttpResponse {
    let to = if request.method() == Method::GET {
        let next: String = url::form_urlencoded::byte_serialize(request.uri().to_string().as_bytes()).collect();
        format!("/admin/login?next={next}")
    } else {
        "/admin/login".to_owned()
    };
    HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish()
}

/// A form is sent by our own pages: browsers say so, and a page of somebody else cannot make them say it.
fn from_our_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some(site) => site == "same-origin",
        // No browser of today leaves it out; the token decides then, and the origin where it is told.
        None => match (text("origin"), text("host")) {
            (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, authority)| authority == host),
            _ => true,
        },
    }
}

async fn person(state: &State, request: &ServiceRequest) -> Result<Option<Who>, PageError> {
    let Some(cookie) = request.cookie(cookie_name(state.secure_cookies)) else { return Ok(None) };
    let client = state.pool.get().await?;
    let session = admin_users::find_session(&client, cookie.value(), SESSION_IDLE).await?;
    let Some(Session { admin_id, email, name, role, csrf_token }) = session else { return Ok(None) };
    let role = role.parse().map_err(|error: String| PageError::Failed(anyhow::anyhow!(error)))?;
    let csrf = csrf_token.expose().clone();
    Ok(Some(Who { admin_id, email, name, role, csrf, address: state.address_of(request.request()) }))
}

async fn program(state: &State, request: &ServiceRequest, scope: &'static str) -> Result<Caller, ApiError> {
    let token = shopper::bearer(request.headers()).ok_or(ApiError::Unauthorized)?;
    let client = state.pool.get().await?;
    let grant = api_tokens::find(&client, token).await?.ok_or(ApiError::Unauthorized)?;
    if !grant.scopes.iter().any(|granted| granted == scope) {
        return Err(ApiError::Scope(scope));
    }
    let count = kv::rate_limit::count(&state.kv, &kv::keys::api_calls(grant.id), Duration::from_secs(60)).await;
    // When Redis is away the API still answers what Postgres knows; the limit is for fairness only.
    if let Ok(count) = count
        && count.used > API_LIMIT
    {
        return Err(ApiError::TooMany(count.resets_in));
    }
    Ok(Caller { grant, scope, address: state.address_of(request.request()) })
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

fn protect(headers: &mut HeaderMap, is_api: bool) {
    let mut set = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "same-origin");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if !is_api {
        set(header::CONTENT_SECURITY_POLICY, POLICY);
    }
}

//! What is seen of a request from outside: its span on the caller's trail, the id it can be found by, and its figures.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use futures_util::future::Either;
use telemetry::Trail;
use telemetry::metrics::{DirectHistogram, HistogramVec, histogram};
use tracing::{Instrument, Span};

use super::{Answer, Asked, Doorman};

/// Where a caller says what the request belongs to, and where it is told.
const CORRELATION_HEADER: &str = "x-request-id";
/// Where callers say what trail a request is on.
static TRAIL: [HeaderName; 2] = [HeaderName::from_static("traceparent"), HeaderName::from_static(CORRELATION_HEADER)];

/// A route that is asked for so often, and does so little, that looking for its pattern and opening a span would be a good part
/// of its work. It has a span only where its trace is kept; its trail it has always.
#[derive(Debug, Clone, Copy)]
pub struct HotRoute {
    /// Paths that begin so are this route,
    pub prefix: &'static str,
    /// if they go on with so many segments.
    pub segments: usize,
    /// What it is called in metrics and traces, such as `/out/{offer_id}`.
    pub route: &'static str,
}

static DURATIONS: LazyLock<Option<HistogramVec>> = LazyLock::new(|| {
    histogram(
        "http_request_duration_seconds",
        "Time from a request's head to the head of its answer, by route, method and class of status",
        &["route", "method", "status"],
    )
});

type Series = (Cow<'static, str>, &'static str, &'static str);

/// One thread's view of the figures: each series is looked up once.
pub(super) struct Figures {
    hot: &'static [HotRoute],
    series: RefCell<HashMap<Series, DirectHistogram>>,
    /// Those of hot routes by route, method and class of status.
    hot_series: RefCell<Vec<OfRoute>>,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// What hot routes are asked by; anything else takes the ordinary way.
const HOT_METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::POST];
type OfRoute = [[Option<DirectHistogram>; CLASSES.len()]; HOT_METHODS.len()];

enum Route {
    /// Its place, the place of its method, and its name.
    Hot(usize, usize, &'static str),
    Found(Cow<'static, str>),
}

impl Route {
    const fn is_hot(&self) -> bool {
        matches!(self, Self::Hot(..))
    }

    fn name(&self) -> &str {
        match self {
            Self::Hot(_, _, route) => route,
            Self::Found(route) => route,
        }
    }
}

impl Figures {
    pub(super) fn new(hot: &'static [HotRoute]) -> Rc<Self> {
        let hot_series = RefCell::new(hot.iter().map(|_| OfRoute::default()).collect());
        Rc::new(Self { hot, series: RefCell::default(), hot_series })
    }

    fn route(&self, request: &ServiceRequest) -> Route {
        let is_below = |hot: &HotRoute| {
            let rest = request.path().strip_prefix(hot.prefix);
            rest.is_some_and(|rest| rest.bytes().filter(|byte| *byte == b'/').count() + 1 == hot.segments)
        };
        if let Some(by) = HOT_METHODS.iter().position(|hot| hot == request.method())
            && let Some((place, hot)) = self.hot.iter().enumerate().find(|(_, hot)| is_below(hot))
        {
            return Route::Hot(place, by, hot.route);
        }
        // What no route takes has one name, or every path that somebody tries would be a series.
        Route::Found(request.match_pattern().map_or(Cow::Borrowed("unmatched"), Cow::Owned))
    }

    /// The route of what is answered at the door, where there is only one.
    fn route_at_door(hot: HotRoute, method: &Method) -> Route {
        match HOT_METHODS.iter().position(|hot| hot == method) {
            Some(by) => Route::Hot(0, by, hot.route),
            None => Route::Found(Cow::Borrowed(hot.route)),
        }
    }

    fn ended(&self, route: Route, method: &'static str, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(CLASSES.len() - 1);
        let word = CLASSES.get(class).copied().unwrap_or_default();
        let look_up = |route: &str| Some(DURATIONS.as_ref()?.with_label_values(&[route, method, word]));
        match route {
            Route::Hot(place, by, route) => {
                let mut series = self.hot_series.borrow_mut();
                let of_route = series.get_mut(place).and_then(|methods| methods.get_mut(by));
                if let Some(series) = of_route.and_then(|classes| classes.get_mut(class)) {
                    if series.is_none() {
                        *series = look_up(route);
                    }
                    series.iter().for_each(|series| series.observe(took.as_secs_f64()));
                }
            }
            Route::Found(route) => {
                let mut known = self.series.borrow_mut();
                let key = (route, method, word);
                if let Some(series) = known.get(&key) {
                    series.observe(took.as_secs_f64());
                } else if let Some(series) = look_up(&key.0) {
                    series.observe(took.as_secs_f64());
                    known.insert(key, series);
                }
            }
        }
    }
}

/// The methods that have a name of their own in metrics: a client can invent others.
fn word(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// The headers in which a caller says what trail a request is on.
pub(super) fn trail_headers() -> &'static [HeaderName] {
    &TRAIL
}

fn trail(headers: &HeaderMap) -> Trail {
    let [traceparent, correlation] = &TRAIL;
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    Trail::of(text(traceparent), text(correlation))
}

fn open(trail: Trail, method: &str, route: &str) -> Span {
    let name = trail.is_kept().then(|| format!("{method} {route}"));
    trail.open(|| {
        tracing::info_span!(
            parent: None, "request",
            otel.name = name, otel.kind = "server", otel.status_code = tracing::field::Empty,
            http.request.method = method, http.route = route, http.response.status_code = tracing::field::Empty
        )
    })
}

fn close(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "error");
    }
}

/// The same as [`observed`] for what is answered at the door. Gives the time of the answer.
pub(super) async fn observed_at_door<D: Doorman>(
    figures: &Figures,
    doorman: &D,
    asked: Asked<'_>,
    answer: &mut Answer,
) -> Instant {
    let begin = Instant::now();
    let method = word(asked.method);
    let route = Figures::route_at_door(D::ROUTE, asked.method);
    let mut trail = trail(asked.headers);
    if trail.is_kept() {
        let span = open(trail.clone(), method, route.name());
        doorman.answer(asked, answer).instrument(span.clone()).await;
        trail = span.in_scope(Trail::current).unwrap_or(trail);
        close(&span, answer.status());
    } else {
        trail.clone().scope(doorman.answer(asked, answer)).await;
    }
    trail.with_correlation_id(|id| answer.header(CORRELATION_HEADER, id.as_bytes()));
    let end = Instant::now();
    figures.ended(route, method, answer.status(), end - begin);
    end
}

/// Answers a request below its span, and says in the answer what it is to be found by.
pub(super) fn observed<S, B>(
    figures: &Rc<Figures>,
    request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let begin = Instant::now();
    let (figures, method, route) = (Rc::clone(figures), word(request.method()), figures.route(&request));
    let trail = trail(request.headers());
    let (span, trail, answer) = if route.is_hot() && !trail.is_kept() {
        (Span::none(), trail.clone(), Either::Left(trail.scope(service.call(request))))
    } else {
        let span = open(trail.clone(), method, route.name());
        let answer = span.in_scope(|| service.call(request)).instrument(span.clone());
        // A trace that begins here has its id from the span.
        let trail = span.in_scope(Trail::current).unwrap_or(trail);
        (span, trail, Either::Right(answer))
    };
    async move {
        let mut result = answer.await;
        let status = match &result {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        if trail.is_kept() {
            close(&span, status);
        }
        if let Ok(response) = &mut result
            && let Ok(id) = trail.with_correlation_id(HeaderValue::from_str)
        {
            let [_, correlation] = &TRAIL;
            response.headers_mut().insert(correlation.clone(), id);
        }
        figures.ended(route, method, status, begin.elapsed());
        result
    }
}

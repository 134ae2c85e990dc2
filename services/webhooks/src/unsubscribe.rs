//! The way out of reminders: the link in a mail's header (one click, RFC 8058) and at its foot. The id is of that mail and
//! known to its receiver only; nothing else is asked.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, http::StatusCode};
use chassis::problem::Problem;
use domain::ids::NotificationId;
use store::{Pool, suppressions};

/// Adds the routes.
pub(crate) fn routes(config: &mut ServiceConfig, pool: Pool) {
    config.app_data(web::Data::new(pool));
    // The scope is found by its plain prefix; a pattern would be tried on each webhook.
    config.service(
        web::scope("/unsubscribe").service(
            web::resource("/{id}")
                .route(web::get().to(ask))
                .route(web::post().to(stop))
                .default_service(web::to(other_method)),
        ),
    );
}

async fn other_method() -> HttpResponse {
    let mut answer = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "The page takes GET and POST").response();
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    answer
}

fn unknown() -> HttpResponse {
    Problem::new(StatusCode::NOT_FOUND, "no-such-reminder", "There is no such reminder to stop").response()
}

/// Mail scanners follow links, so looking changes nothing.
async fn ask(id: web::Path<String>) -> HttpResponse {
    if id.parse::<NotificationId>().is_err() {
        return unknown();
    }
    page(
        "Stop these reminders?",
        "<form method=\"post\"><button>Stop reminders</button></form><p>Mails about your money and orders go on.</p>",
    )
}

async fn stop(id: web::Path<String>, pool: web::Data<Pool>) -> HttpResponse {
    let Ok(id) = id.parse::<NotificationId>() else { return unknown() };
    let stopped = async { suppressions::unsubscribe(&pool.get().await?, id).await };
    match stopped.await {
        Ok(true) => page("Reminders are stopped", "<p>Mails about your money and orders go on.</p>"),
        Ok(false) => unknown(),
        Err(error) => {
            tracing::error!(error.chain = telemetry::chain(&error), "somebody could not be unsubscribed");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "later", "That did not work now; please try again").response()
        }
    }
}

fn page(title: &str, body: &str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; form-action 'self'; frame-ancestors 'none'"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><main><h1>{title}</h1>{body}</main></html>"
        ))
}

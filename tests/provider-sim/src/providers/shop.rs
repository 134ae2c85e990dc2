//! The merchants' landing pages.

use super::query::Params;
use crate::pages;
use crate::sim::Shared;
use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

/// The routes under `/shop`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config.route("/{merchant}", web::get().to(land)).route("/{merchant}/{rest:.*}", web::get().to(land_deep));
}

async fn land(sim: Shared, request: HttpRequest, path: Path<String>) -> HttpResponse {
    page(&sim, &request, &path.into_inner(), "")
}

async fn land_deep(sim: Shared, request: HttpRequest, path: Path<(String, String)>) -> HttpResponse {
    let (merchant, rest) = path.into_inner();
    page(&sim, &request, &merchant, &rest)
}

fn page(sim: &Shared, request: &HttpRequest, merchant: &str, rest: &str) -> HttpResponse {
    let query = Params::parse(request.query_string());
    if let Some(click) = query.get("click") {
        let mut world = sim.world();
        let now = world.now();
        world.clicks.landed(click, now);
    }
    let target = match query.get("target") {
        Some(target) => target.to_owned(),
        None => format!("/{rest}"),
    };
    pages::render(&pages::Shop {
        merchant: merchant.to_owned(),
        target,
        network: query.get("network").unwrap_or_default().to_owned(),
        sub_id: query.get("subid").unwrap_or_default().to_owned(),
        click_id: query.get("click").unwrap_or_default().to_owned(),
    })
}

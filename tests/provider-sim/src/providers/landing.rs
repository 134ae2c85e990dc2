//! A click on an affiliate link: counted, then sent on to the merchant's landing page.

use super::query::{Params, encode};
use crate::clicks::Click;
use crate::provider::Network;
use crate::sim::Shared;
use actix_web::http::header::{LOCATION, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse};
use std::collections::BTreeMap;
use url::Url;

/// Counts the click and redirects. `target` is the link's deep-link parameter.
pub(crate) fn follow(
    sim: &Shared,
    request: &HttpRequest,
    network: Network,
    campaign: &str,
    target: Option<&str>,
    query: &Params,
) -> HttpResponse {
    let sub_ids: BTreeMap<String, String> = network
        .sub_id_names()
        .iter()
        .filter_map(|name| query.get(name).map(|value| ((*name).to_owned(), value.to_owned())))
        .collect();
    let carried = network.sub_id_names().iter().find_map(|name| query.get(name)).unwrap_or_default().to_owned();
    let user_agent = request.headers().get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let id = {
        let mut world = sim.world();
        let id = world.ids.hex(24);
        let click = Click {
            id: id.clone(),
            at: world.now(),
            network,
            campaign: campaign.to_owned(),
            sub_ids,
            target: target.map(str::to_owned),
            user_agent: user_agent.to_owned(),
            landed_at: None,
        };
        world.clicks.record(click);
        id
    };
    let pairs = [
        ("network", network.name().to_owned()),
        ("click", id),
        ("subid", carried),
        ("target", target.unwrap_or_default().to_owned()),
    ];
    let connection = request.connection_info();
    let host = format!("{}://{}", connection.scheme(), connection.host());
    let location = format!("{host}/shop/{}?{}", merchant(target, campaign), encode(&pairs));
    HttpResponse::Found().insert_header((LOCATION, location)).finish()
}

/// The merchant's name in the path: the target's host, or the name in a target that is a landing page of ours already.
fn merchant(target: Option<&str>, campaign: &str) -> String {
    let parsed = target.and_then(|t| Url::parse(t).ok());
    let named = parsed.as_ref().and_then(|url| {
        let mut segments = url.path_segments()?;
        (segments.next()? == "shop").then(|| segments.next().map(str::to_owned)).flatten()
    });
    let host = || parsed.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    named.filter(|n| !n.is_empty()).or_else(host).unwrap_or_else(|| {
        let plain: String = campaign.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("campaign-{plain}")
    })
}

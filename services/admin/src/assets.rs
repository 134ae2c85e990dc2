//! The style sheet and the script. Their addresses carry the hash of what they are, so browsers keep them for ever.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use sha2::{Digest as _, Sha256};

use crate::error::PageError;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 2] = [
    Asset { name: "console.css", kind: "text/css; charset=utf-8", text: include_str!("../assets/console.css") },
    Asset { name: "console.js", kind: "text/javascript; charset=utf-8", text: include_str!("../assets/console.js") },
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    ASSETS.iter().for_each(|asset| hash.update(asset.text));
    hex::encode(hash.finalize()).chars().take(12).collect()
});

/// The address of an asset.
pub(crate) fn address(name: &str) -> String {
    format!("/admin/assets/{name}?v={}", *VERSION)
}

/// Serves one.
pub(crate) async fn serve(name: web::Path<String>) -> Result<HttpResponse, PageError> {
    let asset = ASSETS.iter().find(|asset| asset.name == *name).ok_or(PageError::NotFound("file"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, asset.kind))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(asset.text))
}

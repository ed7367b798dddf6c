//! The files that pages load. They are part of the program, and their addresses hold a digest of what is in
//! them: browsers keep them for good and never see an old one.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::Path;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use crate::auth::secret;
use crate::http::error::{HttpError, Surface};
use crate::http::observe::RouteName;
use crate::service::error::AdminError;

/// Characters of a digest that stand in an address.
const DIGEST_CHARS: usize = 16;

/// A year, the most that caches believe.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

struct Asset {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
    digest: String,
}

impl Asset {
    fn new(name: &'static str, content_type: &'static str, text: &'static str) -> Self {
        let digest = secret::text_digest(text).chars().take(DIGEST_CHARS).collect();
        Self { name, content_type, text, digest }
    }
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<[Asset; 5]> = LazyLock::new(|| {
    [
        Asset::new(
            "rollbook.css",
            "text/css; charset=utf-8",
            include_str!("../../../web/rollbook.css"),
        ),
        Asset::new("rollbook.js", SCRIPT, include_str!("../../../web/rollbook.js")),
        Asset::new("htmx.min.js", SCRIPT, include_str!("../../../web/htmx.min.js")),
        Asset::new("sse.min.js", SCRIPT, include_str!("../../../web/sse.min.js")),
        Asset::new("rollbook.svg", "image/svg+xml", include_str!("../../../web/rollbook.svg")),
    ]
});

/// Where a file is, behind the path of the public URL. Templates name only files that there are.
pub(in crate::http) fn path(name: &str) -> String {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    let digest = found.map_or("", |asset| asset.digest.as_str());
    format!("/assets/{digest}/{name}")
}

pub(super) async fn get(
    request: HttpRequest,
    wanted: Path<(String, String)>,
) -> Result<HttpResponse, HttpError> {
    request.extensions_mut().insert(RouteName("assets"));
    let (digest, name) = wanted.into_inner();
    let found = ASSETS.iter().find(|asset| asset.name == name && asset.digest == digest);
    let asset =
        found.ok_or_else(|| HttpError::on(Surface::Page, AdminError::not_found("This file")))?;
    Ok(HttpResponse::Ok()
        .content_type(asset.content_type)
        .insert_header((CACHE_CONTROL, FOR_GOOD))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(asset.text))
}

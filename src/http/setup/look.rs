//! The operator's logo and colours, from this server: addresses hold a digest of what is in them.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{Data, Path};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use super::handlers::{Answer, failed};
use crate::http::State;
use crate::http::observe::RouteName;
use crate::service::error::AdminError;

pub(super) async fn file(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    request.extensions_mut().insert(RouteName("setup"));
    let (digest, file) = path.into_inner();
    let found = match file.as_str() {
        "logo" => state.service.branding_logo(&digest).await.map_err(failed)?,
        "colors.css" => {
            let branding = state.service.branding().await.map_err(failed)?;
            let known = branding.stylesheet_digest().filter(|known| *known == digest);
            let text = known.and_then(|_| branding.stylesheet());
            text.map(|text| ("text/css; charset=utf-8".to_owned(), text.into_bytes()))
        }
        _ => None,
    };
    let (media_type, bytes) = found.ok_or_else(|| failed(AdminError::not_found("This file")))?;
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .body(bytes))
}

//! Large groups as answers: the members are sent while they are read, page by page, so that memory
//! holds one page, whatever the size of the group.
//!
//! Each page is a read of its own. A failure after the first byte cuts the answer off: what looks whole
//! is whole.

use std::sync::Arc;

use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::stream::try_unfold;

use super::{Call, State};
use crate::scim::resource::Projection;
use crate::scim::{Registry, ResourceType};
use crate::service::query::Found;
use crate::service::render::{self, Links};
use crate::service::{Service, ServiceError, on_behalf_of};

/// What pages are written with.
struct Shown {
    service: Arc<Service>,
    directory_key: i64,
    base: String,
    registry: Registry,
    resource_type: Arc<ResourceType>,
    projection: Projection,
}

/// What is sent next.
enum Next {
    /// The beginning of the group, with its first members.
    First(Found),
    /// The members after those.
    After(Found),
    Nothing,
}

impl Shown {
    fn links(&self) -> Links<'_> {
        Links { base: &self.base, registry: &self.registry }
    }

    /// A piece of the answer, and what comes after it.
    async fn piece(&self, next: Next) -> Result<Option<(Bytes, Next)>, ServiceError> {
        let (rt, projection) = (&self.resource_type, &self.projection);
        let (mut text, found) = match next {
            Next::First(found) => (render::head(&found, rt, projection, self.links()), found),
            Next::After(found) => {
                let page = self.service.next_members(self.directory_key, found);
                let found = on_behalf_of(self.directory_key, page).await?;
                (String::from(if found.members.is_empty() { "" } else { "," }), found)
            }
            Next::Nothing => return Ok(None),
        };
        text.push_str(&render::members(&found, rt, projection, self.links()));
        Ok(Some(match found.has_more_members {
            true => (text.into(), Next::After(found)),
            false => {
                text.push_str(render::TAIL);
                (text.into(), Next::Nothing)
            }
        }))
    }
}

/// The group as a body of unknown length.
pub(super) fn streamed(
    mut response: HttpResponseBuilder,
    call: &Call,
    state: &State,
    found: Found,
    resource_type: &Arc<ResourceType>,
    projection: &Projection,
) -> HttpResponse {
    let shown = Arc::new(Shown {
        service: Arc::clone(&state.service),
        directory_key: call.access.directory.key,
        base: call.base.clone(),
        registry: call.access.directory.registry.clone(),
        resource_type: Arc::clone(resource_type),
        projection: projection.clone(),
    });
    // Nobody reads the body of an answer to HEAD.
    let first = match call.request.method().as_str() {
        "HEAD" => Next::Nothing,
        _ => Next::First(found),
    };
    response.streaming(Box::pin(try_unfold(first, move |next| {
        let shown = Arc::clone(&shown);
        async move {
            let piece = shown.piece(next).await;
            piece.inspect_err(|error| tracing::warn!(%error, "the members of a group were cut off"))
        }
    })))
}

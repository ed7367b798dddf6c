//! Who and what is in a directory: users with the state that the source gives, groups, and members of
//! groups that have not arrived yet.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use serde_json::Value;

use super::{Answer, Shown, Top, failed, filled, found, link, query, stretch, value};
use crate::http::State;
use crate::http::console::{Frame, enter};
use crate::http::web::{page, text as filters};
use crate::service::administer::ListMetadata;
use crate::service::console::Role;
use crate::service::read::{GroupQuery, Order, PageRequest, PageWords};

#[derive(Template)]
#[template(path = "console/directories/members.html")]
struct MembersPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    /// `users`, `groups` or `pending`.
    which: &'static str,
    rows: Vec<Shown<'p>>,
    metadata: ListMetadata,
    next: String,
}

const PARTS: [(&str, &str); 3] =
    [("users", "Users"), ("groups", "Groups"), ("pending", "Waiting members")];

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let query = query(&request)?;
    let directory = found(&state, &admin, &id).await?;
    let wanted = filled(&query, "of").unwrap_or_default();
    let part = PARTS.iter().find(|(part, _)| *part == wanted);
    let which = part.map_or("users", |(part, _)| part);
    let (service, access) = (&state.service, &admin.access);
    let (rows, metadata): (Vec<Value>, ListMetadata) = match which {
        "groups" => {
            let words = PageWords {
                limit: Some("50"),
                order: None,
                before: query.get("before"),
                after: query.get("after"),
            };
            let page = PageRequest::parse(words, Order::Desc).map_err(failed)?;
            let wanted = GroupQuery { directory: Some(id.to_string()), user: None, page };
            let page = service.read_groups(access, wanted).await.map_err(failed)?;
            let (before, after) = (page.list_metadata.before, page.list_metadata.after);
            (page.data, ListMetadata { before, after })
        }
        "pending" => {
            let pending = service.pending_members(access, &id).await.map_err(failed)?;
            let rows = pending.get("data").and_then(Value::as_array).cloned();
            (rows.unwrap_or_default(), ListMetadata::default())
        }
        _ => {
            let page = service.account_list(access, &id, &stretch(&query)).await.map_err(failed)?;
            (page.data.iter().map(value).collect(), page.list_metadata)
        }
    };
    let page = MembersPage {
        frame: &frame,
        top: Top::new(&frame, &directory, "members"),
        which,
        rows: rows.iter().map(Shown).collect(),
        metadata,
        next: link("", &[("of", Some(which))]),
    };
    Ok(page::respond(StatusCode::OK, &page))
}

//! Who and what is in a directory: users with the state that the source gives, groups, and members of
//! groups that have not arrived yet.

use actix_web::web::Path;
use askama::Template;
use serde_json::Value;

use super::{Answer, By, Frame, Shown, Top, Viewer, found, html, link, value};
use crate::http::web::text as filters;
use crate::service::administer::ListMetadata;
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

pub(super) async fn show(visit: By<Viewer>, id: Path<String>) -> Answer {
    let directory = found(&visit, &id).await?;
    let wanted = visit.asked("of").unwrap_or_default();
    let part = PARTS.iter().find(|(part, _)| *part == wanted);
    let which = part.map_or("users", |(part, _)| part);
    let (service, access) = (visit.service(), visit.access());
    let (rows, metadata): (Vec<Value>, ListMetadata) = match which {
        "groups" => {
            let words = PageWords {
                limit: Some("50"),
                order: None,
                before: visit.query.get("before"),
                after: visit.query.get("after"),
            };
            let page = PageRequest::parse(words, Order::Desc)?;
            let wanted = GroupQuery { directory: Some(id.to_string()), user: None, page };
            let page = service.read_groups(access, wanted).await?;
            let (before, after) = (page.list_metadata.before, page.list_metadata.after);
            (page.data, ListMetadata { before, after })
        }
        "pending" => {
            let pending = service.pending_members(access, &id).await?;
            let rows = pending.get("data").and_then(Value::as_array).cloned();
            (rows.unwrap_or_default(), ListMetadata::default())
        }
        _ => {
            let page = service.account_list(access, &id, &visit.stretch()).await?;
            (page.data.iter().map(value).collect(), page.list_metadata)
        }
    };
    html(&MembersPage {
        frame: &visit.frame,
        top: Top::new(&visit.frame, &directory, "members"),
        which,
        rows: rows.iter().map(Shown).collect(),
        metadata,
        next: link("", &[("of", Some(which))]),
    })
}

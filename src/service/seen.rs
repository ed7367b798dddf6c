//! What the app sees of a resource, as events, snapshots and the read API carry it.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::context::Directory;
use crate::event::{GroupView, Shown, Subject, UserView, stable};
use crate::scim::Object;
use crate::scim::resource::project::strip_hidden;
use crate::store::resource::{AppState, ResourceRow};

/// What the app sees of a resource.
pub(super) struct Seen<'s> {
    pub(super) resource_type: &'s str,
    pub(super) id: &'s str,
    pub(super) doc: &'s Object,
    pub(super) extra: Option<&'s Object>,
    pub(super) active: bool,
    pub(super) created: i64,
    pub(super) modified: i64,
    /// JSON texts, as they are stored.
    pub(super) custom_attributes: Option<&'s str>,
    pub(super) roles: Option<&'s str>,
}

impl Seen<'_> {
    /// As events and snapshots carry it; `None` for types that the app does not know.
    pub(super) fn view(&self, directory: &Directory) -> Option<Value> {
        self.shown(directory, |members| {
            let mut view = members.into_value();
            stable::stabilise(&mut view);
            view
        })
    }

    /// The same as JSON text.
    pub(super) fn text(&self, directory: &Directory) -> Option<String> {
        self.shown(directory, |members| text(&members))
    }

    fn shown<T>(&self, directory: &Directory, with: impl FnOnce(Shown<'_>) -> T) -> Option<T> {
        let subject = Subject {
            directory_id: &directory.id,
            organization_id: &directory.organization_id,
            email_from_user_name: directory.profile.email_from_user_name,
        };
        // What no answer shows, no event shows either.
        let resource_type = directory.registry.by_name(self.resource_type);
        let stripped = resource_type.filter(|kind| kind.hides_attributes()).map(|kind| {
            let mut doc = self.doc.clone();
            strip_hidden(&mut doc, kind);
            doc
        });
        let (doc, extra) = (stripped.as_ref().unwrap_or(self.doc), self.extra);
        let &Self { id, active, created, modified, .. } = self;
        match self.resource_type {
            "User" => {
                let custom = self.custom_attributes.map(object);
                let roles: Vec<String> = self.roles.map(slugs).unwrap_or_default();
                let (custom_attributes, roles) = (custom.as_ref(), roles.as_slice());
                let user = UserView {
                    id,
                    doc,
                    extra,
                    active,
                    created,
                    modified,
                    custom_attributes,
                    roles,
                };
                Some(with(user.shown(subject)))
            }
            "Group" => {
                let group = GroupView { id, doc, extra, created, modified };
                Some(with(group.shown(subject)))
            }
            _ => None,
        }
    }
}

/// A group as the events of its members carry it, rendered once for all of them.
pub(super) struct GroupTold<'g> {
    pub(super) id: &'g str,
    view: Box<RawValue>,
}

impl<'g> GroupTold<'g> {
    pub(super) fn of(directory: &Directory, row: &'g ResourceRow) -> Option<Self> {
        let view =
            app_shown(directory, row, |members| serde_json::value::to_raw_value(&members))?.ok()?;
        Some(Self { id: &row.id, view })
    }

    /// The data of an event about the group and a member; `None` where the member is no user.
    pub(super) fn with(&self, directory: &Directory, member: &ResourceRow) -> Option<String> {
        #[derive(Serialize)]
        struct Membership<'m> {
            directory_id: &'m str,
            user: Shown<'m>,
            group: &'m RawValue,
        }
        if member.resource_type != "User" {
            return None;
        }
        let (directory_id, group) = (directory.id.as_str(), &*self.view);
        app_shown(directory, member, |user| text(&Membership { directory_id, user, group }))
    }
}

/// What can be rendered always, as JSON.
pub(super) fn text(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

/// A resource as the app sees it, in events and in the read API; `None` for types that it does not
/// know.
pub(super) fn app_view(directory: &Directory, row: &ResourceRow) -> Option<Value> {
    seen_of(row, |seen| seen.view(directory))
}

/// The same as JSON text.
pub(super) fn app_text(directory: &Directory, row: &ResourceRow) -> Option<String> {
    seen_of(row, |seen| seen.text(directory))
}

fn app_shown<T>(
    directory: &Directory,
    row: &ResourceRow,
    with: impl FnOnce(Shown<'_>) -> T,
) -> Option<T> {
    seen_of(row, |seen| seen.shown(directory, with))
}

fn seen_of<T>(row: &ResourceRow, with: impl FnOnce(&Seen<'_>) -> T) -> T {
    let (doc, extra) = (object(&row.doc), row.extra.as_deref().map(object));
    let seen = Seen {
        resource_type: &row.resource_type,
        id: &row.id,
        doc: &doc,
        extra: extra.as_ref(),
        active: row.app_state == AppState::Active,
        created: row.created,
        modified: row.modified,
        custom_attributes: row.custom_attributes.as_deref(),
        roles: row.roles.as_deref(),
    };
    with(&seen)
}

/// Stored JSON back as an object; what is stored was one. Anything else is damage that the operator
/// must hear of; the empty object lacks what every resource requires, so no write builds on it.
pub(super) fn object(text: &str) -> Object {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "a stored document is not a JSON object");
        Object::new()
    })
}

/// What people know a resource by: the userName, or the displayName of what has none.
pub(super) fn called(doc: &Object) -> Option<&str> {
    ["userName", "displayName"].into_iter().find_map(|name| doc.get(name)?.as_str())
}

/// Stored roles.
pub(super) fn slugs(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "stored roles are not a list of texts");
        Vec::new()
    })
}

//! How a tenant is read over Microsoft Graph v1.0.
//!
//! A complete read lists users, with their managers, and takes groups with their members from the first
//! round of `/groups/delta`; its cursor are the delta links of users and groups. That of users is the one
//! that was there before, or the latest when they begin to be listed: what changes meanwhile, and what the
//! list does not show yet, is read again by the next round.
//!
//! An incremental read follows the delta links. They say who has changed and who is gone; a changed object
//! may come with the changed properties alone. It is therefore read again by its id, some at a time, so
//! that filters see whole objects, and managers, who are not part of a delta, come along.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::entra_groups::is_hidden;
use super::entra_map::Mapping;
use super::entra_users::{is_hidden_from_us, unseen};
use crate::pull::client::{Judge, Refusal, Request, Trail, Verdict, link};
use crate::pull::oauth::Authorized;
use crate::pull::{
    Absence, Capabilities, Connector, Fault, Faults, Finished, GroupsGiven, Kind, Probe, Sink,
    SourceError,
};
use crate::scim::Object;

/// Ids in one question: the operator `in` takes so many values.
const AT_ONCE: usize = 15;

/// Most users who are looked up by their ids; of more the list is read again.
pub(super) const MOST_ASKED: usize = 10 * AT_ONCE;

/// What of a query is sent as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b',')
    .remove(b'(')
    .remove(b')')
    .remove(b'$')
    .remove(b'=');

/// Filters with `ne`, `not` and `endsWith`, and counts, need it ("Advanced query capabilities").
const EVENTUAL: (&str, &str) = ("ConsistencyLevel", "eventual");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guests {
    Included,
    Excluded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupTypes {
    All,
    Security,
    Microsoft365,
}

/// What becomes of a group in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nested {
    Kept,
    /// Its members become members of the outer one.
    Expanded,
}

/// What is read.
pub(super) struct Reading {
    pub(super) mapping: Mapping,
    /// `$filter`; empty for none.
    pub(super) user_filter: String,
    pub(super) guests: Guests,
    pub(super) group_types: GroupTypes,
    pub(super) nested: Nested,
    pub(super) page_size: u64,
    pub(super) wants_groups: bool,
}

/// A tenant.
pub(super) struct Tenant {
    client: Authorized,
    base: Url,
    pub(super) reading: Reading,
    /// The delta link of users that the last read has left, as long as it is not lost.
    followed: Option<String>,
}

/// Where an incremental read goes on: delta links.
#[derive(Serialize, Deserialize)]
struct Cursor {
    users: String,
    groups: Option<String>,
}

/// Where a walk begins.
pub(super) struct First {
    url: Url,
    /// Of the first page alone.
    judge: Option<Judge>,
}

impl First {
    /// A delta link that an earlier read has left. Where it is refused another one is needed, whatever the reason is:
    /// the same one would be refused each time.
    pub(super) fn left(delta_link: &str) -> Result<Self, SourceError> {
        let judge: Judge =
            |refusal| matches!(refusal.status, 400 | 404 | 410).then_some(Verdict::CursorLost);
        Ok(Self { url: link(delta_link)?, judge: Some(judge) })
    }
}

impl From<Url> for First {
    fn from(url: Url) -> Self {
        Self { url, judge: None }
    }
}

/// A permission that a request needs.
#[derive(Clone, Copy)]
pub(super) enum Needs {
    Users,
    Groups,
}

impl Needs {
    pub(super) fn permission(self) -> &'static str {
        match self {
            Self::Users => "User.Read.All",
            Self::Groups => "GroupMember.Read.All",
        }
    }
}

impl Connector for Tenant {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // A delta cannot be filtered.
            incremental: self.reading.user_filter.is_empty(),
            whole_accounts: false,
            absence: Absence::IsRemoval,
            faults: Faults::AreListed,
        }
    }

    fn probe(&mut self) -> Result<Probe, SourceError> {
        let filter = self.reading.user_filter.clone();
        let mut users = self.count("users", &filter, Needs::Users)?;
        if self.reading.guests == Guests::Excluded {
            let guests = match filter.is_empty() {
                true => "userType eq 'Guest'".to_owned(),
                false => format!("({filter}) and userType eq 'Guest'"),
            };
            users = users.saturating_sub(self.count("users", &guests, Needs::Users)?);
        }
        let mut probe = Probe { users: Some(users), ..Probe::default() };
        if users == 0 {
            probe.warnings.push("Microsoft Graph lists no users.".to_owned());
        } else {
            self.check_sight()?;
        }
        if self.reading.wants_groups {
            probe.groups = Some(self.count("groups", "", Needs::Groups)?);
            probe.warnings.extend(self.hidden_groups()?);
        }
        Ok(probe)
    }

    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        // What needs a filter is read as a whole each time.
        let users = match self.capabilities().incremental {
            // Lists lag: what one does not show yet comes again with the next round of the same chain.
            true => Some(match self.followed.take() {
                Some(link) => link,
                None => self.latest_users()?,
            }),
            false => None,
        };
        let listed = self.list_users(sink)?;
        self.look_up_missing(&listed, sink)?;
        let groups = match self.reading.wants_groups {
            true => Some(self.all_groups(sink)?),
            false => None,
        };
        let cursor = users.map(|users| Cursor { users, groups });
        self.finished(cursor)
    }

    fn incremental(&mut self, cursor: &str, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let lost = || SourceError::CursorLost("the cursor holds no delta links".to_owned());
        let cursor: Cursor = serde_json::from_str(cursor).map_err(|_| lost())?;
        // If it cannot be followed, another chain begins.
        self.followed = None;
        let (users, new) = self.changed_users(&cursor.users, sink)?;
        // If everything is read instead, what was said now is dropped, and has to be said again.
        self.followed = Some(cursor.users);
        let groups = match self.reading.wants_groups {
            true => Some(self.changed_groups(&cursor.groups.ok_or_else(lost)?, &new, sink)?),
            false => None,
        };
        self.finished(Some(Cursor { users, groups }))
    }
}

impl Tenant {
    /// `last` is the cursor of the last read.
    pub(super) fn new(client: Authorized, base: Url, reading: Reading, last: Option<&str>) -> Self {
        let last = last.and_then(|last| serde_json::from_str::<Cursor>(last).ok());
        let followed = last.map(|cursor| cursor.users);
        Self { client: client.judged_by(judge), base, reading, followed }
    }

    fn finished(&self, cursor: Option<Cursor>) -> Result<Finished, SourceError> {
        let cursor = cursor.map(|cursor| serde_json::to_string(&cursor)).transpose();
        let cursor = cursor.map_err(|_| SourceError::failed("the delta links are no text"))?;
        let groups = if self.reading.wants_groups { GroupsGiven::Yes } else { GroupsGiven::No };
        Ok(Finished { cursor, groups })
    }

    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path.split('/'));
        }
        let given = query.iter().filter(|(_, value)| !value.is_empty());
        let given: Vec<String> = given
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, PLAIN)))
            .collect();
        url.set_query(Some(given.join("&")).filter(|query| !query.is_empty()).as_deref());
        url
    }

    fn get(&mut self, url: &Url, needs: Needs) -> Result<Object, SourceError> {
        self.ask(Request::get(url), needs)
    }

    fn ask(&mut self, request: Request<'_>, needs: Needs) -> Result<Object, SourceError> {
        // Harmless where it is not needed, but for questions that are answered from another index.
        let is_advanced = request.url.query().is_some_and(|query| query.contains("$count=true"));
        let request = match is_advanced {
            true => request.with_header(EVENTUAL.0, EVENTUAL.1),
            false => request,
        };
        match self.client.send(&request) {
            Ok(answer) => answer.object(),
            Err(SourceError::Credentials(message)) if message.contains("answers 403") => {
                let permission = needs.permission();
                Err(SourceError::Credentials(format!(
                    "{message} (the application needs the permission {permission} of type \
                     Application, with the consent of an administrator)"
                )))
            }
            Err(error) => Err(error),
        }
    }

    fn count(&mut self, path: &str, filter: &str, needs: Needs) -> Result<u64, SourceError> {
        let query = [("$count", "true"), ("$top", "1"), ("$select", "id"), ("$filter", filter)];
        let url = self.url(path, &query);
        let page = self.get(&url, needs)?;
        rows(&page)?;
        page.get("@odata.count")
            .and_then(Value::as_u64)
            .ok_or_else(|| SourceError::failed("Microsoft Graph does not count what it lists"))
    }

    /// Fails where Microsoft Graph shows users and nothing about them.
    fn check_sight(&mut self) -> Result<(), SourceError> {
        let url = self.url("users", &[("$select", "id,accountEnabled"), ("$top", "1")]);
        let page = self.get(&url, Needs::Users)?;
        let first = rows(&page)?.first().and_then(Value::as_object);
        match first.is_some_and(is_hidden_from_us) {
            true => Err(unseen()),
            false => Ok(()),
        }
    }

    /// A warning where groups hide their members: they are read without any unless that is permitted.
    fn hidden_groups(&mut self) -> Result<Option<String>, SourceError> {
        let url = self.url("groups", &[("$select", "id,displayName,visibility"), ("$top", "999")]);
        let page = self.get(&url, Needs::Groups)?;
        let mut hidden = rows(&page)?.iter().filter(|group| is_hidden(group.get("visibility")));
        let Some(first) = hidden.next() else { return Ok(None) };
        let name = first.get("displayName").and_then(Value::as_str).unwrap_or_default();
        let count = hidden.count() + 1;
        Ok(Some(format!(
            "{count} groups hide their members, such as \"{name}\": without the permission \
             Member.Read.Hidden their members cannot be read, and stay as they are."
        )))
    }

    /// Everything that a list or a round of a delta holds, page by page; the delta link at its end.
    pub(super) fn walk(
        &mut self,
        first: impl Into<First>,
        needs: Needs,
        take: &mut dyn FnMut(Object) -> Result<(), SourceError>,
    ) -> Result<Option<String>, SourceError> {
        let First { mut url, mut judge } = first.into();
        let mut trail = Trail::default();
        loop {
            let request = Request { judge: judge.take(), ..Request::get(&url) };
            let mut page = self.ask(request, needs)?;
            trail.step(url.as_str(), rows(&page)?.len())?;
            if let Some(Value::Array(rows)) = page.remove("value") {
                for row in rows {
                    let Value::Object(row) = row else {
                        return Err(SourceError::failed(
                            "a list holds something that is no object",
                        ));
                    };
                    take(row)?;
                }
            }
            let named = |name: &str| page.get(name).and_then(Value::as_str).map(str::to_owned);
            match (named("@odata.nextLink"), named("@odata.deltaLink")) {
                (Some(next), _) => url = link(&next)?,
                (None, delta) => return Ok(delta),
            }
        }
    }

    /// A round of a delta, which ends with the link to the next one.
    pub(super) fn round(
        &mut self,
        first: impl Into<First>,
        needs: Needs,
        take: &mut dyn FnMut(Object) -> Result<(), SourceError>,
    ) -> Result<String, SourceError> {
        let end = self.walk(first, needs, take)?;
        end.ok_or_else(|| SourceError::failed("a delta ends without a link to the next round"))
    }

    /// The objects with these ids, as they are now; who has gone meanwhile is not among them.
    pub(super) fn by_ids(
        &mut self,
        path: &str,
        (select, expand): (&str, &str),
        ids: &[String],
        needs: Needs,
    ) -> Result<HashMap<String, Object>, SourceError> {
        let mut found = HashMap::new();
        for some in ids.chunks(AT_ONCE) {
            let quoted: Vec<String> =
                some.iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect();
            let filter = format!("id in ({})", quoted.join(","));
            let query = [("$select", select), ("$expand", expand), ("$filter", filter.as_str())];
            let url = self.url(path, &query);
            self.walk(url, needs, &mut |object| {
                if let Some(id) = id_of(&object) {
                    found.insert(id.to_owned(), object);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// What has changed and is not found by its id: nothing is known of it but that.
pub(super) fn unread(
    kind: Kind,
    id: String,
    sparse: &Object,
    sink: &mut dyn Sink,
) -> Result<(), SourceError> {
    let named = ["userPrincipalName", "displayName"];
    let name = named.iter().find_map(|name| sparse.get(*name)?.as_str()).unwrap_or(&id);
    let message = format!("{name} has changed, and Microsoft Graph does not find it by its id.");
    sink.fault(Fault { kind, place: id, message })
}

/// Both `changed`, which can be taken back for thirty days, and `deleted`: no list holds it any more.
pub(super) fn is_removed(object: &Object) -> bool {
    object.contains_key("@removed")
}

pub(super) fn id_of(object: &Object) -> Option<&str> {
    object.get("id").and_then(Value::as_str).filter(|id| !id.is_empty())
}

fn rows(page: &Object) -> Result<&Vec<Value>, SourceError> {
    page.get("value").and_then(Value::as_array).ok_or_else(|| {
        SourceError::failed("Microsoft Graph answers with something that is no list")
    })
}

/// What Microsoft Graph means by its error codes ("Microsoft Graph error responses", "Use delta query").
fn judge(refusal: &Refusal<'_>) -> Option<Verdict> {
    let code = refusal.text("/error/code").to_ascii_lowercase();
    let about_delta = ["deltatoken", "delta token", "delta link", "sync state"];
    let message = refusal.text("/error/message").to_ascii_lowercase();
    let is_lost = match refusal.status {
        410 => true,
        400 | 404 => {
            ["syncstatenotfound", "syncstateinvalid", "resyncrequired"].contains(&code.as_str())
                || about_delta.iter().any(|words| message.contains(words))
        }
        _ => false,
    };
    is_lost.then_some(Verdict::CursorLost)
}

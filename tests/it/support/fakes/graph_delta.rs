//! Deltas of Microsoft Graph: what has changed since a link was given out, with sparse objects, members as
//! changes, large groups in several objects, and tokens that nobody can read.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::super::fake::{Asked, Said};
use super::graph::{Graph, error};

/// What has happened, in order.
#[derive(Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    /// Links from before are not known any more.
    floor: usize,
}

enum Entry {
    User(String, Vec<String>),
    UserGone(String, String),
    Group(String, Vec<String>),
    GroupGone(String),
    Member(String, String),
}

impl Log {
    pub(super) fn user(&mut self, id: &str, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.entries.push(Entry::User(id.to_owned(), names));
    }

    pub(super) fn user_gone(&mut self, id: &str, reason: &str) {
        self.entries.push(Entry::UserGone(id.to_owned(), reason.to_owned()));
    }

    pub(super) fn group(&mut self, id: &str, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.entries.push(Entry::Group(id.to_owned(), names));
    }

    pub(super) fn group_gone(&mut self, id: &str) {
        self.entries.push(Entry::GroupGone(id.to_owned()));
    }

    pub(super) fn member(&mut self, group: &str, member: &str) {
        self.entries.push(Entry::Member(group.to_owned(), member.to_owned()));
    }

    /// Whether there was ever a user with that id.
    pub(super) fn has_user(&self, id: &str) -> bool {
        let of = |entry: &Entry| matches!(entry, Entry::User(known, _) if known == id);
        self.entries.iter().any(of)
    }

    pub(super) fn forget(&mut self) {
        self.floor = self.entries.len();
    }
}

/// What a token says.
struct Place {
    /// `None` for the first round: everything.
    since: Option<usize>,
    /// Where the round ends.
    until: usize,
    /// Rows that were given.
    from: usize,
    select: String,
}

impl Place {
    fn token(&self) -> String {
        let place = json!([self.since, self.until, self.from, self.select]);
        URL_SAFE_NO_PAD.encode(place.to_string())
    }

    fn read(token: &str) -> Option<Self> {
        let place: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let number =
            |index: usize| place[index].as_u64().map(|n| usize::try_from(n).expect("small"));
        let select = place[3].as_str()?.to_owned();
        Some(Self { since: number(0), until: number(1)?, from: number(2)?, select })
    }
}

impl Graph {
    pub(super) fn users_delta(&self, asked: &Asked) -> Said {
        self.delta(asked, "users", Self::user_rows)
    }

    pub(super) fn groups_delta(&self, asked: &Asked) -> Said {
        self.delta(asked, "groups", Self::group_rows)
    }

    fn delta(&self, asked: &Asked, path: &str, rows: impl Fn(&Self, &Place) -> Vec<Value>) -> Said {
        let now = self.log.entries.len();
        let (skip, delta) = (asked.param("$skiptoken"), asked.param("$deltatoken"));
        for unknown in ["$expand", "$filter", "$count"] {
            if !asked.param(unknown).is_empty() {
                return error(400, "BadRequest", "The query is not supported with delta.");
            }
        }
        let first = |until| Place {
            since: None,
            until,
            from: 0,
            select: asked.param("$select").to_owned(),
        };
        let place = match (skip, delta) {
            ("", "") => Some(first(now)),
            ("", "latest") => Some(Place { since: Some(now), ..first(now) }),
            (skip, "") => Place::read(skip),
            // A link begins a round: from where the last one ended.
            (_, delta) => Place::read(delta).map(|place| Place {
                since: Some(place.until),
                until: now,
                from: 0,
                ..place
            }),
        };
        let Some(place) = place else {
            return error(400, "BadRequest", "Badly formed token.");
        };
        if place.since.is_some_and(|since| since < self.log.floor) && delta != "latest" {
            let message = "The sync state generation is not found; retry without a deltatoken.";
            return error(410, "syncStateNotFound", message);
        }
        let rows = rows(self, &place);
        let page: Vec<Value> = rows.iter().skip(place.from).take(self.page).cloned().collect();
        let mut body =
            json!({"@odata.context": format!("{}/v1.0/$metadata#{path}(displayName)", self.url)});
        let end = place.from + page.len();
        let (name, token) = match end < rows.len() {
            true => ("nextLink", Place { from: end, ..place }.token()),
            false => ("deltaLink", Place { since: Some(place.until), from: 0, ..place }.token()),
        };
        let parameter = if name == "nextLink" { "skiptoken" } else { "deltatoken" };
        body[format!("@odata.{name}")] =
            format!("{}/v1.0/{path}/delta?${parameter}={token}", self.url).into();
        body["value"] = page.into();
        Said::json(200, &body)
    }

    fn user_rows(&self, place: &Place) -> Vec<Value> {
        let Some(since) = place.since else {
            return self.users.values().map(|user| picked(user, &place.select, None)).collect();
        };
        let mut changed: BTreeMap<&str, Change<'_>> = BTreeMap::new();
        for entry in &self.log.entries[since.min(place.until)..place.until] {
            match entry {
                Entry::User(id, names) => changed.entry(id).or_default().names(names),
                Entry::UserGone(id, reason) => {
                    changed.insert(id, Change { gone: Some(reason), ..Change::default() });
                }
                _ => {}
            }
        }
        let row = |(id, change): (&&str, &Change<'_>)| match self.users.get(*id) {
            Some(user) => {
                let mut row = picked(user, &place.select, Some(&change.names));
                if change.names.contains("manager") {
                    let manager: Vec<Value> = self
                        .managers
                        .get(*id)
                        .map(|id| json!({"@odata.type": "#microsoft.graph.user", "id": id}))
                        .into_iter()
                        .collect();
                    row["manager@delta"] = manager.into();
                }
                row
            }
            None => json!({"id": id, "@removed": {"reason": change.gone.unwrap_or("deleted")}}),
        };
        changed.iter().map(row).collect()
    }

    fn group_rows(&self, place: &Place) -> Vec<Value> {
        let mut rows = Vec::new();
        let with_members = place.select.split(',').any(|name| name == "members");
        let Some(since) = place.since else {
            for (id, group) in &self.groups {
                let members = self.members[id].iter().map(|m| self.member_row(m, true)).collect();
                self.push_group(
                    &mut rows,
                    picked(group, &place.select, None),
                    members,
                    with_members,
                );
            }
            return rows;
        };
        let mut changed: BTreeMap<&str, Change<'_>> = BTreeMap::new();
        for entry in &self.log.entries[since.min(place.until)..place.until] {
            match entry {
                Entry::Group(id, names) => changed.entry(id).or_default().names(names),
                Entry::GroupGone(id) => {
                    changed.insert(id, Change { gone: Some("deleted"), ..Change::default() });
                }
                Entry::Member(group, member) => {
                    changed.entry(group).or_default().members.insert(member);
                }
                _ => {}
            }
        }
        for (id, change) in changed {
            let Some(group) = self.groups.get(id) else {
                rows.push(json!({"id": id, "@removed": {"reason": "deleted"}}));
                continue;
            };
            let row = picked(group, &place.select, Some(&change.names));
            let has = |member: &str| self.members[id].contains(member);
            let members = change.members.iter().map(|m| self.member_row(m, has(m))).collect();
            self.push_group(&mut rows, row, members, with_members);
        }
        rows
    }

    fn member_row(&self, id: &str, is_member: bool) -> Value {
        let mut row = json!({"@odata.type": self.type_of(id), "id": id});
        if !is_member {
            row["@removed"] = json!({"reason": "deleted"});
        }
        row
    }

    /// Members that are too many for one object come with further ones of the same id.
    fn push_group(
        &self,
        rows: &mut Vec<Value>,
        row: Value,
        members: Vec<Value>,
        with_members: bool,
    ) {
        let id = row["id"].clone();
        rows.push(row);
        if !with_members {
            return;
        }
        for (n, some) in members.chunks(self.page).enumerate() {
            if n > 0 {
                rows.push(json!({"id": id}));
            }
            rows.last_mut().expect("it was pushed")["members@delta"] = some.into();
        }
    }
}

#[derive(Default)]
struct Change<'l> {
    names: BTreeSet<&'l str>,
    members: BTreeSet<&'l str>,
    gone: Option<&'l str>,
}

impl<'l> Change<'l> {
    fn names(&mut self, names: &'l [String]) {
        self.names.extend(names.iter().map(String::as_str));
        self.gone = None;
    }
}

/// The id and the selected properties: all that were ever set, or those that have changed.
fn picked(object: &Map<String, Value>, select: &str, changed: Option<&BTreeSet<&str>>) -> Value {
    let is_selected = |name: &str| select.is_empty() || select.split(',').any(|n| n == name);
    let is_wanted = |name: &str, value: &Value| match changed {
        None => !value.is_null(),
        Some(changed) => changed.contains(name),
    };
    let picked = object.iter().filter(|(name, value)| {
        name.as_str() == "id" || (is_selected(name) && is_wanted(name, value))
    });
    Value::Object(picked.map(|(name, value)| (name.clone(), value.clone())).collect())
}

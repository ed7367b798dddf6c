//! The provisioning log: what an identity provider asked for, in sentences for somebody who has never read
//! SCIM.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::guide::Guide;
use super::session::Visit;
use crate::scim::Object;
use crate::service::administer::{ListMetadata, ListPage, ListParameters};
use crate::service::exchange::RecordQuery;
use crate::service::seen::{called, object};
use crate::service::{Service, ServiceError, on_behalf_of};
use crate::store::StoreError;
use crate::store::directory::DirectoryRow;

/// Requests on a page.
const SHOWN: i64 = 25;

/// Attributes that a sentence names.
const NAMED: usize = 5;

/// Which requests are shown.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    pub refused_only: bool,
    pub after: Option<String>,
    pub before: Option<String>,
}

/// A page of the log, newest first.
pub struct Log {
    pub entries: Vec<Entry>,
    pub list_metadata: ListMetadata,
}

/// A request of the identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub at: String,
    pub sentence: Vec<Piece>,
    pub status: u64,
    /// What a refusal means; empty for what was done.
    pub meaning: &'static str,
    /// The sentence that the identity provider was answered with.
    pub detail: String,
}

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// A name.
    pub strong: bool,
    pub text: String,
}

impl Entry {
    pub fn is_done(&self) -> bool {
        self.status < 400
    }
}

impl Service {
    /// The requests of a directory.
    pub async fn portal_log(
        self: &Arc<Self>,
        visit: &Visit,
        id: &str,
        wanted: &LogQuery,
    ) -> Result<Log, ServiceError> {
        let row = self.portal_row(visit, id).await?;
        on_behalf_of(row.key, self.log(&row, wanted, SHOWN)).await
    }

    pub(super) async fn log(
        self: &Arc<Self>,
        row: &DirectoryRow,
        wanted: &LogQuery,
        limit: i64,
    ) -> Result<Log, ServiceError> {
        let (after, before) = (wanted.after.clone(), wanted.before.clone());
        let query = RecordQuery {
            status: wanted.refused_only.then(|| "4xx".to_owned()),
            page: ListParameters { limit: Some(limit), after, before },
            ..RecordQuery::default()
        };
        let ListPage { data, list_metadata } = self.records_whole(row, &query).await?;
        let names = self.names_in(row.key, &data).await?;
        let provider = provider_of(row);
        let entries = data.iter().map(|record| entry(record, provider, &names)).collect();
        Ok(Log { entries, list_metadata })
    }

    /// The last request that was refused.
    pub(super) async fn last_refusal(
        self: &Arc<Self>,
        row: &DirectoryRow,
    ) -> Result<Option<Entry>, ServiceError> {
        let Some(record) = self.record_refused(row).await? else { return Ok(None) };
        let names = self.names_in(row.key, std::slice::from_ref(&record)).await?;
        Ok(Some(entry(&record, provider_of(row), &names)))
    }

    /// The names of the users and groups that records speak of by id.
    async fn names_in(
        &self,
        directory_key: i64,
        records: &[Value],
    ) -> Result<HashMap<String, String>, StoreError> {
        let mut wanted: Vec<(&'static str, String)> = Vec::new();
        for record in records {
            if let Some(id) = record.pointer("/resource/id").and_then(Value::as_str) {
                let is_group = record.pointer("/resource/type") == Some(&Value::from("Group"));
                wanted.push((if is_group { "Group" } else { "User" }, id.to_owned()));
            }
            let members = ["added", "removed"].map(|what| moved(record, what));
            let only = members.into_iter().filter(|moved| moved.count == 1);
            wanted.extend(only.filter_map(|moved| Some(("User", moved.first?.to_owned()))));
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.store
            .read("portal_names", move |tx| {
                let mut names = HashMap::new();
                for (kind, id) in &wanted {
                    let Some(row) = tx.resource_get(directory_key, kind, id)? else { continue };
                    if let Some(name) = called(&object(&row.doc)) {
                        names.insert(id.clone(), name.to_owned());
                    }
                }
                Ok(names)
            })
            .await
    }
}

fn provider_of(row: &DirectoryRow) -> &'static str {
    Guide::of_kind(&row.kind).map_or("The provider", |guide| guide.title.as_str())
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Members that came, went or are waited for.
#[derive(Clone, Copy, Default)]
struct Moved<'r> {
    count: u64,
    first: Option<&'r str>,
}

fn moved<'r>(record: &'r Value, what: &str) -> Moved<'r> {
    let changes = record.get("changes").and_then(Value::as_array);
    let found = changes.into_iter().flatten().find_map(|change| change.get(what));
    let Some(found) = found else { return Moved::default() };
    Moved {
        count: found.get("count").and_then(Value::as_u64).unwrap_or(0),
        first: found.pointer("/first/0").and_then(Value::as_str),
    }
}

fn entry(record: &Value, provider: &str, names: &HashMap<String, String>) -> Entry {
    let status = record.get("status").and_then(Value::as_u64).unwrap_or(0);
    let empty = Object::new();
    let error = record.get("error").and_then(Value::as_object).unwrap_or(&empty);
    let word = error.get("scimType").and_then(Value::as_str).unwrap_or_default();
    // SCIM 1.1 has a list of errors.
    let older = error.get("Errors").and_then(|errors| errors.get(0)?.get("description"));
    let detail = error.get("detail").or(older).and_then(Value::as_str).unwrap_or_default();
    Entry {
        id: text(record, "id").unwrap_or_default().to_owned(),
        at: text(record, "at").unwrap_or_default().to_owned(),
        sentence: sentence(record, status, provider, names),
        status,
        meaning: if status < 400 { "" } else { meaning(status, word) },
        detail: detail.to_owned(),
    }
}

/// What was done or tried: the verb in the past, and as it follows "tried to".
struct Verb(&'static str, &'static str);

/// What the provider did or tried to do.
fn sentence(
    record: &Value,
    status: u64,
    provider: &str,
    names: &HashMap<String, String>,
) -> Vec<Piece> {
    let mut said = Said::default();
    let is_done = status < 400;
    let method = text(record, "method").unwrap_or_default();
    let path = text(record, "path").unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/').to_lowercase();
    let begin = |said: &mut Said, Verb(past, infinitive): Verb| {
        said.plain(provider);
        match is_done {
            true => said.plain(&format!(" {past}")),
            false => said.plain(&format!(" tried to {infinitive}")),
        }
    };
    let Some(resource) = record.get("resource").filter(|resource| !resource.is_null()) else {
        let verb = if path.ends_with("/bulk") {
            Verb("did several things at once", "do several things at once")
        } else if method == "GET" || path.ends_with("/.search") {
            Verb(
                "looked around, as a connection test does",
                "look around, as a connection test does",
            )
        } else {
            Verb("did something", "do something that this server does not have")
        };
        begin(&mut said, verb);
        said.plain(".");
        return said.0;
    };
    let (noun, article) = match text(resource, "type") {
        Some("User") => ("user", "a user"),
        Some("Group") => ("group", "a group"),
        _ => ("resource", "a resource"),
    };
    let id = text(resource, "id");
    let known = || id.and_then(|id| names.get(id)).map(String::as_str);
    let name = text(resource, "user_name").or_else(known).or_else(|| sent_name(record));
    let is_search = method == "GET" || path.ends_with("/.search");
    if is_search && id.is_none() {
        begin(&mut said, Verb("looked for ", "look for "));
        match name {
            Some(name) => said.strong(name),
            None => said.plain(&format!("{noun}s")),
        }
        said.plain(".");
        return said.0;
    }
    if noun == "group"
        && matches!(method, "PATCH" | "PUT" | "POST")
        && memberships(record, name, names, provider, &mut said)
    {
        return said.0;
    }
    let switched = switched(record);
    let verb = match (method, switched) {
        ("POST", _) => Verb("added the ", "add the "),
        ("DELETE", _) => Verb("removed the ", "remove the "),
        ("PUT" | "PATCH", Some(false)) => Verb("deactivated the ", "deactivate the "),
        ("PUT" | "PATCH", Some(true)) => Verb("activated the ", "activate the "),
        ("PUT" | "PATCH", None) => Verb("changed the ", "change the "),
        _ => Verb("read the ", "read the "),
    };
    begin(&mut said, verb);
    match name {
        Some(name) => {
            said.plain(&format!("{noun} "));
            said.strong(name);
        }
        // "the" has to go.
        None => said.or_a(article),
    }
    let attributes = attributes(record);
    if switched.is_none() && matches!(method, "PUT" | "PATCH") && is_done {
        match attributes.is_empty() {
            true => said.plain("; it was like that already"),
            false => said.plain(&format!(": {}", attributes.join(", "))),
        }
    }
    said.plain(".");
    said.0
}

#[derive(Default)]
struct Said(Vec<Piece>);

impl Said {
    fn plain(&mut self, text: &str) {
        match self.0.last_mut().filter(|piece| !piece.strong) {
            Some(piece) => piece.text.push_str(text),
            None => self.0.push(Piece { strong: false, text: text.to_owned() }),
        }
    }

    fn strong(&mut self, text: &str) {
        self.0.push(Piece { strong: true, text: text.to_owned() });
    }

    /// The article in place of "the ".
    fn or_a(&mut self, article: &str) {
        if let Some(piece) = self.0.last_mut() {
            let begin = piece.text.trim_end_matches("the ").len();
            piece.text.truncate(begin);
            piece.text.push_str(article);
        }
    }
}

/// What happened to the members of a group; false when nothing did.
fn memberships(
    record: &Value,
    group: Option<&str>,
    names: &HashMap<String, String>,
    provider: &str,
    said: &mut Said,
) -> bool {
    let [added, removed, pending] = ["added", "removed", "pending"].map(|what| moved(record, what));
    let is_new = text(record, "method") == Some("POST");
    let begin = |said: &mut Said, text: &str| {
        if !said.0.is_empty() {
            said.plain(" ");
        }
        said.plain(&format!("{provider} {text}"));
    };
    let group = |said: &mut Said| match group {
        Some(group) => said.strong(group),
        None => said.plain("a group"),
    };
    if is_new {
        if pending.count == 0 {
            return false;
        }
        begin(said, "added the group ");
        group(said);
        said.plain(".");
    }
    for (moved, verb, preposition) in [(added, "added", " to "), (removed, "removed", " from ")] {
        if moved.count == 0 || is_new {
            continue;
        }
        begin(said, &format!("{verb} "));
        match moved.first.filter(|_| moved.count == 1).and_then(|id| names.get(id)) {
            Some(name) => said.strong(name),
            None if moved.count == 1 => said.plain("a member"),
            None => said.plain(&format!("{} members", moved.count)),
        }
        said.plain(preposition);
        group(said);
        said.plain(".");
    }
    if pending.count > 0 {
        let (who, have) = match pending.count {
            1 => ("a user".to_owned(), "has"),
            count => (format!("{count} users"), "have"),
        };
        begin(said, &format!("tried to add {who} to "));
        group(said);
        said.plain(&format!(" who {have} not been provisioned yet."));
    }
    !said.0.is_empty()
}

/// The name that a request gave to what it made.
fn sent_name(record: &Value) -> Option<&str> {
    let received = record.get("received")?;
    text(received, "userName").or_else(|| text(received, "displayName"))
}

/// `active`, if the request changed it.
fn switched(record: &Value) -> Option<bool> {
    let changes = record.get("changes").and_then(Value::as_array)?;
    let active = changes.iter().find(|change| text(change, "path") == Some("active"))?;
    active.get("new").and_then(Value::as_bool)
}

/// The first attributes that the request changed, without the URNs before them.
fn attributes(record: &Value) -> Vec<&str> {
    let changes = record.get("changes").and_then(Value::as_array);
    let paths = changes.into_iter().flatten().filter_map(|change| text(change, "path"));
    let mut paths: Vec<&str> =
        paths.map(|path| path.rsplit(':').next().unwrap_or(path)).take(NAMED).collect();
    paths.dedup();
    paths
}

/// What an answer means for somebody who can change the settings of the provider. `word` is the scimType
/// (RFC 7644 §3.12).
fn meaning(status: u64, word: &str) -> &'static str {
    match (status, word) {
        (409, "uniqueness") => {
            "It is there already. The provider usually finds it by itself and goes on; if not, check by \
             which attribute it matches users and groups."
        }
        (409, _) => "Two requests were in each other's way. The provider tries again by itself.",
        (400, "invalidFilter") => {
            "The provider looked for something in a way that is not understood. Check by which \
             attribute it matches users and groups."
        }
        (400, "invalidValue") => {
            "A value is missing or has a form that is not allowed. Check the attribute mapping in the \
             provider."
        }
        (400, "invalidSyntax" | "invalidPath" | "noTarget" | "mutability") => {
            "The request does not have the form that is expected. Check that the provider you chose \
             here is the one that you use, and its attribute mapping."
        }
        (400, _) => "The request was not understood. Check the settings of the provider.",
        (401, _) => "The token was not accepted. Make a new one here and paste it again, whole.",
        (403, _) => {
            "The token may not do this, or the directory is switched off. Make a new token here, or ask \
             whoever sent you the link."
        }
        (404, _) => {
            "What it was about is not there: it was removed before, or the base URL is not complete."
        }
        (405 | 501, _) => "The provider uses a function that this server does not have.",
        (412, _) => {
            "It was changed by another request in between. The provider tries again by itself."
        }
        (413, _) => "The request was too large. Let the provider send less at a time.",
        (415, _) => "The provider sends another format than JSON. Check its content type.",
        (429, _) => {
            "The provider sent more requests than are let in. It goes on by itself a little later."
        }
        (499, _) => "The provider hung up before the answer. It usually tries again.",
        _ => "It was refused. The sentence below says why.",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(method: &str, path: &str, status: u16, more: &Value) -> Value {
        let mut record = json!({"id": "req_1", "at": "2026-01-01T00:00:00.000Z", "method": method, "path": path,
            "status": status});
        for (name, value) in more.as_object().expect("an object") {
            record[name] = value.clone();
        }
        record
    }

    fn said(record: &Value) -> String {
        let names = [("directory_group_1", "Sales"), ("directory_user_1", "ada")];
        let names = names.map(|(id, name)| (id.to_owned(), name.to_owned())).into_iter().collect();
        let entry = entry(record, "Okta", &names);
        entry.sentence.iter().fold(String::new(), |all, piece| match piece.strong {
            true => format!("{all}*{}*", piece.text),
            false => all + &piece.text,
        })
    }

    #[test]
    fn sentences_are_plain() {
        let user = |id: Option<&str>, name: Option<&str>| json!({"resource": {"type": "User", "id": id, "user_name": name}});
        let group = |changes: Value| json!({"resource": {"type": "Group", "id": "directory_group_1"}, "changes": changes});
        let members = |what: Value| {
            let mut change = json!({"path": "members"});
            for (name, value) in what.as_object().expect("an object") {
                change[name] = value.clone();
            }
            group(json!([change]))
        };
        for (method, path, status, more, expected) in [
            ("POST", "/Users", 201, user(None, Some("ada")), "Okta added the user *ada*."),
            ("POST", "/Users", 409, user(None, Some("ada")), "Okta tried to add the user *ada*."),
            ("POST", "/Users", 400, user(None, None), "Okta tried to add a user."),
            (
                "DELETE",
                "/Users/1",
                204,
                user(Some("directory_user_1"), None),
                "Okta removed the user *ada*.",
            ),
            ("GET", "/Users?filter=x", 200, user(None, Some("ada")), "Okta looked for *ada*."),
            ("GET", "/Users?filter=x", 200, user(None, None), "Okta looked for users."),
            ("GET", "/Users/1", 404, user(Some("1"), None), "Okta tried to read a user."),
            ("GET", "/Schemas", 200, json!({}), "Okta looked around, as a connection test does."),
            (
                "PATCH",
                "/Users/1",
                200,
                json!({"resource": {"type": "User", "id": "1", "user_name": "ada"},
                "changes": [{"path": "active", "old": true, "new": false}]}),
                "Okta deactivated the user *ada*.",
            ),
            (
                "PATCH",
                "/Users/1",
                200,
                json!({"resource": {"type": "User", "id": "1", "user_name": "ada"},
                "changes": [{"path": "title"}, {"path": "urn:x:2.0:User:department"}]}),
                "Okta changed the user *ada*: title, department.",
            ),
            (
                "PUT",
                "/Users/1",
                200,
                user(Some("1"), Some("ada")),
                "Okta changed the user *ada*; it was like that already.",
            ),
            (
                "PATCH",
                "/Groups/1",
                200,
                members(json!({"added": {"count": 1, "first": ["directory_user_1"]}})),
                "Okta added *ada* to *Sales*.",
            ),
            (
                "PATCH",
                "/Groups/1",
                200,
                members(json!({"removed": {"count": 3, "first": ["a", "b", "c"]}})),
                "Okta removed 3 members from *Sales*.",
            ),
            (
                "PATCH",
                "/Groups/1",
                200,
                members(json!({"pending": {"count": 1, "first": ["x"]}})),
                "Okta tried to add a user to *Sales* who has not been provisioned yet.",
            ),
            (
                "PATCH",
                "/Groups/1",
                200,
                members(json!({"added": {"count": 2, "first": ["a", "b"]},
                "pending": {"count": 2, "first": ["x", "y"]}})),
                "Okta added 2 members to *Sales*. Okta tried to add 2 users to *Sales* who have not been provisioned yet.",
            ),
        ] {
            assert_eq!(said(&record(method, path, status, &more)), expected, "{method} {path}");
        }
    }

    #[test]
    fn refusals_say_what_to_do_and_repeat_the_sentence() {
        let mut refused = record("POST", "/Users", 409, &json!({"resource": {"type": "User"}}));
        refused["error"] = json!({"scimType": "uniqueness", "detail": "Taken."});
        let found = |record: &Value| entry(record, "Okta", &HashMap::new());
        assert!(found(&refused).meaning.starts_with("It is there already."));
        assert_eq!((found(&refused).detail.as_str(), found(&refused).is_done()), ("Taken.", false));
        refused["error"] = json!({"Errors": [{"description": "Older.", "code": "409"}]});
        assert_eq!(found(&refused).detail, "Older.");
        refused["error"] = Value::Null;
        assert_eq!(found(&refused).detail, "");
    }
}

//! What has arrived in a directory, in words for somebody who has never read SCIM.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::session::Visit;
use crate::scim::Object;
use crate::scim::key::instant_text;
use crate::service::administer::DirectoryView;
use crate::service::context::Settings;
use crate::service::{Service, ServiceError, on_behalf_of};
use crate::store::StoreError;
use crate::store::app_read::AppCounts;
use crate::store::directory::DirectoryRow;

/// Requests that are shown.
const SHOWN: i64 = 10;

/// What has arrived so far.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub active_users: i64,
    pub inactive_users: i64,
    pub groups: i64,
    pub last_request_at: Option<String>,
    /// The newest requests, newest first.
    pub recent: Vec<Heard>,
    /// The last one that was refused, if it is not too long ago.
    pub refused: Option<Refused>,
    /// Days that requests are kept.
    pub kept_days: i64,
}

/// A request of the identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub at: String,
    /// `add the user ada@example.com`
    pub wish: String,
    pub status: u64,
}

impl Heard {
    pub fn is_done(&self) -> bool {
        self.status < 400
    }
}

/// A request that was refused, and what that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub heard: Heard,
    pub meaning: &'static str,
    /// The sentence that the identity provider was answered with.
    pub detail: String,
}

impl Service {
    pub async fn portal_status(
        self: &Arc<Self>,
        visit: &Visit,
        id: &str,
    ) -> Result<(DirectoryView, Arrived), ServiceError> {
        let row = self.portal_row(visit, id).await?;
        on_behalf_of(row.key, async {
            let arrived = self.arrived(&row).await?;
            Ok((self.directory_view(row).await?, arrived))
        })
        .await
    }

    async fn arrived(self: &Arc<Self>, row: &DirectoryRow) -> Result<Arrived, ServiceError> {
        let key = row.key;
        let counts: Result<HashMap<i64, AppCounts>, StoreError> =
            self.store.read("portal_status", move |tx| tx.app_counts(&[key])).await;
        let counts = counts?.remove(&key).unwrap_or_default();
        let found = self.records_newest(row, SHOWN).await?;
        let recent: Vec<Heard> = found.records.iter().map(heard).collect();
        // When a token was used is written down once a minute only.
        let newest = recent.first().map(|heard| heard.at.clone());
        Ok(Arrived {
            active_users: counts.active,
            inactive_users: counts.inactive,
            groups: counts.groups,
            last_request_at: newest.or_else(|| row.last_request.map(instant_text)),
            recent,
            refused: found.refused.as_ref().map(refusal),
            kept_days: Settings::stored(&row.settings).records.days,
        })
    }
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn heard(record: &Value) -> Heard {
    Heard {
        at: text(record, "at").unwrap_or_default().to_owned(),
        wish: wish(record),
        status: record.get("status").and_then(Value::as_u64).unwrap_or(0),
    }
}

/// What the provider wanted.
fn wish(record: &Value) -> String {
    let method = text(record, "method").unwrap_or_default();
    let path = text(record, "path").unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/').to_lowercase();
    let resource = record.get("resource").filter(|resource| !resource.is_null());
    let Some(resource) = resource else {
        let words = if path.ends_with("/bulk") {
            "do several things at once"
        } else if method == "GET" || path.ends_with("/.search") {
            "look around, as a connection test does"
        } else {
            "do something that this server does not have"
        };
        return words.to_owned();
    };
    let noun = match text(resource, "type") {
        Some("User") => "user".to_owned(),
        Some("Group") => "group".to_owned(),
        Some(other) => other.to_owned(),
        None => "resource".to_owned(),
    };
    let name = text(resource, "user_name").map(|name| format!(" {name}")).unwrap_or_default();
    let is_one = text(resource, "id").is_some();
    match method {
        "POST" if path.ends_with("/.search") => format!("look for {noun}s"),
        "POST" => format!("add the {noun}{name}"),
        "PUT" | "PATCH" => format!("change the {noun}{name}"),
        "DELETE" => format!("remove the {noun}{name}"),
        _ if is_one => format!("read the {noun}{name}"),
        _ => format!("look for {noun}s"),
    }
}

fn refusal(record: &Value) -> Refused {
    let heard = heard(record);
    let empty = Object::new();
    let error = record.get("error").and_then(Value::as_object).unwrap_or(&empty);
    let word = error.get("scimType").and_then(Value::as_str).unwrap_or_default();
    // SCIM 1.1 has a list of errors.
    let older = error.get("Errors").and_then(|errors| errors.get(0)?.get("description"));
    let detail = error.get("detail").or(older).and_then(Value::as_str).unwrap_or_default();
    Refused { meaning: meaning(heard.status, word), detail: detail.to_owned(), heard }
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

    fn record(method: &str, path: &str, resource: &Value) -> Value {
        json!({"at": "2026-01-01T00:00:00.000Z", "method": method, "path": path, "status": 200,
            "resource": resource})
    }

    #[test]
    fn wishes_are_plain() {
        let user = |id: Option<&str>, name: Option<&str>| json!({"type": "User", "id": id, "user_name": name});
        for (method, path, resource, expected) in [
            ("POST", "/scim/v2/K/Users", user(None, Some("ada")), "add the user ada"),
            ("PATCH", "/scim/v2/K/Users/1", user(Some("1"), None), "change the user"),
            ("PUT", "/scim/v2/K/Groups/1", json!({"type": "Group", "id": "1"}), "change the group"),
            ("DELETE", "/scim/v2/K/Users/1", user(Some("1"), Some("ada")), "remove the user ada"),
            ("GET", "/scim/v2/K/Users?filter=x", user(None, None), "look for users"),
            ("GET", "/scim/v2/K/Users/1", user(Some("1"), None), "read the user"),
            ("POST", "/scim/v2/K/Users/.search", user(None, None), "look for users"),
            ("POST", "/scim/v2/K/Bulk", Value::Null, "do several things at once"),
            ("GET", "/scim/v2/K/Schemas", Value::Null, "look around, as a connection test does"),
            ("POST", "/scim/v2/K/x", Value::Null, "do something that this server does not have"),
        ] {
            assert_eq!(wish(&record(method, path, &resource)), expected, "{method} {path}");
        }
    }

    #[test]
    fn refusals_say_what_to_do_and_repeat_the_sentence() {
        let mut refused = record("POST", "/scim/v2/K/Users", &json!({"type": "User"}));
        refused["status"] = 409.into();
        refused["error"] = json!({"scimType": "uniqueness", "detail": "Taken."});
        let found = refusal(&refused);
        assert!(found.meaning.starts_with("It is there already."), "{found:?}");
        assert_eq!((found.detail.as_str(), found.heard.is_done()), ("Taken.", false));
        refused["error"] = json!({"Errors": [{"description": "Older.", "code": "409"}]});
        assert_eq!(refusal(&refused).detail, "Older.");
        refused["error"] = Value::Null;
        assert_eq!(refusal(&refused).detail, "");
    }
}

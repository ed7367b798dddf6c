//! Identities: one person in several directories of an organization.

mod deciding;
mod joining;
mod linking;
mod primary;
mod reading;

use serde_json::{Value, json};

use crate::support::{Client, TestApp, encode, patch};

/// A directory of the company.
struct Office {
    id: String,
    scim: Client,
}

impl Office {
    /// Makes a user with that name and address.
    fn hire(&self, name: &str, email: &str) -> String {
        self.scim.post("/Users", person(name, email)).expect(201).id()
    }

    fn set(&self, user: &str, path: &str, value: Value) {
        let ops = json!([{"op": "replace", "path": path, "value": value}]);
        self.scim.patch(&format!("/Users/{user}"), patch(ops)).expect(200);
    }

    fn dismiss(&self, user: &str) {
        self.scim.delete(&format!("/Users/{user}")).expect(204);
    }
}

fn person(name: &str, email: &str) -> Value {
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name,
        "name": {"formatted": name},
    });
    if !email.is_empty() {
        body["emails"] = json!([{"value": email, "primary": true}]);
    }
    body
}

/// An organization with the verified domain example.com and the pending one example.org.
struct Company<'a> {
    app: &'a TestApp,
    id: String,
    /// The organization in the management API.
    path: String,
}

impl<'a> Company<'a> {
    fn new(app: &'a TestApp) -> Self {
        let body = json!({"name": "Company", "domain_data": [
            {"domain": "example.com", "state": "verified"},
            {"domain": "example.org", "state": "pending"},
        ]});
        let id = app.api.post("/organizations", body).expect(201).id();
        Self { app, path: format!("/api/v1/organizations/{id}"), id }
    }

    /// One that keeps identities, with that many directories and no primary one.
    fn keeping(app: &'a TestApp, directories: usize) -> (Self, Vec<Office>) {
        let company = Self::new(app);
        let offices = (0..directories).map(|_| company.office("scim.generic")).collect();
        company.primary(None);
        (company, offices)
    }

    fn office(&self, kind: &str) -> Office {
        let body = json!({"organization_id": self.id, "name": "Office", "kind": kind});
        let made = self.app.api.post("/api/v1/directories", body).expect(201);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let base = text(&made.body["scim"]["base_url"]);
        let secret = text(&made.body["token"]["secret"]);
        Office { id: made.id(), scim: Client::new(&base, &secret, "application/scim+json") }
    }

    /// Makes a directory the primary one, and waits for what follows.
    fn primary(&self, office: Option<&Office>) -> Value {
        let body = json!({"directory_id": office.map(|office| &office.id)});
        let path = format!("{}/primary_directory", self.path);
        let answer = self.app.api.put(&path, body).expect(200).body;
        self.app.settle_identities();
        answer
    }

    fn list(&self, rest: &str) -> Vec<Value> {
        let page = self.app.api.get(&format!("{}/{rest}", self.path)).expect(200).body;
        page["data"].as_array().expect("a list").clone()
    }

    /// The identity that has the user.
    #[track_caller]
    fn of(&self, user: &str) -> Value {
        let mut found = self.list(&format!("identities?user_id={user}"));
        assert_eq!(found.len(), 1, "one identity has {user}: {found:?}");
        found.remove(0)
    }

    /// Whether both users are accounts of one identity.
    #[track_caller]
    fn are_one(&self, a: &str, b: &str) -> bool {
        self.of(a)["id"] == self.of(b)["id"]
    }

    fn with_email(&self, email: &str) -> Vec<Value> {
        self.list(&format!("identities?email={}", encode(email)))
    }

    /// Open suggestions as (user, identity, reason).
    fn suggestions(&self) -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let rows = self.list("identity_suggestions").into_iter();
        rows.map(|row| {
            let user = text(&row["account"]["user_id"]);
            (user, text(&row["identity_id"]), text(&row["reason"]))
        })
        .collect()
    }

    /// Decides about the only open suggestion, and gives its id.
    #[track_caller]
    fn decide_only(&self, decision: &str) -> String {
        let open = self.list("identity_suggestions");
        assert_eq!(open.len(), 1, "{open:?}");
        let id = open[0]["id"].as_str().expect("an id").to_owned();
        self.decide(&id, decision, 200);
        id
    }

    #[track_caller]
    fn decide(&self, id: &str, decision: &str, status: u16) -> Value {
        let path = format!("{}/identity_suggestions/{id}/{decision}", self.path);
        self.app.api.post(&path, json!({})).expect(status).body
    }

    /// The native events of identities as (name, data), oldest first.
    fn told(&self) -> Vec<(String, Value)> {
        self.app.settle_events();
        let path = format!("/api/v1/events?organization_id={}&limit=1000", self.id);
        let page = self.app.api.get(&path).expect(200).body;
        let events = page["data"].as_array().expect("a page").iter();
        events
            .map(|event| {
                (event["event"].as_str().expect("a name").to_owned(), event["data"].clone())
            })
            .filter(|(name, _)| name.starts_with("rollbook."))
            .collect()
    }
}

/// An identity without the time of its last change.
fn steady(mut identity: Value) -> Value {
    identity.as_object_mut().expect("an object").shift_remove("updated_at");
    identity
}

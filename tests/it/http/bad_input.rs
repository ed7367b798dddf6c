//! Bodies that providers send, each broken in one place: what no profile covers is a 4xx that names the
//! place, nothing of it is stored, and nothing of it is a fault of the server.

use rollbook::profile::PROVIDERS;
use rollbook::store::StoreError;
use serde_json::{Map, Value, json};

use super::{GROUP, USER, create};
use crate::on_both_databases;
use crate::support::{Answer, Client, DirectoryHandle, ENTERPRISE, TestApp, patch};

on_both_databases![
    new_user_that_is_broken_anywhere_is_refused_whole_or_understood,
    replaced_user_that_is_broken_anywhere_is_refused_whole_or_understood,
    group_that_is_broken_anywhere_is_refused_whole_or_understood,
    patch_of_a_user_that_is_broken_anywhere_is_refused_whole_or_understood,
    patch_of_a_group_that_is_broken_anywhere_is_refused_whole_or_understood,
    wrong_path_is_named_and_the_operations_beside_it_are_not_done,
];

/// A directory with that provider's profile, and what the requests are about.
struct Place {
    handle: DirectoryHandle,
    provider: &'static str,
    scim: Client,
    user: String,
    other: String,
    group: String,
    /// How it was after the last request.
    before: Option<Snapshot>,
}

/// What of a directory a refused request must leave alone.
#[derive(Debug, PartialEq)]
struct Snapshot {
    resources: [String; 3],
    totals: [u64; 2],
    events: usize,
}

impl Place {
    fn new(app: &TestApp, provider: &'static str) -> Self {
        let (handle, scim) = app.directory(&format!("scim.{provider}"));
        let user = create(&scim, "/Users", full_user("target@example.com"));
        let other = create(&scim, "/Users", full_user("other@example.com"));
        let members = json!([{"value": user}]);
        let body = json!({"schemas": [GROUP], "displayName": "Target", "members": members});
        let group = create(&scim, "/Groups", body);
        let mut place = Self { handle, provider, scim, user, other, group, before: None };
        place.before = Some(place.snapshot(app));
        place
    }

    fn snapshot(&self, app: &TestApp) -> Snapshot {
        let read = |path: &str, id: &str| self.scim.get(&format!("{path}/{id}")).text;
        let total = |path: &str| self.scim.get(&format!("{path}?count=0")).total();
        Snapshot {
            resources: [
                read("/Users", &self.user),
                read("/Users", &self.other),
                read("/Groups", &self.group),
            ],
            totals: [total("/Users"), total("/Groups")],
            events: self.events(app),
        }
    }

    fn events(&self, app: &TestApp) -> usize {
        let (id, store) = (self.handle.id.clone(), app.service().store.clone());
        let rows: Result<_, StoreError> = app.wait(async move {
            let list = store.read("events", move |tx| {
                let row = tx.directory_get(&id)?.expect("it exists");
                tx.event_list(row.key, 0, 1_000_000)
            });
            list.await
        });
        rows.expect("events").len()
    }
}

fn full_user(user_name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": user_name,
        "externalId": "e-1",
        "active": true,
        "name": {"givenName": "Ada", "familyName": "Lane"},
        "emails": [{"value": user_name, "type": "work", "primary": true}],
        "roles": [{"value": "admin", "primary": true}],
        ENTERPRISE: {"employeeNumber": "7", "department": "R&D"},
    })
}

/// Users as providers send them (POST and PUT).
fn users() -> Vec<Value> {
    vec![
        // Entra ID
        json!({
            "schemas": [USER, ENTERPRISE],
            "externalId": "ada",
            "userName": "new@example.com",
            "active": true,
            "displayName": "Ada Lane",
            "emails": [{"primary": true, "type": "work", "value": "new@example.com"}],
            "meta": {"resourceType": "User"},
            "name": {"formatted": "Ada Lane", "familyName": "Lane", "givenName": "Ada"},
            "addresses": [{"type": "work", "locality": "Oslo", "primary": false}],
            "phoneNumbers": [{"type": "mobile", "value": "+47 22 22 22 22"}],
            "roles": [],
            "title": null,
            ENTERPRISE: {"employeeNumber": "1001", "manager": {"value": "$other"}},
        }),
        // Okta
        json!({
            "schemas": [USER],
            "userName": "new@example.com",
            "name": {"givenName": "Ada", "familyName": "Lane"},
            "emails": [{"primary": true, "value": "new@example.com", "type": "work"}],
            "displayName": "Ada Lane",
            "locale": "en-US",
            "externalId": "00u1a2b3c4d5e6f7g8h9",
            "groups": [],
            "password": "1mz050nq",
            "active": true,
        }),
        // OneLogin
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0", USER],
            "userName": "new@example.com",
            "name": {"givenName": "Ada", "familyName": "Lane", "formatted": "Ada Lane"},
            "emails": {"value": "new@example.com", "type": "work"},
            "x509Certificates": [{"value": "MAA="}],
            "photos": [{"value": "https://example.com/a.png", "type": "photo"}],
        }),
        // Keycloak
        json!({
            "schemas": [USER],
            "id": "$user",
            "userName": "new@example.com",
            "active": "true",
            "emails": [{"value": "new@example.com"}],
            "roles": [{"value": "admin"}, {"value": "guest"}],
            "groups": [{"value": "7", "display": "G"}],
            "profileUrl": "https://example.com/ada",
            "urn:example:unknown": {"deep": {"deeper": [1, {"x": null}]}},
        }),
    ]
}

fn groups() -> Vec<Value> {
    vec![
        json!({
            "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
            "externalId": "8aa1a0c0",
            "displayName": "New",
            "meta": {"resourceType": "Group"},
        }),
        json!({
            "schemas": [GROUP],
            "displayName": "New",
            "members": [
                {"value": "$user", "display": "ada"},
                {"value": "$other", "$ref": "Users/$other", "type": "User"},
            ],
        }),
    ]
}

fn user_patches() -> Vec<Value> {
    let operation =
        |op: &str, path: &str, value: Value| json!({"op": op, "path": path, "value": value});
    vec![
        // Entra ID
        patch(json!([
            operation("Replace", "displayName", json!("Ada Byron")),
            operation("Add", "emails[type eq \"work\"].value", json!("b@example.com")),
            operation("Replace", "name.givenName", json!("Ada")),
            operation("Replace", "active", json!("False")),
            operation("Add", &format!("{ENTERPRISE}:manager"), json!("$other")),
            operation("Add", "roles", json!([{"value": "{\"id\":\"7\",\"value\":\"owner\"}"}])),
            json!({"op": "Remove", "path": "title"}),
        ])),
        // Entra ID with its flag
        patch(json!([{
            "op": "replace",
            "value": {
                "name.familyName": "Byron",
                "active": true,
                format!("{ENTERPRISE}:employeeNumber"): "1002",
                "emails": [{"type": "work", "value": "c@example.com"}],
            },
        }])),
        // Okta, JumpCloud
        patch(json!([
            {"op": "replace", "value": {"active": false}},
            operation("replace", "name", json!({"givenName": "Ada"})),
            operation("remove", "emails", json!([{"value": "b@example.com"}])),
        ])),
    ]
}

fn group_patches() -> Vec<Value> {
    vec![
        patch(json!([
            {"op": "Add", "path": "members", "value": [{"$ref": null, "value": "$other"}]},
            {"op": "Replace", "path": "displayName", "value": "Renamed"},
        ])),
        patch(json!([
            {"op": "remove", "path": "members[value eq \"$user\"]"},
            {"op": "replace", "value": {"id": "x", "displayName": "Renamed again"}},
            {"op": "remove", "path": "members", "value": [{"value": "$other"}]},
            {"op": "replace", "path": "members", "value": [{"value": "$user"}]},
        ])),
    ]
}

/// A step into a value.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    Element(usize),
}

/// Every place in the value, the whole of it left out.
fn places(value: &Value) -> Vec<Vec<Step>> {
    let steps: Vec<(Step, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (Step::Member(name.clone()), value)).collect()
        }
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, value)| (Step::Element(index), value))
            .collect(),
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for (step, value) in steps {
        found.push(vec![step.clone()]);
        for rest in places(value) {
            found.push([vec![step.clone()], rest].concat());
        }
    }
    found
}

fn at<'v>(value: &'v mut Value, place: &[Step]) -> &'v mut Value {
    place.iter().fold(value, |value, step| match step {
        Step::Member(name) => &mut value[name.as_str()],
        Step::Element(index) => &mut value[*index],
    })
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("end"), |inner, _| json!([inner]))
}

/// What may stand where it does not belong.
fn wrong_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(7),
        json!(-1.5e300),
        json!(true),
        json!("perhaps"),
        json!(""),
        json!("\u{0}"),
        json!("\u{202e}e\u{301}\u{fffd}\u{10ffff}"),
        json!("x".repeat(2_000)),
        json!("x".repeat(70_000)),
        json!([]),
        json!([null]),
        json!([[7]]),
        json!({}),
        json!({"": "\u{7f}"}),
        json!({"value": {"value": [null]}}),
        json!([{"value": "a", "VALUE": "b"}]),
        nested(100),
    ]
}

/// The bodies that come of breaking one place, with the names of which a refusal must tell one.
fn broken(body: &Value) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for place in places(body) {
        let named = names(body, &place);
        for wrong in wrong_values() {
            let mut mutant = body.clone();
            *at(&mut mutant, &place) = wrong;
            all.push((mutant.to_string(), named.clone()));
        }
        let (Some(Step::Member(name)), parent) = (place.last(), &place[..place.len() - 1]) else {
            continue;
        };
        // The member stands twice: in other letters, then in the same.
        let mut mutant = body.clone();
        let members: &mut Map<String, Value> =
            at(&mut mutant, parent).as_object_mut().expect("a member's parent");
        let (value, other) = (members[name].clone(), swapped(name));
        members.insert(other.clone(), value);
        let text = mutant.to_string();
        let same = text.replacen(&format!("\"{other}\":"), &format!("\"{name}\":"), 1);
        // The JSON parser knows the member and its line, not the way to it.
        all.push((same, [named.clone(), vec![format!("\"{name}\" stands twice")]].concat()));
        all.push((text, named));
    }
    all
}

fn swapped(name: &str) -> String {
    let swap =
        |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    name.chars().map(swap).collect()
}

/// What a refusal may call the place: an attribute on the way to it, or the operation it is in.
fn names(body: &Value, place: &[Step]) -> Vec<String> {
    let mut names: Vec<String> = place
        .iter()
        .filter_map(|step| match step {
            // What holds attributes is not one.
            Step::Member(name) if name == "Operations" || name == "value" => None,
            Step::Member(name) => Some(name.clone()),
            Step::Element(_) => None,
        })
        .collect();
    match place {
        [Step::Member(first), Step::Element(index), ..] if first == "Operations" => {
            names.push(format!("Operations[{index}]"));
            let path = body["Operations"][*index]["path"].as_str().unwrap_or_default();
            let attribute = path.strip_prefix(&format!("{ENTERPRISE}:")).unwrap_or(path);
            names.extend(attribute.split(['[', '.']).next().map(str::to_owned));
        }
        [Step::Member(first)] => names.push(first.clone()),
        _ => {}
    }
    names.retain(|name| !name.is_empty());
    names
}

/// How requests of a kind are sent: method, and the path in a directory.
type Target = (&'static str, fn(&Place) -> String);

/// Sends every broken body to directories of every profile in turn.
fn sweep(app: &TestApp, bodies: &[Value], targets: &[Target]) {
    let mut places: Vec<Place> =
        PROVIDERS.iter().map(|provider| Place::new(app, provider)).collect();
    let (mut wrong, mut refused, mut sent) = (Vec::new(), 0, 0_usize);
    // What refuses does not know which database it is: PostgreSQL sees a part, where undoing is what may
    // differ. 7 and the number of ways to break a place have no common factor.
    let every = if app.database.url().starts_with("sqlite:") { 1 } else { 7 };
    let mut turn = 0;
    for body in bodies {
        for (mutant, named) in broken(body) {
            for (method, path) in targets {
                // Every place of a body meets every profile in the end: 7 and 16 have no common factor.
                turn += 1;
                if turn % every != 0 {
                    continue;
                }
                sent += 1;
                let index = turn * 7 % places.len();
                let place = &mut places[index];
                let path = path(place);
                let answer = place.send(method, &path, &mutant);
                refused += usize::from(answer.status >= 400);
                let outcome = place.judge(app, method, &path, &answer).and_then(|()| {
                    let explained = answer.status < 400 || explains(&answer, &named);
                    // The profile may not take this shape at all, broken or not.
                    let mut known = || place.refuses(app, method, &path, body, &answer);
                    if explained || known() { Ok(()) } else { Err(format!("not {named:?}")) }
                });
                if let Err(what) = outcome {
                    let (provider, short) = (place.provider, mutant.chars().take(500));
                    let short: String = short.collect();
                    let said = &answer.text;
                    wrong.push(format!("{provider} {method} {path}: {short}\n  {what}: {said}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {sent}\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused > sent / 20 && refused < sent, "{refused} of {sent} are refused");
}

impl Place {
    fn send(&self, method: &str, path: &str, text: &str) -> Answer {
        let text = text.replace("$user", &self.user).replace("$other", &self.other);
        self.scim.send(method, path, &[], Some(text))
    }

    /// Whether the answer is what it may be: done, or a SCIM error after which all is as before.
    fn judge(
        &mut self,
        app: &TestApp,
        method: &str,
        path: &str,
        answer: &Answer,
    ) -> Result<(), String> {
        match answer.status {
            200..=299 => {
                if method == "POST" {
                    self.scim.delete(&format!("{path}/{}", answer.id())).expect(204);
                }
                self.before = Some(self.snapshot(app));
                Ok(())
            }
            400..=499 => {
                let before = self.before.take();
                let after = self.before.insert(self.snapshot(app));
                match before {
                    Some(before) if before != *after => {
                        Err(format!("changed {before:?} to {after:?}"))
                    }
                    _ if !is_scim_error(answer) => Err("no SCIM error".to_owned()),
                    _ => Ok(()),
                }
            }
            status => Err(format!("status {status}")),
        }
    }

    /// Whether the body is refused with these words also when nothing of it is broken.
    fn refuses(
        &mut self,
        app: &TestApp,
        method: &str,
        path: &str,
        body: &Value,
        refusal: &Answer,
    ) -> bool {
        let answer = self.send(method, path, &body.to_string());
        self.judge(app, method, path, &answer).is_ok()
            && answer.body["detail"] == refusal.body["detail"]
    }
}

fn is_scim_error(answer: &Answer) -> bool {
    answer.body["schemas"] == json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
        && answer.body["status"].as_str() == Some(answer.status.to_string().as_str())
        && answer.header("content-type") == Some("application/scim+json")
}

/// Whether the answer names the place.
fn explains(answer: &Answer, named: &[String]) -> bool {
    let detail = answer.body["detail"].as_str().unwrap_or_default().to_lowercase();
    named.iter().any(|name| detail.contains(&name.to_lowercase()))
}

fn new_user_that_is_broken_anywhere_is_refused_whole_or_understood(app: &TestApp) {
    sweep(app, &users(), &[("POST", |_| "/Users".to_owned())]);
}

fn replaced_user_that_is_broken_anywhere_is_refused_whole_or_understood(app: &TestApp) {
    sweep(app, &users(), &[("PUT", |place| format!("/Users/{}", place.user))]);
}

fn group_that_is_broken_anywhere_is_refused_whole_or_understood(app: &TestApp) {
    sweep(
        app,
        &groups(),
        &[("POST", |_| "/Groups".to_owned()), ("PUT", |place| format!("/Groups/{}", place.group))],
    );
}

fn patch_of_a_user_that_is_broken_anywhere_is_refused_whole_or_understood(app: &TestApp) {
    sweep(app, &user_patches(), &[("PATCH", |place| format!("/Users/{}", place.user))]);
}

fn patch_of_a_group_that_is_broken_anywhere_is_refused_whole_or_understood(app: &TestApp) {
    sweep(app, &group_patches(), &[("PATCH", |place| format!("/Groups/{}", place.group))]);
}

fn wrong_path_is_named_and_the_operations_beside_it_are_not_done(app: &TestApp) {
    let deep = format!("{}type eq \"x\"{}", "emails[".repeat(100), "]".repeat(100));
    for provider in PROVIDERS {
        let place = Place::new(app, provider);
        let before = place.snapshot(app);
        for path in [
            "emails[type eq",
            "emails[",
            "emails]",
            "emails[type eq \"work\"",
            "emails[type zz \"work\"].value",
            "emails[type eq 'work'].value",
            "name..givenName",
            "name.givenName.x",
            "title[value eq \"x\"]",
            "a b",
            "[type eq \"work\"]",
            "emails[type eq \"work\"]]",
            deep.as_str(),
            "\u{0}",
            "na\u{202e}me",
        ] {
            let body = patch(json!([
                {"op": "replace", "path": "displayName", "value": "Changed"},
                {"op": "replace", "path": path, "value": "x"},
            ]));
            let answer = place.scim.patch(&format!("/Users/{}", place.user), body);
            let skipped = answer.status == 200 && answer.body["displayName"] == "Changed";
            if skipped && !matches!(provider, "rfc" | "strict") {
                // A path that no schema knows: the default profile passes over it.
                let undo = json!([{"op": "remove", "path": "displayName"}]);
                place.scim.patch(&format!("/Users/{}", place.user), patch(undo)).expect(200);
                continue;
            }
            assert_eq!(answer.status, 400, "{provider} {path}: {}", answer.text);
            let word = answer.body["scimType"].as_str().unwrap_or_default();
            assert!(["invalidPath", "invalidFilter"].contains(&word), "{path}: {}", answer.text);
            let after = place.snapshot(app);
            assert_eq!(after.resources[1..], before.resources[1..], "{provider} {path}");
            assert!(!after.resources[0].contains("Changed"), "{provider} {path}");
        }
    }
}

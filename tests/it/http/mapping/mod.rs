//! What the operator makes of users: custom attributes and roles, as the app is told of them.

mod attributes;
mod roles;

use std::sync::Arc;

use serde_json::{Value, json};

use rollbook::store::{StoreError, Tx};

use crate::support::{Answer, TestApp, group, patch};

fn path(app: &TestApp, part: &str) -> String {
    format!("/api/v1/directories/{}/{part}", app.directory.id)
}

/// Puts an attribute map and waits until every user is brought to it.
#[track_caller]
fn put_attributes(app: &TestApp, attributes: Value) -> Value {
    let answer = app.api.put(&path(app, "attribute_map"), json!({"attributes": attributes}));
    let answer = answer.expect(200);
    settle(app);
    answer.body
}

/// Puts a role map and waits until every user is brought to it.
#[track_caller]
fn put_roles(app: &TestApp, map: Value) -> Value {
    let answer = app.api.put(&path(app, "role_map"), map).expect(200);
    settle(app);
    answer.body
}

/// Does what maps have to do by now.
fn settle(app: &TestApp) {
    let service = Arc::clone(app.service());
    app.wait(async move { service.apply_mappings().await }).expect("maps are applied");
}

/// Changes what is stored of the directory, as only a fault or another process would.
fn in_store<T: Send + 'static>(
    app: &TestApp,
    change: impl Fn(&mut Tx<'_>, i64) -> Result<T, StoreError> + Send + Sync + 'static,
) -> T {
    let (service, id) = (Arc::clone(app.service()), app.directory.id.clone());
    let unit = move |tx: &mut Tx<'_>| {
        let row = tx.directory_get(&id)?.expect("the directory");
        change(tx, row.key)
    };
    app.wait(async move { service.store.write("test", unit).await }).expect("it is stored")
}

/// The user as the app reads it.
#[track_caller]
fn seen(app: &TestApp, id: &str) -> Value {
    app.api.get(&format!("/directory_users/{id}")).expect(200).body
}

/// The slugs of a user, the highest first; none when both members are left out.
#[track_caller]
fn roles(user: &Value) -> Vec<String> {
    let Some(roles) = user.get("roles") else {
        assert!(user.get("role").is_none(), "{user}");
        return Vec::new();
    };
    let slug = |role: &Value| role["slug"].as_str().expect("a slug").to_owned();
    let slugs: Vec<String> = roles.as_array().expect("a list").iter().map(slug).collect();
    assert_eq!(Some(slug(&user["role"])), slugs.first().cloned(), "{user}");
    slugs
}

/// The events of the directory, without alarms.
fn log(app: &TestApp) -> Vec<(String, Value)> {
    let events = app.events(&app.directory).into_iter();
    events.filter(|(name, _)| !name.starts_with("rollbook.alarm.")).collect()
}

/// The events from the `from`th on.
fn since(app: &TestApp, from: usize) -> Vec<(String, Value)> {
    log(app).split_off(from)
}

fn told(app: &TestApp) -> usize {
    log(app).len()
}

#[track_caller]
fn change_members(app: &TestApp, id: &str, op: &str, members: &[&str]) -> Answer {
    let value: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    let operation = json!([{"op": op, "path": "members", "value": value}]);
    app.scim.patch(&format!("/Groups/{id}?attributes=id"), patch(operation)).expect(200)
}

#[track_caller]
fn new_user(app: &TestApp, name: &str) -> String {
    app.scim.post("/Users", super::plain_user(name)).expect(201).id()
}

#[track_caller]
fn new_group(app: &TestApp, name: &str, members: &[&str]) -> String {
    app.scim.post("/Groups", group(name, members)).expect(201).id()
}

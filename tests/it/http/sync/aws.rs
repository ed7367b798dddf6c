//! `pull.aws` against moto, which compares every signature and asks its policies about every call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Source;
use crate::on_both_databases;
use crate::support::{Database, IdentityStore, TestApp};

on_both_databases![identity_store_is_read_exactly_and_followed];

fn reader<'a>(app: &'a TestApp, config: Value) -> Source<'a> {
    Source::new(app, "pull.aws", config, json!({"schedule": "off"}))
}

/// Everything of a list of the read API.
fn listed(app: &TestApp, path: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = app.api.get(&format!("{path}&limit=100{after}")).expect(200).body;
        all.extend(page["data"].as_array().expect("a list").iter().cloned());
        match page["list_metadata"]["after"].as_str() {
            Some(id) => after = format!("&after={id}"),
            None => return all,
        }
    }
}

/// Users and groups of a directory in the form in which the vendor's client tells them.
fn stored(source: &Source<'_>) -> Value {
    let text = |value: &Value, name: &str| value[name].as_str().expect(name).to_owned();
    let (app, id) = (source.app, &source.handle.id);
    let users = listed(app, &format!("/directory_users?directory={id}"));
    let users: BTreeMap<String, String> =
        users.iter().map(|user| (text(user, "idp_id"), text(user, "username"))).collect();
    let groups = listed(app, &format!("/directory_groups?directory={id}"));
    let groups: BTreeMap<String, Value> = groups
        .iter()
        .map(|group| {
            let members = listed(app, &format!("/directory_users?group={}", text(group, "id")));
            let members: BTreeSet<String> =
                members.iter().map(|user| text(user, "idp_id")).collect();
            (text(group, "idp_id"), json!({"name": text(group, "name"), "members": members}))
        })
        .collect();
    json!({"users": users, "groups": groups})
}

/// Ids in the order of the names.
fn by_name(listed: &Value, list: &str) -> Vec<String> {
    let members = listed[list].as_object().expect("an object");
    let name = |value: &Value| value["name"].as_str().or(value.as_str()).map(str::to_owned);
    let mut ids: Vec<_> = members.iter().map(|(id, value)| (name(value), id.clone())).collect();
    ids.sort_unstable();
    ids.into_iter().map(|(_, id)| id).collect()
}

fn identity_store_is_read_exactly_and_followed(app: &TestApp) {
    let Some(mut store) = IdentityStore::start() else { return };
    store.tell(&json!({"do": "load", "users": 500, "groups": 40}));
    let source = reader(app, store.config("reader"));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    let found = [&tested["ok"], &tested["users"], &tested["groups"]];
    assert_eq!(found, [&json!(true), &json!(500), &json!(40)], "{tested}");

    let run = source.sync();
    let there = store.tell(&json!({"do": "list"}));
    assert_eq!(stored(&source), there, "{run}");
    let (users, groups) = (by_name(&there, "users"), by_name(&there, "groups"));
    let first = source.user(&users[7]);
    assert_eq!(first["raw_attributes"]["timezone"], "Europe/Berlin");
    assert_eq!(first["job_title"], "Engineer 0");
    assert_eq!(first["emails"][0]["value"], "aws0007@corp.example");
    assert_eq!((&first["first_name"], &first["state"]), (&json!("Ada"), &json!("active")));

    let told = source.events();
    let again = source.sync();
    assert_eq!(again["counts"]["users"]["unchanged"], 500, "{again}");
    assert_eq!(source.told(told), [""; 0]);

    // One comes, one is renamed, one is disabled and one enabled again, one goes; memberships and a group
    // go with it.
    let new = store.tell(&json!({"do": "create_user", "name": "zoe"}))["id"].clone();
    let new = new.as_str().expect("an id").to_owned();
    store.tell(&json!({"do": "rename", "id": users[1], "name": "lane"}));
    store.tell(&json!({"do": "disable", "id": users[2]}));
    store.tell(&json!({"do": "delete_user", "id": users[3]}));
    store.tell(&json!({"do": "delete_group", "id": groups[39]}));
    store.tell(&json!({"do": "add_member", "group": groups[5], "user": new}));
    store.tell(&json!({"do": "remove_member", "group": groups[0], "user": users[4]}));
    let run = source.sync();
    assert_eq!(stored(&source), store.tell(&json!({"do": "list"})), "{run}");
    let mut seen = source.told(told);
    seen.sort_unstable();
    let mut expected = vec![
        format!("user.created {new}"),
        format!("user.updated {}", users[1]),
        format!("user.updated {}", users[2]),
        format!("user.deleted {}", users[3]),
        format!("group.user_removed {} {}", users[3], groups[0]),
        format!("group.user_removed {} {}", users[3], groups[3]),
        format!("group.deleted {}", groups[39]),
        format!("group.user_added {new} {}", groups[5]),
        format!("group.user_removed {} {}", users[4], groups[0]),
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!(source.user(&users[2])["state"], "inactive");
    let told = source.events();
    store.tell(&json!({"do": "enable", "id": users[2]}));
    source.sync();
    assert_eq!(source.told(told), [format!("user.updated {}", users[2])]);
    assert_eq!(source.user(&users[2])["state"], "active");
}

#[test]
fn wrong_keys_change_nothing_and_a_role_is_assumed() {
    let app = &TestApp::start(Database::sqlite());
    let Some(mut store) = IdentityStore::start() else { return };
    store.tell(&json!({"do": "load", "users": 6, "groups": 2}));
    let source = reader(app, store.config("reader"));
    source.sync();
    let (told, before) = (source.events(), stored(&source));
    let secret = "wrong/0123456789+0123456789";
    let config = |name: &str, value: &Value| json!({"config": {name: value}});
    let right = store.config("reader");
    for (name, wrong, words) in [
        ("secret_access_key", json!(secret), "SignatureDoesNotMatch"),
        ("access_key_id", json!("AKIAIOSFODNN7EXAMPLE"), "security token included in the request"),
        (
            "access_key_id",
            store.config("assumer")["access_key_id"].clone(),
            "SignatureDoesNotMatch",
        ),
    ] {
        app.api.patch(&source.path, config(name, &wrong)).expect(200);
        let run = source.run(json!({}));
        assert_eq!(run["status"], "failed", "{run}");
        let error = run["error"].as_str().expect("an error");
        assert!(error.contains(words) && !error.contains(secret), "{error}");
        assert_eq!(source.view()["state"], "invalid_credentials");
        assert_eq!((source.events(), stored(&source)), (told, before.clone()));
        app.api.patch(&source.path, config(name, &right[name])).expect(200);
    }
    // A key that may do nothing here.
    let assumer = store.config("assumer");
    app.api.patch(&source.path, json!({"config": assumer})).expect(200);
    let run = source.run(json!({}));
    let error = run["error"].as_str().expect("an error");
    assert!(error.contains("not authorized to perform: identitystore:ListUsers"), "{error}");
    assert_eq!(source.view()["state"], "invalid_credentials");
    // The role may read; whoever does not know its external id does not get it.
    let role = |external_id: &str| json!({"config": {"role_arn": store.about("role_arn"), "external_id": external_id}});
    app.api.patch(&source.path, role("guessed")).expect(200);
    let run = source.run(json!({}));
    let error = run["error"].as_str().expect("an error");
    assert!(error.starts_with("the role cannot be assumed: ") && error.contains("sts:AssumeRole"));
    assert_eq!(source.view()["state"], "invalid_credentials");
    app.api.patch(&source.path, role(store.about("external_id").as_str().expect("it"))).expect(200);
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["unchanged"], 6, "{run}");
    assert_eq!(source.view()["state"], "linked");
    assert_eq!((source.events(), stored(&source)), (told, before));
}

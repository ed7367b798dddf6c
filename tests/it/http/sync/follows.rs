//! What follows from a change of a user follows where a source has made it, too: roles, identities, and the
//! tokens that security systems get.

use std::sync::Arc;

use serde_json::{Value, json};

use rollbook::auth::jwt::{self, Algorithm, KeySet};

use super::Source;
use crate::on_both_databases;
use crate::support::{DirectoryHandle, TestApp};

on_both_databases![roles_identities_and_security_events_come_of_what_a_source_says];

/// The events of each security event token that waits, with the reason that it gives.
fn tokens(app: &TestApp, stream: &str) -> Vec<(String, Value)> {
    app.settle_events();
    let body = json!({"returnImmediately": true});
    let answer = app.api.post(&format!("/ssf/streams/{stream}/poll"), body).expect(200).body;
    let keys = app.api.with_bearer(None).get("/jwks.json").expect(200).body;
    let keys = KeySet::strict(&keys).expect("a key set");
    let claims = |token: &Value| {
        let token = token.as_str().expect("a token");
        let (claims, _) =
            jwt::verified::<Value>(token, &keys, &[Algorithm::RS256]).expect("a signature");
        let events = claims["events"].as_object().expect("events");
        let (uri, event) = events.iter().next().expect("one");
        (uri.rsplit(['/', ':']).next().unwrap_or_default().to_owned(), event.clone())
    };
    answer["sets"].as_object().expect("sets").values().map(claims).collect()
}

fn roles_identities_and_security_events_come_of_what_a_source_says(app: &TestApp) {
    let body = json!({"name": "Company",
        "domain_data": [{"domain": "example.com", "state": "verified"}]});
    let organization = app.api.post("/organizations", body).expect(201).id();
    let company = format!("/api/v1/organizations/{organization}");
    let handle = DirectoryHandle { organization_id: organization, ..app.directory.clone() };
    let body = json!({"organization_id": handle.organization_id, "name": "HR", "kind": "pull.csv",
        "settings": {"guard": "off"}});
    let made = app.api.post("/api/v1/directories", body).expect(201).id();
    let source = Source {
        app,
        path: format!("/api/v1/directories/{made}"),
        handle: DirectoryHandle { id: made, ..handle },
    };
    let none = json!({"directory_id": null});
    app.api.put(&format!("{company}/primary_directory"), none).expect(200);
    app.settle_identities();
    let people = |status: &str, groups: &str| {
        format!(
            "id,userName,email,status,groups\n1,ada,ada@example.com,{status},{groups}\n\
             2,ben,ben@example.com,active,Staff\n"
        )
    };
    source.sync_users(&people("active", "Staff;Heads"));
    let listed = app.api.get(&format!("/directory_groups?directory={}", source.handle.id));
    let groups = listed.expect(200).body["data"].as_array().expect("a list").clone();
    let heads =
        groups.iter().find(|group| group["name"] == "Heads").expect("the group")["id"].clone();
    let map = json!({"rules": [{"role": "head", "group": heads}]});
    app.api.put(&format!("{}/role_map", source.path), map).expect(200);
    let settle = || {
        let service = Arc::clone(app.service());
        app.wait(async move { service.apply_mappings().await }).expect("maps are applied");
        app.settle_identities();
    };
    settle();
    let roles = || {
        let user = source.user("1");
        let roles = user["roles"].as_array().cloned().unwrap_or_default();
        roles
            .iter()
            .map(|role| role["slug"].as_str().expect("a slug").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(roles(), ["head"]);
    let user = source.user("1")["id"].as_str().expect("an id").to_owned();
    let identity = || {
        let path = format!("{company}/identities?user_id={user}");
        let found = app.api.get(&path).expect(200).body["data"].clone();
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        found[0].clone()
    };
    assert_eq!(identity()["state"], "active");

    app.settle_events();
    let stream = app.api.post("/ssf/streams", json!({})).expect(201).body;
    let stream = stream["stream_id"].as_str().expect("an id").to_owned();
    // A group is left: the role goes with it. Then the account is suspended, and then it is gone.
    source.sync_users(&people("active", "Staff"));
    settle();
    assert_eq!(roles(), [] as [String; 0]);
    source.sync_users(&people("suspended", "Staff"));
    settle();
    assert_eq!(identity()["state"], "inactive");
    let told = tokens(app, &stream);
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"session-revoked") && names.contains(&"account-disabled"), "{told:?}");
    source.sync_users("id,userName,email,status,groups\n2,ben,ben@example.com,active,Staff\n");
    settle();
    assert_eq!(
        source.reasons().last().map(|(_, reason)| reason.as_deref()),
        Some(Some("pull_missing"))
    );
    let names: Vec<String> = tokens(app, &stream).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"account-purged".to_owned()), "{names:?}");
}

//! What an operator sees of directories that are read, and how their runs come about.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use rollbook::store::StoreError;

use super::{Source, numbered};
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{FakeSource, TestApp, Told};

on_both_databases![
    kinds_are_published_with_their_schemas,
    nobody_pushes_into_a_directory_that_is_read,
    key_that_is_limited_to_organizations_opens_nothing_of_the_operators,
    stopped_directory_is_not_read,
    schedule_reads_by_itself_and_backs_off,
    run_of_a_killed_process_is_taken_over_when_its_lease_ends,
    run_that_stood_still_takes_nothing_away,
    deleted_directory_leaves_nothing,
    settings_of_a_dry_run_are_checked_as_those_in_force,
];

fn kinds_are_published_with_their_schemas(app: &TestApp) {
    let kinds = app.api.get("/api/v1/connectors").expect(200).body;
    for kind in kinds["data"].as_array().expect("a list") {
        let name = kind["kind"].as_str().expect("a name");
        let shown = app.api.get(&format!("/api/v1/connectors/{name}")).expect(200).body;
        assert_eq!(shown["config_schema"]["additionalProperties"], false, "{name}");
        assert!(shown["operator_only"].as_array().is_some_and(|names| !names.is_empty()), "{name}");
    }
    let path = "/api/v1/directories";
    let body = |kind: &str| {
        json!({"organization_id": app.directory.organization_id, "name": "S", "kind": kind,
            "config": {"colour": "blue"}})
    };
    assert_invalid(&app.api.post(path, body("pull.csv")), "config.colour");
    assert_invalid(&app.api.post(path, body("scim.okta")), "config");
    assert_invalid(&app.api.post(path, body("pull.pigeon")), "kind");
    let unknown = app.api.get("/api/v1/connectors/pull.pigeon");
    api_error(&unknown, 404, "entity_not_found");
    let message = unknown.body["message"].as_str().expect("a message");
    assert!(message.contains("pull.pigeon") && message.contains("pull.csv"), "{message}");
}

fn key_that_is_limited_to_organizations_opens_nothing_of_the_operators(app: &TestApp) {
    let body = json!({"name": "Limited", "scopes": ["manage"],
        "organization_ids": [app.directory.organization_id]});
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    let limited = app.api.with_bearer(made.body["secret"].as_str());
    let new = |kind: &str, config: Value| {
        json!({"organization_id": app.directory.organization_id, "name": "S", "kind": kind,
            "settings": {"schedule": "off"}, "config": config})
    };
    let server = |more: Value| {
        let mut config = json!({"base_url": "https://scim.example.com/v2", "token": "secret-1"});
        config.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        config
    };
    let (path, open) = ("/api/v1/directories", json!({"allow_private_network": true}));
    let refused = limited.post(path, new("pull.scim", server(open.clone())));
    assert_invalid(&refused, "config.allow_private_network");
    let refused = limited.post(path, new("pull.csv", json!({"watch": true})));
    assert_invalid(&refused, "config.watch");
    // What is there without it is as good as not said.
    let closed = server(json!({"allow_private_network": false}));
    let made = limited.post(path, new("pull.scim", closed)).expect(201);
    let path = format!("{path}/{}", made.id());
    assert_invalid(&limited.patch(&path, json!({"config": open})), "config.allow_private_network");
    limited
        .patch(&path, json!({"config": {"base_url": "https://other.example.com/v2", "token": "t"}}))
        .expect(200);

    // What the operator has opened is not closed by it, nor led elsewhere; all else is the key's.
    let inside = json!({"base_url": "http://10.0.0.7/v2", "token": "secret-2", "allow_private_network": true});
    let shown = app.api.patch(&path, json!({"config": inside})).expect(200).body["config"].clone();
    limited.patch(&path, json!({"config": {"page_size": 50, "token": "secret-3"}})).expect(200);
    limited.patch(&path, json!({"config": {"allow_private_network": true}})).expect(200);
    let refused = limited.patch(&path, json!({"config": {"allow_private_network": null}}));
    assert_invalid(&refused, "config.allow_private_network");
    let elsewhere = json!({"base_url": "http://10.0.0.1/v2", "token": "t"});
    assert_invalid(&limited.patch(&path, json!({"config": elsewhere})), "config.base_url");
    let stands = app.api.get(&path).expect(200).body["config"].clone();
    assert_eq!((&stands["base_url"], &stands["page_size"]), (&shown["base_url"], &json!(50)));
}

fn nobody_pushes_into_a_directory_that_is_read(app: &TestApp) {
    let source = Source::csv(app);
    let post = |part: &str, body: Value| app.api.post(&format!("{}/{part}", source.path), body);
    api_error(&post("tokens", json!({})), 409, "not_pushable");
    let client = json!({"auth_method": "client_secret"});
    api_error(&post("oauth_clients", client), 409, "not_pushable");
    let settings = json!({"settings": {"entra_token": {"tenant_id": "x", "audience": "y"}}});
    assert_eq!(app.api.patch(&source.path, settings).status, 422);
    // And a directory that is pushed is not read.
    let pushed = format!("/api/v1/directories/{}", app.directory.id);
    for part in ["test", "sync"] {
        let answer = app.api.post(&format!("{pushed}/{part}"), json!({}));
        api_error(&answer, 409, "not_pullable");
    }
    for (name, value) in
        [("schedule", json!("off")), ("guard", json!("off")), ("group_scope", json!(["Staff"]))]
    {
        let answer = app.api.patch(&pushed, json!({"settings": {(name): value}}));
        assert_invalid(&answer, &format!("settings.{name}"));
    }
}

fn stopped_directory_is_not_read(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=2));
    app.api.patch(&source.path, json!({"state": "paused"})).expect(200);
    let answer = app.api.post(&format!("{}/sync", source.path), json!({}));
    api_error(&answer, 409, "directory_stopped");
    app.api.patch(&source.path, json!({"state": "linked"})).expect(200);
    // The same request again is the same run.
    let path = format!("{}/sync", source.path);
    let again = || app.api.send("POST", &path, &[("Idempotency-Key", "once")], None).expect(202);
    let run = again().id();
    assert_eq!(run, again().id());
    assert_eq!(source.ended(&run)["status"], "completed");
    for (body, field) in [
        (json!({"mode": "half"}), "mode"),
        (json!({"settings": {}}), "settings"),
        (json!({"dry_run": true, "settings": {"filter": "payload."}}), "settings.filter"),
    ] {
        assert_invalid(&app.api.post(&format!("{}/sync", source.path), body), field);
    }
    let missing = format!("{}/syncs/sync_01ARZ3NDEKTSV4RRFFQ69G5FAV", source.path);
    api_error(&app.api.get(&missing), 404, "entity_not_found");
}

fn schedule_reads_by_itself_and_backs_off(app: &TestApp) {
    let settings = json!({"schedule": {"every": "1h"}});
    let source = Source::new(app, "pull.csv", json!({}), settings);
    let minutes = |source: &Source<'_>| {
        let view = source.view();
        let at = |text: &Value| {
            let text = text.as_str().expect("a time");
            rollbook::scim::key::instant_ms(text).expect("a time")
        };
        (at(&view["next_sync_at"]) - app.clock.now_ms()) / 60_000
    };
    let run = source.next_run(1);
    assert_eq!((&run["status"], &run["cause"]), (&json!("failed"), &json!("schedule")), "{run}");
    assert_eq!(source.view()["state"], "error");
    assert!(minutes(&source) <= 1, "a source that fails is read again soon");
    source.upload("users", &numbered(1..=2));
    app.clock.advance(Duration::from_secs(120));
    let run = source.next_run(2);
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(source.view()["state"], "linked");
    assert!((53..=66).contains(&minutes(&source)), "{}", minutes(&source));
    let metrics = app.api.get("/metrics").text;
    assert!(metrics.contains("rollbook_sync_runs_total{kind=\"pull.csv\",status=\"failed\"} 1"));
}

fn run_of_a_killed_process_is_taken_over_when_its_lease_ends(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("users", &numbered(1..=3));
    let (service, now) = (Arc::clone(app.service()), app.clock.now_ms());
    let id = source.handle.id.clone();
    // Somebody else has the directory, and a third of the run done, when it dies.
    let taken: Result<bool, StoreError> = app.wait(async move {
        let ask = move |tx: &mut rollbook::store::Tx<'_>| {
            let key = tx.directory_get(&id)?.expect("the directory").key;
            tx.sync_hold(key, "", now + 20_000)
        };
        service.store.write("test", ask).await
    });
    assert!(taken.expect("a lease"));
    let asked = app.api.post(&format!("{}/sync", source.path), json!({})).expect(202);
    let path = format!("{}/syncs/{}", source.path, asked.id());
    // The server has looked since, because it was told to.
    assert_eq!(app.api.get(&format!("{path}?wait=1")).expect(200).body["status"], "pending");
    app.clock.advance(Duration::from_secs(21));
    assert_eq!(source.ended(&asked.id())["status"], "completed");
    assert_eq!(source.users().len(), 3);
}

fn run_that_stood_still_takes_nothing_away(app: &TestApp) {
    let users = |count: usize| {
        let user = |n: usize| json!({"id": n.to_string(), "userName": format!("user{n}")});
        let users: Vec<Value> = (1..=count).map(user).collect();
        Told::json(&json!({"totalResults": count, "Resources": users}))
    };
    let is_list = |path: &str| path.starts_with("/Users");
    let fake = FakeSource::start(move |path| users(if is_list(path) { 5 } else { 0 }));
    let config = json!({"base_url": fake.url, "token": "x", "allow_private_network": true});
    let source = Source::new(app, "pull.scim", config, json!({"schedule": "off"}));
    source.sync();
    let (told, clock, mut times) = (source.events(), app.clock.clone(), 0);
    // It wakes with a list that says somebody has left, when another process may have the directory already and
    // have read that nobody has.
    fake.answer(move |path| {
        if !is_list(path) {
            return users(0);
        }
        times += 1;
        if times > 1 {
            return users(5);
        }
        clock.advance(Duration::from_secs(16));
        users(4)
    });
    fake.asked();
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], source.told(told)), (&json!("completed"), vec![]), "{run}");
    let lists = fake.asked().iter().filter(|path| is_list(path)).count();
    assert_eq!((lists, source.users().len()), (2, 5));
}

fn deleted_directory_leaves_nothing(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=3));
    app.api.delete(&source.path).expect(202);
    app.purge();
    app.api.get(&source.path).expect(404);
    api_error(&app.api.get(&format!("{}/syncs", source.path)), 404, "entity_not_found");
}

fn settings_of_a_dry_run_are_checked_as_those_in_force(app: &TestApp) {
    let source = Source::csv(app);
    let refused = |settings: Value, field: &str| {
        let path = format!("{}/sync", source.path);
        let body = json!({"dry_run": true, "settings": settings});
        assert_invalid(&app.api.post(&path, body), field);
        assert_invalid(&app.api.patch(&source.path, json!({"settings": settings})), field);
    };
    refused(json!([]), "settings");
    refused(json!("no JSON"), "settings");
    refused(json!({"group_scope": "Staff"}), "settings.group_scope");
    refused(json!({"profile": {"no_such_thing": true}}), "settings.profile.no_such_thing");
}

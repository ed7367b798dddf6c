//! The state of a directory follows from its runs, and that of its users from the source.

use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};

use super::{Source, numbered};
use crate::http::api_error;
use crate::on_both_databases;
use crate::support::{FakeSource, TestApp, Told};

on_both_databases![
    state_of_a_directory_follows_from_each_run,
    suspended_users_are_told_apart_by_the_management_api,
    guard_takes_the_place_of_the_brake,
    held_run_ends_with_what_it_was_read_by,
    change_during_a_run_is_not_undone_by_its_end,
    source_that_lists_no_groups_any_more_is_held,
];

fn empty_list(_: &str) -> Told {
    Told::json(&json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 0}))
}

fn state_of_a_directory_follows_from_each_run(app: &TestApp) {
    let fake = FakeSource::start(|_| Told::status(401, "", "no"));
    let config = json!({"base_url": fake.url, "token": "s3cret-of-the-source-0123",
        "allow_private_network": true});
    let source = Source::new(app, "pull.scim", config, json!({"schedule": "off"}));
    let state = || source.view()["state"].as_str().expect("a state").to_owned();
    let shown = || {
        let path = format!("/directories/{}", source.handle.id);
        app.api.get(&path).expect(200).body["state"].as_str().expect("a state").to_owned()
    };
    let refuse = |_: &str| Told::status(401, "", "no");
    let fail = |_: &str| Told::status(400, "", "{\"detail\": \"broken\"}");
    let run = |body: Value| source.run(body)["status"].as_str().expect("a status").to_owned();
    assert_eq!(state(), "validating");
    // A dry run tries it, and decides nothing.
    run(json!({"dry_run": true}));
    assert_eq!(state(), "validating");
    // Each state by the run that ends in it, and from each to each.
    let good: fn(&str) -> Told = empty_list;
    for (answer, status, expected, in_read_api) in [
        (refuse as fn(&str) -> Told, "failed", "invalid_credentials", "invalid_credentials"),
        (fail, "failed", "error", "linked"),
        (good, "completed", "linked", "linked"),
        (refuse, "failed", "invalid_credentials", "invalid_credentials"),
        (good, "completed", "linked", "linked"),
        (fail, "failed", "error", "linked"),
        (refuse, "failed", "invalid_credentials", "invalid_credentials"),
        (fail, "failed", "error", "linked"),
        (good, "completed", "linked", "linked"),
    ] {
        fake.answer(answer);
        assert_eq!(run(json!({})), status);
        assert_eq!((state().as_str(), shown().as_str()), (expected, in_read_api));
        let error = source.view()["last_error"].clone();
        assert_eq!(error.is_null(), expected == "linked", "{error}");
    }
    // The app is told of the directory once, after the first good read.
    let told = app.events(&source.handle).into_iter().filter(|(name, _)| name == "dsync.activated");
    assert_eq!(told.count(), 1);
    // What an operator has stopped is not started by a run, and asks for none.
    for (word, in_read_api) in [("paused", "unlinked"), ("disabled", "unlinked")] {
        app.api.patch(&source.path, json!({"state": word})).expect(200);
        assert_eq!((state().as_str(), shown().as_str()), (word, in_read_api));
        let asked = app.api.post(&format!("{}/sync", source.path), json!({}));
        api_error(&asked, 409, "directory_stopped");
    }
    app.api.patch(&source.path, json!({"state": "linked"})).expect(200);
    assert_eq!(run(json!({})), "completed");
    assert_eq!(state(), "linked");
}

fn suspended_users_are_told_apart_by_the_management_api(app: &TestApp) {
    let source = Source::csv(app);
    let file = |states: [&str; 3]| {
        let [one, two, three] = states;
        format!("id,userName,status\n1,a,{one}\n2,b,{two}\n3,c,{three}\n")
    };
    source.sync_users(&file(["active", "suspended", "inactive"]));
    let accounts = || -> Vec<[Value; 4]> {
        let listed = app.api.get(&format!("{}/users", source.path)).expect(200).body;
        let mut accounts: Vec<Value> = listed["data"].as_array().expect("a list").clone();
        accounts.sort_by_key(|account| account["idp_id"].to_string());
        let names = ["idp_id", "state", "suspended_by", "type"];
        accounts.iter().map(|account| names.map(|name| account[name].clone())).collect()
    };
    let row = |id: &str, state: &str, by: Value| [json!(id), json!(state), by, json!("user")];
    let none = || Value::Null;
    assert_eq!(
        accounts(),
        [
            row("1", "active", none()),
            row("2", "suspended", json!("source")),
            row("3", "inactive", none())
        ]
    );
    assert_eq!(source.users()["2"], "b inactive");
    assert_eq!(source.user("2")["raw_attributes"]["accountState"], "suspended");
    source.sync_users(&file(["suspended", "active", "inactive"]));
    let reason = ("dsync.user.updated".to_owned(), Some("pull_suspended".to_owned()));
    assert_eq!(source.reasons(), [reason]);
    assert_eq!(accounts()[0], row("1", "suspended", json!("source")));
    assert_eq!(accounts()[1], row("2", "active", none()));
    // What has ended leaves nothing.
    assert!(source.user("2")["raw_attributes"].get("accountState").is_none());
    let page = app.api.get(&format!("{}/users?limit=2", source.path)).expect(200).body;
    assert_eq!(page["data"].as_array().map(Vec::len), Some(2));
    assert!(page["list_metadata"]["after"].is_string(), "{page}");
}

fn guard_takes_the_place_of_the_brake(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=10));
    let brake = |body: Value| app.api.put(&format!("{}/brake", source.path), body);
    api_error(&brake(json!({"mode": "hold"})), 409, "not_pushable");
    let settings = json!({"settings": {"brake": "hold"}});
    assert_eq!(app.api.patch(&source.path, settings).status, 422);
    let run = source.sync_users(&numbered(1..=3));
    assert_eq!(run["status"], "held");
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    // What was approved is told, and counted by no brake.
    let deleted = source.told(0).into_iter().filter(|name| name.starts_with("user.deleted"));
    assert_eq!(deleted.count(), 7);
    let shown = app.api.get(&format!("{}/brake", source.path)).expect(200).body;
    let counted = [&shown["state"], &shown["lately"]["users"], &shown["held"]["events"]];
    assert_eq!(counted, [&json!("open"), &json!(0), &json!(0)], "{shown}");
    let alarms = app.api.get("/api/v1/alarms?kind=brake&state=all").expect(200).body;
    assert_eq!(alarms["data"], json!([]));
}

fn held_run_ends_with_what_it_was_read_by(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=10));
    let run = source.sync_users("id,userName\n");
    assert_eq!(run["status"], "held");
    app.api.patch(&source.path, json!({"settings": {"filter": "resource != '1'"}})).expect(200);
    api_error(&source.decide(&run, "approve"), 409, "not_held");
    assert_eq!(source.ended(run["id"].as_str().expect("an id"))["status"], "cancelled");
    let alarms = app.api.get("/api/v1/alarms").expect(200).body;
    assert_eq!(alarms["data"], json!([]));
    assert_eq!(source.users().len(), 10);
}

/// A source whose answer waits until the test says so: it tells when it is asked.
fn waiting() -> (FakeSource, Receiver<()>, Sender<()>) {
    let (asked, is_asked) = channel();
    let (go_on, may) = channel::<()>();
    let mut held = Some((asked, may));
    let fake = FakeSource::start(move |path| {
        if path.starts_with("/Users")
            && let Some((asked, may)) = held.take()
        {
            asked.send(()).expect("the test waits");
            may.recv().expect("the test goes on");
        }
        let user = json!({"id": "u1", "userName": "u1@example.com"});
        let users = if path.starts_with("/Users") { vec![user] } else { Vec::new() };
        Told::json(&json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": users.len(), "Resources": users}))
    });
    (fake, is_asked, go_on)
}

fn reader<'a>(app: &'a TestApp, fake: &FakeSource, settings: Value) -> Source<'a> {
    let config = json!({"base_url": fake.url, "token": "s3cret-of-the-source-0123",
        "allow_private_network": true});
    Source::new(app, "pull.scim", config, settings)
}

fn change_during_a_run_is_not_undone_by_its_end(app: &TestApp) {
    let (fake, is_asked, go_on) = waiting();
    let source = reader(app, &fake, json!({"schedule": {"every": "1h"}}));
    is_asked.recv().expect("the source is read");
    let settings = json!({"schedule": {"every": "1h"}, "filter": "resource != 'u1'"});
    app.api.patch(&source.path, json!({"settings": settings})).expect(200);
    go_on.send(()).expect("the source waits");
    // It is read again at once, completely, by the filter as it is now.
    loop {
        let runs = app.api.get(&format!("{}/syncs", source.path)).expect(200).body;
        let runs = runs["data"].as_array().expect("a list").clone();
        if runs.len() == 2 && runs[0]["finished_at"].is_string() {
            assert_eq!(
                (&runs[0]["status"], &runs[0]["mode"]),
                (&json!("completed"), &json!("full"))
            );
            break;
        }
        std::thread::yield_now();
    }
    assert_eq!(source.users().len(), 0);
}

fn source_that_lists_no_groups_any_more_is_held(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("memberships", "group,member\na,1\nb,1\nc,1\n");
    source.sync_users(&numbered(1..=2));
    source.upload("memberships", "group,member\n");
    let run = source.run(json!({}));
    assert_eq!((&run["status"], &run["held"]["reason"]), (&json!("held"), &json!("groups_empty")));
}

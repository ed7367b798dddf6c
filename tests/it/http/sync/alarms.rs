//! Alarms of directories that are read.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Source, numbered};
use crate::on_both_databases;
use crate::support::{FakeSource, TestApp, Told};

on_both_databases![
    held_run_is_an_alarm_until_somebody_decides,
    failures_are_an_alarm_when_they_go_on,
    refused_credentials_are_an_alarm_at_once,
    objects_that_keep_leavers_are_an_alarm,
    memberships_that_stay_are_an_alarm,
    what_a_complete_read_complains_of_stands_until_one_is_clean,
];

fn alarms(app: &TestApp, state: &str) -> Vec<Value> {
    let listed = app.api.get(&format!("/api/v1/alarms?state={state}")).expect(200).body;
    listed["data"].as_array().expect("a list").clone()
}

/// The only alarm that stands.
#[track_caller]
fn standing(app: &TestApp) -> Value {
    let alarms = alarms(app, "raised");
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    alarms[0].clone()
}

fn watch(app: &TestApp) {
    let service = Arc::clone(app.service());
    app.wait(async move { service.watch_alarms().await }).expect("a look");
}

fn held_run_is_an_alarm_until_somebody_decides(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=10));
    assert_eq!(alarms(app, "all"), [] as [Value; 0]);
    let run = source.sync_users(&numbered(1..=4));
    assert_eq!(run["status"], "held");
    let alarm = standing(app);
    assert_eq!((&alarm["kind"], &alarm["subject"]), (&json!("run_held"), &source.view()["id"]));
    assert_eq!(
        (&alarm["detail"]["users"], &alarm["detail"]["reason"]),
        (&json!(6), &json!("users"))
    );
    // The next read finds the same: that is no news.
    source.run(json!({}));
    watch(app);
    assert_eq!(standing(app)["id"], alarm["id"]);
    assert!(app.api.get("/metrics").text.contains("rollbook_alarms{kind=\"run_held\"} 1"));
    // Another number is.
    let run = source.sync_users(&numbered(1..=3));
    assert_ne!(standing(app)["id"], alarm["id"]);
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
    // A source that has recovered decides as well.
    source.sync_users("id,userName\n");
    assert!(standing(app)["message"].as_str().is_some_and(|text| text.contains("lists nobody")));
    source.sync_users(&numbered(1..=3));
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
    assert_eq!(alarms(app, "resolved").len(), 3);
    // What a dry run would do needs nobody.
    source.upload("users", "id,userName\n");
    let dry = source.run(json!({"dry_run": true}));
    assert_eq!(dry["held"]["reason"], "source_empty", "{dry}");
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
}

fn failures_are_an_alarm_when_they_go_on(app: &TestApp) {
    let source = Source::csv(app);
    for _ in 0..2 {
        assert_eq!(source.run(json!({}))["status"], "failed");
        assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
    }
    source.run(json!({}));
    let alarm = standing(app);
    assert_eq!((&alarm["kind"], &alarm["detail"]["failures"]), (&json!("run_failed"), &json!(3)));
    // A directory that is stopped fails no more.
    app.api.patch(&source.path, json!({"state": "paused"})).expect(200);
    watch(app);
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
    app.api.patch(&source.path, json!({"state": "linked"})).expect(200);
    source.run(json!({}));
    standing(app);
    source.sync_users(&numbered(1..=2));
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
    // With the directory its alarms go.
    source.upload("users", "x\n1\n");
    for _ in 0..3 {
        source.run(json!({}));
    }
    standing(app);
    app.api.delete(&source.path).expect(202);
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
}

fn refused_credentials_are_an_alarm_at_once(app: &TestApp) {
    let fake = FakeSource::start(|_| Told::status(401, "", "{\"detail\": \"token revoked\"}"));
    let config = json!({"base_url": fake.url, "token": "s3cret-of-the-source-0123",
        "allow_private_network": true});
    let source = Source::new(app, "pull.scim", config, json!({"schedule": "off"}));
    source.run(json!({}));
    let alarm = standing(app);
    let detail = (&alarm["kind"], &alarm["detail"]["state"]);
    assert_eq!(detail, (&json!("run_failed"), &json!("invalid_credentials")));
    let text = alarm.to_string();
    assert!(!text.contains("s3cret"), "{text}");
    fake.answer(|_| {
        Told::json(&json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": 0}))
    });
    source.sync();
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
}

fn objects_that_keep_leavers_are_an_alarm(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"max_errors": 5}), json!({}));
    source.sync_users("id,userName,Status\n1,a,active\n2,b,active\n");
    // A faulty row keeps nobody who is listed: that is in the diff.
    source.sync_users("id,userName,Status\n1,a,active\n2,b,active\n3,c,perhaps\n");
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
    source.sync_users("id,userName,Status\n1,a,active\n3,c,perhaps\n");
    let alarm = standing(app);
    assert_eq!((&alarm["kind"], &alarm["detail"]["spared"]), (&json!("run_failed"), &json!(1)));
    assert_eq!(source.users().len(), 2);
    source.sync_users("id,userName,Status\n1,a,active\n");
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
    assert_eq!(source.users().len(), 1);
}

fn memberships_that_stay_are_an_alarm(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"max_errors": 5}), json!({}));
    let (users, odd) = ("id,userName,Status\n1,a,active\n2,b,active\n", "3,c,perhaps\n");
    source.upload("memberships", "group,member\neng,1\neng,2\n");
    source.sync_users(users);
    source.upload("memberships", "group,member\neng,1\n");
    let run = source.sync_users(&format!("{users}{odd}"));
    assert_eq!(run["counts"]["memberships"]["removed"], 0, "{run}");
    let alarm = standing(app);
    assert_eq!((&alarm["kind"], &alarm["detail"]["spared"]), (&json!("run_failed"), &json!(1)));
    assert!(alarm["message"].as_str().is_some_and(|text| text.contains("group or membership")));
    let run = source.sync_users(users);
    assert_eq!(run["counts"]["memberships"]["removed"], 1, "{run}");
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
}

/// A SCIM server with users of these ids and names, who have not changed for long.
fn server(users: &'static [(&'static str, &'static str)]) -> impl FnMut(&str) -> Told + Send {
    move |path: &str| {
        let lists_all = path.starts_with("/Users") && !path.contains("lastModified");
        let meta = json!({"lastModified": "2026-01-01T00:00:00Z"});
        let user = |(id, name): &(&str, &str)| json!({"id": id, "userName": name, "meta": meta});
        let listed: Vec<Value> = users.iter().filter(|_| lists_all).map(user).collect();
        match path.starts_with("/ServiceProviderConfig") {
            true => Told::status(404, "", "{}"),
            false => Told::json(&json!({"totalResults": listed.len(), "Resources": listed})),
        }
    }
}

fn what_a_complete_read_complains_of_stands_until_one_is_clean(app: &TestApp) {
    let fake = FakeSource::start(server(&[("1", "ada"), ("2", "ben"), ("3", "cleo")]));
    let config = json!({"base_url": fake.url, "token": "x", "allow_private_network": true});
    let source = Source::new(app, "pull.scim", config, json!({"schedule": "off"}));
    source.sync();
    assert_eq!(source.sync()["mode"], "incremental");
    // Ben has left, and a fault keeps him.
    fake.answer(server(&[("1", "ada"), ("3", "cleo"), ("4", "")]));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], source.users().len()), (&json!("completed"), 3), "{run}");
    let (alarm, error) = (standing(app), source.view()["last_error"].clone());
    assert_eq!((&alarm["detail"]["spared"], &error), (&json!(1), &run["error"]));
    // A read of changes sees nothing of it.
    fake.answer(server(&[("1", "ada"), ("3", "cleo")]));
    let run = source.run(json!({"mode": "incremental"}));
    assert_eq!((&run["mode"], &run["error"]), (&json!("incremental"), &json!(null)), "{run}");
    assert_eq!((&standing(app)["id"], &source.view()["last_error"]), (&alarm["id"], &error));
    // The next read is a complete one, without waiting for a day.
    let run = source.sync();
    assert_eq!((&run["mode"], source.users().len()), (&json!("full"), 2), "{run}");
    assert_eq!(alarms(app, "raised"), [] as [Value; 0]);
    assert_eq!(source.view()["last_error"], json!(null));
    assert_eq!(source.sync()["mode"], "incremental");
}

//! What a hold means for those beside it: webhooks, roles, identities.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    assert_app_knows_what_there_is, brake, delete, lines, path, set_active, shown, team, tight,
    users,
};
use crate::http::plain_user;
use crate::on_both_databases;
use crate::support::{Database, ENTERPRISE, Receiver, TestApp};

on_both_databases![
    deleted_group_with_a_role_weighs_more,
    roles_by_groups_in_groups_come_back,
    what_maps_make_of_users_comes_back,
    identities_begun_in_a_hold_wait_for_its_end,
    identities_follow_what_was_told,
    undone_users_are_the_same_persons,
];

mod webhook_gets_what_waited_in_its_order {
    use super::*;

    fn check(database: Database) {
        let app = TestApp::start_with(database, |config| {
            config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
        });
        webhook_gets_what_waited_in_its_order(&app);
    }

    #[test]
    fn sqlite() {
        check(Database::sqlite());
    }

    #[test]
    fn postgres() {
        check(Database::postgres());
    }
}

fn webhook_gets_what_waited_in_its_order(app: &TestApp) {
    let (other, scim) = app.directory("scim.okta");
    let ids = users(app, &["a", "b", "c"]);
    app.settle_events();
    let receiver = Receiver::start();
    let events = ["dsync.user.created", "dsync.user.deleted", "rollbook.alarm.raised"];
    let body = json!({"endpoint_url": receiver.url, "events": events});
    let endpoint = app.api.post("/api/v1/webhook_endpoints", body).expect(201).id();
    brake(app, tight());
    ids.iter().for_each(|id| delete(app, &format!("/Users/{id}")));
    users(app, &["d"]);
    // Another directory is told at once, and nothing of this one with it.
    scim.post("/Users", plain_user("e")).expect(201);
    let got = |count: usize| -> Vec<String> {
        let came = receiver.wait_accepted(count);
        came.iter().map(|one| format!("{} {}", one.event(), one.user_name())).collect()
    };
    let first = ["dsync.user.deleted a", "rollbook.alarm.raised ", "dsync.user.created e"];
    assert_eq!(got(3), first);
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    let all = got(6);
    assert_eq!(all[..3], first);
    let then = ["dsync.user.deleted b", "dsync.user.deleted c", "dsync.user.created d"];
    assert_eq!(all[3..], then);
    // Nothing was passed over, and nothing is left.
    let since = std::time::Instant::now();
    loop {
        let shown = app.api.get(&format!("/api/v1/webhook_endpoints/{endpoint}")).expect(200).body;
        if shown["lag"] == 0 {
            assert_eq!((&shown["missed"], &shown["parked"]), (&json!(0), &json!(0)));
            break;
        }
        assert!(since.elapsed().as_secs() < 30, "{shown}");
        std::thread::yield_now();
    }
    assert_eq!(receiver.all().len(), 6);
    assert_eq!(app.event_names(&other), ["dsync.user.created"]);
}

fn roles(app: &TestApp, id: &str) -> Value {
    let user = app.api.get(&format!("/directory_users/{id}")).expect(200).body;
    user["roles"].clone()
}

/// Does what maps have to do by now.
fn follow_maps(app: &TestApp) {
    let service = Arc::clone(app.service());
    app.wait(async move { service.apply_mappings().await }).expect("maps are applied");
}

fn put_role(app: &TestApp, group: &str) {
    let path = format!("/api/v1/directories/{}/role_map", app.directory.id);
    let map = json!({"rules": [{"role": "admin", "group": group}]});
    app.api.put(&path, map).expect(200);
    follow_maps(app);
}

fn deleted_group_with_a_role_weighs_more(app: &TestApp) {
    let names: Vec<String> = (0..12).map(|n| format!("u{n}")).collect();
    let ids = users(app, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let three: Vec<&String> = ids.iter().take(3).collect();
    let (plain, admins) = (team(app, "Plain", &three), team(app, "Admins", &three));
    team(app, "Crew", &ids.iter().collect::<Vec<_>>());
    put_role(app, &admins);
    brake(app, json!({"mode": "hold"}));
    // Three of 18 are more than a tenth, but fewer than ten.
    delete(app, &format!("/Groups/{plain}"));
    assert_eq!(shown(app)["state"], "open");
    let before = lines(app, 0).len();
    let had = roles(app, &ids[0]);
    assert_eq!(had[0]["slug"], "admin");
    delete(app, &format!("/Groups/{admins}"));
    let found = shown(app);
    assert_eq!((&found["state"], &found["lately"]["role_groups"]), (&json!("holding"), &json!(1)));
    assert_eq!(roles(app, &ids[0]), json!(null));
    // The end of the group, and three users without their role.
    assert_eq!(found["held"]["events"], 4);
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!(lines(app, before), Vec::<String>::new());
    assert_eq!(roles(app, &ids[0]), had);
    assert_app_knows_what_there_is(app);
}

fn roles_by_groups_in_groups_come_back(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    let inner = team(app, "Inner", &ids.iter().collect::<Vec<_>>());
    let outer = team(app, "Outer", &[&inner]);
    put_role(app, &outer);
    let (before, had) = (lines(app, 0).len(), roles(app, &ids[0]));
    assert_eq!(had[0]["slug"], "admin");
    let limit = json!({"at_least": 1, "more_than": 0, "percent": 100});
    brake(app, json!({"mode": "hold", "limits": {"memberships": limit}}));
    delete(app, &format!("/Groups/{outer}"));
    follow_maps(app);
    assert_eq!(roles(app, &ids[0]), json!(null));
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    follow_maps(app);
    assert_eq!(lines(app, before), Vec::<String>::new());
    assert_eq!(roles(app, &ids[0]), had);
    assert_app_knows_what_there_is(app);
}

fn what_maps_make_of_users_comes_back(app: &TestApp) {
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    let badge = json!({"expression": "raw.title", "required": true});
    let map = json!({"attributes": {"badge": badge}});
    app.api.put(&format!("{directory}/attribute_map"), map).expect(200);
    let map = json!({"rules": [], "default_role": "guest"});
    app.api.put(&format!("{directory}/role_map"), map).expect(200);
    follow_maps(app);
    let user = |name: &str, manager: Option<&str>| {
        let mut body = plain_user(name);
        body["title"] = json!(format!("badge of {name}"));
        if let Some(manager) = manager {
            body["schemas"] = json!([body["schemas"][0], ENTERPRISE]);
            body[ENTERPRISE] = json!({"manager": {"value": manager}});
        }
        app.scim.post("/Users", body).expect(201).id()
    };
    let (other, boss) = (user("other", None), user("boss", None));
    let (report, off) = (user("report", Some(&boss)), user("off", None));
    brake(app, tight());
    set_active(app, &other, false);
    let read = |id: &String| app.api.get(&format!("/directory_users/{id}")).expect(200).body;
    let kept = |id: &String| {
        let user = read(id);
        assert_eq!(user["roles"][0]["slug"], "guest", "{user}");
        (user["custom_attributes"].clone(), user["state"].clone())
    };
    let (before, had) = (lines(app, 0).len(), [&boss, &report, &off].map(kept));
    set_active(app, &off, false);
    delete(app, &format!("/Users/{boss}"));
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!([&boss, &report, &off].map(kept), had);
    assert_eq!(had[0].0["badge"], "badge of boss");
    assert_eq!(lines(app, before), Vec::<String>::new());
    assert_app_knows_what_there_is(app);
}

fn identities_begun_in_a_hold_wait_for_its_end(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    brake(app, tight());
    ids.iter().for_each(|id| set_active(app, id, false));
    let organization = keep_identities(app);
    assert_eq!(told_of_persons(app), Vec::<String>::new());
    assert_eq!(person(app, &organization, &ids[1]), None);
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    app.settle_identities();
    let (_, state) = person(app, &organization, &ids[1]).expect("a person");
    assert_eq!(state, "active");
}

/// The organization begins to keep identities.
fn keep_identities(app: &TestApp) -> String {
    let organization = format!("/api/v1/organizations/{}", app.directory.organization_id);
    let body = json!({"directory_id": null});
    app.api.put(&format!("{organization}/primary_directory"), body).expect(200);
    app.settle_identities();
    organization
}

/// The id and the state of the identity that has the user.
fn person(app: &TestApp, organization: &str, user: &str) -> Option<(Value, Value)> {
    let list = app.api.get(&format!("{organization}/identities?user_id={user}")).expect(200).body;
    let one = list["data"].as_array().expect("a list").first()?;
    Some((one["id"].clone(), one["state"].clone()))
}

/// The names of the events of identities.
fn told_of_persons(app: &TestApp) -> Vec<String> {
    let names = app.events(&app.directory).into_iter().map(|(name, _)| name);
    names.filter(|name| name.starts_with("rollbook.identity.")).collect()
}

fn identities_follow_what_was_told(app: &TestApp) {
    let organization = keep_identities(app);
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    delete(app, &format!("/Users/{}", ids[0]));
    assert_eq!(person(app, &organization, &ids[0]), None);
    let told = told_of_persons(app).len();
    let before: Vec<_> = ids[1..].iter().map(|id| person(app, &organization, id)).collect();
    delete(app, &format!("/Users/{}", ids[1]));
    set_active(app, &ids[2], false);
    let new = users(app, &["d"]).remove(0);
    // As the app was told.
    let now: Vec<_> = ids[1..].iter().map(|id| person(app, &organization, id)).collect();
    assert_eq!(now, before);
    assert_eq!(person(app, &organization, &new), None);
    assert_eq!(told_of_persons(app).len(), told);
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    assert_eq!(
        told_of_persons(app)[told..],
        ["rollbook.identity.ended", "rollbook.identity.updated", "rollbook.identity.created"]
    );
    assert_eq!(person(app, &organization, &ids[1]), None);
    let (_, state) = person(app, &organization, &ids[2]).expect("a person");
    assert_eq!(state, "inactive");
    assert!(person(app, &organization, &new).is_some());
    // Persons are told of behind their users.
    let names: Vec<String> = app.events(&app.directory).into_iter().map(|(name, _)| name).collect();
    let last = |name: &str| names.iter().rposition(|one| one == name).expect("told");
    assert!(last("dsync.user.deleted") < last("rollbook.identity.ended"), "{names:?}");
}

fn undone_users_are_the_same_persons(app: &TestApp) {
    let organization = keep_identities(app);
    let ids = users(app, &["a", "b", "c"]);
    brake(app, tight());
    set_active(app, &ids[0], false);
    let before: Vec<_> = ids.iter().map(|id| person(app, &organization, id)).collect();
    let told = told_of_persons(app).len();
    delete(app, &format!("/Users/{}", ids[1]));
    set_active(app, &ids[2], false);
    let report = app.api.post(&path(app, "/undo"), json!({})).expect(200).body;
    assert_eq!(report["not_restored"], json!([]));
    let after: Vec<_> = ids.iter().map(|id| person(app, &organization, id)).collect();
    assert_eq!(after, before);
    assert_eq!(told_of_persons(app).len(), told);
    // From here on identities follow at once.
    delete(app, &format!("/Users/{}", ids[1]));
    assert_eq!(person(app, &organization, &ids[1]), None);
}

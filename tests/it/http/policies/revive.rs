//! `revive_on_create`: a POST that brings an inactive user back, and every one that must not.

use serde_json::{Value, json};

use super::{Ear, change, delete, members, new_group, scim_active, set, set_active};
use crate::http::plain_user;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    same_external_id_brings_an_inactive_user_back,
    anything_else_is_a_conflict,
    revived_user_is_shown_again_with_every_membership,
    revival_may_leave_the_user_inactive,
    deleted_users_are_not_revived,
    bulk_revives_what_nothing_refers_to,
    two_creates_at_once_revive_once,
    revived_user_is_answered_as_it_is_read,
];

fn with(name: &str, external_id: &str) -> Value {
    let mut body = plain_user(name);
    body["externalId"] = external_id.into();
    body
}

fn same_external_id_brings_an_inactive_user_back(app: &TestApp) {
    set(app, json!({"revive_on_create": "same_external_id"}));
    let mut body = with("ada", "e-1");
    body["title"] = "Lead".into();
    let ada = app.scim.post("/Users", body).expect(201).id();
    let team = new_group(app, "Team", &[&ada]);
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    let mut body = with("Ada", "e-1");
    body["name"] = json!({"givenName": "Ada"});
    let revived = app.scim.post("/Users", body).expect(201);
    assert_eq!(revived.id(), ada);
    assert!(revived.header("location").is_some_and(|url| url.ends_with(&ada)));
    assert_eq!(revived.body["active"], true);
    assert_eq!(revived.body["userName"], "Ada");
    assert_eq!(revived.body["title"], Value::Null, "the body is applied like a PUT");
    assert_eq!(revived.body["name"]["givenName"], "Ada");
    assert_eq!(members(app, &team), [ada]);
    ear.heard(&["user.updated Ada active"]);
}

fn anything_else_is_a_conflict(app: &TestApp) {
    let conflict = |body: Value| {
        app.scim.post("/Users", body).expect_scim_error(409, Some("uniqueness"));
    };
    let ada = app.scim.post("/Users", with("ada", "e-1")).expect(201).id();
    let ben = app.scim.post("/Users", plain_user("ben")).expect(201).id();
    let cy = app.scim.post("/Users", with("cy", "e-3")).expect(201).id();
    set_active(app, &ada, false);
    set_active(app, &ben, false);
    let mut ear = Ear::of(app);
    conflict(with("ada", "e-1"));
    set(app, json!({"revive_on_create": "same_external_id"}));
    conflict(with("ada", "E-1"));
    conflict(with("ada", "e-2"));
    conflict(plain_user("ada"));
    conflict(with("ben", ""));
    conflict(with("ben", "e-1"));
    conflict(plain_user("ben"));
    conflict(with("cy", "e-3"));
    set(app, json!({"revive_on_create": "never"}));
    conflict(with("ada", "e-1"));
    ear.heard(&[]);
    assert!(!scim_active(app, &ada) && !scim_active(app, &ben) && scim_active(app, &cy));
}

fn revived_user_is_shown_again_with_every_membership(app: &TestApp) {
    set(app, json!({"revive_on_create": "same_external_id", "inactive_users": "delete"}));
    let ada = app.scim.post("/Users", with("ada", "e-1")).expect(201).id();
    new_group(app, "Team", &[&ada]);
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    assert_eq!(app.scim.post("/Users", with("ada", "e-1")).expect(201).id(), ada);
    ear.heard(&["user.created ada active", "group.user_added Team ada"]);
}

fn revival_may_leave_the_user_inactive(app: &TestApp) {
    set(app, json!({"revive_on_create": "same_external_id"}));
    let ada = app.scim.post("/Users", with("ada", "e-1")).expect(201).id();
    set_active(app, &ada, false);
    let mut ear = Ear::of(app);
    let mut body = with("ada", "e-1");
    body["active"] = false.into();
    body["title"] = "Lead".into();
    let revived = app.scim.post("/Users", body).expect(201);
    assert_eq!((revived.id(), &revived.body["active"]), (ada, &json!(false)));
    ear.heard(&["user.updated ada inactive"]);
}

fn deleted_users_are_not_revived(app: &TestApp) {
    set(app, json!({"revive_on_create": "same_external_id", "delete": "deactivate"}));
    let ada = app.scim.post("/Users", with("ada", "e-1")).expect(201).id();
    delete(app, &ada);
    let mut ear = Ear::of(app);
    assert_ne!(app.scim.post("/Users", with("ada", "e-1")).expect(201).id(), ada);
    ear.heard(&["user.deleted ada inactive", "user.created ada active"]);
}

fn bulk_revives_what_nothing_refers_to(app: &TestApp) {
    set(app, json!({"revive_on_create": "same_external_id"}));
    let ada = app.scim.post("/Users", with("ada", "e-1")).expect(201).id();
    let ben = app.scim.post("/Users", with("ben", "e-2")).expect(201).id();
    set_active(app, &ada, false);
    set_active(app, &ben, false);
    let team = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "Team", "members": [{"value": "bulkId:ben"}]});
    let answer = app.scim.post(
        "/Bulk",
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [
                {"method": "POST", "path": "/Users", "bulkId": "ada", "data": with("ada", "e-1")},
                {"method": "POST", "path": "/Users", "bulkId": "ben", "data": with("ben", "e-2")},
                {"method": "POST", "path": "/Groups", "bulkId": "team", "data": team},
            ],
        }),
    );
    let operations = &answer.expect(200).body["Operations"];
    assert_eq!(operations[0]["status"], "201", "{operations}");
    assert!(operations[0]["location"].as_str().is_some_and(|url| url.ends_with(&ada)));
    // Others refer to it by the id that it would have had.
    assert_eq!(operations[1]["status"], "409", "{operations}");
    assert_eq!(operations[2]["status"], "409", "{operations}");
    assert!(scim_active(app, &ada) && !scim_active(app, &ben));
}

fn two_creates_at_once_revive_once(app: &TestApp) {
    set(app, json!({"revive_on_create": "same_external_id"}));
    let ada = app.scim.post("/Users", with("ada", "e-1")).expect(201).id();
    for _ in 0..10 {
        set_active(app, &ada, false);
        let path = format!("/Users/{ada}");
        change(&app.scim, &path, json!({"op": "remove", "path": "title"}));
        let mut ear = Ear::of(app);
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let posts: Vec<_> = (0..4)
                .map(|_| {
                    let scim = app.scim.clone();
                    scope.spawn(move || scim.post("/Users", with("ada", "e-1")).status)
                })
                .collect();
            posts.into_iter().map(|post| post.join().expect("no panic")).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409]);
        ear.heard(&["user.updated ada active"]);
    }
}

fn revived_user_is_answered_as_it_is_read(app: &TestApp) {
    set(app, json!({"revive_on_create": "same_external_id"}));
    let ada = app.scim.post("/Users", with("ada", "e-1")).expect(201).id();
    let team = new_group(app, "Team", &[&ada]);
    set_active(app, &ada, false);
    let revived = app.scim.post("/Users", with("ada", "e-1")).expect(201);
    assert_eq!(revived.body["groups"][0]["value"], team.as_str(), "{}", revived.text);
    let read = app.scim.get(&format!("/Users/{ada}")).expect(200);
    assert_eq!(revived.body, read.body);
    assert_eq!(revived.header("etag"), read.header("etag"));
}

//! Pause, disconnect, and what the operator has the last word on.

use serde_json::{Value, json};

use super::{enter, led, page};
use crate::on_both_databases;
use crate::support::{TestApp, group, user};

on_both_databases![
    visitor_pauses_and_starts_again_but_not_what_the_operator_stopped,
    everybody_loses_access_and_the_directory_goes,
    frozen_directory_refuses_and_tells_nothing,
    brake_names_who_would_be_put_back,
    revoked_session_stops_nothing,
    disconnection_that_is_called_off_leaves_the_rest,
    visitor_hands_over_to_the_directory_of_the_new_provider,
    stopped_hand_over_says_why_and_is_called_off,
];

fn state(app: &TestApp) -> Value {
    app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).expect(200).body["state"]
        .clone()
}

fn visitor_pauses_and_starts_again_but_not_what_the_operator_stopped(app: &TestApp) {
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    led(&browser, &proof, &format!("{at}/state"), &[("state", "paused")]);
    assert_eq!(state(app), "paused");
    app.scim.get("/Users").expect(503);
    let text = page(browser.get(&format!("{at}/stop")), 200);
    assert!(text.contains("Start again"), "{text}");
    led(&browser, &proof, &format!("{at}/state"), &[("state", "linked")]);
    assert_eq!(state(app), "linked");
    let patch = |state: &str| {
        let path = format!("/api/v1/directories/{}", app.directory.id);
        app.api.patch(&path, json!({"state": state})).expect(200);
    };
    for stopped in ["paused", "disabled"] {
        patch(stopped);
        let text = page(browser.get(&format!("{at}/stop")), 200);
        assert!(!text.contains("Start again") && text.contains("has stopped it"), "{text}");
        let fields = [("proof", &*proof), ("state", "linked")];
        page(browser.post(&format!("{at}/state"), &fields), 409);
        let fields = [("proof", &*proof), ("mode", "deprovision")];
        page(browser.post(&format!("{at}/disconnect"), &fields), 409);
        assert_eq!(state(app), stopped);
    }
    // What a visitor has paused and the operator then stopped is the operator's.
    patch("linked");
    led(&browser, &proof, &format!("{at}/state"), &[("state", "paused")]);
    patch("paused");
    let fields = [("proof", &*proof), ("state", "linked")];
    page(browser.post(&format!("{at}/state"), &fields), 409);
}

fn everybody_loses_access_and_the_directory_goes(app: &TestApp) {
    for n in 0..120 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
    }
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    let text = page(browser.get(&format!("{at}/stop")), 200);
    assert!(text.contains("120 active users") && text.contains("120 users lose access"), "{text}");
    assert_eq!(
        led(&browser, &proof, &format!("{at}/disconnect"), &[("mode", "deprovision")]),
        "/setup"
    );
    app.wait(app.service().finish_disconnects()).expect("done");
    let told = app.events(&app.directory);
    let gone = told
        .iter()
        .filter(|(name, data)| name == "dsync.user.updated" && data["state"] == "inactive");
    assert_eq!(gone.count(), 120);
    assert_eq!(told.iter().filter(|(name, _)| name == "dsync.deleted").count(), 1);
    page(browser.get(&at), 404);
}

fn frozen_directory_refuses_and_tells_nothing(app: &TestApp) {
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let before = app.events(&app.directory).len();
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    led(&browser, &proof, &format!("{at}/disconnect"), &[("mode", "freeze")]);
    app.scim.post("/Users", user("bob@example.com")).expect(403);
    assert_eq!(app.events(&app.directory).len(), before);
    led(&browser, &proof, &format!("{at}/state"), &[("state", "linked")]);
    app.scim.post("/Users", user("bob@example.com")).expect(201);
}

fn brake_names_who_would_be_put_back(app: &TestApp) {
    let limit = json!({"at_least": 1, "more_than": 1, "percent": 100});
    let tight = json!({"mode": "hold", "limits": {"users": limit, "memberships": limit}});
    app.api.put(&format!("/api/v1/directories/{}/brake", app.directory.id), tight).expect(200);
    let ids = ["a", "b", "c"]
        .map(|name| app.scim.post("/Users", user(&format!("{name}@example.com"))).expect(201).id());
    ids.iter().for_each(|id| drop(app.scim.delete(&format!("/Users/{id}")).expect(204)));
    let (browser, _) = enter(app);
    let text = page(browser.get(&format!("/setup/directories/{}/brake", app.directory.id)), 200);
    assert!(text.contains("<strong>c@example.com</strong>") && text.contains(&ids[2]), "{text}");
}

fn revoked_session_stops_nothing(app: &TestApp) {
    let (browser, proof) = enter(app);
    let organization = json!({"organization": app.directory.organization_id});
    app.api.post("/portal/revoke_link", organization);
    let path = format!("/setup/directories/{}/disconnect", app.directory.id);
    page(browser.post(&path, &[("proof", &proof), ("mode", "deprovision")]), 403);
    assert_eq!(state(app), "linked");
}

/// Another directory of the organization, whose groups have names of their own.
fn neighbour(app: &TestApp) -> String {
    let body = json!({"organization_id": app.directory.organization_id, "name": "New provider",
        "kind": "scim.generic", "settings": {"profile": {"group_display_name_unique": true}}});
    app.api.post("/api/v1/directories", body).expect(201).id()
}

fn visitor_hands_over_to_the_directory_of_the_new_provider(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    let text = page(browser.get(&format!("{at}/stop")), 200);
    assert!(text.contains("There is no other directory"), "{text}");
    let new = neighbour(app);
    let text = page(browser.get(&format!("{at}/stop?to={new}")), 200);
    assert!(text.contains("1 user and 0 groups go along"), "{text}");
    assert!(text.contains("Hand everybody over"), "{text}");
    assert_eq!(state(app), "linked");
    let fields = [("mode", "hand_over"), ("to", &*new)];
    assert_eq!(led(&browser, &proof, &format!("{at}/disconnect"), &fields), "/setup");
    app.wait(app.service().finish_disconnects()).expect("done");
    let seen = app.api.get(&format!("/directory_users/{ada}")).expect(200).body;
    assert_eq!((&seen["directory_id"], &seen["state"]), (&json!(new), &json!("active")));
    page(browser.get(&at), 404);
}

fn stopped_hand_over_says_why_and_is_called_off(app: &TestApp) {
    app.settings(&app.directory, json!({"profile": {"group_display_name_unique": false}}));
    for _ in 0..2 {
        app.scim.post("/Groups", group("Twins", &[])).expect(201);
    }
    let new = neighbour(app);
    let (browser, proof) = enter(app);
    let at = format!("/setup/directories/{}", app.directory.id);
    let text = page(browser.get(&format!("{at}/stop?to=directory_1")), 200);
    assert!(text.contains("no directory of the same organization"), "{text}");
    let fields = [("mode", "hand_over"), ("to", &*new)];
    led(&browser, &proof, &format!("{at}/disconnect"), &fields);
    app.wait(app.service().finish_disconnects()).expect("stopped");
    let text = page(browser.get(&format!("{at}/stop")), 200);
    assert!(text.contains("The disconnection is stopped") && text.contains("twins"), "{text}");
    let fields = [("mode", "call_off")];
    led(&browser, &proof, &format!("{at}/disconnect"), &fields);
    let text = page(browser.get(&format!("{at}/stop")), 200);
    assert!(text.contains("was called off when 0 of 2 were done"), "{text}");
    led(&browser, &proof, &format!("{at}/state"), &[("state", "linked")]);
    assert_eq!(state(app), "linked");
}

fn disconnection_that_is_called_off_leaves_the_rest(app: &TestApp) {
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let path = format!("/api/v1/directories/{}", app.directory.id);
    let dry = json!({"mode": "deprovision", "dry_run": true});
    let told = app.api.post(&format!("{path}/disconnect"), dry).expect(200).body;
    assert_eq!((&told["active_users"], &told["dry_run"]), (&json!(1), &json!(true)));
    assert_eq!(state(app), "linked");
    app.api.post(&format!("{path}/disconnect"), json!({"mode": "freeze"})).expect(200);
    assert_eq!(state(app), "disabled");
    app.api.patch(&path, json!({"state": "linked"})).expect(200);
    app.wait(app.service().finish_disconnects()).expect("done");
    assert_eq!(state(app), "linked");
    app.api.post(&format!("{path}/disconnect"), json!({"mode": "drop"})).expect(422);
}

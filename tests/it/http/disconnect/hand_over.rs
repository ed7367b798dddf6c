//! Everybody goes to another directory that an identity provider pushes into.

use serde_json::{Value, json};

use super::{finish, hand_over, neighbour, path, person, state};
use crate::on_both_databases;
use crate::support::{TestApp, group, patch};

on_both_databases![
    everybody_goes_along_and_nobody_is_told_to_end,
    preview_changes_nothing_and_names_whom_it_is_about,
    what_the_other_directory_has_already_is_a_conflict,
    only_a_directory_of_the_organization_that_works_takes_users,
    conflict_that_appears_stops_it_until_somebody_goes_on,
    identities_follow_their_users,
];

/// Ids of users and groups of the old directory.
struct Old {
    ada: String,
    bob: String,
    staff: String,
    all: String,
}

/// Two users, one of them inactive, a group of both with a role, and a group of that group.
fn old(app: &TestApp) -> Old {
    let ada = app.scim.post("/Users", person("1", "ada@example.com")).expect(201).id();
    let bob = app.scim.post("/Users", person("2", "bob@example.com")).expect(201).id();
    let staff = app.scim.post("/Groups", group("Staff", &[&ada, &bob])).expect(201).id();
    let all = app.scim.post("/Groups", group("All", &[&staff])).expect(201).id();
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    app.scim.patch(&format!("/Users/{bob}"), patch(off)).expect(200);
    let map = json!({"rules": [{"role": "member", "group": all}]});
    app.api.put(&format!("/api/v1/directories/{}/role_map", app.directory.id), map).expect(200);
    app.wait(app.service().apply_mappings()).expect("roles");
    Old { ada, bob, staff, all }
}

fn everybody_goes_along_and_nobody_is_told_to_end(app: &TestApp) {
    let Old { ada, bob, staff, all } = old(app);
    let (new, scim) = neighbour(app, json!({}));
    let seen = |id: &str| app.api.get(&format!("/directory_users/{id}")).expect(200).body;
    let before = seen(&ada);
    assert_eq!(before["role"], json!({"slug": "member"}));
    let told_before = app.events(&app.directory).len();
    hand_over(app, &new, false).expect(200);
    finish(app);

    let after = seen(&ada);
    assert_eq!(after["directory_id"], json!(new.id));
    for kept in ["id", "created_at", "role", "state", "email", "idp_id"] {
        assert_eq!(before[kept], after[kept], "{kept}");
    }
    let groups = after["groups"].as_array().expect("groups");
    assert_eq!(groups.iter().map(|group| &group["id"]).collect::<Vec<_>>(), [&json!(staff)]);
    assert_eq!(seen(&bob)["state"], "inactive");
    let members = app.api.get(&format!("/directory_users?group={staff}")).expect(200).body;
    assert_eq!(members["data"].as_array().map(Vec::len), Some(2), "{members}");
    // The new provider finds them, and the groups in each other.
    let found = scim.filter("/Users", r#"userName eq "ada@example.com""#);
    assert_eq!(found.ids(), std::slice::from_ref(&ada));
    assert_eq!(scim.filter("/Users", r#"externalId eq "2""#).ids(), std::slice::from_ref(&bob));
    let inner = scim.get(&format!("/Groups/{all}")).expect(200).body;
    assert_eq!(inner["members"][0]["value"], json!(staff));
    let off = json!([{"op": "remove", "path": format!("members[value eq \"{ada}\"]")}]);
    scim.patch(&format!("/Groups/{staff}"), patch(off)).expect(200);
    assert!(seen(&ada).get("role").is_none());

    let rest = app.events(&app.directory).split_off(told_before);
    let rest: Vec<&str> = rest.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(rest, ["dsync.deleted"]);
    let told = app.events(&new);
    let moved: Vec<(&str, &Value)> = told
        .iter()
        .filter(|(_, data)| !data["previous_attributes"]["directory_id"].is_null())
        .map(|(name, data)| (name.as_str(), &data["id"]))
        .collect();
    let (user, team) = ("dsync.user.updated", "dsync.group.updated");
    let expected =
        [(team, json!(staff)), (team, json!(all)), (user, json!(ada)), (user, json!(bob))];
    assert_eq!(moved, expected.each_ref().map(|(name, id)| (*name, id)));
    let previous = &told.iter().find(|(name, _)| name == user).expect("told").1;
    let only_the_directory = json!({"directory_id": app.directory.id});
    assert_eq!(previous["previous_attributes"], only_the_directory);
    let ends = |name: &str| name.ends_with(".deleted") || name.ends_with("user.created");
    assert!(!told.iter().any(|(name, _)| ends(name)), "{told:?}");
    app.purge();
    app.api.get(&format!("/directories/{}", app.directory.id)).expect(404);
    assert_eq!(seen(&bob)["directory_id"], json!(new.id));
    let view = app.api.get(&format!("/api/v1/directories/{}", new.id)).expect(200).body;
    assert_eq!(view["metadata"], json!({"users": {"active": 1, "inactive": 1}, "groups": 2}));
}

fn preview_changes_nothing_and_names_whom_it_is_about(app: &TestApp) {
    old(app);
    let (new, _) = neighbour(app, json!({}));
    let before = app.events(&app.directory).len();
    let report = hand_over(app, &new, true).expect(200).body;
    let told = &report["hand_over"];
    assert_eq!((&told["users"], &told["groups"]), (&json!(2), &json!(2)));
    assert_eq!((&told["matched"], &told["conflicts"]), (&json!(0), &json!(0)));
    assert_eq!((&told["to"], &told["role_map"]), (&json!(new.id), &json!("taken_over")));
    assert_eq!(state(app, &app.directory), "linked");
    assert_eq!(app.events(&app.directory).len(), before);
}

fn what_the_other_directory_has_already_is_a_conflict(app: &TestApp) {
    let Old { ada, .. } = old(app);
    let (new, scim) = neighbour(app, json!({}));
    let other = scim.post("/Users", person("1", "ada.lane@example.com")).expect(201).id();
    scim.post("/Groups", group("Staff", &[])).expect(201);
    let told = hand_over(app, &new, true).expect(200).body["hand_over"].clone();
    assert_eq!(told["conflicts"], 2, "{told}");
    let conflicts = told["first_conflicts"].as_array().expect("a list").iter();
    let reasons: Vec<&Value> = conflicts.clone().map(|one| &one["reason"]).collect();
    assert!(reasons.contains(&&json!("external_id")) && reasons.contains(&&json!("name")));
    let user = conflicts.clone().find(|one| one["resource_type"] == "User").expect("the user");
    assert_eq!((&user["id"], &user["taken_by"]), (&json!(ada), &json!(other)));
    let refused = hand_over(app, &new, false).expect(409).body;
    assert_eq!(refused["code"], "hand_over_conflicts");
    let message = refused["message"].as_str().expect("a sentence");
    assert!(message.starts_with("2 of this directory") && message.contains("Hand over before"));
    assert_eq!(state(app, &app.directory), "linked");
    // Both have role maps.
    scim.delete(&format!("/Users/{other}")).expect(204);
    let map = json!({"rules": [], "default_role": "guest"});
    app.api.put(&format!("/api/v1/directories/{}/role_map", new.id), map).expect(200);
    let refused = hand_over(app, &new, false).expect(409).body;
    assert_eq!(refused["code"], "role_maps_differ");
}

fn only_a_directory_of_the_organization_that_works_takes_users(app: &TestApp) {
    let (new, _) = neighbour(app, json!({}));
    let (foreign, _) = app.directory("scim.generic");
    for to in [&app.directory.id, &foreign.id, &"directory_1".to_owned(), &String::new()] {
        let body = json!({"mode": "hand_over", "to": to});
        let refused = app.api.post(&path(&app.directory), body).expect(422).body;
        assert_eq!(refused["errors"][0]["field"], "to", "{refused}");
    }
    app.api.post(&path(&app.directory), json!({"mode": "hand_over"})).expect(422);
    let view = format!("/api/v1/directories/{}", new.id);
    app.api.patch(&view, json!({"state": "disabled"})).expect(200);
    let refused = hand_over(app, &new, false).expect(409).body;
    assert_eq!(refused["code"], "directory_stopped");
    assert_eq!(state(app, &app.directory), "linked");
}

/// The preview does not see two groups of one name, of which the other directory takes one.
fn conflict_that_appears_stops_it_until_somebody_goes_on(app: &TestApp) {
    let profile = |unique: bool| json!({"profile": {"group_display_name_unique": unique}});
    app.settings(&app.directory, profile(false));
    let (new, scim) = neighbour(app, profile(true));
    let ada = app.scim.post("/Users", person("1", "ada@example.com")).expect(201).id();
    // So many that some are over there when it stops.
    for n in 0..60 {
        app.scim.post("/Groups", group(&format!("Team {n}"), &[])).expect(201);
    }
    app.scim.post("/Groups", group("First", &[&ada])).expect(201);
    for _ in 0..2 {
        app.scim.post("/Groups", group("Twins", &[&ada])).expect(201);
    }
    hand_over(app, &new, false).expect(200);
    finish(app);
    let look = || app.api.get(&path(&app.directory)).expect(200).body;
    let stopped = look();
    assert_eq!(
        (&stopped["state"], &stopped["total"]),
        (&json!("stopped"), &json!(64)),
        "{stopped}"
    );
    assert!(stopped["done"].as_u64().is_some_and(|done| done > 0 && done < 63), "{stopped}");
    let problem = stopped["problem"].as_str().expect("a sentence");
    assert!(problem.contains("The group \"twins\"") && problem.contains("go on"), "{problem}");
    // Nobody has lost anything, and nobody is made a second time.
    let groups = || {
        let seen = app.api.get(&format!("/directory_users/{ada}")).expect(200).body;
        (seen["state"].clone(), seen["groups"].as_array().map(Vec::len))
    };
    assert_eq!(groups(), (json!("active"), Some(3)));
    let old = format!("/api/v1/directories/{}", app.directory.id);
    for state in ["linked", "paused"] {
        let refused = app.api.patch(&old, json!({"state": state})).expect(409).body;
        assert_eq!(refused["code"], "handed_over_in_part");
    }
    app.api.delete(&path(&app.directory)).expect(200);
    assert_eq!((&look()["state"], groups().1), (&json!("called_off"), Some(3)));
    let view = format!("/api/v1/directories/{}", new.id);
    app.api.patch(&view, json!({"settings": profile(false)})).expect(200);
    hand_over(app, &new, false).expect(200);
    finish(app);
    assert_eq!(groups(), (json!("active"), Some(3)));
    assert_eq!(
        scim.filter("/Users", r#"userName eq "ada@example.com""#).ids(),
        std::slice::from_ref(&ada)
    );
    assert_eq!(scim.get("/Groups").total(), 63);
}

fn identities_follow_their_users(app: &TestApp) {
    let organization = format!("/api/v1/organizations/{}", app.directory.organization_id);
    let off = json!({"directory_id": null});
    app.api.put(&format!("{organization}/primary_directory"), off).expect(200);
    app.settle_identities();
    let ada = app.scim.post("/Users", person("1", "ada@example.com")).expect(201).id();
    let (new, _) = neighbour(app, json!({}));
    let all =
        || app.api.get(&format!("{organization}/identities")).expect(200).body["data"].clone();
    let before = all();
    hand_over(app, &new, false).expect(200);
    finish(app);
    app.purge();
    let after = all();
    assert_eq!((&after[0]["id"], &after[0]["state"]), (&before[0]["id"], &json!("active")));
    assert_eq!(after[0]["accounts"][0]["user_id"], json!(ada));
    assert_eq!(after[0]["accounts"][0]["directory_id"], json!(new.id));
    assert_eq!(after.as_array().map(Vec::len), Some(1), "{after}");
}

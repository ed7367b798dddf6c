//! Memberships: PATCH and PUT of groups, and `groups` of users (RFC 7643 §4.1.2, §4.2).

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW, create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, TestApp, group, patch};

on_both_databases![
    create_shows_members_with_type_display_and_link,
    patch_add_member_twice_is_noop,
    patch_remove_takes_away_what_it_names,
    patch_remove_of_strangers_is_noop,
    patch_replace_sets_exactly_these_members,
    patch_of_name_and_members_is_one_change,
    patch_of_a_member_in_place_is_refused,
    put_sets_exactly_these_members_and_without_members_empties,
    put_with_the_same_members_changes_nothing,
    unknown_member_is_400_and_nothing_of_the_request_applies,
    groups_of_a_user_are_direct_or_indirect,
    cycle_of_groups_ends,
    deleting_a_user_moves_the_version_of_its_groups,
    deleting_a_group_ends_its_memberships,
    excluded_members_are_not_shown_and_stay,
    membership_changes_are_told_once,
];

fn users<const N: usize>(app: &TestApp, names: [&str; N]) -> [String; N] {
    names.map(|name| create(&app.scim, "/Users", plain_user(name)))
}

/// The ids of the members, in the order of the answer.
fn members(answer: &Answer) -> Vec<String> {
    let list = answer.body["members"].as_array().cloned().unwrap_or_default();
    list.iter().map(|m| m["value"].as_str().expect("an id").to_owned()).collect()
}

fn value(id: &str) -> Value {
    json!({"value": id})
}

fn create_shows_members_with_type_display_and_link(app: &TestApp) {
    let user = create(&app.scim, "/Users", {
        let mut body = plain_user("ada");
        body["displayName"] = json!("Ada Lane");
        body
    });
    let inner = create(&app.scim, "/Groups", group("Inner", &[]));
    let made = app.scim.post("/Groups", group("Outer", &[&user, &inner])).expect(201);
    let base = &app.directory.base_url;
    assert!(made.id().starts_with("directory_group_"), "{}", made.id());
    assert_eq!(made.body["displayName"], "Outer");
    assert_eq!(
        made.body["members"],
        json!([
            {"value": user, "$ref": format!("{base}/Users/{user}"), "display": "Ada Lane",
                "type": "User"},
            {"value": inner, "$ref": format!("{base}/Groups/{inner}"), "display": "Inner",
                "type": "Group"},
        ])
    );
    assert_eq!(made.header("etag"), Some("W/\"1\""));
    assert_eq!(made.body["meta"]["resourceType"], "Group");
    assert_eq!(app.scim.get(&format!("/Groups/{}", made.id())).expect(200).body, made.body);
}

fn patch_add_member_twice_is_noop(app: &TestApp) {
    let [ada, ben] = users(app, ["ada", "ben"]);
    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("A", &[&ada])));
    let add = patch(json!([{"op": "add", "path": "members", "value": [value(&ben)]}]));
    let first = app.scim.patch(&path, add.clone()).expect(200);
    assert_eq!(first.header("etag"), Some("W/\"2\""));
    assert_eq!(members(&first), [ada.as_str(), &ben]);
    app.clock.advance(Duration::from_secs(60));
    let told = app.events(&app.directory).len();
    let path_less = patch(json!([{"op": "add", "value": {"members": [value(&ben), value(&ada)]}}]));
    for again in [add, path_less] {
        let answer = app.scim.patch(&path, again).expect(200);
        assert_eq!(answer.body, first.body);
        assert_eq!(answer.header("etag"), Some("W/\"2\""));
    }
    assert_eq!(app.scim.get(&path).expect(200).body["meta"]["lastModified"], NOW);
    assert_eq!(app.events(&app.directory).len(), told);
}

fn patch_remove_takes_away_what_it_names(app: &TestApp) {
    let ids = users(app, ["ada", "ben", "cid"]);
    let [ada, ben, cid] = ids.each_ref().map(String::as_str);
    let named = patch(json!([{"op": "add", "path": "displayName", "value": "Ada"}]));
    app.scim.patch(&format!("/Users/{ada}"), named).expect(200);
    let inner = create(&app.scim, "/Groups", group("Inner", &[]));
    let by_id = format!("members[value eq \"{ben}\"]");
    let by_ids = format!("members[value eq \"{ada}\" or value eq \"{ben}\"]");
    for (operation, left) in [
        (json!({"op": "remove", "path": by_id}), vec![ada, cid, &inner]),
        (json!({"op": "remove", "path": by_ids}), vec![cid, &inner]),
        (json!({"op": "remove", "path": "members[type eq \"Group\"]"}), vec![ada, ben, cid]),
        (json!({"op": "remove", "path": "members[display eq \"ADA\"]"}), vec![ben, cid, &inner]),
        (json!({"op": "remove", "path": "members", "value": [value(ben)]}), vec![ada, cid, &inner]),
        (json!({"op": "remove", "path": "members", "value": value(ben)}), vec![ada, cid, &inner]),
        (json!({"op": "remove", "path": "members", "value": []}), vec![ada, ben, cid, &inner]),
        (json!({"op": "remove", "path": "members"}), vec![]),
    ] {
        let id = create(&app.scim, "/Groups", group("A", &[ada, ben, cid, &inner]));
        let path = format!("/Groups/{id}");
        let answer = app.scim.patch(&path, patch(json!([operation.clone()]))).expect(200);
        assert_eq!(members(&answer), left, "{operation}");
        assert_eq!(app.scim.get(&path).expect(200).body, answer.body, "{operation}");
        app.scim.delete(&path).expect(204);
    }
}

fn patch_remove_of_strangers_is_noop(app: &TestApp) {
    let [ada, ben] = users(app, ["ada", "ben"]);
    let made = app.scim.post("/Groups", group("A", &[&ada])).expect(201);
    let path = format!("/Groups/{}", made.id());
    for operation in [
        json!({"op": "remove", "path": format!("members[value eq \"{ben}\"]")}),
        json!({"op": "remove", "path": "members[value eq \"nobody\"]"}),
        json!({"op": "remove", "path": "members", "value": [{"value": "nobody"}]}),
    ] {
        let answer = app.scim.patch(&path, patch(json!([operation.clone()]))).expect(200);
        assert_eq!(answer.body, made.body, "{operation}");
    }
}

fn patch_replace_sets_exactly_these_members(app: &TestApp) {
    let [ada, ben, cid] = users(app, ["ada", "ben", "cid"]);
    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("A", &[&ada, &ben])));
    for (operation, expected) in [
        (
            json!({"op": "replace", "path": "members", "value": [value(&ben), value(&cid)]}),
            vec![&ben, &cid],
        ),
        (json!({"op": "replace", "value": {"members": [value(&ada)]}}), vec![&ada]),
        (json!({"op": "replace", "path": "members", "value": []}), vec![]),
    ] {
        let answer = app.scim.patch(&path, patch(json!([operation]))).expect(200);
        assert_eq!(members(&answer).iter().collect::<Vec<_>>(), expected);
    }
    assert_eq!(app.scim.get(&path).expect(200).header("etag"), Some("W/\"4\""));
}

fn patch_of_name_and_members_is_one_change(app: &TestApp) {
    let [ada, ben] = users(app, ["ada", "ben"]);
    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("A", &[&ada])));
    let before = app.events(&app.directory).len();
    let operations = json!([
        {"op": "replace", "path": "displayName", "value": "B"},
        {"op": "remove", "path": format!("members[value eq \"{ada}\"]")},
        {"op": "add", "path": "members", "value": [value(&ben)]},
    ]);
    let answer = app.scim.patch(&path, patch(operations)).expect(200);
    assert_eq!(answer.header("etag"), Some("W/\"2\""));
    assert_eq!(answer.body["displayName"], "B");
    assert_eq!(members(&answer), [ben]);
    let names: Vec<String> =
        app.events(&app.directory).into_iter().skip(before).map(|(name, _)| name).collect();
    let expected = ["dsync.group.updated", "dsync.group.user_removed", "dsync.group.user_added"];
    assert_eq!(names, expected);
}

fn patch_of_a_member_in_place_is_refused(app: &TestApp) {
    let [ada, ben] = users(app, ["ada", "ben"]);
    let made = app.scim.post("/Groups", group("A", &[&ada])).expect(201);
    let path = format!("/Groups/{}", made.id());
    for target in ["members.value".to_owned(), format!("members[value eq \"{ada}\"].value")] {
        let operations = json!([{"op": "replace", "path": target, "value": ben}]);
        let detail =
            app.scim.patch(&path, patch(operations)).expect_scim_error(400, Some("mutability"));
        assert!(detail.contains("\"members.value\""), "{detail}");
    }
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
}

fn put_sets_exactly_these_members_and_without_members_empties(app: &TestApp) {
    let [ada, ben, cid] = users(app, ["ada", "ben", "cid"]);
    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("A", &[&ada, &ben])));
    let answer = app.scim.put(&path, group("A", &[&ben, &cid])).expect(200);
    assert_eq!(members(&answer), [ben, cid]);
    let mut body = group("A", &[]);
    body.as_object_mut().expect("an object").shift_remove("members");
    let answer = app.scim.put(&path, body).expect(200);
    assert_eq!(answer.body["members"], json!(null));
    assert_eq!(app.scim.get(&format!("/Users/{ada}")).expect(200).body["groups"], json!(null));
}

fn put_with_the_same_members_changes_nothing(app: &TestApp) {
    let [ada, ben] = users(app, ["ada", "ben"]);
    let made = app.scim.post("/Groups", group("A", &[&ada, &ben])).expect(201);
    let path = format!("/Groups/{}", made.id());
    app.clock.advance(Duration::from_secs(60));
    let told = app.events(&app.directory).len();
    for body in [group("A", &[&ben, &ada, &ben]), made.body.clone()] {
        assert_eq!(app.scim.put(&path, body).expect(200).body, made.body);
    }
    assert_eq!(app.events(&app.directory).len(), told);
}

fn unknown_member_is_400_and_nothing_of_the_request_applies(app: &TestApp) {
    let [ada] = users(app, ["ada"]);
    let (_, other) = app.directory("scim.generic");
    let stranger = create(&other, "/Users", plain_user("eve"));
    let made = app.scim.post("/Groups", group("A", &[&ada])).expect(201);
    let path = format!("/Groups/{}", made.id());
    let told = app.events(&app.directory).len();
    for unknown in [stranger.as_str(), "nobody", "directory_user_01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        let add = json!([
            {"op": "replace", "path": "displayName", "value": "B"},
            {"op": "add", "path": "members", "value": [value(unknown)]},
        ]);
        for answer in [
            app.scim.post("/Groups", group("B", &[&ada, unknown])),
            app.scim.put(&path, group("B", &[unknown])),
            app.scim.patch(&path, patch(add)),
        ] {
            let detail = answer.expect_scim_error(400, Some("invalidValue"));
            assert!(detail.contains("\"members\"") && detail.contains(unknown), "{detail}");
            assert!(!detail.contains(&ada), "{detail}");
        }
    }
    assert_eq!(app.scim.get("/Groups").total(), 1);
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
    assert_eq!(app.events(&app.directory).len(), told);
    assert_eq!(other.get(&format!("/Users/{stranger}")).expect(200).body["groups"], json!(null));
}

fn groups_of_a_user_are_direct_or_indirect(app: &TestApp) {
    let [ada] = users(app, ["ada"]);
    let inner = create(&app.scim, "/Groups", group("Inner", &[&ada]));
    let outer = create(&app.scim, "/Groups", group("Outer", &[&inner]));
    // Both ways into one group: the direct one counts.
    let both = create(&app.scim, "/Groups", group("Both", &[&ada, &inner]));
    let base = &app.directory.base_url;
    let expected = json!([
        {"value": inner, "$ref": format!("{base}/Groups/{inner}"), "display": "Inner",
            "type": "direct"},
        {"value": outer, "$ref": format!("{base}/Groups/{outer}"), "display": "Outer",
            "type": "indirect"},
        {"value": both, "$ref": format!("{base}/Groups/{both}"), "display": "Both",
            "type": "direct"},
    ]);
    let read = app.scim.get(&format!("/Users/{ada}")).expect(200);
    assert_eq!(read.body["groups"], expected);
    assert_eq!(app.scim.get("/Users").expect(200).body["Resources"], json!([read.body]));
}

fn cycle_of_groups_ends(app: &TestApp) {
    let [ada] = users(app, ["ada"]);
    let first = create(&app.scim, "/Groups", group("First", &[&ada]));
    let second = create(&app.scim, "/Groups", group("Second", &[&first]));
    let path = format!("/Groups/{first}");
    let operations = json!([{"op": "add", "path": "members",
        "value": [value(&second), value(&first)]}]);
    let answer = app.scim.patch(&path, patch(operations)).expect(200);
    assert_eq!(members(&answer), [ada.as_str(), &first, &second]);
    let groups = app.scim.get(&format!("/Users/{ada}")).expect(200).body["groups"].clone();
    let found: Vec<(&Value, &Value)> = groups
        .as_array()
        .expect("a list")
        .iter()
        .map(|group| (&group["value"], &group["type"]))
        .collect();
    let (one, two) = (json!(first), json!(second));
    assert_eq!(found, [(&one, &json!("direct")), (&two, &json!("indirect"))]);
    app.scim.delete(&path).expect(204);
    assert_eq!(app.scim.get(&format!("/Users/{ada}")).expect(200).body["groups"], json!(null));
    assert!(members(&app.scim.get(&format!("/Groups/{second}")).expect(200)).is_empty());
}

fn deleting_a_user_moves_the_version_of_its_groups(app: &TestApp) {
    let [ada, ben] = users(app, ["ada", "ben"]);
    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("A", &[&ada, &ben])));
    let untouched = format!("/Groups/{}", create(&app.scim, "/Groups", group("B", &[&ben])));
    app.clock.advance(Duration::from_secs(1));
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    let read = app.scim.get(&path).expect(200);
    assert_eq!(members(&read), [ben]);
    assert_eq!(read.header("etag"), Some("W/\"2\""));
    assert_eq!(read.body["meta"]["lastModified"], "2025-06-15T15:06:41.000Z");
    assert_eq!(app.scim.get(&untouched).expect(200).header("etag"), Some("W/\"1\""));
}

fn deleting_a_group_ends_its_memberships(app: &TestApp) {
    let [ada] = users(app, ["ada"]);
    let inner = create(&app.scim, "/Groups", group("Inner", &[&ada]));
    let outer = create(&app.scim, "/Groups", group("Outer", &[&inner]));
    let before = app.events(&app.directory).len();
    app.scim.delete(&format!("/Groups/{inner}")).expect(204);
    app.scim.get(&format!("/Groups/{inner}")).expect_scim_error(404, None);
    let read = app.scim.get(&format!("/Groups/{outer}")).expect(200);
    assert!(members(&read).is_empty());
    assert_eq!(read.header("etag"), Some("W/\"2\""));
    assert_eq!(app.scim.get(&format!("/Users/{ada}")).expect(200).body["groups"], json!(null));
    let told: Vec<String> =
        app.events(&app.directory).into_iter().skip(before).map(|(name, _)| name).collect();
    assert_eq!(told, ["dsync.group.deleted"]);
}

fn excluded_members_are_not_shown_and_stay(app: &TestApp) {
    let [ada, ben] = users(app, ["ada", "ben"]);
    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("A", &[&ada])));
    let hidden = format!("{path}?excludedAttributes=members");
    let operations = json!([{"op": "add", "path": "members", "value": [value(&ben)]}]);
    for answer in [
        app.scim.get(&hidden).expect(200),
        app.scim.patch(&hidden, patch(operations)).expect(200),
        app.scim.get(&hidden).expect(200),
    ] {
        assert_eq!(answer.body["displayName"], "A");
        assert!(answer.body.get("members").is_none(), "{}", answer.text);
    }
    let list = app.scim.get("/Groups?excludedAttributes=members").expect(200);
    assert!(list.body["Resources"][0].get("members").is_none(), "{}", list.text);
    assert_eq!(members(&app.scim.get(&path).expect(200)), [ada, ben]);
}

fn membership_changes_are_told_once(app: &TestApp) {
    let [ada, ben] = users(app, ["ada", "ben"]);
    let before = app.events(&app.directory).len();
    let inner = create(&app.scim, "/Groups", group("Inner", &[]));
    let outer = create(&app.scim, "/Groups", group("Outer", &[&ada, &inner, &ada]));
    app.scim.put(&format!("/Groups/{outer}"), group("Outer", &[&ben, &inner])).expect(200);
    let told: Vec<(String, Value)> = app
        .events(&app.directory)
        .into_iter()
        .skip(before)
        .map(|(name, data)| (name, data["user"]["id"].clone()))
        .collect();
    let expected = [
        ("dsync.group.created", json!(null)),
        ("dsync.group.created", json!(null)),
        ("dsync.group.user_added", json!(ada)),
        ("dsync.group.user_removed", json!(ada)),
        ("dsync.group.user_added", json!(ben)),
    ];
    assert_eq!(told, expected.map(|(name, user)| (name.to_owned(), user)));
}

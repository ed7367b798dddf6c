//! Memberships that end, one by one, with a PUT, and with their group.

use serde_json::json;

use super::{
    assert_app_knows_what_there_is, brake, delete, lines, path, shown, team, tight, users,
};
use crate::on_both_databases;
use crate::support::{TestApp, group, patch};

on_both_databases![
    memberships_are_counted_one_by_one,
    replaced_members_wait_as_a_whole,
    end_of_a_group_counts_its_members,
    user_who_goes_counts_once_whatever_it_was_in,
    undo_puts_members_back_whatever_ended_them,
    undo_of_a_group_that_changed_before_it_went,
    group_in_a_group_comes_back,
];

mod large_group_comes_back_whole {
    use super::*;
    use crate::support::Database;

    fn check(database: Database) {
        let app = TestApp::start_with(database, |config| config.members_at_once = 4);
        large_group_comes_back_whole(&app);
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

/// Its members leave in several units, the first of which begins before the hold.
fn large_group_comes_back_whole(app: &TestApp) {
    let names: Vec<String> = (0..15).map(|n| format!("u{n}")).collect();
    let ids = users(app, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let id = team(app, "Team", &ids.iter().collect::<Vec<_>>());
    let before = lines(app, 0).len();
    let limit = json!({"at_least": 1, "more_than": 6, "percent": 100});
    brake(app, json!({"mode": "hold", "limits": {"memberships": limit}}));
    delete(app, &format!("/Groups/{id}"));
    let found = shown(app);
    assert_eq!((&found["state"], &found["held"]["events"]), (&json!("holding"), &json!(1)));
    assert_eq!(found["lost"]["memberships_ended"], 15);
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!(lines(app, before), Vec::<String>::new());
    let back = app.scim.get(&format!("/Groups/{id}")).expect(200);
    assert_eq!(back.body["members"].as_array().map(Vec::len), Some(15));
    assert_app_knows_what_there_is(app);
}

fn memberships_are_counted_one_by_one(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    let group = team(app, "Team", &ids.iter().collect::<Vec<_>>());
    brake(app, tight());
    for id in &ids {
        let gone = json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]);
        app.scim.patch(&format!("/Groups/{group}"), patch(gone)).expect(200);
    }
    assert_eq!(lines(app, 7), ["group.user_removed Team a"]);
    assert_eq!(shown(app)["lately"]["memberships"], 2);
    assert_eq!(shown(app)["lost"]["memberships_ended"], 2);
}

fn replaced_members_wait_as_a_whole(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    let id = team(app, "Team", &[&ids[0], &ids[1]]);
    brake(app, tight());
    app.scim.put(&format!("/Groups/{id}"), group("Crew", &[&ids[2]])).expect(200);
    // The name was told before its members were known to be too many.
    assert_eq!(lines(app, 6), ["group.updated Crew"]);
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!(lines(app, 7), ["group.user_added Crew c"]);
    assert_app_knows_what_there_is(app);
}

fn end_of_a_group_counts_its_members(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    let id = team(app, "Team", &ids.iter().collect::<Vec<_>>());
    brake(app, tight());
    delete(app, &format!("/Groups/{id}"));
    assert_eq!(shown(app)["held"]["events"], 1);
    assert_eq!(lines(app, 5), Vec::<String>::new());
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_eq!(lines(app, 5), Vec::<String>::new());
    let back = app.scim.get(&format!("/Groups/{id}")).expect(200);
    assert_eq!(back.body["members"].as_array().map(Vec::len), Some(2));
    assert_app_knows_what_there_is(app);
}

fn user_who_goes_counts_once_whatever_it_was_in(app: &TestApp) {
    let ids = users(app, &["a"]);
    for name in ["One", "Two", "Three"] {
        team(app, name, &[&ids[0]]);
    }
    brake(app, tight());
    delete(app, &format!("/Users/{}", ids[0]));
    let found = shown(app);
    assert_eq!(found["state"], "open");
    assert_eq!(
        (&found["lately"]["users"], &found["lately"]["memberships"]),
        (&json!(1), &json!(0))
    );
}

fn undo_puts_members_back_whatever_ended_them(app: &TestApp) {
    let ids = users(app, &["a", "b", "c", "d"]);
    let all: Vec<&String> = ids.iter().collect();
    let (one, two) = (team(app, "One", &all), team(app, "Two", &all));
    let before = lines(app, 0).len();
    brake(app, tight());
    // Deleted, replaced, removed.
    delete(app, &format!("/Groups/{one}"));
    delete(app, &format!("/Users/{}", ids[0]));
    app.scim.put(&format!("/Groups/{two}"), group("Two", &[])).expect(200);
    assert_eq!(lines(app, before), Vec::<String>::new());
    let report = app.api.post(&path(app, "/undo"), json!({})).expect(200).body;
    assert_eq!(report["lost"]["memberships_ended"], 8);
    assert_eq!(lines(app, before), Vec::<String>::new());
    for id in [&one, &two] {
        let back = app.scim.get(&format!("/Groups/{id}")).expect(200);
        assert_eq!(back.body["members"].as_array().map(Vec::len), Some(4), "{}", back.text);
    }
    assert_app_knows_what_there_is(app);
}

fn undo_of_a_group_that_changed_before_it_went(app: &TestApp) {
    let ids = users(app, &["a", "b", "c"]);
    let id = team(app, "Team", &[&ids[0], &ids[1]]);
    let before = lines(app, 0).len();
    brake(app, tight());
    app.scim.put(&format!("/Groups/{id}"), group("Team", &[])).expect(200);
    app.scim.put(&format!("/Groups/{id}"), group("Crew", &[&ids[2]])).expect(200);
    delete(app, &format!("/Groups/{id}"));
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    // Who joined meanwhile has gone with the group, and the app never knew it.
    assert_eq!(lines(app, before), ["group.updated Crew"]);
    assert_app_knows_what_there_is(app);
}

fn group_in_a_group_comes_back(app: &TestApp) {
    let ids = users(app, &["a", "b"]);
    let inner = team(app, "Inner", &ids.iter().collect::<Vec<_>>());
    let outer = team(app, "Outer", &[&inner]);
    brake(app, tight());
    delete(app, &format!("/Groups/{inner}"));
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    let back = app.scim.get(&format!("/Groups/{outer}")).expect(200);
    assert_eq!(back.body["members"][0]["value"], json!(inner));
}

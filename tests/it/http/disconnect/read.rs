//! Everybody goes to another directory that is read from its source.

use std::sync::Arc;

use rollbook::store::disconnection::DisconnectionRow;
use rollbook::store::sync::Room;
use rollbook::store::{StoreError, Tx};
use serde_json::{Value, json};

use super::{finish, hand_over, person};
use crate::on_both_databases;
use crate::support::{DirectoryHandle, TestApp, group};

on_both_databases![
    first_read_recognises_everybody_by_name,
    copies_that_were_read_before_end_and_the_ids_are_kept,
    who_is_not_listed_waits_for_a_decision_for_as_long_as_it_takes,
    files_that_list_some_recognise_the_others_later,
    directory_that_is_handed_to_is_not_taken_meanwhile,
];

/// A directory that reads files, which has no schedule.
fn files(app: &TestApp) -> DirectoryHandle {
    files_of(app, json!({}), json!({"guard": "off"}))
}

fn files_of(app: &TestApp, config: Value, settings: Value) -> DirectoryHandle {
    let body = json!({"organization_id": app.directory.organization_id, "name": "Files",
        "kind": "pull.csv", "config": config, "settings": settings});
    let made = app.api.post("/api/v1/directories", body).expect(201);
    DirectoryHandle { id: made.id(), ..app.directory.clone() }
}

/// Hands in the two users and their group, and reads them.
fn read(app: &TestApp, files: &DirectoryHandle) -> Value {
    let text = "id,userName,groups\ns1,ada@example.com,Staff\ns2,bob@example.com,Staff\n";
    let run = read_text(app, files, text);
    assert_eq!(run["status"], "completed", "{run}");
    run
}

fn read_text(app: &TestApp, files: &DirectoryHandle, text: &str) -> Value {
    let path = format!("/api/v1/directories/{}", files.id);
    let headers = [("Content-Type", "text/csv")];
    app.api
        .send("PUT", &format!("{path}/files/users"), &headers, Some(text.to_owned()))
        .expect(200);
    let run = app.api.post(&format!("{path}/sync"), json!({})).expect(202).id();
    app.api.get(&format!("{path}/syncs/{run}?wait=30")).expect(200).body
}

fn ids(app: &TestApp, directory: &DirectoryHandle) -> Vec<(String, String)> {
    let listed = app.api.get(&format!("/directory_users?directory={}&order=asc", directory.id));
    let listed = listed.expect(200).body["data"].clone();
    let text = |user: &Value, name: &str| user[name].as_str().expect("a text").to_owned();
    let users = listed.as_array().expect("a list").iter();
    users.map(|user| (text(user, "id"), text(user, "idp_id"))).collect()
}

fn first_read_recognises_everybody_by_name(app: &TestApp) {
    let ada = app.scim.post("/Users", person("1", "ada@example.com")).expect(201).id();
    let bob = app.scim.post("/Users", person("2", "bob@example.com")).expect(201).id();
    let staff = app.scim.post("/Groups", group("Staff", &[&ada])).expect(201).id();
    let files = files(app);
    hand_over(app, &files, false).expect(200);
    finish(app);
    let run = read(app, &files);
    assert_eq!(run["counts"]["users"]["created"], 0, "{run}");
    assert_eq!(run["counts"]["users"]["deleted"], 0, "{run}");
    let expected = [(ada.clone(), "s1".to_owned()), (bob.clone(), "s2".to_owned())];
    assert_eq!(ids(app, &files), expected);
    let told = app.events(&files);
    let ends = |name: &str| name.ends_with(".deleted") || name.ends_with(".created");
    assert!(!told.iter().any(|(name, _)| ends(name)), "{told:?}");
    let members = app.api.get(&format!("/directory_users?group={staff}")).expect(200).body;
    assert_eq!(members["data"].as_array().map(Vec::len), Some(2), "{members}");
    let again = read(app, &files);
    assert_eq!(again["counts"]["users"]["unchanged"], 2, "{again}");
}

fn copies_that_were_read_before_end_and_the_ids_are_kept(app: &TestApp) {
    let ada = app.scim.post("/Users", person("1", "ada@example.com")).expect(201).id();
    let staff = app.scim.post("/Groups", group("Staff", &[&ada])).expect(201).id();
    let files = files(app);
    read(app, &files);
    let copies = ids(app, &files);
    let told = hand_over(app, &files, true).expect(200).body["hand_over"].clone();
    assert_eq!((&told["matched"], &told["conflicts"]), (&json!(2), &json!(0)), "{told}");
    let before = app.events(&files).len();
    hand_over(app, &files, false).expect(200);
    finish(app);
    let (kept, bob) = (ids(app, &files), &copies[1]);
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.contains(&(ada.clone(), "s1".to_owned())) && kept.contains(bob), "{kept:?}");
    let told = app.events(&files).split_off(before);
    let about = |name: &str| -> Vec<Value> {
        let told = told.iter().filter(|(told, _)| told == name);
        told.map(|(_, data)| data["id"].clone()).collect()
    };
    assert_eq!(about("dsync.user.deleted"), [json!(copies[0].0)]);
    assert_eq!(about("dsync.user.updated"), [json!(ada)]);
    assert_eq!(about("dsync.group.updated"), [json!(staff)]);
    assert_eq!(about("dsync.group.deleted").len(), 1);
    let members = app.api.get(&format!("/directory_users?group={staff}")).expect(200).body;
    assert_eq!(members["data"].as_array().map(Vec::len), Some(2), "{members}");
    let again = read(app, &files);
    assert_eq!(again["counts"]["users"]["unchanged"], 2, "{again}");
    assert_eq!(again["counts"]["groups"]["deleted"], 0, "{again}");
}

/// Six users of whom the provider has given no id of its own, handed over to a directory that reads files.
fn six_without_ids(app: &TestApp, files: &DirectoryHandle) {
    for n in 1..=6 {
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("u{n}@example.com"), "active": true});
        app.scim.post("/Users", body).expect(201);
    }
    hand_over(app, files, false).expect(200);
    finish(app);
}

fn rows(numbers: impl Iterator<Item = usize>) -> String {
    let rows: String = numbers.map(|n| format!("{n},u{n}@example.com\n")).collect();
    format!("id,userName\n{rows}")
}

fn who_is_not_listed_waits_for_a_decision_for_as_long_as_it_takes(app: &TestApp) {
    let files = files_of(app, json!({}), json!({}));
    six_without_ids(app, &files);
    for _ in 0..3 {
        let run = read_text(app, &files, &rows(1..=2));
        assert_eq!(run["status"], "held", "{run}");
        assert_eq!(run["held"]["users"], 4, "{run}");
    }
    assert_eq!(ids(app, &files).len(), 6);
}

fn files_that_list_some_recognise_the_others_later(app: &TestApp) {
    let files = files_of(app, json!({"mode": "upsert"}), json!({}));
    six_without_ids(app, &files);
    for numbers in [1..=2, 3..=6] {
        let run = read_text(app, &files, &rows(numbers));
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(
            (&run["counts"]["users"]["created"], &run["counts"]["users"]["failed"]),
            (&json!(0), &json!(0))
        );
    }
    assert_eq!(ids(app, &files).len(), 6);
}

fn directory_that_is_handed_to_is_not_taken_meanwhile(app: &TestApp) {
    let files = files_of(app, json!({}), json!({}));
    six_without_ids(app, &files);
    let (from, into) = (app.directory.id.clone(), files.id.clone());
    let service = Arc::clone(app.service());
    let undone: Result<(), StoreError> = app.wait(async move {
        let work = move |tx: &mut Tx<'_>| {
            let row =
                |tx: &mut Tx<'_>, id| tx.directory_get(id).map(|row| row.expect("a directory"));
            let (from, into) = (row(tx, &from)?, row(tx, &into)?);
            let now = 1;
            tx.sync_schedule_set(into.key, Some(now))?;
            let room = Room { free: 4, reading: Vec::new() };
            assert!(tx.sync_due(now, &room)?);
            let handed = tx.disconnection_get(from.key)?.expect("it was disconnected");
            tx.disconnection_put(&DisconnectionRow { state: "running".to_owned(), ..handed })?;
            assert!(!tx.sync_due(now, &room)?);
            // Nothing of this is to be seen by the server.
            Err(StoreError::MissingReference)
        };
        service.store.write("test", work).await
    });
    assert!(matches!(undone, Err(StoreError::MissingReference)), "{undone:?}");
}

//! Pages: every list in every order, walked to its end, also over rows that go meanwhile.

use serde_json::Value;

use super::super::assert_invalid;
use crate::on_both_databases;
use crate::support::{TestApp, group, user};

on_both_databases![
    every_list_is_walked_in_every_order,
    cursors_stay_valid_when_their_rows_are_gone,
    wrong_words_about_pages_are_named,
];

fn ids(body: &Value) -> Vec<String> {
    let data = body["data"].as_array().expect("a list");
    data.iter().map(|object| object["id"].as_str().expect("an id").to_owned()).collect()
}

/// Follows the cursor to the end; pages as they came.
fn walk(app: &TestApp, list: &str, order: &str, cursor: &str) -> Vec<Vec<String>> {
    let first = format!("{list}limit=3&order={order}");
    let mut pages = Vec::new();
    let mut path = first.clone();
    loop {
        let page = app.api.get(&path).expect(200).body;
        pages.push(ids(&page));
        assert!(pages.len() < 50, "{path} goes on for ever");
        match page["list_metadata"][cursor].as_str() {
            Some(id) => path = format!("{first}&{cursor}={id}"),
            None => return pages,
        }
    }
}

fn filled(app: &TestApp, users: usize) -> (Vec<String>, String) {
    let made: Vec<String> = (0..users)
        .map(|n| app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201).id())
        .collect();
    let members: Vec<&str> = made.iter().map(String::as_str).collect();
    let group = app.scim.post("/Groups", group("All", &members)).expect(201).id();
    (made, group)
}

fn every_list_is_walked_in_every_order(app: &TestApp) {
    let (users, group_id) = filled(app, 8);
    for n in 0..7 {
        app.scim.post("/Groups", group(&format!("G{n}"), &[&users[0]])).expect(201);
        app.directory("scim.okta");
    }
    let directory = &app.directory.id;
    for list in [
        "/directories?".to_owned(),
        "/directories?search=dir&".to_owned(),
        "/organizations?".to_owned(),
        "/organizations?search=EXAM&".to_owned(),
        format!("/directory_users?directory={directory}&"),
        format!("/directory_users?group={group_id}&"),
        format!("/directory_groups?directory={directory}&"),
        format!("/directory_groups?user={}&", users[0]),
    ] {
        let all = ids(&app.api.get(&format!("{list}limit=100&order=asc")).expect(200).body);
        assert!(all.len() >= 8 && all.is_sorted(), "{list}: {all:?}");
        let newest_first: Vec<String> = all.iter().rev().cloned().collect();
        for (order, cursor, expected) in [
            ("asc", "after", &all),
            ("desc", "after", &newest_first),
            ("normal", "before", &newest_first),
        ] {
            let pages = walk(app, &list, order, cursor);
            assert_eq!(pages.concat(), *expected, "{list}{order}");
            assert!(pages.iter().rev().skip(1).all(|page| page.len() == 3), "{list}{order}");
            // From the last page back to the first.
            let back = if cursor == "after" { "before" } else { "after" };
            let last = pages.last().and_then(|page| page.first()).expect("a row");
            let path = format!("{list}limit=3&order={order}&{back}={last}");
            let page = app.api.get(&path).expect(200).body;
            assert_eq!(ids(&page), pages[pages.len() - 2], "{path}");
        }
        // Nothing newer than the first page.
        let first = app.api.get(&format!("{list}limit=3&order=normal")).expect(200).body;
        assert_eq!(first["list_metadata"]["after"], Value::Null);
    }
}

fn cursors_stay_valid_when_their_rows_are_gone(app: &TestApp) {
    let (users, group_id) = filled(app, 9);
    let directory = app.directory.id.clone();
    for (round, list) in
        [format!("directory={directory}"), format!("group={group_id}")].into_iter().enumerate()
    {
        // The row in the middle goes, the next page begins behind where it was.
        let gone = &users[4 - round];
        app.scim.delete(&format!("/Users/{gone}")).expect(204);
        let older: Vec<String> = users[..4 - round].iter().rev().cloned().collect();
        let newer: Vec<String> = users[5..].to_vec();
        let path = format!("/directory_users?{list}&after={gone}");
        assert_eq!(ids(&app.api.get(&path).expect(200).body), older, "{path}");
        let path = format!("/directory_users?{list}&order=asc&after={gone}");
        assert_eq!(ids(&app.api.get(&path).expect(200).body), newer, "{path}");
    }
}

fn wrong_words_about_pages_are_named(app: &TestApp) {
    let directory = &app.directory.id;
    for list in [
        "/directories?".to_owned(),
        "/organizations?".to_owned(),
        format!("/directory_users?directory={directory}&"),
        format!("/directory_groups?directory={directory}&"),
    ] {
        for (words, field) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=x", "limit"),
            ("order=up", "order"),
            ("after=nonsense", "after"),
            ("before=nonsense", "before"),
            ("order=normal&before=event_1", "before"),
            ("after=x_1&before=x_2", "after"),
            ("search=%FF", "query"),
        ] {
            assert_invalid(&app.api.get(&format!("{list}{words}")), field);
        }
        assert_eq!(app.api.get(&format!("{list}limit=&order=&after=")).status, 200);
    }
}

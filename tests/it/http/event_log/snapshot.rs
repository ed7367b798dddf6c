//! `GET /api/v1/directories/{id}/snapshot`: the present state, and where the log goes on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use rollbook::service::events::Snapshot;
use serde_json::{Value, json};

use super::ending_key;
use crate::on_both_databases;
use crate::support::{Client, Consumer, TestApp, group, patch, user};

on_both_databases![
    snapshot_is_the_state_and_the_log_goes_on_behind_it,
    snapshot_shows_what_policies_show,
    snapshot_of_a_busy_directory_loses_and_doubles_nothing,
    memberships_of_many_groups_come_in_parts,
    snapshot_of_a_directory_that_goes_ends_without_its_last_line,
    snapshot_of_a_key_that_ends_is_cut_off,
    snapshot_does_not_hold_up_a_stop,
];

/// The events of a snapshot, and the position behind which the log goes on.
fn snapshot(api: &Client, directory: &str) -> (Vec<(String, Value)>, i64) {
    let answer = api.get(&format!("/api/v1/directories/{directory}/snapshot")).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let mut lines: Vec<Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let end = lines.pop().expect("a last line");
    assert_eq!((&end["object"], &end["directory_id"]), (&json!("snapshot_end"), &json!(directory)));
    let events = lines.into_iter().map(|line| {
        assert_eq!(line["object"], "event");
        assert_eq!(line["position"], Value::Null);
        (line["event"].as_str().expect("a name").to_owned(), line["data"].clone())
    });
    (events.collect(), end["position"].as_i64().expect("a position"))
}

/// The events of a directory behind a position.
fn rest(api: &Client, directory: &str, after: i64) -> Vec<(String, Value)> {
    let (mut events, mut after) = (Vec::new(), after);
    loop {
        let path = format!("/api/v1/events?limit=1000&directory_id={directory}&after={after}");
        let page = api.get(&path).expect(200);
        for event in page.body["data"].as_array().expect("a list") {
            let name = event["event"].as_str().expect("a name").to_owned();
            events.push((name, event["data"].clone()));
        }
        after = page.body["next"].as_i64().expect("a position");
        if page.body["more"] == json!(false) {
            return events;
        }
    }
}

/// What an app knows that has read these events: users, groups, memberships.
fn known(events: &[(String, Value)]) -> (Vec<Value>, Vec<Value>, BTreeSet<(String, String)>) {
    let consumer = Consumer::of(events);
    let users = consumer.users.into_values().collect();
    (users, consumer.groups.into_values().collect(), consumer.members)
}

fn snapshot_is_the_state_and_the_log_goes_on_behind_it(app: &TestApp) {
    let scim = &app.scim;
    let ada = scim.post("/Users", user("ada@example.com")).expect(201).id();
    let ben = scim.post("/Users", user("ben@example.com")).expect(201).id();
    let team = scim.post("/Groups", group("Team", &[&ada, &ben])).expect(201).id();
    scim.post("/Groups", group("Outer", &[&team])).expect(201);
    scim.delete(&format!("/Users/{ben}")).expect(204);
    app.settle_events();
    let (events, position) = snapshot(&app.api, &app.directory.id);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "dsync.group.created",
            "dsync.group.created",
            "dsync.user.created",
            "dsync.group.user_added"
        ]
    );
    assert_eq!(known(&events), known(&app.events(&app.directory)));
    assert!(rest(&app.api, &app.directory.id, position).is_empty());
    let ops = json!([{"op": "add", "path": "title", "value": "Lead"}]);
    scim.patch(&format!("/Users/{ada}"), patch(ops)).expect(200);
    app.settle_events();
    let more = rest(&app.api, &app.directory.id, position);
    assert_eq!(more.len(), 1);
    let all: Vec<_> = events.into_iter().chain(more).collect();
    assert_eq!(known(&all), known(&app.events(&app.directory)));
}

fn snapshot_shows_what_policies_show(app: &TestApp) {
    app.settings(&app.directory, json!({"inactive_users": "delete", "delete": "deactivate"}));
    let scim = &app.scim;
    let ids: Vec<String> = ["ada", "ben", "cleo"]
        .map(|name| scim.post("/Users", user(&format!("{name}@example.com"))).expect(201).id())
        .to_vec();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    scim.post("/Groups", group("Team", &members)).expect(201);
    let ops = json!([{"op": "replace", "path": "active", "value": false}]);
    scim.patch(&format!("/Users/{}", ids[0]), patch(ops)).expect(200);
    app.settings(&app.directory, json!({"delete": "deactivate"}));
    scim.delete(&format!("/Users/{}", ids[1])).expect(204);
    app.settle_events();
    let (events, _) = snapshot(&app.api, &app.directory.id);
    assert_eq!(known(&events), known(&app.events(&app.directory)));
    assert_eq!(known(&events).0.len(), 3, "the deleted user is kept for the app");
}

/// Writers go on while the snapshot is taken, several times; each time the snapshot and what follows it
/// lead to the state of the whole log.
fn snapshot_of_a_busy_directory_loses_and_doubles_nothing(app: &TestApp) {
    let scim = &app.scim;
    let groups: Vec<String> = (0..3)
        .map(|n| scim.post("/Groups", group(&format!("G{n}"), &[])).expect(201).id())
        .collect();
    let ids: Vec<String> = (0..250)
        .map(|n| scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201).id())
        .collect();
    let stop = AtomicBool::new(false);
    let taken: Vec<(Vec<(String, Value)>, i64)> = std::thread::scope(|scope| {
        for writer in 0..4_usize {
            let (groups, ids, stop) = (&groups, &ids, &stop);
            let scim = scim.clone();
            scope.spawn(move || {
                let mut made: Option<String> = None;
                let mut round = writer;
                while !stop.load(Ordering::SeqCst) {
                    let (id, team) = (&ids[(round * 7) % ids.len()], &groups[round % groups.len()]);
                    let member = json!([{"value": id}]);
                    let filter = format!("members[value eq \"{id}\"]");
                    let ops = match round % 3 {
                        0 => json!([{"op": "remove", "path": filter}]),
                        _ => json!([{"op": "add", "path": "members", "value": member}]),
                    };
                    scim.patch(&format!("/Groups/{team}"), patch(ops)).expect(200);
                    let ops = json!([{"op": "add", "path": "title", "value": round.to_string()}]);
                    scim.patch(&format!("/Users/{id}"), patch(ops)).expect(200);
                    if let Some(gone) = made.take() {
                        scim.delete(&format!("/Users/{gone}")).expect(204);
                    }
                    let name = format!("w{writer}-{round}@example.com");
                    made = Some(scim.post("/Users", user(&name)).expect(201).id());
                    round += 4;
                }
            });
        }
        let taken = (0..4).map(|_| snapshot(&app.api, &app.directory.id)).collect();
        stop.store(true, Ordering::SeqCst);
        taken
    });
    app.settle_events();
    let whole = known(&app.events(&app.directory));
    let end = rest(&app.api, &app.directory.id, 0).len();
    for (events, position) in taken {
        let more = rest(&app.api, &app.directory.id, position);
        assert!(more.len() < end);
        let all: Vec<_> = events.into_iter().chain(more).collect();
        assert_eq!(known(&all), whole);
    }
}

fn memberships_of_many_groups_come_in_parts(app: &TestApp) {
    let scim = &app.scim;
    let ids: Vec<String> = (0..90)
        .map(|n| scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201).id())
        .collect();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    for n in 0..25 {
        scim.post("/Groups", group(&format!("G{n}"), &members)).expect(201);
    }
    app.settle_events();
    let (events, _) = snapshot(&app.api, &app.directory.id);
    assert_eq!(events.len(), 90 + 25 + 90 * 25);
    assert_eq!(known(&events), known(&app.events(&app.directory)));
}

fn snapshot_of_a_directory_that_goes_ends_without_its_last_line(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.scim.post("/Users", user("a@example.com")).expect(201);
    app.settle_events();
    let service = app.service().clone();
    let (directory, id) = (app.directory.clone(), app.directory.id.clone());
    let api = app.api.clone();
    let ended = app.wait(async move {
        let bearer = api.bearer.clone().expect("a key");
        let access = service.api_access(&bearer, None).await.expect("the key");
        let mut snapshot = service.clone().snapshot(&access, &bearer, &id).await.expect("begins");
        snapshot.next().await.expect("groups");
        std::thread::spawn(move || api.delete(&path).expect(202)).join().expect("deleted");
        loop {
            match snapshot.next().await {
                Ok(Some(lines)) => assert!(!lines.contains("snapshot_end"), "{lines}"),
                ended => break ended.is_err(),
            }
        }
    });
    assert!(ended, "{} told of its end", directory.id);
    let answer = app.api.get(&format!("/api/v1/directories/{}/snapshot", directory.id));
    assert_eq!(answer.status, 404);
}

/// A snapshot that has told the groups.
fn begun(app: &TestApp, client: &Client) -> Snapshot {
    let (service, id) = (app.service().clone(), app.directory.id.clone());
    let bearer = client.bearer.clone().expect("a key");
    app.wait(async move {
        let access = service.api_access(&bearer, None).await.expect("the key");
        let mut snapshot = service.clone().snapshot(&access, &bearer, &id).await.expect("begins");
        snapshot.next().await.expect("groups");
        snapshot
    })
}

fn snapshot_of_a_key_that_ends_is_cut_off(app: &TestApp) {
    app.scim.post("/Users", user("a@example.com")).expect(201);
    app.settle_events();
    let (client, key) = ending_key(app);
    let mut snapshot = begun(app, &client);
    app.api.delete(&key).expect(204);
    let error = app.wait(snapshot.next()).expect_err("the key has ended");
    assert!(format!("{error:?}").contains("unauthorized"), "{error:?}");
}

fn snapshot_does_not_hold_up_a_stop(app: &TestApp) {
    app.scim.post("/Users", user("a@example.com")).expect(201);
    app.settle_events();
    let mut snapshot = begun(app, &app.api);
    app.service().event_log.close();
    let error = app.wait(snapshot.next()).expect_err("the server stops");
    assert!(format!("{error:?}").contains("about to stop"), "{error:?}");
}

//! Several clients at once: no update is lost, and a condition lets exactly one through.

use serde_json::json;

use crate::on_both_databases;
use crate::support::{Client, TestApp, group, patch, user};

on_both_databases![
    heavy_two_clients_patch_one_group_500_times_each,
    if_match_lets_one_writer_through,
    same_user_name_is_created_once,
    user_deleted_while_it_is_added_leaves_no_membership,
];

fn create_users(client: &Client, names: impl Iterator<Item = String>) -> Vec<String> {
    names.map(|name| client.post("/Users", user(&name)).expect(201).id()).collect()
}

fn heavy_two_clients_patch_one_group_500_times_each(app: &TestApp) {
    let group_id = app.scim.post("/Groups", group("All", &[])).expect(201).id();
    let members: Vec<Vec<String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let scim = app.scim.clone();
                scope.spawn(move || {
                    create_users(&scim, (0..500).map(|n| format!("user-{worker}-{n}@example.com")))
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    let path = format!("/Groups/{group_id}?attributes=displayName");
    std::thread::scope(|scope| {
        for ids in &members {
            let (scim, path) = (app.scim.clone(), path.clone());
            scope.spawn(move || {
                for id in ids {
                    let ops = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
                    scim.patch(&path, patch(ops)).expect(200);
                }
            });
        }
    });
    let answer = app.scim.get(&format!("/Groups/{group_id}")).expect(200);
    assert_eq!(answer.body["members"].as_array().expect("members").len(), 1_000);
    assert_eq!(answer.body["meta"]["version"], "W/\"1001\"", "every PATCH moved the version once");
    let added = app.event_names(&app.directory);
    let added = added.iter().filter(|name| *name == "dsync.group.user_added").count();
    assert_eq!(added, 1_000);
}

fn if_match_lets_one_writer_through(app: &TestApp) {
    let id = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let path = format!("/Users/{id}");
    for round in 1..=25 {
        let tag = format!("W/\"{round}\"");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let send = |title: String, put: bool| {
                let (scim, path, tag) = (app.scim.clone(), path.clone(), tag.clone());
                move || {
                    let headers = [("If-Match", tag.as_str())];
                    let mut body = user("ada@example.com");
                    body["title"] = title.clone().into();
                    let ops = json!([{"op": "replace", "path": "title", "value": title}]);
                    match put {
                        true => scim.send("PUT", &path, &headers, Some(body.to_string())),
                        false => scim.send("PATCH", &path, &headers, Some(patch(ops).to_string())),
                    }
                    .status
                }
            };
            let first = scope.spawn(send(format!("put {round}"), true));
            let second = scope.spawn(send(format!("patch {round}"), false));
            vec![first.join().expect("no panic"), second.join().expect("no panic")]
        });
        let mut sorted = statuses.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [200, 412], "round {round}");
    }
    let answer = app.scim.get(&path).expect(200);
    assert_eq!(answer.body["meta"]["version"], "W/\"26\"");
}

fn same_user_name_is_created_once(app: &TestApp) {
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|n| {
                let scim = app.scim.clone();
                let name = if n % 2 == 0 { "Ada@example.com" } else { "ADA@EXAMPLE.COM" };
                scope.spawn(move || scim.post("/Users", user(name)).status)
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    assert_eq!(app.scim.get("/Users?count=0").total(), 1);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn user_deleted_while_it_is_added_leaves_no_membership(app: &TestApp) {
    for round in 0..20 {
        let user_id =
            app.scim.post("/Users", user(&format!("u{round}@example.com"))).expect(201).id();
        let group_id = app.scim.post("/Groups", group("G", &[])).expect(201).id();
        let (added, deleted) = std::thread::scope(|scope| {
            let (scim, path) = (app.scim.clone(), format!("/Groups/{group_id}"));
            let ops = json!([{"op": "add", "path": "members", "value": [{"value": user_id}]}]);
            let add = scope.spawn(move || scim.patch(&path, patch(ops)).status);
            let (scim, path) = (app.scim.clone(), format!("/Users/{user_id}"));
            let delete = scope.spawn(move || scim.delete(&path).status);
            (add.join().expect("no panic"), delete.join().expect("no panic"))
        });
        assert_eq!(deleted, 204);
        assert!(matches!(added, 200 | 400), "{added}");
        let answer = app.scim.get(&format!("/Groups/{group_id}")).expect(200);
        assert!(answer.body.get("members").is_none(), "{}", answer.text);
    }
}

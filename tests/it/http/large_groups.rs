//! Groups of the size that identity providers push, in the time that they wait.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{GROUP, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, TestApp, group, patch};

on_both_databases![
    heavy_large_group_is_changed_in_time,
    heavy_parallel_patches_of_one_group_lose_nothing,
];

/// The shortest time-out that is known of a client is five seconds, a Keycloak plug-in's. A build
/// without optimisation on a machine that runs other tests takes several times as long.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 5 });

const MEMBERS: usize = 10_000;

/// Users by bulk requests of a thousand; their ids.
fn make_users(app: &TestApp, count: usize) -> Vec<String> {
    let names: Vec<usize> = (0..count).collect();
    let mut ids = Vec::new();
    for chunk in names.chunks(1_000) {
        let operations: Vec<Value> = chunk
            .iter()
            .map(|n| {
                let data = plain_user(&format!("member{n}@example.com"));
                json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": data})
            })
            .collect();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": operations,
        });
        let done = app.scim.post("/Bulk", body).expect(200);
        let outcomes = done.body["Operations"].as_array().expect("outcomes");
        ids.extend(outcomes.iter().map(|outcome| {
            let location = outcome["location"].as_str().expect("a location");
            location.rsplit('/').next().expect("an id").to_owned()
        }));
    }
    assert_eq!(ids.len(), count);
    ids
}

fn values(ids: &[String]) -> Vec<Value> {
    ids.iter().map(|id| json!({"value": id})).collect()
}

fn heavy_large_group_is_changed_in_time(app: &TestApp) {
    let ids = make_users(app, MEMBERS);
    let (head, tail) = ids.split_at(500);
    let path =
        format!("/Groups/{}", app.scim.post("/Groups", group("Large", &[])).expect(201).id());
    let quiet = format!("{path}?excludedAttributes=members");
    let timed = |what: &str, request: &dyn Fn() -> Answer| {
        let started = Instant::now();
        let answer = request().expect(200);
        let took = started.elapsed();
        println!("{what}: {took:?}");
        assert!(took < PATIENCE, "{what} took {took:?}");
        assert_eq!(answer.body["members"], Value::Null, "{what} answers without the members");
    };
    let count = |expected: usize| {
        let group = app.scim.get(&path).expect(200);
        assert_eq!(group.body["members"].as_array().map_or(0, Vec::len), expected);
    };
    let each = |op: &str| {
        let op = |id| json!({"op": op, "path": "members", "value": [{"value": id}]});
        patch(head.iter().map(op).collect::<Vec<_>>().into())
    };
    let all = |op: &str| patch(json!([{"op": op, "path": "members", "value": values(head)}]));

    timed("a PATCH of 500 additions", &|| app.scim.patch(&quiet, each("add")));
    count(500);
    timed("a PATCH of 500 removals", &|| app.scim.patch(&quiet, each("remove")));
    count(0);
    timed("a PATCH that adds 500 values", &|| app.scim.patch(&quiet, all("add")));
    count(500);
    timed("a PATCH that removes 500 values", &|| app.scim.patch(&quiet, all("remove")));
    count(0);
    let whole = |ids: &[String]| json!({"schemas": [GROUP], "displayName": "Large", "members": values(ids)});
    app.database.analyze();
    timed("a PUT of 10,000 members", &|| app.scim.put(&quiet, whole(&ids)));
    count(MEMBERS);
    app.database.analyze();
    timed("the same PUT", &|| app.scim.put(&quiet, whole(&ids)));
    count(MEMBERS);
    let one = json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", ids[0])}]);
    timed("a PATCH that removes one of 10,000", &|| app.scim.patch(&quiet, patch(one.clone())));
    timed("a PUT that takes 500 away", &|| app.scim.put(&quiet, whole(tail)));
    count(MEMBERS - 500);
}

/// Entra ID wants 25 requests a second for a tenant, and sends changes of one group side by side.
fn heavy_parallel_patches_of_one_group_lose_nothing(app: &TestApp) {
    const CLIENTS: usize = 8;
    const CHANGES: usize = 25;
    let ids = make_users(app, CLIENTS * CHANGES);
    let path = format!("/Groups/{}", app.scim.post("/Groups", group("Busy", &[])).expect(201).id());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for part in ids.chunks(CHANGES) {
            let (scim, path) = (app.scim.clone(), &path);
            scope.spawn(move || {
                for id in part {
                    let add = json!([{"op": "Add", "path": "members", "value": [{"value": id}]}]);
                    let quiet = format!("{path}?excludedAttributes=members");
                    scim.patch(&quiet, patch(add)).expect(200);
                }
            });
        }
    });
    let rate = (CLIENTS * CHANGES) as f64 / started.elapsed().as_secs_f64();
    println!("{rate:.0} changes of one group a second");
    assert!(rate >= 25.0, "{rate:.1} changes a second");
    let shown = app.scim.get(&path).expect(200);
    let members = shown.body["members"].as_array().expect("members");
    let mut found: Vec<_> = members.iter().filter_map(|member| member["value"].as_str()).collect();
    let mut expected: Vec<_> = ids.iter().map(String::as_str).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(shown.header("etag"), Some(&*format!("W/\"{}\"", 1 + ids.len())));
    let told = app.event_names(&app.directory);
    let joined = told.iter().filter(|name| *name == "dsync.group.user_added").count();
    assert_eq!(joined, ids.len(), "each joining is told once");
}

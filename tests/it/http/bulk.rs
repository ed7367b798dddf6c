//! `/Bulk` (RFC 7644 §3.7): methods, answers, conditions, limits. References between operations are
//! in `bulk_references`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::device::{DEVICE, add_devices, device};
use super::{GROUP, USER, assert_nothing_stored, create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp, group, patch};

on_both_databases![
    every_method_on_every_type,
    answers_have_the_form_of_the_rfc,
    results_stand_in_the_order_of_the_request,
    refused_operations_leave_nothing_and_the_rest_stands,
    versions_are_conditions,
    fail_on_errors_stops_after_so_many,
    unique_values_are_taken_within_a_request_too,
    values_that_were_freed_can_be_taken,
    totals_and_events_are_those_of_single_requests,
    failed_operations_make_no_event_and_no_count,
    request_as_a_whole_is_refused,
    too_many_operations_are_413,
    too_many_bytes_are_413,
    read_only_token_is_403,
    other_methods_are_405,
    profile_without_bulk_is_501,
    schemas_are_wanted_where_the_profile_wants_them,
    heavy_ten_thousand_operations_let_others_write,
];

const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// A bulk body with those operations.
pub(super) fn bulk(operations: Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    })
}

/// Sends operations and gives their results.
#[track_caller]
pub(super) fn run(client: &Client, operations: Value) -> Vec<Value> {
    results(&client.post("/Bulk", bulk(operations)))
}

#[track_caller]
pub(super) fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/scim+json"));
    assert_eq!(answer.body["schemas"], json!([BULK_RESPONSE]));
    assert_eq!(answer.body.as_object().expect("an object").len(), 2, "{}", answer.text);
    answer.body["Operations"].as_array().expect("a list").clone()
}

/// The statuses, in order.
pub(super) fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().expect("a status in text")).collect()
}

/// The id at the end of a result's location.
#[track_caller]
pub(super) fn id_of(result: &Value) -> String {
    let location = result["location"].as_str().unwrap_or_else(|| panic!("no location: {result}"));
    location.rsplit('/').next().expect("an id").to_owned()
}

fn post(path: &str, bulk_id: &str, data: Value) -> Value {
    json!({"method": "POST", "path": path, "bulkId": bulk_id, "data": data})
}

fn post_user(name: &str) -> Value {
    post("/Users", name, plain_user(name))
}

fn replace(path: &str, value: Value) -> Value {
    patch(json!([{"op": "replace", "path": path, "value": value}]))
}

fn every_method_on_every_type(app: &TestApp) {
    add_devices(app);
    for (endpoint, body, attribute) in [
        ("/Users", json!({"schemas": [USER], "userName": "ada", "title": "a"}), "title"),
        ("/Groups", json!({"schemas": [GROUP], "displayName": "a"}), "displayName"),
        (
            "/Devices",
            json!({"schemas": [DEVICE], "serial": "s", "displayName": "a"}),
            "displayName",
        ),
    ] {
        let made = run(&app.scim, json!([post(endpoint, "one", body.clone())]));
        assert_eq!(statuses(&made), ["201"], "{made:?}");
        let id = id_of(&made[0]);
        let path = format!("{endpoint}/{id}");
        assert_eq!(made[0]["location"], format!("{}{path}", app.directory.base_url));
        let mut wanted = body.clone();
        wanted[attribute] = "b".into();
        let put = json!({"method": "PUT", "path": path, "data": wanted});
        assert_eq!(statuses(&run(&app.scim, json!([put]))), ["200"], "{endpoint}");
        assert_eq!(app.scim.get(&path).expect(200).body[attribute], "b");
        let change = json!({
            "method": "patch", "path": format!("{path}/"), "data": replace(attribute, json!("c")),
        });
        let changed = run(&app.scim, json!([change]));
        assert_eq!(statuses(&changed), ["200"], "{changed:?}");
        let found = app.scim.get(&path).expect(200);
        assert_eq!(found.body[attribute], "c");
        assert_eq!(changed[0]["version"], found.body["meta"]["version"]);
        let gone = run(&app.scim, json!([{"method": "DELETE", "path": path}]));
        assert_eq!(statuses(&gone), ["204"]);
        app.scim.get(&path).expect_scim_error(404, None);
    }
}

fn answers_have_the_form_of_the_rfc(app: &TestApp) {
    let bob = create(&app.scim, "/Users", plain_user("bob"));
    let users = format!("{}/Users", app.directory.base_url);
    let found = run(
        &app.scim,
        json!([
            {"method": "POST", "path": "/Users", "bulkId": "qwerty", "data": plain_user("ada")},
            {"method": "POST", "path": "/Users", "bulkId": "again", "data": plain_user("ADA")},
            {"method": "PATCH", "path": format!("/Users/{bob}"), "bulkId": "named",
             "data": replace("title", json!("Dr"))},
            {"method": "PUT", "path": "/Users/nobody", "data": plain_user("eve")},
            {"method": "DELETE", "path": format!("/Users/{bob}")},
            {"method": "DELETE", "path": "/Planets/1"},
            {"method": "GET", "path": format!("/Users/{bob}")},
            7,
        ]),
    );
    let error = "urn:ietf:params:scim:api:messages:2.0:Error";
    let ada = id_of(&found[0]);
    assert!(ada.starts_with("directory_user_"), "{ada}");
    assert_eq!(
        found[0],
        json!({
            "location": format!("{users}/{ada}"), "method": "POST", "bulkId": "qwerty",
            "version": "W/\"1\"", "status": "201",
        })
    );
    let taken = found[1]["response"]["detail"].as_str().expect("a sentence");
    assert!(taken.contains("\"userName\"") && taken.ends_with('.'), "{taken}");
    assert_eq!(
        found[1],
        json!({
            "method": "POST", "bulkId": "again", "status": "409",
            "response": {
                "schemas": [error], "status": "409", "scimType": "uniqueness", "detail": taken,
            },
        })
    );
    assert_eq!(
        found[2],
        json!({
            "location": format!("{users}/{bob}"), "method": "PATCH", "bulkId": "named",
            "version": "W/\"2\"", "status": "200",
        })
    );
    assert_eq!(
        found[3],
        json!({
            "location": format!("{users}/nobody"), "method": "PUT", "status": "404",
            "response": {
                "schemas": [error], "status": "404",
                "detail": "User \"nobody\" was not found.",
            },
        })
    );
    assert_eq!(
        found[4],
        json!({"location": format!("{users}/{bob}"), "method": "DELETE", "status": "204"})
    );
    assert_eq!(found[5]["status"], "404");
    assert_eq!(found[5].get("location"), None);
    assert_eq!((&found[6]["status"], &found[6]["method"]), (&json!("400"), &json!("GET")));
    assert_eq!(found[6]["response"]["scimType"], "invalidSyntax");
    assert_eq!(found[7]["status"], "400");
    let detail = found[7]["response"]["detail"].as_str().expect("a sentence");
    assert!(detail.contains("Operations[7]"), "{detail}");
    assert_eq!(found.len(), 8);
}

/// The group needs the user behind it, which runs first; the answer does not show it.
fn results_stand_in_the_order_of_the_request(app: &TestApp) {
    let found = run(
        &app.scim,
        json!([
            post("/Groups", "team", group("Team", &["bulkId:ada"])),
            post_user("bob"),
            post_user("ada"),
            post_user("bob2"),
        ]),
    );
    let names: Vec<&str> = found.iter().filter_map(|result| result["bulkId"].as_str()).collect();
    assert_eq!(names, ["team", "bob", "ada", "bob2"]);
    assert_eq!(statuses(&found), ["201"; 4]);
    let events = app.event_names(&app.directory);
    assert_eq!(
        events[..3],
        ["dsync.user.created", "dsync.group.created", "dsync.group.user_added"]
    );
}

/// A failing operation of any kind, amid others: it alone leaves nothing.
fn refused_operations_leave_nothing_and_the_rest_stands(app: &TestApp) {
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    let bob = create(&app.scim, "/Users", plain_user("bob"));
    let team = create(&app.scim, "/Groups", group("Team", &[&ada]));
    let before = app.scim.get(&format!("/Users/{ada}")).expect(200);
    let group_before = app.scim.get(&format!("/Groups/{team}")).expect(200);
    let failing = [
        // The second operation of the PATCH fails: the first must not stay.
        json!({"method": "PATCH", "path": format!("/Users/{ada}"), "data": patch(json!([
            {"op": "replace", "path": "title", "value": "Dr"},
            {"op": "replace", "path": "userName", "value": "bob"},
        ]))}),
        // The name is changed before the unknown member is found.
        json!({"method": "PATCH", "path": format!("/Groups/{team}"), "data": patch(json!([
            {"op": "replace", "path": "displayName", "value": "Other"},
            {"op": "add", "path": "members", "value": [{"value": bob}, {"value": "nobody"}]},
        ]))}),
        json!({"method": "PUT", "path": format!("/Users/{ada}"), "data": plain_user("BOB")}),
        json!({"method": "PUT", "path": format!("/Groups/{team}"),
               "data": group("Other", &["nobody"])}),
        post("/Groups", "g", group("New", &[&bob, "nobody"])),
        post("/Users", "u", json!({"schemas": [USER], "title": "x"})),
        json!({"method": "DELETE", "path": format!("/Groups/{ada}")}),
    ];
    let mut operations = Vec::new();
    for (n, operation) in failing.iter().enumerate() {
        operations.push(post_user(&format!("before{n}")));
        operations.push(operation.clone());
        operations.push(post_user(&format!("after{n}")));
    }
    let found = run(&app.scim, operations.into());
    for (n, three) in found.chunks(3).enumerate() {
        assert_eq!((&three[0]["status"], &three[2]["status"]), (&json!("201"), &json!("201")));
        let status = three[1]["status"].as_str().expect("a status");
        assert!(status.starts_with('4'), "{n}: {}", three[1]);
    }
    assert_eq!(app.scim.get(&format!("/Users/{ada}")).expect(200).body, before.body);
    assert_eq!(app.scim.get(&format!("/Groups/{team}")).expect(200).body, group_before.body);
    assert_eq!(app.scim.get("/Users?count=0").total(), 2 + 2 * failing.len() as u64);
    assert_eq!(app.scim.get("/Groups?count=0").total(), 1);
    assert_eq!(app.scim.filter("/Users", "title pr").total(), 0);
}

fn versions_are_conditions(app: &TestApp) {
    let ids: Vec<String> =
        ["a", "b", "c", "d"].iter().map(|n| create(&app.scim, "/Users", plain_user(n))).collect();
    let path = |n: usize| format!("/Users/{}", ids[n]);
    let title = replace("title", json!("Dr"));
    let found = run(
        &app.scim,
        json!([
            {"method": "PATCH", "path": path(0), "version": "W/\"1\"", "data": title},
            {"method": "PATCH", "path": path(0), "version": "W/\"1\"", "data": title},
            {"method": "PUT", "path": path(1), "version": "W/\"2\"", "data": plain_user("b2")},
            {"method": "PUT", "path": path(1), "version": "W/\"1\"", "data": plain_user("b2")},
            {"method": "DELETE", "path": path(2), "version": "\"7\""},
            {"method": "DELETE", "path": path(2), "version": "1"},
            {"method": "DELETE", "path": path(3), "version": ""},
            {"method": "PUT", "path": "/Users/nobody", "version": "W/\"1\"", "data": plain_user("x")},
        ]),
    );
    assert_eq!(statuses(&found), ["200", "412", "412", "200", "412", "204", "204", "404"]);
    assert_eq!(found[0]["version"], "W/\"2\"");
    assert_eq!(found[3]["version"], "W/\"2\"");
    assert_eq!(found[1].get("version"), None);
    let detail = found[1]["response"]["detail"].as_str().expect("a sentence");
    assert!(detail.contains("W/\"2\""), "{detail}");
    assert_eq!(app.scim.get("/Users?count=0").total(), 2);
}

fn fail_on_errors_stops_after_so_many(app: &TestApp) {
    let bad = |n: usize| json!({"method": "DELETE", "path": format!("/Users/nobody{n}")});
    // Good ones at even places; what stops the rest may lie in another unit.
    for (limit, count) in [(1, 6), (2, 6), (3, 6), (4, 6), (40, 200)] {
        let (_, scim) = app.directory("scim.generic");
        let operation = |n: usize| match n % 2 {
            0 => post_user(&format!("user{n}")),
            _ => bad(n),
        };
        let mut body = bulk((0..count).map(operation).collect());
        body["failOnErrors"] = limit.into();
        let found = results(&scim.post("/Bulk", body));
        let tried = count.min(2 * limit);
        assert_eq!(found.len(), tried, "failOnErrors {limit}");
        let failed = found.iter().filter(|result| result["status"] == "404").count();
        assert_eq!(failed, (tried / 2).min(limit));
        assert_eq!(scim.get("/Users?count=0").total() as usize, tried.div_ceil(2));
    }
    // What ran early because another needs it is part of the answer, at its place.
    let (_, scim) = app.directory("scim.generic");
    let mut body = bulk(json!([
        post("/Groups", "g", group("G", &["bulkId:u"])),
        bad(0),
        post_user("x"),
        post_user("u"),
        post_user("y"),
    ]));
    body["failOnErrors"] = 1.into();
    let found = results(&scim.post("/Bulk", body));
    let names: Vec<Option<&str>> = found.iter().map(|result| result["bulkId"].as_str()).collect();
    assert_eq!(names, [Some("g"), None, Some("u")]);
    assert_eq!(statuses(&found), ["201", "404", "201"]);
    assert_eq!(scim.get("/Users?count=0").total(), 1);
}

fn unique_values_are_taken_within_a_request_too(app: &TestApp) {
    add_devices(app);
    let found = run(
        &app.scim,
        json!([
            post("/Users", "1", plain_user("ada")),
            post("/Users", "2", plain_user("Ada")),
            post("/Devices", "3", device("S1", 1)),
            post("/Devices", "4", device("s1", 2)),
            post("/Users", "5", plain_user("bob")),
        ]),
    );
    assert_eq!(statuses(&found), ["201", "409", "201", "409", "201"]);
    for n in [1, 3] {
        assert_eq!(found[n]["response"]["scimType"], "uniqueness", "{}", found[n]);
    }
    // Two requests at once: of each name there is one user in the end.
    let names: Vec<Value> = (0..120).map(|n| post_user(&format!("race{n}"))).collect();
    let both: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let send = || scope.spawn(|| run(&app.scim, names.clone().into()));
        let workers = [send(), send()];
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    for (n, (one, other)) in both[0].iter().zip(&both[1]).enumerate() {
        let mut pair = [one["status"].as_str(), other["status"].as_str()];
        pair.sort_unstable();
        assert_eq!(pair, [Some("201"), Some("409")], "race{n}: {one} {other}");
    }
    assert_eq!(app.scim.get("/Users?count=0").total(), 122);
}

fn values_that_were_freed_can_be_taken(app: &TestApp) {
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    let found = run(
        &app.scim,
        json!([
            {"method": "DELETE", "path": format!("/Users/{ada}")},
            post("/Users", "new", plain_user("ada")),
            {"method": "PATCH", "path": "/Users/bulkId:new",
             "data": replace("userName", json!("eve"))},
            post("/Users", "newer", plain_user("ada")),
        ]),
    );
    assert_eq!(statuses(&found), ["204", "201", "200", "201"], "{found:?}");
    assert_eq!(app.scim.filter("/Users", "userName eq \"ada\"").ids(), [id_of(&found[3])]);
}

/// The same changes one by one and in one request.
fn totals_and_events_are_those_of_single_requests(app: &TestApp) {
    let (single, one_by_one) = app.directory("scim.generic");
    let (bulked, at_once) = app.directory("scim.generic");
    let ada = create(&one_by_one, "/Users", plain_user("ada"));
    let bob = create(&one_by_one, "/Users", plain_user("bob"));
    let team = create(&one_by_one, "/Groups", group("Team", &[&ada]));
    let join =
        |id: &str| patch(json!([{"op": "add", "path": "members", "value": [{"value": id}]}]));
    one_by_one.patch(&format!("/Groups/{team}"), join(&bob)).expect(200);
    one_by_one.patch(&format!("/Users/{bob}"), replace("active", json!(false))).expect(200);
    one_by_one.put(&format!("/Groups/{team}"), group("Crew", &[&bob])).expect(200);
    one_by_one.delete(&format!("/Users/{bob}")).expect(204);

    let found = run(
        &at_once,
        json!([
            post("/Users", "ada", plain_user("ada")),
            post("/Users", "bob", plain_user("bob")),
            post("/Groups", "team", group("Team", &["bulkId:ada"])),
            {"method": "PATCH", "path": "/Groups/bulkId:team", "data": join("bulkId:bob")},
            {"method": "PATCH", "path": "/Users/bulkId:bob",
             "data": replace("active", json!(false))},
            {"method": "PUT", "path": "/Groups/bulkId:team", "data": group("Crew", &["bulkId:bob"])},
            {"method": "DELETE", "path": "/Users/bulkId:bob"},
        ]),
    );
    assert_eq!(statuses(&found), ["201", "201", "201", "200", "200", "200", "204"]);
    assert_eq!(found[6]["location"], found[1]["location"]);

    // Ids differ: each is replaced by a number, in the order of appearance.
    let alike = |events: Vec<(String, Value)>| {
        let is_change =
            |name: &str| name.starts_with("dsync.user") || name.starts_with("dsync.group");
        let events: Vec<_> = events.into_iter().filter(|(name, _)| is_change(name)).collect();
        let text = serde_json::to_string(&events).expect("JSON");
        let mut known: Vec<String> = Vec::new();
        let mut out = String::new();
        for piece in text.split('"') {
            let is_id = ["directory_", "org_"].iter().any(|prefix| piece.starts_with(prefix));
            if is_id && piece.len() > 26 {
                let at = known.iter().position(|id| id == piece).unwrap_or_else(|| {
                    known.push(piece.to_owned());
                    known.len() - 1
                });
                out.push_str(&format!("#{at}"));
            } else {
                out.push_str(piece);
            }
            out.push('"');
        }
        out
    };
    assert_eq!(app.event_names(&bulked), app.event_names(&single));
    assert_eq!(alike(app.events(&bulked)), alike(app.events(&single)));
    for path in ["/Users?count=0", "/Groups?count=0"] {
        assert_eq!(at_once.get(path).total(), 1);
        assert_eq!(one_by_one.get(path).total(), 1);
    }
}

fn failed_operations_make_no_event_and_no_count(app: &TestApp) {
    let operations: Vec<Value> = (0..130)
        .map(|n| match n % 3 {
            0 => post_user(&format!("user{n}")),
            1 => post("/Users", &format!("again{n}"), plain_user(&format!("USER{}", n - 1))),
            _ => post("/Groups", &format!("group{n}"), group("G", &["nobody"])),
        })
        .collect();
    let found = run(&app.scim, operations.into());
    let made = found.iter().filter(|result| result["status"] == "201").count();
    assert_eq!(made, 44);
    assert_eq!(app.scim.get("/Users?count=0").total(), 44);
    assert_eq!(app.scim.filter("/Users", "userName sw \"user\"").total(), 44);
    assert_eq!(app.scim.get("/Groups?count=0").total(), 0);
    assert_eq!(app.event_names(&app.directory), vec!["dsync.user.created"; 44]);
}

fn request_as_a_whole_is_refused(app: &TestApp) {
    for (body, word) in [
        (json!({}), "Operations"),
        (bulk(json!([])), "Operations"),
        (bulk(json!({"method": "POST"})), "Operations"),
        (json!({"Operations": [post_user("ada")], "failOnErrors": 0}), "failOnErrors"),
        (json!({"Operations": [post_user("ada")], "failOnErrors": "1"}), "failOnErrors"),
        (
            json!({"schemas": [USER], "Operations": [post_user("ada")]}),
            "urn:ietf:params:scim:api:messages:2.0:BulkRequest",
        ),
    ] {
        let answer = app.scim.post("/Bulk", body.clone());
        let detail = answer.expect_scim_error(400, Some("invalidSyntax"));
        assert!(detail.contains(word), "{body}: {detail}");
    }
    let broken = app.scim.send("POST", "/Bulk", &[], Some("{\"Operations\": [".into()));
    broken.expect_scim_error(400, Some("invalidSyntax"));
    assert_nothing_stored(app);
}

fn too_many_operations_are_413(app: &TestApp) {
    let config = app.scim.get("/ServiceProviderConfig").expect(200).body["bulk"].clone();
    let limit = config["maxOperations"].as_u64().expect("a number") as usize;
    let operations = vec![json!({"method": "DELETE", "path": "/Users/1"}); limit + 1];
    let detail = app.scim.post("/Bulk", bulk(operations.into())).expect_scim_error(413, None);
    for word in ["maxOperations", &limit.to_string(), &(limit + 1).to_string()] {
        assert!(detail.contains(word), "{detail}");
    }
}

fn too_many_bytes_are_413(app: &TestApp) {
    let config = app.scim.get("/ServiceProviderConfig").expect(200).body["bulk"].clone();
    let limit = config["maxPayloadSize"].as_u64().expect("a number") as usize;
    let mut body = bulk(json!([post_user("ada")]));
    body["padding"] = "x".repeat(limit).into();
    let detail = app.scim.post("/Bulk", body).expect_scim_error(413, None);
    assert!(detail.contains(&limit.to_string()), "{detail}");
    assert_nothing_stored(app);
}

fn read_only_token_is_403(app: &TestApp) {
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&path, json!({"scope": "read"})).expect(201);
    let reader = app.scim.with_bearer(token.body["secret"].as_str());
    let detail = reader.post("/Bulk", bulk(json!([post_user("ada")]))).expect_scim_error(403, None);
    assert!(detail.contains("read"), "{detail}");
    assert_nothing_stored(app);
}

fn other_methods_are_405(app: &TestApp) {
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = app.scim.send(method, "/Bulk", &[], None);
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
        answer.expect_scim_error(405, None);
    }
}

fn profile_without_bulk_is_501(app: &TestApp) {
    let (_, scim) = app.directory("scim.authentik");
    let config = scim.get("/ServiceProviderConfig").expect(200);
    assert_eq!(config.body["bulk"]["supported"], false);
    let detail = scim.post("/Bulk", bulk(json!([post_user("ada")]))).expect_scim_error(501, None);
    assert!(detail.contains("/Bulk"), "{detail}");
    assert_eq!(scim.get("/Users?count=0").total(), 0);
}

fn schemas_are_wanted_where_the_profile_wants_them(app: &TestApp) {
    let bare = json!({"Operations": [post_user("ada")]});
    let (_, rfc) = app.directory("scim.rfc");
    let detail = rfc.post("/Bulk", bare.clone()).expect_scim_error(400, Some("invalidSyntax"));
    assert!(detail.contains("schemas"), "{detail}");
    assert_eq!(statuses(&results(&app.scim.post("/bulk/", bare))), ["201"]);
}

/// A request as large as it may be, beside a client that changes one user again and again. The
/// bounds are wide because the machine is shared; a lane held for the whole request misses them.
fn heavy_ten_thousand_operations_let_others_write(app: &TestApp) {
    let team = create(&app.scim, "/Groups", group("Team", &[]));
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    // PostgreSQL plans for the empty tables that it saw first, until it learns that they have grown.
    run(&app.scim, (0..1_000).map(|n| post_user(&format!("early{n}@example.com"))).collect());
    app.database.analyze();
    let operations: Vec<Value> = (0..10_000)
        .map(|n| match n % 2 {
            0 => post_user(&format!("user{n}@example.com")),
            _ => json!({"method": "PATCH", "path": format!("/Groups/{team}"), "data": patch(json!([
                {"op": "add", "path": "members",
                 "value": [{"value": format!("bulkId:user{}@example.com", n - 1)}]},
            ]))}),
        })
        .collect();
    let body = bulk(operations.into());
    let done = AtomicBool::new(false);
    let (took, mut waits) = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (mut waits, mut n) = (Vec::new(), 0);
            while !done.load(Ordering::SeqCst) {
                n += 1;
                let change = replace("title", format!("title {n}").into());
                let started = Instant::now();
                app.scim.patch(&format!("/Users/{ada}"), change).expect(200);
                waits.push(started.elapsed());
            }
            waits
        });
        let started = Instant::now();
        let found = results(&app.scim.post("/Bulk", body));
        let took = started.elapsed();
        done.store(true, Ordering::SeqCst);
        let wrong = found.iter().find(|result| result["response"] != Value::Null);
        assert_eq!((found.len(), wrong), (10_000, None));
        (took, other.join().expect("no panic"))
    });
    waits.sort_unstable();
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!(
        "10,000 operations: {took:?}; meanwhile {} PATCHes: median {median:?}, longest {longest:?}",
        waits.len()
    );
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(waits.len() > 20, "{}", waits.len());
    assert_eq!(app.scim.get("/Users?count=0").total(), 6_001);
    let members = app.scim.get(&format!("/Groups/{team}")).expect(200);
    assert_eq!(members.body["members"].as_array().expect("members").len(), 5_000);
    let added = app.event_names(&app.directory);
    let added = added.iter().filter(|name| *name == "dsync.group.user_added").count();
    assert_eq!(added, 5_000);
}

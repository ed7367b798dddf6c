//! References between the operations of a bulk request (RFC 7644 §3.7.1, §3.7.2).

use serde_json::{Value, json};

use super::bulk::{bulk, id_of, results, run, statuses};
use super::device::{add_devices, device};
use super::{USER, create, plain_user};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, group, patch};

on_both_databases![
    references_lead_backward_and_forward,
    two_groups_and_two_users_in_circles_end_linked,
    circle_of_three_groups_is_resolved,
    resource_may_refer_to_itself,
    references_in_paths_and_filters,
    references_in_links,
    members_of_every_type_are_referred_to,
    unknown_reference_fails_alone,
    operation_on_a_failed_one_is_409,
    repeated_bulk_id_does_not_break_references_to_the_first,
    failed_operation_on_a_resource_does_not_break_references_to_it,
    failed_circle_leaves_nothing,
    operation_that_needs_a_failed_circle_is_409,
    circle_in_one_unit_counts_errors,
    largest_circle_is_done_and_a_larger_one_is_409,
    chain_longer_than_a_unit_is_resolved,
];

fn managed(name: &str, manager: &str) -> Value {
    let mut user = plain_user(name);
    user["schemas"] = json!([USER, ENTERPRISE]);
    user[ENTERPRISE] = json!({"manager": {"value": manager}});
    user
}

fn post(path: &str, bulk_id: &str, data: Value) -> Value {
    json!({"method": "POST", "path": path, "bulkId": bulk_id, "data": data})
}

/// The ids of a group's members, sorted.
#[track_caller]
fn members(app: &TestApp, id: &str) -> Vec<String> {
    let found = app.scim.get(&format!("/Groups/{id}")).expect(200);
    let members = found.body["members"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> =
        members.iter().map(|m| m["value"].as_str().expect("an id").to_owned()).collect();
    ids.sort_unstable();
    ids
}

#[track_caller]
fn manager(app: &TestApp, id: &str) -> Value {
    app.scim.get(&format!("/Users/{id}")).expect(200).body[ENTERPRISE]["manager"]["value"].clone()
}

fn sorted<const N: usize>(ids: [&str; N]) -> [String; N] {
    let mut ids = ids.map(str::to_owned);
    ids.sort_unstable();
    ids
}

#[track_caller]
fn detail(result: &Value) -> &str {
    result["response"]["detail"].as_str().unwrap_or_else(|| panic!("no detail: {result}"))
}

fn references_lead_backward_and_forward(app: &TestApp) {
    let found = run(
        &app.scim,
        json!([
            post("/Users", "boss", plain_user("boss")),
            post("/Users", "backward", managed("backward", "bulkId:boss")),
            post("/Users", "forward", managed("forward", "bulkId:later")),
            post("/Groups", "team", group("Team", &["bulkId:boss", "bulkId:later"])),
            post("/Users", "later", plain_user("later")),
        ]),
    );
    assert_eq!(statuses(&found), ["201"; 5], "{found:?}");
    let ids: Vec<String> = found.iter().map(id_of).collect();
    assert_eq!(manager(app, &ids[1]), ids[0].as_str());
    assert_eq!(manager(app, &ids[2]), ids[4].as_str());
    assert_eq!(members(app, &ids[3]), sorted([&ids[0], &ids[4]]));
}

fn two_groups_and_two_users_in_circles_end_linked(app: &TestApp) {
    let found = run(
        &app.scim,
        json!([
            post("/Groups", "a", group("A", &["bulkId:b", "bulkId:u"])),
            post("/Users", "u", managed("u", "bulkId:v")),
            post("/Groups", "b", group("B", &["bulkId:a", "bulkId:v"])),
            post("/Users", "v", managed("v", "bulkId:u")),
        ]),
    );
    assert_eq!(statuses(&found), ["201"; 4], "{found:?}");
    let ids: Vec<String> = found.iter().map(id_of).collect();
    let [a, u, b, v] = ids.as_slice() else { panic!("four") };
    assert_eq!(members(app, a), sorted([b, u]));
    assert_eq!(members(app, b), sorted([a, v]));
    assert_eq!(manager(app, u), v.as_str());
    assert_eq!(manager(app, v), u.as_str());
    for result in &found {
        let path = result["location"].as_str().expect("a location");
        let path = path.strip_prefix(&app.directory.base_url).expect("our base");
        let tag = app.scim.get(path).expect(200);
        let version = result["version"].as_str().expect("a version");
        let number = version.trim_matches(['W', '/', '"']);
        let shown = tag.header("etag").expect("a tag").to_owned();
        assert!(shown.starts_with(&format!("W/\"{number}")), "{version} {shown}");
    }
    let mut events = app.event_names(&app.directory);
    events.sort_unstable();
    assert_eq!(
        events,
        [
            "dsync.group.created",
            "dsync.group.created",
            "dsync.group.user_added",
            "dsync.group.user_added",
            "dsync.user.created",
            "dsync.user.created",
        ]
    );
    assert_eq!(app.scim.get("/Users?count=0").total(), 2);
    assert_eq!(app.scim.get("/Groups?count=0").total(), 2);
}

fn circle_of_three_groups_is_resolved(app: &TestApp) {
    let found = run(
        &app.scim,
        json!([
            post("/Groups", "a", group("A", &["bulkId:b"])),
            post("/Groups", "b", group("B", &["bulkId:c"])),
            post("/Groups", "c", group("C", &["bulkId:a"])),
        ]),
    );
    assert_eq!(statuses(&found), ["201"; 3], "{found:?}");
    let ids: Vec<String> = found.iter().map(id_of).collect();
    for n in 0..3 {
        assert_eq!(members(app, &ids[n]), [ids[(n + 1) % 3].clone()]);
    }
}

fn resource_may_refer_to_itself(app: &TestApp) {
    let found = run(
        &app.scim,
        json!([
            post("/Users", "me", managed("me", "bulkId:me")),
            post("/Groups", "us", group("Us", &["bulkId:us", "bulkId:me"])),
        ]),
    );
    assert_eq!(statuses(&found), ["201"; 2], "{found:?}");
    let (me, us) = (id_of(&found[0]), id_of(&found[1]));
    assert_eq!(manager(app, &me), me.as_str());
    assert_eq!(members(app, &us), sorted([&me, &us]));
}

fn references_in_paths_and_filters(app: &TestApp) {
    let old = create(&app.scim, "/Users", plain_user("old"));
    let found = run(
        &app.scim,
        json!([
            {"method": "PATCH", "path": "/Groups/bulkId:g", "data": patch(json!([
                {"op": "remove", "path": "members[value eq \"bulkId:u\"]"},
            ]))},
            post("/Groups", "g", group("G", &["bulkId:u", "bulkId:v", &old])),
            post("/Users", "u", plain_user("u")),
            post("/Users", "v", plain_user("v")),
            post("/Users", "w", plain_user("w")),
            {"method": "PUT", "path": "/Users/bulkId:v", "data": managed("v2", "bulkId:u")},
            {"method": "DELETE", "path": "/Users/bulkId:w"},
            {"method": "PATCH", "path": format!("/Users/{old}"), "data": patch(json!([
                {"op": "add", "path": format!("{ENTERPRISE}:manager.value"), "value": "bulkId:v"},
            ]))},
            {"method": "PATCH", "path": "/Groups/bulkId%3Ag", "data": patch(json!([
                {"op": "replace", "path": "displayName", "value": "H"},
            ]))},
        ]),
    );
    let expected = ["200", "201", "201", "201", "201", "200", "204", "200", "200"];
    assert_eq!(statuses(&found), expected, "{found:?}");
    let (g, u, v) = (id_of(&found[1]), id_of(&found[2]), id_of(&found[3]));
    assert_eq!(members(app, &g), sorted([&v, &old]));
    assert_eq!(app.scim.get(&format!("/Groups/{g}")).expect(200).body["displayName"], "H");
    assert_eq!(manager(app, &v), u.as_str());
    assert_eq!(manager(app, &old), v.as_str());
    // A location shows the id that the reference stands for.
    for (n, same) in [(0, 1), (5, 3), (6, 4), (8, 1)] {
        assert_eq!(found[n]["location"], found[same]["location"]);
    }
}

/// A `$ref` is resolved wherever it stands, though the server makes its own.
fn references_in_links(app: &TestApp) {
    let mut team = group("Team", &[]);
    team["members"] = json!([{"value": "bulkId:u", "$ref": "../Users/bulkId:u", "type": "User"}]);
    let mut user = managed("v", "bulkId:u");
    user[ENTERPRISE]["manager"]["$ref"] = "https://example.com/Users/bulkId:u".into();
    let found = run(
        &app.scim,
        json!([
            post("/Groups", "g", team),
            post("/Users", "v", user),
            post("/Users", "u", plain_user("u")),
        ]),
    );
    assert_eq!(statuses(&found), ["201"; 3], "{found:?}");
    let shown = app.scim.get(&format!("/Groups/{}", id_of(&found[0]))).expect(200);
    assert_eq!(shown.body["members"][0]["$ref"], found[2]["location"]);
    let shown = app.scim.get(&format!("/Users/{}", id_of(&found[1]))).expect(200);
    assert_eq!(shown.body[ENTERPRISE]["manager"]["$ref"], found[2]["location"]);
}

fn members_of_every_type_are_referred_to(app: &TestApp) {
    add_devices(app);
    let found = run(
        &app.scim,
        json!([
            post("/Groups", "g", group("G", &["bulkId:d", "bulkId:u", "bulkId:h"])),
            post("/Devices", "d", device("S1", 1)),
            post("/Users", "u", plain_user("u")),
            post("/Groups", "h", group("H", &["bulkId:g"])),
        ]),
    );
    assert_eq!(statuses(&found), ["201"; 4], "{found:?}");
    let ids: Vec<String> = found.iter().map(id_of).collect();
    assert_eq!(members(app, &ids[0]), sorted([&ids[1], &ids[2], &ids[3]]));
    assert_eq!(members(app, &ids[3]), [ids[0].clone()]);
}

fn unknown_reference_fails_alone(app: &TestApp) {
    let found = run(
        &app.scim,
        json!([
            post("/Groups", "g", group("G", &["bulkId:nobody"])),
            {"method": "DELETE", "path": "/Users/bulkId:nobody"},
            // Only a POST gives a name.
            {"method": "DELETE", "path": "/Users/1", "bulkId": "named"},
            post("/Users", "u", managed("u", "bulkId:named")),
            post("/Users", "v", plain_user("v")),
        ]),
    );
    assert_eq!(statuses(&found), ["400", "400", "404", "400", "201"], "{found:?}");
    for (n, name) in [(0, "bulkId:nobody"), (1, "bulkId:nobody"), (3, "bulkId:named")] {
        assert_eq!(found[n]["response"]["scimType"], "invalidValue");
        assert!(detail(&found[n]).contains(name), "{}", found[n]);
    }
    assert_eq!(app.scim.get("/Users?count=0").total(), 1);
    assert_eq!(app.scim.get("/Groups?count=0").total(), 0);
}

fn operation_on_a_failed_one_is_409(app: &TestApp) {
    create(&app.scim, "/Users", plain_user("ada"));
    let found = run(
        &app.scim,
        json!([
            post("/Users", "twin", plain_user("ada")),
            post("/Groups", "g", group("G", &["bulkId:twin"])),
            {"method": "PATCH", "path": "/Users/bulkId:twin", "data": patch(json!([
                {"op": "replace", "path": "title", "value": "Dr"},
            ]))},
            // What needs one that was not done was not done either, and so on.
            post("/Groups", "h", group("H", &["bulkId:g"])),
            post("/Users", "bob", plain_user("bob")),
            // A POST that cannot be done at all has failed too.
            post("/Planets", "mars", json!({})),
            post("/Groups", "i", group("I", &["bulkId:mars"])),
            json!({"method": "POST", "path": "/Users", "bulkId": "empty"}),
            post("/Groups", "j", group("J", &["bulkId:empty"])),
        ]),
    );
    let expected = ["409", "409", "409", "409", "201", "404", "409", "400", "409"];
    assert_eq!(statuses(&found), expected, "{found:?}");
    for (n, name) in [
        (1, "bulkId:twin"),
        (2, "bulkId:twin"),
        (3, "bulkId:g"),
        (6, "bulkId:mars"),
        (8, "bulkId:empty"),
    ] {
        assert!(detail(&found[n]).contains(name), "{}", found[n]);
        assert_eq!(found[n]["response"].get("scimType"), None);
    }
    assert_eq!(app.scim.get("/Groups?count=0").total(), 0);
    // In another unit than the one that failed too.
    let mut operations = vec![post("/Users", "twin", plain_user("ada"))];
    operations
        .extend((0..120).map(|n| post("/Users", &format!("u{n}"), plain_user(&format!("u{n}")))));
    operations.push(post("/Groups", "g", group("G", &["bulkId:twin"])));
    let found = run(&app.scim, operations.into());
    assert_eq!((&found[0]["status"], &found[121]["status"]), (&json!("409"), &json!("409")));
    assert_eq!(statuses(&found[1..121]), ["201"; 120]);
}

/// The second POST with a bulkId is refused; the name still means the first.
fn repeated_bulk_id_does_not_break_references_to_the_first(app: &TestApp) {
    let found = run(
        &app.scim,
        json!([
            post("/Users", "x", plain_user("first")),
            post("/Users", "x", plain_user("second")),
            post("/Groups", "g", group("G", &["bulkId:x"])),
        ]),
    );
    assert_eq!(statuses(&found), ["201", "400", "201"], "{found:?}");
    assert!(detail(&found[1]).contains("\"x\""), "{}", found[1]);
    assert_eq!(members(app, &id_of(&found[2])), [id_of(&found[0])]);
}

/// Clients number all of their operations; only that of a POST is a name.
fn failed_operation_on_a_resource_does_not_break_references_to_it(app: &TestApp) {
    let title = patch(json!([{"op": "replace", "path": "title", "value": {"no": "text"}}]));
    let failing =
        json!({"method": "PATCH", "path": "/Users/bulkId:x", "bulkId": "x", "data": title});
    let mut operations = vec![post("/Users", "x", plain_user("ada")), failing];
    operations.push(post("/Groups", "near", group("Near", &["bulkId:x"])));
    operations
        .extend((0..120).map(|n| post("/Users", &format!("u{n}"), plain_user(&format!("u{n}")))));
    operations.push(post("/Groups", "far", group("Far", &["bulkId:x"])));
    let found = run(&app.scim, operations.into());
    assert_eq!(statuses(&found[..3]), ["201", "400", "201"], "{:?}", &found[..3]);
    assert_eq!(found[123]["status"], "201", "{}", found[123]);
}

fn failed_circle_leaves_nothing(app: &TestApp) {
    create(&app.scim, "/Users", plain_user("taken"));
    let found = run(
        &app.scim,
        json!([
            post("/Groups", "a", group("A", &["bulkId:b"])),
            post("/Users", "u", managed("TAKEN", "bulkId:v")),
            post("/Groups", "b", group("B", &["bulkId:a", "nobody"])),
            post("/Users", "v", managed("v", "bulkId:u")),
            post("/Users", "w", plain_user("w")),
        ]),
    );
    assert_eq!(statuses(&found), ["409", "409", "400", "409", "201"], "{found:?}");
    assert!(detail(&found[0]).contains("bulkId:b"), "{}", found[0]);
    assert_eq!(found[1]["response"]["scimType"], "uniqueness");
    assert!(detail(&found[2]).contains("nobody"), "{}", found[2]);
    assert!(detail(&found[3]).contains("bulkId:u"), "{}", found[3]);
    for result in &found[..4] {
        assert_eq!(result.get("location"), None, "{result}");
        assert_eq!(result.get("version"), None, "{result}");
    }
    assert_eq!(app.scim.get("/Groups?count=0").total(), 0);
    assert_eq!(app.scim.get("/Users?count=0").total(), 2);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"; 2]);
}

fn operation_that_needs_a_failed_circle_is_409(app: &TestApp) {
    let found = run(
        &app.scim,
        json!([
            post("/Groups", "a", group("A", &["bulkId:b"])),
            post("/Groups", "b", group("B", &["bulkId:a", "nobody"])),
            post("/Groups", "c", group("C", &["bulkId:a"])),
            post("/Groups", "d", group("D", &["bulkId:e"])),
            post("/Groups", "e", group("E", &["bulkId:d", "bulkId:a"])),
        ]),
    );
    assert_eq!(statuses(&found), ["409", "400", "409", "409", "409"], "{found:?}");
    assert!(detail(&found[4]).contains("bulkId:a"), "{}", found[4]);
    assert_eq!(app.scim.get("/Groups?count=0").total(), 0);
}

/// A circle is tried as a whole; each of its operations that was not done is an error.
fn circle_in_one_unit_counts_errors(app: &TestApp) {
    let mut body = bulk(json!([
        post("/Groups", "a", group("A", &["bulkId:b"])),
        post("/Groups", "b", group("B", &["bulkId:a", "nobody"])),
        post("/Users", "u", plain_user("u")),
    ]));
    body["failOnErrors"] = 2.into();
    let found = results(&app.scim.post("/Bulk", body.clone()));
    assert_eq!(statuses(&found), ["409", "400"]);
    body["failOnErrors"] = 3.into();
    let found = results(&app.scim.post("/Bulk", body));
    assert_eq!(statuses(&found), ["409", "400", "201"]);
}

fn largest_circle_is_done_and_a_larger_one_is_409(app: &TestApp) {
    let circle = |size: usize, name: &str| -> Vec<Value> {
        let link = |n: usize| {
            let next = format!("bulkId:{name}{}", (n + 1) % size);
            post("/Groups", &format!("{name}{n}"), group("G", &[&next]))
        };
        (0..size).map(link).collect()
    };
    let mut operations = circle(200, "fits");
    operations.extend(circle(201, "large"));
    operations.push(post("/Users", "u", plain_user("u")));
    let found = run(&app.scim, operations.into());
    assert_eq!(statuses(&found[..200]), ["201"; 200]);
    assert_eq!(statuses(&found[200..401]), ["409"; 201]);
    assert!(detail(&found[200]).contains("201") && detail(&found[200]).contains("200"));
    assert_eq!(found[401]["status"], "201");
    assert_eq!(app.scim.get("/Groups?count=0").total(), 200);
    assert_eq!(members(app, &id_of(&found[199])), [id_of(&found[0])]);
}

/// Each needs the next one, so they run in the opposite order, unit after unit.
fn chain_longer_than_a_unit_is_resolved(app: &TestApp) {
    let link = |n: usize| match n {
        299 => post("/Users", "299", plain_user("u299")),
        _ => {
            post("/Users", &n.to_string(), managed(&format!("u{n}"), &format!("bulkId:{}", n + 1)))
        }
    };
    let found = run(&app.scim, (0..300).map(link).collect());
    assert_eq!(statuses(&found), ["201"; 300]);
    let ids: Vec<String> = found.iter().map(id_of).collect();
    for n in [0, 49, 50, 51, 149, 298] {
        assert_eq!(manager(app, &ids[n]), ids[n + 1].as_str());
    }
}

//! What a bulk request asks for, and how far one operation's failure reaches.

use serde_json::{Value, json};

use super::{create, create_user, expect_failure, expect_statuses, path_of, process, process_with};
use crate::rows::custom::{THINGS, a_thing, resource_type};
use crate::rows::{Check, Row};
use crate::scim::{BULK_RESPONSE, PATCH_OP, full_user, group, patch, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "B1",
        "MUST",
        "RFC 7644 §3.7",
        "rfc_b1_bulk_request_and_response",
        "POST /Bulk with BulkRequest URI; answer 200 with BulkResponse URI",
        b1,
    )
    .differs(
        "a message without `schemas` is read as what its endpoint takes: clients are known to leave it \
         out; a wrong URI is refused here too",
        b1_default,
    ),
    Row::new(
        "B2",
        "REQUIRED",
        "RFC 7644 §3.7",
        "rfc_b2_members_of_an_operation",
        "Each operation has method and path; POST also bulkId; POST/PUT/PATCH also data; otherwise \
         that operation fails with 400",
        b2,
    ),
    Row::new(
        "B3",
        "MUST",
        "RFC 7644 §3.7",
        "rfc_b3_failures_do_not_stop_the_rest",
        "Partial failures do not stop the rest",
        b3,
    ),
    Row::new(
        "B4",
        "MAY",
        "RFC 7644 §3.7",
        "rfc_b4_fail_on_errors",
        "`failOnErrors` n: stop after n errors, answer what was done",
        b4,
    ),
    Row::new(
        "B5",
        "MUST",
        "RFC 7644 §3.7",
        "rfc_b5_bulk_id_is_repeated",
        "Each POST result repeats its `bulkId`",
        b5,
    ),
];

fn b1(s: &Subject) -> Check {
    every_method(s)?;
    let bare = json!({"Operations": [create_user("never@example.com")]});
    s.scim.post("/Bulk", &bare)?.expect_error(400, Some("invalidSyntax"))?;
    s.scim.filter("/Users", "userName sw \"never\"")?.expect(200)?.expect_ids(&[])?;
    Ok(())
}

fn b1_default(s: &Subject) -> Check {
    every_method(s)?;
    let bare = json!({"Operations": [create_user("bare@example.com")]});
    let answer = s.scim.post("/Bulk", &bare)?.expect(200)?;
    answer.expect_at("/schemas", &json!([BULK_RESPONSE]))?;
    answer.expect_at("/Operations/0/status", &json!("201"))?;
    Ok(())
}

fn every_method(s: &Subject) -> Check {
    s.scim.config()?.expect_at("/bulk/supported", &json!(true))?;
    s.load_schemas(&resource_type(&json!([{"name": "displayName", "type": "string"}])))?;
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[])?;
    let thing = s.scim.create(THINGS, &a_thing(&json!({"displayName": "a"})))?;
    let rename = patch(&json!([{"op": "replace", "path": "displayName", "value": "Changed"}]));
    let answer = process(
        s,
        &json!([
            create_user("new@example.com"),
            create("/Groups", "group", &group("New", &[&ada.id])),
            create(THINGS, "thing", &a_thing(&json!({"displayName": "new"}))),
            {"method": "PUT", "path": ada.path, "data": user("ada@example.com")},
            {"method": "PATCH", "path": ada.path, "data": rename},
            {"method": "PATCH", "path": tools.path, "data": rename},
            {"method": "PUT", "path": tools.path, "data": group("Put", &[&ada.id])},
            {"method": "PUT", "path": thing.path, "data": a_thing(&json!({"displayName": "b"}))},
            {"method": "PATCH", "path": thing.path, "data": rename},
            {"method": "DELETE", "path": thing.path},
        ]),
    )?;
    let results = answer.array_at("/Operations")?;
    answer.expect_that(results.len() == 10, "there must be ten results")?;
    for (n, result) in results.iter().enumerate() {
        let status = result.get("status").and_then(Value::as_str).unwrap_or_default();
        let right = match result.get("method").and_then(Value::as_str) {
            Some("POST") => status == "201",
            Some("DELETE") => status == "204",
            _ => status == "200" || status == "204",
        };
        answer.expect_that(right, &format!("operation {n} ended with {status}"))?;
    }
    let user = s.scim.get(&ada.path)?.expect(200)?;
    user.expect_at("/displayName", &json!("Changed"))?;
    user.expect_unassigned("/title")?;
    s.scim.get(&tools.path)?.expect(200)?.expect_at("/members/0/value", &json!(ada.id))?;
    s.scim.get(&thing.path)?.expect_error(404, None)?;
    for (n, name) in [(0, "new@example.com"), (1, "New"), (2, "new")] {
        let made = s.scim.get(&path_of(s, &answer, n)?)?.expect(200)?;
        made.expect_that(made.text.contains(name), &format!("this is not {name}"))?;
    }
    no_request(s)
}

/// With the URI of another message, or without a list of operations, it is no bulk request.
fn no_request(s: &Subject) -> Check {
    let operation = create_user("never@example.com");
    for body in [
        json!({"schemas": [], "Operations": [operation]}),
        json!({"schemas": [PATCH_OP], "Operations": [operation]}),
        json!({"schemas": [BULK_RESPONSE], "Operations": [operation]}),
        json!([operation]),
    ] {
        s.scim.post("/Bulk", &body)?.expect_error(400, Some("invalidSyntax"))?;
    }
    for operations in [json!(null), json!({}), operation] {
        s.scim.bulk(&json!({}), &operations)?.expect_error(400, Some("invalidSyntax"))?;
    }
    s.scim.filter("/Users", "userName sw \"never\"")?.expect(200)?.expect_ids(&[])?;
    Ok(())
}

fn b2(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let data = user("never@example.com");
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "never"}]));
    let bad = [
        json!({"path": "/Users", "bulkId": "a", "data": data}),
        json!({"method": "GET", "path": "/Users"}),
        json!({"method": "MOVE", "path": ada.path, "data": data}),
        json!({"method": 7, "path": "/Users", "bulkId": "b", "data": data}),
        json!({"method": "POST", "bulkId": "c", "data": data}),
        json!({"method": "PUT", "data": data}),
        json!({"method": "DELETE"}),
        json!({"method": "DELETE", "path": 7}),
        json!({"method": "POST", "path": "/Users", "data": data}),
        json!({"method": "POST", "path": "/Users", "bulkId": "", "data": data}),
        json!({"method": "POST", "path": "/Users", "bulkId": "d"}),
        json!({"method": "POST", "path": "/Users", "bulkId": "e", "data": null}),
        json!({"method": "POST", "path": "/Users", "bulkId": "f", "data": "never"}),
        json!({"method": "PUT", "path": ada.path}),
        json!({"method": "PUT", "path": ada.path, "data": []}),
        json!({"method": "PATCH", "path": ada.path}),
        json!({"method": "PATCH", "path": ada.path, "data": {"Operations": []}}),
        json!({"method": "POST", "path": ada.path, "bulkId": "g", "data": data}),
        json!({"method": "PUT", "path": "/Users", "data": data}),
        json!({"method": "DELETE", "path": "/Users"}),
        json!({"method": "PATCH", "path": "/Users", "data": title}),
        json!("POST /Users"),
        json!(null),
    ];
    let mut operations = vec![create_user("first@example.com")];
    operations.extend(bad.iter().cloned());
    operations.push(create_user("last@example.com"));
    let answer = process(s, &json!(operations))?;
    let count = answer.array_at("/Operations")?.len();
    answer.expect_that(count == operations.len(), "every operation must have a result")?;
    for (n, _) in bad.iter().enumerate() {
        expect_failure(&answer, n + 1, 400, None)?;
    }
    answer.expect_at("/Operations/0/status", &json!("201"))?;
    answer.expect_at(&format!("/Operations/{}/status", count - 1), &json!("201"))?;
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&ada.body)?;
    let users = s.scim.get("/Users")?.expect(200)?;
    let names = ["ada@example.com", "first@example.com", "last@example.com"];
    users.expect_found("/userName", &names)?;

    // What leads nowhere fails as it would alone.
    let answer = process(
        s,
        &json!([
            create("/NoSuchEndpoint", "a", &data),
            {"method": "DELETE", "path": "/Users/nothing"},
            {"method": "PUT", "path": "/Groups/nothing", "data": group("x", &[])},
            {"method": "PATCH", "path": "/Users/nothing", "data": title},
        ]),
    )?;
    expect_statuses(&answer, &["404", "404", "404", "404"])?;
    Ok(())
}

fn b3(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let ben = s.scim.create("/Users", &full_user("ben@example.com"))?;
    // The first half of this one would work; the operation is atomic.
    let half = patch(&json!([
        {"op": "replace", "path": "title", "value": "Half"},
        {"op": "replace", "path": "active", "value": "perhaps"},
    ]));
    let whole = patch(&json!([{"op": "replace", "path": "title", "value": "Whole"}]));
    let bad_user = with(user("bad@example.com"), "emails", json!("none"));
    let answer = process(
        s,
        &json!([
            create_user("ADA@example.com"),
            create_user("cyd@example.com"),
            create("/Users", "bad", &bad_user),
            {"method": "PATCH", "path": ada.path, "data": half},
            {"method": "PATCH", "path": ben.path, "data": whole},
            {"method": "PUT", "path": ada.path, "data": user("")},
            {"method": "DELETE", "path": "/Users/nothing"},
            {"method": "PUT", "path": ada.path, "version": "W/\"nothing\"", "data": user("eve")},
            create("/Groups", "g", &group("Tools", &["nobody"])),
            create("/Groups", "h", &group("Sales", &[&ada.id])),
        ]),
    )?;
    expect_statuses(
        &answer,
        &["409", "201", "400", "400", "200", "400", "404", "412", "400", "201"],
    )?;
    for (n, status, word) in [
        (0, 409, Some("uniqueness")),
        (2, 400, Some("invalidValue")),
        (3, 400, Some("invalidValue")),
        (5, 400, Some("invalidValue")),
        (6, 404, None),
        (7, 412, None),
        (8, 400, Some("invalidValue")),
    ] {
        expect_failure(&answer, n, status, word)?;
    }
    s.scim.get(&ben.path)?.expect(200)?.expect_at("/title", &json!("Whole"))?;
    let after = s.scim.get(&ada.path)?.expect(200)?;
    after.expect_at("/title", &json!("Engineer"))?;
    after.expect_at("/groups/0/display", &json!("Sales"))?;
    let users = s.scim.get("/Users")?.expect(200)?;
    let names = ["ada@example.com", "ben@example.com", "cyd@example.com"];
    users.expect_found("/userName", &names)?;
    s.scim.get("/Groups")?.expect(200)?.expect_found("/displayName", &["Sales"])?;
    Ok(())
}

fn b4(s: &Subject) -> Check {
    let fresh = |prefix: &str| {
        let name = |n: u8| format!("{prefix}{n}@example.com");
        let bad = |n: u8| create("/Users", &format!("bad{n}"), &user(""));
        json!([create_user(&name(1)), bad(2), create_user(&name(3)), bad(4), create_user(&name(5))])
    };
    for (fail_on_errors, statuses) in [
        (json!(1), &["201", "400"][..]),
        (json!(2), &["201", "400", "201", "400"]),
        (json!(3), &["201", "400", "201", "400", "201"]),
        (json!(null), &["201", "400", "201", "400", "201"]),
    ] {
        let prefix = format!("on{fail_on_errors}-");
        let members = json!({"failOnErrors": fail_on_errors});
        let answer = process_with(s, &members, &fresh(&prefix))?;
        expect_statuses(&answer, statuses)?;
        answer.expect_absent("/failOnErrors")?;
        // Nothing was done beyond the results.
        let created = statuses.iter().filter(|status| **status == "201").count();
        let found = s.scim.filter("/Users", &format!("userName sw \"{prefix}\""))?.expect(200)?;
        found.expect_at("/totalResults", &json!(created))?;
    }
    for wrong in [json!("one"), json!(1.5), json!([])] {
        let members = json!({"failOnErrors": wrong});
        let answer = s.scim.bulk(&members, &json!([create_user("never@example.com")]))?;
        answer.expect_bad_request(&["invalidSyntax", "invalidValue"])?;
    }
    s.scim.filter("/Users", "userName sw \"never\"")?.expect(200)?.expect_ids(&[])?;
    Ok(())
}

fn b5(s: &Subject) -> Check {
    let odd = "a:b/c d\u{e9}\"{}";
    let answer = process(
        s,
        &json!([
            create("/Users", "qwerty", &user("ada@example.com")),
            create("/Users", "ytrewq", &user("")),
            create("/Groups", odd, &group("Tools", &[])),
            {"method": "DELETE", "path": "/Users/nothing"},
        ]),
    )?;
    expect_statuses(&answer, &["201", "400", "201", "404"])?;
    for (n, bulk_id) in [(0, "qwerty"), (1, "ytrewq"), (2, odd)] {
        answer.expect_at(&format!("/Operations/{n}/bulkId"), &json!(bulk_id))?;
        answer.expect_at(&format!("/Operations/{n}/method"), &json!("POST"))?;
    }
    // It is a name for the request alone.
    for n in [0, 2] {
        let made = s.scim.get(&path_of(s, &answer, n)?)?.expect(200)?;
        made.expect_nowhere("bulkId")?;
    }
    Ok(())
}

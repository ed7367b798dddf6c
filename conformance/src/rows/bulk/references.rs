//! `bulkId` references: in paths and in data, forward and in circles.

use serde_json::{Value, json};

use super::{create, create_user, expect_statuses, id_of, path_of, process};
use crate::answer::Answer;
use crate::rows::{Check, Finding, Row};
use crate::scim::{ENTERPRISE, USER, full_user, group, patch, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "B6",
        "MUST",
        "RFC 7644 §3.7.2",
        "rfc_b6_bulk_id_references",
        "`bulkId:x` is replaced by the real id wherever it occurs (path, members.value, \
         manager.value), also when the POST comes later",
        b6,
    ),
    Row::new(
        "B7",
        "MUST",
        "RFC 7644 §3.7.1",
        "rfc_b7_circular_references",
        "Circular bulkId references are resolved or refused with 409",
        b7,
    ),
];

/// A user whose manager is that one.
fn managed(name: &str, manager: &str) -> Value {
    let body = with(user(name), "schemas", json!([USER, ENTERPRISE]));
    with(body, ENTERPRISE, json!({"manager": {"value": manager}}))
}

/// Every operation has succeeded and no resource still shows a `bulkId`.
fn expect_resolved(s: &Subject, answer: &Answer, count: usize) -> Check {
    let results = answer.array_at("/Operations")?;
    answer.expect_that(results.len() == count, &format!("there must be {count} results"))?;
    let done = |result: &Value| {
        let status = result.get("status").and_then(Value::as_str);
        status.is_some_and(|status| ["200", "201", "204"].contains(&status))
    };
    answer.expect_that(results.iter().all(done), "an operation has failed")?;
    for endpoint in ["/Users", "/Groups"] {
        s.scim.get(endpoint)?.expect(200)?.expect_nowhere("bulkId")?;
    }
    Ok(())
}

fn expect_manager(s: &Subject, path: &str, manager: &str) -> Check {
    let place = format!("/{ENTERPRISE}/manager/value");
    s.scim.get(path)?.expect(200)?.expect_at(&place, &json!(manager)).map(drop)
}

/// The group has these members, and each of them, if it is a user, shows the group.
fn expect_members(s: &Subject, path: &str, members: &[&str]) -> Check {
    let read = s.scim.get(path)?.expect(200)?;
    let found = read.array_at("/members")?;
    let mut found: Vec<_> =
        found.iter().filter_map(|member| member.get("value")?.as_str()).collect();
    found.sort_unstable();
    let mut expected = members.to_vec();
    expected.sort_unstable();
    read.expect_that(found == expected, &format!("the members are not {expected:?}")).map(drop)
}

fn b6(s: &Subject) -> Check {
    in_data(s)?;
    in_paths(s)?;
    in_patches(s)?;
    unresolved(s)
}

/// Back and forward, in members and in the manager.
fn in_data(s: &Subject) -> Check {
    let answer = process(
        s,
        &json!([
            create("/Groups", "forward", &group("Forward", &["bulkId:ada", "bulkId:ben"])),
            create("/Users", "ben", &managed("ben@example.com", "bulkId:ada")),
            create("/Users", "ada", &user("ada@example.com")),
            create("/Groups", "back", &group("Back", &["bulkId:ada", "bulkId:forward"])),
            create("/Users", "cyd", &managed("cyd@example.com", "bulkId:ben")),
        ]),
    )?;
    expect_resolved(s, &answer, 5)?;
    let (ada, ben) = (id_of(s, &answer, 2)?, id_of(s, &answer, 1)?);
    expect_members(s, &path_of(s, &answer, 0)?, &[&ada, &ben])?;
    expect_members(s, &path_of(s, &answer, 3)?, &[&ada, &id_of(s, &answer, 0)?])?;
    expect_manager(s, &path_of(s, &answer, 1)?, &ada)?;
    expect_manager(s, &path_of(s, &answer, 4)?, &ben)
}

/// PUT, PATCH and DELETE of what the same request creates, also before its POST.
fn in_paths(s: &Subject) -> Check {
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "Boss"}]));
    let answer = process(
        s,
        &json!([
            create_user("dan@example.com"),
            {"method": "PUT", "path": "/Users/bulkId:dan@example.com", "data": full_user("dan2")},
            {"method": "PATCH", "path": "/Users/bulkId:dan@example.com", "data": title},
            create_user("eve@example.com"),
            {"method": "DELETE", "path": "/Users/bulkId:eve@example.com"},
            {"method": "PATCH", "path": "/Users/bulkId:later", "data": title},
            create("/Users", "later", &user("fay@example.com")),
        ]),
    )?;
    expect_resolved(s, &answer, 7)?;
    let dan = s.scim.get(&path_of(s, &answer, 0)?)?.expect(200)?;
    dan.expect_contains(&json!({"userName": "dan2", "title": "Boss", "displayName": "Ada Lane"}))?;
    for (n, same) in [(1, 0), (2, 0), (4, 3), (5, 6)] {
        let (found, expected) = (path_of(s, &answer, n)?, path_of(s, &answer, same)?);
        answer.expect_that(found == expected, &format!("location {n} must be {expected}"))?;
    }
    s.scim.get(&path_of(s, &answer, 3)?)?.expect_error(404, None)?;
    let later = s.scim.get(&path_of(s, &answer, 6)?)?.expect(200)?;
    later.expect_at("/title", &json!("Boss"))?;
    Ok(())
}

/// In the values and in the paths of PATCH operations.
fn in_patches(s: &Subject) -> Check {
    let old = s.scim.create_user("old@example.com")?;
    let tools = s.scim.create_group("Tools", &[&old.id])?;
    let swap = patch(&json!([
        {"op": "add", "path": "members", "value": [{"value": "bulkId:gil"}, {"value": "bulkId:hal"}]},
        {"op": "remove", "path": format!("members[value eq \"{}\"]", old.id)},
        {"op": "remove", "path": "members[value eq \"bulkId:hal\"]"},
    ]));
    let manager = json!([{"op": "add", "path": format!("{ENTERPRISE}:manager.value"), "value": "bulkId:gil"}]);
    let answer = process(
        s,
        &json!([
            create("/Users", "gil", &user("gil@example.com")),
            {"method": "PATCH", "path": tools.path, "data": swap},
            {"method": "PATCH", "path": old.path, "data": patch(&manager)},
            create("/Users", "hal", &user("hal@example.com")),
        ]),
    )?;
    expect_resolved(s, &answer, 4)?;
    let gil = id_of(s, &answer, 0)?;
    expect_members(s, &tools.path, &[&gil])?;
    expect_manager(s, &old.path, &gil)
}

/// A reference to nothing, or to what could not be created, fails its operation alone.
fn unresolved(s: &Subject) -> Check {
    let before = s.scim.get("/Groups")?.expect(200)?.total()?;
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "Boss"}]));
    let answer = process(
        s,
        &json!([
            create("/Groups", "a", &group("To nothing", &["bulkId:nothing"])),
            create("/Users", "failed", &user("")),
            create("/Groups", "b", &group("To failed", &["bulkId:failed"])),
            create("/Users", "c", &managed("never@example.com", "bulkId:failed")),
            {"method": "PATCH", "path": "/Users/bulkId:failed", "data": title},
            {"method": "DELETE", "path": "/Users/bulkId:nothing"},
            create_user("still@example.com"),
        ]),
    )?;
    for n in 0..6 {
        let status = answer.text_at(&format!("/Operations/{n}/status"))?;
        let refused = ["400", "404", "409"].contains(&status);
        answer.expect_that(refused, &format!("operation {n} must be refused"))?;
        answer.expect_at(&format!("/Operations/{n}/response/status"), &json!(status))?;
    }
    answer.expect_at("/Operations/6/status", &json!("201"))?;
    s.scim.get("/Groups")?.expect(200)?.expect_at("/totalResults", &json!(before))?;
    s.scim.filter("/Users", "userName sw \"never\"")?.expect(200)?.expect_ids(&[])?;
    s.scim.get("/Users")?.expect(200)?.expect_nowhere("bulkId")?;

    // One name for two resources names neither.
    let twice = json!([
        create("/Users", "same", &user("one@example.com")),
        create("/Users", "same", &user("two@example.com")),
    ]);
    let answer = s.scim.bulk(&json!({}), &twice)?;
    if answer.status == 400 {
        answer.expect_bad_request(&["invalidSyntax", "invalidValue"])?;
        return Ok(());
    }
    let answer = answer.expect(200)?;
    answer.expect_at("/Operations/1/status", &json!("400")).map(drop)
}

/// Rollbook resolves them: refusing with 409, as the RFC allows after a failed attempt, is for what
/// cannot be resolved.
fn b7(s: &Subject) -> Check {
    // The example of the RFC.
    let answer = process(
        s,
        &json!([
            create("/Groups", "qwerty", &group("Group A", &["bulkId:ytrewq"])),
            create("/Groups", "ytrewq", &group("Group B", &["bulkId:qwerty"])),
        ]),
    )?;
    expect_statuses(&answer, &["201", "201"])?;
    expect_resolved(s, &answer, 2)?;
    expect_members(s, &path_of(s, &answer, 0)?, &[&id_of(s, &answer, 1)?])?;
    expect_members(s, &path_of(s, &answer, 1)?, &[&id_of(s, &answer, 0)?])?;

    // Two users, each the manager of the other, and one that is its own.
    let answer = process(
        s,
        &json!([
            create("/Users", "a", &managed("ada@example.com", "bulkId:b")),
            create("/Users", "b", &managed("ben@example.com", "bulkId:a")),
            create("/Users", "c", &managed("cyd@example.com", "bulkId:c")),
        ]),
    )?;
    expect_statuses(&answer, &["201", "201", "201"])?;
    expect_resolved(s, &answer, 3)?;
    expect_manager(s, &path_of(s, &answer, 0)?, &id_of(s, &answer, 1)?)?;
    expect_manager(s, &path_of(s, &answer, 1)?, &id_of(s, &answer, 0)?)?;
    expect_manager(s, &path_of(s, &answer, 2)?, &id_of(s, &answer, 2)?)?;
    all_four(s)?;

    // A circle with an operation that fails: the others say so, and leave nothing half made.
    let broken = json!([
        create("/Groups", "x", &group("Never", &["bulkId:y"])),
        create("/Groups", "y", &with(group("", &[]), "members", json!([{"value": "bulkId:x"}]))),
    ]);
    let answer = process(s, &broken)?;
    answer.expect_at("/Operations/1/status", &json!("400"))?;
    let first = answer.text_at("/Operations/0/status")?;
    answer.expect_that(first != "201", "a member of it does not exist")?;
    s.scim.filter("/Groups", "displayName eq \"Never\"")?.expect(200)?.expect_ids(&[])?;
    Ok(())
}

/// Two groups and two users in one circle.
fn all_four(s: &Subject) -> Check {
    let answer = process(
        s,
        &json!([
            create("/Groups", "g1", &group("One", &["bulkId:g2", "bulkId:u1"])),
            create("/Users", "u1", &managed("one@example.com", "bulkId:u2")),
            create("/Groups", "g2", &group("Two", &["bulkId:g1", "bulkId:u2"])),
            create("/Users", "u2", &managed("two@example.com", "bulkId:u1")),
        ]),
    )?;
    expect_statuses(&answer, &["201", "201", "201", "201"])?;
    expect_resolved(s, &answer, 4)?;
    let ids: Vec<String> = (0..4).map(|n| id_of(s, &answer, n)).collect::<Result<_, _>>()?;
    let [one, first, two, second] = ids.as_slice() else {
        return Err(Finding::Failed("there must be four ids".into()));
    };
    expect_members(s, &path_of(s, &answer, 0)?, &[two, first])?;
    expect_members(s, &path_of(s, &answer, 2)?, &[one, second])?;
    expect_manager(s, &path_of(s, &answer, 1)?, second)?;
    expect_manager(s, &path_of(s, &answer, 3)?, first)?;
    for n in [1, 3] {
        let member = s.scim.get(&path_of(s, &answer, n)?)?.expect(200)?;
        member.expect_contains(&json!({"groups": [{"value": one}, {"value": two}]}))?;
    }
    Ok(())
}

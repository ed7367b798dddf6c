//! The results, the limits, and the order of what is done.

use serde_json::{Value, json};

use super::{create, create_user, expect_failure, expect_statuses, id_of, path_of, process};
use crate::answer::Answer;
use crate::rows::{Check, Finding, Row};
use crate::scim::{BULK_REQUEST, group, patch, user};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "B8",
        "MUST",
        "RFC 7644 §3.7.3",
        "rfc_b8_one_result_each",
        "One result per processed operation, with `location` (except failed POST), `status` as a \
         string, `response` on errors",
        b8,
    ),
    Row::new(
        "B9",
        "MUST",
        "RFC 7644 §3.7.4",
        "rfc_b9_limits",
        "maxOperations / maxPayloadSize are announced; exceeding gives 413 naming the limit",
        b9,
    ),
    Row::new(
        "B10",
        "MUST",
        "RFC 7644 §3.7",
        "rfc_b10_the_outcome_of_the_order",
        "Reordering for speed keeps the client's outcome",
        b10,
    ),
];

fn b8(s: &Subject) -> Check {
    let [ada, ben, cyd] = [
        s.scim.create_user("ada@example.com")?,
        s.scim.create_user("ben@example.com")?,
        s.scim.create_user("cyd@example.com")?,
    ];
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "Boss"}]));
    let bad = patch(&json!([{"op": "replace", "path": "id", "value": "x"}]));
    let stale = "W/\"nothing\"";
    let answer = process(
        s,
        &json!([
            create_user("new@example.com"),
            {"method": "PUT", "path": ada.path, "version": ada.etag, "data": user("ada2")},
            {"method": "PATCH", "path": ben.path, "version": ben.etag, "data": title},
            {"method": "DELETE", "path": cyd.path, "version": cyd.etag},
            create_user("BEN@example.com"),
            {"method": "PUT", "path": ada.path, "version": stale, "data": user("ada3")},
            {"method": "PATCH", "path": ben.path, "data": bad},
            {"method": "DELETE", "path": ben.path, "version": stale},
            {"method": "DELETE", "path": cyd.path},
        ]),
    )?;
    expect_statuses(&answer, &["201", "200", "200", "204", "409", "412", "400", "412", "404"])?;
    let methods = ["POST", "PUT", "PATCH", "DELETE", "POST", "PUT", "PATCH", "DELETE", "DELETE"];
    for (n, method) in methods.iter().enumerate() {
        answer.expect_at(&format!("/Operations/{n}/method"), &json!(method))?;
    }
    let new = path_of(s, &answer, 0)?;
    let located = [&new, &ada.path, &ben.path, &cyd.path];
    let failed = [None, Some(&ada.path), Some(&ben.path), Some(&ben.path), Some(&cyd.path)];
    for (n, path) in located.into_iter().map(Some).chain(failed).enumerate() {
        let place = format!("/Operations/{n}/location");
        match path {
            Some(path) => {
                let location = format!("{}{path}", s.scim.base_url());
                answer.expect_at(&place, &json!(location))?
            }
            None => answer.expect_absent(&place)?,
        };
    }
    for (n, path) in [&new, &ada.path, &ben.path].into_iter().enumerate() {
        let read = s.scim.get(path)?.expect(200)?;
        answer.expect_at(&format!("/Operations/{n}/version"), &json!(read.etag()?))?;
        let location = answer.text_at(&format!("/Operations/{n}/location"))?;
        read.expect_at("/meta/location", &json!(location))?;
    }
    expect_failure(&answer, 4, 409, Some("uniqueness"))?;
    expect_failure(&answer, 5, 412, None)?;
    expect_failure(&answer, 6, 400, Some("mutability"))?;
    expect_failure(&answer, 7, 412, None)?;
    expect_failure(&answer, 8, 404, None)?;
    s.scim.get(&ben.path)?.expect(200)?.expect_at("/title", &json!("Boss"))?;
    s.scim.get(&ada.path)?.expect(200)?.expect_at("/userName", &json!("ada2"))?;
    Ok(())
}

fn b9(s: &Subject) -> Check {
    let config = s.scim.config()?;
    let number = |place: &str| {
        let number = config.at(place)?.as_u64().and_then(|n| usize::try_from(n).ok());
        number.filter(|n| *n > 0).ok_or_else(|| config.failed(&format!("`{place}` is no limit")))
    };
    let (most, largest) = (number("/bulk/maxOperations")?, number("/bulk/maxPayloadSize")?);
    if most > 100_000 || largest > 256 * 1024 * 1024 {
        return Err(Finding::Skipped("the limits are further away than a check can go"));
    }
    let named = |answer: Answer, name: &str, limit: usize| {
        let refused = answer.expect_error(413, None)?;
        let detail = refused.text_at("/detail")?;
        let right = detail.contains(name) && detail.contains(&limit.to_string());
        refused.expect_that(right, &format!("the detail must name {name} and {limit}")).map(drop)
    };

    let nothing = json!({"method": "DELETE", "path": "/Users/nothing"});
    let mut operations = vec![nothing; most];
    if let Some(last) = operations.last_mut() {
        *last = create_user("last@example.com");
    }
    let answer = process(s, &json!(operations))?;
    let results = answer.array_at("/Operations")?.len();
    answer.expect_that(results == most, &format!("{results} results of {most}"))?;
    answer.expect_at(&format!("/Operations/{}/status", most - 1), &json!("201"))?;
    operations.push(create_user("never@example.com"));
    named(s.scim.bulk(&json!({}), &json!(operations))?, "maxOperations", most)?;

    let padded = |name: &str, length: usize| {
        let body = json!({"schemas": [BULK_REQUEST], "Operations": [create_user(name)]});
        let body = body.to_string();
        format!("{}{body}", " ".repeat(length.saturating_sub(body.len())))
    };
    let fits = s.scim.send("POST", "/Bulk", &[], Some(&padded("fits@example.com", largest)))?;
    fits.expect(200)?.expect_at("/Operations/0/status", &json!("201"))?;
    let body = padded("never@example.com", largest + 1);
    named(s.scim.send("POST", "/Bulk", &[], Some(&body))?, "maxPayloadSize", largest)?;

    let users = s.scim.get("/Users")?.expect(200)?;
    users.expect_found("/userName", &["last@example.com", "fits@example.com"])?;
    Ok(())
}

fn b10(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    let tools = s.scim.create_group("Tools", &[])?;
    let title = |value: &str| patch(&json!([{"op": "replace", "path": "title", "value": value}]));
    let member = |op: &str| {
        let operation = match op {
            "add" => json!({"op": op, "path": "members", "value": [{"value": ada.id}]}),
            _ => json!({"op": op, "path": format!("members[value eq \"{}\"]", ada.id)}),
        };
        patch(&json!([operation]))
    };
    let on = |method: &str, path: &str, data: Value| json!({"method": method, "path": path, "data": data});
    let answer = process(
        s,
        &json!([
            // A name is given up, taken, given up again and taken again.
            {"method": "PUT", "path": ada.path, "data": user("moved@example.com")},
            create("/Users", "one", &user("ada@example.com")),
            create("/Users", "refused", &user("ada@example.com")),
            {"method": "DELETE", "path": "/Users/bulkId:one"},
            create("/Users", "two", &user("ada@example.com")),
            // The last one wins.
            on("PATCH", &ada.path, title("first")),
            on("PATCH", "/Users/bulkId:two", title("other")),
            on("PATCH", &ada.path, title("second")),
            // In, out, in.
            on("PATCH", &tools.path, member("add")),
            on("PATCH", &tools.path, member("remove")),
            on("PATCH", &tools.path, member("add")),
            on("PUT", &tools.path, group("Sales", &[])),
            on("PATCH", &tools.path, member("add")),
            // A forward reference does not hold up what stands between.
            create("/Groups", "group", &group("Later", &["bulkId:late"])),
            on("PATCH", &ada.path, title("third")),
            create("/Users", "late", &user("late@example.com")),
        ]),
    )?;
    expect_statuses(
        &answer,
        &[
            "200", "201", "409", "204", "201", "200", "200", "200", "200", "200", "200", "200",
            "200", "201", "200", "201",
        ],
    )?;
    for (n, bulk_id) in [(1, "one"), (2, "refused"), (4, "two"), (13, "group"), (15, "late")] {
        answer.expect_at(&format!("/Operations/{n}/bulkId"), &json!(bulk_id))?;
    }
    s.scim.get(&ada.path)?.expect(200)?.expect_at("/title", &json!("third"))?;
    s.scim.get(&path_of(s, &answer, 1)?)?.expect_error(404, None)?;
    let two = s.scim.get(&path_of(s, &answer, 4)?)?.expect(200)?;
    two.expect_contains(&json!({"userName": "ada@example.com", "title": "other"}))?;
    let group = s.scim.get(&tools.path)?.expect(200)?;
    group.expect_at("/displayName", &json!("Sales"))?;
    group.expect_at("/members/0/value", &json!(ada.id))?;
    group.expect_absent("/members/1")?;
    let later = s.scim.get(&path_of(s, &answer, 13)?)?.expect(200)?;
    later.expect_at("/members/0/value", &json!(id_of(s, &answer, 15)?))?;
    Ok(())
}

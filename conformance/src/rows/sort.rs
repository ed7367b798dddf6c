//! Sorting (RFC 7644 §3.4.2.3).

use serde_json::{Value, json};

use super::custom::{THINGS, a_thing, resource_type};
use super::{Check, Row};
use crate::answer::Answer;
use crate::scim::{ENTERPRISE, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "S1",
        "SHALL",
        "RFC 7644 §3.4.2.3",
        "rfc_s1_sort_by_and_order",
        "`sortBy` orders by the attribute; `sortOrder` defaults to ascending",
        s1,
    ),
    Row::new(
        "S2",
        "MUST",
        "RFC 7644 §3.4.2.3",
        "rfc_s2_order_follows_the_type",
        "Order follows the type: case-insensitive Unicode for caseExact=false, code-point for \
         caseExact, numeric, chronological",
        s2,
    ),
    Row::new(
        "S3",
        "SHALL",
        "RFC 7644 §3.4.2.3",
        "rfc_s3_multi_valued_by_primary",
        "Multi-valued: sort by the primary value, else by the first",
        s3,
    ),
    Row::new(
        "S4",
        "SHALL",
        "RFC 7644 §3.4.2.3",
        "rfc_s4_without_a_value",
        "Resources without a value come last ascending, first descending",
        s4,
    ),
    Row::new(
        "S5",
        "MUST",
        "RFC 7644 §3.4.2.3",
        "rfc_s5_complex_by_sub_attribute",
        "A complex sortBy is a sub-attribute path (`name.familyName`)",
        s5,
    )
    .differs(
        "a sortBy that names nothing sortable is no error: clients send what their administrators \
         typed, and the list is what they need; it is ordered by id",
        s5_default,
    ),
    Row::new(
        "S6",
        "—",
        "RFC 7644 §3.4.2.3",
        "rfc_s6_sort_before_paging",
        "Sorting happens before paging; the order is stable over pages",
        s6,
    ),
];

/// The list sorted by that attribute, by GET and by POST, has these user names in this order, and
/// the reverse when descending.
fn expect_sorted(s: &Subject, sort_by: &str, ascending: &[&str], descending: &[&str]) -> Check {
    for (order, expected) in [("ascending", ascending), ("descending", descending)] {
        let parameters = [("sortBy", sort_by), ("sortOrder", order)];
        let sorted = s.scim.query("/Users", &parameters)?.expect(200)?;
        sorted.expect_order("/userName", expected)?;
        let search = json!({"sortBy": sort_by, "sortOrder": order});
        let sorted = s.scim.search("/Users", &search)?.expect(200)?;
        sorted.expect_order("/userName", expected)?;
    }
    Ok(())
}

/// Users of these names, each with that value of the attribute.
fn users_with(s: &Subject, attribute: &str, values: &[(&str, Value)]) -> Check {
    for (name, value) in values {
        s.scim.create("/Users", &with(user(name), attribute, value.clone()))?;
    }
    Ok(())
}

fn s1(s: &Subject) -> Check {
    let titles = [("ben", json!("c")), ("cyd", json!("a")), ("ada", json!("b"))];
    users_with(s, "title", &titles)?;
    expect_sorted(s, "userName", &["ada", "ben", "cyd"], &["cyd", "ben", "ada"])?;
    expect_sorted(s, "title", &["cyd", "ada", "ben"], &["ben", "ada", "cyd"])?;
    for parameters in [
        &[("sortBy", "title")][..],
        &[("SORTBY", "TITLE"), ("sortOrder", "Ascending")],
        &[("sortBy", "title"), ("sortOrder", "")],
    ] {
        let sorted = s.scim.query("/Users", parameters)?.expect(200)?;
        sorted.expect_order("/userName", &["cyd", "ada", "ben"])?;
    }
    let wrong = [("sortBy", "title"), ("sortOrder", "upwards")];
    s.scim.query("/Users", &wrong)?.expect_error(400, Some("invalidValue"))?;

    for name in ["b", "c", "a"] {
        s.scim.create_group(name, &[])?;
    }
    let groups = s.scim.query("/Groups", &[("sortBy", "displayName")])?.expect(200)?;
    groups.expect_order("/displayName", &["a", "b", "c"])?;
    Ok(())
}

fn s2(s: &Subject) -> Check {
    // Without regard to case: `userName`. By code point: `externalId`.
    let external = [("Ben", "b"), ("ada", "B"), ("\u{c9}ve", "a"), ("\u{e9}da", "\u{e9}")];
    users_with(s, "externalId", &external.map(|(name, value)| (name, json!(value))))?;
    expect_sorted(
        s,
        "userName",
        &["ada", "Ben", "\u{e9}da", "\u{c9}ve"],
        &["\u{c9}ve", "\u{e9}da", "Ben", "ada"],
    )?;
    expect_sorted(
        s,
        "externalId",
        &["ada", "\u{c9}ve", "Ben", "\u{e9}da"],
        &["\u{e9}da", "Ben", "\u{c9}ve", "ada"],
    )?;

    s.load_schemas(&resource_type(&json!([
        {"name": "label", "type": "string"},
        {"name": "exact", "type": "string", "caseExact": true},
        {"name": "size", "type": "integer"},
        {"name": "weight", "type": "decimal"},
        {"name": "since", "type": "dateTime"},
        {"name": "done", "type": "boolean"},
    ])))?;
    for (label, exact, size, weight, since) in [
        ("a", "Z", 10, 9.5, "2020-01-01T12:00:00Z"),
        ("B", "a", 9, 10.25, "2020-01-01T12:30:00+02:00"),
        ("c", "B", -100, -0.5, "2020-01-01T11:59:59.999Z"),
    ] {
        let thing = json!({
            "label": label, "exact": exact, "size": size, "weight": weight, "since": since,
        });
        s.scim.create(THINGS, &a_thing(&thing))?;
    }
    for (sort_by, ascending) in [
        ("label", ["a", "B", "c"]),
        ("exact", ["c", "a", "B"]),
        ("size", ["c", "B", "a"]),
        ("weight", ["c", "a", "B"]),
        ("since", ["B", "c", "a"]),
    ] {
        let sorted = s.scim.query(THINGS, &[("sortBy", sort_by)])?.expect(200)?;
        sorted.expect_order("/label", &ascending)?;
        let parameters = [("sortBy", sort_by), ("sortOrder", "descending")];
        let sorted = s.scim.query(THINGS, &parameters)?.expect(200)?;
        let descending: Vec<_> = ascending.into_iter().rev().collect();
        sorted.expect_order("/label", &descending)?;
    }
    Ok(())
}

fn s3(s: &Subject) -> Check {
    users_with(
        s,
        "emails",
        &[
            ("primary-last", json!([{"value": "z@x.org"}, {"value": "a@x.org", "primary": true}])),
            ("first-of-two", json!([{"value": "b@x.org"}, {"value": "a@x.org"}])),
            ("none-primary", json!([{"value": "c@x.org", "primary": false}, {"value": "0@x.org"}])),
            ("primary-first", json!([{"value": "d@x.org", "primary": true}, {"value": "1@x.org"}])),
        ],
    )?;
    let order = ["primary-last", "first-of-two", "none-primary", "primary-first"];
    let reverse: Vec<_> = order.into_iter().rev().collect();
    expect_sorted(s, "emails.value", &order, &reverse)?;
    // As in a filter, `emails` stands for its `value`.
    expect_sorted(s, "emails", &order, &reverse)
}

fn s4(s: &Subject) -> Check {
    for (name, title, family) in [
        ("none", json!(null), json!(null)),
        ("b", json!("b"), json!("b")),
        ("a", json!("a"), json!("a")),
    ] {
        let body = with(user(name), "title", title.clone());
        let body = with(body, "name", json!({"familyName": family}));
        let body = with(body, "emails", json!([{"value": title}]));
        let body = with(body, "externalId", title.clone());
        s.scim.create("/Users", &with(body, ENTERPRISE, json!({"department": title})))?;
    }
    let department = format!("{ENTERPRISE}:department");
    for sort_by in ["title", "name.familyName", "emails.value", "externalId", &department] {
        expect_sorted(s, sort_by, &["a", "b", "none"], &["none", "b", "a"])?;
    }
    Ok(())
}

fn families(s: &Subject) -> Check {
    let family = |name: &str| json!({"familyName": name, "givenName": "X"});
    users_with(
        s,
        "name",
        &[("a", family("Young")), ("b", family("Adams")), ("c", family("Moss"))],
    )?;
    expect_sorted(s, "name.familyName", &["b", "c", "a"], &["a", "c", "b"])?;
    let urn = "urn:ietf:params:scim:schemas:core:2.0:User:name.familyName";
    expect_sorted(s, urn, &["b", "c", "a"], &["a", "c", "b"])
}

/// What names no attribute with an order: a complex attribute, its parts unknown, nothing at all.
const UNSORTABLE: [&str; 4] = ["name", "name.nothing", "noSuchAttribute", "a b"];

fn unsortable(s: &Subject) -> Result<Vec<Answer>, super::Finding> {
    let mut answers = Vec::new();
    for sort_by in UNSORTABLE {
        answers.push(s.scim.query("/Users", &[("sortBy", sort_by)])?);
        answers.push(s.scim.search("/Users", &json!({"sortBy": sort_by}))?);
    }
    Ok(answers)
}

fn s5(s: &Subject) -> Check {
    families(s)?;
    for answer in unsortable(s)? {
        answer.expect_error(400, Some("invalidValue"))?;
    }
    Ok(())
}

fn s5_default(s: &Subject) -> Check {
    families(s)?;
    let by_id = s.scim.get("/Users?sortBy=id")?.expect(200)?.ids()?;
    let by_id: Vec<_> = by_id.iter().map(String::as_str).collect();
    for answer in unsortable(s)? {
        answer.expect(200)?.expect_ids(&by_id)?;
    }
    Ok(())
}

fn s6(s: &Subject) -> Check {
    // Many of the same title, created in the opposite order of what is sorted by.
    for name in ["h", "g", "f", "e", "d", "c", "b", "a"] {
        let title = if name < "e" { "same" } else { "other" };
        s.scim.create("/Users", &with(user(name), "title", json!(title)))?;
    }
    for (sort_by, order) in
        [("userName", "ascending"), ("title", "ascending"), ("title", "descending")]
    {
        let parameters = [("sortBy", sort_by), ("sortOrder", order)];
        let whole = s.scim.query("/Users", &parameters)?.expect(200)?;
        let names = whole.texts("/userName")?;
        whole.expect_that(names.len() == 8, "eight users were created")?;
        for size in [1, 3, 5] {
            let mut walked = Vec::new();
            for start in (1..=8).step_by(size) {
                let (start, count) = (start.to_string(), size.to_string());
                let page = [("startIndex", start.as_str()), ("count", count.as_str())];
                let page = s.scim.query("/Users", &[&parameters[..], &page[..]].concat())?;
                walked.extend(page.expect(200)?.texts("/userName")?);
            }
            whole.expect_that(walked == names, &format!("by pages of {size}: {walked:?}"))?;
        }
    }
    let sorted = s.scim.query("/Users", &[("sortBy", "userName"), ("count", "3")])?.expect(200)?;
    sorted.expect_order("/userName", &["a", "b", "c"])?;
    Ok(())
}

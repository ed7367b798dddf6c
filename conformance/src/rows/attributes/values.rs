//! What values an attribute takes: case, uniqueness, canonical and required values (RFC 7643 §7).

use std::thread;

use serde_json::{Value, json};

use crate::answer::{Answer, ensure};
use crate::rows::custom::{THING, THINGS, a_thing, resource_type};
use crate::rows::{Check, Finding, Row};
use crate::scim::{USER, group, patch, user, with, without};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "A41",
        "SHALL",
        "RFC 7643 §7",
        "rfc_a41_case_exact_decides_comparison",
        "caseExact=true values are stored, returned and compared with case; caseExact=false \
         compared without",
        a41,
    ),
    Row::new(
        "A42",
        "SHOULD",
        "RFC 7643 §7",
        "rfc_a42_declared_uniqueness_is_enforced",
        "uniqueness=server/global: a duplicate value on POST/PUT/PATCH gives 409 uniqueness (any \
         attribute that declares it, not only userName)",
        a42,
    ),
    Row::new(
        "A43",
        "MAY",
        "RFC 7643 §2.3.1",
        "rfc_a43_canonical_values_are_enforced_or_open",
        "canonicalValues may be enforced; if so 400 invalidValue, if not any value is kept",
        a43,
    ),
    Row::new(
        "A44",
        "MUST",
        "RFC 7643 §7",
        "rfc_a44_required_attributes_are_demanded",
        "`required` attributes missing on POST/PUT give 400 invalidValue",
        a44,
    ),
];

fn a41(s: &Subject) -> Check {
    let attributes = json!([
        {"name": "exact", "type": "string", "caseExact": true},
        {"name": "loose", "type": "string", "caseExact": false},
        {"name": "tags", "type": "string", "multiValued": true, "caseExact": true},
    ]);
    s.load_schemas(&resource_type(&attributes))?;
    let values = json!({"exact": "MiXed É", "loose": "MiXed É", "tags": ["Red", "red", "RED"]});
    let thing = s.scim.create(THINGS, &a_thing(&values))?;
    let hit = [thing.id.as_str()];
    let read = s.scim.get(&thing.path)?.expect(200)?;
    read.expect_contains(&values)?.expect_at("/tags", &json!(["Red", "red", "RED"]))?;
    for (filter, exact) in [
        ("eq \"MiXed É\"", true),
        ("eq \"mixed é\"", false),
        ("sw \"MiX\"", true),
        ("sw \"mix\"", false),
        ("co \"Xed\"", true),
        ("co \"xED\"", false),
        ("ew \"d É\"", true),
        ("ew \"D é\"", false),
    ] {
        let found = s.scim.filter(THINGS, &format!("exact {filter}"))?.expect(200)?;
        found.expect_ids(if exact { &hit } else { &[] })?;
        let found = s.scim.filter(THINGS, &format!("loose {filter}"))?.expect(200)?;
        found.expect_ids(&[&thing.id])?;
    }
    s.scim.filter(THINGS, "tags eq \"rED\"")?.expect(200)?.expect_ids(&[])?;
    let found = s.scim.filter(THINGS, "exact ne \"mixed é\"")?.expect(200)?;
    found.expect_ids(&[&thing.id])?;
    s.scim.filter(THINGS, "loose ne \"mixed é\"")?.expect(200)?.expect_ids(&[])?;
    // Built in: userName without case, id and externalId with.
    let body = with(user("ADA@example.com"), "externalId", json!("Ext"));
    let ada = s.scim.create("/Users", &body)?;
    let hit = [ada.id.as_str()];
    for (filter, found) in [
        ("userName eq \"ada@EXAMPLE.com\"", true),
        ("externalId eq \"Ext\"", true),
        ("externalId eq \"EXT\"", false),
    ] {
        let answer = s.scim.filter("/Users", filter)?.expect(200)?;
        answer.expect_ids(if found { &hit } else { &[] })?;
    }
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_at("/userName", &json!("ADA@example.com"))?;
    // A change of case alone is a change.
    let replace = patch(&json!([{"op": "replace", "path": "loose", "value": "mixed é"}]));
    s.scim.patch(&thing.path, &replace)?.expect_status(&[200, 204])?;
    s.scim.get(&thing.path)?.expect(200)?.expect_at("/loose", &json!("mixed é"))?;
    Ok(())
}

fn a42(s: &Subject) -> Check {
    let attributes = json!([
        {"name": "label", "type": "string"},
        {"name": "serial", "type": "string", "uniqueness": "server"},
        {"name": "code", "type": "string", "uniqueness": "global", "caseExact": true},
    ]);
    s.load_schemas(&resource_type(&attributes))?;
    let first = s.scim.create(THINGS, &a_thing(&json!({"serial": "S-1", "code": "C-1"})))?;
    let second = s.scim.create(THINGS, &a_thing(&json!({"serial": "S-2", "code": "C-2"})))?;
    for taken in [
        json!({"serial": "S-1"}),
        // Without case, as the attribute compares.
        json!({"serial": "s-1"}),
        json!({"code": "C-1"}),
    ] {
        conflict(&s.scim.post(THINGS, &a_thing(&taken))?)?;
        conflict(&s.scim.put(&second.path, &a_thing(&taken))?)?;
        let replace = patch(&json!([{"op": "replace", "value": taken}]));
        conflict(&s.scim.patch(&second.path, &replace)?)?;
    }
    let read = s.scim.get(&second.path)?.expect(200)?;
    read.expect_at("/serial", &json!("S-2"))?.expect_at("/code", &json!("C-2"))?;
    ensure(s.scim.get(THINGS)?.total()? == 2, || "a duplicate was stored".into())?;
    // One's own value, a value in another case where case counts, none at all, one that is free.
    let own = a_thing(&json!({"serial": "s-2", "code": "C-2"}));
    s.scim.put(&second.path, &own)?.expect(200)?;
    s.scim.create(THINGS, &a_thing(&json!({"code": "c-1"})))?;
    s.scim.create(THINGS, &a_thing(&json!({"label": "x"})))?;
    s.scim.create(THINGS, &a_thing(&json!({"label": "x"})))?;
    s.scim.put(&first.path, &a_thing(&json!({"code": "C-1"})))?.expect(200)?;
    s.scim.create(THINGS, &a_thing(&json!({"serial": "S-1"})))?;
    s.scim.delete(&second.path)?.expect(204)?;
    s.scim.create(THINGS, &a_thing(&json!({"serial": "S-2", "code": "C-2"})))?;
    race(s)?;
    // Built in.
    let ada = s.scim.create_user("ada@example.com")?;
    let ben = s.scim.create_user("ben@example.com")?;
    conflict(&s.scim.post("/Users", &user("Ada@Example.com"))?)?;
    conflict(&s.scim.put(&ben.path, &user("ada@example.com"))?)?;
    let replace =
        patch(&json!([{"op": "replace", "path": "userName", "value": "ADA@example.com"}]));
    conflict(&s.scim.patch(&ben.path, &replace)?)?;
    s.scim.put(&ada.path, &user("ADA@example.com"))?.expect(200)?;
    Ok(())
}

fn conflict(answer: &Answer) -> Check {
    answer.clone().expect_error(409, Some("uniqueness")).map(drop)
}

/// Of several creates of one value at once exactly one succeeds.
fn race(s: &Subject) -> Check {
    let body = a_thing(&json!({"serial": "S-race"}));
    let answers: Vec<Result<Answer, Finding>> = thread::scope(|scope| {
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(|| s.scim.post(THINGS, &body))).collect();
        let died = || Err(Finding::Failed("a writer died".into()));
        writers.into_iter().map(|writer| writer.join().unwrap_or_else(|_| died())).collect()
    });
    let mut stored = 0;
    for answer in answers {
        let answer = answer?;
        if answer.status == 201 {
            stored += 1;
        } else {
            conflict(&answer)?;
        }
    }
    ensure(stored == 1, || format!("{stored} of 8 creates of one value succeeded"))
}

fn a43(s: &Subject) -> Check {
    let attributes = json!([
        {"name": "size", "type": "string", "canonicalValues": ["small", "large"]},
    ]);
    s.load_schemas(&resource_type(&attributes))?;
    for value in ["small", "large"] {
        let thing = s.scim.create(THINGS, &a_thing(&json!({"size": value})))?;
        s.scim.get(&thing.path)?.expect(200)?.expect_at("/size", &json!(value))?;
    }
    let path = s.scim.create(THINGS, &a_thing(&json!({"size": "small"})))?.path;
    open_or_enforced(s, THINGS, &path, &json!({"schemas": [THING], "size": "medium"}), "/size")?;
    let types = s.scim.get(&format!("/Schemas/{THING}"))?.expect(200)?;
    types.expect_at("/attributes/0/canonicalValues", &json!(["small", "large"]))?;
    let ada = s.scim.create_user("ada@example.com")?.path;
    let body = json!({"schemas": [USER], "userName": "ada@example.com",
        "emails": [{"value": "ada@example.com", "type": "billing"}]});
    let other = with(body.clone(), "userName", json!("ben@example.com"));
    open_or_enforced(s, "/Users", &ada, &body, "/emails/0/type")?;
    let answer = s.scim.post("/Users", &other)?.expect_status(&[201, 400])?;
    answer.expect_that(answer.status < 500, "the server failed")?;
    Ok(())
}

/// A value that no schema lists is refused by every verb, or kept by every verb.
fn open_or_enforced(s: &Subject, endpoint: &str, path: &str, body: &Value, place: &str) -> Check {
    let value = body.pointer(place).cloned().unwrap_or_default();
    let put = s.scim.put(path, body)?.expect_status(&[200, 400])?;
    let members = without(without(body.clone(), "schemas"), "userName");
    let merged = patch(&json!([{"op": "replace", "value": members}]));
    let patched = s.scim.patch(path, &merged)?;
    if put.status == 400 {
        put.expect_error(400, Some("invalidValue"))?;
        patched.expect_error(400, Some("invalidValue"))?;
        s.scim.post(endpoint, body)?.expect_status(&[400])?;
    } else {
        put.expect_at(place, &value)?;
        patched.expect_status(&[200, 204])?;
        s.scim.get(path)?.expect(200)?.expect_at(place, &value)?;
    }
    Ok(())
}

fn a44(s: &Subject) -> Check {
    let attributes = json!([
        {"name": "label", "type": "string", "required": true},
        {"name": "tags", "type": "string", "multiValued": true},
        {"name": "count", "type": "integer"},
        {"name": "part", "type": "complex", "subAttributes": [
            {"name": "open", "type": "string"},
            {"name": "needed", "type": "string", "required": true},
        ]},
    ]);
    s.load_schemas(&resource_type(&attributes))?;
    let good = a_thing(&json!({"label": "x", "part": {"needed": "n"}}));
    let thing = s.scim.create(THINGS, &good)?.path;
    demanded(
        s,
        THINGS,
        &thing,
        &[
            a_thing(&json!({"count": 1})),
            a_thing(&json!({"label": null})),
            a_thing(&json!({"label": []})),
            a_thing(&json!({"label": "x", "part": {"open": "a"}})),
            a_thing(&json!({"label": "x", "part": {"open": "a", "needed": null}})),
        ],
    )?;
    // A part that is left out as a whole needs nothing.
    s.scim.put(&thing, &a_thing(&json!({"label": "y"})))?.expect(200)?.expect_absent("/part")?;
    let ada = s.scim.create_user("ada@example.com")?.path;
    demanded(s, "/Users", &ada, &[json!({"schemas": [USER], "displayName": "Nobody"})])?;
    let team = s.scim.create_group("Team", &[])?.path;
    demanded(s, "/Groups", &team, &[without(group("Team", &[]), "displayName")])
}

/// Each body is refused by POST and PUT with a detail, and nothing changes.
fn demanded(s: &Subject, endpoint: &str, path: &str, bodies: &[Value]) -> Check {
    let total = s.scim.get(endpoint)?.total()?;
    let before = s.scim.get(path)?.expect(200)?;
    for body in bodies {
        s.scim.post(endpoint, body)?.expect_error(400, Some("invalidValue"))?;
        s.scim.put(path, body)?.expect_error(400, Some("invalidValue"))?;
    }
    let after = s.scim.get(path)?.expect(200)?;
    after.expect_that(after.text == before.text, "a refused PUT changed something")?;
    ensure(s.scim.get(endpoint)?.total()? == total, || "a refused body was stored".into())
}

//! Data types (RFC 7643 §2.3).

use serde_json::{Value, json};

use crate::answer::{Answer, ensure};
use crate::rows::custom::{THING, THINGS, a_thing, resource_type};
use crate::rows::{Check, Finding, Row};
use crate::scim::{ENTERPRISE, USER, full_user, patch, user, with, without};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "A4",
        "MUST NOT",
        "RFC 7643 §2.3.4",
        "rfc_a4_integer_has_no_fraction_or_exponent",
        "An `integer` attribute refuses `4.5` and `1e2` (400 invalidValue) and never comes back \
         with a fraction",
        a4,
    ),
    Row::new(
        "A5",
        "MUST",
        "RFC 7643 §2.3.5",
        "rfc_a5_date_time_has_date_and_time",
        "A `dateTime` needs both a date and a time and is a valid xsd:dateTime; `2020-01-01` alone \
         or garbage gives 400 invalidValue",
        a5,
    ),
    Row::new(
        "A6",
        "MUST",
        "RFC 7643 §2.3.6",
        "rfc_a6_binary_is_base64",
        "A `binary` value is base64 (padding may be absent); non-base64 gives 400 invalidValue; \
         round-trips unchanged",
        a6,
    ),
    Row::new(
        "A7",
        "MUST",
        "RFC 7643 §2.3.7",
        "rfc_a7_reference_is_a_uri",
        "A `reference` value is an absolute or relative URI; relative ones resolve against the \
         service base (before `/Users`)",
        a7,
    ),
    Row::new(
        "A8",
        "MUST",
        "RFC 7643 §2.3.7",
        "rfc_a8_emitted_references_can_be_followed",
        "GET on any `$ref` / `meta.location` the server emits returns the target or a proper HTTP \
         status",
        a8,
    ),
    Row::new(
        "A9",
        "MUST NOT",
        "RFC 7643 §2.3.8",
        "rfc_a9_order_of_members_changes_nothing",
        "No behaviour depends on the order of JSON members (shuffle a body: same result)",
        a9,
    ),
    Row::new(
        "A10",
        "MUST NOT",
        "RFC 7643 §2.3.8",
        "rfc_a10_complex_holds_no_complex",
        "A complex attribute holds no complex sub-attribute; such a custom schema is refused at \
         load",
        a10,
    ),
];

/// Sends this JSON text as the attribute of a new thing, and in PUT and PATCH of `path`.
fn every_write(s: &Subject, path: &str, name: &str, text: &str) -> Result<[Answer; 3], Finding> {
    let body = format!("{{\"schemas\":[\"{THING}\"],\"{name}\":{text}}}");
    let operations = patch(&json!([{"op": "replace", "path": name, "value": "VALUE"}]));
    let operations = operations.to_string().replace("\"VALUE\"", text);
    Ok([
        s.scim.send("POST", THINGS, &[], Some(&body))?,
        s.scim.send("PUT", path, &[], Some(&body))?,
        s.scim.send("PATCH", path, &[], Some(&operations))?,
    ])
}

/// Each of these JSON texts is refused for the attribute everywhere, and nothing changes.
fn refused(s: &Subject, path: &str, name: &str, texts: &[&str]) -> Check {
    let total = s.scim.get(THINGS)?.total()?;
    let before = s.scim.get(path)?.expect(200)?;
    for text in texts {
        for answer in every_write(s, path, name, text)? {
            let answer = answer.expect_error(400, Some("invalidValue"))?;
            let names_it = answer.text_at("/detail")?.contains(name);
            answer.expect_that(names_it, &format!("for {text}: the detail names no attribute"))?;
        }
    }
    let after = s.scim.get(path)?.expect(200)?;
    after.expect_that(after.text == before.text, "a refused value changed the resource")?;
    ensure(s.scim.get(THINGS)?.total()? == total, || "a refused value was stored".into())
}

/// Each of these JSON texts is accepted for the attribute everywhere and comes back as it was.
fn kept(s: &Subject, path: &str, name: &str, texts: &[&str]) -> Check {
    for text in texts {
        let shown = format!("\"{name}\":{text}");
        let [post, put, patch] = every_write(s, path, name, text)?;
        let post = post.expect(201)?;
        let made = format!("{THINGS}/{}", post.id()?);
        for answer in [put.expect(200)?, patch.expect(200)?, s.scim.get(&made)?.expect(200)?, post]
        {
            let unchanged = answer.text.replace(": ", ":").contains(&shown);
            answer.expect_that(unchanged, &format!("{shown} did not come back unchanged"))?;
        }
    }
    Ok(())
}

fn a4(s: &Subject) -> Check {
    s.load_schemas(&resource_type(&json!([{"name": "count", "type": "integer"}])))?;
    let path = s.scim.create(THINGS, &a_thing(&json!({"count": 7})))?.path;
    let bad = ["4.5", "1e2", "1E2", "4.0", "-0.5", "1e-1", "\"4\"", "true", "[4]", "{}"];
    refused(s, &path, "count", &bad)?;
    kept(s, &path, "count", &["42", "0", "-7", "2147483648", "9007199254740993"])?;
    let found = s.scim.filter(THINGS, "count eq 9007199254740993")?.expect(200)?;
    ensure(found.total()? == 2, || "the last integer is not found by its value".into())
}

fn a5(s: &Subject) -> Check {
    s.load_schemas(&resource_type(&json!([{"name": "hired", "type": "dateTime"}])))?;
    let path = s.scim.create(THINGS, &a_thing(&json!({"hired": "2008-01-23T04:56:22Z"})))?.path;
    refused(
        s,
        &path,
        "hired",
        &[
            "\"2020-01-01\"",
            "\"04:56:22Z\"",
            "\"garbage\"",
            "\"2020-13-01T00:00:00Z\"",
            "\"2020-02-30T00:00:00Z\"",
            "\"2019-02-29T00:00:00Z\"",
            "\"2020-01-01T25:00:00Z\"",
            "\"2020-01-01T10:61:00Z\"",
            "\"2020-01-01T10:00Z\"",
            "\"2020-01-01 10:00:00Z\"",
            "\"20200101T100000Z\"",
            "\"2020-01-01T10:00:00+25:00\"",
            "\"2020-01-01T10:00:00Zx\"",
            "1577836800",
            "true",
        ],
    )?;
    kept(
        s,
        &path,
        "hired",
        &[
            "\"2011-05-13T04:42:34Z\"",
            "\"2011-05-13T04:42:34.123Z\"",
            "\"2011-05-13T04:42:34.1234567Z\"",
            "\"2011-05-13T04:42:34+02:00\"",
            "\"2011-05-13T04:42:34-11:30\"",
            "\"2020-02-29T23:59:59Z\"",
            "\"2011-05-13T04:42:34\"",
        ],
    )
}

fn a6(s: &Subject) -> Check {
    s.load_schemas(&resource_type(&json!([{"name": "blob", "type": "binary"}])))?;
    let path = s.scim.create(THINGS, &a_thing(&json!({"blob": "aGVsbG8="})))?.path;
    refused(
        s,
        &path,
        "blob",
        &[
            "\"no base64!\"",
            "\"a\"",
            "\"aGVsb\"",
            "\"aGV=sbG8\"",
            "\"====\"",
            "\"aGVsbG8==\"",
            "\"é\"",
            "5",
            "true",
        ],
    )?;
    kept(s, &path, "blob", &["\"aGVsbG8=\"", "\"aGVsbG8\"", "\"AAECAwQ=\"", "\"+/+/\""])?;
    // A built-in binary attribute obeys the same rule.
    let certificates = json!([{"value": "no base64!"}]);
    let body = with(user("ada@example.com"), "x509Certificates", certificates);
    s.scim.post("/Users", &body)?.expect_error(400, Some("invalidValue"))?;
    Ok(())
}

fn a7(s: &Subject) -> Check {
    let references = json!([
        {"name": "home", "type": "reference", "referenceTypes": ["external", "uri"]},
        {"name": "owner", "type": "reference", "referenceTypes": ["User"]},
    ]);
    s.load_schemas(&resource_type(&references))?;
    let path = s.scim.create(THINGS, &a_thing(&json!({"home": "https://example.com/"})))?.path;
    refused(
        s,
        &path,
        "home",
        &[
            "\"not a uri\"",
            "\"http://exa mple.com/\"",
            "\"http://[::1/\"",
            "\"https://example.com/%zz\"",
            "\"a<b>\"",
            "\"1http://example.com\"",
            "\"https://example.com:port/\"",
            "5",
            "{}",
        ],
    )?;
    kept(
        s,
        &path,
        "home",
        &[
            "\"https://example.com/a/b?c=d#e\"",
            "\"http://[2001:db8::7]:8080/x\"",
            "\"urn:ietf:rfc:7643\"",
            "\"mailto:ada@example.com\"",
            "\"../photos/1\"",
            "\"Users/1\"",
            "\"/absolute/path\"",
        ],
    )?;
    let boss = s.scim.create_user("boss@example.com")?;
    let relative = format!("Users/{}", boss.id);
    let owned = s.scim.create(THINGS, &a_thing(&json!({"owner": relative})))?;
    let read = s.scim.get(&owned.path)?.expect(200)?;
    resolve(s, read.text_at("/owner")?)?.expect(200)?.expect_at("/id", &json!(boss.id))?;
    // Relative references to resources are understood where the server keeps relations.
    let member = json!([{"value": boss.id, "$ref": relative}]);
    let team = s.scim.create("/Groups", &json!({"displayName": "Team", "members": member}))?;
    let read = s.scim.get(&team.path)?.expect(200)?;
    resolve(s, read.text_at("/members/0/$ref")?)?.expect(200)?.expect_at("/id", &json!(boss.id))?;
    Ok(())
}

/// Follows a reference; a relative one starts at the base URL.
fn resolve(s: &Subject, reference: &str) -> Result<Answer, Finding> {
    if reference.contains("://") {
        s.scim.follow(reference)
    } else {
        s.scim.follow(&format!("{}/{reference}", s.scim.base_url()))
    }
}

/// Every `$ref` and `meta.location` in a document.
fn references(document: &Value, into: &mut Vec<String>) {
    match document {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if name == "$ref" || name == "location" => into.push(text.into()),
                    _ => references(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

fn a8(s: &Subject) -> Check {
    let boss = s.scim.create_user("boss@example.com")?;
    let manager = json!({"manager": {"value": boss.id}});
    let body = with(user("ada@example.com"), ENTERPRISE, manager);
    let ada = s.scim.create("/Users", &with(body, "schemas", json!([USER, ENTERPRISE])))?;
    let inner = s.scim.create_group("Inner", &[&ada.id])?;
    let outer = s.scim.create_group("Outer", &[&inner.id, &boss.id])?;
    let mut urls = vec![boss.location.clone(), ada.location, inner.location, outer.location];
    let paths = [&boss.path, &ada.path, &inner.path, &outer.path];
    let lists = ["/Users", "/Groups", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig"];
    for path in paths.into_iter().map(String::as_str).chain(lists) {
        references(&s.scim.get(path)?.expect(200)?.json, &mut urls);
    }
    // A manager, two groups of a user, three members, and a location of everything.
    ensure(urls.len() >= 20, || format!("only {} references were found", urls.len()))?;
    urls.sort_unstable();
    urls.dedup();
    for url in &urls {
        let answer = resolve(s, url)?.expect(200)?;
        if let Some(id) = answer.json.get("id").and_then(Value::as_str) {
            answer.expect_that(url.ends_with(id), "another resource than the reference names")?;
        }
    }
    s.scim.delete(&boss.path)?.expect(204)?;
    s.scim.follow(&boss.location)?.expect_error(404, None)?;
    Ok(())
}

/// The document with the members of every object in reverse order.
fn reversed(document: &Value) -> Value {
    match document {
        Value::Object(members) => {
            members.iter().rev().map(|(name, value)| (name.clone(), reversed(value))).collect()
        }
        Value::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

/// A resource without what differs between two that were made the same way.
fn essence(resource: &Value, user_name: &str) -> Value {
    let text = without(without(resource.clone(), "id"), "meta").to_string();
    serde_json::from_str(&text.replace(user_name, "NAME")).unwrap_or_default()
}

fn a9(s: &Subject) -> Check {
    let operations = json!([
        {"op": "add", "path": "emails", "value": [{"value": "x@example.com", "type": "other"}]},
        {"op": "replace", "path": "name", "value": {"givenName": "Eve", "middleName": "M"}},
        {"op": "remove", "path": "emails[type eq \"home\"]"},
        {"op": "replace", "value": {"title": "Lead", "nickName": "e", "active": false}},
    ]);
    let mut results = Vec::new();
    for (name, turned) in [("ada@example.com", false), ("ben@example.com", true)] {
        let turn = |body: Value| if turned { reversed(&body) } else { body };
        let created = s.scim.create("/Users", &turn(full_user(name)))?;
        let patched = s.scim.patch(&created.path, &turn(patch(&operations)))?;
        patched.expect_status(&[200, 204])?;
        let patched = s.scim.get(&created.path)?.expect(200)?;
        let put = s.scim.put(&created.path, &turn(with(full_user(name), "title", json!("CTO"))))?;
        let states = [created.body, patched.json, put.expect(200)?.json];
        results.push(states.map(|state| essence(&state, name)));
    }
    let [straight, shuffled] = results.as_slice() else { return Ok(()) };
    ensure(straight == shuffled, || {
        format!("in the usual order: {}, reversed: {}", json!(straight), json!(shuffled))
    })
}

fn a10(s: &Subject) -> Check {
    let deep = json!([{"name": "outer", "type": "complex", "subAttributes": [
        {"name": "inner", "type": "complex", "subAttributes": [{"name": "x", "type": "string"}]},
    ]}]);
    let answer = s.try_schemas(&resource_type(&deep))?.expect(422)?;
    let says_why = answer.text_at("/message")?.contains("complex");
    answer.expect_that(says_why, "the refusal does not say why")?;
    s.scim.get(THINGS)?.expect_error(404, None)?;
    let urn = format!("/Schemas/{THING}");
    s.scim.get(&urn)?.expect_error(404, None)?;
    let flat = json!([{"name": "outer", "type": "complex", "subAttributes": [
        {"name": "inner", "type": "string"},
    ]}]);
    s.load_schemas(&resource_type(&flat))?;
    s.scim.get(&urn)?.expect(200)?;
    Ok(())
}

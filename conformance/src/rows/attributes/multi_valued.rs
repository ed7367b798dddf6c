//! Multi-valued attributes, unassigned values and the `schemas` attribute (RFC 7643 §2.4, §2.5, §3).

use serde_json::{Value, json};

use crate::answer::{Answer, ensure};
use crate::rows::custom::{THINGS, a_thing, resource_type};
use crate::rows::{Check, Finding, Row};
use crate::scim::{ENTERPRISE, GROUP, SEARCH_REQUEST, USER, full_user, group, patch, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "A11",
        "MUST",
        "RFC 7643 §2.4",
        "rfc_a11_at_most_one_value_is_primary",
        "At most one value of a multi-valued attribute has `primary: true`, on POST, PUT and PATCH \
         (refuse with 400 or normalise — never store two)",
        a11,
    ),
    Row::new(
        "A12",
        "SHALL",
        "RFC 7643 §2.4",
        "rfc_a12_absent_primary_is_false",
        "A value without `primary` counts as `primary: false` in filters (`emails[primary eq \
         false]`) and in PATCH",
        a12,
    ),
    Row::new(
        "A13",
        "SHOULD NOT",
        "RFC 7643 §2.4",
        "rfc_a13_type_and_value_are_returned_once",
        "The same (type, value) pair is not returned twice in one multi-valued attribute",
        a13,
    ),
    Row::new(
        "A14",
        "SHOULD",
        "RFC 7643 §2.4",
        "rfc_a14_canonical_type_is_returned",
        "Canonical `type` values are returned in canonical form (`WORK` → `work`) where the schema \
         lists them",
        a14,
    ),
    Row::new(
        "A15",
        "SHALL",
        "RFC 7643 §2.4",
        "rfc_a15_references_compare_without_the_version",
        "References that differ only by the `/v2` segment compare as equal",
        a15,
    ),
    Row::new(
        "A16",
        "SHALL",
        "RFC 7643 §2.5",
        "rfc_a16_absent_null_and_empty_are_one_state",
        "Absent, `null` and `[]` are the same state: PUT with `null`/`[]` unassigns, `pr` is false \
         afterwards, required + null = missing",
        a16,
    ),
    Row::new(
        "A17",
        "MUST",
        "RFC 7643 §3",
        "rfc_a17_schemas_is_never_empty",
        "`schemas` is non-empty in every representation returned",
        a17,
    ),
    Row::new(
        "A18",
        "MUST",
        "RFC 7643 §3",
        "rfc_a18_schemas_lists_only_known_uris",
        "`schemas` lists only the base schema and the extensions of that resource type; unknown \
         URIs in a request give 400",
        a18,
    )
    .differs(
        "clients send URIs that nobody registered (Entra ID its legacy group URI, OneLogin \
         templates old URNs): they are dropped and noted, never stored or returned",
        a18_default,
    ),
    Row::new(
        "A19",
        "MUST NOT",
        "RFC 7643 §3",
        "rfc_a19_schemas_has_no_duplicate_and_no_order",
        "`schemas` holds no duplicate; its order changes nothing",
        a19,
    ),
];

/// How many addresses of a user are primary, and which one came first.
fn primaries(answer: &Answer) -> Result<Vec<Value>, Finding> {
    let emails = answer.array_at("/emails")?;
    let primary = |email: &&Value| email.get("primary") == Some(&json!(true));
    Ok(emails.iter().filter(primary).cloned().collect())
}

fn a11(s: &Subject) -> Check {
    let two = json!([
        {"value": "a@example.com", "type": "work", "primary": true},
        {"value": "b@example.com", "type": "home", "primary": true},
    ]);
    let body = with(user("two@example.com"), "emails", two.clone());
    // Refused, with nothing stored, or made one.
    let post = s.scim.post("/Users", &body)?.expect_status(&[201, 400])?;
    if post.status == 201 {
        let made = s.scim.get(&format!("/Users/{}", post.id()?))?.expect(200)?;
        made.expect_that(primaries(&made)?.len() == 1, "two values are primary")?;
    } else {
        let post = post.expect_error(400, Some("invalidValue"))?;
        let found = s.scim.filter("/Users", "userName eq \"two@example.com\"")?;
        post.expect_that(found.total()? == 0, "refused and stored")?;
    }
    let one = json!([{"value": "c@example.com", "type": "other", "primary": true}]);
    let ada = s.scim.create("/Users", &with(user("ada@example.com"), "emails", one))?;
    let body = with(user("ada@example.com"), "emails", two.clone());
    let replace = json!([{"op": "replace", "path": "emails", "value": two}]);
    let add = json!([{"op": "add", "path": "emails", "value": two}]);
    let merged = json!([{"op": "add", "value": {"emails": two}}]);
    for answer in [
        s.scim.put(&ada.path, &body)?,
        s.scim.patch(&ada.path, &patch(&replace))?,
        s.scim.patch(&ada.path, &patch(&add))?,
        s.scim.patch(&ada.path, &patch(&merged))?,
    ] {
        let answer = answer.expect_status(&[200, 204, 400])?;
        if answer.status == 400 {
            answer.expect_error(400, Some("invalidValue"))?;
        }
        let read = s.scim.get(&ada.path)?.expect(200)?;
        read.expect_that(primaries(&read)?.len() == 1, "not exactly one value is primary")?;
    }
    // A second request moves the mark instead of setting a second one.
    let add = json!([{"op": "add", "path": "emails",
        "value": [{"value": "d@example.com", "type": "work", "primary": true}]}]);
    s.scim.patch(&ada.path, &patch(&add))?.expect_status(&[200, 204])?;
    let read = s.scim.get(&ada.path)?.expect(200)?;
    let [only] = primaries(&read)?.try_into().map_err(|_| read.failed("two are primary"))?;
    read.expect_that(only.get("value") == Some(&json!("d@example.com")), "the mark did not move")?;
    Ok(())
}

fn a12(s: &Subject) -> Check {
    let mixed = json!([
        {"value": "a@example.com", "type": "work", "primary": true},
        {"value": "b@example.com", "type": "home"},
    ]);
    let marked = json!([{"value": "c@example.com", "type": "work", "primary": true}]);
    let said = json!([{"value": "d@example.com", "type": "work", "primary": false}]);
    let create = |name: &str, emails| s.scim.create("/Users", &with(user(name), "emails", emails));
    let mixed = create("mixed@example.com", mixed)?;
    let marked = create("marked@example.com", marked)?;
    let said = create("said@example.com", said)?;
    let bare = s.scim.create_user("bare@example.com")?;
    for (filter, expected) in [
        ("emails[primary eq false]", vec![&mixed, &said]),
        ("emails[primary eq false and type eq \"home\"]", vec![&mixed]),
        ("emails[primary ne true]", vec![&mixed, &said]),
        ("emails[primary eq true]", vec![&mixed, &marked]),
        ("not (emails[primary eq false])", vec![&marked, &bare]),
    ] {
        let expected: Vec<&str> = expected.iter().map(|user| user.id.as_str()).collect();
        s.scim.filter("/Users", filter)?.expect(200)?.expect_set(&expected)?;
    }
    let operations =
        json!([{"op": "replace", "path": "emails[primary eq false].display", "value": "Second"}]);
    s.scim.patch(&mixed.path, &patch(&operations))?.expect_status(&[200, 204])?;
    let read = s.scim.get(&mixed.path)?.expect(200)?;
    read.expect_at("/emails/1/display", &json!("Second"))?.expect_absent("/emails/0/display")?;
    let operations = json!([{"op": "remove", "path": "emails[primary eq false]"}]);
    s.scim.patch(&mixed.path, &patch(&operations))?.expect_status(&[200, 204])?;
    let read = s.scim.get(&mixed.path)?.expect(200)?;
    read.expect_at("/emails/0/value", &json!("a@example.com"))?.expect_absent("/emails/1")?;
    Ok(())
}

/// The (type, value) pairs of the addresses of a user.
fn pairs(answer: &Answer) -> Result<Vec<(String, String)>, Finding> {
    let text = |email: &Value, name| {
        email.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let emails = answer.array_at("/emails")?;
    Ok(emails.iter().map(|email| (text(email, "type"), text(email, "value"))).collect())
}

fn a13(s: &Subject) -> Check {
    let repeated = json!([
        {"value": "a@example.com", "type": "work"},
        {"value": "a@example.com", "type": "home"},
        {"value": "a@example.com", "type": "work"},
        {"value": "a@example.com", "type": "work", "display": "Office"},
        {"value": "b@example.com", "type": "work"},
    ]);
    let expected =
        [("work", "a@example.com"), ("home", "a@example.com"), ("work", "b@example.com")];
    let once = |answer: &Answer| -> Check {
        let mut found = pairs(answer)?;
        found.sort_unstable();
        let mut wanted = expected.map(|(kind, value)| (kind.to_owned(), value.to_owned()));
        wanted.sort_unstable();
        answer.expect_that(found == wanted, &format!("the pairs are {found:?}")).map(drop)
    };
    let body = with(user("ada@example.com"), "emails", repeated.clone());
    let ada = s.scim.create("/Users", &body)?;
    once(&s.scim.get(&ada.path)?.expect(200)?)?;
    s.scim.put(&ada.path, &body)?.expect(200)?;
    once(&s.scim.get(&ada.path)?.expect(200)?)?;
    let add = json!([{"op": "add", "path": "emails", "value": repeated}]);
    s.scim.patch(&ada.path, &patch(&add))?.expect_status(&[200, 204])?;
    once(&s.scim.get(&ada.path)?.expect(200)?)?;
    let add = json!([{"op": "add", "path": "emails",
        "value": [{"value": "a@example.com", "type": "work", "display": "Desk"}]}]);
    s.scim.patch(&ada.path, &patch(&add))?.expect_status(&[200, 204])?;
    once(&s.scim.get(&ada.path)?.expect(200)?)?;
    // Members are a multi-valued attribute as well.
    let team = s.scim.create_group("Team", &[&ada.id, &ada.id])?;
    let read = s.scim.get(&team.path)?.expect(200)?;
    read.expect_at("/members/0/value", &json!(ada.id))?.expect_absent("/members/1")?;
    Ok(())
}

fn a14(s: &Subject) -> Check {
    let mut body = user("ada@example.com");
    for (name, value) in [
        ("emails", json!([{"value": "a@example.com", "type": "WORK"}])),
        ("phoneNumbers", json!([{"value": "+1-201-555-0123", "type": "Mobile"}])),
        ("addresses", json!([{"country": "US", "type": "Home"}])),
        ("ims", json!([{"value": "ada", "type": "XMPP"}])),
        ("photos", json!([{"value": "https://example.com/ada.png", "type": "THUMBNAIL"}])),
    ] {
        body = with(body, name, value);
    }
    let ada = s.scim.create("/Users", &body)?;
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_at("/emails/0/type", &json!("work"))?
        .expect_at("/phoneNumbers/0/type", &json!("mobile"))?
        .expect_at("/addresses/0/type", &json!("home"))?
        .expect_at("/ims/0/type", &json!("xmpp"))?
        .expect_at("/photos/0/type", &json!("thumbnail"))?;
    s.scim.filter("/Users", "emails[type eq \"WORK\"]")?.expect(200)?.expect_ids(&[&ada.id])?;
    let replace = json!([{"op": "replace", "path": "emails[type eq \"Work\"].type",
        "value": "HOME"}]);
    s.scim.patch(&ada.path, &patch(&replace))?.expect_status(&[200, 204])?;
    s.scim.get(&ada.path)?.expect(200)?.expect_at("/emails/0/type", &json!("home"))?;
    let body = with(body, "emails", json!([{"value": "a@example.com", "type": "OTHER"}]));
    s.scim.put(&ada.path, &body)?.expect(200)?.expect_at("/emails/0/type", &json!("other"))?;
    Ok(())
}

fn a15(s: &Subject) -> Check {
    let owner = json!([{"name": "owner", "type": "reference", "referenceTypes": ["User"],
        "caseExact": true}]);
    s.load_schemas(&resource_type(&owner))?;
    let boss = s.scim.create_user("boss@example.com")?;
    let Some((before, after)) = boss.location.split_once("/v2/") else {
        return Err(Finding::NotApplicable("locations of this server have no version segment"));
    };
    let spellings =
        [boss.location.clone(), format!("{before}/{after}"), format!("{before}/v1/{after}")];
    let manager = json!({"manager": {"value": boss.id}});
    let body = with(user("ada@example.com"), ENTERPRISE, manager);
    let ada = s.scim.create("/Users", &with(body, "schemas", json!([USER, ENTERPRISE])))?;
    let team = s.scim.create_group("Team", &[&boss.id])?;
    s.scim.create_user("other@example.com")?;
    let mut things = Vec::new();
    for spelling in &spellings {
        things.push(s.scim.create(THINGS, &a_thing(&json!({"owner": spelling})))?.id);
    }
    let things: Vec<&str> = things.iter().map(String::as_str).collect();
    for spelling in &spellings {
        let filter = format!("owner eq \"{spelling}\"");
        s.scim.filter(THINGS, &filter)?.expect(200)?.expect_set(&things)?;
        let filter = format!("{ENTERPRISE}:manager.$ref eq \"{spelling}\"");
        s.scim.filter("/Users", &filter)?.expect(200)?.expect_ids(&[&ada.id])?;
        let filter = format!("members[$ref eq \"{spelling}\"]");
        s.scim.filter("/Groups", &filter)?.expect(200)?.expect_ids(&[&team.id])?;
    }
    // Another resource is another reference, whatever the version.
    let filter = format!("owner eq \"{}\"", ada.location);
    s.scim.filter(THINGS, &filter)?.expect(200)?.expect_ids(&[])?;
    Ok(())
}

fn a16(s: &Subject) -> Check {
    let none = |body: Value| {
        ["title", "name", "displayName", "externalId"]
            .iter()
            .fold(body, |body, name| with(body, name, Value::Null))
    };
    let lists = ["emails", "phoneNumbers"];
    let unassigned = |answer: &Answer| -> Check {
        let places = ["/title", "/name", "/displayName", "/externalId", "/emails"];
        for place in places.into_iter().chain(["/phoneNumbers"]) {
            answer.expect_unassigned(place)?;
        }
        answer.expect_absent(&format!("/{ENTERPRISE}")).map(drop)
    };
    for (number, empty) in [(1, Value::Null), (2, json!([]))] {
        let name = format!("ada{number}@example.com");
        let mut body = none(full_user(&name));
        for list in lists {
            body = with(body, list, empty.clone());
        }
        body = with(body, ENTERPRISE, Value::Null);
        let put = s.scim.create("/Users", &full_user(&name))?;
        unassigned(&s.scim.put(&put.path, &body)?.expect(200)?)?;
        unassigned(&s.scim.get(&put.path)?.expect(200)?)?;
        let posted = s.scim.create("/Users", &with(body, "userName", json!(format!("x{name}"))))?;
        unassigned(&s.scim.get(&posted.path)?.expect(200)?)?;
        for (name, value) in [("title", &Value::Null), ("emails", &empty)] {
            let full =
                s.scim.create("/Users", &full_user(&format!("{name}{number}@example.com")))?;
            let replace = json!([{"op": "replace", "path": name, "value": value}]);
            s.scim.patch(&full.path, &patch(&replace))?.expect_status(&[200, 204])?;
            let read = s.scim.get(&full.path)?.expect(200)?;
            read.expect_unassigned(&format!("/{name}"))?;
            s.scim.delete(&full.path)?.expect(204)?;
        }
    }
    for attribute in ["title", "emails", "name", "displayName", "externalId", "emails.value"] {
        s.scim.filter("/Users", &format!("{attribute} pr"))?.expect(200)?.expect_ids(&[])?;
    }
    let ada = s.scim.create_user("ada@example.com")?;
    for (endpoint, body, required) in [
        ("/Users", full_user("eve@example.com"), "userName"),
        ("/Groups", group("Team", &[]), "displayName"),
    ] {
        for empty in [Value::Null, json!([])] {
            let body = with(body.clone(), required, empty);
            s.scim.post(endpoint, &body)?.expect_error(400, Some("invalidValue"))?;
        }
    }
    let body = with(full_user("ada@example.com"), "userName", Value::Null);
    s.scim.put(&ada.path, &body)?.expect_error(400, Some("invalidValue"))?;
    s.scim.get(&ada.path)?.expect(200)?.expect_at("/userName", &json!("ada@example.com"))?;
    Ok(())
}

fn a17(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let team = s.scim.create_group("Team", &[&ada.id])?;
    let body = full_user("ada@example.com");
    let title = json!([{"op": "replace", "path": "title", "value": "Lead"}]);
    let gone = json!([{"op": "remove", "path": ENTERPRISE}]);
    let search = json!({"schemas": [SEARCH_REQUEST], "attributes": ["userName"]});
    let only = "?attributes=userName";
    let excluded = "?excludedAttributes=schemas,userName";
    for answer in [
        s.scim.post("/Users", &with(user("ben@example.com"), "schemas", json!([])))?.expect(201)?,
        s.scim.post("/Users?excludedAttributes=schemas", &user("cyd@example.com"))?.expect(201)?,
        s.scim.get(&ada.path)?.expect(200)?,
        s.scim.get(&format!("{}{only}", ada.path))?.expect(200)?,
        s.scim.get(&format!("{}{excluded}", ada.path))?.expect(200)?,
        s.scim.get("/Users")?.expect(200)?,
        s.scim.get(&format!("/Users{only}"))?.expect(200)?,
        s.scim.get(&format!("/Users{excluded}"))?.expect(200)?,
        s.scim.get(&format!("{}?attributes=displayName", team.path))?.expect(200)?,
        s.scim.put(&format!("{}{only}", ada.path), &body)?.expect(200)?,
        s.scim.patch(&format!("{}{only}", ada.path), &patch(&title))?.expect(200)?,
        s.scim.patch(&format!("{}{excluded}", ada.path), &patch(&gone))?.expect(200)?,
        s.scim.post("/Users/.search", &search)?.expect(200)?,
        s.scim.get("/Schemas")?.expect(200)?,
        s.scim.get("/ResourceTypes")?.expect(200)?,
        s.scim.get("/ServiceProviderConfig")?.expect(200)?,
    ] {
        let whole = std::slice::from_ref(&answer.json);
        for document in whole.iter().chain(answer.resources()?) {
            let uris = document.get("schemas").and_then(Value::as_array);
            let some = uris.is_some_and(|uris| !uris.is_empty());
            answer.expect_that(some, "a representation has no `schemas`")?;
        }
    }
    Ok(())
}

const STRANGE: &str = "urn:example:params:scim:schemas:nobody:2.0:User";

fn a18(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let before = s.scim.get(&ada.path)?.expect(200)?;
    let total = s.scim.get("/Users")?.total()?;
    for uris in [json!([USER, STRANGE]), json!([USER, GROUP]), json!([STRANGE])] {
        let body = |name| with(user(name), "schemas", uris.clone());
        s.scim.post("/Users", &body("eve@example.com"))?.expect_error(400, Some("invalidValue"))?;
        s.scim.put(&ada.path, &body("ada@example.com"))?.expect_error(400, Some("invalidValue"))?;
    }
    // An extension of another type is as unknown as one that nobody has.
    let body = with(group("Team", &[]), "schemas", json!([GROUP, ENTERPRISE]));
    s.scim.post("/Groups", &body)?.expect_error(400, Some("invalidValue"))?;
    let add = json!([{"op": "add", "path": "schemas", "value": [STRANGE]}]);
    s.scim.patch(&ada.path, &patch(&add))?.expect_error(400, Some("invalidValue"))?;
    let after = s.scim.get(&ada.path)?.expect(200)?;
    after.expect_that(after.text == before.text, "a refused request changed the resource")?;
    ensure(s.scim.get("/Users")?.total()? == total, || "a refused user was stored".into())?;
    only_known(&after)
}

fn a18_default(s: &Subject) -> Check {
    for (number, uris) in
        (1..).zip([json!([USER, STRANGE]), json!([USER, GROUP]), json!([STRANGE])])
    {
        let body = with(full_user(&format!("u{number}@example.com")), "schemas", uris);
        let created = s.scim.create("/Users", &body)?;
        for answer in [s.scim.put(&created.path, &body)?, s.scim.get(&created.path)?] {
            only_known(&answer.expect(200)?)?;
        }
        let add = json!([{"op": "add", "path": "schemas", "value": [STRANGE]}]);
        s.scim.patch(&created.path, &patch(&add))?.expect_status(&[200, 204])?;
        only_known(&s.scim.get(&created.path)?.expect(200)?)?;
    }
    let body = with(group("Team", &[]), "schemas", json!([GROUP, ENTERPRISE, STRANGE]));
    let team = s.scim.post("/Groups", &body)?.expect(201)?;
    team.expect_at("/schemas", &json!([GROUP]))?;
    Ok(())
}

/// The base schema of users, and nothing beside it but the extension.
fn only_known(answer: &Answer) -> Check {
    let uris = answer.array_at("/schemas")?;
    let known =
        uris.contains(&json!(USER)) && uris.iter().all(|uri| uri == USER || uri == ENTERPRISE);
    answer.expect_that(known, "`schemas` has what it should not have").map(drop)
}

fn a19(s: &Subject) -> Check {
    let mut shown = Vec::new();
    for (number, uris) in (1..).zip([
        json!([USER, ENTERPRISE]),
        json!([ENTERPRISE, USER]),
        json!([USER, ENTERPRISE, USER, ENTERPRISE]),
    ]) {
        let name = format!("u{number}@example.com");
        let body = with(full_user(&name), "schemas", uris);
        let created = s.scim.create("/Users", &body)?;
        let add = json!([{"op": "add", "path": "schemas", "value": [USER, ENTERPRISE]}]);
        for answer in [
            s.scim.get(&created.path)?,
            s.scim.put(&created.path, &body)?,
            s.scim.patch(&created.path, &patch(&add))?,
        ] {
            let answer = answer.expect_status(&[200])?;
            let mut uris = answer.array_at("/schemas")?.to_vec();
            uris.sort_unstable_by_key(Value::to_string);
            let total = uris.len();
            uris.dedup();
            answer.expect_that(uris.len() == total, "`schemas` has a duplicate")?;
            answer.expect_at(&format!("/{ENTERPRISE}/department"), &json!("Tools"))?;
            shown.push(uris);
        }
    }
    shown.dedup();
    ensure(shown.len() == 1, || format!("the order of `schemas` changed its content: {shown:?}"))
}

//! The form of messages and the names of attributes (RFC 7643 §2.1).

use serde_json::{Value, json};

use crate::answer::{Answer, ensure};
use crate::rows::custom::{THINGS, a_thing, resource_type};
use crate::rows::{Check, Row};
use crate::scim::{
    BULK_REQUEST, ENTERPRISE, SEARCH_REQUEST, USER, full_user, patch, user, with, without,
};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "A1",
        "MUST",
        "RFC 7643 §2.1",
        "rfc_a1_every_body_has_schemas",
        "Every resource and message body, in and out, is a JSON object with a `schemas` array",
        a1,
    ),
    Row::new(
        "A2",
        "MUST",
        "RFC 7643 §2.1",
        "rfc_a2_attribute_names_follow_the_grammar",
        "Attribute names are `ALPHA *(ALPHA/DIGIT/-/_/$)`; a schema loaded with another name is \
         refused at load",
        a2,
    ),
    Row::new(
        "A3",
        "MUST",
        "RFC 7643 §2.1",
        "rfc_a3_attribute_names_are_case_insensitive",
        "Attribute names are case-insensitive on input: `USERNAME`, `Emails[].Primary` and \
         `operations` keys are accepted in bodies, filters, paths and projections and come back in \
         schema spelling",
        a3,
    ),
];

/// A JSON object with a non-empty array of texts as `schemas`.
fn has_schemas(answer: &Answer) -> Check {
    answer.expect_that(answer.json.is_object(), "the body is no JSON object")?;
    let uris = answer.array_at("/schemas")?;
    let texts = !uris.is_empty() && uris.iter().all(Value::is_string);
    answer.expect_that(texts, "`schemas` is no array of URIs").map(drop)
}

fn a1(s: &Subject) -> Check {
    let created = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let path = created.path.as_str();
    let operations = json!([{"op": "replace", "path": "title", "value": "Lead"}]);
    let search = json!({"schemas": [SEARCH_REQUEST], "count": 1});
    let bulk = json!({"schemas": [BULK_REQUEST], "Operations": [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": user("ben@example.com")},
    ]});
    for answer in [
        s.scim.get(path)?.expect(200)?,
        s.scim.get("/Users")?.expect(200)?,
        s.scim.put(path, &full_user("ada@example.com"))?.expect(200)?,
        s.scim.patch(path, &patch(&operations))?.expect(200)?,
        s.scim.post("/Users/.search", &search)?.expect(200)?,
        s.scim.post("/Bulk", &bulk)?.expect(200)?,
        s.scim.get("/ServiceProviderConfig")?.expect(200)?,
        s.scim.get("/Schemas")?.expect(200)?,
        s.scim.get("/ResourceTypes")?.expect(200)?,
        s.scim.get("/Users/unknown")?.expect(404)?,
        s.scim.with_token(None).get("/Users")?.expect(401)?,
    ] {
        has_schemas(&answer)?;
        for resource in answer.resources()? {
            let uris = resource.get("schemas").and_then(Value::as_array);
            let some = uris.is_some_and(|uris| !uris.is_empty());
            answer.expect_that(some, "a listed resource has no `schemas`")?;
        }
    }
    let before = s.scim.get("/Users")?.total()?;
    for body in ["[]", "\"text\"", "null", "42", "true"] {
        let sent = |method, path| s.scim.send(method, path, &[], Some(body));
        sent("POST", "/Users")?.expect_error(400, Some("invalidSyntax"))?;
        sent("PUT", path)?.expect_error(400, Some("invalidSyntax"))?;
        sent("PATCH", path)?.expect_error(400, Some("invalidSyntax"))?;
    }
    for schemas in [json!(USER), json!({"uri": USER}), json!([5]), json!(true)] {
        let body = with(user("eve@example.com"), "schemas", schemas);
        s.scim.post("/Users", &body)?.expect_status(&[400])?;
    }
    ensure(s.scim.get("/Users")?.total()? == before, || "a refused body was stored".into())?;
    // Many clients leave it out; the endpoint says what the body is.
    let bare = s.scim.post("/Users", &without(user("cyd@example.com"), "schemas"))?.expect(201)?;
    bare.expect_at("/schemas", &json!([USER]))?;
    Ok(())
}

fn a2(s: &Subject) -> Check {
    let text = |name: &str| json!({"name": name, "type": "string"});
    for name in ["", "9lives", "-a", "_a", "$a", "a b", "a.b", "a:b", "a[b]", "é", "aé", "a\"b"] {
        let sub = json!({"name": "c", "type": "complex", "subAttributes": [text(name)]});
        for attribute in [text(name), sub] {
            let answer = s.try_schemas(&resource_type(&json!([attribute])))?.expect(422)?;
            answer.text_at("/message")?;
            s.scim.get(THINGS)?.expect_error(404, None)?;
        }
    }
    let names = ["a", "Z", "a-b", "a_b", "a$b", "a9-_$", "wordOf"];
    s.load_schemas(&resource_type(&json!(names.map(text))))?;
    let members: Value =
        names.iter().map(|name| ((*name).to_owned(), json!(format!("v{name}")))).collect();
    let thing = s.scim.create(THINGS, &a_thing(&members))?;
    s.scim.get(&thing.path)?.expect(200)?.expect_contains(&members)?;
    for name in names {
        let found = s.scim.filter(THINGS, &format!("{name} eq \"v{name}\""))?.expect(200)?;
        found.expect_ids(&[&thing.id])?;
    }
    Ok(())
}

fn a3(s: &Subject) -> Check {
    let body = json!({
        "SCHEMAS": [USER, ENTERPRISE],
        "USERNAME": "ada@example.com",
        "nAME": {"GIVENNAME": "Ada", "familyname": "Lane"},
        "Emails": [{"VALUE": "ada@example.com", "Type": "work", "Primary": true}],
        ENTERPRISE: {"DEPARTMENT": "Tools"},
    });
    let spelled = json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "ada@example.com",
        "name": {"givenName": "Ada", "familyName": "Lane"},
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
        ENTERPRISE: {"department": "Tools"},
    });
    let created = s.scim.post("/Users", &body)?.expect(201)?;
    created.expect_contains(&spelled)?.expect_absent("/USERNAME")?.expect_absent("/Emails")?;
    let id = created.id()?;
    let path = format!("/Users/{id}");
    s.scim.create_user("ben@example.com")?;
    for filter in [
        "USERNAME eq \"ada@example.com\"",
        "Name.GIVENNAME eq \"Ada\"",
        "EMAILS.Value eq \"ada@example.com\"",
        "Emails[Primary eq true and TYPE eq \"work\"]",
        &format!("{ENTERPRISE}:DEPARTMENT eq \"Tools\""),
    ] {
        s.scim.filter("/Users", filter)?.expect(200)?.expect_ids(&[id])?;
    }
    let operations = json!([
        {"OP": "replace", "PATH": "NAME.GivenName", "VALUE": "Adah"},
        {"Op": "replace", "Path": "EMAILS[Type eq \"work\"].DISPLAY", "Value": "Office"},
        {"op": "add", "value": {"TITLE": "Engineer"}},
    ]);
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "operations": operations});
    s.scim.patch(&path, &body)?.expect_status(&[200, 204])?;
    let read = s.scim.get(&path)?.expect(200)?;
    read.expect_at("/name/givenName", &json!("Adah"))?
        .expect_at("/emails/0/display", &json!("Office"))?
        .expect_at("/title", &json!("Engineer"))?
        .expect_absent("/TITLE")?;
    let projected = s.scim.query(&path, &[("attributes", "USERNAME,name.GIVENNAME")])?;
    let projected = projected.expect(200)?;
    projected
        .expect_at("/userName", &json!("ada@example.com"))?
        .expect_at("/name", &json!({"givenName": "Adah"}))?
        .expect_absent("/emails")?;
    let reduced = s.scim.query(&path, &[("excludedAttributes", "EMAILS,NAME.givenNAME")])?;
    reduced
        .expect(200)?
        .expect_absent("/emails")?
        .expect_at("/name", &json!({"familyName": "Lane"}))?;
    let sorted = s.scim.query("/Users", &[("sortBy", "USERNAME"), ("sortOrder", "descending")])?;
    let names = sorted.expect(200)?.texts("/userName")?;
    ensure(names == ["ben@example.com", "ada@example.com"], || format!("sorted as {names:?}"))
}

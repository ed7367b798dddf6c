//! Who may write an attribute, and when it is shown (RFC 7643 §7).

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::rows::custom::{THINGS, a_thing, resource_type};
use crate::rows::{Check, Finding, Row};
use crate::scim::{BULK_REQUEST, ENTERPRISE, SEARCH_REQUEST, full_user, patch, with, without};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "A35",
        "SHALL NOT",
        "RFC 7643 §7",
        "rfc_a35_read_only_is_never_changed",
        "readOnly: never changed by a client through any verb",
        a35,
    ),
    Row::new(
        "A36",
        "SHALL NOT",
        "RFC 7643 §7",
        "rfc_a36_immutable_is_set_once",
        "immutable: settable on create or while unset, afterwards a different value is refused (400 \
         mutability), an equal one accepted",
        a36,
    ),
    Row::new(
        "A37",
        "SHALL NOT",
        "RFC 7643 §7",
        "rfc_a37_write_only_is_never_shown",
        "writeOnly / returned=never: never in any body, also not with `attributes=`, in bulk, \
         `/.search` or error details",
        a37,
    ),
    Row::new(
        "A38",
        "SHALL",
        "RFC 7643 §7",
        "rfc_a38_returned_always_survives_projection",
        "returned=always attributes survive `attributes=` and `excludedAttributes=`",
        a38,
    ),
    Row::new(
        "A39",
        "SHALL",
        "RFC 7643 §7",
        "rfc_a39_returned_request_appears_when_named",
        "returned=request attributes appear only when named in `attributes` (or just written by \
         the request)",
        a39,
    ),
    Row::new(
        "A40",
        "SHALL",
        "RFC 7643 §7",
        "rfc_a40_returned_default_appears_unless_excluded",
        "returned=default attributes appear unless excluded",
        a40,
    ),
];

fn a35(s: &Subject) -> Check {
    let attributes = json!([
        {"name": "label", "type": "string"},
        {"name": "sealed", "type": "string", "mutability": "readOnly"},
        {"name": "part", "type": "complex", "subAttributes": [
            {"name": "open", "type": "string"},
            {"name": "closed", "type": "string", "mutability": "readOnly"},
        ]},
    ]);
    s.load_schemas(&resource_type(&attributes))?;
    let body = a_thing(&json!({
        "label": "x", "sealed": "mine", "part": {"open": "a", "closed": "mine"},
    }));
    let thing = s.scim.create(THINGS, &body)?;
    let unchanged = |answer: &Answer| -> Check {
        answer.expect_absent("/sealed")?.expect_absent("/part/closed")?.expect_nowhere("mine")?;
        Ok(())
    };
    unchanged(&s.scim.get(&thing.path)?.expect(200)?)?;
    unchanged(&s.scim.put(&thing.path, &body)?.expect(200)?)?;
    refused(s, &thing.path, &["sealed", "part.closed", "id", "meta.created", "meta"])?;
    unchanged(&s.scim.get(&thing.path)?.expect(200)?)?;

    let boss = s.scim.create("/Users", &full_user("boss@example.com"))?;
    let team = s.scim.create_group("Team", &[&boss.id])?;
    let before = s.scim.get(&boss.path)?.expect(200)?;
    let forged = with(
        with(full_user("boss@example.com"), "groups", json!([{"value": "none"}])),
        "id",
        json!("other"),
    );
    let put = s.scim.put(&boss.path, &forged)?.expect(200)?;
    put.expect_at("/groups/0/value", &json!(team.id))?.expect_absent("/groups/1")?;
    let manager = format!("{ENTERPRISE}:manager.displayName");
    refused(s, &boss.path, &["groups", "id", "meta.lastModified", "meta.resourceType", &manager])?;
    let remove = json!([{"op": "remove", "path": format!("groups[value eq \"{}\"]", team.id)}]);
    s.scim.patch(&boss.path, &patch(&remove))?.expect_error(400, Some("mutability"))?;
    let after = s.scim.get(&boss.path)?.expect(200)?;
    for place in ["/id", "/groups", "/meta/created", "/meta/resourceType", "/meta/location"] {
        after.expect_at(place, before.at(place)?)?;
    }
    Ok(())
}

/// Every operation on each of these paths is 400 `mutability` and changes nothing.
fn refused(s: &Subject, resource: &str, paths: &[&str]) -> Check {
    let before = s.scim.get(resource)?.expect(200)?;
    for path in paths {
        for operation in [
            json!([{"op": "add", "path": path, "value": "mine"}]),
            json!([{"op": "replace", "path": path, "value": "mine"}]),
            json!([{"op": "remove", "path": path}]),
        ] {
            let answer = s.scim.patch(resource, &patch(&operation))?;
            answer.expect_error(400, Some("mutability"))?;
        }
    }
    let after = s.scim.get(resource)?.expect(200)?;
    after.expect_that(after.text == before.text, "a refused PATCH changed something").map(drop)
}

fn a36(s: &Subject) -> Check {
    let attributes = json!([
        {"name": "label", "type": "string"},
        {"name": "serial", "type": "string", "mutability": "immutable"},
        {"name": "part", "type": "complex", "subAttributes": [
            {"name": "open", "type": "string"},
            {"name": "fixed", "type": "string", "mutability": "immutable"},
        ]},
    ]);
    s.load_schemas(&resource_type(&attributes))?;
    let body = |serial: &str| a_thing(&json!({"label": "x", "serial": serial}));
    let set =
        |path: &str, value: &str| patch(&json!([{"op": "replace", "path": path, "value": value}]));
    // Set on create.
    let made = s.scim.create(THINGS, &body("S1"))?;
    s.scim.put(&made.path, &body("S1"))?.expect(200)?.expect_at("/serial", &json!("S1"))?;
    s.scim.patch(&made.path, &set("serial", "S1"))?.expect_status(&[200, 204])?;
    s.scim.put(&made.path, &body("S2"))?.expect_error(400, Some("mutability"))?;
    for operation in ["add", "replace"] {
        let pathless = json!([{"op": operation, "value": {"serial": "S2", "label": "y"}}]);
        let named = json!([{"op": operation, "path": "serial", "value": "S2"}]);
        for operations in [pathless, named] {
            let answer = s.scim.patch(&made.path, &patch(&operations))?;
            answer.expect_error(400, Some("mutability"))?;
        }
    }
    let read = s.scim.get(&made.path)?.expect(200)?;
    read.expect_at("/serial", &json!("S1"))?.expect_at("/label", &json!("x"))?;
    // Set while unset, by PUT and by PATCH.
    let later = s.scim.create(THINGS, &a_thing(&json!({"label": "x"})))?;
    s.scim.put(&later.path, &body("S3"))?.expect(200)?.expect_at("/serial", &json!("S3"))?;
    s.scim.put(&later.path, &body("S4"))?.expect_error(400, Some("mutability"))?;
    let later = s.scim.create(THINGS, &a_thing(&json!({"label": "x"})))?;
    s.scim.patch(&later.path, &set("serial", "S5"))?.expect_status(&[200, 204])?;
    s.scim.patch(&later.path, &set("serial", "S6"))?.expect_error(400, Some("mutability"))?;
    s.scim.get(&later.path)?.expect(200)?.expect_at("/serial", &json!("S5"))?;
    // The same for a part of a complex attribute.
    s.scim.patch(&later.path, &set("part.fixed", "F1"))?.expect_status(&[200, 204])?;
    s.scim.patch(&later.path, &set("part.open", "a"))?.expect_status(&[200, 204])?;
    s.scim.patch(&later.path, &set("part.fixed", "F1"))?.expect_status(&[200, 204])?;
    s.scim.patch(&later.path, &set("part.fixed", "F2"))?.expect_error(400, Some("mutability"))?;
    let read = s.scim.get(&later.path)?.expect(200)?;
    read.expect_at("/part", &json!({"open": "a", "fixed": "F1"}))?;
    Ok(())
}

const SECRET: &str = "S3cr3t-never-shown";

fn a37(s: &Subject) -> Check {
    let attributes = json!([
        {"name": "label", "type": "string", "required": true},
        {"name": "pin", "type": "string", "mutability": "writeOnly", "returned": "never"},
        {"name": "part", "type": "complex", "subAttributes": [
            {"name": "open", "type": "string"},
            {"name": "key", "type": "string", "mutability": "writeOnly", "returned": "never"},
        ]},
    ]);
    s.load_schemas(&resource_type(&attributes))?;
    let body = a_thing(&json!({
        "label": "x", "pin": SECRET, "part": {"open": "a", "key": SECRET},
    }));
    hidden(s, THINGS, &body, "pin", "part.key", "label")?;
    let body = with(full_user("ada@example.com"), "password", json!(SECRET));
    hidden(s, "/Users", &body, "password", "password", "userName")
}

/// The secret in `body` is in no answer, whatever is asked.
fn hidden(
    s: &Subject,
    endpoint: &str,
    body: &Value,
    name: &str,
    second: &str,
    required: &str,
) -> Check {
    let made = s.scim.post(endpoint, body)?.expect(201)?;
    let path = format!("{endpoint}/{}", made.id()?);
    made.expect_nowhere(SECRET)?;
    let set = |place: &str| patch(&json!([{"op": "replace", "path": place, "value": SECRET}]));
    let merged = patch(&json!([{"op": "add", "value": {name: SECRET}}]));
    let names = format!("{name},{second}");
    let search = json!({"schemas": [SEARCH_REQUEST], "attributes": [name, second]});
    let bulk = json!({"schemas": [BULK_REQUEST], "Operations": [
        {"method": "PUT", "path": path, "data": body},
        {"method": "PATCH", "path": path, "data": set(name)},
        {"method": "POST", "path": endpoint, "bulkId": "b", "data": without(body.clone(), required)},
    ]});
    let asked = [("attributes", names.as_str())];
    for answer in [
        s.scim.get(&path)?.expect(200)?,
        s.scim.query(&path, &asked)?.expect(200)?,
        s.scim.query(endpoint, &asked)?.expect(200)?,
        s.scim.put(&path, body)?.expect(200)?,
        s.scim.put(&format!("{path}?attributes={names}"), body)?.expect(200)?,
        s.scim.patch(&path, &set(name))?.expect_status(&[200, 204])?,
        s.scim.patch(&format!("{path}?attributes={names}"), &set(second))?.expect(200)?,
        s.scim.patch(&path, &merged)?.expect_status(&[200, 204])?,
        s.scim.post(&format!("{endpoint}/.search"), &search)?.expect(200)?,
        s.scim.post("/Bulk", &bulk)?.expect(200)?,
        // Requests that fail, with the secret in them.
        s.scim.post(endpoint, &without(body.clone(), required))?.expect_status(&[400])?,
        s.scim.post(endpoint, &with(body.clone(), name, json!([SECRET, SECRET])))?,
        s.scim.put(&path, &with(body.clone(), name, json!({"value": SECRET})))?,
        s.scim.patch(&path, &patch(&json!([{"op": "move", "path": name, "value": SECRET}])))?,
        s.scim.patch(
            &path,
            &patch(&json!([
                {"op": "replace", "path": name, "value": {"x": SECRET}}
            ])),
        )?,
        s.scim.filter(endpoint, &format!("{name} eq \"{SECRET}\""))?,
        s.scim.filter(endpoint, &format!("{name} gt \"{SECRET}\" and"))?,
        s.scim.query(endpoint, &[("sortBy", name)])?,
    ] {
        answer.expect_nowhere(SECRET)?;
        answer.expect_that(answer.status < 500, "the server failed")?;
        for document in std::slice::from_ref(&answer.json).iter().chain(answer.resources()?) {
            let shown = document.get(name).is_some();
            answer.expect_that(!shown, &format!("`{name}` is in the answer"))?;
        }
    }
    Ok(())
}

/// A thing with an attribute of each `returned`, alone and inside a complex attribute.
fn returned_thing(s: &Subject) -> Result<String, Finding> {
    let of =
        |name: &str, returned: &str| json!({"name": name, "type": "string", "returned": returned});
    let attributes = json!([
        of("always", "always"),
        of("usual", "default"),
        of("asked", "request"),
        {"name": "part", "type": "complex", "subAttributes": [
            of("always", "always"), of("usual", "default"), of("asked", "request"),
        ]},
    ]);
    s.load_schemas(&resource_type(&attributes))?;
    let parts = json!({"always": "1", "usual": "2", "asked": "3"});
    let thing = with(a_thing(&parts), "part", parts);
    Ok(s.scim.create(THINGS, &thing)?.path)
}

/// The members of one thing, read alone and from the list.
fn projected(s: &Subject, path: &str, parameters: &str) -> Result<[Answer; 2], Finding> {
    let one = s.scim.get(&format!("{path}{parameters}"))?.expect(200)?;
    let mut list = s.scim.get(&format!("{THINGS}{parameters}"))?.expect(200)?;
    list.json = list.at("/Resources/0")?.clone();
    Ok([one, list])
}

fn a38(s: &Subject) -> Check {
    let path = returned_thing(s)?;
    for parameters in [
        "",
        "?attributes=usual",
        "?attributes=part.usual",
        "?attributes=nothing",
        "?excludedAttributes=always",
        "?excludedAttributes=always,usual,part.usual",
    ] {
        for answer in projected(s, &path, parameters)? {
            answer.expect_at("/always", &json!("1"))?;
            answer.at("/id")?;
        }
    }
    for parameters in ["", "?attributes=part.usual", "?excludedAttributes=part.always"] {
        for answer in projected(s, &path, parameters)? {
            answer.expect_at("/part/always", &json!("1"))?;
        }
    }
    let body = a_thing(&json!({"always": "1", "usual": "2"}));
    let usual = patch(&json!([{"op": "replace", "path": "usual", "value": "x"}]));
    for parameters in ["?attributes=usual", "?excludedAttributes=always,id"] {
        for answer in [
            s.scim.post(&format!("{THINGS}{parameters}"), &body)?.expect(201)?,
            s.scim.put(&format!("{path}{parameters}"), &body)?.expect(200)?,
            s.scim.patch(&format!("{path}{parameters}"), &usual)?.expect(200)?,
        ] {
            answer.expect_at("/always", &json!("1"))?;
            answer.at("/id")?;
        }
    }
    Ok(())
}

fn a39(s: &Subject) -> Check {
    let path = returned_thing(s)?;
    for parameters in ["", "?attributes=usual", "?excludedAttributes=usual"] {
        for answer in projected(s, &path, parameters)? {
            answer.expect_absent("/asked")?.expect_absent("/part/asked")?;
        }
    }
    for answer in projected(s, &path, "?attributes=asked,part.asked")? {
        answer
            .expect_at("/asked", &json!("3"))?
            .expect_at("/part/asked", &json!("3"))?
            .expect_absent("/usual")?
            .expect_absent("/part/usual")?;
    }
    // A request that does not write it does not show it.
    let usual = patch(&json!([{"op": "replace", "path": "usual", "value": "x"}]));
    let answer =
        s.scim.patch(&format!("{path}?excludedAttributes=nothing"), &usual)?.expect(200)?;
    answer.expect_absent("/asked")?.expect_absent("/part/asked")?;
    // One that does may; then it shows what was written.
    let asked = patch(&json!([{"op": "replace", "path": "asked", "value": "new"}]));
    let answer =
        s.scim.patch(&format!("{path}?excludedAttributes=nothing"), &asked)?.expect(200)?;
    let shown = answer.json.get("asked").is_none_or(|shown| shown == "new");
    answer.expect_that(shown, "`asked` is not what was written")?;
    answer.expect_absent("/part/asked")?;
    let stored = s.scim.get(&format!("{path}?attributes=asked"))?.expect(200)?;
    stored.expect_at("/asked", &json!("new"))?;
    Ok(())
}

fn a40(s: &Subject) -> Check {
    let path = returned_thing(s)?;
    for answer in projected(s, &path, "")? {
        answer.expect_at("/usual", &json!("2"))?.expect_at("/part/usual", &json!("2"))?;
    }
    for answer in projected(s, &path, "?excludedAttributes=usual,part.usual")? {
        answer
            .expect_absent("/usual")?
            .expect_absent("/part/usual")?
            .expect_at("/part/always", &json!("1"))?;
    }
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let whole = s.scim.get(&ada.path)?.expect(200)?;
    whole.expect_contains(&full_user("ada@example.com"))?;
    let excluded = [("excludedAttributes", "title,name.givenName,emails")];
    let reduced = s.scim.query(&ada.path, &excluded)?.expect(200)?;
    reduced
        .expect_absent("/title")?
        .expect_absent("/emails")?
        .expect_absent("/name/givenName")?
        .expect_at("/name/familyName", &json!("Lane"))?
        .expect_at("/displayName", &json!("Ada Lane"))?
        .expect_at("/phoneNumbers", whole.at("/phoneNumbers")?)?
        .expect_at(&format!("/{ENTERPRISE}"), whole.at(&format!("/{ENTERPRISE}"))?)?;
    Ok(())
}

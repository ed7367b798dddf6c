//! HTTP, media types and the version in the path (RFC 7644 §3.1, §3.8, §3.13).

use serde_json::{Value, json};

use super::custom::{THING, THINGS, resource_type};
use super::{Check, Finding, Row};
use crate::answer::ensure;
use crate::scim::{
    BULK_REQUEST, BULK_RESPONSE, ERROR, LIST_RESPONSE, PATCH_OP, SEARCH_REQUEST, USER, full_user,
    patch, user, with, without,
};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "H1",
        "MUST NOT",
        "RFC 7644 §1.3",
        "rfc_h1_paths_are_appended_to_the_base_uri",
        "The base URI has no query string; every path below it is derived by appending",
        h1,
    ),
    Row::new(
        "H2",
        "MUST",
        "RFC 7644 §3.8",
        "rfc_h2_bodies_are_utf8_json",
        "Requests and answers are UTF-8 JSON; a non-ASCII name round-trips",
        h2,
    ),
    Row::new(
        "H3",
        "MUST",
        "RFC 7644 §3.8",
        "rfc_h3_scim_json_is_served",
        "`Accept: application/scim+json` is served, with `Content-Type: application/scim+json`",
        h3,
    ),
    Row::new(
        "H4",
        "SHOULD",
        "RFC 7644 §3.8",
        "rfc_h4_plain_json_is_served",
        "`Accept: application/json` is served; without Accept the default is scim+json",
        h4,
    ),
    Row::new(
        "H5",
        "SHOULD",
        "RFC 7644 §8.1",
        "rfc_h5_both_media_types_are_accepted",
        "Bodies are accepted as `application/scim+json` and `application/json` (+ charset parameter)",
        h5,
    ),
    Row::new(
        "H6",
        "SHALL",
        "RFC 7644 §3.1",
        "rfc_h6_answers_show_the_state_that_is_held",
        "Responses show the state as the server holds it (create then GET give equal bodies)",
        h6,
    ),
    Row::new(
        "H7",
        "MUST",
        "RFC 7644 §3.1",
        "rfc_h7_message_uri_is_demanded",
        "Protocol message URIs start `urn:ietf:params:scim:api:`; a wrong or missing message URI in \
         PATCH, bulk and search gives 400 invalidSyntax",
        h7,
    )
    .differs(
        "some clients leave `schemas` out of a message: the endpoint says what it is; a wrong URI is \
         refused as in the RFC",
        h7_default,
    ),
    Row::new(
        "H8",
        "SHALL NOT",
        "RFC 7644 §3.1",
        "rfc_h8_message_schemas_are_not_listed",
        "Message schemas are not listed at `/Schemas`",
        h8,
    ),
    Row::new(
        "H9",
        "MUST",
        "RFC 7644 §3.13",
        "rfc_h9_version_segment_is_honoured",
        "A version segment (`/v2`) stands right before the resource endpoint; an unsupported one is \
         refused (invalidVers), without one the newest is used",
        h9,
    ),
    Row::new(
        "H10",
        "SHOULD",
        "RFC 7644 §3.4.2",
        "rfc_h10_unknown_parameters_are_ignored",
        "Unknown query parameters are ignored",
        h10,
    ),
    Row::new(
        "H11",
        "SHOULD",
        "RFC 7644 §3.2",
        "rfc_h11_endpoints_are_plural_and_discoverable",
        "Endpoints of custom types are the pluralised name and are discoverable at `/ResourceTypes`",
        h11,
    ),
    Row::new(
        "H12",
        "—",
        "RFC 7644 §3.2",
        "rfc_h12_unsupported_verb_is_405_with_allow",
        "An unsupported verb on an endpoint gives 405 with `Allow`; unknown endpoints 404 with a \
         SCIM error",
        h12,
    ),
];

fn h1(s: &Subject) -> Check {
    let base = s.scim.base_url();
    ensure(!base.contains(['?', '#']), || format!("the base URI is {base}"))?;
    let ada = s.scim.create_user("ada@example.com")?;
    let team = s.scim.create_group("Team", &[&ada.id])?;
    for made in [&ada, &team] {
        ensure(made.location == format!("{base}{}", made.path), || {
            format!("{} is not {base}{}", made.location, made.path)
        })?;
    }
    let types = s.scim.get("/ResourceTypes")?.expect(200)?;
    for endpoint in types.texts("/endpoint")? {
        types.expect_that(endpoint.starts_with('/'), &format!("the endpoint is `{endpoint}`"))?;
        s.scim.get(&endpoint)?.expect(200)?;
    }
    let read = s.scim.get(&team.path)?.expect(200)?;
    let below = read.text_at("/members/0/$ref")?.starts_with(&format!("{base}/"));
    read.expect_that(below, "a `$ref` is not below the base URI")?;
    Ok(())
}

fn h2(s: &Subject) -> Check {
    let name = "Zoë Åse 李小龍 עברית 🦀 \u{1f469}\u{200d}\u{1f4bb}";
    let body = with(user("zoë@example.com"), "displayName", json!(name));
    let made = s.scim.create("/Users", &body)?;
    let read = s.scim.get(&made.path)?.expect(200)?;
    read.expect_at("/displayName", &json!(name))?
        .expect_at("/userName", &json!("zoë@example.com"))?;
    read.expect_that(!read.text.contains('\u{fffd}'), "the answer is not UTF-8")?;
    let found = s.scim.filter("/Users", &format!("displayName eq \"{name}\""))?.expect(200)?;
    found.expect_ids(&[&made.id])?;
    // Escapes are another spelling of the same text.
    let escaped = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName":"r\u00e9n\u00e9@example.com","displayName":"\ud83e\udd80"}"#;
    let made = s.scim.send("POST", "/Users", &[], Some(escaped))?.expect(201)?;
    made.expect_at("/userName", &json!("réné@example.com"))?
        .expect_at("/displayName", &json!("🦀"))?;
    for bytes in [&b"{\"userName\":\"zo\xeb@example.com\"}"[..], b"\xff\xfe{\0}\0", b"\xc3"] {
        let answer = s.scim.send_bytes("POST", "/Users", &[], Some(bytes))?;
        answer.expect_error(400, Some("invalidSyntax"))?;
    }
    Ok(())
}

/// Every kind of answer with this Accept header; the empty one is not sent.
fn accepted(s: &Subject, accept: &str) -> Result<Vec<crate::answer::Answer>, Finding> {
    let headers = [("Accept", accept)];
    let name = format!("u{}@example.com", accept.len());
    let body = user(&name).to_string();
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "x"}])).to_string();
    let made = s.scim.send("POST", "/Users", &headers, Some(&body))?.expect(201)?;
    let path = format!("/Users/{}", made.id()?);
    let mut answers = vec![
        made,
        s.scim.send("PUT", &path, &headers, Some(&body))?.expect(200)?,
        s.scim.send("PATCH", &path, &headers, Some(&title))?.expect(200)?,
        s.scim.send("GET", "/Users/unknown", &headers, None)?.expect(404)?,
        s.scim.with_token(None).send("GET", "/Users", &headers, None)?.expect(401)?,
    ];
    for path in [&path, "/Users", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        answers.push(s.scim.send("GET", path, &headers, None)?.expect(200)?);
    }
    Ok(answers)
}

fn h3(s: &Subject) -> Check {
    for accept in ["application/scim+json", "application/scim+json;q=0.9, text/html;q=0.1"] {
        for answer in accepted(s, accept)? {
            answer.expect_scim_json()?;
            answer.expect_that(answer.json.is_object(), "the body is no JSON object")?;
        }
    }
    Ok(())
}

fn h4(s: &Subject) -> Check {
    for answer in accepted(s, "application/json")? {
        let found = answer.expect_header("content-type")?;
        let essence = found.split(';').next().unwrap_or_default().trim();
        let json = ["application/json", "application/scim+json"].contains(&essence);
        answer.expect_that(json, &format!("Content-Type is `{found}`"))?;
        answer.expect_that(answer.json.is_object(), "the body is no JSON object")?;
    }
    for accept in ["", "*/*", "application/*"] {
        for answer in accepted(s, accept)? {
            answer.expect_scim_json()?;
        }
    }
    Ok(())
}

fn h5(s: &Subject) -> Check {
    for (number, media_type) in (1..).zip([
        "application/scim+json",
        "application/json",
        "application/scim+json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/scim+json; charset=\"utf-8\"",
        "Application/SCIM+JSON",
        "APPLICATION/JSON ; Charset=utf-8",
    ]) {
        let headers = [("Content-Type", media_type)];
        let body = user(&format!("u{number}@example.com")).to_string();
        let made = s.scim.send("POST", "/Users", &headers, Some(&body))?.expect(201)?;
        let path = format!("/Users/{}", made.id()?);
        s.scim.send("PUT", &path, &headers, Some(&body))?.expect(200)?;
        let title = patch(&json!([{"op": "replace", "path": "title", "value": media_type}]));
        let patched = s.scim.send("PATCH", &path, &headers, Some(&title.to_string()))?;
        patched.expect_status(&[200, 204])?;
        s.scim.get(&path)?.expect(200)?.expect_at("/title", &json!(media_type))?;
    }
    let body = user("eve@example.com").to_string();
    for media_type in ["text/xml", "application/x-www-form-urlencoded"] {
        let headers = [("Content-Type", media_type)];
        s.scim.send("POST", "/Users", &headers, Some(&body))?.expect_error(415, None)?;
    }
    let found = s.scim.filter("/Users", "userName eq \"eve@example.com\"")?;
    ensure(found.total()? == 0, || "a refused body was stored".into())
}

fn h6(s: &Subject) -> Check {
    let same = |answer: &crate::answer::Answer, path: &str| -> Check {
        let read = s.scim.get(path)?.expect(200)?;
        let message = || format!("{}: {} but GET: {}", answer.request, answer.text, read.text);
        ensure(answer.json == read.json, message)
    };
    let sent = with(full_user("ada@example.com"), "timezone", json!("Europe/Berlin"));
    let made = s.scim.post("/Users", &sent)?.expect(201)?;
    let path = format!("/Users/{}", made.id()?);
    same(&made, &path)?;
    let put = s.scim.put(&path, &with(user("ada@example.com"), "title", json!("Lead")))?;
    same(&put.expect(200)?, &path)?;
    let change = patch(&json!([
        {"op": "add", "path": "emails", "value": [{"value": "x@example.com", "type": "WORK"}]},
        {"op": "replace", "path": "active", "value": false},
    ]));
    same(&s.scim.patch(&path, &change)?.expect(200)?, &path)?;
    let members = json!([{"value": made.id()?}]);
    let team = json!({"displayName": "Team", "members": members});
    let team = s.scim.post("/Groups", &team)?.expect(201)?;
    let path = format!("/Groups/{}", team.id()?);
    same(&team, &path)?;
    let whole = format!("{path}?excludedAttributes=nothing");
    let rename = patch(&json!([{"op": "replace", "path": "displayName", "value": "Staff"}]));
    same(&s.scim.patch(&whole, &rename)?.expect(200)?, &path)
}

/// A PATCH, a search and a bulk body without their `schemas`, with the path each goes to.
fn messages(s: &Subject) -> Result<[(&'static str, String, Value); 5], Finding> {
    let ada = s.scim.create_user("ada@example.com")?;
    let operations = json!([{"op": "replace", "path": "title", "value": "Lead"}]);
    let bulk = json!([{"method": "POST", "path": "/Users", "bulkId": "a",
        "data": user("bulk@example.com")}]);
    Ok([
        ("PATCH", ada.path, json!({"schemas": [PATCH_OP], "Operations": operations})),
        ("POST", "/Users/.search".into(), json!({"schemas": [SEARCH_REQUEST], "count": 1})),
        ("POST", "/.search".into(), json!({"schemas": [SEARCH_REQUEST], "count": 1})),
        ("POST", "/Groups/.search".into(), json!({"schemas": [SEARCH_REQUEST], "count": 1})),
        ("POST", "/Bulk".into(), json!({"schemas": [BULK_REQUEST], "Operations": bulk})),
    ])
}

/// Message URIs of answers, and wrong URIs in requests.
fn wrong_message_uris(s: &Subject) -> Result<[(&'static str, String, Value); 5], Finding> {
    let messages = messages(s)?;
    let send = |method: &str, path: &str, body: &Value| {
        s.scim.send(method, path, &[], Some(&body.to_string()))
    };
    for (method, path, body) in &messages {
        let wrong = [
            json!([USER]),
            json!(["urn:ietf:params:scim:api:messages:2.0:Nothing"]),
            json!([ERROR]),
            json!(PATCH_OP),
        ];
        for uris in wrong {
            let answer = send(method, path, &with(body.clone(), "schemas", uris))?;
            answer.expect_error(400, Some("invalidSyntax"))?;
        }
    }
    s.scim.get("/Users")?.expect(200)?.expect_at("/schemas", &json!([LIST_RESPONSE]))?;
    s.scim.get("/Users/unknown")?.expect(404)?.expect_at("/schemas", &json!([ERROR]))?;
    Ok(messages)
}

/// With their URIs they all work.
fn right_message_uris(s: &Subject, messages: &[(&'static str, String, Value); 5]) -> Check {
    for (method, path, body) in messages {
        let answer = s.scim.send(method, path, &[], Some(&body.to_string()))?.expect(200)?;
        match path.as_str() {
            "/Bulk" => drop(answer.expect_at("/schemas", &json!([BULK_RESPONSE]))?),
            path if path.ends_with(".search") => {
                answer.expect_at("/schemas", &json!([LIST_RESPONSE]))?;
            }
            _ => drop(answer.expect_at("/title", &json!("Lead"))?),
        }
    }
    Ok(())
}

fn h7(s: &Subject) -> Check {
    let messages = wrong_message_uris(s)?;
    for (method, path, body) in &messages {
        // An empty list is the same as none (RFC 7643 §2.5).
        for bare in [without(body.clone(), "schemas"), with(body.clone(), "schemas", json!([]))] {
            let answer = s.scim.send(method, path, &[], Some(&bare.to_string()))?;
            answer.expect_error(400, Some("invalidSyntax"))?;
        }
    }
    right_message_uris(s, &messages)
}

fn h7_default(s: &Subject) -> Check {
    let messages = wrong_message_uris(s)?;
    right_message_uris(s, &messages)?;
    let bare = messages.map(|(method, path, body)| {
        let body = without(body, "schemas").to_string();
        // The bulk request creates another user than before.
        (method, path, body.replace("bulk@", "again@"))
    });
    for (method, path, body) in &bare {
        s.scim.send(method, path, &[], Some(body))?.expect(200)?;
    }
    s.scim.filter("/Users", "userName eq \"again@example.com\"")?.total().and_then(|total| {
        ensure(total == 1, || "the bulk request without `schemas` did nothing".into())
    })
}

fn h8(s: &Subject) -> Check {
    let list = s.scim.get("/Schemas")?.expect(200)?;
    let ids = list.ids()?;
    list.expect_that(ids.iter().any(|id| id == USER), "the User schema is missing")?;
    let messages = ids.iter().any(|id| id.contains(":api:"));
    list.expect_that(!messages, "a message schema is listed")?;
    for uri in [ERROR, LIST_RESPONSE, PATCH_OP, SEARCH_REQUEST, BULK_REQUEST, BULK_RESPONSE] {
        s.scim.get(&format!("/Schemas/{uri}"))?.expect_error(404, None)?;
    }
    Ok(())
}

fn h9(s: &Subject) -> Check {
    let Some((root, rest)) = s.scim.base_url().split_once("/v2") else {
        return Err(Finding::NotApplicable("the base URL has no version segment"));
    };
    let ada = s.scim.create_user("ada@example.com")?;
    let at = |base: String| s.scim.with_base_url(&base);
    // Right before the endpoint, and none at all: the same directory answers.
    for base in
        [format!("{root}/v2{rest}"), format!("{root}/v2"), root.to_owned(), format!("{root}{rest}")]
    {
        let scim = at(base.clone());
        let read = scim.get(&ada.path)?.expect(200)?;
        read.expect_at("/id", &json!(ada.id))?.expect_at("/meta/location", &json!(ada.location))?;
        scim.get("/Users")?.expect(200)?.expect_ids(&[&ada.id])?;
        scim.get("/ServiceProviderConfig")?.expect(200)?;
        let title = json!([{"op": "replace", "path": "title", "value": base}]);
        scim.patch(&ada.path, &patch(&title))?.expect_status(&[200, 204])?;
        s.scim.get(&ada.path)?.expect(200)?.expect_at("/title", &json!(base))?;
    }
    for version in ["v3", "v0", "v99", "v2.1"] {
        for base in [format!("{root}/{version}"), format!("{root}/{version}{rest}")] {
            let scim = at(base);
            for path in ["/Users", "/Schemas", &ada.path] {
                scim.get(path)?.expect_error(400, Some("invalidVers"))?;
            }
            let answer = scim.post("/Users", &user("eve@example.com"))?;
            answer.expect_error(400, Some("invalidVers"))?;
        }
    }
    ensure(s.scim.get("/Users")?.total()? == 1, || "a refused request stored something".into())
}

fn h10(s: &Subject) -> Check {
    let odd = "?aadOptscim062020&colour=red&x[]=%7B%7D&&=&filter2=userName%20pr";
    let made = s.scim.post(&format!("/Users{odd}"), &user("ada@example.com"))?.expect(201)?;
    let path = format!("/Users/{}", made.id()?);
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "x"}]));
    s.scim.put(&format!("{path}{odd}"), &user("ada@example.com"))?.expect(200)?;
    s.scim.patch(&format!("{path}{odd}"), &title)?.expect_status(&[200, 204])?;
    let plain = s.scim.get(&path)?.expect(200)?;
    let same = s.scim.get(&format!("{path}{odd}"))?.expect(200)?;
    same.expect_that(same.text == plain.text, "an unknown parameter changed the answer")?;
    s.scim.get(&format!("/Users{odd}"))?.expect(200)?.expect_ids(&[made.id()?])?;
    for path in ["/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        s.scim.get(&format!("{path}?colour=red"))?.expect(200)?;
    }
    s.scim.delete(&format!("{path}{odd}"))?.expect(204)?;
    Ok(())
}

fn h11(s: &Subject) -> Check {
    s.load_schemas(&resource_type(&json!([{"name": "label", "type": "string"}])))?;
    let types = s.scim.get("/ResourceTypes")?.expect(200)?;
    types.expect_contains(&json!({"Resources": [
        {"name": "User", "endpoint": "/Users", "schema": USER},
        {"name": "Group", "endpoint": "/Groups"},
        {"name": "Thing", "endpoint": "/Things", "schema": THING},
    ]}))?;
    let one = s.scim.get("/ResourceTypes/Thing")?.expect(200)?;
    one.expect_at("/endpoint", &json!(THINGS))?.expect_at("/schema", &json!(THING))?;
    for endpoint in types.texts("/endpoint")? {
        s.scim.get(&endpoint)?.expect(200)?.expect_at("/schemas", &json!([LIST_RESPONSE]))?;
    }
    let schema = s.scim.get(&format!("/Schemas/{THING}"))?.expect(200)?;
    schema.expect_at("/attributes/0/name", &json!("label"))?;
    Ok(())
}

fn h12(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    let body = user("eve@example.com").to_string();
    for (method, path, allowed) in [
        ("PUT", "/Users", ["GET", "POST"].as_slice()),
        ("PATCH", "/Users", &["GET", "POST"]),
        ("DELETE", "/Users", &["GET", "POST"]),
        ("DELETE", "/Groups", &["GET", "POST"]),
        ("POST", &ada.path, &["GET", "PUT", "PATCH", "DELETE"]),
        ("GET", "/Bulk", &["POST"]),
        ("DELETE", "/Users/.search", &["POST"]),
        ("POST", "/Schemas", &["GET"]),
        ("PUT", "/ServiceProviderConfig", &["GET"]),
        ("DELETE", "/ResourceTypes/User", &["GET"]),
        ("PURGE", "/Users", &["GET", "POST"]),
    ] {
        let sent = if method == "GET" || method == "DELETE" { None } else { Some(body.as_str()) };
        let answer = s.scim.send(method, path, &[], sent)?.expect_error(405, None)?;
        let allow = answer.expect_header("allow")?;
        let named: Vec<&str> = allow.split(',').map(str::trim).collect();
        for verb in allowed {
            answer.expect_that(named.contains(verb), &format!("`Allow` is `{allow}`"))?;
        }
        answer.expect_that(!named.contains(&method), &format!("`Allow` is `{allow}`"))?;
    }
    for path in ["/Nothing", "/Nothing/1", "/Users/1/2", "/Users/1/2/3", "/%C3%A9", "/Schemas/a/b"]
    {
        s.scim.get(path)?.expect_error(404, None)?;
        s.scim.send("POST", path, &[], Some(&body))?.expect_error(404, None)?;
    }
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_at("/userName", &json!("ada@example.com"))?;
    ensure(s.scim.get("/Users")?.total()? == 1, || "a refused request changed the list".into())
}

//! Reading one resource and projection (RFC 7644 §3.4.1, §3.9).

use serde_json::{Value, json};

use super::custom::{BADGE, Need, extension};
use super::{Check, Finding, Row};
use crate::answer::Answer;
use crate::scim::{ENTERPRISE, USER, encode, full_user, patch, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "R1",
        "SHALL",
        "RFC 7644 §3.4.1",
        "rfc_r1_get_by_id",
        "GET `/Type/{id}` gives 200 and the resource; unknown id 404 with a SCIM error",
        r1,
    ),
    Row::new(
        "R2",
        "MUST",
        "RFC 7644 §3.9",
        "rfc_r2_attributes_replaces_the_default_set",
        "`attributes=` replaces the default set; the minimum set (returned always: id, schemas…) stays",
        r2,
    ),
    Row::new(
        "R3",
        "MUST",
        "RFC 7644 §3.9",
        "rfc_r3_excluded_attributes_spares_returned_always",
        "`excludedAttributes=` removes from the default set and never touches returned always",
        r3,
    ),
    Row::new(
        "R4",
        "MUST",
        "RFC 7644 §3.4.2.5",
        "rfc_r4_projection_on_every_answer",
        "Both parameters work on GET one, GET list, `/.search`, and on POST/PUT/PATCH answers",
        r4,
    ),
    Row::new(
        "R5",
        "SHALL",
        "RFC 7644 §3.10",
        "rfc_r5_attribute_notation",
        "Names may be full URNs (`urn:…:User:userName`), extension names need their URN; \
         sub-attributes with a dot",
        r5,
    ),
    Row::new(
        "R6",
        "MAY",
        "RFC 7644 §3.9",
        "rfc_r6_sub_attribute_projection",
        "Naming a sub-attribute (`name.givenName`) returns only that part of the parent",
        r6,
    ),
    Row::new(
        "R7",
        "—",
        "RFC 7644 §3.9",
        "rfc_r7_attributes_and_excluded_attributes_exclude_each_other",
        "`attributes` and `excludedAttributes` are called mutually exclusive: sending both gives \
         400 or one wins — choose, document (the suites disagree)",
        r7,
    ),
];

fn r1(s: &Subject) -> Check {
    let user = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let group = s.scim.create_group("Tools", &[])?;
    for made in [&user, &group] {
        let read = s.scim.get(&made.path)?.expect(200)?;
        read.expect_scim_json()?;
        read.expect_same(&made.body)?;
    }
    for endpoint in ["/Users", "/Groups"] {
        for id in ["nothing", "2819c223-7f76-453a-919d-413861904646", "%00", "%22"] {
            s.scim.get(&format!("{endpoint}/{id}"))?.expect_error(404, None)?;
        }
    }
    // A resource is found at the endpoint of its type alone.
    s.scim.get(&format!("/Users/{}", group.id))?.expect_error(404, None)?;
    s.scim.get(&format!("/Groups/{}", user.id))?.expect_error(404, None)?;
    Ok(())
}

fn r2(s: &Subject) -> Check {
    let user = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let member = s.scim.create_user("ben@example.com")?;
    let group = s.scim.create_group("Tools", &[&member.id])?;
    for (path, attributes, members) in [
        (&user.path, "userName", &["schemas", "id", "userName"][..]),
        (&user.path, "emails,displayName", &["schemas", "id", "emails", "displayName"]),
        (&user.path, "displayName, title", &["schemas", "id", "displayName", "title"]),
        (&user.path, "id", &["schemas", "id"]),
        (&user.path, "meta", &["schemas", "id", "meta"]),
        (&user.path, "nickName", &["schemas", "id"]),
        (&user.path, "noSuchAttribute", &["schemas", "id"]),
        (&group.path, "displayName", &["schemas", "id", "displayName"]),
        (&group.path, "members", &["schemas", "id", "members"]),
    ] {
        let read = s.scim.query(path, &[("attributes", attributes)])?.expect(200)?;
        read.expect_members("", members)?;
        let whole = s.scim.get(path)?.expect(200)?;
        for member in members {
            let place = format!("/{member}");
            read.expect_at(&place, whole.at(&place)?)?;
        }
    }
    Ok(())
}

fn r3(s: &Subject) -> Check {
    let user = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let group = s.scim.create_group("Tools", &[&user.id])?;
    for (path, excluded, gone) in [
        (&user.path, "emails,name", &["emails", "name"][..]),
        (&user.path, "meta", &["meta"]),
        (&user.path, "id,schemas,title", &["title"]),
        (&user.path, "noSuchAttribute", &[]),
        (&user.path, ENTERPRISE, &[ENTERPRISE]),
        (&group.path, "members", &["members"]),
    ] {
        let whole = s.scim.get(path)?.expect(200)?;
        let read = s.scim.query(path, &[("excludedAttributes", excluded)])?.expect(200)?;
        let expected = whole.json.as_object().into_iter().flat_map(|members| members.keys());
        let expected: Vec<_> =
            expected.map(String::as_str).filter(|name| !gone.contains(name)).collect();
        read.expect_members("", &expected)?;
        for member in expected.iter().filter(|name| !["meta", "schemas"].contains(name)) {
            let place = format!("/{}", member.replace('/', "~1"));
            read.expect_at(&place, whole.at(&place)?)?;
        }
        read.expect_at("/id", whole.at("/id")?)?;
        let schemas = read.array_at("/schemas")?;
        read.expect_that(!schemas.is_empty(), "`schemas` is empty")?;
    }
    Ok(())
}

fn r4(s: &Subject) -> Check {
    let body = full_user("ada@example.com");
    let made = s.scim.create("/Users", &body)?;
    for (answer, place) in projected(s, &made.path, "attributes", "userName")? {
        answer.expect_members(place, &["schemas", "id", "userName"])?;
    }
    for (answer, place) in projected(s, &made.path, "excludedAttributes", "emails")? {
        answer.expect_absent(&format!("{place}/emails"))?;
        for kept in ["userName", "meta/location", "phoneNumbers/0/value", "name/givenName"] {
            answer.at(&format!("{place}/{kept}"))?;
        }
    }
    // What an answer leaves out is stored all the same.
    let read = s.scim.get(&made.path)?.expect(200)?;
    read.expect_at("/title", &json!("Boss"))?;
    read.expect_at("/emails", body.get("emails").unwrap_or(&Value::Null))?;
    Ok(())
}

/// Every answer that shows a resource, and where in it, with one name in that parameter.
fn projected(
    s: &Subject,
    path: &str,
    parameter: &str,
    name: &str,
) -> Result<Vec<(Answer, &'static str)>, Finding> {
    let with = |path: &str| format!("{path}?{parameter}={name}");
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "Boss"}]));
    let another = full_user(&format!("{parameter}@example.com"));
    let search = json!({parameter: [name]});
    Ok(vec![
        (s.scim.get(&with(path))?.expect(200)?, ""),
        (s.scim.put(&with(path), &full_user("ada@example.com"))?.expect(200)?, ""),
        (s.scim.patch(&with(path), &title)?.expect(200)?, ""),
        (s.scim.post(&with("/Users"), &another)?.expect(201)?, ""),
        (s.scim.get(&with("/Users"))?.expect(200)?, "/Resources/0"),
        (s.scim.search("/Users", &search)?.expect(200)?, "/Resources/0"),
    ])
}

fn r5(s: &Subject) -> Check {
    s.load_schemas(&extension(
        &json!([{"name": "title", "type": "string"}, {"name": "colour", "type": "string"}]),
        Need::Optional,
    ))?;
    let badge = json!({"title": "Guest", "colour": "red"});
    let body = with(full_user("ada@example.com"), BADGE, badge);
    let body = with(body, "schemas", json!([USER, ENTERPRISE, BADGE]));
    let made = s.scim.create("/Users", &body)?;
    let show = |parameter: &str, names: &str| {
        s.scim.get(&format!("{}?{parameter}={}", made.path, encode(names)))?.expect(200)
    };

    let name = json!({"familyName": "Lane"});
    for (names, member, expected) in [
        (format!("{USER}:userName"), "userName", json!("ada@example.com")),
        (format!("{}:USERNAME", USER.to_uppercase()), "userName", json!("ada@example.com")),
        (format!("{USER}:name.familyName"), "name", name.clone()),
        ("NAME.familyname".into(), "name", name),
        (format!("{ENTERPRISE}:department"), ENTERPRISE, json!({"department": "Tools"})),
        (format!("{BADGE}:title"), BADGE, json!({"title": "Guest"})),
        (BADGE.into(), BADGE, json!({"title": "Guest", "colour": "red"})),
        // Two schemas have a `title`; without a URN it is the one of the base schema.
        ("title".into(), "title", json!("Engineer")),
    ] {
        let shown = show("attributes", &names)?;
        shown.expect_members("", &["schemas", "id", member])?;
        shown.expect_at(&format!("/{member}"), &expected)?;
    }

    let hidden = show("excludedAttributes", &format!("{USER}:userName,{BADGE}:title"))?;
    hidden.expect_absent("/userName")?;
    hidden.expect_at("/title", &json!("Engineer"))?;
    hidden.expect_at(&format!("/{BADGE}"), &json!({"colour": "red"}))?;
    let hidden = show("excludedAttributes", "title,name.givenName")?;
    hidden.expect_absent("/title")?;
    hidden.expect_members("/name", &["familyName", "formatted"])?;
    hidden.expect_at(&format!("/{BADGE}/title"), &json!("Guest"))?;
    Ok(())
}

fn r6(s: &Subject) -> Check {
    let manager = s.scim.create_user("boss@example.com")?;
    let mut body = full_user("ada@example.com");
    if let Some(Value::Object(enterprise)) = body.get_mut(ENTERPRISE) {
        enterprise.insert("manager".into(), json!({"value": manager.id}));
    }
    let made = s.scim.create("/Users", &body)?;
    for (names, member, expected) in [
        ("name.givenName", "name", json!({"givenName": "Ada"})),
        (
            "name.givenName,name.familyName",
            "name",
            json!({"givenName": "Ada", "familyName": "Lane"}),
        ),
        ("emails.type", "emails", json!([{"type": "work"}, {"type": "home"}])),
        (
            &format!("{ENTERPRISE}:manager.value"),
            ENTERPRISE,
            json!({"manager": {"value": manager.id}}),
        ),
    ] {
        let shown = s.scim.query(&made.path, &[("attributes", names)])?.expect(200)?;
        shown.expect_members("", &["schemas", "id", member])?;
        shown.expect_at(&format!("/{member}"), &expected)?;
    }
    let shown =
        s.scim.query(&made.path, &[("excludedAttributes", "emails.type,name.givenName")])?;
    let shown = shown.expect(200)?;
    shown.expect_members("/emails/0", &["value", "primary"])?;
    shown.expect_members("/emails/1", &["value"])?;
    shown.expect_members("/name", &["familyName", "formatted"])?;
    Ok(())
}

/// Refused: to let one win would hide the mistake of the client.
fn r7(s: &Subject) -> Check {
    let both = "attributes=userName&excludedAttributes=name";
    let made = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let (one, list) = (format!("{}?{both}", made.path), format!("/Users?{both}"));
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "Boss"}]));
    let search = json!({"attributes": ["userName"], "excludedAttributes": ["name"]});
    for answer in [
        s.scim.get(&one)?,
        s.scim.get(&list)?,
        s.scim.post(&list, &user("ben@example.com"))?,
        s.scim.put(&one, &user("ada@example.com"))?,
        s.scim.patch(&one, &title)?,
        s.scim.search("/Users", &search)?,
    ] {
        answer.expect_error(400, Some("invalidValue"))?;
    }
    s.scim.get("/Users")?.expect(200)?.expect_ids(&[&made.id])?;
    s.scim.get(&made.path)?.expect(200)?.expect_same(&made.body)?;
    Ok(())
}

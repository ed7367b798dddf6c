//! Replacing with PUT (RFC 7644 §3.5.1).

use serde_json::{Value, json};

use super::custom::{THINGS, a_thing, resource_type};
use super::{Check, Row};
use crate::scim::{ENTERPRISE, USER, full_user, group, user, with, without};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "U1",
        "MUST",
        "RFC 7644 §3.5",
        "rfc_u1_put_answers_the_whole_resource",
        "PUT is supported; 200 with the whole resource",
        u1,
    ),
    Row::new(
        "U2",
        "MUST NOT",
        "RFC 7644 §3.5.1",
        "rfc_u2_put_creates_nothing",
        "PUT on an unknown id gives 404 and creates nothing",
        u2,
    ),
    Row::new(
        "U3",
        "SHALL",
        "RFC 7644 §3.5.1",
        "rfc_u3_given_values_replace",
        "Given readWrite and writeOnly values replace the old ones",
        u3,
    ),
    Row::new(
        "U4",
        "MAY",
        "RFC 7644 §3.5.1",
        "rfc_u4_omitted_values_are_cleared",
        "Omitted readWrite attributes are cleared (choose clearing; null and [] always clear)",
        u4,
    ),
    Row::new(
        "U5",
        "MUST",
        "RFC 7644 §3.5.1",
        "rfc_u5_immutable_values_stay",
        "immutable: equal value accepted, other value 400 mutability; first value accepted",
        u5,
    ),
    Row::new(
        "U6",
        "SHALL",
        "RFC 7644 §3.5.1",
        "rfc_u6_read_only_values_are_ignored",
        "readOnly values (id, meta, groups) in the body are ignored",
        u6,
    ),
    Row::new(
        "U7",
        "MUST",
        "RFC 7644 §3.5.1",
        "rfc_u7_missing_required_value",
        "Missing required attribute: 400 invalidValue",
        u7,
    ),
    Row::new(
        "U8",
        "—",
        "RFC 7644 §3.3",
        "rfc_u8_put_to_a_taken_user_name",
        "PUT to a taken userName: 409 uniqueness; PUT to the own one: 200",
        u8,
    ),
];

fn u1(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    let tools = s.scim.create_group("Tools", &[])?;
    for (made, body) in [(&ada, full_user("ada@example.com")), (&tools, group("Sales", &[&ada.id]))]
    {
        let answer = s.scim.put(&made.path, &body)?.expect(200)?;
        answer.expect_scim_json()?;
        answer.expect_contains(&body)?;
        answer.expect_at("/id", &json!(made.id))?;
        answer.expect_at("/meta/location", &json!(made.location))?;
        s.scim.get(&made.path)?.expect(200)?.expect_same(&answer.json)?;
    }
    Ok(())
}

fn u2(s: &Subject) -> Check {
    let gone = s.scim.create_user("gone@example.com")?;
    s.scim.delete(&gone.path)?.expect(204)?;
    let group_id = s.scim.create_group("Tools", &[])?.id;
    for id in ["nothing", "2819c223-7f76-453a-919d-413861904646", &gone.id, &group_id] {
        let answer = s.scim.put(&format!("/Users/{id}"), &full_user("ada@example.com"))?;
        answer.expect_error(404, None)?;
    }
    let answer = s.scim.put(&format!("/Groups/{}", gone.id), &group("Sales", &[]))?;
    answer.expect_error(404, None)?;
    s.scim.get("/Users")?.expect(200)?.expect_at("/totalResults", &json!(0))?;
    s.scim.get("/Groups")?.expect(200)?.expect_order("/displayName", &["Tools"])?;
    Ok(())
}

fn u3(s: &Subject) -> Check {
    let made = s.scim.create("/Users", &with(full_user("ada"), "password", json!("Old-9!")))?;
    let body = json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "adele",
        "externalId": "other",
        "name": {"familyName": "Moss"},
        "displayName": "Adele Moss",
        "title": "Boss",
        "active": false,
        "password": "New-Secret-9!",
        "emails": [{"value": "adele@example.com", "type": "other"}],
        ENTERPRISE: {"department": "Sales"},
    });
    let answer = s.scim.put(&made.path, &body)?.expect(200)?;
    answer.expect_nowhere("New-Secret-9!")?;
    let expected = without(body, "password");
    for (name, value) in expected.as_object().into_iter().flatten() {
        answer.expect_at(&format!("/{name}"), value)?;
    }
    s.scim.get(&made.path)?.expect(200)?.expect_same(&answer.json)?;
    s.scim.filter("/Users", "userName eq \"ada\"")?.expect(200)?.expect_ids(&[])?;
    s.scim.filter("/Users", "userName eq \"adele\"")?.expect(200)?.expect_ids(&[&made.id])?;

    let ids = s.scim.create_users(3)?;
    let mut ids: Vec<_> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    let (old, new) = ids.split_at(1);
    let tools = s.scim.create_group("Tools", old)?;
    let answer = s.scim.put(&tools.path, &group("Tools", new))?.expect(200)?;
    let members = answer.array_at("/members")?;
    let mut members: Vec<_> =
        members.iter().filter_map(|member| member.get("value")?.as_str()).collect();
    members.sort_unstable();
    answer.expect_that(members == new, &format!("the members must be {new:?}"))?;
    Ok(())
}

/// Rollbook clears, with one exception that is documented: `active` stays as it is, because nobody
/// should gain or lose access by an omission.
fn u4(s: &Subject) -> Check {
    let full = with(full_user("ada"), "active", json!(false));
    let department = format!("{ENTERPRISE}:department");
    let names =
        ["externalId", "name", "displayName", "title", "emails", "phoneNumbers", ENTERPRISE];
    let blank = |value: Value| {
        let mut body = user("ada");
        if let Some(body) = body.as_object_mut() {
            body.extend(names.map(|name| (name.to_owned(), value.clone())));
        }
        body
    };
    let empty_lists = json!({
        "schemas": [USER], "userName": "ada", "title": null, "emails": [], "phoneNumbers": [],
    });
    for body in [user("ada"), blank(json!(null)), empty_lists] {
        let made = s.scim.create("/Users", &full)?;
        let answer = s.scim.put(&made.path, &body)?.expect(200)?;
        for name in names {
            answer.expect_unassigned(&format!("/{name}"))?;
        }
        answer.expect_at("/schemas", &json!([USER]))?;
        answer.expect_at("/userName", &json!("ada"))?;
        answer.expect_at("/active", &json!(false))?;
        s.scim.get(&made.path)?.expect(200)?.expect_same(&answer.json)?;
        for filter in ["title pr", "emails pr", "name pr", "externalId pr", &department] {
            let filter = if filter == department { format!("{filter} pr") } else { filter.into() };
            s.scim.filter("/Users", &filter)?.expect(200)?.expect_ids(&[])?;
        }
        s.scim.delete(&made.path)?.expect(204)?;
    }
    // Clearing by null and [] in one PUT, beside a value that stays.
    let made = s.scim.create("/Users", &full)?;
    let body = with(full_user("ada"), "emails", json!([]));
    let answer = s.scim.put(&made.path, &with(body, "name", json!(null)))?.expect(200)?;
    answer.expect_unassigned("/emails")?;
    answer.expect_unassigned("/name")?;
    answer.expect_at("/title", &json!("Engineer"))?;

    for body in [
        without(group("Tools", &[]), "members"),
        group("Tools", &[]),
        with(group("Tools", &[]), "members", json!(null)),
    ] {
        let tools = s.scim.create_group("Tools", &[&made.id])?;
        s.scim.put(&tools.path, &body)?.expect(200)?.expect_unassigned("/members")?;
        s.scim.get(&made.path)?.expect(200)?.expect_unassigned("/groups")?;
    }
    Ok(())
}

fn u5(s: &Subject) -> Check {
    s.load_schemas(&resource_type(&json!([
        {"name": "label", "type": "string"},
        {"name": "serial", "type": "string", "mutability": "immutable"},
        {"name": "size", "type": "integer", "mutability": "immutable"},
    ])))?;
    let made = s.scim.create(THINGS, &a_thing(&json!({"label": "a", "serial": "S-1"})))?;
    let put = |members: Value| s.scim.put(&made.path, &a_thing(&members));

    put(json!({"label": "b", "serial": "S-1"}))?.expect(200)?.expect_at("/label", &json!("b"))?;
    let before = s.scim.get(&made.path)?.expect(200)?;
    for serial in [json!("S-2"), json!("")] {
        put(json!({"label": "c", "serial": serial}))?.expect_error(400, Some("mutability"))?;
    }
    s.scim.get(&made.path)?.expect(200)?.expect_same(&before.json)?;

    let first = put(json!({"label": "b", "serial": "S-1", "size": 7}))?.expect(200)?;
    first.expect_at("/size", &json!(7))?;
    let other = put(json!({"label": "b", "serial": "S-1", "size": 8}))?;
    other.expect_error(400, Some("mutability"))?;
    s.scim.get(&made.path)?.expect(200)?.expect_same(&first.json)?;
    Ok(())
}

fn u6(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    let sales = s.scim.create_group("Sales", &[])?;
    let before = s.scim.get(&ada.path)?.expect(200)?;
    let mut body = full_user("ada@example.com");
    let sent = json!({
        "id": "mine",
        "meta": {
            "resourceType": "Group",
            "created": "2001-01-01T00:00:00Z",
            "lastModified": "2001-01-01T00:00:00Z",
            "version": "W/\"999\"",
            "location": "https://elsewhere.example.com/Users/mine",
        },
        "groups": [{"value": sales.id, "display": "Sales"}],
    });
    if let (Some(body), Some(sent)) = (body.as_object_mut(), sent.as_object()) {
        body.extend(sent.clone());
    }
    let answer = s.scim.put(&ada.path, &body)?.expect(200)?;
    answer.expect_at("/title", &json!("Engineer"))?;
    for place in ["/id", "/meta/resourceType", "/meta/created", "/meta/location", "/groups"] {
        answer.expect_at(place, before.at(place)?)?;
    }
    answer.expect_nowhere("2001-01-01")?;
    answer.expect_at("/meta/version", &json!(answer.etag()?))?;
    s.scim.get("/Users/mine")?.expect_error(404, None)?;
    s.scim.get(&sales.path)?.expect(200)?.expect_unassigned("/members")?;
    s.scim.get(&tools.path)?.expect(200)?.expect_at("/members/0/value", &json!(ada.id))?;
    // What was read can be sent back as it is: nothing changes.
    let echoed = s.scim.put(&ada.path, &answer.json)?.expect(200)?;
    echoed.expect_same(&answer.json)?;

    s.load_schemas(&resource_type(&json!([
        {"name": "label", "type": "string"},
        {"name": "stamp", "type": "string", "mutability": "readOnly"},
    ])))?;
    let thing = s.scim.create(THINGS, &a_thing(&json!({"label": "a", "stamp": "mine"})))?;
    let body = a_thing(&json!({"label": "b", "stamp": "mine"}));
    let answer = s.scim.put(&thing.path, &body)?.expect(200)?;
    answer.expect_at("/label", &json!("b"))?;
    answer.expect_unassigned("/stamp")?;
    Ok(())
}

fn u7(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    let ada_before = s.scim.get(&ada.path)?.expect(200)?;
    let refused = |path: &str, body: &Value| {
        let answer = s.scim.put(path, body)?.expect_error(400, Some("invalidValue"))?;
        let named = answer.text_at("/detail")?.contains("Name");
        answer.expect_that(named, "the detail does not name the attribute").map(drop)
    };
    let body = full_user("ada@example.com");
    refused(&ada.path, &without(body.clone(), "userName"))?;
    for missing in [json!(null), json!("")] {
        refused(&ada.path, &with(body.clone(), "userName", missing.clone()))?;
        refused(&tools.path, &with(group("", &[]), "displayName", missing))?;
    }
    refused(&tools.path, &without(group("", &[]), "displayName"))?;
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&ada_before.json)?;
    s.scim.get(&tools.path)?.expect(200)?.expect_at("/displayName", &json!("Tools"))?;

    s.load_schemas(&resource_type(&json!([
        {"name": "fullName", "type": "string", "required": true},
    ])))?;
    let thing = s.scim.create(THINGS, &a_thing(&json!({"fullName": "a"})))?;
    refused(&thing.path, &a_thing(&json!({})))?;
    refused(&thing.path, &a_thing(&json!({"fullName": null})))?;
    s.scim.get(&thing.path)?.expect(200)?.expect_same(&thing.body)?;
    Ok(())
}

fn u8(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let ben = s.scim.create_user("ben@example.com")?;
    for taken in ["ben@example.com", "BEN@Example.com", "\u{ff42}en@example.com"] {
        let answer = s.scim.put(&ada.path, &full_user(taken))?;
        answer.expect_error(409, Some("uniqueness"))?;
    }
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&ada.body)?;
    s.scim.get(&ben.path)?.expect(200)?.expect_same(&ben.body)?;
    for own in ["ada@example.com", "ADA@example.com"] {
        let answer = s.scim.put(&ada.path, &full_user(own))?.expect(200)?;
        answer.expect_at("/userName", &json!(own))?;
    }
    // The name that was given up is free.
    s.scim.put(&ada.path, &user("eve@example.com"))?.expect(200)?;
    s.scim.put(&ben.path, &user("ada@example.com"))?.expect(200)?;
    Ok(())
}

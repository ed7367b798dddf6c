//! The attributes that every resource has, and extensions (RFC 7643 §3, §6).

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::answer::{Answer, ensure};
use crate::rows::custom::{THINGS, a_thing, resource_type};
use crate::rows::{Check, Finding, Row};
use crate::scim::{BULK_REQUEST, full_user, group, patch, user, with, without};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "A20",
        "MUST",
        "RFC 7643 §3.1",
        "rfc_a20_every_type_has_the_common_attributes",
        "`id`, `externalId` (when given) and `meta` exist for every resource type including custom \
         ones",
        a20,
    ),
    Row::new(
        "A21",
        "MUST",
        "RFC 7643 §3.1",
        "rfc_a21_server_assigns_id",
        "The server assigns `id`; a client-sent `id` on POST is ignored",
        a21,
    ),
    Row::new(
        "A22",
        "MUST",
        "RFC 7643 §3.1",
        "rfc_a22_id_is_unique_and_stable",
        "`id` is unique over the whole server (a User and a Group never share one), stable over \
         PUT/PATCH/restart and never reused after DELETE",
        a22,
    ),
    Row::new(
        "A23",
        "MUST NOT",
        "RFC 7643 §3.1",
        "rfc_a23_id_never_contains_bulk_id",
        "No `id` contains the reserved word `bulkId`",
        a23,
    ),
    Row::new(
        "A24",
        "SHALL",
        "RFC 7643 §3.1",
        "rfc_a24_id_is_case_exact_read_only_and_always_returned",
        "`id`: caseExact, readOnly, returned always — a different case gives 404",
        a24,
    ),
    Row::new(
        "A25",
        "MUST NOT",
        "RFC 7643 §3.1",
        "rfc_a25_server_never_invents_external_id",
        "The server never invents an `externalId`",
        a25,
    ),
    Row::new(
        "A26",
        "MUST",
        "RFC 7643 §3.1",
        "rfc_a26_external_id_belongs_to_the_client",
        "`externalId` is scoped to the provisioning client/tenant; two clients can use the same \
         value; caseExact in filters",
        a26,
    ),
    Row::new(
        "A27",
        "SHALL",
        "RFC 7643 §3.1",
        "rfc_a27_sent_meta_is_ignored",
        "A client-sent `meta` is ignored (POST, PUT)",
        a27,
    ),
    Row::new(
        "A28",
        "MUST",
        "RFC 7643 §3.1",
        "rfc_a28_created_and_last_modified_are_instants",
        "`meta.created` and `meta.lastModified` are DateTimes; equal on a never-modified resource",
        a28,
    ),
    Row::new(
        "A29",
        "MUST",
        "RFC 7643 §3.1",
        "rfc_a29_location_is_where_the_resource_is",
        "`meta.location` equals the `Content-Location` header (when sent) and the URL that serves \
         the resource",
        a29,
    ),
    Row::new(
        "A30",
        "MUST",
        "RFC 7643 §3.1",
        "rfc_a30_version_equals_the_etag",
        "`meta.version` equals the ETag header, weak tags carry `W/`",
        a30,
    ),
];

fn a20(s: &Subject) -> Check {
    s.load_schemas(&resource_type(&json!([{"name": "label", "type": "string"}])))?;
    for (endpoint, name, body) in [
        ("/Users", "User", user("ada@example.com")),
        ("/Groups", "Group", group("Team", &[])),
        (THINGS, "Thing", a_thing(&json!({"label": "x"}))),
    ] {
        let body = with(body, "externalId", json!("E-1"));
        let made = s.scim.create(endpoint, &body)?;
        let read = s.scim.get(&made.path)?.expect(200)?;
        read.expect_at("/id", &json!(made.id))?
            .expect_at("/externalId", &json!("E-1"))?
            .expect_at("/meta/resourceType", &json!(name))?
            .expect_at("/meta/location", &json!(made.location))?;
        instant(&read, "/meta/created")?;
        instant(&read, "/meta/lastModified")?;
        read.expect_at("/meta/version", &json!(read.etag()?))?;
        let found = s.scim.filter(endpoint, "externalId eq \"E-1\" and meta.created pr")?;
        found.expect(200)?.expect_ids(&[&made.id])?;
        let bare = s.scim.put(&made.path, &without(body, "externalId"))?.expect(200)?;
        bare.expect_absent("/externalId")?;
    }
    Ok(())
}

fn a21(s: &Subject) -> Check {
    let first = s.scim.create("/Users", &with(user("a@example.com"), "id", json!("mine")))?;
    ensure(first.id != "mine", || "the id that the client sent was taken".into())?;
    s.scim.get("/Users/mine")?.expect_error(404, None)?;
    // Nor does it name what is there already.
    let second = s.scim.create("/Users", &with(user("b@example.com"), "id", json!(first.id)))?;
    ensure(second.id != first.id, || "two users have one id".into())?;
    let read = s.scim.get(&first.path)?.expect(200)?;
    read.expect_at("/userName", &json!("a@example.com"))?;
    let team = s.scim.create("/Groups", &with(group("Team", &[]), "id", json!(first.id)))?;
    ensure(team.id != first.id, || "a user and a group have one id".into())?;
    // Also when it is no text.
    let odd = s.scim.create("/Users", &with(user("c@example.com"), "id", json!(7)))?;
    ensure(!odd.id.is_empty(), || "the id is empty".into())
}

fn a22(s: &Subject) -> Check {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for round in 0..8 {
        let name = format!("u{round}@example.com");
        let made = s.scim.create("/Users", &full_user(&name))?;
        let team = s.scim.create_group(&format!("Team {round}"), &[&made.id])?;
        for id in [&made.id, &team.id] {
            ensure(seen.insert(id.clone()), || format!("the id {id} was given out twice"))?;
        }
        s.scim.get(&format!("/Groups/{}", made.id))?.expect_error(404, None)?;
        s.scim.get(&format!("/Users/{}", team.id))?.expect_error(404, None)?;
        let title = json!([{"op": "replace", "path": "title", "value": "Lead"}]);
        s.scim.put(&made.path, &user(&name))?.expect(200)?.expect_at("/id", &json!(made.id))?;
        s.scim.patch(&made.path, &patch(&title))?.expect_status(&[200, 204])?;
        s.scim.get(&made.path)?.expect(200)?.expect_at("/id", &json!(made.id))?;
        if round % 2 == 0 {
            s.scim.delete(&made.path)?.expect(204)?;
            s.scim.delete(&team.path)?.expect(204)?;
        } else {
            kept.push(made);
        }
    }
    let other = s.other_directory()?;
    for round in 0..4 {
        let id = other.create_user(&format!("u{round}@example.com"))?.id;
        ensure(seen.insert(id.clone()), || format!("two directories share the id {id}"))?;
    }
    s.restart_server()?;
    for made in &kept {
        s.scim.get(&made.path)?.expect(200)?.expect_at("/id", &json!(made.id))?;
    }
    let id = s.scim.create_user("late@example.com")?.id;
    ensure(seen.insert(id.clone()), || format!("after a restart the id {id} came again"))
}

fn a23(s: &Subject) -> Check {
    let clean = |id: &str| {
        ensure(!id.to_ascii_lowercase().contains("bulkid"), || format!("an id is `{id}`"))
    };
    for number in 0..10 {
        clean(&s.scim.create_user(&format!("u{number}@example.com"))?.id)?;
        clean(&s.scim.create_group(&format!("Team {number}"), &[])?.id)?;
    }
    let operations = json!([
        {"method": "POST", "path": "/Users", "bulkId": "x", "data": user("bulk@example.com")},
    ]);
    let body = json!({"schemas": [BULK_REQUEST], "Operations": operations});
    s.scim.post("/Bulk", &body)?.expect(200)?.expect_at("/Operations/0/status", &json!("201"))?;
    let found = s.scim.filter("/Users", "userName eq \"bulk@example.com\"")?.expect(200)?;
    let ids = found.ids()?;
    ensure(ids.len() == 1, || "the user of the bulk request is not there".into())?;
    ids.iter().try_for_each(|id| clean(id))
}

/// The text with every letter in the other case.
fn swapped(text: &str) -> String {
    text.chars()
        .map(
            |c| {
                if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
            },
        )
        .collect()
}

fn a24(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "X"}]));
    let others = [ada.id.to_ascii_uppercase(), ada.id.to_ascii_lowercase(), swapped(&ada.id)];
    for other in others.iter().filter(|other| **other != ada.id) {
        let path = format!("/Users/{other}");
        for answer in [
            s.scim.get(&path)?,
            s.scim.put(&path, &user("ada@example.com"))?,
            s.scim.patch(&path, &title)?,
            s.scim.delete(&path)?,
        ] {
            answer.expect_error(404, None)?;
        }
        let found = s.scim.filter("/Users", &format!("id eq \"{other}\""))?.expect(200)?;
        found.expect_ids(&[])?;
    }
    let found = s.scim.filter("/Users", &format!("id eq \"{}\"", ada.id))?.expect(200)?;
    found.expect_ids(&[&ada.id])?;
    let put = s.scim.put(&ada.path, &with(full_user("ada@example.com"), "id", json!("other")))?;
    put.expect(200)?.expect_at("/id", &json!(ada.id))?;
    for operation in [
        json!([{"op": "replace", "path": "id", "value": "other"}]),
        json!([{"op": "remove", "path": "id"}]),
    ] {
        s.scim.patch(&ada.path, &patch(&operation))?.expect_error(400, Some("mutability"))?;
    }
    for parameters in ["attributes=title", "excludedAttributes=id", "excludedAttributes=id,title"] {
        let one = s.scim.get(&format!("{}?{parameters}", ada.path))?.expect(200)?;
        one.expect_at("/id", &json!(ada.id))?;
        let list = s.scim.get(&format!("/Users?{parameters}"))?.expect(200)?;
        list.expect_ids(&[&ada.id])?;
    }
    Ok(())
}

fn a25(s: &Subject) -> Check {
    for (endpoint, body) in [("/Users", user("ada@example.com")), ("/Groups", group("Team", &[]))] {
        let made = s.scim.post(endpoint, &body)?.expect(201)?;
        made.expect_absent("/externalId")?;
        let path = format!("{endpoint}/{}", made.id()?);
        let name = json!([{"op": "replace", "path": "displayName", "value": "Other"}]);
        s.scim.put(&path, &body)?.expect(200)?.expect_absent("/externalId")?;
        s.scim.patch(&path, &patch(&name))?.expect_status(&[200, 204])?;
        s.scim.get(&path)?.expect(200)?.expect_absent("/externalId")?;
        let asked = s.scim.get(&format!("{path}?attributes=externalId"))?.expect(200)?;
        asked.expect_absent("/externalId")?;
        s.scim.filter(endpoint, "externalId pr")?.expect(200)?.expect_ids(&[])?;
    }
    Ok(())
}

fn a26(s: &Subject) -> Check {
    let named = |name, external: &str| with(user(name), "externalId", json!(external));
    let lower = s.scim.create("/Users", &named("a@example.com", "abc-É"))?;
    let upper = s.scim.create("/Users", &named("b@example.com", "ABC-É"))?;
    for (filter, expected) in [
        ("externalId eq \"abc-É\"", vec![&lower]),
        ("externalId eq \"ABC-É\"", vec![&upper]),
        ("externalId eq \"Abc-É\"", vec![]),
        ("externalId sw \"abc\"", vec![&lower]),
        ("externalId co \"BC\"", vec![&upper]),
        ("externalId ne \"abc-É\"", vec![&upper]),
    ] {
        let expected: Vec<&str> = expected.iter().map(|user| user.id.as_str()).collect();
        s.scim.filter("/Users", filter)?.expect(200)?.expect_set(&expected)?;
    }
    s.scim.get(&lower.path)?.expect(200)?.expect_at("/externalId", &json!("abc-É"))?;
    let other = s.other_directory()?;
    let same = other.create("/Users", &named("a@example.com", "abc-É"))?;
    other.filter("/Users", "externalId eq \"abc-É\"")?.expect(200)?.expect_ids(&[&same.id])?;
    let found = s.scim.filter("/Users", "externalId eq \"abc-É\"")?.expect(200)?;
    found.expect_ids(&[&lower.id])?;
    Ok(())
}

fn a27(s: &Subject) -> Check {
    let meta = json!({
        "resourceType": "Group",
        "created": "1999-01-01T00:00:00Z",
        "lastModified": "1999-01-01T00:00:00Z",
        "location": "https://elsewhere.example.com/Users/1",
        "version": "W/\"forged\"",
        "colour": "red",
    });
    for (endpoint, name, body) in
        [("/Users", "User", user("ada@example.com")), ("/Groups", "Group", group("Team", &[]))]
    {
        for odd in [meta.clone(), json!({"created": "yesterday", "version": 3}), json!("none")] {
            let body = with(body.clone(), "meta", odd);
            let made = s.scim.create(endpoint, &body)?;
            let put = s.scim.put(&made.path, &body)?.expect(200)?;
            for answer in [put, s.scim.get(&made.path)?.expect(200)?] {
                answer
                    .expect_at("/meta/resourceType", &json!(name))?
                    .expect_at("/meta/location", &json!(made.location))?
                    .expect_at("/meta/version", &json!(answer.etag()?))?
                    .expect_absent("/meta/colour")?
                    .expect_nowhere("1999-01-01")?
                    .expect_nowhere("forged")?
                    .expect_nowhere("elsewhere")?;
                let created = made.body.pointer("/meta/created").cloned().unwrap_or_default();
                answer.expect_at("/meta/created", &created)?;
            }
            s.scim.delete(&made.path)?.expect(204)?;
        }
    }
    Ok(())
}

/// The instant at that place.
fn instant(answer: &Answer, place: &str) -> Result<Timestamp, Finding> {
    let text = answer.text_at(place)?;
    text.parse().map_err(|_| answer.failed(&format!("`{place}` is no instant: {text}")))
}

fn a28(s: &Subject) -> Check {
    for (endpoint, body) in
        [("/Users", full_user("ada@example.com")), ("/Groups", group("Team", &[]))]
    {
        let made = s.scim.post(endpoint, &body)?.expect(201)?;
        let path = format!("{endpoint}/{}", made.id()?);
        let created = instant(&made, "/meta/created")?;
        made.expect_at("/meta/lastModified", made.at("/meta/created")?)?;
        let read = s.scim.get(&path)?.expect(200)?;
        read.expect_at("/meta/lastModified", made.at("/meta/created")?)?;
        s.pass(Duration::from_millis(20));
        let name = json!([{"op": "replace", "path": "displayName", "value": "Other"}]);
        s.scim.patch(&path, &patch(&name))?.expect_status(&[200, 204])?;
        let changed = s.scim.get(&path)?.expect(200)?;
        let still = instant(&changed, "/meta/created")? == created;
        changed.expect_that(still, "`meta.created` moved")?;
        let later = instant(&changed, "/meta/lastModified")? > created;
        changed.expect_that(later, "`meta.lastModified` did not move with a change")?;
    }
    Ok(())
}

fn a29(s: &Subject) -> Check {
    for (endpoint, body) in
        [("/Users", full_user("ada@example.com")), ("/Groups", group("Team", &[]))]
    {
        let made = s.scim.post(endpoint, &body)?.expect(201)?;
        let id = made.id()?;
        let path = format!("{endpoint}/{id}");
        let location = made.text_at("/meta/location")?.to_owned();
        let right = location == format!("{}{path}", s.scim.base_url());
        made.expect_that(right, "the location is not below the base URL")?;
        made.expect_that(made.header("location") == Some(&location), "`Location` differs")?;
        let name = json!([{"op": "replace", "path": "displayName", "value": "Other"}]);
        let full = format!("{path}?excludedAttributes=nickName");
        for answer in [
            s.scim.patch(&full, &patch(&name))?.expect(200)?,
            s.scim.put(&path, &body)?.expect(200)?,
            s.scim.get(&path)?.expect(200)?,
            s.scim.follow(&location)?.expect(200)?,
        ] {
            answer.expect_at("/id", &json!(id))?.expect_at("/meta/location", &json!(location))?;
            let same = answer.header("content-location").is_none_or(|found| found == location);
            answer.expect_that(same, "`Content-Location` differs from `meta.location`")?;
        }
        let list = s.scim.get(endpoint)?.expect(200)?;
        list.expect_at("/Resources/0/meta/location", &json!(location))?;
    }
    Ok(())
}

/// `W/"…"` or `"…"` (RFC 9110 §8.8.3).
fn is_entity_tag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let inner = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| {
        !inner.is_empty() && inner.chars().all(|c| c.is_ascii_graphic() && c != '"')
    })
}

fn a30(s: &Subject) -> Check {
    let ada = s.scim.post("/Users", &full_user("ada@example.com"))?.expect(201)?;
    let path = format!("/Users/{}", ada.id()?);
    let team = s.scim.create_group("Team", &[ada.id()?])?;
    let name = json!([{"op": "replace", "path": "displayName", "value": "Other"}]);
    let team_patch = format!("{}?attributes=meta", team.path);
    for answer in [
        s.scim.get(&path)?.expect(200)?,
        s.scim.put(&path, &user("ada@example.com"))?.expect(200)?,
        s.scim.patch(&path, &patch(&name))?.expect(200)?,
        s.scim.get(&team.path)?.expect(200)?,
        s.scim.patch(&team_patch, &patch(&name))?.expect(200)?,
        ada,
    ] {
        let tag = answer.etag()?;
        answer.expect_at("/meta/version", &json!(tag))?;
        answer.expect_that(is_entity_tag(tag), &format!("{tag} is no entity tag"))?;
    }
    let list = s.scim.get("/Users")?.expect(200)?;
    let now = s.scim.get(&path)?.expect(200)?;
    list.expect_at("/Resources/0/meta/version", &json!(now.etag()?))?;
    Ok(())
}

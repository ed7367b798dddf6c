//! Creating resources (RFC 7644 §3.3).

use serde_json::{Value, json};

use super::{Check, Row};
use crate::answer::ensure;
use crate::scim::{ENTERPRISE, USER, full_user, group, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "C1",
        "SHALL",
        "RFC 7644 §3.3",
        "rfc_c1_create_is_201",
        "Success is 201",
        c1,
    ),
    Row::new(
        "C2",
        "SHALL",
        "RFC 7644 §3.3",
        "rfc_c2_location_stands_in_header_and_meta",
        "`Location` header and `meta.location` both carry the new URI",
        c2,
    ),
    Row::new(
        "C3",
        "SHOULD",
        "RFC 7644 §3.3",
        "rfc_c3_body_is_the_full_new_resource",
        "The body is the full new resource (subject to projection)",
        c3,
    ),
    Row::new(
        "C4",
        "SHALL",
        "RFC 7644 §3.3",
        "rfc_c4_read_only_attributes_are_ignored",
        "readOnly attributes in the body are ignored, not refused",
        c4,
    ),
    Row::new(
        "C5",
        "SHALL",
        "RFC 7644 §3.3",
        "rfc_c5_attributes_left_out_take_the_default",
        "readWrite attributes left out take the server default or stay unassigned",
        c5,
    ),
    Row::new(
        "C6",
        "MUST",
        "RFC 7644 §3.3",
        "rfc_c6_conflict_is_409_uniqueness",
        "A conflict (duplicate userName) is 409 with scimType `uniqueness`",
        c6,
    ),
    Row::new(
        "C7",
        "SHALL",
        "RFC 7644 §3.3.1",
        "rfc_c7_resource_type_comes_from_the_endpoint",
        "`meta.resourceType` is set from the endpoint, whatever the client sends",
        c7,
    ),
    Row::new(
        "C8",
        "MUST",
        "RFC 7644 §3.12",
        "rfc_c8_malformed_body_is_400_and_stores_nothing",
        "Malformed JSON, a non-object, a wrong JSON type or a missing required value gives 400 with \
         invalidSyntax / invalidValue and stores nothing",
        c8,
    )
    .differs(
        "clients send booleans as text (Entra ID), one object for a list (OneLogin) and a bare \
         value for a complex attribute (Entra ID): these are read as they are meant; everything \
         else is refused as in the RFC",
        c8_default,
    ),
];

fn c1(s: &Subject) -> Check {
    for (endpoint, body) in [
        ("/Users", user("ada@example.com")),
        ("/Users", full_user("ben@example.com")),
        ("/Groups", group("Team", &[])),
    ] {
        let made = s.scim.post(endpoint, &body)?.expect(201)?;
        made.expect_scim_json()?;
        s.scim.get(&format!("{endpoint}/{}", made.id()?))?.expect(200)?;
    }
    Ok(())
}

fn c2(s: &Subject) -> Check {
    for (endpoint, body) in [("/Users", user("ada@example.com")), ("/Groups", group("Team", &[]))] {
        let made = s.scim.post(endpoint, &body)?.expect(201)?;
        let location = made.expect_header("location")?;
        made.expect_at("/meta/location", &json!(location))?;
        let right = location == format!("{}{endpoint}/{}", s.scim.base_url(), made.id()?);
        made.expect_that(right, "the location is not where the resource is")?;
        s.scim.follow(location)?.expect(200)?.expect_at("/id", made.at("/id")?)?;
        // Also when the body does not show it.
        let body = with(body, "userName", json!("ben@example.com"));
        let bare = s.scim.post(&format!("{endpoint}?attributes=id"), &body)?.expect(201)?;
        let location = bare.expect_header("location")?;
        s.scim.follow(location)?.expect(200)?.expect_at("/id", bare.at("/id")?)?;
    }
    Ok(())
}

fn c3(s: &Subject) -> Check {
    let sent = full_user("ada@example.com");
    let made = s.scim.post("/Users", &sent)?.expect(201)?;
    made.expect_contains(&sent)?;
    for place in ["/id", "/meta/created", "/meta/lastModified", "/meta/location"] {
        made.at(place)?;
    }
    let body = full_user("ben@example.com");
    let only = s.scim.post("/Users?attributes=title", &body)?.expect(201)?;
    only.expect_at("/title", &json!("Engineer"))?.expect_absent("/emails")?.at("/id")?;
    let read = s.scim.get(&format!("/Users/{}", only.id()?))?.expect(200)?;
    read.expect_contains(&body)?;
    let body = full_user("cyd@example.com");
    let most = s.scim.post("/Users?excludedAttributes=emails,name", &body)?.expect(201)?;
    most.expect_absent("/emails")?
        .expect_absent("/name")?
        .expect_at("/title", &json!("Engineer"))?;
    Ok(())
}

fn c4(s: &Subject) -> Check {
    let team = s.scim.create_group("Team", &[])?;
    let mut body = full_user("ada@example.com");
    for (name, value) in [
        ("id", json!("mine")),
        ("meta", json!({"created": "1999-01-01T00:00:00Z", "resourceType": "Group"})),
        ("groups", json!([{"value": team.id, "type": "direct"}])),
    ] {
        body = with(body, name, value);
    }
    let manager = json!({"department": "Tools", "manager": {"displayName": "Nobody"}});
    let made = s.scim.post("/Users", &with(body, ENTERPRISE, manager))?.expect(201)?;
    made.expect_unassigned("/groups")?
        .expect_at("/meta/resourceType", &json!("User"))?
        .expect_nowhere("1999-01-01")?
        .expect_nowhere("Nobody")?
        .expect_at(&format!("/{ENTERPRISE}"), &json!({"department": "Tools"}))?;
    made.expect_that(made.id()? != "mine", "the id that was sent was taken")?;
    s.scim.get(&team.path)?.expect(200)?.expect_unassigned("/members")?;
    Ok(())
}

fn c5(s: &Subject) -> Check {
    let made = s.scim.post("/Users", &user("ada@example.com"))?.expect(201)?;
    let read = s.scim.get(&format!("/Users/{}", made.id()?))?.expect(200)?;
    for answer in [&made, &read] {
        for (name, value) in answer.json.as_object().into_iter().flatten() {
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            answer.expect_that(!empty, &format!("`{name}` is shown although it is unassigned"))?;
        }
        for name in ["name", "emails", "title", "nickName", "externalId", ENTERPRISE] {
            answer.expect_absent(&format!("/{name}"))?;
        }
        // A default is a value like any other: filters see it.
        if let Some(active) = answer.json.get("active") {
            let filter = format!("userName eq \"ada@example.com\" and active eq {active}");
            s.scim.filter("/Users", &filter)?.expect(200)?.expect_ids(&[answer.id()?])?;
        }
    }
    let team = s.scim.post("/Groups", &json!({"displayName": "Team"}))?.expect(201)?;
    team.expect_unassigned("/members")?.expect_absent("/externalId")?;
    Ok(())
}

fn c6(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let before = s.scim.get(&ada.path)?.expect(200)?;
    for name in ["ada@example.com", "ADA@Example.Com"] {
        let body = with(user(name), "title", json!("Other"));
        let answer = s.scim.post("/Users", &body)?.expect_error(409, Some("uniqueness"))?;
        answer.expect_that(answer.header("location").is_none(), "a conflict has a location")?;
    }
    let after = s.scim.get(&ada.path)?.expect(200)?;
    after.expect_that(after.text == before.text, "a conflict changed the resource")?;
    let found = s.scim.filter("/Users", "userName eq \"ada@example.com\"")?.expect(200)?;
    found.expect_ids(&[&ada.id])?;
    Ok(())
}

fn c7(s: &Subject) -> Check {
    for (endpoint, name, body) in
        [("/Users", "User", user("ada@example.com")), ("/Groups", "Group", group("Team", &[]))]
    {
        for (number, said) in (1..).zip([json!("Device"), json!(7), json!(null)]) {
            let unique = format!("{number}@example.com");
            let body =
                with(with(body.clone(), "userName", json!(unique)), "displayName", json!("x"));
            let made =
                s.scim.create(endpoint, &with(body, "meta", json!({"resourceType": said})))?;
            let read = s.scim.get(&made.path)?.expect(200)?;
            read.expect_at("/meta/resourceType", &json!(name))?;
        }
    }
    Ok(())
}

/// Refused in every profile: what was sent, and the word.
fn refused_everywhere(s: &Subject) -> Check {
    let base = s.scim.get("/Users")?.total()?;
    for text in
        ["", "{", "{\"userName\": ", "no json", "{\"userName\": \"a\"} x", "[]", "null", "7"]
    {
        let answer = s.scim.send("POST", "/Users", &[], Some(text))?;
        answer.expect_error(400, Some("invalidSyntax"))?;
    }
    let latin1 = b"{\"userName\": \"zo\xe9@example.com\"}";
    s.scim
        .send_bytes("POST", "/Users", &[], Some(latin1))?
        .expect_error(400, Some("invalidSyntax"))?;
    for (name, value) in [
        ("userName", json!(5)),
        ("userName", json!({"value": "x"})),
        ("userName", json!(["x", "y"])),
        ("name", json!("Ada Lane")),
        ("name", json!({"givenName": {"x": 1}})),
        ("title", json!(true)),
        ("active", json!("perhaps")),
        ("active", json!(1)),
        ("emails", json!([{"value": 5}])),
        ("emails", json!([{"value": "x@example.com", "primary": "perhaps"}])),
        ("emails", json!([[{"value": "x@example.com"}]])),
        (ENTERPRISE, json!("text")),
        (ENTERPRISE, json!({"department": 5})),
    ] {
        let body = with(user("eve@example.com"), name, value);
        s.scim.post("/Users", &body)?.expect_error(400, Some("invalidValue"))?;
    }
    let nameless = json!({"schemas": [USER], "displayName": "Nobody"});
    s.scim.post("/Users", &nameless)?.expect_error(400, Some("invalidValue"))?;
    ensure(s.scim.get("/Users")?.total()? == base, || "a refused user was stored".into())?;
    s.scim.create_user("eve@example.com")?;
    Ok(())
}

/// What some clients send for what they mean.
fn loose() -> [(&'static str, Value, Value); 4] {
    let one = json!({"value": "x@example.com", "type": "work"});
    [
        ("active", json!("False"), json!(false)),
        ("active", json!("true"), json!(true)),
        ("emails", one.clone(), json!([one])),
        (
            "emails",
            json!([{"value": "x@example.com", "primary": "True"}]),
            json!([{
                "value": "x@example.com", "primary": true,
            }]),
        ),
    ]
}

fn c8(s: &Subject) -> Check {
    refused_everywhere(s)?;
    let base = s.scim.get("/Users")?.total()?;
    for (name, sent, _) in loose() {
        let body = with(user("cyd@example.com"), name, sent);
        s.scim.post("/Users", &body)?.expect_error(400, Some("invalidValue"))?;
    }
    let manager = json!({"manager": "directory_user_0"});
    let body = with(user("cyd@example.com"), ENTERPRISE, manager);
    s.scim.post("/Users", &body)?.expect_error(400, Some("invalidValue"))?;
    ensure(s.scim.get("/Users")?.total()? == base, || "a refused user was stored".into())
}

fn c8_default(s: &Subject) -> Check {
    refused_everywhere(s)?;
    for (number, (name, sent, meant)) in (1..).zip(loose()) {
        let body = with(user(&format!("u{number}@example.com")), name, sent);
        let made = s.scim.post("/Users", &body)?.expect(201)?;
        made.expect_at(&format!("/{name}"), &meant)?;
    }
    let boss = s.scim.create_user("boss@example.com")?;
    for (number, manager) in (1..).zip([json!(boss.id), json!([{"value": boss.id}])]) {
        let name = format!("of{number}@example.com");
        let body = with(user(&name), ENTERPRISE, json!({"manager": manager}));
        let made = s.scim.post("/Users", &body)?.expect(201)?;
        made.expect_at(&format!("/{ENTERPRISE}/manager/value"), &json!(boss.id))?;
    }
    Ok(())
}

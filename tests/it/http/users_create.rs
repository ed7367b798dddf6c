//! POST /Users (RFC 7644 §3.3).

use serde_json::json;

use super::{NOW, USER, assert_nothing_stored, create, plain_user};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, user};

on_both_databases![
    create_answers_201_with_location_version_and_meta,
    create_spells_and_orders_what_it_stores_as_the_schema_does,
    create_leaves_out_empty_values,
    create_passes_over_read_only_attributes,
    create_never_tells_a_password,
    create_keeps_unknown_attributes_for_the_app_only,
    create_makes_users_active_unless_told_otherwise,
    user_name_of_another_user_is_409_in_any_spelling,
    user_name_of_an_inactive_user_is_409,
    external_id_may_be_shared,
    keys_of_512_bytes_are_stored_and_found,
    one_create_is_one_event,
];

fn create_answers_201_with_location_version_and_meta(app: &TestApp) {
    let made = app.scim.post("/Users", user("ada@example.com")).expect(201);
    let id = made.id();
    let location = format!("{}/Users/{id}", app.directory.base_url);
    assert!(id.starts_with("directory_user_"), "{id}");
    assert_eq!(made.header("location"), Some(location.as_str()));
    assert_eq!(made.header("etag"), Some("W/\"1\""));
    assert_eq!(made.header("content-type"), Some("application/scim+json"));
    let expected = json!({
        "schemas": [USER],
        "id": id,
        "userName": "ada@example.com",
        "name": {"familyName": "Lane", "givenName": "Ada"},
        "active": true,
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
        "meta": {
            "resourceType": "User",
            "created": NOW,
            "lastModified": NOW,
            "version": "W/\"1\"",
            "location": location,
        },
    });
    assert_eq!(made.body, expected);
    let read = app.scim.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(read.body, expected);
    assert_eq!(read.header("etag"), Some("W/\"1\""));
}

fn create_spells_and_orders_what_it_stores_as_the_schema_does(app: &TestApp) {
    let made = app.scim.post(
        "/Users",
        json!({
            "EMAILS": [{"TYPE": "Work", "Value": "Ada@Example.com"}],
            "SCHEMAS": [USER.to_uppercase()],
            ENTERPRISE.to_uppercase(): {"DEPARTMENT": "R&D"},
            "username": "Ada",
        }),
    );
    let made = made.expect(201);
    let mut shown = made.body.clone();
    let shown = shown.as_object_mut().expect("an object");
    shown.shift_remove("meta");
    assert_eq!(
        serde_json::to_string(&shown).expect("JSON"),
        json!({
            "schemas": [USER, ENTERPRISE],
            "id": made.id(),
            "userName": "Ada",
            "active": true,
            "emails": [{"value": "Ada@Example.com", "type": "work"}],
            ENTERPRISE: {"department": "R&D"},
        })
        .to_string()
    );
}

fn create_leaves_out_empty_values(app: &TestApp) {
    let made = app.scim.post(
        "/Users",
        json!({
            "schemas": [USER, ENTERPRISE],
            "userName": "ada",
            "displayName": null,
            "name": {"givenName": null},
            "emails": [],
            "phoneNumbers": [{}, null],
            ENTERPRISE: {},
        }),
    );
    let made = made.expect(201);
    let names: Vec<&String> = made.body.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["schemas", "id", "userName", "active", "meta"]);
    assert_eq!(made.body["schemas"], json!([USER]));
}

fn create_passes_over_read_only_attributes(app: &TestApp) {
    let made = app.scim.post(
        "/Users",
        json!({
            "schemas": [USER],
            "id": "mine",
            "userName": "ada",
            "groups": [{"value": "admins"}],
            "meta": {"created": "1999-01-01T00:00:00Z", "version": "W/\"9\""},
        }),
    );
    let made = made.expect(201);
    assert_ne!(made.id(), "mine");
    assert_eq!(made.body["groups"], json!(null));
    assert_eq!(made.body["meta"]["created"], NOW);
    assert_eq!(made.body["meta"]["version"], "W/\"1\"");
    app.scim.get("/Users/mine").expect_scim_error(404, None);
}

fn create_never_tells_a_password(app: &TestApp) {
    let mut body = plain_user("ada");
    body["password"] = json!("secret-word");
    let made = app.scim.post("/Users", body).expect(201);
    let read = app.scim.get(&format!("/Users/{}?attributes=password", made.id())).expect(200);
    let events = format!("{:?}", app.events(&app.directory));
    for text in [&made.text, &read.text, &events] {
        assert!(!text.contains("secret-word"), "{text}");
    }
    app.scim.filter("/Users", "password pr").expect_scim_error(400, Some("invalidFilter"));
}

fn create_keeps_unknown_attributes_for_the_app_only(app: &TestApp) {
    let mut body = plain_user("ada");
    body["shoeSize"] = json!(38);
    body["urn:example:2.0:Extra"] = json!({"desk": "4a\u{0}"});
    let made = app.scim.post("/Users", body).expect(201);
    let read = app.scim.get(&format!("/Users/{}", made.id())).expect(200);
    assert_eq!(read.body, made.body);
    assert!(!read.text.contains("shoeSize") && !read.text.contains("urn:example"), "{}", read.text);
    let (name, data) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(name, "dsync.user.created");
    assert_eq!(data["raw_attributes"]["shoeSize"], 38);
    assert_eq!(data["raw_attributes"]["urn:example:2.0:Extra"]["desk"], "4a\u{0}");
}

fn create_makes_users_active_unless_told_otherwise(app: &TestApp) {
    for (name, sent, active) in
        [("a", json!(null), true), ("b", json!(true), true), ("c", json!(false), false)]
    {
        let mut body = plain_user(name);
        body["active"] = sent;
        let made = app.scim.post("/Users", body).expect(201);
        assert_eq!(made.body["active"], active, "{name}");
    }
    assert_eq!(app.scim.filter("/Users", "active eq true").total(), 2);
    assert_eq!(app.scim.filter("/Users", "active eq false").total(), 1);
}

fn user_name_of_another_user_is_409_in_any_spelling(app: &TestApp) {
    create(&app.scim, "/Users", plain_user("José.Élan@example.com"));
    for name in [
        "José.Élan@example.com",
        "JOSÉ.ÉLAN@EXAMPLE.COM",
        "jose\u{301}.e\u{301}lan@example.com",
        " josé.élan@example.com ",
        "ｊosé.élan@example.com",
    ] {
        let answer = app.scim.post("/Users", plain_user(name));
        let detail = answer.expect_scim_error(409, Some("uniqueness"));
        assert!(detail.contains("\"userName\""), "{detail}");
    }
    create(&app.scim, "/Users", plain_user("jose.elan@example.com"));
    assert_eq!(app.scim.get("/Users").total(), 2);
    assert_eq!(app.event_names(&app.directory).len(), 2);
}

fn user_name_of_an_inactive_user_is_409(app: &TestApp) {
    let mut body = plain_user("ada");
    body["active"] = json!(false);
    let id = create(&app.scim, "/Users", body.clone());
    app.scim.post("/Users", plain_user("ADA")).expect_scim_error(409, Some("uniqueness"));
    app.scim.post("/Users", body).expect_scim_error(409, Some("uniqueness"));
    let kept = app.scim.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(kept.body["active"], false);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn external_id_may_be_shared(app: &TestApp) {
    for name in ["a", "b"] {
        let mut body = plain_user(name);
        body["externalId"] = json!("E-1");
        create(&app.scim, "/Users", body);
    }
    assert_eq!(app.scim.filter("/Users", "externalId eq \"E-1\"").total(), 2);
    assert_eq!(app.scim.filter("/Users", "externalId eq \"e-1\"").total(), 0);
}

fn keys_of_512_bytes_are_stored_and_found(app: &TestApp) {
    // 511 bytes of letters and one that takes two bytes would be 513; 510 and one are 512.
    let longest = format!("{}é", "a".repeat(510));
    let body = json!({
        "schemas": [USER], "userName": longest, "externalId": longest, "displayName": longest,
    });
    let id = create(&app.scim, "/Users", body);
    for attribute in ["userName", "externalId", "displayName"] {
        let found = app.scim.filter("/Users", &format!("{attribute} eq \"{longest}\""));
        assert_eq!(found.expect(200).ids(), [id.as_str()], "{attribute}");
    }
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    app.scim
        .post("/Users", plain_user(&format!("a{longest}")))
        .expect_scim_error(400, Some("invalidValue"));
    assert_eq!(app.scim.get("/Users").total(), 0);
}

fn one_create_is_one_event(app: &TestApp) {
    assert_nothing_stored(app);
    let id = create(&app.scim, "/Users", user("ada@example.com"));
    let mut events = app.events(&app.directory);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
    let (_, data) = events.pop().expect("an event");
    assert_eq!(data["id"], id.as_str());
    assert_eq!(data["directory_id"], app.directory.id.as_str());
    assert_eq!(data["organization_id"], app.directory.organization_id.as_str());
    assert_eq!(data["email"], "ada@example.com");
    assert_eq!(data["first_name"], "Ada");
    assert_eq!(data["state"], "active");
    assert_eq!(data["created_at"], NOW);
}

//! What differs between profiles, and how an operator overrides single flags.

use serde_json::{Value, json};

use super::{USER, api_error, assert_nothing_stored, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Answer, Client, ENTERPRISE, TestApp, group, patch};

on_both_databases![
    rfc_profile_refuses_what_the_default_profile_rewrites,
    rfc_profile_refuses_what_the_default_profile_passes_over,
    rfc_profile_refuses_patches_that_the_default_profile_completes,
    group_names_are_unique_for_entra_and_okta_only,
    entra_answers_a_group_patch_with_204,
    entra_reads_unquoted_and_doubly_encoded_filter_values,
    entra_reads_roles_written_as_json_text,
    entra_takes_the_user_name_as_address,
    override_of_a_flag_counts_from_the_next_request,
    unknown_flag_is_refused_with_those_that_are_allowed,
    wrong_value_of_a_flag_is_refused_with_those_that_are_allowed,
    settings_that_are_no_object_are_refused,
];

fn rfc(app: &TestApp) -> Client {
    app.directory("scim.rfc").1
}

/// The default profile stores the body so that the pointer shows the value; the RFC's refuses it.
fn rfc_profile_refuses_what_the_default_profile_rewrites(app: &TestApp) {
    let rfc = rfc(app);
    let manager = format!("/{ENTERPRISE}/manager");
    for (index, (sent, pointer, stored)) in [
        (json!({"active": "False"}), "/active", json!(false)),
        (json!({"active": "true"}), "/active", json!(true)),
        (json!({"emails": {"value": "a@x.org"}}), "/emails", json!([{"value": "a@x.org"}])),
        (json!({"emails": ["a@x.org"]}), "/emails", json!([{"value": "a@x.org"}])),
        (json!({ENTERPRISE: {"manager": "boss"}}), manager.as_str(), json!({"value": "boss"})),
        (
            json!({"emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}),
            "/emails",
            json!([{"value": "a", "primary": true}, {"value": "b", "primary": false}]),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = json!({"schemas": [USER, ENTERPRISE], "userName": format!("user{index}")});
        body.as_object_mut().expect("an object").extend(sent.as_object().expect("one").clone());
        let made = app.scim.post("/Users", body.clone()).expect(201);
        assert_eq!(made.body.pointer(pointer), Some(&stored), "{sent}");
        rfc.post("/Users", body).expect_scim_error(400, Some("invalidValue"));
    }
    assert_eq!(rfc.get("/Users").total(), 0);
}

fn rfc_profile_refuses_what_the_default_profile_passes_over(app: &TestApp) {
    let rfc = rfc(app);
    let extra = json!({"schemas": [USER, "urn:example:2.0:Extra"], "userName": "ada"});
    let made = app.scim.post("/Users", extra.clone()).expect(201);
    assert_eq!(made.body["schemas"], json!([USER]));
    let detail = rfc.post("/Users", extra).expect_scim_error(400, Some("invalidValue"));
    for named in ["urn:example:2.0:Extra", USER, ENTERPRISE] {
        assert!(detail.contains(named), "{detail}");
    }
    let answer = rfc.get("/Users?sortBy=shoeSize");
    let detail = answer.expect_scim_error(400, Some("invalidValue"));
    assert!(detail.contains("\"sortBy\"") && detail.contains("shoeSize"), "{detail}");
    app.scim.get("/Users?sortBy=shoeSize").expect(200);
}

fn rfc_profile_refuses_patches_that_the_default_profile_completes(app: &TestApp) {
    let rfc = rfc(app);
    let unmatched = json!({"op": "replace", "path": "emails[type eq \"work\"].value",
        "value": "a@x.org"});
    let unknown = json!({"op": "add", "path": "shoeSize", "value": 38});
    let title = json!({"op": "add", "path": "title", "value": "Dr"});
    let without_schemas = json!({"Operations": [title]});
    for (body, scim_type) in [
        (patch(json!([unmatched])), "noTarget"),
        (patch(json!([unknown])), "invalidPath"),
        (without_schemas, "invalidSyntax"),
    ] {
        let lenient = create(&app.scim, "/Users", plain_user("ada"));
        app.scim.patch(&format!("/Users/{lenient}"), body.clone()).expect(200);
        app.scim.delete(&format!("/Users/{lenient}")).expect(204);
        let made = rfc.post("/Users", plain_user("ada")).expect(201);
        let path = format!("/Users/{}", made.id());
        rfc.patch(&path, body).expect_scim_error(400, Some(scim_type));
        assert_eq!(rfc.get(&path).expect(200).body, made.body);
        rfc.delete(&path).expect(204);
    }
    // An add may make the element: that is the RFC's own rule.
    let path = format!("/Users/{}", create(&rfc, "/Users", plain_user("ada")));
    let add = json!({"op": "add", "path": "emails", "value": [{"value": "a@x.org"}]});
    rfc.patch(&path, patch(json!([add]))).expect(200);
}

fn group_names_are_unique_for_entra_and_okta_only(app: &TestApp) {
    for kind in ["scim.generic", "scim.rfc"] {
        let (_, client) = app.directory(kind);
        create(&client, "/Groups", group("Staff", &[]));
        create(&client, "/Groups", group("Staff", &[]));
    }
    for kind in ["scim.entra", "scim.okta"] {
        let (directory, client) = app.directory(kind);
        let first = create(&client, "/Groups", group("Staff", &[]));
        let second = create(&client, "/Groups", group("Guests", &[]));
        let path = format!("/Groups/{second}");
        let rename = json!([{"op": "replace", "path": "displayName", "value": "Staff"}]);
        for answer in [
            client.post("/Groups", group("STAFF", &[])),
            client.put(&path, group("staff", &[])),
            client.patch(&path, patch(rename)),
        ] {
            let detail = answer.expect_scim_error(409, Some("uniqueness"));
            assert!(detail.contains("\"displayName\""), "{detail}");
        }
        assert_eq!(client.get(&path).expect(200).body["displayName"], "Guests");
        assert_eq!(app.event_names(&directory).len(), 2, "{kind}");
        // Its own name in another spelling is free, and so is a name that was given up.
        client.put(&format!("/Groups/{first}"), group("STAFF", &[])).expect(200);
        client.put(&format!("/Groups/{first}"), group("Crew", &[])).expect(200);
        client.put(&path, group("Staff", &[])).expect(200);
        client.delete(&path).expect(204);
        create(&client, "/Groups", group("Staff", &[]));
    }
}

fn entra_answers_a_group_patch_with_204(app: &TestApp) {
    let rename = || patch(json!([{"op": "replace", "path": "displayName", "value": "Crew"}]));
    let (_, entra) = app.directory("scim.entra");
    let path = format!("/Groups/{}", create(&entra, "/Groups", group("Staff", &[])));
    let answer = entra.patch(&path, rename()).expect(204);
    assert_eq!(answer.text, "");
    assert_eq!(answer.header("etag"), Some("W/\"2\""));
    let shown = entra.patch(&format!("{path}?attributes=displayName"), rename()).expect(200);
    assert_eq!(shown.body["displayName"], "Crew");
    let user = format!("/Users/{}", create(&entra, "/Users", plain_user("ada")));
    let title = json!([{"op": "add", "path": "title", "value": "Dr"}]);
    assert_eq!(entra.patch(&user, patch(title)).expect(200).body["title"], "Dr");

    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("Staff", &[])));
    assert_eq!(app.scim.patch(&path, rename()).expect(200).body["displayName"], "Crew");
}

fn entra_reads_unquoted_and_doubly_encoded_filter_values(app: &TestApp) {
    let (_, entra) = app.directory("scim.entra");
    for client in [&entra, &app.scim] {
        let mut body = plain_user("ada lane@example.com");
        body["externalId"] = json!("jyoung");
        create(client, "/Users", body);
    }
    let unquoted = "externalId eq jyoung";
    let encoded = "userName eq \"ada%20lane%40example.com\"";
    for filter in [unquoted, encoded] {
        assert_eq!(texts(&entra.filter("/Users", filter), "externalId"), ["jyoung"], "{filter}");
    }
    app.scim.filter("/Users", unquoted).expect_scim_error(400, Some("invalidFilter"));
    assert_eq!(app.scim.filter("/Users", encoded).total(), 0);
}

fn entra_reads_roles_written_as_json_text(app: &TestApp) {
    let (_, entra) = app.directory("scim.entra");
    let text = json!({"value": "r1", "displayName": "Admin"}).to_string();
    let roles = |client: &Client| {
        let path = format!("/Users/{}", create(client, "/Users", plain_user("ada")));
        let operations = json!([{"op": "add", "path": "roles", "value": [{"value": text}]}]);
        client.patch(&path, patch(operations)).expect(200).body["roles"].clone()
    };
    assert_eq!(roles(&entra), json!([{"value": "r1", "display": "Admin"}]));
    assert_eq!(roles(&app.scim), json!([{"value": text}]));
}

fn entra_takes_the_user_name_as_address(app: &TestApp) {
    let email = |directory: &_, client: &Client| {
        create(client, "/Users", plain_user("ada@example.com"));
        app.events(directory).pop().expect("an event").1["email"].clone()
    };
    let (directory, entra) = app.directory("scim.entra");
    assert_eq!(email(&directory, &entra), "ada@example.com");
    assert_eq!(email(&app.directory, &app.scim), json!(null));
}

fn set_settings(app: &TestApp, settings: Value) -> Answer {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&path, json!({"settings": settings}))
}

fn override_of_a_flag_counts_from_the_next_request(app: &TestApp) {
    let mut body = plain_user("ada");
    body["active"] = json!("False");
    create(&app.scim, "/Users", body.clone());
    let settings = json!({"profile": {"boolean_text": false, "negative_count": "max"}});
    let answer = set_settings(app, settings.clone()).expect(200);
    assert_eq!(answer.body["settings"], settings);
    body["userName"] = json!("ben");
    let answer = app.scim.post("/Users", body.clone());
    answer.expect_scim_error(400, Some("invalidValue"));
    assert_eq!(app.scim.get("/Users?count=-1").expect(200).ids().len(), 1);
    // A change of something else keeps the settings; empty settings take the overrides away.
    let path = format!("/api/v1/directories/{}", app.directory.id);
    let renamed = app.api.patch(&path, json!({"name": "Renamed"})).expect(200);
    assert_eq!(renamed.body["settings"], settings);
    set_settings(app, json!({})).expect(200);
    create(&app.scim, "/Users", body);
    // A profile's own flag can be overridden when the directory is made.
    let organization = app.directory.organization_id.as_str();
    let made = app.api.post(
        "/api/v1/directories",
        json!({"organization_id": organization, "name": "Entra", "kind": "scim.entra",
            "settings": {"profile": {"group_patch_reply": "resource"}}}),
    );
    let made = made.expect(201);
    let base = made.body["scim"]["base_url"].as_str().expect("a URL").to_owned();
    let secret = made.body["token"]["secret"].as_str();
    let mut client = app.scim.with_bearer(secret);
    client.base = base;
    let path = format!("/Groups/{}", create(&client, "/Groups", group("Staff", &[])));
    let rename = json!([{"op": "replace", "path": "displayName", "value": "Crew"}]);
    client.patch(&path, patch(rename)).expect(200);
}

/// The refusal's field and message.
#[track_caller]
fn refusal(answer: &Answer) -> (String, String) {
    api_error(answer, 422, "invalid_request_parameters");
    let [error] = answer.body["errors"].as_array().expect("a list").as_slice() else {
        panic!("one error in {}", answer.text)
    };
    let text = |member: &str| error[member].as_str().expect("text").to_owned();
    (text("field"), text("message"))
}

fn unknown_flag_is_refused_with_those_that_are_allowed(app: &TestApp) {
    let answer = set_settings(app, json!({"profile": {"boolean_txt": false}}));
    let (field, message) = refusal(&answer);
    assert_eq!(field, "settings.profile.boolean_txt");
    for word in ["boolean_txt", "boolean_text", "unmatched_replace", "group_patch_reply"] {
        assert!(message.contains(word), "{message}");
    }
    let (field, message) = refusal(&set_settings(app, json!({"profil": {}})));
    assert_eq!(field, "settings.profil");
    assert!(message.contains("`profil`") && message.contains("`profile`"), "{message}");
    let organization = app.directory.organization_id.as_str();
    let answer = app.api.post(
        "/api/v1/directories",
        json!({"organization_id": organization, "name": "D", "kind": "scim.okta",
            "settings": {"profile": {"nonsense": 1}}}),
    );
    assert!(refusal(&answer).1.contains("boolean_text"), "{}", answer.text);
    let path = format!("/api/v1/directories/{}", app.directory.id);
    assert_eq!(app.api.get(&path).expect(200).body["settings"], json!({}));
    assert_nothing_stored(app);
}

fn wrong_value_of_a_flag_is_refused_with_those_that_are_allowed(app: &TestApp) {
    for (flag, value, allowed) in [
        ("unmatched_replace", json!("perhaps"), vec!["perhaps", "create", "refuse"]),
        ("group_patch_reply", json!("silence"), vec!["silence", "resource", "no_content"]),
        ("boolean_text", json!("yes"), vec!["yes", "true", "false"]),
        ("boolean_text", json!(null), vec!["null", "true", "false"]),
        ("negative_count", json!(7), vec!["7", "zero", "max"]),
        ("bulk", json!({"supported": false}), vec!["an object", "true", "false"]),
    ] {
        let (field, message) = refusal(&set_settings(app, json!({"profile": {flag: value}})));
        assert_eq!(field, format!("settings.profile.{flag}"));
        for word in allowed {
            assert!(message.contains(word), "no {word} in {message}");
        }
    }
    let path = format!("/api/v1/directories/{}", app.directory.id);
    assert_eq!(app.api.get(&path).expect(200).body["settings"], json!({}));
}

fn settings_that_are_no_object_are_refused(app: &TestApp) {
    for settings in [json!([]), json!("x"), json!(7), json!([{"boolean_text": false}])] {
        let (field, _) = refusal(&set_settings(app, settings.clone()));
        assert_eq!(field, "settings", "{settings}");
    }
    for profile in [json!([]), json!("rfc"), json!(null)] {
        let (field, _) = refusal(&set_settings(app, json!({"profile": profile})));
        assert!(field.starts_with("settings"), "{profile}");
    }
    let path = format!("/api/v1/directories/{}", app.directory.id);
    assert_eq!(app.api.get(&path).expect(200).body["settings"], json!({}));
}

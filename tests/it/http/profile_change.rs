//! `/api/v1/directories/{id}/profile`: what counts, where it comes from, and overrides.

use serde_json::{Value, json};

use super::{api_error, create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, TestApp, user};

on_both_databases![
    get_shows_each_flag_with_its_origin,
    put_sets_the_overrides_as_a_whole,
    overrides_are_those_of_the_settings,
    patch_changes_single_overrides,
    override_counts_from_the_next_request,
    unknown_flag_is_refused_with_the_known_ones,
    wrong_values_are_refused_with_the_allowed_ones,
    body_that_is_no_change_is_refused,
    stored_override_that_is_not_understood_can_be_taken_away,
    profile_of_an_unknown_or_foreign_directory_is_404,
    address_of_users_is_switched_only_while_there_are_none,
    other_methods_are_405,
];

fn path(id: &str) -> String {
    format!("/api/v1/directories/{id}/profile")
}

fn put(app: &TestApp, overrides: Value) -> Answer {
    app.api.put(&path(&app.directory.id), json!({"overrides": overrides}))
}

fn change(app: &TestApp, overrides: Value) -> Answer {
    app.api.patch(&path(&app.directory.id), json!({"overrides": overrides}))
}

/// (value, from) of a flag.
fn flag(answer: &Answer, name: &str) -> (Value, String) {
    let flag = &answer.body["flags"][name];
    (flag["value"].clone(), flag["from"].as_str().expect("an origin").to_owned())
}

fn get_shows_each_flag_with_its_origin(app: &TestApp) {
    let (directory, _) = app.directory("scim.authentik");
    let put = app.api.put(
        &path(&directory.id),
        json!({"overrides": {"unquoted_filter_values": false, "user_patch_reply": "no_content"}}),
    );
    let put = put.expect(200);
    let shown = app.api.get(&path(&directory.id)).expect(200);
    assert_eq!(shown.body, put.body);
    assert_eq!(shown.body["provider"], "authentik");
    assert_eq!(
        shown.body["overrides"],
        json!({"unquoted_filter_values": false, "user_patch_reply": "no_content"})
    );
    let flags = shown.body["flags"].as_object().expect("flags");
    for (name, expected) in [
        (
            "unquoted_filter_values",
            json!({"value": false, "from": "override", "default": false, "provider": true}),
        ),
        ("bulk", json!({"value": false, "from": "provider", "default": true, "provider": false})),
        ("boolean_text", json!({"value": true, "from": "default", "default": true})),
        (
            "user_patch_reply",
            json!({"value": "no_content", "from": "override", "default": "resource"}),
        ),
    ] {
        let mut found = flags[name].as_object().expect("a flag").clone();
        let description = found.shift_remove("description").expect("a description");
        let description = description.as_str().expect("text");
        assert!(description.ends_with('.') && !description.contains('\n'), "{description}");
        assert_eq!(Value::Object(found), expected, "{name}");
    }
    assert!(flags.len() > 25);
    let first: Vec<&str> = flags.keys().take(2).map(String::as_str).collect();
    assert_eq!(first, ["boolean_text", "complex_from_scalar"], "in the order of the file");
    assert_eq!(
        flags["user_patch_reply"]["description"],
        "A PATCH of a user answers 200 with the resource, or 204 (\"no_content\"). With \
         `attributes` in the request it is always 200."
    );
}

fn put_sets_the_overrides_as_a_whole(app: &TestApp) {
    let first = put(app, json!({"boolean_text": false, "bulk": false})).expect(200);
    assert_eq!(flag(&first, "boolean_text"), (json!(false), "override".into()));
    let second = put(app, json!({"bulk": true})).expect(200);
    assert_eq!(second.body["overrides"], json!({"bulk": true}));
    assert_eq!(flag(&second, "boolean_text"), (json!(true), "default".into()));
    // An override that says what would count anyway is one all the same.
    assert_eq!(flag(&second, "bulk"), (json!(true), "override".into()));
    let cleared = put(app, json!({})).expect(200);
    assert_eq!(cleared.body["overrides"], json!({}));
    assert_eq!(flag(&cleared, "bulk"), (json!(true), "default".into()));
}

fn overrides_are_those_of_the_settings(app: &TestApp) {
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    let settings = || app.api.get(&directory).expect(200).body["settings"].clone();
    put(app, json!({"bulk": false})).expect(200);
    assert_eq!(settings(), json!({"profile": {"bulk": false}}));
    let body = json!({"settings": {"profile": {"negative_count": "max"}}});
    app.api.patch(&directory, body).expect(200);
    let shown = app.api.get(&path(&app.directory.id)).expect(200);
    assert_eq!(shown.body["overrides"], json!({"negative_count": "max"}));
    assert_eq!(flag(&shown, "negative_count"), (json!("max"), "override".into()));
    put(app, json!({})).expect(200);
    assert_eq!(settings(), json!({}));
}

fn patch_changes_single_overrides(app: &TestApp) {
    put(app, json!({"bulk": false, "boolean_text": false})).expect(200);
    let changed = change(app, json!({"bulk": null, "negative_count": "max"})).expect(200);
    let expected = json!({"boolean_text": false, "negative_count": "max"});
    assert_eq!(changed.body["overrides"], expected);
    // Taking away what is not there changes nothing.
    let same = change(app, json!({"patch": null})).expect(200);
    assert_eq!(same.body["overrides"], expected);
    assert_eq!(change(app, json!({})).expect(200).body["overrides"], expected);
    let answer = change(app, json!({"no_such_flag": null}));
    assert_eq!(answer.expect(422).body["errors"][0]["field"], "overrides.no_such_flag");
}

fn override_counts_from_the_next_request(app: &TestApp) {
    let mut body = plain_user("ada");
    body["active"] = json!("False");
    create(&app.scim, "/Users", body.clone());
    put(app, json!({"boolean_text": false})).expect(200);
    body["userName"] = json!("ben");
    app.scim.post("/Users", body.clone()).expect_scim_error(400, Some("invalidValue"));
    change(app, json!({"boolean_text": null})).expect(200);
    create(&app.scim, "/Users", body);
}

fn unknown_flag_is_refused_with_the_known_ones(app: &TestApp) {
    put(app, json!({"bulk": false})).expect(200);
    for answer in [
        put(app, json!({"boolean_txt": true, "negative_count": "max"})),
        change(app, json!({"boolean_txt": true, "negative_count": "max"})),
    ] {
        api_error(&answer, 422, "invalid_request_parameters");
        assert_eq!(answer.body["errors"].as_array().expect("a list").len(), 1, "{}", answer.text);
        assert_eq!(answer.body["errors"][0]["field"], "overrides.boolean_txt");
        let message = answer.body["errors"][0]["message"].as_str().expect("text");
        let flags = app.api.get(&path(&app.directory.id)).expect(200).body["flags"].clone();
        for name in flags.as_object().expect("flags").keys() {
            assert!(message.contains(name.as_str()), "no {name} in {message}");
        }
    }
    let shown = app.api.get(&path(&app.directory.id)).expect(200);
    assert_eq!(shown.body["overrides"], json!({"bulk": false}), "nothing was changed");
}

fn wrong_values_are_refused_with_the_allowed_ones(app: &TestApp) {
    for (value, message) in [
        (
            json!({"bulk": "no"}),
            "it is the string \"no\"; allowed are the booleans true and false.",
        ),
        (json!({"bulk": null}), "it is null; allowed are the booleans true and false."),
        (
            json!({"unmatched_replace": "perhaps"}),
            "it is the string \"perhaps\"; allowed are \"create\" and \"refuse\".",
        ),
        (
            json!({"group_patch_reply": 204}),
            "it is the number 204; allowed are \"resource\" and \"no_content\".",
        ),
        (json!({"negative_count": {}}), "it is an object; allowed are \"zero\" and \"max\"."),
    ] {
        let name = value.as_object().and_then(|o| o.keys().next()).expect("a flag").clone();
        let answer = put(app, value.clone());
        api_error(&answer, 422, "invalid_request_parameters");
        let field = format!("overrides.{name}");
        let expected = json!([{"field": field, "code": "invalid", "message": message}]);
        assert_eq!(answer.body["errors"], expected);
    }
    // Each fault is told.
    let both = put(app, json!({"bulk": 1, "patch": 2, "boolean_text": false}));
    let fields: Vec<&str> = both.body["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|error| error["field"].as_str())
        .collect();
    assert_eq!(fields, ["overrides.bulk", "overrides.patch"]);
    let shown = app.api.get(&path(&app.directory.id)).expect(200);
    assert_eq!(shown.body["overrides"], json!({}), "nothing was changed");
}

fn body_that_is_no_change_is_refused(app: &TestApp) {
    let path = path(&app.directory.id);
    for (body, field) in [
        (json!({"override": {}}), Some("override")),
        (json!({"overrides": []}), Some("overrides")),
        (json!({"overrides": null}), Some("overrides")),
        (json!({"overrides": {}, "provider": "okta"}), Some("provider")),
        (json!({}), None),
    ] {
        for answer in [app.api.put(&path, body.clone()), app.api.patch(&path, body.clone())] {
            let message = api_error(&answer, 422, "invalid_request_parameters");
            assert_eq!(answer.body["errors"][0]["field"].as_str(), field, "{message}");
        }
    }
    app.api.send("PUT", &path, &[], Some("[]".into())).expect(400);
}

fn stored_override_that_is_not_understood_can_be_taken_away(app: &TestApp) {
    let id = app.directory.id.clone();
    app.wait(async {
        let stored: Result<(), rollbook::store::StoreError> = app
            .service()
            .store
            .write("an older version", move |tx| {
                let row = tx.directory_get(&id)?.expect("the directory");
                let settings = r#"{"profile": {"gone_flag": 7, "boolean_text": false}}"#;
                tx.directory_update(row.key, &row.name, &row.state, settings, "{}", row.modified)
            })
            .await;
        stored.expect("stored");
    });
    // The one that is understood counts.
    let mut body = plain_user("ada");
    body["active"] = json!("False");
    app.scim.post("/Users", body).expect_scim_error(400, Some("invalidValue"));
    let shown = app.api.get(&path(&app.directory.id)).expect(200);
    assert_eq!(shown.body["overrides"], json!({"gone_flag": 7, "boolean_text": false}));
    assert_eq!(flag(&shown, "boolean_text"), (json!(false), "override".into()));
    assert_eq!(shown.body["flags"]["gone_flag"], json!(null));
    let changed = change(app, json!({"gone_flag": null})).expect(200);
    assert_eq!(changed.body["overrides"], json!({"boolean_text": false}));
}

fn profile_of_an_unknown_or_foreign_directory_is_404(app: &TestApp) {
    let (other, _) = app.directory("scim.okta");
    let key = app.api.post(
        "/api/v1/api_keys",
        json!({"name": "Limited", "scopes": ["manage"],
            "organization_ids": [other.organization_id]}),
    );
    let limited = app.api.with_bearer(key.expect(201).body["secret"].as_str());
    for (client, id) in [(&app.api, "directory_nope"), (&limited, app.directory.id.as_str())] {
        let body = json!({"overrides": {"bulk": false}});
        for answer in [
            client.get(&path(id)),
            client.put(&path(id), body.clone()),
            client.patch(&path(id), body.clone()),
        ] {
            api_error(&answer, 404, "entity_not_found");
        }
    }
    limited.get(&path(&other.id)).expect(200);
    app.api.delete(&format!("/api/v1/directories/{}", other.id)).expect(202);
    let answer = app.api.put(&path(&other.id), json!({"overrides": {}}));
    assert_eq!(answer.status, 404, "{}", answer.text);
    assert_eq!(
        app.api.get(&path(&app.directory.id)).expect(200).body["overrides"],
        json!({}),
        "nothing was changed"
    );
}

fn other_methods_are_405(app: &TestApp) {
    let path = path(&app.directory.id);
    for method in ["POST", "DELETE"] {
        let answer = app.api.send(method, &path, &[], None).expect(405);
        assert_eq!(answer.header("allow"), Some("GET, PUT, PATCH"));
    }
    let reader = app.api.post("/api/v1/api_keys", json!({"name": "R", "scopes": ["read"]}));
    let reader = app.api.with_bearer(reader.expect(201).body["secret"].as_str());
    api_error(&reader.get(&path), 403, "forbidden");
}

/// No event could tell the app of the new address of every user.
fn address_of_users_is_switched_only_while_there_are_none(app: &TestApp) {
    let path = path(&app.directory.id);
    let switch =
        |value: bool| app.api.patch(&path, json!({"overrides": {"email_from_user_name": value}}));
    switch(true).expect(200);
    let id = app.scim.post("/Users", user("a@example.com")).expect(201).id();
    let message = api_error(&switch(false), 409, "directory_has_users");
    assert!(message.contains("email_from_user_name"), "{message}");
    let settings = json!({"settings": {"profile": {"email_from_user_name": false}}});
    let answer = app.api.patch(&format!("/api/v1/directories/{}", app.directory.id), settings);
    api_error(&answer, 409, "directory_has_users");
    switch(true).expect(200);
    app.api.patch(&path, json!({"overrides": {"bulk": false}})).expect(200);
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    switch(false).expect(200);
}

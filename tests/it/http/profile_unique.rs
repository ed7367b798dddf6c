//! What a profile wants to be unique, and the switch of such a rule over stored data.

use serde_json::{Value, json};

use super::own_schemas::execute;
use super::{api_error, create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, TestApp, group, patch};

on_both_databases![
    external_id_is_unique_where_the_profile_says_so,
    external_id_is_unique_in_a_bulk_request,
    rule_is_not_switched_on_over_duplicates,
    rule_that_was_off_for_a_while_knows_what_came_meanwhile,
    request_that_was_let_in_before_the_switch_is_refused,
    rule_is_not_switched_on_while_schemas_change,
];

fn put(app: &TestApp, overrides: Value) -> Answer {
    let path = format!("/api/v1/directories/{}/profile", app.directory.id);
    app.api.put(&path, json!({"overrides": overrides}))
}

fn switch_on(app: &TestApp) -> Answer {
    put(app, json!({"external_id_unique": true}))
}

fn user(name: &str, external_id: &str) -> Value {
    let mut body = plain_user(name);
    body["externalId"] = json!(external_id);
    body
}

#[track_caller]
fn assert_taken(answer: Answer) {
    let detail = answer.expect_scim_error(409, Some("uniqueness"));
    assert!(detail.contains("\"externalId\""), "{detail}");
}

fn external_id_is_unique_where_the_profile_says_so(app: &TestApp) {
    switch_on(app).expect(200);
    let ada = format!("/Users/{}", create(&app.scim, "/Users", user("ada", "e1")));
    let ben = format!("/Users/{}", create(&app.scim, "/Users", user("ben", "e2")));
    assert_taken(app.scim.post("/Users", user("cleo", "e1")));
    assert_taken(app.scim.put(&ben, user("ben", "e1")));
    let replace = |value: &str| {
        patch(json!([{"op": "replace", "path": "externalId", "value": value},
            {"op": "replace", "path": "title", "value": "Dr"}]))
    };
    assert_taken(app.scim.patch(&ben, replace("e1")));
    let stored = app.scim.get(&ben).expect(200).body;
    assert_eq!((&stored["externalId"], &stored["title"]), (&json!("e2"), &json!(null)));
    assert_eq!(app.scim.get("/Users").total(), 2);
    assert_eq!(app.event_names(&app.directory).len(), 2);
    // It is compared with case; its own value is free; another type has its own; nothing is no value.
    app.scim.put(&ben, user("ben", "E1")).expect(200);
    app.scim.patch(&ada, replace("e1")).expect(200);
    let mut staff = group("Staff", &[]);
    staff["externalId"] = json!("e1");
    create(&app.scim, "/Groups", staff.clone());
    staff["displayName"] = json!("Crew");
    assert_taken(app.scim.post("/Groups", staff));
    for name in ["without1", "without2"] {
        create(&app.scim, "/Users", plain_user(name));
        create(&app.scim, "/Users", user(&format!("empty{name}"), ""));
    }
    // A value that was given up or whose resource is gone is free.
    app.scim.patch(&ada, replace("e9")).expect(200);
    app.scim.put(&ben, user("ben", "e1")).expect(200);
    app.scim.delete(&ben).expect(204);
    create(&app.scim, "/Users", user("dora", "e1"));
    // Another directory has its own values.
    let (_, other) = app.directory("scim.generic");
    create(&other, "/Users", user("ada", "e1"));
}

fn external_id_is_unique_in_a_bulk_request(app: &TestApp) {
    switch_on(app).expect(200);
    let operation = |name: &str| json!({"method": "POST", "path": "/Users", "bulkId": name, "data": user(name, "e1")});
    let answer = app.scim.post(
        "/Bulk",
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [operation("ada"), operation("ben")]}),
    );
    let answer = answer.expect(200);
    let status = |index: usize| answer.body["Operations"][index]["status"].clone();
    assert_eq!((status(0), status(1)), (json!("201"), json!("409")), "{}", answer.text);
    assert_eq!(app.scim.get("/Users").total(), 1);
}

fn rule_is_not_switched_on_over_duplicates(app: &TestApp) {
    let second = create(&app.scim, "/Users", user("ada", "same"));
    create(&app.scim, "/Users", user("ben", "same"));
    create(&app.scim, "/Users", user("cleo", "other"));
    let mut staff = group("Staff", &[]);
    staff["externalId"] = json!("same");
    create(&app.scim, "/Groups", staff.clone());
    staff["externalId"] = json!("g1");
    create(&app.scim, "/Groups", staff);
    let message = api_error(&switch_on(app), 409, "duplicate_external_ids");
    assert_eq!(
        message,
        "Several resources of one type have the same externalId, so it cannot be made unique: \
         User same."
    );
    let names = json!({"group_display_name_unique": true, "external_id_unique": true});
    let settings = json!({"settings": {"profile": names.clone()}});
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    for answer in [put(app, names), app.api.patch(&directory, settings)] {
        let message = api_error(&answer, 409, "duplicate_group_names");
        assert!(message.ends_with(": staff."), "{message}");
    }
    assert_eq!(app.api.get(&directory).expect(200).body["settings"], json!({}));
    // Nothing is claimed by a switch that was refused.
    create(&app.scim, "/Users", user("dora", "other"));
    app.scim.delete(&format!("/Users/{second}")).expect(204);
    let message = api_error(&switch_on(app), 409, "duplicate_external_ids");
    assert!(message.ends_with(": User other."), "{message}");
}

fn rule_that_was_off_for_a_while_knows_what_came_meanwhile(app: &TestApp) {
    switch_on(app).expect(200);
    let ada = format!("/Users/{}", create(&app.scim, "/Users", user("ada", "e1")));
    put(app, json!({})).expect(200);
    app.scim.put(&ada, user("ada", "e2")).expect(200);
    create(&app.scim, "/Users", user("ben", "e1"));
    switch_on(app).expect(200);
    assert_taken(app.scim.post("/Users", user("cleo", "e1")));
    assert_taken(app.scim.post("/Users", user("cleo", "e2")));
    app.scim.delete(&ada).expect(204);
    create(&app.scim, "/Users", user("cleo", "e2"));
}

/// Another process has not read the directory anew: it writes by the rules before.
fn request_that_was_let_in_before_the_switch_is_refused(app: &TestApp) {
    create(&app.scim, "/Users", user("ada", "e1"));
    let id = app.directory.id.clone();
    let before = app.wait(async {
        let service = app.service();
        let access = service.directory_access(&app.directory.token, None).await;
        access.expect("the token is good")
    });
    assert_eq!(before.directory.id, id);
    switch_on(app).expect(200);
    let late = |name: &str| {
        let body = user(name, "e1").as_object().expect("an object").clone();
        let user_type = before.directory.registry.user().clone();
        app.wait(async { app.service().create(&before, &user_type, body).await })
    };
    let error = late("ben").expect_err("it does not know the rule").to_scim();
    assert_eq!((error.status, app.scim.get("/Users").total()), (503, 1));
    assert!(error.detail.contains("try again"), "{}", error.detail);
    assert_taken(app.scim.post("/Users", user("ben", "e1")));
    // A rule that is switched off lets everybody go on.
    put(app, json!({})).expect(200);
    create(&app.scim, "/Users", user("ben", "e1"));
}

fn rule_is_not_switched_on_while_schemas_change(app: &TestApp) {
    // Without a change that goes on: the look at the server's start would finish it.
    let id = &app.directory.id;
    execute(app, &format!("UPDATE directory SET converting = TRUE WHERE id = '{id}';"));
    api_error(&switch_on(app), 409, "schema_change_under_way");
    put(app, json!({"bulk": false})).expect(200);
}

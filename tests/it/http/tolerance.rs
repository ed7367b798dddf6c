//! What every identity provider may send, whatever the profile of its directory: one table for each
//! kind of deviation.

use serde_json::{Value, json};

use super::{USER, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Answer, ENTERPRISE, TestApp, group, patch};

on_both_databases![
    filters_find_the_user_however_they_name_it,
    filters_that_mean_nothing_are_400_and_never_empty,
    patch_envelope_is_read_in_any_letter_case,
    patch_paths_are_read_in_every_form,
    value_without_a_path_may_hold_what_the_client_was_shown,
    filter_that_matches_nothing_creates_one_element,
    text_becomes_boolean_and_scalar_becomes_complex,
    members_leave_in_every_form,
    create_passes_over_what_means_nothing,
    put_passes_over_what_the_server_says_itself,
];

/// Applies operations to a fresh user and gives the answer.
#[track_caller]
fn patched(app: &TestApp, operations: Value) -> Answer {
    let name = format!("user{}@example.com", app.scim.get("/Users?count=0").total());
    let id = create(&app.scim, "/Users", plain_user(&name));
    app.scim.patch(&format!("/Users/{id}"), patch(operations))
}

/// Fails the test unless the operations make that of the attribute at the pointer.
#[track_caller]
fn makes(app: &TestApp, operations: Value, pointer: &str, expected: Value) {
    let answer = patched(app, operations.clone()).expect(200);
    let found = answer.body.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(found, expected, "{operations}");
}

fn enterprise(name: &str) -> String {
    format!("/{ENTERPRISE}/{name}")
}

fn filters_find_the_user_however_they_name_it(app: &TestApp) {
    let mut body = plain_user("Ada@Example.com");
    body["externalId"] = json!("X1");
    body["emails"] = json!([{"value": "Mail@Example.com", "type": "work", "primary": true}]);
    body[ENTERPRISE] = json!({"manager": {"value": "boss"}, "employeeNumber": "E1"});
    let id = create(&app.scim, "/Users", body);
    create(&app.scim, "/Users", plain_user("ben@example.com"));
    for filter in [
        "userName eq \"ada@example.com\"".to_owned(),
        "USERNAME EQ \"ADA@EXAMPLE.COM\"".to_owned(),
        "emails eq \"mail@example.com\"".to_owned(),
        "emails.value eq \"MAIL@example.com\"".to_owned(),
        "emails[type eq \"work\"].value eq \"mail@example.com\"".to_owned(),
        "emails[primary eq \"True\"].value eq \"mail@example.com\"".to_owned(),
        "emails co \"mail@\"".to_owned(),
        "externalId eq \"X1\"".to_owned(),
        "manager eq \"boss\"".to_owned(),
        format!("id eq \"{id}\" and manager eq \"boss\""),
        "employeeNumber eq \"E1\"".to_owned(),
        format!("{ENTERPRISE}:employeeNumber eq \"E1\""),
        format!("{ENTERPRISE}.employeeNumber eq \"E1\""),
        "externalId eq \"X1\" and schemas eq \"urn:ietf:params:scim:schemas:core:2.0:user\"".into(),
        "active eq \"True\" and externalId pr".to_owned(),
    ] {
        assert_eq!(texts(&app.scim.filter("/Users", &filter), "id"), [id.as_str()], "{filter}");
    }
    assert_eq!(app.scim.filter("/Users", "externalId eq \"x1\"").total(), 0, "case counts");
}

fn filters_that_mean_nothing_are_400_and_never_empty(app: &TestApp) {
    create(&app.scim, "/Users", plain_user("ada"));
    for filter in [
        "nope eq \"x\"",
        "userName like \"x\"",
        "userName eq 'ada'",
        "userName eq ada",
        "name eq \"x\"",
        "members eq \"x\"",
        "meta.created gt \"yesterday\"",
        "userName",
    ] {
        app.scim.filter("/Users", filter).expect_scim_error(400, Some("invalidFilter"));
    }
}

fn patch_envelope_is_read_in_any_letter_case(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    for (body, title) in [
        (json!({"operations": [{"op": "Add", "path": "title", "value": "A"}]}), "A"),
        (
            json!({"Operations": [{"OP": "REPLACE", "Path": "title", "Value": "B"}], "schemas":
            ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}),
            "B",
        ),
        (json!({"OPERATIONS": [{"value": {"Title": "C"}, "op": "rePlace", "path": ""}]}), "C"),
    ] {
        assert_eq!(app.scim.patch(&path, body.clone()).expect(200).body["title"], title, "{body}");
    }
    let unknown = json!({"Operations": [{"op": "add", "path": "title", "value": "D"},
        {"op": "upsert", "path": "title", "value": "E"}]});
    app.scim.patch(&path, unknown).expect_scim_error(400, Some("invalidSyntax"));
    assert_eq!(app.scim.get(&path).expect(200).body["title"], "C", "nothing of it applies");
}

fn patch_paths_are_read_in_every_form(app: &TestApp) {
    let core = "urn:ietf:params:scim:schemas:core:2.0:User";
    for (path, value, pointer, expected) in [
        ("name.givenName".to_owned(), json!("A"), "/name/givenName".to_owned(), json!("A")),
        ("Name.GivenName".to_owned(), json!("A"), "/name/givenName".to_owned(), json!("A")),
        (format!("{core}:name.givenName"), json!("A"), "/name/givenName".into(), json!("A")),
        (format!("{core}.title"), json!("T"), "/title".to_owned(), json!("T")),
        (
            format!("{ENTERPRISE}:employeeNumber"),
            json!("7"),
            enterprise("employeeNumber"),
            json!("7"),
        ),
        (format!("{ENTERPRISE}.manager"), json!("m"), enterprise("manager/value"), json!("m")),
        (
            format!("{ENTERPRISE}:manager.value"),
            json!("m"),
            enterprise("manager/value"),
            json!("m"),
        ),
        ("manager".to_owned(), json!("m"), enterprise("manager/value"), json!("m")),
        (ENTERPRISE.to_owned(), json!({"department": "D"}), enterprise("department"), json!("D")),
        (
            "addresses[type eq \"other\"].Formatted".to_owned(),
            json!("F"),
            "/addresses".to_owned(),
            json!([{"formatted": "F", "type": "other"}]),
        ),
        (
            "emails[primary eq \"True\"].Value".to_owned(),
            json!("p@x.org"),
            "/emails".to_owned(),
            json!([{"value": "p@x.org", "primary": true}]),
        ),
    ] {
        makes(app, json!([{"op": "Replace", "path": path, "value": value}]), &pointer, expected);
    }
    for path in ["id", "meta.created", "groups"] {
        let answer = patched(app, json!([{"op": "replace", "path": path, "value": "x"}]));
        answer.expect_scim_error(400, Some("mutability"));
    }
}

fn value_without_a_path_may_hold_what_the_client_was_shown(app: &TestApp) {
    let operations = json!([{"op": "replace", "value": {
        "id": "other", "schemas": [USER], "meta": {"version": "W/\"9\""}, "meta.created": "x",
        "groups": [{"value": "g"}], "name.givenName": "Ada", "active": "False",
        "emails[type eq \"work\"].value": "w@x.org", format!("{ENTERPRISE}:department"): "D",
        format!("{ENTERPRISE}.manager"): "m", ENTERPRISE: {"costCenter": "1"},
    }}]);
    let body = patched(app, operations).expect(200).body;
    assert_eq!(body["name"], json!({"givenName": "Ada"}));
    assert_eq!(body["active"], false);
    assert_eq!(body["emails"], json!([{"value": "w@x.org", "type": "work"}]));
    assert_eq!(
        body[ENTERPRISE],
        json!({"costCenter": "1", "department": "D", "manager": {"value": "m"}})
    );
    assert_eq!((&body["groups"], &body["meta"]["version"]), (&json!(null), &json!("W/\"2\"")));
}

fn filter_that_matches_nothing_creates_one_element(app: &TestApp) {
    let at = |op: &str, path: &str, value: &str| json!({"op": op, "path": path, "value": value});
    for (operations, pointer, expected) in [
        (
            json!([
                at("Add", "addresses[type eq \"work\"].locality", "L"),
                at("Replace", "addresses[type eq \"work\"].region", "R"),
                at("Add", "addresses[type eq \"work\"].country", "DE"),
            ]),
            "/addresses",
            json!([{"locality": "L", "region": "R", "country": "DE", "type": "work"}]),
        ),
        (
            json!([
                at("Replace", "roles[primary eq \"True\"].display", "Admin"),
                at("Replace", "roles[primary eq \"True\"].value", "admin"),
            ]),
            "/roles",
            json!([{"value": "admin", "display": "Admin", "primary": true}]),
        ),
        (
            json!([
                {"op": "remove", "path": "emails[type eq \"home\"]"},
                {"op": "remove", "path": "phoneNumbers[type eq \"home\"].value"},
            ]),
            "/phoneNumbers",
            json!(null),
        ),
    ] {
        makes(app, operations, pointer, expected);
    }
}

fn text_becomes_boolean_and_scalar_becomes_complex(app: &TestApp) {
    let replace =
        |path: &str, value: Value| json!([{"op": "Replace", "path": path, "value": value}]);
    let manager = format!("{ENTERPRISE}:manager");
    let (boss, none) = (json!({"value": "m"}), json!(null));
    for (operations, pointer, expected) in [
        (replace("active", json!("False")), "/active".to_owned(), json!(false)),
        (replace("active", json!("tRue")), "/active".to_owned(), json!(true)),
        (json!([{"op": "add", "value": {"active": "false"}}]), "/active".into(), json!(false)),
        (
            replace("emails", json!({"value": "a@x.org", "primary": "True"})),
            "/emails".to_owned(),
            json!([{"value": "a@x.org", "primary": true}]),
        ),
        (replace(&manager, json!("m")), enterprise("manager"), boss.clone()),
        (
            replace("manager", json!([{"$ref": null, "value": "m"}])),
            enterprise("manager"),
            boss.clone(),
        ),
        (replace(&manager, boss.clone()), enterprise("manager"), boss),
        (replace(&manager, json!("")), enterprise("manager"), none.clone()),
        (json!([{"op": "remove", "path": manager}]), enterprise("manager"), none),
    ] {
        makes(app, operations, &pointer, expected);
    }
    for value in [json!("perhaps"), json!(1), json!("")] {
        patched(app, replace("active", value)).expect_scim_error(400, Some("invalidValue"));
    }
}

fn members_leave_in_every_form(app: &TestApp) {
    let ids: Vec<String> =
        ["ada", "ben", "cleo"].map(|name| create(&app.scim, "/Users", plain_user(name))).into();
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    let ben = names[1];
    let stay = |operation: Value| -> usize {
        let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("Staff", &names)));
        app.scim.patch(&path, patch(json!([operation]))).expect(200);
        let shown = app.scim.get(&path).expect(200);
        let members = shown.body["members"].as_array().cloned().unwrap_or_default();
        assert!(members.iter().all(|m| m["value"] != ben) || members.len() == 3, "{operation}");
        members.len()
    };
    let remove = |value: Value| json!({"op": "Remove", "path": "members", "value": value});
    for (operation, left) in [
        (json!({"op": "remove", "path": format!("members[value eq \"{ben}\"]")}), 2),
        (remove(json!([{"$ref": null, "value": ben}])), 2),
        (remove(json!([{"value": ben, "display": "somebody", "type": "Thing"}])), 2),
        (remove(json!({"value": ben})), 2),
        (remove(json!([ben])), 2),
        (remove(json!([{"$ref": format!("Users/{ben}")}])), 2),
        (remove(json!([])), 3),
        (remove(json!([{"value": "nobody"}])), 3),
        (json!({"op": "remove", "path": "members[value eq \"nobody\"]"}), 3),
        (json!({"op": "remove", "path": "members"}), 0),
        (json!({"op": "replace", "path": "members", "value": []}), 0),
        (json!({"op": "replace", "value": {"id": "x", "displayName": "Crew"}}), 3),
    ] {
        assert_eq!(stay(operation.clone()), left, "{operation}");
    }
}

fn create_passes_over_what_means_nothing(app: &TestApp) {
    let mistyped = "urn:ietf:params:scim:schemas:extension:enterprise:2.0User";
    let made = app.scim.post(
        "/Users",
        json!({
            "schemas": [USER, mistyped], mistyped: {"department": "D"}, "userName": "ada",
            "department": null, "manager": null, "roles": [], "emails": [], "photos": [],
            "name": {"givenName": "", "familyName": ""}, "password": "secret",
            "meta": {"resourceType": "User", "created": "yesterday"}, "groups": [],
            "id": "other", "somethingElse": {"a": 1}, "title": null,
        }),
    );
    let mut body = made.expect(201).body;
    let members = body.as_object_mut().expect("an object");
    let id = members.shift_remove("id").expect("an id");
    let meta = members.shift_remove("meta").expect("meta");
    assert_ne!(id, "other");
    assert_eq!(meta["resourceType"], "User");
    for name in ["created", "lastModified", "location", "version"] {
        assert!(meta[name].is_string(), "{meta}");
    }
    let name = json!({"familyName": "", "givenName": ""});
    assert_eq!(body, json!({"schemas": [USER], "userName": "ada", "name": name, "active": true}));
    // An extension is honoured without its URI in `schemas`; no `schemas` at all is the type's own.
    let body = json!({"userName": "ben", ENTERPRISE: {"department": "D"}});
    let made = app.scim.post("/Users", body).expect(201);
    assert_eq!(made.body["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(made.body[ENTERPRISE], json!({"department": "D"}));
}

fn put_passes_over_what_the_server_says_itself(app: &TestApp) {
    let mut body = plain_user("ada");
    body["title"] = json!("Dr");
    body["active"] = json!(false);
    let path = format!("/Users/{}", create(&app.scim, "/Users", body));
    let shown = app.scim.get(&path).expect(200).body;
    let mut sent = shown.clone();
    sent["id"] = json!("other");
    sent["meta"] = json!({"created": "gestern", "lastModified": 5, "version": null});
    sent["groups"] = json!([{"value": "g"}]);
    sent.as_object_mut().expect("an object").shift_remove("active");
    let put = app.scim.put(&path, sent).expect(200);
    assert_eq!(put.body, shown, "nothing has changed");
    let put = app.scim.put(&path, plain_user("ada")).expect(200);
    assert_eq!((&put.body["title"], &put.body["active"]), (&json!(null), &json!(false)));
    app.scim.put("/Users/nobody", plain_user("ada")).expect_scim_error(404, None);
}

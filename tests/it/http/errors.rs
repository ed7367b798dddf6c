//! Wrong requests: the right status, the SCIM error body, a detail that helps, and nothing stored
//! (RFC 7644 §3.12).

use serde_json::{Value, json};

use super::{USER, api_error, assert_nothing_stored, create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, Database, ENTERPRISE, TestApp, group, patch};

on_both_databases![
    body_that_is_no_json_object_is_400_invalid_syntax,
    user_that_does_not_fit_the_schema_is_400,
    group_that_does_not_fit_the_schema_is_400,
    patch_that_cannot_be_applied_is_400_with_its_word,
    member_that_is_no_text_is_named_in_the_refusal,
    other_media_types_are_415,
    ids_that_no_resource_can_have_are_404,
];

/// Fails the test unless the error has that word and its detail every one of those texts.
#[track_caller]
fn assert_refused(answer: Answer, scim_type: &str, named: &[&str], what: &str) {
    let detail = answer.expect_scim_error(400, Some(scim_type));
    for text in named {
        assert!(detail.contains(text), "no {text:?} for {what}: {detail}");
    }
}

fn body_that_is_no_json_object_is_400_invalid_syntax(app: &TestApp) {
    let deep = format!("{}1{}", "{\"a\":".repeat(2_000), "}".repeat(2_000));
    for (text, named) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("userName=ada", "not JSON"),
        ("{\"userName\": \"ada\"} {}", "not JSON"),
        ("{\"userName\": \"\\ud800\"}", "not JSON"),
        ("{\"userName\": \"a\u{1}\"}", "not JSON"),
        (&deep, "not JSON"),
        ("[]", "an array"),
        ("null", "null"),
        ("7", "the number 7"),
        ("\"ada\"", "the string \"ada\""),
    ] {
        for (method, path) in
            [("POST", "/Users"), ("POST", "/Groups"), ("PUT", "/Users/x"), ("PATCH", "/Users/x")]
        {
            let answer = app.scim.send(method, path, &[], Some(text.to_owned()));
            assert_refused(answer, "invalidSyntax", &[named], text);
        }
    }
    assert_nothing_stored(app);
}

fn user_that_does_not_fit_the_schema_is_400(app: &TestApp) {
    let long = "a".repeat(513);
    let number = format!("{ENTERPRISE}:employeeNumber");
    let table = [
        (json!({}), vec!["\"userName\"", "required"]),
        (json!({"userName": null}), vec!["\"userName\"", "required"]),
        (json!({"userName": ""}), vec!["\"userName\"", "empty"]),
        (json!({"userName": " \t"}), vec!["\"userName\"", "empty"]),
        (json!({"userName": 7}), vec!["\"userName\"", "a string", "the number 7"]),
        (json!({"userName": ["a"]}), vec!["\"userName\"", "a string", "an array"]),
        (json!({"userName": "a\u{0}"}), vec!["\"userName\"", "U+0000"]),
        (json!({"userName": "a\u{1b}"}), vec!["\"userName\"", "U+001B"]),
        (json!({"userName": long}), vec!["\"userName\"", "513", "512"]),
        (json!({"userName": "é".repeat(257)}), vec!["\"userName\"", "514", "512"]),
        (json!({"externalId": long}), vec!["\"externalId\"", "513", "512"]),
        (json!({"displayName": long}), vec!["\"displayName\"", "513", "512"]),
        (json!({"externalId": "\u{0}"}), vec!["\"externalId\"", "U+0000"]),
        (json!({"externalId": 7}), vec!["\"externalId\"", "a string", "the number 7"]),
        (json!({"name": {"givenName": "\u{0}"}}), vec!["\"name.givenName\"", "U+0000"]),
        (json!({"name": "Ada"}), vec!["\"name\"", "an object", "the string \"Ada\""]),
        (json!({"active": "perhaps"}), vec!["\"active\"", "true or false", "perhaps"]),
        (json!({"active": 1}), vec!["\"active\"", "true or false", "the number 1"]),
        (json!({"emails": "a@x.org"}), vec!["\"emails\"", "an array", "a@x.org"]),
        (json!({"emails": [{"value": 7}]}), vec!["\"emails.value\"", "a string", "the number 7"]),
        (json!({"emails": [{"value": "\u{0}"}]}), vec!["\"emails.value\"", "U+0000"]),
        (json!({"profileUrl": "a b"}), vec!["\"profileUrl\"", "a URI", "a b"]),
        (
            json!({"x509Certificates": [{"value": "%%%"}]}),
            vec!["\"x509Certificates.value\"", "base64", "%%%"],
        ),
        (json!({"schemas": "x"}), vec!["\"schemas\"", "an array of URIs", "the string \"x\""]),
        (json!({"schemas": [7]}), vec!["\"schemas\"", "URI", "the number 7"]),
        (json!({ENTERPRISE: "x"}), vec![ENTERPRISE, "an object", "the string \"x\""]),
        (
            json!({ENTERPRISE: {"employeeNumber": 7}}),
            vec![number.as_str(), "a string", "the number 7"],
        ),
    ];
    for (wrong, named) in table {
        let mut body = json!({"schemas": [USER], "userName": "ada"});
        if wrong == json!({}) {
            body = json!({"schemas": [USER]});
        }
        body.as_object_mut().expect("an object").extend(wrong.as_object().expect("one").clone());
        let what = wrong.to_string();
        assert_refused(app.scim.post("/Users", body.clone()), "invalidValue", &named, &what);
    }
    let twice = json!({"userName": "ada", "USERNAME": "ben"});
    assert_refused(app.scim.post("/Users", twice), "invalidSyntax", &["\"userName\""], "twice");
    assert_nothing_stored(app);
}

fn group_that_does_not_fit_the_schema_is_400(app: &TestApp) {
    let long = "a".repeat(513);
    for (body, named) in [
        (json!({}), vec!["\"displayName\"", "required"]),
        (json!({"displayName": ""}), vec!["\"displayName\"", "empty"]),
        (json!({"displayName": 7}), vec!["\"displayName\"", "a string", "the number 7"]),
        (json!({"displayName": "a\u{0}"}), vec!["\"displayName\"", "U+0000"]),
        (json!({"displayName": long}), vec!["\"displayName\"", "513", "512"]),
        (json!({"displayName": "A", "members": [{}]}), vec!["\"members\"", "\"value\""]),
        (json!({"displayName": "A", "members": [{"value": ""}]}), vec!["\"members\""]),
        (json!({"displayName": "A", "members": [{"value": "\u{0}"}]}), vec!["\"members\""]),
        (json!({"displayName": "A", "members": "ada"}), vec!["\"members\"", "\"ada\""]),
        (
            json!({"displayName": "A", "members": [{"value": "ada"}]}),
            vec!["\"members\"", "\"ada\""],
        ),
    ] {
        let what = body.to_string();
        assert_refused(app.scim.post("/Groups", body), "invalidValue", &named, &what);
    }
    assert_nothing_stored(app);
}

fn member_that_is_no_text_is_named_in_the_refusal(app: &TestApp) {
    for members in [json!([7]), json!([{"value": 7}]), json!(7)] {
        let answer = app.scim.post("/Groups", json!({"displayName": "A", "members": members}));
        let what = members.to_string();
        assert_refused(answer, "invalidValue", &["members", "the number 7"], &what);
    }
    assert_nothing_stored(app);
}

fn patch_that_cannot_be_applied_is_400_with_its_word(app: &TestApp) {
    let mut body = plain_user("ada");
    body["emails"] = json!([{"value": "a@x.org", "type": "work"}, {"value": "b@x.org"}]);
    let made = app.scim.post("/Users", body).expect(201);
    let path = format!("/Users/{}", made.id());
    for (body, named) in [
        (json!({}), "Operations"),
        (json!({"Operations": {}}), "an array"),
        (json!({"Operations": []}), "empty"),
        (json!({"Operations": [7]}), "Operations[0]"),
        (json!({"Operations": [{"path": "title", "value": "x"}]}), "\"op\""),
        (json!({"Operations": [{"op": 5, "path": "title", "value": "x"}]}), "the number 5"),
        (json!({"Operations": [{"op": "move", "path": "title", "value": "x"}]}), "move"),
        (json!({"schemas": ["x"], "Operations": [{"op": "remove", "path": "title"}]}), "schemas"),
    ] {
        let what = body.to_string();
        assert_refused(app.scim.patch(&path, body), "invalidSyntax", &[named], &what);
    }
    let set =
        |target: Value, value: Value| json!({"op": "replace", "path": target, "value": value});
    for (operation, scim_type, named) in [
        (json!({"op": "remove"}), "noTarget", "path"),
        (json!({"op": "add", "path": "title"}), "invalidValue", "value"),
        (json!({"op": "replace", "path": "title"}), "invalidValue", "value"),
        (json!({"op": "add", "value": "x"}), "invalidValue", "object"),
        (set(json!("emails[type eq"), json!("x")), "invalidPath", "position"),
        (set(json!("emails[]"), json!("x")), "invalidPath", "position"),
        (set(json!("emails[type eq \"work\"]."), json!("x")), "invalidPath", "position"),
        (set(json!("a b"), json!("x")), "invalidPath", "position"),
        (set(json!("9x"), json!("x")), "invalidPath", "position"),
        (set(json!(7), json!("x")), "invalidPath", "the number 7"),
        (set(json!("emails[foo eq \"x\"]"), json!({})), "invalidPath", "foo"),
        (set(json!("userName[value eq \"x\"]"), json!("x")), "invalidPath", "userName"),
        (set(json!("emails.value"), json!("x")), "invalidPath", "filter"),
        (set(json!("id"), json!("x")), "mutability", "\"id\""),
        (set(json!("meta"), json!({})), "mutability", "\"meta\""),
        (set(json!("meta.created"), json!("x")), "mutability", "\"meta.created\""),
        (set(json!("groups"), json!([])), "mutability", "\"groups\""),
        (json!({"op": "remove", "path": "groups[value eq \"x\"]"}), "mutability", "\"groups\""),
        (json!({"op": "remove", "path": "userName"}), "mutability", "\"userName\""),
        (set(json!("userName"), json!(null)), "invalidValue", "\"userName\""),
        (set(json!("userName"), json!("")), "invalidValue", "\"userName\""),
        (set(json!("userName"), json!("a\u{0}")), "invalidValue", "U+0000"),
        (set(json!("userName"), json!("a".repeat(513))), "invalidValue", "513"),
        (set(json!("active"), json!("perhaps")), "invalidValue", "true or false"),
        (set(json!("emails[type eq \"work\"].value"), json!(7)), "invalidValue", "emails.value"),
        (set(json!(ENTERPRISE), json!("x")), "invalidValue", "an object"),
    ] {
        let answer = app.scim.patch(&path, patch(json!([operation])));
        assert_refused(answer, scim_type, &[named], &operation.to_string());
    }
    let removes = vec![json!({"op": "remove", "path": "title"}); 10_001];
    let detail = app.scim.patch(&path, patch(json!(removes))).expect_scim_error(413, None);
    assert!(detail.contains("10001") && detail.contains("10000"), "{detail}");
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn other_media_types_are_415(app: &TestApp) {
    let body = plain_user("ada").to_string();
    for media in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json"] {
        for (method, path) in [("POST", "/Users"), ("PUT", "/Users/x"), ("PATCH", "/Users/x")] {
            let headers = [("Content-Type", media)];
            let answer = app.scim.send(method, path, &headers, Some(body.clone()));
            let detail = answer.expect_scim_error(415, None);
            assert!(detail.contains(media) && detail.contains("application/scim+json"), "{detail}");
        }
    }
    assert_nothing_stored(app);
    for media in ["application/scim+json; charset=utf-8", "Application/JSON"] {
        let headers = [("Content-Type", media)];
        let id = app.scim.send("POST", "/Users", &headers, Some(body.clone())).expect(201).id();
        app.scim.delete(&format!("/Users/{id}")).expect(204);
    }
}

fn ids_that_no_resource_can_have_are_404(app: &TestApp) {
    let operations = patch(json!([{"op": "replace", "path": "displayName", "value": "x"}]));
    let long = "a".repeat(5_000);
    for id in ["a%00b", "%00", "%20", "%FF", "%C3%A9", "%22", "..%2FUsers", long.as_str()] {
        for (path, body) in [("/Users", plain_user("ada")), ("/Groups", group("A", &[]))] {
            let path = format!("{path}/{id}");
            app.scim.get(&path).expect_scim_error(404, None);
            app.scim.put(&path, body).expect_scim_error(404, None);
            app.scim.patch(&path, operations.clone()).expect_scim_error(404, None);
            app.scim.delete(&path).expect_scim_error(404, None);
        }
    }
    assert_nothing_stored(app);
}

#[test]
fn body_beyond_32_mib_is_413_and_one_of_32_mib_is_read() {
    const LIMIT: usize = 32 * 1024 * 1024;
    let app = TestApp::start(Database::sqlite());
    let padded = |length: usize| {
        let body = plain_user("ada").to_string();
        let blanks = " ".repeat(length - body.len());
        format!("{blanks}{body}")
    };
    for (method, path) in [("POST", "/Users"), ("PUT", "/Users/x"), ("PATCH", "/Users/x")] {
        let answer = app.scim.send(method, path, &[], Some(padded(LIMIT + 1)));
        let detail = answer.expect_scim_error(413, None);
        assert!(detail.contains(&LIMIT.to_string()), "{detail}");
    }
    assert_nothing_stored(&app);
    app.scim.send("POST", "/Users", &[], Some(padded(LIMIT))).expect(201);
}

#[test]
fn paths_where_nothing_is_served_are_404_in_the_form_of_their_surface() {
    let app = TestApp::start(Database::sqlite());
    for path in ["/Devices", "/Devices/1", "/Users/1/2", "/Groups/1/members/2"] {
        for method in ["GET", "POST", "DELETE"] {
            let body = (method == "POST").then(|| "{}".to_owned());
            app.scim.send(method, path, &[], body).expect_scim_error(404, None);
        }
    }
    for path in ["/", "/nothing", "/api", "/api/v1", "/api/v1/nothing", "/api/v2/organizations"] {
        api_error(&app.api.get(path), 404, "entity_not_found");
    }
}

#[test]
fn wrong_methods_are_405_with_those_that_are_allowed() {
    let app = TestApp::start(Database::sqlite());
    let id = create(&app.scim, "/Users", plain_user("ada"));
    let one = format!("/Users/{id}");
    let scim = [
        ("/Users", "GET, HEAD, POST"),
        ("/Groups", "GET, HEAD, POST"),
        (one.as_str(), "GET, HEAD, PUT, PATCH, DELETE"),
        ("/Groups/x", "GET, HEAD, PUT, PATCH, DELETE"),
        ("/ServiceProviderConfig", "GET, HEAD"),
        ("/Schemas", "GET, HEAD"),
        ("/Schemas/x", "GET, HEAD"),
        ("/ResourceTypes", "GET, HEAD"),
        ("/ResourceTypes/User", "GET, HEAD"),
    ];
    let api = [
        ("/api/v1/organizations", "GET, POST"),
        ("/api/v1/organizations/x", "GET, PATCH, DELETE"),
        ("/api/v1/directories", "GET, POST"),
        ("/api/v1/directories/x", "GET, PATCH, DELETE"),
        ("/api/v1/directories/x/test", "POST"),
        ("/api/v1/directories/x/sync", "POST"),
        ("/api/v1/directories/x/tokens", "GET, POST"),
        ("/api/v1/directories/x/tokens/y", "DELETE"),
        ("/api/v1/api_keys", "GET, POST"),
        ("/api/v1/api_keys/x", "DELETE"),
    ];
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let wrong = |allowed: &str| {
        let allowed: Vec<String> = allowed.split(", ").map(str::to_owned).collect();
        methods.into_iter().filter(move |method| !allowed.iter().any(|known| known == method))
    };
    let body = |method: &str| matches!(method, "POST" | "PUT" | "PATCH").then(|| "{}".to_owned());
    for (path, allowed) in scim {
        for method in wrong(allowed) {
            let answer = app.scim.send(method, path, &[], body(method));
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
            let detail = answer.expect_scim_error(405, None);
            assert!(detail.contains(allowed), "{detail}");
        }
    }
    for (path, allowed) in api {
        for method in wrong(allowed) {
            let answer = app.api.send(method, path, &[], body(method));
            let message = api_error(&answer, 405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
            assert!(message.contains(allowed), "{message}");
        }
    }
    app.scim.get(&one).expect(200);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

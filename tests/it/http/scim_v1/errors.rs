//! Everything that fails has the error body of SCIM 1.1, whatever noticed it.

use serde_json::json;

use super::{CORE, client, group, refused, user};
use crate::http::{assert_nothing_stored, create};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp};

on_both_databases![
    missing_or_wrong_token_is_401,
    too_many_wrong_secrets_are_429,
    paused_and_disabled_directories_say_so_once_the_token_was_checked,
    read_only_token_is_403_for_writes,
    unknown_paths_and_ids_are_404,
    other_methods_are_405_with_those_allowed,
    xml_is_415_or_406,
    bulk_is_501,
    bodies_that_cannot_be_read_are_400_or_413,
    users_and_groups_that_do_not_fit_are_400,
    second_user_of_a_name_is_409,
    other_versions_are_400,
];

/// A request of each kind.
fn knock(client: &Client) -> Vec<Answer> {
    vec![
        client.get("/Users"),
        client.get("/Users/x"),
        client.get("/Groups?filter=nonsense"),
        client.get("/Schemas"),
        client.get("/Nothing/of/this"),
        client.get("/Users.xml"),
        client.post("/Users", user("eve@example.com")),
        client.post("/Groups", json!("not an object")),
        client.post("/Bulk", json!({})),
        client.put("/Users/x", user("eve@example.com")),
        client.patch("/Users/x", json!({"active": false})),
        client.delete("/Users/x"),
        client.delete("/Users"),
    ]
}

#[track_caller]
fn assert_unauthorized(client: &Client) {
    for answer in knock(client) {
        refused(&answer, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"rollbook\""));
    }
}

fn missing_or_wrong_token_is_401(app: &TestApp) {
    let scim = client(app);
    assert_unauthorized(&scim.with_bearer(None));
    assert_unauthorized(&scim.with_bearer(Some("rbd_wrong")));
    assert_unauthorized(&scim.with_bearer(app.api.bearer.as_deref()));
    assert_nothing_stored(app);
}

fn too_many_wrong_secrets_are_429(app: &TestApp) {
    let scim = client(app);
    let mut wrong = app.directory.token.clone();
    let last = if wrong.ends_with('A') { 'B' } else { 'A' };
    wrong.pop();
    wrong.push(last);
    let wrong = scim.with_bearer(Some(&wrong));
    for _ in 0..10 {
        refused(&wrong.get("/Users"), 401);
    }
    let answer = wrong.get("/Users");
    refused(&answer, 429);
    assert_eq!(answer.header("retry-after"), Some("60"));
}

fn paused_and_disabled_directories_say_so_once_the_token_was_checked(app: &TestApp) {
    let scim = client(app);
    let set_state = |state: &str| {
        let path = format!("/api/v1/directories/{}", app.directory.id);
        app.api.patch(&path, json!({"state": state})).expect(200);
    };
    set_state("paused");
    for answer in knock(&scim) {
        refused(&answer, 503);
        assert_eq!(answer.header("retry-after"), Some("3600"));
    }
    assert_unauthorized(&scim.with_bearer(Some("rbd_wrong")));
    set_state("disabled");
    for answer in knock(&scim) {
        let description = refused(&answer, 403);
        assert!(description.contains("disabled"), "{description}");
    }
    assert_unauthorized(&scim.with_bearer(None));
    set_state("linked");
    assert_nothing_stored(app);
}

fn read_only_token_is_403_for_writes(app: &TestApp) {
    let scim = client(app);
    let path = format!("/Users/{}", create(&scim, "/Users", user("ada@example.com")));
    let tokens = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&tokens, json!({"scope": "read"})).expect(201);
    let reader = scim.with_bearer(token.body["secret"].as_str());
    reader.get(&path).expect(200);
    for answer in [
        reader.post("/Users", user("eve@example.com")),
        reader.put(&path, user("eve@example.com")),
        reader.patch(&path, json!({"active": false})),
        reader.delete(&path),
    ] {
        let description = refused(&answer, 403);
        assert!(description.contains("read"), "{description}");
    }
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

fn unknown_paths_and_ids_are_404(app: &TestApp) {
    let scim = client(app);
    let group = create(&scim, "/Groups", group("Staff", &[]));
    for path in [
        "",
        "/",
        "/Cars",
        "/Cars/1",
        "/Users/1/2",
        "/Users/%00",
        "/Users/x",
        "/Users/.search",
        "/Me",
        "/ResourceTypes",
        "/Roles",
        "/openapi.json",
        &format!("/Users/{group}"),
    ] {
        refused(&scim.get(path), 404);
    }
    refused(&scim.patch("/Users/x", json!({})), 404);
    refused(&scim.post("/.search", json!({})), 404);
    let description = refused(&scim.get("/Cars"), 404);
    assert!(description.contains("/Users"), "{description}");
    // Slashes too many and other letter case are no other path.
    for path in ["//Users/", "/users", "/USERS.JSON"] {
        scim.get(path).expect(200);
    }
    for prefix in ["/scim//V1//", "//scim/v1/"] {
        let mut doubled = scim.clone();
        doubled.base = scim.base.replace("/scim/v1/", prefix);
        doubled.get("/Users").expect(200);
        refused(&doubled.get("/Cars"), 404);
    }
}

fn other_methods_are_405_with_those_allowed(app: &TestApp) {
    let scim = client(app);
    for (method, path, allowed) in [
        ("DELETE", "/Users", "GET, HEAD, POST"),
        ("PATCH", "/Groups", "GET, HEAD, POST"),
        ("OPTIONS", "/Users", "GET, HEAD, POST"),
        ("POST", "/Users/x", "GET, HEAD, PUT, PATCH, DELETE"),
        ("SECRET", "/Groups/x", "GET, HEAD, PUT, PATCH, DELETE"),
    ] {
        let answer = scim.send(method, path, &[], None);
        let description = refused(&answer, 405);
        assert_eq!(answer.header("allow"), Some(allowed));
        assert!(description.contains(allowed), "{description}");
    }
}

fn xml_is_415_or_406(app: &TestApp) {
    let scim = client(app);
    let path = format!("/Users/{}", create(&scim, "/Users", user("ada@example.com")));
    let xml = "<User xmlns=\"urn:scim:schemas:core:1.0\"/>";
    for media in ["application/xml", "text/xml; charset=utf-8", "application/soap+xml"] {
        for (method, target) in [("POST", "/Users"), ("PUT", &path), ("PATCH", &path)] {
            let headers = [("Content-Type", media)];
            let answer = scim.send(method, target, &headers, Some(xml.to_owned()));
            let description = refused(&answer, 415);
            assert!(description.contains("application/json"), "{description}");
        }
    }
    let other = [("Content-Type", "text/plain")];
    refused(&scim.send("POST", "/Users", &other, Some("{}".into())), 415);
    for accept in ["application/xml", "text/xml, application/soap+xml;q=0.5"] {
        for target in ["/Users", &path, "/Schemas", "/ServiceProviderConfigs"] {
            let answer = scim.send("GET", target, &[("Accept", accept)], None);
            let description = refused(&answer, 406);
            assert!(description.contains("application/json"), "{description}");
        }
    }
    for target in ["/Users.xml", &format!("{path}.XML")] {
        refused(&scim.get(target), 406);
    }
    for accept in ["application/json", "application/xml, */*;q=0.1", "*/*", "", "text/html"] {
        let answer = scim.send("GET", &path, &[("Accept", accept)], None).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    scim.get(&format!("{path}.json")).expect(200);
    for media in ["application/json; charset=utf-8", "application/scim+json"] {
        let body = user(&format!("{}@example.com", media.len())).to_string();
        scim.send("POST", "/Users", &[("Content-Type", media)], Some(body)).expect(201);
    }
}

fn bulk_is_501(app: &TestApp) {
    let scim = client(app);
    let description = refused(&scim.post("/Bulk", json!({"Operations": []})), 501);
    assert!(description.contains("/Bulk"), "{description}");
}

fn bodies_that_cannot_be_read_are_400_or_413(app: &TestApp) {
    let scim = client(app);
    for text in ["", "{", "userName=ada", "[]", "null", "7", "{\"a\":1,\"a\":2}", "\"ada\""] {
        for (method, path) in
            [("POST", "/Users"), ("POST", "/Groups"), ("PUT", "/Users/x"), ("PATCH", "/Users/x")]
        {
            refused(&scim.send(method, path, &[], Some(text.to_owned())), 400);
        }
    }
    let mut large = user("ada@example.com");
    large["title"] = "x".repeat(1_100_000).into();
    refused(&scim.post("/Users", large), 413);
    assert_nothing_stored(app);
}

fn users_and_groups_that_do_not_fit_are_400(app: &TestApp) {
    let scim = client(app);
    let enterprise = super::ENTERPRISE_1;
    for (path, body, named) in [
        ("/Users", json!({"schemas": [CORE]}), "\"userName\""),
        ("/Users", json!({"userName": 7}), "the number 7"),
        ("/Users", json!({"userName": "a", "USERNAME": "b"}), "twice"),
        ("/Users", json!({"userName": "a", "schemas": CORE}), "\"schemas\""),
        ("/Users", json!({"userName": "a", "active": "perhaps"}), "perhaps"),
        ("/Users", json!({"userName": "a", "emails": [{"value": 7}]}), "\"emails.value\""),
        ("/Users", json!({"userName": "a", enterprise: "x"}), enterprise),
        (
            "/Users",
            json!({"userName": "a", enterprise: {"manager": {"managerId": 7}}}),
            "urn:scim:schemas:extension:enterprise:1.0:manager.managerId",
        ),
        (
            "/Users",
            json!({"userName": "a", "emails": [{"value": "b", "operation": "delete"}]}),
            "\"emails\"",
        ),
        ("/Groups", json!({}), "\"displayName\""),
        ("/Groups", json!({"displayName": "A", "members": [{"value": "x"}]}), "\"x\""),
        ("/Groups", json!({"displayName": "A", "members": [{}]}), "\"members\""),
    ] {
        let description = refused(&scim.post(path, body.clone()), 400);
        assert!(description.contains(named), "{body}: {description}");
    }
    assert_nothing_stored(app);
    // Profiles choose as they do for SCIM 2.0.
    let (strict, _) = app.directory("scim.strict");
    let scim = super::client_of(&strict);
    for (wrong, named) in [
        (json!({"hat": 1}), "\"hat\""),
        (json!({"schemas": [CORE, "urn:x:y"]}), "\"urn:x:y\""),
        (json!({"active": "true"}), "\"active\""),
    ] {
        let mut body = user("ada@example.com");
        body.as_object_mut().expect("an object").extend(wrong.as_object().expect("one").clone());
        let description = refused(&scim.post("/Users", body), 400);
        assert!(description.contains(named), "{wrong}: {description}");
    }
    let id = create(&scim, "/Users", user("ada@example.com"));
    let description = refused(&scim.patch(&format!("/Users/{id}"), json!({"hat": 1})), 400);
    assert!(description.contains("\"hat\""), "{description}");
}

fn second_user_of_a_name_is_409(app: &TestApp) {
    let scim = client(app);
    create(&scim, "/Users", user("ada@example.com"));
    let ben = create(&scim, "/Users", user("ben@example.com"));
    let description = refused(&scim.post("/Users", user("Ada@Example.com")), 409);
    assert!(description.contains("userName"), "{description}");
    let path = format!("/Users/{ben}");
    refused(&scim.put(&path, user("ada@example.com")), 409);
    refused(&scim.patch(&path, json!({"userName": "ada@example.com"})), 409);
    assert_eq!(scim.get("/Users").total(), 2);
}

fn other_versions_are_400(app: &TestApp) {
    let mut other = app.scim.clone();
    other.base = format!("{}/scim/v1.1", app.url);
    let detail = other.get("/Users").expect_scim_error(400, Some("invalidVers"));
    assert!(detail.contains("v2") && detail.contains("v1"), "{detail}");
}

//! `/Me` (RFC 7644 §3.11): the user that a token was issued for.

use serde_json::{Value, json};

use super::{create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp, group, patch};

on_both_databases![
    me_is_the_user_of_the_token,
    answers_name_the_permanent_url,
    me_is_projected_like_the_user,
    conditional_reads_of_me,
    me_is_replaced_patched_and_deleted,
    writes_on_me_take_conditions,
    me_is_404_when_the_user_is_gone,
    token_without_a_user_has_no_me,
    me_cannot_be_created,
    read_only_token_only_reads_me,
    nothing_lies_below_me,
];

/// A client with a token for that user.
#[track_caller]
fn client_of(app: &TestApp, user_id: &str, scope: &str) -> Client {
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&path, json!({"user_id": user_id, "scope": scope})).expect(201);
    app.scim.with_bearer(token.body["secret"].as_str())
}

/// Ada, and a client of hers.
fn ada(app: &TestApp) -> (String, Client) {
    let id = create(&app.scim, "/Users", plain_user("ada"));
    let client = client_of(app, &id, "write");
    (id, client)
}

fn title(value: &str) -> Value {
    patch(json!([{"op": "replace", "path": "title", "value": value}]))
}

#[track_caller]
fn assert_located(app: &TestApp, answer: &Answer, id: &str) {
    let permanent = format!("{}/Users/{id}", app.directory.base_url);
    assert_eq!(answer.header("location"), Some(permanent.as_str()), "{}", answer.status);
    let shows_it = matches!(answer.status, 200 | 304);
    let content = shows_it.then_some(permanent.as_str());
    assert_eq!(answer.header("content-location"), content, "{}", answer.status);
}

fn me_is_the_user_of_the_token(app: &TestApp) {
    let (id, me) = ada(app);
    create(&app.scim, "/Users", plain_user("bob"));
    create(&app.scim, "/Groups", group("Team", &[&id]));
    let user = app.scim.get(&format!("/Users/{id}")).expect(200);
    let found = me.get("/Me").expect(200);
    assert_eq!(found.body, user.body);
    assert_eq!(found.header("etag"), user.header("etag"));
    assert_eq!(found.header("content-type"), Some("application/scim+json"));
    assert_eq!(found.body["meta"]["location"], format!("{}/Users/{id}", app.directory.base_url));
    assert_eq!(found.body["groups"][0]["display"], "Team");
    for path in ["/me", "/ME/", "//Me"] {
        assert_eq!(me.get(path).expect(200).body, user.body, "{path}");
    }
    let head = me.send("HEAD", "/Me", &[], None).expect(200);
    assert_eq!((head.text.as_str(), head.header("etag")), ("", user.header("etag")));
    // The same without the directory in the URL.
    let mut short = me.clone();
    short.base = format!("{}/scim/v2", app.url);
    assert_eq!(short.get("/Me").expect(200).body, user.body);
}

/// "In any response, the HTTP "Location" header MUST be the permanent URI of the aliased resource."
fn answers_name_the_permanent_url(app: &TestApp) {
    let (id, me) = ada(app);
    assert_located(app, &me.get("/Me").expect(200), &id);
    assert_located(app, &me.send("HEAD", "/Me", &[], None).expect(200), &id);
    let known = [("If-None-Match", "W/\"1\"")];
    assert_located(app, &me.send("GET", "/Me", &known, None).expect(304), &id);
    assert_located(app, &me.patch("/Me", title("Dr")).expect(200), &id);
    assert_located(app, &me.put("/Me", plain_user("ada")).expect(200), &id);
    let stale = [("If-Match", "W/\"1\"")];
    assert_located(app, &me.send("DELETE", "/Me", &stale, None).expect(412), &id);
    assert_located(app, &me.put("/Me", json!({"title": "x"})).expect(400), &id);
    assert_located(app, &me.delete("/Me").expect(204), &id);
}

fn me_is_projected_like_the_user(app: &TestApp) {
    let (id, me) = ada(app);
    for query in ["attributes=userName", "excludedAttributes=userName,meta", "attributes=schemas"] {
        let user = app.scim.get(&format!("/Users/{id}?{query}")).expect(200);
        assert_eq!(me.get(&format!("/Me?{query}")).expect(200).body, user.body, "{query}");
    }
    let shown = me.patch("/Me?attributes=title", title("Dr")).expect(200);
    assert_eq!(shown.body["title"], "Dr");
    assert_eq!(shown.body.get("userName"), None);
    me.get("/Me?attributes=a&excludedAttributes=b").expect_scim_error(400, Some("invalidValue"));
}

fn conditional_reads_of_me(app: &TestApp) {
    let (_, me) = ada(app);
    let tag = me.get("/Me").expect(200).header("etag").expect("a tag").to_owned();
    let read = || me.send("GET", "/Me", &[("If-None-Match", &tag)], None);
    assert_eq!(read().expect(304).text, "");
    me.patch("/Me", title("Dr")).expect(200);
    assert_eq!(read().expect(200).header("etag"), Some("W/\"2\""));
}

fn me_is_replaced_patched_and_deleted(app: &TestApp) {
    let (id, me) = ada(app);
    let bob = create(&app.scim, "/Users", plain_user("bob"));
    let path = format!("/Users/{id}");
    assert_eq!(me.patch("/Me", title("Dr")).expect(200).body["title"], "Dr");
    let replaced = me.put("/Me", plain_user("eve")).expect(200);
    assert_eq!((&replaced.body["userName"], replaced.body.get("title")), (&json!("eve"), None));
    assert_eq!(app.scim.get(&path).expect(200).body, replaced.body);
    me.put("/Me", plain_user("bob")).expect_scim_error(409, Some("uniqueness"));
    me.delete("/Me").expect(204);
    app.scim.get(&path).expect_scim_error(404, None);
    app.scim.get(&format!("/Users/{bob}")).expect(200);
    let names = app.event_names(&app.directory);
    assert_eq!(names[2..], ["dsync.user.updated", "dsync.user.updated", "dsync.user.deleted"]);
}

fn writes_on_me_take_conditions(app: &TestApp) {
    let (_, me) = ada(app);
    let send = |method: &str, tag: &str, body: Option<Value>| {
        me.send(method, "/Me", &[("If-Match", tag)], body.map(|body| body.to_string()))
    };
    send("PATCH", "W/\"1\"", Some(title("Dr"))).expect(200);
    send("PATCH", "W/\"1\"", Some(title("Prof"))).expect_scim_error(412, None);
    send("PUT", "W/\"1\"", Some(plain_user("x"))).expect_scim_error(412, None);
    send("DELETE", "W/\"1\"", None).expect_scim_error(412, None);
    assert_eq!(me.get("/Me").expect(200).body["title"], "Dr");
    send("PUT", "W/\"2\"", Some(plain_user("x"))).expect(200);
    send("DELETE", "W/\"3\"", None).expect(204);
}

fn me_is_404_when_the_user_is_gone(app: &TestApp) {
    let (id, me) = ada(app);
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    for (method, body) in [
        ("GET", None),
        ("PUT", Some(plain_user("ada"))),
        ("PATCH", Some(title("Dr"))),
        ("DELETE", None),
    ] {
        let answer = me.send(method, "/Me", &[], body.map(|body| body.to_string()));
        answer.expect_scim_error(404, None);
    }
    // The same name later is somebody else.
    create(&app.scim, "/Users", plain_user("ada"));
    me.get("/Me").expect_scim_error(404, None);
}

fn token_without_a_user_has_no_me(app: &TestApp) {
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let body = matches!(method, "POST" | "PUT" | "PATCH").then(|| "{}".to_owned());
        let detail = app.scim.send(method, "/Me", &[], body).expect_scim_error(501, None);
        assert!(detail.contains("/Me"), "{detail}");
    }
    app.scim.with_bearer(None).get("/Me").expect_scim_error(401, None);
}

fn me_cannot_be_created(app: &TestApp) {
    let (id, me) = ada(app);
    let answer = me.post("/Me", plain_user("new"));
    assert_eq!(answer.header("allow"), Some("GET, HEAD, PUT, PATCH, DELETE"));
    assert_located(app, &answer, &id);
    answer.expect_scim_error(405, None);
    assert_eq!(app.scim.get("/Users?count=0").total(), 1);
}

fn read_only_token_only_reads_me(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada"));
    let me = client_of(app, &id, "read");
    let before = me.get("/Me").expect(200).body;
    me.put("/Me", plain_user("x")).expect_scim_error(403, None);
    me.patch("/Me", title("Dr")).expect_scim_error(403, None);
    me.delete("/Me").expect_scim_error(403, None);
    assert_eq!(me.get("/Me").expect(200).body, before);
}

fn nothing_lies_below_me(app: &TestApp) {
    let (id, me) = ada(app);
    for path in ["/Me/x", "/Me/.search", "/Me/x/y", &format!("/Me/{id}")] {
        me.get(path).expect_scim_error(404, None);
    }
}

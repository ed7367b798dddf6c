//! A directory into which an identity provider pushes: states, tokens, requests, members, brake, end.

use serde_json::json;

use super::{code_after, done, hides, path, shows};
use crate::on_both_databases;
use crate::support::{Client, TestApp, group, patch, user};

on_both_databases![
    states_are_said_in_words_and_set,
    tokens_are_made_replaced_and_revoked,
    oauth_clients_are_made_and_deleted,
    request_shows_what_arrived_and_what_came_of_it,
    requests_are_narrowed,
    members_are_listed,
    brake_is_set_undone_and_released,
    deletion_shows_first_what_goes,
];

fn states_are_said_in_words_and_set(app: &TestApp) {
    let browser = app.signed_in("operator");
    let fresh = browser.get(&path(app)).expect(200);
    shows(&fresh, &["Nothing has arrived yet", &app.directory.base_url, "none yet"]);
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let told = app.scim.post("/Users", user("ada@example.com")).expect(409);
    let detail = told.body["detail"].as_str().expect("a sentence").replace('"', "&#34;");
    let page = browser.get(&path(app)).expect(200);
    shows(&page, &["<div class=\"figure\">1</div>active users", "Last refused request", &detail]);
    let state = format!("{}/state", path(app));
    let paused = done(&browser, &state, &[("state", "paused")]);
    shows(&paused, &["The directory is paused.", "answered with 503", "Resume"]);
    app.scim.get("/Users").expect(503);
    shows(&done(&browser, &state, &[("state", "linked")]), &["The directory goes on."]);
    app.scim.get("/Users").expect(200);
    shows(&done(&browser, &state, &[("state", "disabled")]), &["answered with 403"]);
    browser.submit(&state, &[("state", "deleting")]).expect(422);
}

fn tokens_are_made_replaced_and_revoked(app: &TestApp) {
    let browser = app.signed_in("operator");
    let tokens = format!("{}/tokens", path(app));
    let made = browser.submit(&tokens, &[("scope", "read"), ("expires_on", "2099-01-01")]);
    let made = made.expect(201);
    let secret = code_after(&made, "New token").to_owned();
    let reader = Client::new(&app.directory.base_url, &secret, "application/scim+json");
    reader.get("/Users").expect(200);
    reader.post("/Users", user("ada@example.com")).expect(403);
    let page = browser.get(&tokens).expect(200);
    shows(&page, &["All of these let in at the same time", "2099-01-01T23:59:59", ">no end<"]);
    hides(&page, &[&secret]);

    let rotate = format!("{tokens}/{}/rotate", app.directory.token_id);
    let rotated = browser.submit(&rotate, &[("overlap", "604800")]).expect(201);
    shows(&rotated, &["The token before it lets in until"]);
    let next = Client::new(
        &app.directory.base_url,
        code_after(&rotated, "New token"),
        "application/scim+json",
    );
    next.get("/Users").expect(200);
    app.scim.get("/Users").expect(200);
    let revoke = format!("{tokens}/{}/revoke", app.directory.token_id);
    shows(&done(&browser, &revoke, &[]), &["The token is revoked."]);
    app.scim.get("/Users").expect(401);
    next.get("/Users").expect(200);
    shows(&browser.submit(&tokens, &[("expires_on", "soon")]).expect(422), &["expires_at"]);
    browser.submit(&revoke, &[]).expect(404);
}

fn oauth_clients_are_made_and_deleted(app: &TestApp) {
    let browser = app.signed_in("operator");
    let clients = format!("{}/oauth_clients", path(app));
    let made = browser.submit(&clients, &[("name", "Their client"), ("scope", "write")]);
    let made = made.expect(201);
    let (id, secret) =
        (code_after(&made, "Client id").to_owned(), code_after(&made, "Client secret").to_owned());
    let page = browser.get(&format!("{}/tokens", path(app))).expect(200);
    shows(&page, &["Their client", &id]);
    hides(&page, &[&secret]);
    let refused = browser.submit(&clients, &[("jwks", "{")]).expect(422);
    shows(&refused, &["jwks: it is not JSON"]);
    let gone = done(&browser, &format!("{clients}/{id}/delete"), &[]);
    shows(&gone, &["The OAuth client is deleted"]);
    hides(&gone, &["Their client"]);
}

fn request_shows_what_arrived_and_what_came_of_it(app: &TestApp) {
    let mut ada = user("ada@example.com");
    ada["active"] = "True".into();
    ada["shoeSize"] = 41.into();
    app.scim.post("/Users", ada).expect(201);
    let list = app.api.get(&format!("/api/v1/directories/{}/requests", app.directory.id)).body;
    let record = list["data"][0]["id"].as_str().expect("an id").to_owned();
    let event = list["data"][0]["event_ids"][0].as_str().expect("an event").to_owned();
    let browser = app.signed_in("operator");
    let requests = browser.get(&format!("{}/requests", path(app))).expect(200);
    shows(&requests, &["POST /scim/v2/", &record, "ada@example.com", "sse:requests:"]);
    let page = format!("{}/requests/{record}", path(app));
    let shown = browser.get(&page).expect(200);
    shows(
        &shown,
        &["&#34;True&#34;", "boolean_text", "shoeSize", "was left out", "userName", &event, "201"],
    );
    let again = browser.submit(&format!("{page}/replay"), &[("profile", "")]).expect(200);
    shows(&again, &["it would be answered with 201 now", "Everything is as it was then."]);
    let strict = browser.submit(&format!("{page}/replay"), &[("profile", "strict")]).expect(200);
    shows(
        &strict,
        &["By the profile of strict", "It differs from then in:", "<th scope=\"row\">status</th>"],
    );
    assert_eq!(app.scim.get("/Users").total(), 1);
    let odd = browser.submit(&format!("{page}/replay"), &[("profile", "none")]).expect(422);
    shows(&odd, &["profile: it is &#34;none&#34;"]);
}

fn requests_are_narrowed(app: &TestApp) {
    let browser = app.signed_in("viewer");
    let requests = format!("{}/requests", path(app));
    shows(&browser.get(&requests).expect(200), &["Nothing has arrived."]);
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    app.scim.post("/Users", user("ada@example.com")).expect(409);
    app.scim.delete("/Users/none").expect(404);
    let rows = |query: &str| {
        let page = browser.get(&format!("{requests}?{query}")).expect(200);
        page.text.matches("<th scope=\"row\"><a ").count()
    };
    assert_eq!((rows(""), rows("status=4xx"), rows("status=409")), (3, 2, 1));
    assert_eq!((rows("method=POST"), rows("user=ADA%40example.com"), rows("text=none")), (2, 2, 1));
    shows(
        &browser.get(&format!("{requests}?method=PUT")).expect(200),
        &["No request is like this."],
    );
    shows(&browser.get(&format!("{requests}?status=odd")).expect(422), &["status: it is"]);
}

fn members_are_listed(app: &TestApp) {
    let settings = json!({"profile": {"hold_unknown_members": true}});
    app.settings(&app.directory, settings);
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    app.scim.post("/Groups", group("Staff", &[&ada])).expect(201);
    app.scim.post("/Groups", group("Heads", &["who-is-to-come"])).expect(201);
    let browser = app.signed_in("viewer");
    let members = format!("{}/members", path(app));
    shows(&browser.get(&members).expect(200), &["ada@example.com", &ada, "badge-active"]);
    shows(&browser.get(&format!("{members}?of=groups")).expect(200), &["Staff", "Heads"]);
    let waiting = browser.get(&format!("{members}?of=pending")).expect(200);
    shows(&waiting, &["who-is-to-come", "Heads"]);
}

fn brake_is_set_undone_and_released(app: &TestApp) {
    let browser = app.signed_in("operator");
    let brake = format!("{}/brake", path(app));
    let limits = [
        ("mode", "hold"),
        ("users.at_least", "3"),
        ("users.more_than", "20"),
        ("users.percent", "10"),
        ("memberships.at_least", "10"),
        ("memberships.more_than", "20"),
        ("memberships.percent", "10"),
        ("role_groups", "1"),
    ];
    shows(&done(&browser, &brake, &limits), &["The brake is set.", "Nothing waits"]);
    let wrong: Vec<_> =
        limits.iter().map(|(n, v)| (*n, if *n == "users.percent" { "x" } else { v })).collect();
    shows(&browser.submit(&brake, &wrong).expect(422), &["role=\"alert\"", "invalid type"]);

    let names = ["a@example.com", "b@example.com", "c@example.com", "d@example.com"];
    let ids = names.map(|name| app.scim.post("/Users", user(name)).expect(201).id());
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    for id in &ids[..3] {
        app.scim.patch(&format!("/Users/{id}"), patch(off.clone())).expect(200);
    }
    let page = browser.get(&brake).expect(200);
    shows(&page, &["taken away more than the limits", "Undo: what would come back", "Release"]);
    shows(&browser.get(&path(app)).expect(200), &["<strong>brake</strong>", "Decide"]);
    let undo = browser.get(&format!("{brake}/undo")).expect(200);
    // What went before too much was gone has been told.
    shows(&undo, &["Put back what was taken away?", ">c@example.com</a>", &ids[2], "inactive"]);
    assert_eq!(app.scim.get(&format!("/Users/{}", ids[2])).body["active"], false);
    let undone = done(&browser, &format!("{brake}/undo"), &[]);
    shows(&undone, &["What was taken away is being put back."]);
    app.wait(app.service().finish_brakes()).expect("an undo");
    assert_eq!(app.scim.get(&format!("/Users/{}", ids[2])).body["active"], true);
    browser.submit(&format!("{brake}/release"), &[]).expect(409);
}

fn deletion_shows_first_what_goes(app: &TestApp) {
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let browser = app.signed_in("operator");
    let delete = format!("{}/delete", path(app));
    let page = browser.get(&delete).expect(200);
    shows(
        &page,
        &["1 active user", "Its tokens and OAuth clients die at once", "cannot be undone"],
    );
    let refused = browser.submit(&delete, &[("name", "something else")]).expect(422);
    shows(&refused, &["the name of the directory"]);
    app.scim.get("/Users").expect(200);
    let view = app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).expect(200).body;
    let name = view["name"].as_str().expect("a name");
    shows(&done(&browser, &delete, &[("name", name)]), &["The directory is being deleted."]);
    app.scim.get("/Users").expect(401);
}

//! The list: narrowed, paged; a new directory of each kind.

use serde_json::json;

use super::{code_after, done, hides, shows};
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::{Client, TestApp, user};

on_both_databases![
    list_is_narrowed_by_state_kind_and_name,
    list_is_paged,
    pushed_directory_shows_its_token_once,
    read_directory_is_made_with_the_fields_of_its_source,
    names_are_escaped,
];

#[track_caller]
fn make(app: &TestApp, name: &str, kind: &str) -> String {
    let body = json!({
        "organization_id": app.directory.organization_id, "name": name, "kind": kind,
    });
    app.api.post("/api/v1/directories", body).expect(201).id()
}

fn list_is_narrowed_by_state_kind_and_name(app: &TestApp) {
    make(app, "Älpha Okta", "scim.okta");
    let beta = make(app, "Beta Entra", "scim.entra");
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    app.api.patch(&format!("/api/v1/directories/{beta}"), json!({"state": "paused"})).expect(200);
    let names = |query: &str| {
        let list = app.api.get(&format!("/api/v1/directories?{query}")).expect(200).body;
        let rows = list["data"].as_array().expect("a list").iter();
        rows.map(|row| row["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("search=%C3%84LPHA"), ["Älpha Okta"]);
    assert_eq!(names("state=paused"), ["Beta Entra"]);
    assert_eq!(names("kind=scim.okta"), ["Älpha Okta"]);
    assert_eq!(names("kind=scim.okta&state=paused"), [""; 0]);
    assert_invalid(&app.api.get("/api/v1/directories?state=off"), "state");
    assert_invalid(&app.api.get("/api/v1/directories?kind=scim.none"), "kind");
    let own = app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).expect(200).body;
    assert_eq!(own["metadata"], json!({"users": {"active": 1, "inactive": 0}, "groups": 0}));

    let browser = app.signed_in("viewer");
    let all = browser.get("/console/directories").expect(200);
    shows(&all, &["Älpha Okta", "Beta Entra", "badge-paused", "<h1>Directories</h1>"]);
    hides(&all, &["New directory"]);
    let paused = browser.get("/console/directories?state=paused").expect(200);
    shows(&paused, &["Beta Entra", "Show all"]);
    hides(&paused, &["Älpha Okta"]);
    let none = browser.get("/console/directories?search=nobody").expect(200);
    shows(&none, &["No directory is like this."]);
    shows(&browser.get("/console/directories?state=off").expect(422), &["allowed is one of"]);
}

fn list_is_paged(app: &TestApp) {
    for n in 0..51 {
        make(app, &format!("Number {n:02}"), "scim.generic");
    }
    let browser = app.signed_in("viewer");
    let first = browser.get("/console/directories?search=number").expect(200);
    shows(&first, &["Number 50", "Number 01", "rel=\"next\""]);
    hides(&first, &["Number 00", "rel=\"prev\""]);
    let (_, rest) = first.text.split_once("rel=\"next\" href=\"").expect("a link");
    let next = rest.split('"').next().expect("its end").replace("&amp;", "&").replace("&#38;", "&");
    let second = browser.get(&format!("/console/directories{next}")).expect(200);
    shows(&second, &["Number 00", "rel=\"prev\""]);
    hides(&second, &["Number 01", "rel=\"next\""]);
}

fn pushed_directory_shows_its_token_once(app: &TestApp) {
    let browser = app.signed_in("operator");
    let organization = app.directory.organization_id.as_str();
    shows(&browser.get("/console/directories/new").expect(200), &[organization, "pull.csv"]);
    let form = format!("/console/directories/new?organization_id={organization}&kind=scim.okta");
    shows(&browser.get(&form).expect(200), &["name=\"name\"", "Make the directory"]);
    let fields = [("organization_id", organization), ("kind", "scim.okta"), ("name", "New Okta")];
    let made = browser.submit("/console/directories/new", &fields).expect(201);
    let (base, token) = (code_after(&made, "Base URL"), code_after(&made, "Token</h2>"));
    let scim = Client::new(base, token, "application/scim+json");
    scim.post("/Users", user("ada@example.com")).expect(201);
    let list = browser.get("/console/directories").expect(200);
    shows(&list, &["New Okta"]);
    hides(&list, &[token]);
    let nameless = [("organization_id", organization), ("kind", "scim.okta"), ("name", " ")];
    let refused = browser.submit("/console/directories/new", &nameless).expect(422);
    shows(&refused, &["name: it must not be empty."]);
}

fn read_directory_is_made_with_the_fields_of_its_source(app: &TestApp) {
    let browser = app.signed_in("operator");
    let organization = app.directory.organization_id.as_str();
    let form = format!("/console/directories/new?organization_id={organization}&kind=pull.scim");
    let page = browser.get(&form).expect(200);
    shows(&page, &["for=\"config-base-url\">Base URL (required)", "type=\"password\""]);
    let given = |base_url: &'static str| {
        [
            ("organization_id", organization),
            ("kind", "pull.scim"),
            ("name", "Elsewhere"),
            ("config.base_url", base_url),
            ("config.token", "a-secret-of-theirs"),
        ]
    };
    let refused = browser.submit("/console/directories/new", &given("")).expect(422);
    shows(&refused, &["value=\"Elsewhere\"", "id=\"config-base-url-fault\"", "it is required."]);
    hides(&refused, &["a-secret-of-theirs", "placeholder=\"stored\""]);
    let made = done(&browser, "/console/directories/new", &given("https://scim.example.com/v2"));
    shows(&made, &["The directory was made.", "<h1>Elsewhere"]);
    hides(&made, &["a-secret-of-theirs"]);
}

fn names_are_escaped(app: &TestApp) {
    let id = make(app, "<script>alert(1)</script>", "scim.generic");
    let browser = app.signed_in("owner");
    for page in ["", "/profile", "/mapping", "/tokens", "/requests", "/members", "/settings"] {
        let page = browser.get(&format!("/console/directories/{id}{page}")).expect(200);
        shows(&page, &["alert(1)"]);
        hides(&page, &["<script>alert"]);
    }
    hides(&browser.get("/console/directories").expect(200), &["<script>alert"]);
}

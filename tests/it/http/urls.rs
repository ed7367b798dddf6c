//! URLs as identity providers write them.

use serde_json::json;

use super::{create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Client, TestApp, patch};

on_both_databases![
    slashes_more_than_needed_are_passed_over,
    trailing_delimiters_of_a_query_are_passed_over,
    unknown_parameters_are_passed_over_and_names_have_no_letter_case,
    page_with_a_slash_behind_it_leads_to_the_page,
    unknown_path_behind_doubled_slashes_is_a_scim_error,
];

/// The SCIM client with paths from the server's address on.
fn at_the_server(app: &TestApp) -> Client {
    let mut client = app.scim.clone();
    client.base.clone_from(&app.url);
    client
}

fn slashes_more_than_needed_are_passed_over(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada@example.com"));
    let key = &app.directory.external_key;
    for path in [
        format!("/scim/v2/{key}//Users//{id}/"),
        format!("//scim/v2/{key}/Users/{id}"),
        format!("///scim//v2//{key}//Users/{id}"),
        format!("//scim/v2/Users/{id}"),
        format!("//scim/{key}/users/{id}"),
    ] {
        let client = at_the_server(app);
        let answer = client.get(&path).expect(200);
        assert_eq!(answer.id(), id, "{path}");
        // Links are those of the base URL that was given out.
        let location = answer.body["meta"]["location"].as_str().expect("a link");
        assert_eq!(location, format!("{}/Users/{id}", app.directory.base_url), "{path}");
    }
}

fn page_with_a_slash_behind_it_leads_to_the_page(app: &TestApp) {
    let browser = app.signed_in("viewer");
    for (path, page) in [
        ("/console/", "/console"),
        ("/console/people//?q=a&after=", "/console/people?q=a&after="),
        ("//setup/rbl_1/", "/setup/rbl_1"),
        ("/setup/", "/setup"),
    ] {
        let answer = browser.get(path).expect(308);
        assert_eq!(answer.header("location"), Some(page), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    browser.get("/console/nothing").expect(404);
    at_the_server(app).get("/api/v1/organizations/").expect(404);
}

fn trailing_delimiters_of_a_query_are_passed_over(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada@example.com"));
    for query in [
        "filter=userName+eq+%22ada%40example.com%22&",
        "&filter=userName%20eq%20%22ada@example.com%22",
        "filter=userName+eq+%22ADA@example.com%22&&count=10&",
        "filter=&",
        "",
        "&",
    ] {
        let list = app.scim.get(&format!("/Users?{query}"));
        assert_eq!(texts(&list, "userName"), ["ada@example.com"], "{query}");
    }
    let title = patch(json!([{"op": "replace", "path": "title", "value": "Dr"}]));
    let patched = app.scim.patch(&format!("/Users/{id}?"), title).expect(200);
    assert_eq!(patched.body["title"], "Dr");
    let put = app.scim.put(&format!("/Users/{id}?&"), plain_user("ada@example.com")).expect(200);
    assert_eq!(put.body["title"], json!(null));
}

fn unknown_parameters_are_passed_over_and_names_have_no_letter_case(app: &TestApp) {
    for name in ["ada", "ben", "cleo"] {
        create(&app.scim, "/Users", plain_user(name));
    }
    let list =
        app.scim.get("/Users?aadOptscim062020&startindex=0&COUNT=2&Filter=username+sw+%22%22");
    assert_eq!(list.total(), 3);
    assert_eq!((list.body["startIndex"].clone(), list.ids().len()), (json!(1), 2));
}

fn unknown_path_behind_doubled_slashes_is_a_scim_error(app: &TestApp) {
    let client = at_the_server(app);
    for path in ["//scim/v2/a/b/c/d", "//scimitar", "/scim/v2/a/b/c/d"] {
        client.get(path).expect_scim_error(404, None);
    }
    let stranger = client.with_bearer(None);
    stranger.get("//scim/v2/Users").expect_scim_error(401, None);
}

//! Who may do what, and what is not there.

use super::{path, shows};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    viewers_look_and_do_not_act,
    forms_of_another_page_change_nothing,
    what_is_not_there_is_a_page_that_says_so,
];

/// Everything that is done with a form.
const FORMS: [&str; 14] = [
    "/state",
    "/delete",
    "/disconnect",
    "/brake",
    "/brake/release",
    "/brake/undo",
    "/profile",
    "/settings",
    "/name",
    "/attribute_map",
    "/role_map",
    "/tokens",
    "/oauth_clients",
    "/requests/req_1/replay",
];

fn viewers_look_and_do_not_act(app: &TestApp) {
    let browser = app.signed_in("viewer");
    let before = app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).body;
    for page in [
        "",
        "/profile",
        "/mapping",
        "/tokens",
        "/requests",
        "/members",
        "/settings",
        "/brake",
        "/disconnect",
    ] {
        let page = browser.get(&format!("{}{page}", path(app))).expect(200);
        let (_, main) = page.text.split_once("<main").expect("the content");
        assert!(!main.contains("method=\"post\""), "{main}");
    }
    for form in FORMS {
        let refused = browser.submit(&format!("{}{form}", path(app)), &[("state", "paused")]);
        shows(&refused.expect(403), &["This needs the role operator"]);
    }
    shows(&browser.get("/console/directories/new").expect(403), &["operator"]);
    let after = app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).body;
    assert_eq!(before, after);
}

fn forms_of_another_page_change_nothing(app: &TestApp) {
    let browser = app.signed_in("operator");
    for form in FORMS {
        let path = format!("{}{form}", path(app));
        let refused = browser.post(&path, &[("proof", "forged"), ("state", "paused")]);
        shows(&refused.expect(403), &["does not belong to this session"]);
    }
    let view = app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).body;
    assert_eq!(view["state"], "linked");
}

fn what_is_not_there_is_a_page_that_says_so(app: &TestApp) {
    let browser = app.signed_in("owner");
    for end in ["", "/profile", "/tokens", "/requests", "/runs", "/settings", "/delete"] {
        let page = browser.get(&format!("/console/directories/directory_none{end}")).expect(404);
        shows(&page, &["The directory was not found."]);
    }
    shows(&browser.get(&format!("{}/requests/req_none", path(app))).expect(404), &["not found"]);
    shows(&browser.get(&format!("{}/runs", path(app))).expect(409), &["there is nothing to read"]);
    browser.get("/console/directories/%00").expect(404);
    browser.get(&format!("{}/members?of=nothing&after=%27", path(app))).expect(200);
    browser.get(&format!("{}/requests?status=odd", path(app))).expect(422);
    browser.get("/console/directories?limit=9999999&after=x&before=y").expect(422);
}

//! The end of a connection by the console.

use serde_json::{Value, json};

use super::{done, path, shows};
use crate::on_both_databases;
use crate::support::{TestApp, user};

on_both_databases![operator_freezes_takes_access_away_and_hands_over];

fn operator_freezes_takes_access_away_and_hands_over(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let browser = app.signed_in("operator");
    let at = format!("{}/disconnect", path(app));
    shows(&browser.get(&path(app)).expect(200), &["Disconnect…"]);
    shows(&browser.get(&at).expect(200), &["1 active user", "There is no other directory"]);
    shows(&done(&browser, &at, &[("mode", "freeze")]), &["The directory is frozen."]);
    app.scim.post("/Users", user("bob@example.com")).expect(403);

    let body = json!({"organization_id": app.directory.organization_id, "name": "New provider",
        "kind": "scim.generic"});
    let new = app.api.post("/api/v1/directories", body).expect(201).id();
    let page = browser.get(&format!("{at}?to={new}")).expect(200);
    shows(&page, &["1 user and 0 groups go along", "Hand everybody over"]);
    let refused = browser.submit(&at, &[("mode", "hand_over"), ("to", "directory_1")]);
    shows(&refused.expect(422), &["no directory of the same organization"]);
    browser.submit(&at, &[("mode", "hand_over"), ("to", &new)]).expect(303);
    app.wait(app.service().finish_disconnects()).expect("done");
    let seen = app.api.get(&format!("/directory_users/{ada}")).expect(200).body;
    assert_eq!(seen["directory_id"], json!(new));
    let rows = app.api.get("/api/v1/audit?action=directory.disconnected").expect(200).body;
    assert_eq!(rows["data"][0]["after"]["to"], json!(new));
    assert_eq!(rows["data"][0]["actor"]["type"], "administrator");

    let at = format!("/console/directories/{new}/disconnect");
    browser.submit(&at, &[("mode", "deprovision")]).expect(303);
    app.wait(app.service().finish_disconnects()).expect("done");
    app.purge();
    let left: Value = app.api.get(&format!("/api/v1/directories/{new}")).expect(404).body;
    assert_eq!(left["code"], "entity_not_found");
}

//! What people decide leaves rows: about brakes, held runs and who is the same person.

use serde_json::{Value, json};

use super::newest;
use crate::http::plain_user;
use crate::on_both_databases;
use crate::support::{Client, TestApp, user};

on_both_databases![brakes, held_runs, identities];

#[track_caller]
fn decided(app: &TestApp, path: &str, action: &str) -> Value {
    app.api.post(&format!("/api/v1{path}"), json!({})).expect(200);
    let row = newest(app);
    assert_eq!(row["action"], action, "{row}");
    row
}

/// Takes so much away that the brake of the test's directory holds.
fn hold(app: &TestApp, names: [&str; 3]) {
    let ids = names.map(|name| app.scim.post("/Users", plain_user(name)).expect(201).id());
    for id in ids {
        app.scim.delete(&format!("/Users/{id}")).expect(204);
    }
}

fn brakes(app: &TestApp) {
    let path = format!("/directories/{}/brake", app.directory.id);
    let limit = json!({"at_least": 1, "more_than": 1, "percent": 100});
    let tight = json!({"mode": "hold", "limits": {"users": limit, "memberships": limit}});
    app.api.put(&format!("/api/v1{path}"), tight).expect(200);
    hold(app, ["a", "b", "c"]);
    let dry = json!({"dry_run": true});
    app.api.post(&format!("/api/v1{path}/undo"), dry).expect(200);
    assert_eq!(newest(app)["action"], "brake.changed", "a dry run changes nothing");
    let row = decided(app, &format!("{path}/undo"), "brake.undone");
    assert_eq!(row["after"]["state"], "undoing");
    hold(app, ["d", "e", "f"]);
    let row = decided(app, &format!("{path}/release"), "brake.released");
    assert_eq!(row["before"]["state"], "holding");
    assert_eq!(row["directory_id"], json!(app.directory.id));
}

fn held_runs(app: &TestApp) {
    let organization = &app.directory.organization_id;
    let body = json!({"organization_id": organization, "name": "Staff", "kind": "pull.csv"});
    let id = app.api.post("/api/v1/directories", body).expect(201).id();
    let path = format!("/directories/{id}");
    let run = |users: &str| {
        let headers = [("Content-Type", "text/csv")];
        let file = format!("/api/v1{path}/files/users");
        app.api.send("PUT", &file, &headers, Some(users.to_owned())).expect(200);
        let run = app.api.post(&format!("/api/v1{path}/sync"), json!({})).expect(202).id();
        let ended = format!("/api/v1{path}/syncs/{run}?wait=30");
        (run, app.api.get(&ended).expect(200).body["status"].clone())
    };
    assert_eq!(run("id,userName\n1,a@example.com\n2,b@example.com\n").1, "completed");
    for (verb, action) in [("reject", "sync.rejected"), ("approve", "sync.approved")] {
        let (run, status) = run("id,userName\n");
        assert_eq!(status, "held");
        let row = decided(app, &format!("{path}/syncs/{run}/{verb}"), action);
        assert_eq!((&row["target"]["id"], &row["before"]["status"]), (&json!(run), &json!("held")));
    }
}

fn identities(app: &TestApp) {
    let id = app.api.post("/organizations", json!({"name": "Company"})).expect(201).id();
    assert_eq!(newest(app)["action"], "organization.created", "also through the read API");
    let path = format!("/organizations/{id}");
    let primary = json!({"directory_id": null});
    app.api.put(&format!("/api/v1{path}/primary_directory"), primary).expect(200);
    let users: Vec<String> = ["a@example.com", "b@example.com"]
        .map(|email| {
            let body = json!({"organization_id": id, "name": "Office", "kind": "scim.generic"});
            let made = app.api.post("/api/v1/directories", body).expect(201).body;
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let base = text(&made["scim"]["base_url"]);
            let token = text(&made["token"]["secret"]);
            let scim = Client::new(&base, &token, "application/scim+json");
            let mut body = user("Ada Lane");
            body["name"] = json!({"formatted": "Ada Lane"});
            body["emails"] = json!([{"value": email, "primary": true}]);
            scim.post("/Users", body).expect(201).id()
        })
        .into();
    let list = app.api.get(&format!("/api/v1{path}/identity_suggestions")).expect(200).body;
    let suggestion = list["data"][0]["id"].as_str().expect("a suggestion").to_owned();
    let at = format!("{path}/identity_suggestions/{suggestion}");
    let row = decided(app, &format!("{at}/reject"), "identity_suggestion.rejected");
    assert_eq!(
        (&row["before"]["state"], &row["after"]["state"]),
        (&json!("open"), &json!("rejected"))
    );
    decided(app, &format!("{at}/undo"), "identity_suggestion.undone");
    decided(app, &format!("{at}/accept"), "identity_suggestion.accepted");
    let list = format!("/api/v1{path}/identities?user_id={}", users[0]);
    let list = app.api.get(&list).expect(200).body;
    let identity = list["data"][0]["id"].as_str().expect("an identity");
    let unlink = format!("{path}/identities/{identity}/accounts/{}/unlink", users[1]);
    let row = decided(app, &unlink, "identity_account.unlinked");
    assert_eq!(row["before"], json!({"identity_id": identity}));
}

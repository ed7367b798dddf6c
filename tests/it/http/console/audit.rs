//! The pages of the audit log, identities and alarms.

use serde_json::json;

use super::page;
use crate::http::plain_user;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    what_is_done_in_the_console_stands_in_the_audit_log,
    alarm_leads_to_the_brake_that_is_decided_about,
    suggestions_are_decided_on_the_page_of_identities,
];

fn what_is_done_in_the_console_stands_in_the_audit_log(app: &TestApp) {
    let operator = app.signed_in("operator");
    let fields = [("name", "<b>Acme</b>"), ("external_id", "")];
    operator.submit("/console/organizations", &fields).expect(303);
    let text = page(operator.get("/console/audit?action=organization.created&q=acme"), 200);
    assert!(text.contains("<h1>Audit log</h1>") && text.contains("The operator"), "{text}");
    assert!(text.contains("&#60;b&#62;Acme") && !text.contains("<b>Acme"), "{text}");
    let viewer = app.signed_in("viewer");
    let text = page(viewer.get("/console/audit?q=nothing+like+this"), 200);
    assert!(text.contains("Nothing was found."), "{text}");
    // The fields of a form that was left empty.
    page(viewer.get("/console/audit?q=&action=&actor=&from=&to="), 200);
    page(viewer.get("/console/audit?from=2020-01-01&to=2021-01-01"), 200);
    page(viewer.get("/console/audit?from=yesterday"), 422);
    let answer =
        viewer.get("/console/audit/export?action=organization.created&format=csv").expect(200);
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(answer.text.contains(",\"administrator\",\"admin_"), "{}", answer.text);
    page(viewer.get("/console/audit/export?format=xml"), 422);
}

fn hold(app: &TestApp, names: [&str; 3]) {
    let ids = names.map(|name| app.scim.post("/Users", plain_user(name)).expect(201).id());
    for id in ids {
        app.scim.delete(&format!("/Users/{id}")).expect(204);
    }
}

fn alarm_leads_to_the_brake_that_is_decided_about(app: &TestApp) {
    let limit = json!({"at_least": 1, "more_than": 1, "percent": 100});
    let tight = json!({"mode": "hold", "limits": {"users": limit, "memberships": limit}});
    app.api.put(&format!("/api/v1/directories/{}/brake", app.directory.id), tight).expect(200);
    let operator = app.signed_in("operator");
    let text = page(operator.get("/console/alarms"), 200);
    assert!(text.contains("There is no such alarm."), "{text}");
    hold(app, ["a", "b", "c"]);
    let brake = format!("/console/directories/{}/brake", app.directory.id);
    let text = page(operator.get("/console/alarms"), 200);
    assert!(text.contains(&format!("href=\"{brake}\"")), "{text}");
    let directory = format!("<a href=\"/console/directories/{}\">Directory</a>", app.directory.id);
    assert!(text.contains(&directory), "{text}");
    assert!(page(operator.get("/console"), 200).contains(&directory));
    operator.submit(&format!("{brake}/release"), &[]).expect(303);
    let over = page(operator.get("/console/alarms?state=resolved"), 200);
    assert!(!over.contains(&brake), "{over}");
}

fn suggestions_are_decided_on_the_page_of_identities(app: &TestApp) {
    let organization = &app.directory.organization_id;
    let operator = app.signed_in("operator");
    assert!(page(operator.get("/console/identities"), 200).contains(organization));
    let one = format!("/console/identities/{organization}");
    let text = page(operator.get(&one), 200);
    assert!(text.contains("keeps no identities"), "{text}");
    let primary = format!("/api/v1/organizations/{organization}/primary_directory");
    app.api.put(&primary, json!({"directory_id": null})).expect(200);
    let body = json!({"organization_id": organization, "name": "Office", "kind": "scim.okta"});
    let made = app.api.post("/api/v1/directories", body).expect(201).body;
    let base = made["scim"]["base_url"].as_str().expect("a URL");
    let token = made["token"]["secret"].as_str().expect("a secret");
    let scim = crate::support::Client::new(base, token, "application/scim+json");
    let person = |email: &str| {
        let mut body = plain_user("Ada Lane");
        body["name"] = json!({"formatted": "Ada Lane"});
        body["emails"] = json!([{"value": email, "primary": true}]);
        body
    };
    app.scim.post("/Users", person("a@example.com")).expect(201);
    scim.post("/Users", person("b@example.com")).expect(201);
    let text = page(operator.get(&one), 200);
    assert!(text.contains("a@example.com<br><code class=\"quiet id\">identity_"), "{text}");
    let (_, rest) = text.split_once("/suggestions/").expect("a suggestion");
    let id = rest.split('/').next().expect("an id").to_owned();
    let at = format!("{one}/suggestions/{id}");
    page(operator.submit(&format!("{at}/forget"), &[]), 404);
    operator.submit(&format!("{at}/accept"), &[]).expect(303);
    page(operator.submit(&format!("{at}/accept"), &[]), 409);
    let text = page(operator.get(&format!("{one}?state=accepted")), 200);
    assert!(text.contains("/undo") && text.contains("/unlink"), "{text}");
    operator.submit(&format!("{at}/undo"), &[]).expect(303);
    assert!(page(operator.get(&one), 200).contains("/accept"));
    page(operator.get("/console/identities/org_1"), 404);
}

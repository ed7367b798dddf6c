//! The primary directory of an organization, chosen in the console.

use serde_json::json;

use super::page;
use crate::on_both_databases;
use crate::support::{TestApp, user};

on_both_databases![primary_directory_is_chosen_when_it_was_seen_what_follows];

fn primary_directory_is_chosen_when_it_was_seen_what_follows(app: &TestApp) {
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let (organization, directory) = (&app.directory.organization_id, &app.directory.id);
    let stored = || {
        let path = format!("/api/v1/organizations/{organization}/primary_directory");
        app.api.get(&path).expect(200).body
    };
    let operator = app.signed_in("operator");
    let all = format!("/console/identities/{organization}");
    let one = format!("{all}/primary");
    let off = page(operator.get(&all), 200);
    assert!(off.contains("keeps no identities") && off.contains(&one), "{off}");
    assert!(page(operator.get(&one), 200).contains("keeps no identities yet"));
    let text = page(operator.submit(&one, &[("directory_id", directory), ("do", "preview")]), 200);
    assert!(text.contains("This would change") && text.contains("Make it so"), "{text}");
    assert_eq!(stored()["identities"], "off", "it was looked at alone");
    let text =
        page(operator.submit(&one, &[("directory_id", "directory_1"), ("do", "store")]), 422);
    assert!(text.contains("role=\"alert\""), "{text}");
    let set = operator.submit(&one, &[("directory_id", directory), ("do", "store")]).expect(303);
    let text = page(operator.get(set.header("location").expect("a place")), 200);
    assert!(text.contains("The primary directory is chosen"), "{text}");
    assert_eq!(stored()["directory_id"], json!(directory));
    let viewer = app.signed_in("viewer");
    assert!(
        !page(viewer.get(&one), 200).contains("<form method=\"post\" action=\"/console/identities")
    );
    page(viewer.submit(&one, &[("directory_id", ""), ("do", "store")]), 403);
    assert_eq!(stored()["directory_id"], json!(directory));
}

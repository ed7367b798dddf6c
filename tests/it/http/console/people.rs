//! The pages of people and groups.

use super::page;
use crate::on_both_databases;
use crate::support::{TestApp, group, user};

on_both_databases![people_and_groups_are_found_and_shown];

fn people_and_groups_are_found_and_shown(app: &TestApp) {
    let ada = app.scim.post("/Users", user("<i>ada</i>")).expect(201).id();
    let team = app.scim.post("/Groups", group("Team", &[&ada])).expect(201).id();
    let viewer = app.signed_in("viewer");
    let (id, organization) = (&app.directory.id, &app.directory.organization_id);
    let directory = format!("<a href=\"/console/directories/{id}\">Directory</a>");
    let example = format!("<a href=\"/console/organizations/{organization}\">Example</a>");
    let text = page(viewer.get("/console/people"), 200);
    assert!(text.contains("<h1>People</h1>") && !text.contains("<h2>"), "{text}");
    let text = page(viewer.get("/console/people?q=%3Ci%3Ea&organization_id="), 200);
    assert!(text.contains(&format!("/console/people/{ada}")) && !text.contains("<i>"), "{text}");
    assert!(text.contains(&directory), "{text}");
    assert!(page(viewer.get("/console/people?q=nobody"), 200).contains("Nobody was found."));
    let text = page(viewer.get(&format!("/console/people/{ada}")), 200);
    assert!(text.contains(&format!("/console/groups/{team}")), "{text}");
    assert!(text.contains("dsync.user.created") && text.contains("/requests/req_"), "{text}");
    assert!(text.contains(&directory) && text.contains(&example), "{text}");
    page(viewer.get("/console/people/directory_user_1"), 404);
    let text = page(viewer.get("/console/groups?q=te"), 200);
    assert!(text.contains(&format!("/console/groups/{team}")), "{text}");
    assert!(text.contains(&directory), "{text}");
    let text = page(viewer.get(&format!("/console/groups/{team}")), 200);
    assert!(text.contains("<h1>Team</h1>") && text.contains(&ada), "{text}");
    assert!(text.contains(&directory) && text.contains(&example), "{text}");
    page(viewer.get("/console/groups/directory_group_1"), 404);
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    let text = page(viewer.get(&format!("/console/people/{ada}")), 200);
    assert!(text.contains("<h1>Deleted user</h1>"), "{text}");
}

//! `/directory_groups`.

use serde_json::json;

use super::super::{GROUP, NOW, api_error};
use super::each;
use crate::on_both_databases;
use crate::support::{TestApp, group, user};

on_both_databases![group_has_every_member, groups_are_found_by_directory_and_user];

fn group_has_every_member(app: &TestApp) {
    let body =
        json!({"schemas": [GROUP], "displayName": "Sales", "externalId": "g1", "unknown": 1});
    let sales = app.scim.post("/Groups", body).expect(201).id();
    let shown = app.api.get(&format!("/directory_groups/{sales}")).expect(200);
    let expected = json!({
        "object": "directory_group",
        "id": sales,
        "idp_id": "g1",
        "directory_id": app.directory.id,
        "organization_id": app.directory.organization_id,
        "name": "Sales",
        "raw_attributes": {
            "schemas": [GROUP], "id": sales, "displayName": "Sales", "externalId": "g1", "unknown": 1,
        },
        "created_at": NOW,
        "updated_at": NOW,
    });
    assert_eq!(shown.body, expected);
    let (_, told) = app.events(&app.directory).pop().expect("an event");
    assert_eq!(shown.body, told);
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    for id in ["directory_group_1", ada.as_str()] {
        api_error(&app.api.get(&format!("/directory_groups/{id}")), 404, "entity_not_found");
    }
}

fn groups_are_found_by_directory_and_user(app: &TestApp) {
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let ids: Vec<String> = (0..4)
        .map(|n| {
            let members: &[&str] = if n % 2 == 0 { &[&ada] } else { &[] };
            app.scim.post("/Groups", group(&format!("G{n}"), members)).expect(201).id()
        })
        .collect();
    let id = |n: usize| ids[n].clone();
    let directory = &app.directory.id;
    for (query, expected) in [
        (format!("directory={directory}"), vec![id(3), id(2), id(1), id(0)]),
        (format!("directory={directory}&limit=2&order=asc"), vec![id(0), id(1)]),
        (format!("user={ada}"), vec![id(2), id(0)]),
        (format!("user={ada}&directory={directory}&order=asc"), vec![id(0), id(2)]),
        (format!("user={ada}&after={}", id(1)), vec![id(0)]),
    ] {
        assert_eq!(each(app.api.get(&format!("/directory_groups?{query}")), "id"), expected);
    }
    let (other, _) = app.directory("scim.okta");
    for query in [
        "directory=directory_1".to_owned(),
        "user=directory_user_1".to_owned(),
        format!("user={ada}&directory={}", other.id),
    ] {
        let answer = app.api.get(&format!("/directory_groups?{query}"));
        api_error(&answer, 404, "entity_not_found");
    }
}

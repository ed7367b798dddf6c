//! Requests to the read API with a key of A's organization.

use serde_json::json;

use super::{Attack, Who};

pub(super) fn attacks() -> Vec<Attack> {
    [directories(), users(), groups(), organizations(), events(), portal(), webhooks()].concat()
}

fn operator(route: &'static str, method: &'static str, path: &str, status: u16) -> Attack {
    Attack::new(Who::Operator, route, method, path, status)
}

fn directories() -> Vec<Attack> {
    let (all, one) = ("/directories", "/directories/{id}");
    vec![
        operator(all, "GET", "/directories?limit=100", 200),
        operator(all, "GET", "/directories?organization_id={organization}", 200),
        operator(all, "GET", "/directories?organization_id={directory}", 200),
        operator(all, "GET", "/directories?after={directory}", 200),
        operator(all, "GET", "/directories?before={directory}", 200),
        operator(all, "GET", "/directories?search={external_key}", 200),
        operator(one, "GET", "/directories/{directory}", 404),
        operator(one, "GET", "/directories/{external_key}", 404),
        operator(one, "GET", "/directories/{organization}", 404),
        operator(one, "DELETE", "/directories/{directory}", 404),
        operator("/directories/{id}/sync", "POST", "/directories/{directory}/sync", 404)
            .body(json!({})),
    ]
}

fn users() -> Vec<Attack> {
    let (all, one) = ("/directory_users", "/directory_users/{id}");
    let mut attacks = vec![
        operator(one, "GET", "/directory_users/{user}", 404),
        operator(one, "GET", "/directory_users/{group}", 404),
    ];
    for (query, status) in [
        ("directory={directory}", 404),
        ("directory={external_key}", 404),
        ("directory={directory}&idp_id={user}", 404),
        ("directory={directory}&email=ada@example.com", 404),
        ("group={group}", 404),
        ("group={outer}", 404),
        ("group={user}", 404),
        ("directory={a_directory}&group={group}", 404),
        ("directory={directory}&group={a_group}", 404),
        ("directory={a_directory}&idp_id={user}", 200),
        ("directory={a_directory}&email={user}", 200),
        ("directory={a_directory}&after={user}", 200),
        ("directory={a_directory}&before={user}", 200),
        ("group={a_group}&after={user}", 200),
        ("group={a_group}&before={user}", 200),
        ("idp_id={user}", 422),
    ] {
        attacks.push(operator(all, "GET", &format!("/directory_users?{query}"), status));
    }
    attacks
}

fn groups() -> Vec<Attack> {
    let (all, one) = ("/directory_groups", "/directory_groups/{id}");
    let mut attacks = vec![
        operator(one, "GET", "/directory_groups/{group}", 404),
        operator(one, "GET", "/directory_groups/{user}", 404),
    ];
    for (query, status) in [
        ("directory={directory}", 404),
        ("user={user}", 404),
        ("user={group}", 404),
        ("directory={a_directory}&user={user}", 404),
        ("directory={directory}&user={a_user}", 404),
        ("directory={a_directory}&after={group}", 200),
        ("directory={a_directory}&before={group}", 200),
        ("user={a_user}&after={group}", 200),
        ("user={a_user}&before={group}", 200),
    ] {
        attacks.push(operator(all, "GET", &format!("/directory_groups?{query}"), status));
    }
    attacks
}

fn events() -> Vec<Attack> {
    vec![
        operator("/events", "GET", "/events?limit=100", 200),
        operator("/events", "GET", "/events?organization_id={organization}", 200),
    ]
}

fn portal() -> Vec<Attack> {
    let (make, revoke) = ("/portal/generate_link", "/portal/revoke_link");
    vec![
        operator(make, "POST", make, 404).body(json!({"organization": "{organization}"})),
        operator(make, "POST", make, 404).body(json!({"organization": "{directory}"})),
        operator(make, "POST", make, 404)
            .body(json!({"organization": "{organization}", "intent": "dsync"})),
        operator(revoke, "POST", revoke, 404).body(json!({"organization": "{organization}"})),
        operator(revoke, "POST", revoke, 404)
            .body(json!({"organization": "{organization}", "external_user_id": "1"})),
    ]
}

fn webhooks() -> Vec<Attack> {
    let (all, one) = ("/webhook_endpoints", "/webhook_endpoints/{id}");
    let theirs = "/webhook_endpoints/{hook}";
    let events = ["dsync.deleted"];
    vec![
        operator(all, "GET", "/webhook_endpoints?limit=100", 200),
        operator(all, "GET", "/webhook_endpoints?after={hook}", 200),
        operator(all, "GET", "/webhook_endpoints?before={hook}", 200),
        // The address of another organization's endpoint is free.
        operator(all, "POST", "/webhook_endpoints", 422)
            .body(json!({"endpoint_url": "{hook_url}", "events": []})),
        operator(one, "PATCH", theirs, 404).body(json!({"status": "enabled"})),
        operator(one, "PATCH", theirs, 404)
            .body(json!({"endpoint_url": "https://a.example.com/", "events": events})),
        operator(one, "DELETE", theirs, 404),
    ]
}

fn organizations() -> Vec<Attack> {
    let (all, one) = ("/organizations", "/organizations/{id}");
    let by_external_id = "/organizations/external_id/{external_id}";
    let theirs = "/organizations/{organization}";
    vec![
        operator(all, "GET", "/organizations?limit=100", 200),
        operator(all, "GET", "/organizations?after={organization}", 200),
        operator(all, "GET", "/organizations?before={organization}", 200),
        operator(all, "GET", "/organizations?search={organization_external_id}", 200),
        operator(all, "GET", "/organizations?domains=example.com", 200),
        operator(all, "POST", "/organizations", 403)
            .body(json!({"name": "Mine", "external_id": "{organization_external_id}"})),
        operator(one, "GET", theirs, 404),
        operator(one, "PUT", theirs, 404).body(json!({"name": "Mine"})),
        operator(one, "PUT", theirs, 404).body(json!({"domain_data": [{"domain": "a.example"}]})),
        operator(one, "PUT", "/organizations/{a_organization}", 403)
            .body(json!({"external_id": "{organization_external_id}"})),
        operator(one, "DELETE", theirs, 404),
        operator(
            by_external_id,
            "GET",
            "/organizations/external_id/{organization_external_id}",
            404,
        ),
        operator(by_external_id, "GET", "/organizations/external_id/{organization}", 404),
    ]
}

//! Requests to the management API with a key of A's organization, and to what needs no key.

use serde_json::{Value, json};

use super::{Attack, Who};

pub(super) fn attacks() -> Vec<Attack> {
    [
        organizations(),
        directories(),
        parts(),
        requests(),
        brakes(),
        events(),
        tokens(),
        oauth_clients(),
        keys(),
        open(),
    ]
    .concat()
}

fn operator(route: &'static str, method: &'static str, path: &str, status: u16) -> Attack {
    Attack::new(Who::Operator, route, method, format!("/api/v1{path}"), status)
}

fn organizations() -> Vec<Attack> {
    let (all, one) = ("/organizations", "/organizations/{id}");
    let theirs = "/organizations/{organization}";
    vec![
        operator(all, "GET", "/organizations?limit=500", 200),
        operator(all, "GET", "/organizations?after={organization}", 200),
        operator(all, "GET", "/organizations?before={organization}", 200),
        operator(all, "POST", "/organizations", 403)
            .body(json!({"name": "Mine", "external_id": "{organization_external_id}"})),
        operator(one, "GET", theirs, 404),
        operator(one, "PATCH", theirs, 404).body(json!({"name": "Mine"})),
        operator(one, "PATCH", theirs, 404).body(json!({"external_id": null})),
        operator(one, "DELETE", theirs, 404),
        operator(one, "GET", "/organizations/{organization_external_id}", 404),
        operator(one, "GET", "/organizations/{directory}", 404),
        // A's own organization under B's number.
        operator(one, "PATCH", "/organizations/{a_organization}", 403)
            .body(json!({"external_id": "{organization_external_id}"})),
    ]
}

fn directories() -> Vec<Attack> {
    let (all, one) = ("/directories", "/directories/{id}");
    let theirs = "/directories/{directory}";
    let new = |organization: &str| json!({"organization_id": organization, "name": "Mine", "kind": "scim.okta"});
    let mut attacks = vec![
        operator(all, "GET", "/directories?limit=500", 200),
        operator(all, "GET", "/directories?organization_id={organization}", 422),
        operator(all, "GET", "/directories?organization_id={directory}", 422),
        operator(all, "GET", "/directories?after={directory}", 200),
        operator(all, "GET", "/directories?before={directory}", 200),
        operator(all, "POST", "/directories", 404).body(new("{organization}")),
        operator(all, "POST", "/directories", 404).body(new("{organization_external_id}")),
        operator(one, "GET", theirs, 404),
        operator(one, "GET", "/directories/{external_key}", 404),
        operator(one, "GET", "/directories/{organization}", 404),
        operator(one, "DELETE", theirs, 404),
    ];
    for change in [
        json!({"name": "Mine"}),
        json!({"state": "disabled"}),
        json!({"settings": {"profile": {"bulk": false}}}),
    ] {
        attacks.push(operator(one, "PATCH", theirs, 404).body(change));
    }
    // There is no way to move a directory into another organization.
    let moved = json!({"organization_id": "{organization}"});
    attacks.push(operator(one, "PATCH", "/directories/{a_directory}", 422).body(moved));
    attacks
}

/// What hangs below a directory: each route with B's directory.
fn parts() -> Vec<Attack> {
    let values = || Some(json!({"data": [{"value": "mine"}]}));
    let table: [(&'static str, &'static str, Option<Value>); 13] = [
        ("/directories/{id}/schemas", "GET", None),
        ("/directories/{id}/schemas", "PUT", Some(json!({}))),
        ("/directories/{id}/roles", "GET", None),
        ("/directories/{id}/roles", "PUT", values()),
        ("/directories/{id}/entitlements", "GET", None),
        ("/directories/{id}/entitlements", "PUT", values()),
        ("/directories/{id}/profile", "GET", None),
        ("/directories/{id}/profile", "PUT", Some(json!({"overrides": {"bulk": false}}))),
        ("/directories/{id}/profile", "PATCH", Some(json!({"overrides": {"bulk": false}}))),
        ("/directories/{id}/settings/preview", "POST", Some(json!({"settings": {}}))),
        ("/directories/{id}/pending_members", "GET", None),
        ("/directories/{id}/test", "POST", None),
        ("/directories/{id}/sync", "POST", None),
    ];
    let mut attacks = Vec::new();
    for (route, method, body) in table {
        let path = route.replace("{id}", "{directory}");
        let attack = operator(route, method, &path, 404);
        attacks.push(Attack { body, ..attack });
        // A's own directory shows nothing of B's.
        if method == "GET" {
            let own = route.replace("{id}", "{a_directory}");
            attacks.push(operator(route, method, &own, 200));
        }
    }
    // Names that B has are free for A.
    let schemas = json!({
        "schemas": [{"id": "{gadget_urn}", "name": "Gadget", "attributes": [{"name": "serial"}]}],
        "resource_types": [
            {"name": "{gadget_type}", "endpoint": "/{gadgets}", "schema": "{gadget_urn}"},
        ],
    });
    let roles = json!({"data": [{"value": "{role_value}"}]});
    let holding = |part: &str| format!("/directories/{{a_holding_directory}}/{part}");
    attacks.extend([
        operator("/directories/{id}/schemas", "PUT", &holding("schemas"), 409).body(schemas),
        operator("/directories/{id}/roles", "PUT", &holding("roles"), 200).body(roles).stores(),
        operator("/directories/{id}/roles", "PUT", &holding("roles"), 200)
            .body(json!({"data": [{"value": "mine", "id": "{role}"}]})),
        operator("/directories/{id}/roles", "PUT", &holding("roles"), 422)
            .body(json!({"data": [{"value": "mine", "contains": ["{role_value}"]}]})),
    ]);
    attacks
}

/// Records of requests, B's and those of a directory of A that has sent nothing.
fn requests() -> Vec<Attack> {
    let (all, one, again) = (
        "/directories/{id}/requests",
        "/directories/{id}/requests/{request}",
        "/directories/{id}/requests/{request}/replay",
    );
    let mut attacks = vec![
        operator(all, "GET", "/directories/{directory}/requests", 404),
        operator(all, "GET", "/directories/{directory}/requests?user={=user_name}", 404),
    ];
    for query in [
        "limit=500",
        "text={=user_name}",
        "text={user}",
        "user={user}",
        "user={=user_name}",
        "after={record}",
        "before={record}",
        "status=201",
    ] {
        let path = format!("/directories/{{a_quiet_directory}}/requests?{query}");
        attacks.push(operator(all, "GET", &path, 200));
    }
    for directory in ["{directory}", "{a_quiet_directory}", "{a_directory}"] {
        for record in ["{record}", "{request}", "{txn}"] {
            let path = format!("/directories/{directory}/requests/{record}");
            attacks.push(operator(one, "GET", &path, 404));
            let replay = format!("{path}/replay");
            attacks.push(operator(again, "POST", &replay, 404).body(json!({"profile": "okta"})));
        }
    }
    attacks
}

/// The event log, which all share.
/// The brake of B's directory, and alarms, of which A sees its own alone.
fn brakes() -> Vec<Attack> {
    let one = "/directories/{id}/brake";
    let (theirs, mine) = ("/directories/{directory}/brake", "/directories/{a_directory}/brake");
    let [release, undo] = ["/directories/{id}/brake/release", "/directories/{id}/brake/undo"];
    vec![
        operator(one, "GET", theirs, 404),
        operator(one, "GET", mine, 200),
        operator(one, "PUT", theirs, 404).body(json!({"mode": "off"})),
        operator(release, "POST", &format!("{theirs}/release"), 404).body(json!({})),
        operator(release, "POST", &format!("{mine}/release"), 409).body(json!({})),
        operator(undo, "POST", &format!("{theirs}/undo"), 404).body(json!({"dry_run": true})),
        operator(undo, "POST", &format!("{theirs}/undo"), 404).body(json!({})),
        operator("/alarms", "GET", "/alarms?state=all&limit=500", 200),
        operator("/alarms", "GET", "/alarms?state=all&directory_id={directory}", 200),
        operator("/alarms", "GET", "/alarms?state=all&directory_id={external_key}", 200),
        operator("/alarms", "GET", "/alarms?state=all&after={directory}", 200),
        operator("/alarms", "GET", "/alarms?state=all&before={directory}", 200),
    ]
}

fn events() -> Vec<Attack> {
    let (list, stream, one) = ("/events", "/events/stream", "/consumers/{name}");
    let theirs = "/consumers/{consumer}";
    vec![
        operator(list, "GET", "/events?limit=1000", 200),
        operator(list, "GET", "/events?organization_id={organization}", 200),
        operator(list, "GET", "/events?directory_id={directory}", 404),
        operator(list, "GET", "/events?after={event}", 400),
        operator(list, "GET", "/events?consumer={consumer}", 404),
        operator(stream, "GET", "/events/stream?directory_id={directory}", 404),
        operator(stream, "GET", "/events/stream?after={event}", 400),
        operator(stream, "GET", "/events/stream?consumer={consumer}", 404),
        operator("/directories/{id}/snapshot", "GET", "/directories/{directory}/snapshot", 404),
        operator("/directories/{id}/snapshot", "GET", "/directories/{a_directory}/snapshot", 200),
        operator("/directories/{id}/reconcile", "POST", "/directories/{directory}/reconcile", 404)
            .body(json!({"objects": {}})),
        operator(
            "/directories/{id}/reconcile",
            "POST",
            "/directories/{a_directory}/reconcile",
            200,
        )
        .body(json!({"objects": {}})),
        operator("/consumers", "GET", "/consumers", 200),
        operator(one, "GET", theirs, 404),
        operator(one, "DELETE", theirs, 404),
        operator(one, "PUT", "/consumers/mine", 400).body(json!({"event_id": "{event}"})),
    ]
}

fn tokens() -> Vec<Attack> {
    let (all, one) = ("/directories/{id}/tokens", "/directories/{id}/tokens/{token}");
    let again = "/directories/{id}/tokens/{token}/rotate";
    let (theirs, mine) = ("/directories/{directory}/tokens", "/directories/{a_directory}/tokens");
    let mut attacks = vec![
        operator(all, "GET", theirs, 404),
        operator(all, "POST", theirs, 404).body(json!({})),
        operator(all, "POST", theirs, 404).body(json!({"user_id": "{user}"})),
        operator(all, "GET", &format!("{mine}?after={{token}}"), 200),
        operator(all, "GET", &format!("{mine}?before={{token}}"), 200),
        // A token of A for a user of B.
        operator(all, "POST", mine, 422).body(json!({"user_id": "{user}"})),
        operator(all, "POST", mine, 422).body(json!({"user_id": "{user_external_id}"})),
    ];
    for directory in [theirs, mine] {
        for token in ["{token}", "{me_token}"] {
            attacks.push(operator(one, "DELETE", &format!("{directory}/{token}"), 404));
            let rotate = format!("{directory}/{token}/rotate");
            let body = json!({"overlap": 0});
            attacks.push(operator(again, "POST", &rotate, 404).body(body));
        }
    }
    attacks
}

fn oauth_clients() -> Vec<Attack> {
    let all = "/directories/{id}/oauth_clients";
    let one = "/directories/{id}/oauth_clients/{client}";
    let (theirs, mine) =
        ("/directories/{directory}/oauth_clients", "/directories/{a_directory}/oauth_clients");
    let mut attacks = vec![
        operator(all, "GET", theirs, 404),
        operator(all, "POST", theirs, 404)
            .body(json!({"name": "Mine", "auth_method": "client_secret"})),
        operator(all, "GET", mine, 200),
        operator(all, "GET", &format!("{mine}?after={{oauth_client}}"), 200),
        operator(all, "GET", &format!("{mine}?before={{oauth_client}}"), 200),
    ];
    for directory in [theirs, mine] {
        for client in ["{oauth_client}", "{token}"] {
            attacks.push(operator(one, "GET", &format!("{directory}/{client}"), 404));
            attacks.push(operator(one, "DELETE", &format!("{directory}/{client}"), 404));
        }
    }
    attacks
}

fn keys() -> Vec<Attack> {
    let body =
        json!({"name": "Mine", "scopes": ["manage"], "organization_ids": ["{organization}"]});
    vec![
        operator("/api_keys", "GET", "/api_keys", 403),
        operator("/api_keys", "GET", "/api_keys?after={api_key}", 403),
        operator("/api_keys", "POST", "/api_keys", 403).body(body),
        operator("/api_keys/{id}", "DELETE", "/api_keys/{api_key}", 403),
    ]
}

/// What anybody may ask.
fn open() -> Vec<Attack> {
    ["/health/live", "/health/ready", "/metrics"]
        .into_iter()
        .map(|path| Attack::new(Who::Passer, path, "GET", path, 200))
        .collect()
}

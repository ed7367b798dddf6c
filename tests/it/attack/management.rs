//! Requests to the management API with a key of A's organization, and to what needs no key.

use serde_json::{Value, json};

use super::{Attack, Who};

pub(super) fn attacks() -> Vec<Attack> {
    [
        // Before A has written anything that names B: the audit log would show it.
        looks(),
        organizations(),
        identities(),
        directories(),
        parts(),
        sources(),
        maps(),
        requests(),
        brakes(),
        events(),
        webhooks(),
        tokens(),
        oauth_clients(),
        keys(),
        signing_keys(),
        admins(),
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

/// Persons of B's organization, under its own name and under A's.
fn identities() -> Vec<Attack> {
    let routes: [(&'static str, &'static str, &'static str, Option<Value>); 9] = [
        ("/organizations/{id}/identities/{identity}", "GET", "identities/{identity}", None),
        (
            "/organizations/{id}/identities/{identity}/accounts/{user}/unlink",
            "POST",
            "identities/{identity}/accounts/{user}/unlink",
            None,
        ),
        (
            "/organizations/{id}/identities/{identity}/aliases",
            "GET",
            "identities/{identity}/aliases",
            None,
        ),
        (
            "/organizations/{id}/identities/{identity}/aliases",
            "POST",
            "identities/{identity}/aliases",
            Some(json!({"email": "mine@example.com"})),
        ),
        (
            "/organizations/{id}/identities/{identity}/aliases/{email}",
            "DELETE",
            "identities/{identity}/aliases/{=boss_email}",
            None,
        ),
        (
            "/organizations/{id}/identity_suggestions/{suggestion}/accept",
            "POST",
            "identity_suggestions/{suggestion}/accept",
            None,
        ),
        (
            "/organizations/{id}/identity_suggestions/{suggestion}/reject",
            "POST",
            "identity_suggestions/{suggestion}/reject",
            None,
        ),
        (
            "/organizations/{id}/identity_suggestions/{suggestion}/undo",
            "POST",
            "identity_suggestions/{suggestion}/undo",
            None,
        ),
        ("/organizations/{id}/primary_directory", "PUT", "primary_directory", None),
    ];
    let mut attacks = Vec::new();
    for (route, method, path, body) in routes {
        for organization in ["{organization}", "{a_organization}"] {
            let (body, status) = match route {
                "/organizations/{id}/primary_directory" => {
                    let status = if organization == "{organization}" { 404 } else { 422 };
                    (Some(json!({"directory_id": "{directory}"})), status)
                }
                _ => (body.clone(), 404),
            };
            let path = format!("/organizations/{organization}/{path}");
            attacks.push(Attack { body, ..operator(route, method, &path, status) });
        }
    }
    let dry = json!({"directory_id": "{directory}", "dry_run": true});
    let route = "/organizations/{id}/primary_directory";
    let mine = "/organizations/{a_organization}";
    attacks.push(operator(route, "PUT", &format!("{mine}/primary_directory"), 422).body(dry));
    for (route, part) in [
        ("/organizations/{id}/primary_directory", "primary_directory"),
        ("/organizations/{id}/identities", "identities"),
        ("/organizations/{id}/identity_suggestions", "identity_suggestions"),
        ("/organizations/{id}/orphaned_access", "orphaned_access"),
    ] {
        attacks.push(operator(
            route,
            "GET",
            &format!("/organizations/{{organization}}/{part}"),
            404,
        ));
        attacks.push(operator(route, "GET", &format!("{mine}/{part}?limit=500"), 200));
        attacks.push(operator(route, "GET", &format!("{mine}/{part}?after={{identity}}"), 200));
        attacks.push(operator(route, "GET", &format!("{mine}/{part}?before={{suggestion}}"), 200));
    }
    let list = "/organizations/{id}/identities";
    for (query, status) in
        [("email={=user_email}", 200), ("user_id={user}", 200), ("directory_id={directory}", 404)]
    {
        attacks.push(operator(list, "GET", &format!("{mine}/identities?{query}"), status));
    }
    attacks
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
    let table: [(&'static str, &'static str, Option<Value>); 12] = [
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
        ("/directories/{id}/users", "GET", None),
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

/// Directories that are read: B's, whatever is asked of it, and B's names in A's.
fn sources() -> Vec<Attack> {
    let table: [(&'static str, &'static str, &'static str); 9] = [
        ("/directories/{id}/syncs", "GET", "syncs"),
        ("/directories/{id}/syncs/{run}", "GET", "syncs/{record}"),
        ("/directories/{id}/syncs/{run}/diff", "GET", "syncs/{record}/diff"),
        ("/directories/{id}/syncs/{run}/approve", "POST", "syncs/{record}/approve"),
        ("/directories/{id}/syncs/{run}/reject", "POST", "syncs/{record}/reject"),
        ("/directories/{id}/files", "GET", "files"),
        ("/directories/{id}/files/{name}", "DELETE", "files/users"),
        ("/directories/{id}/test", "POST", "test"),
        ("/directories/{id}/sync", "POST", "sync"),
    ];
    let mut attacks = vec![
        operator("/connectors", "GET", "/connectors", 200),
        operator("/connectors/{kind}", "GET", "/connectors/{directory}", 404),
        operator(
            "/directories/{id}/files/{name}",
            "PUT",
            "/directories/{directory}/files/users",
            404,
        )
        .header("Content-Type", "text/csv")
        .body(json!("id,userName")),
    ];
    for (route, method, part) in table {
        attacks.push(operator(route, method, &format!("/directories/{{directory}}/{part}"), 404));
        // A's own directory is pushed.
        let status = match (part, method) {
            ("files", _) => 200,
            ("files/users", _) => 404,
            _ => 409,
        };
        let own = format!("/directories/{{a_directory}}/{part}");
        attacks.push(operator(route, method, &own, status));
    }
    // A directory that would be read from B.
    let new = json!({"organization_id": "{organization}", "name": "Mine", "kind": "pull.csv"});
    attacks.push(operator("/directories", "POST", "/directories", 404).body(new));
    attacks
}

/// What an operator makes of users: B's directory, and B's groups and users in A's.
fn maps() -> Vec<Attack> {
    let attributes = || json!({"attributes": {"name": {"expression": "raw.userName"}}});
    let theirs = || json!({"rules": [{"role": "mine", "group": "{group}"}]});
    let (attribute_map, role_map) =
        ("/directories/{id}/attribute_map", "/directories/{id}/role_map");
    let (tried, faults) =
        ("/directories/{id}/attribute_map/preview", "/directories/{id}/attribute_map/faults");
    let tried_roles = "/directories/{id}/role_map/preview";
    let at = |route: &str, directory: &str| route.replace("{id}", &format!("{{{directory}}}"));
    let [b, a] = ["directory", "a_directory"];
    let users = |mut body: Value| {
        body["user_ids"] = json!(["{user}"]);
        body
    };
    let guests = || json!({"default_role": "guest"});
    vec![
        operator(attribute_map, "GET", &at(attribute_map, b), 404),
        operator(attribute_map, "GET", &at(attribute_map, a), 200),
        operator(attribute_map, "PUT", &at(attribute_map, b), 404).body(attributes()),
        operator(tried, "POST", &at(tried, b), 404).body(attributes()),
        operator(tried, "POST", &at(tried, a), 200).body(attributes()),
        operator(tried, "POST", &at(tried, a), 404).body(users(attributes())),
        operator(faults, "GET", &at(faults, b), 404),
        operator(faults, "GET", &at(faults, a), 200),
        operator(faults, "GET", &format!("{}?after={{user}}", at(faults, a)), 200),
        operator(role_map, "GET", &at(role_map, b), 404),
        operator(role_map, "GET", &at(role_map, a), 200),
        operator(role_map, "PUT", &at(role_map, b), 404).body(guests()),
        operator(role_map, "PUT", &at(role_map, a), 422).body(theirs()),
        operator(tried_roles, "POST", &at(tried_roles, b), 404).body(guests()),
        operator(tried_roles, "POST", &at(tried_roles, a), 200).body(guests()),
        operator(tried_roles, "POST", &at(tried_roles, a), 422).body(theirs()),
        operator(tried_roles, "POST", &at(tried_roles, a), 404).body(users(guests())),
    ]
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
        operator(
            "/directories/{id}/disconnect",
            "POST",
            "/directories/{directory}/disconnect",
            404,
        )
        .body(json!({"mode": "deprovision"})),
        operator(
            "/directories/{id}/disconnect",
            "POST",
            "/directories/{a_directory}/disconnect",
            422,
        )
        .body(json!({"mode": "hand_over", "to": "{directory}"})),
        operator("/directories/{id}/disconnect", "GET", "/directories/{directory}/disconnect", 404),
        operator(
            "/directories/{id}/disconnect",
            "DELETE",
            "/directories/{directory}/disconnect",
            404,
        ),
        operator("/branding", "GET", "/branding", 403),
        operator("/branding", "PUT", "/branding", 403).body(json!({"name": "Mine"})),
        operator("/alarms", "GET", "/alarms?state=all&limit=500", 200),
        operator("/alarms", "GET", "/alarms?state=all&directory_id={directory}", 200),
        operator("/alarms", "GET", "/alarms?state=all&directory_id={external_key}", 200),
        operator("/alarms", "GET", "/alarms?state=all&after={directory}", 200),
        operator("/alarms", "GET", "/alarms?state=all&before={directory}", 200),
    ]
}

/// The audit log and the searches through all directories, of which A sees its own alone.
fn looks() -> Vec<Attack> {
    let story = "/people/{id}/story";
    vec![
        operator("/audit", "GET", "/audit?limit=500", 200),
        operator("/audit", "GET", "/audit?organization_id={organization}", 200),
        operator("/audit", "GET", "/audit?directory_id={directory}", 200),
        operator("/audit", "GET", "/audit?target={directory}", 200),
        operator("/audit", "GET", "/audit?q={external_key}", 200),
        operator("/audit", "GET", "/audit?format=csv", 200),
        operator("/audit", "GET", "/audit?format=jsonl", 200),
        operator("/people", "GET", "/people?q=a&limit=200", 200),
        operator("/people", "GET", "/people?q=a&organization_id={organization}", 200),
        operator(story, "GET", "/people/{user}/story", 404),
        operator("/groups", "GET", "/groups?q=a&limit=200", 200),
        operator("/groups", "GET", "/groups?q=a&organization_id={organization}", 200),
        operator("/groups/{id}", "GET", "/groups/{group}", 404),
    ]
}

/// The event log, which all share.
fn events() -> Vec<Attack> {
    let (list, stream, one) = ("/events", "/events/stream", "/consumers/{name}");
    let theirs = "/consumers/{consumer}";
    vec![
        operator(list, "GET", "/events?limit=1000", 200),
        operator(list, "GET", "/events?organization_id={organization}", 200),
        operator(list, "GET", "/events?directory_id={directory}", 404),
        operator(list, "GET", "/events?after={event}", 400),
        operator(list, "GET", "/events?consumer={consumer}", 404),
        operator(list, "GET", "/events?order=desc&limit=500", 200),
        operator(list, "GET", "/events?order=desc&organization_id={organization}", 200),
        operator(list, "GET", "/events?order=desc&directory_id={directory}", 404),
        operator(list, "GET", "/events?order=desc&resource_id={user}", 200),
        operator("/events/{id}", "GET", "/events/{event}", 404),
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

fn webhooks() -> Vec<Attack> {
    let all = "/webhook_endpoints";
    let theirs = "/webhook_endpoints/{hook}";
    // Nothing is sent in this test: what A makes is paused.
    let mine = |more: Value| {
        let mut body = json!({"endpoint_url": "https://a.example.com/", "state": "paused",
            "events": ["dsync.deleted"]});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body
    };
    let mut attacks = vec![
        operator(all, "GET", "/webhook_endpoints?limit=500", 200),
        operator(all, "GET", "/webhook_endpoints?after={hook}", 200),
        operator(all, "POST", all, 422).body(mine(json!({"organization_ids": ["{organization}"]}))),
        operator(all, "POST", all, 422)
            .body(mine(json!({"organization_ids": ["{a_organization}", "{organization}"]}))),
        operator(all, "POST", all, 422)
            .body(mine(json!({"organization_ids": ["{a_organization},{organization}"]}))),
        operator(all, "POST", all, 400).body(mine(json!({"after": "{event}"}))),
    ];
    let table: [(&'static str, &'static str, Option<Value>); 11] = [
        ("/webhook_endpoints/{id}", "GET", None),
        ("/webhook_endpoints/{id}", "PATCH", Some(json!({"state": "enabled"}))),
        ("/webhook_endpoints/{id}", "DELETE", None),
        ("/webhook_endpoints/{id}/rotate", "POST", Some(json!({"overlap": 0}))),
        ("/webhook_endpoints/{id}/test", "POST", Some(json!({}))),
        ("/webhook_endpoints/{id}/deliveries", "GET", None),
        ("/webhook_endpoints/{id}/parked", "GET", None),
        ("/webhook_endpoints/{id}/replay", "POST", Some(json!({"parked": true}))),
        ("/webhook_endpoints/{id}/replay", "POST", Some(json!({"event_id": "{event}"}))),
        ("/webhook_endpoints/{id}/replays", "GET", None),
        ("/webhook_endpoints/{id}/replays/{replay}", "DELETE", None),
    ];
    for (route, method, body) in table {
        let attack = operator(route, method, &route.replace("/{id}", "/{hook}"), 404);
        attacks.push(Attack { body, ..attack });
    }
    let into = json!({"organization_ids": ["{organization}"]});
    attacks.push(operator("/webhook_endpoints/{id}", "PATCH", theirs, 422).body(into));
    // A's own endpoint, and what is B's.
    let own = |part: &str| format!("/webhook_endpoints/{{a_hook}}{part}");
    attacks.extend([
        operator("/webhook_endpoints/{id}", "PATCH", &own(""), 422)
            .body(json!({"organization_ids": ["{organization}"]})),
        operator("/webhook_endpoints/{id}/replay", "POST", &own("/replay"), 400)
            .body(json!({"event_id": "{event}"})),
        operator("/webhook_endpoints/{id}/replay", "POST", &own("/replay"), 400)
            .body(json!({"after": "{event}"})),
        operator(
            "/webhook_endpoints/{id}/deliveries",
            "GET",
            &own("/deliveries?event_id={event}"),
            200,
        ),
        operator(
            "/webhook_endpoints/{id}/replays/{replay}",
            "DELETE",
            &own("/replays/{replay}"),
            404,
        ),
    ]);
    attacks
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
/// What signs for everybody is for keys of everybody.
fn signing_keys() -> Vec<Attack> {
    vec![
        operator("/overview", "GET", "/overview", 403),
        operator("/secret_keys", "GET", "/secret_keys", 403),
        operator("/secret_keys/rotate", "POST", "/secret_keys/rotate", 403),
        operator("/signing_keys", "GET", "/signing_keys", 403),
        operator("/signing_keys/rotate", "POST", "/signing_keys/rotate", 403)
            .body(json!({"publish": 0, "keep": 0})),
    ]
}

/// Who sees every organization is for keys of every organization.
fn admins() -> Vec<Attack> {
    let (one, sessions) = ("/admins/{id}", "/admins/{id}/sessions");
    let session = "/admins/{id}/sessions/{session}";
    let new = json!({"email": "mallory@example.com", "name": "Mallory", "role": "owner"});
    vec![
        operator("/admins", "GET", "/admins", 403),
        operator("/admins", "POST", "/admins", 403).body(new),
        operator(one, "GET", "/admins/{directory}", 403),
        operator(one, "PATCH", "/admins/{directory}", 403).body(json!({"role": "owner"})),
        operator(one, "DELETE", "/admins/{directory}", 403),
        operator("/admins/{id}/invitation", "POST", "/admins/{directory}/invitation", 403),
        operator(sessions, "GET", "/admins/{directory}/sessions", 403),
        operator(sessions, "DELETE", "/admins/{directory}/sessions", 403),
        operator(session, "DELETE", "/admins/{directory}/sessions/{token}", 403),
    ]
}

fn open() -> Vec<Attack> {
    ["/health/live", "/health/ready", "/metrics"]
        .into_iter()
        .map(|path| Attack::new(Who::Passer, path, "GET", path, 200))
        .collect()
}

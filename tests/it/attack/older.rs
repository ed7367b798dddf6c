//! Requests over SCIM 1.1.

use serde_json::{Value, json};

use super::scim::encoded;
use super::{Attack, Who};

const CORE: &str = "urn:scim:schemas:core:1.0";
const ENTERPRISE: &str = "urn:scim:schemas:extension:enterprise:1.0";

/// Pairs of an endpoint and a name of B's that it would have there.
const RESOURCES: [(&str, &str); 6] = [
    ("Users", "{user}"),
    ("Users", "{group}"),
    ("Users", "{user_external_id}"),
    ("Groups", "{group}"),
    ("Groups", "{user}"),
    ("Users", "{gadget}"),
];

/// Filters with the endpoint that they are for.
const FILTERS: [(&str, &str); 10] = [
    ("Users", "id eq \"{user}\""),
    ("Users", "userName eq \"{user_name}\""),
    ("Users", "externalId eq \"{user_external_id}\""),
    ("Users", "emails.value eq \"{user_email}\""),
    ("Users", "groups.value eq \"{group}\""),
    ("Users", "userName pr or id eq \"{user}\""),
    ("Groups", "id eq \"{group}\""),
    ("Groups", "displayName eq \"{group_name}\""),
    ("Groups", "members.value eq \"{user}\""),
    ("Groups", "displayName pr or members.value eq \"{user}\""),
];

pub(super) fn attacks() -> Vec<Attack> {
    [resources(), lists(), creates(), updates(), others(), wrong_doors()].concat()
}

fn a(route: &'static str, method: &'static str, path: impl Into<String>, status: u16) -> Attack {
    Attack::new(Who::Older, route, method, path, status)
}

fn user(name: &str) -> Value {
    json!({"schemas": [CORE], "userName": name})
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": [CORE], "displayName": name, "members": members})
}

/// B's ids under every method, also under the one that a header names.
fn resources() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for (endpoint, id) in RESOURCES {
        let path = format!("/{endpoint}/{id}");
        let body = match endpoint {
            "Groups" => group("Mine", &["{a_user}"]),
            _ => user("x@example.com"),
        };
        let part =
            json!({"schemas": [CORE], "displayName": "Mine", "meta": {"attributes": ["title"]}});
        attacks.extend([
            a("v1 Resource", "GET", &*path, 404),
            a("v1 Resource", "GET", format!("{path}?attributes=id"), 404),
            a("v1 Resource", "GET", format!("{path}.json"), 404),
            a("v1 Resource", "PUT", &*path, 404).body(body),
            a("v1 Resource", "PATCH", &*path, 404).body(part.clone()),
            a("v1 Resource", "DELETE", &*path, 404),
            a("v1 Resource", "DELETE", &*path, 404).header("If-Match", "{user_etag}"),
            a("v1 Resource", "POST", &*path, 404).header("X-HTTP-Method-Override", "DELETE"),
            a("v1 Resource", "POST", &*path, 404)
                .header("X-HTTP-Method-Override", "PATCH")
                .body(part),
        ]);
    }
    attacks
}

fn lists() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for (endpoint, filter) in FILTERS {
        attacks.push(a(
            "v1 Collection",
            "GET",
            format!("/{endpoint}?filter={}", encoded(filter)),
            200,
        ));
    }
    for query in ["startIndex=1&count=1000", "startIndex=2&count=1000", "sortBy=userName"] {
        attacks.push(a("v1 Collection", "GET", format!("/Users?{query}"), 200));
        attacks.push(a(
            "v1 Collection",
            "GET",
            format!("/Groups?startIndex=1&count=1000&x={query}"),
            200,
        ));
    }
    attacks
}

/// A may have every name that B has.
fn creates() -> Vec<Attack> {
    let named = |member: &str, value: Value| {
        let mut body = user("x@example.com");
        body[member] = value;
        body
    };
    let manager = json!({"manager": {"managerId": "{boss}", "displayName": "x"}});
    let mut attacks: Vec<Attack> = [
        user("{user_name}"),
        named("externalId", json!("{pending}")),
        named("id", json!("{user}")),
        named("groups", json!([{"value": "{group}"}])),
        named(ENTERPRISE, manager),
    ]
    .into_iter()
    .map(|body| a("v1 Collection", "POST", "/Users", 201).body(body).stores())
    .collect();
    attacks
        .push(a("v1 Collection", "POST", "/Groups", 201).body(group("{group_name}", &[])).stores());
    for member in ["{user}", "{group}", "{pending}"] {
        attacks.push(a("v1 Collection", "POST", "/Groups", 400).body(group("Mine", &[member])));
    }
    attacks
}

/// Changes of A's own resources that name B's.
fn updates() -> Vec<Attack> {
    let (ada, team) = ("/Users/{a_user}", "/Groups/{a_group}");
    let members = |members: Value| json!({"schemas": [CORE], "members": members});
    vec![
        a("v1 Resource", "PUT", team, 400).body(group("Team", &["{user}"])),
        a("v1 Resource", "PATCH", team, 400).body(members(json!([{"value": "{user}"}]))),
        a("v1 Resource", "PATCH", team, 200)
            .body(members(json!([{"value": "{user}", "operation": "delete"}]))),
        a("v1 Resource", "PATCH", ada, 200)
            .body(json!({"schemas": [CORE], "id": "{user}", "title": "Mine"})),
        a("v1 Resource", "PATCH", ada, 200)
            .body(json!({"schemas": [CORE, ENTERPRISE], ENTERPRISE: {"manager": {"managerId": "{boss}"}}}))
            .stores(),
        a("v1 Resource", "GET", ada, 200),
        a("v1 Resource", "GET", team, 200),
    ]
}

/// What the server says about itself, and what SCIM 1.1 does not have.
fn others() -> Vec<Attack> {
    vec![
        a("v1 ServiceProviderConfig", "GET", "/ServiceProviderConfigs", 200),
        a("v1 Schemas", "GET", "/Schemas", 200),
        a("v1 Schema", "GET", "/Schemas/{badge_urn}", 404),
        a("v1 Bulk", "POST", "/Bulk", 501)
            .body(json!({"schemas": [CORE], "Operations": [{"method": "DELETE", "path": "/Users/{user}"}]})),
        a("Xml", "GET", "/Users/{user}.xml", 406),
        a("v1 Unknown", "GET", "/Async/{txn}", 404),
        a("v1 Unknown", "GET", "/Me", 404),
        a("v1 Unknown", "POST", "/.search", 404).body(json!({"filter": "id eq \"{user}\""})),
        a("v1 Unknown", "GET", "/Users/{user}/Groups/{group}", 404),
    ]
}

/// B's key in the path.
fn wrong_doors() -> Vec<Attack> {
    let doors = [
        ("v1 Resource", "GET", "/Users/{user}"),
        ("v1 Resource", "PUT", "/Users/{user}"),
        ("v1 Resource", "PATCH", "/Groups/{group}"),
        ("v1 Resource", "DELETE", "/Users/{user}"),
        ("v1 Collection", "GET", "/Users"),
        ("v1 Collection", "POST", "/Users"),
        ("v1 Schemas", "GET", "/Schemas"),
        ("v1 Bulk", "POST", "/Bulk"),
        ("Xml", "GET", "/Users/{user}.xml"),
    ];
    let mut attacks = Vec::new();
    for (who, status) in [(Who::OlderTrespasser, 403), (Who::OlderNobody, 401)] {
        for (route, method, path) in doors {
            let attack = Attack::new(who, route, method, path, status);
            let body = matches!(method, "POST" | "PUT" | "PATCH").then(|| user("x@example.com"));
            attacks.push(Attack { body, ..attack });
        }
    }
    attacks
}

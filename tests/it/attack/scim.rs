//! Requests over SCIM 2.0.

use serde_json::{Value, json};

use super::{Attack, Who};
use crate::support::{ENTERPRISE, encode, group, patch, user};

const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// Filters on users that would find one of B's, with the number of A's users that they find.
const USER_FILTERS: [(&str, usize); 20] = [
    ("id eq \"{user}\"", 0),
    ("id sw \"{user}\"", 0),
    ("id ne \"{user}\"", 1),
    ("userName eq \"{user_name}\"", 0),
    ("userName co \"{user_name}\"", 0),
    ("externalId eq \"{user_external_id}\"", 0),
    ("displayName eq \"{user_display}\"", 0),
    ("title eq \"{user_title}\"", 0),
    ("emails.value eq \"{user_email}\"", 0),
    ("emails[type eq \"work\" and value eq \"{user_email}\"]", 0),
    ("groups.value eq \"{group}\"", 0),
    ("groups[display eq \"{group_name}\"]", 0),
    ("meta.location co \"{external_key}\"", 0),
    ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq \"{boss}\"", 0),
    ("manager[value eq \"{boss}\"]", 0),
    ("manager.displayName eq \"{boss_display}\"", 0),
    ("userName pr or id eq \"{user}\"", 1),
    ("(active eq true) or (userName eq \"{user_name}\") or not (userName eq \"x\")", 1),
    ("not (id eq \"{user}\" and userName pr)", 1),
    ("id eq \"{user}\" or id eq \"{a_user}\" or groups.value eq \"{group}\"", 1),
];

/// Filters on groups.
const GROUP_FILTERS: [(&str, usize); 8] = [
    ("id eq \"{group}\"", 0),
    ("displayName eq \"{group_name}\"", 0),
    ("members.value eq \"{user}\"", 0),
    ("members[value eq \"{user}\"]", 0),
    ("members.display eq \"{user_display}\"", 0),
    ("members.value eq \"{pending}\"", 0),
    ("displayName pr or members.value eq \"{user}\"", 1),
    ("not (members.value eq \"{user}\")", 1),
];

/// Filters with an attribute that only B has.
const UNKNOWN_FILTERS: [&str; 2] =
    ["{badge_urn}:{badge_attribute} eq \"{user_badge}\"", "{badge_urn}:{badge_attribute} pr"];

/// What else a query may carry; whatever it names, the list is A's.
const QUERIES: [&str; 8] = [
    "attributes={=badge_urn}:{=badge_attribute}",
    "attributes={=badge_urn}",
    "excludedAttributes={=badge_urn}",
    "sortBy={=badge_urn}:{=badge_attribute}",
    "sortBy=userName&sortOrder=descending&count=1000",
    "startIndex=1&count=1000",
    "startIndex=2&count=1000",
    "count=0",
];

/// Pairs of an endpoint and a name of B's that it would have there.
const RESOURCES: [(&str, &str); 14] = [
    ("Users", "{user}"),
    ("Users", "{boss}"),
    ("Users", "{group}"),
    ("Users", "{user_external_id}"),
    ("Users", "{=user_name}"),
    ("Groups", "{group}"),
    ("Groups", "{user}"),
    ("Groups", "{=pending}"),
    ("Widgets", "{widget}"),
    ("Widgets", "{user}"),
    ("{gadgets}", "{gadget}"),
    ("Users", "{gadget}"),
    ("Roles", "{role}"),
    ("Entitlements", "{entitlement}"),
];

/// What asks, and B's ids under every method.
pub(super) fn reads() -> Vec<Attack> {
    [resources(), lists(), discovery()].concat()
}

/// What A stores in its own directories.
pub(super) fn writes() -> Vec<Attack> {
    [creates(), updates(), bulk(), asynchronous(), me(), holding()].concat()
}

fn a(route: &'static str, method: &'static str, path: impl Into<String>, status: u16) -> Attack {
    Attack::new(Who::A, route, method, path, status)
}

/// B's ids under every method, with and without conditions.
fn resources() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let mut push = |attack: Attack| attacks.push(attack);
    for (endpoint, id) in RESOURCES {
        let path = format!("/{endpoint}/{id}");
        let body = match endpoint {
            "Groups" => group("Mine", &["{user}"]),
            _ => json!({"userName": "x@example.com", "serial": "2"}),
        };
        let rename = patch(json!([{"op": "replace", "path": "displayName", "value": "Mine"}]));
        // Roles are read only, and the server says so first.
        let write = if matches!(endpoint, "Roles" | "Entitlements") { 405 } else { 404 };
        push(a("Resource", "GET", &*path, 404));
        push(a("Resource", "HEAD", &*path, 404));
        push(a("Resource", "GET", format!("{path}?attributes=id"), 404));
        push(a("Resource", "GET", format!("{path}?excludedAttributes=members"), 404));
        push(a("Resource", "GET", &*path, 404).header("If-None-Match", "{user_etag}"));
        push(a("Resource", "PUT", &*path, write).body(body));
        push(a("Resource", "PATCH", &*path, write).body(rename.clone()));
        push(a("Resource", "DELETE", &*path, write));
        for tag in ["{user_etag}", "*"] {
            push(
                a("Resource", "PATCH", &*path, write).body(rename.clone()).header("If-Match", tag),
            );
            push(a("Resource", "DELETE", &*path, write).header("If-Match", tag));
        }
    }
    for path in [
        "/Users/..%2F..%2F{external_key}%2FUsers%2F{user}",
        "/Users/%2e%2e/{user}",
        "/Users/{user}%00",
        "/Users/{user}/",
        "/Users//{user}",
        "/users/{user}",
    ] {
        push(a("Resource", "GET", path, 404));
    }
    push(a("Unknown", "GET", "/Users/{user}/Groups/{group}", 404));
    push(a("Unknown", "DELETE", "/Groups/{group}/members/{user}", 404));
    push(a("Collection", "GET", "/{gadgets}", 404));
    push(a("Collection", "POST", "/{gadgets}", 404).body(json!({"serial": "{gadget_serial}"})));
    attacks
}

/// Queries, in the URL and in a body.
fn lists() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let search = |filter: &str| json!({"schemas": [SEARCH], "filter": filter});
    let users = USER_FILTERS.map(|(filter, found)| ("Users", filter, found));
    let groups = GROUP_FILTERS.map(|(filter, found)| ("Groups", filter, found));
    for (endpoint, filter, _) in users.into_iter().chain(groups) {
        let query = encoded(filter);
        attacks.push(a("Collection", "GET", format!("/{endpoint}?filter={query}"), 200));
        attacks.push(a("Root", "GET", format!("/?filter={query}"), 200));
        let path = format!("/{endpoint}/.search");
        attacks.push(a("Search", "POST", path, 200).body(search(filter)));
        attacks.push(a("Search", "POST", "/.search", 200).body(search(filter)));
    }
    let widget = encoded("serial eq \"{widget_serial}\"");
    attacks.push(a("Collection", "GET", format!("/Widgets?filter={widget}"), 200));
    for list in ["Roles", "Entitlements"] {
        let filter = encoded("value eq \"{role_value}\" or value eq \"{entitlement_value}\"");
        attacks.push(a("Collection", "GET", format!("/{list}?filter={filter}"), 200));
        attacks.push(a("Collection", "GET", format!("/{list}"), 200));
    }
    for filter in UNKNOWN_FILTERS {
        let query = encoded(filter);
        attacks.push(a("Collection", "GET", format!("/Users?filter={query}"), 400));
        attacks.push(a("Search", "POST", "/Users/.search", 400).body(search(filter)));
    }
    for query in QUERIES {
        for (route, path) in [
            ("Collection", "/Users"),
            ("Collection", "/Groups"),
            ("Root", "/"),
            ("Collection", "/Widgets"),
        ] {
            attacks.push(a(route, "GET", format!("{path}?{query}"), 200));
        }
    }
    // A cursor opens for its directory alone.
    for (route, path) in [("Collection", "/Users"), ("Collection", "/Groups"), ("Root", "/")] {
        let path = format!("{path}?cursor={{=cursor}}&count=1");
        attacks.push(a(route, "GET", path, 400));
    }
    let body = json!({"schemas": [SEARCH], "cursor": "{cursor}", "count": 1});
    attacks.push(a("Search", "POST", "/Users/.search", 400).body(body.clone()));
    attacks.push(a("Search", "POST", "/.search", 400).body(body));
    attacks.push(a("Search", "POST", "/{gadgets}/.search", 404).body(search("serial pr")));
    attacks
}

/// New resources that collide with B's, or point at them. A may have every name that B has.
fn creates() -> Vec<Attack> {
    let named = |member: &str, value: Value| {
        let mut body = user("x@example.com");
        body[member] = value;
        body
    };
    let manager = json!({"manager": {"value": "{boss}", "displayName": "x"}});
    let users = [
        user("{user_name}"),
        named("externalId", json!("{user_external_id}")),
        named("externalId", json!("{pending}")),
        named("externalId", json!("{user}")),
        named("id", json!("{user}")),
        named("meta", json!({"location": "/Users/{user}", "version": "{user_etag}"})),
        named("groups", json!([{"value": "{group}", "display": "x"}])),
        named(ENTERPRISE, manager),
        named("roles", json!([{"value": "{role_value}"}])),
        named("emails", json!([{"value": "{user_email}"}])),
    ];
    let mut attacks: Vec<Attack> = users
        .into_iter()
        .map(|body| a("Collection", "POST", "/Users", 201).body(body).stores())
        .collect();
    // What no schema of A's knows is kept aside; B's extension is not A's.
    let badge = named("{badge_urn}", json!({"{badge_attribute}": "{user_badge}"}));
    attacks.push(a("Collection", "POST", "/Users", 201).body(badge));
    let mut with_id = group("Mine", &[]);
    with_id["id"] = json!("{group}");
    with_id["externalId"] = json!("{user_external_id}");
    let widget = json!({"serial": "{widget_serial}", "id": "{widget}"});
    attacks.extend([
        a("Collection", "POST", "/Groups", 201).body(group("{group_name}", &[])).stores(),
        a("Collection", "POST", "/Groups", 201).body(with_id).stores(),
        a("Collection", "POST", "/Widgets", 201).body(widget).stores(),
        a("Collection", "POST", "/Roles", 405).body(json!({"value": "{role_value}"})),
    ]);
    for member in ["{user}", "{group}", "{widget}", "{user_external_id}", "{pending}"] {
        attacks.push(a("Collection", "POST", "/Groups", 400).body(group("Mine", &[member])));
        let both = group("Mine", &["{a_user}", member]);
        attacks.push(a("Collection", "POST", "/Groups", 400).body(both));
    }
    attacks
}

/// Changes of A's own resources that name B's.
fn updates() -> Vec<Attack> {
    let operation = |op: &str, path: &str, value: Value| {
        patch(json!([{"op": op, "path": path, "value": value}]))
    };
    let (ada, team) = ("/Users/{a_user}", "/Groups/{a_group}");
    let member = json!([{"value": "{user}"}]);
    let referred = json!([{"value": "{user}", "$ref": "../Users/{user}", "type": "User"}]);
    let path = format!("{ENTERPRISE}:manager");
    let mut attacks = vec![
        // Members that A does not have.
        a("Resource", "PUT", team, 400).body(group("Team", &["{user}"])),
        a("Resource", "PUT", team, 400).body(group("Team", &["{a_user}", "{group}"])),
        a("Resource", "PATCH", team, 400).body(operation("add", "members", member.clone())),
        a("Resource", "PATCH", team, 400).body(operation("add", "members", referred)),
        a("Resource", "PATCH", team, 400).body(operation("replace", "members", member.clone())),
        a("Resource", "PATCH", team, 400)
            .body(patch(json!([{"op": "add", "value": {"members": [{"value": "{user}"}]}}]))),
        a("Resource", "PATCH", team, 400).body(operation(
            "add",
            "members[value eq \"{user}\"]",
            json!({"value": "{user}"}),
        )),
        // Removing who is no member changes nothing.
        a("Resource", "PATCH", team, 200).body(operation("remove", "members", member)),
        a("Resource", "PATCH", team, 200)
            .body(patch(json!([{"op": "remove", "path": "members[value eq \"{user}\"]"}]))),
        a("Resource", "PATCH", team, 200).body(patch(
            json!([{"op": "remove", "path": "members[value eq \"{user}\" or display pr]"}]),
        )),
        // A group of A's under the name of B's.
        a("Resource", "PATCH", team, 200)
            .body(operation("replace", "displayName", json!("{group_name}")))
            .stores(),
        // A manager may be anybody; nothing but the value is shown of one who is not there.
        a("Resource", "PATCH", ada, 200)
            .body(operation("replace", &path, json!({"value": "{boss}"})))
            .stores(),
        a("Resource", "PATCH", ada, 200)
            .body(operation("replace", "userName", json!("{user_name}")))
            .stores(),
        a("Resource", "PATCH", ada, 200)
            .body(operation("replace", "externalId", json!("{pending}")))
            .stores(),
        a("Resource", "PATCH", ada, 200)
            .body(patch(json!([{"op": "replace", "value": {"id": "{user}", "title": "Mine"}}]))),
        a("Resource", "PATCH", ada, 200)
            .body(patch(json!([{"op": "remove", "path": "emails[value eq \"{user_email}\"]"}]))),
        a("Resource", "PATCH", ada, 200).body(operation(
            "add",
            "{badge_urn}:{badge_attribute}",
            json!("{user_badge}"),
        )),
        a("Resource", "PUT", ada, 200)
            .body(json!({"userName": "{user_name}", "id": "{user}",
            "meta": {"location": "/Users/{user}"}}))
            .stores(),
        a("Resource", "PUT", "/Widgets/{a_widget}", 200)
            .body(json!({"serial": "{widget_serial}", "id": "{widget}"}))
            .stores(),
        // B's id in the query does not lead anywhere else.
        a("Resource", "GET", "/Users/{a_user}?id={user}&attributes=groups", 200),
        a("Resource", "GET", "/Groups/{a_group}?attributes=members", 200),
    ];
    // A tag that is B's and not A's. Both have a first version, so this one is made up.
    for (method, body) in [("PUT", Some(group("Team", &[]))), ("DELETE", None)] {
        let attack = a("Resource", method, team, 412).header("If-Match", "W/\"99-{external_key}\"");
        attacks.push(Attack { body, ..attack });
    }
    attacks
}

fn bulk_of(operations: Value) -> Value {
    json!({"schemas": [BULK], "Operations": operations})
}

/// Operations that name B's resources in every place where a bulk request has a name.
fn operations() -> Vec<Value> {
    let add = |id: &str| patch(json!([{"op": "add", "path": "members", "value": [{"value": id}]}]));
    vec![
        json!([{"method": "DELETE", "path": "/Users/{user}"}]),
        json!([{"method": "DELETE", "path": "/Groups/{group}", "version": "{user_etag}"}]),
        json!([{"method": "PUT", "path": "/Users/{user}", "data": user("x@example.com")}]),
        json!([{"method": "PATCH", "path": "/Groups/{group}", "data": add("{a_user}")}]),
        json!([{"method": "PATCH", "path": "/Groups/{a_group}", "data": add("{user}")}]),
        json!([{"method": "POST", "path": "/Groups", "bulkId": "g", "data": group("G", &["{user}"])}]),
        json!([{"method": "POST", "path": "/{gadgets}", "bulkId": "g", "data": {"serial": "1"}}]),
        json!([
            {"method": "POST", "path": "/Users", "bulkId": "u", "data": user("x@example.com")},
            {"method": "PATCH", "path": "/Groups/{group}", "data": add("bulkId:u")},
        ]),
        json!([
            {"method": "POST", "path": "/Users", "bulkId": "u", "data": user("x@example.com")},
            {"method": "PATCH", "path": "/Users/{user}", "data":
                patch(json!([{"op": "replace", "path": "title", "value": "Mine"}]))},
            {"method": "DELETE", "path": "/Users/{boss}"},
        ]),
        json!([{"method": "PATCH", "path": "/Groups/{a_group}",
            "data": add("/{external_key}/Users/{user}")}]),
    ]
}

fn bulk() -> Vec<Attack> {
    let mut attacks: Vec<Attack> = operations()
        .into_iter()
        .map(|operations| a("Bulk", "POST", "/Bulk", 200).body(bulk_of(operations)))
        .collect();
    // The bulkId is the client's own word.
    let named = json!([{"method": "POST", "path": "/Users", "bulkId": "{user}",
        "data": user("{user_name}")}]);
    attacks.push(a("Bulk", "POST", "/Bulk", 200).body(bulk_of(named)).stores());
    // A reference to what this request does not make, though B once made it.
    let dangling = json!([{"method": "POST", "path": "/Groups", "bulkId": "g",
        "data": group("G", &["bulkId:{user}"])}]);
    attacks.push(a("Bulk", "POST", "/Bulk", 200).body(bulk_of(dangling)));
    attacks
}

/// The same, done later; and the outcome of what B asked for.
fn asynchronous() -> Vec<Attack> {
    let mut attacks = vec![
        a("Async", "GET", "/Async/{txn}", 404),
        a("Async", "HEAD", "/Async/{txn}", 404),
        a("Async", "GET", "/Async/{request}", 404),
        a("Async", "DELETE", "/Async/{txn}", 405),
    ];
    let later = |attack: Attack| attack.later();
    attacks.extend(bulk().into_iter().take(10).map(later));
    let rename = patch(json!([{"op": "replace", "path": "displayName", "value": "Mine"}]));
    attacks.extend([
        a("Resource", "PATCH", "/Users/{user}", 404).body(rename.clone()).later(),
        a("Resource", "PUT", "/Groups/{group}", 404).body(group("Mine", &["{a_user}"])).later(),
        a("Resource", "DELETE", "/Users/{user}", 404).later(),
        a("Resource", "DELETE", "/Users/{user}", 404).header("If-Match", "{user_etag}").later(),
        a("Collection", "POST", "/Groups", 202).body(group("Mine", &["{user}"])).later(),
        a("Collection", "POST", "/Users", 202).body(user("{user_name}")).later(),
    ]);
    attacks
}

/// What the server says about itself and about A.
fn discovery() -> Vec<Attack> {
    vec![
        a("ServiceProviderConfig", "GET", "/ServiceProviderConfig", 200),
        a("Schemas", "GET", "/Schemas", 200),
        a("Schemas", "GET", "/Schemas?startIndex=1&count=1000", 200),
        a("Schema", "GET", "/Schemas/{badge_urn}", 404),
        a("Schema", "GET", "/Schemas/{gadget_urn}", 404),
        a("ResourceTypes", "GET", "/ResourceTypes", 200),
        a("ResourceType", "GET", "/ResourceTypes/{gadget_type}", 404),
        a("ResourceType", "GET", "/ResourceTypes/User", 200),
        a("OpenApi", "GET", "/openapi.json", 200),
    ]
}

/// A user of A with a token of its own.
fn me() -> Vec<Attack> {
    let me = |method, path: &str, status| Attack::new(Who::Me, "Me", method, path, status);
    let manager = json!([{"op": "add", "path": format!("{ENTERPRISE}:manager"),
        "value": {"value": "{boss}"}}]);
    let own = json!([{"op": "replace", "value": {"id": "{user}", "title": "Mine"}}]);
    vec![
        me("GET", "/Me", 200),
        me("GET", "/Me?id={user}&filter=id%20eq%20%22{user}%22", 200),
        me("GET", "/Me", 200).header("If-None-Match", "{user_etag}x"),
        me("GET", "/Me/{user}", 404),
        me("PATCH", "/Me", 200).body(patch(own)),
        me("PATCH", "/Me", 200).body(patch(manager)).stores(),
        me("PUT", "/Me", 200).body(json!({"userName": "{user_name}", "id": "{user}"})).stores(),
        me("GET", "/Users/{user}", 404),
        me("POST", "/Me", 405).body(json!({"id": "{user}"})),
    ]
}

/// Where unknown members wait, B's ids are unknown members.
fn holding() -> Vec<Attack> {
    let holding =
        |route, method, path: &str, status| Attack::new(Who::Holding, route, method, path, status);
    let mut attacks = Vec::new();
    for member in ["{user}", "{group}", "{widget}", "{user_external_id}", "{pending}"] {
        let value = json!([{"value": member}]);
        for op in ["add", "replace", "remove"] {
            let body = patch(json!([{"op": op, "path": "members", "value": value}]));
            attacks.push(holding("Resource", "PATCH", "/Groups/{a_holding_group}", 200).body(body));
        }
        let gone =
            patch(json!([{"op": "remove", "path": format!("members[value eq \"{member}\"]")}]));
        attacks.push(holding("Resource", "PATCH", "/Groups/{a_holding_group}", 200).body(gone));
        attacks.push(
            holding("Resource", "PUT", "/Groups/{a_holding_group}", 200)
                .body(group("Team", &["{a_holding_user}", member])),
        );
        attacks.push(holding("Collection", "POST", "/Groups", 201).body(group("Mine", &[member])));
        // Who appears under that name joins A's groups, and no others.
        let mut body = user("x@example.com");
        body["externalId"] = json!(member);
        attacks.push(holding("Collection", "POST", "/Users", 201).body(body).stores());
    }
    attacks
}

/// Paths that name B, with A's token or none; B's token where A is named.
pub(super) fn wrong_doors() -> Vec<Attack> {
    let doors = [
        ("Resource", "GET", "/Users/{user}"),
        ("Resource", "PUT", "/Users/{user}"),
        ("Resource", "PATCH", "/Groups/{group}"),
        ("Resource", "DELETE", "/Users/{user}"),
        ("Collection", "GET", "/Users"),
        ("Collection", "GET", "/{gadgets}"),
        ("Collection", "GET", "/Roles"),
        ("Collection", "POST", "/Users"),
        ("Root", "GET", "/"),
        ("Search", "POST", "/.search"),
        ("Search", "POST", "/Users/.search"),
        ("Me", "GET", "/Me"),
        ("Bulk", "POST", "/Bulk"),
        ("Async", "GET", "/Async/{txn}"),
        ("Schemas", "GET", "/Schemas"),
        ("Schema", "GET", "/Schemas/{badge_urn}"),
        ("ResourceTypes", "GET", "/ResourceTypes"),
        ("ResourceType", "GET", "/ResourceTypes/{gadget_type}"),
        ("OpenApi", "GET", "/openapi.json"),
        ("Unknown", "GET", "/Users/{user}/x"),
    ];
    let mut attacks = Vec::new();
    for (who, status) in
        [(Who::Trespasser, 403), (Who::Stranger, 401), (Who::Nobody, 401), (Who::Lost, 403)]
    {
        for (route, method, path) in doors {
            let attack = Attack::new(who, route, method, path, status);
            let body = matches!(method, "POST" | "PUT" | "PATCH").then(|| user("x@example.com"));
            attacks.push(Attack { body, ..attack });
        }
    }
    // Anybody may read what the server can do; the path says nothing.
    let config = "/ServiceProviderConfig";
    attacks.extend([
        Attack::new(Who::Nobody, "ServiceProviderConfig", "GET", config, 200),
        Attack::new(Who::Trespasser, "ServiceProviderConfig", "GET", config, 403),
        Attack::new(Who::Stranger, "ServiceProviderConfig", "GET", config, 401),
        Attack::new(Who::Passer, "Version", "GET", "/scim/v9/{external_key}/Users/{user}", 401),
    ]);
    attacks
}

/// A filter for a query; the names in it are filled in, and encoded, later.
pub(super) fn encoded(filter: &str) -> String {
    let mut encoded = String::new();
    for part in filter.split_inclusive(['{', '}']) {
        match part.strip_suffix('}') {
            Some(label) => encoded.push_str(&format!("={label}}}")),
            None => match part.strip_suffix('{') {
                Some(text) => encoded.push_str(&format!("{}{{", encode(text))),
                None => encoded.push_str(&encode(part)),
            },
        }
    }
    encoded
}

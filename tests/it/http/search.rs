//! Queries in a body (RFC 7644 §3.4.3) and over every resource type (§3.4.2.1).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::device::{DEVICE, add_devices, device};
use super::{USER, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp, group, user};

on_both_databases![
    search_of_a_type_is_its_list,
    search_of_everything_is_the_root,
    all_parameters_work_in_a_body,
    attributes_are_a_list_or_text,
    malformed_bodies_are_refused,
    search_by_cursor,
    read_only_token_may_search,
    search_takes_post_only,
    unknown_types_are_404,
    resource_type_is_compared_by_every_operator,
    attribute_of_one_type_selects_that_type,
    attribute_of_no_type_is_400,
    root_sorts_over_types,
    root_pages_over_types,
    projection_over_types,
    root_takes_reads_only,
];

fn body(members: Value) -> Value {
    let mut body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]});
    for (name, value) in members.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

#[track_caller]
fn search(client: &Client, path: &str, members: Value) -> Answer {
    client.post(&format!("{path}/.search"), body(members))
}

/// Two users, two groups and two devices; their ids in the order of creation.
fn fill(app: &TestApp) -> Vec<String> {
    add_devices(app);
    let scim = &app.scim;
    let mut ids = vec![create(scim, "/Groups", group("delta", &[]))];
    ids.push(create(scim, "/Users", user("charlie@example.com")));
    ids.push(create(scim, "/Devices", device("bravo", 2)));
    let mut ada = plain_user("echo@example.com");
    ada["displayName"] = "alpha".into();
    ada["externalId"] = "7".into();
    ids.push(create(scim, "/Users", ada));
    ids.push(create(scim, "/Groups", group("Alpha", &[&ids[1]])));
    let mut other = device("Echo", 10);
    other["externalId"] = "5".into();
    ids.push(create(scim, "/Devices", other));
    ids
}

/// Types in the order of a root list, each with its ids.
fn by_type(ids: &[String]) -> [Vec<String>; 3] {
    let pick = |at: [usize; 2]| at.map(|n| ids[n].clone()).to_vec();
    [pick([1, 3]), pick([0, 4]), pick([2, 5])]
}

fn set(ids: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    ids.into_iter().collect()
}

fn search_of_a_type_is_its_list(app: &TestApp) {
    let ids = fill(app);
    let types = by_type(&ids);
    for (path, expected) in ["/Users", "/Groups", "/Devices"].iter().zip(&types) {
        let found = search(&app.scim, path, json!({})).expect(200);
        assert_eq!(found.header("content-type"), Some("application/scim+json"));
        assert_eq!(found.body, app.scim.get(path).expect(200).body, "{path}");
        assert_eq!(found.ids(), *expected);
    }
    let names = search(&app.scim, "/users", json!({"filter": "userName sw \"e\""}));
    assert_eq!(texts(&names, "userName"), ["echo@example.com"]);
    let found = search(&app.scim, "/DEVICES", json!({"filter": "floor gt 5"}));
    assert_eq!(texts(&found, "serial"), ["Echo"]);
    let none = search(&app.scim, "/Users", json!({"filter": "userName eq \"nobody\""}));
    assert_eq!((none.total(), &none.body["Resources"]), (0, &json!([])));
}

fn search_of_everything_is_the_root(app: &TestApp) {
    let ids = fill(app);
    let root = app.scim.get("").expect(200);
    assert_eq!(root.total(), 6);
    assert_eq!(set(root.ids()), set(ids.clone()));
    for other in [app.scim.get("/").expect(200), search(&app.scim, "", json!({})).expect(200)] {
        assert_eq!(other.body, root.body);
    }
    // Each resource is shown as its own URL shows it.
    for resource in root.body["Resources"].as_array().expect("a list") {
        let location = resource["meta"]["location"].as_str().expect("a location");
        let path = location.strip_prefix(&app.directory.base_url).expect("our base");
        assert_eq!(app.scim.get(path).expect(200).body, *resource);
    }
    // Another directory sees none of it.
    let (_, other) = app.directory("scim.generic");
    assert_eq!(other.get("/").total(), 0);
    assert_eq!(search(&other, "", json!({})).total(), 0);
}

fn all_parameters_work_in_a_body(app: &TestApp) {
    for n in 0..7 {
        let mut body = plain_user(&format!("user{n}"));
        body["title"] = if n == 3 { json!("Dr") } else { json!("Engineer") };
        body["active"] = (n % 2 == 0).into();
        create(&app.scim, "/Users", body);
    }
    let found = search(
        &app.scim,
        "/Users",
        json!({
            "attributes": ["userName", "title"],
            "filter": "title eq \"engineer\"",
            "sortBy": "userName",
            "sortOrder": "descending",
            "startIndex": 2,
            "count": 3,
        }),
    );
    assert_eq!(texts(&found, "userName"), ["user5", "user4", "user2"]);
    assert_eq!(found.body["totalResults"], 6);
    assert_eq!(found.body["startIndex"], 2);
    assert_eq!(found.body["itemsPerPage"], 3);
    for resource in found.body["Resources"].as_array().expect("a list") {
        let names: BTreeSet<&str> =
            resource.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(["schemas", "id", "userName", "title"]));
    }
    // As clients write them: other letter case, numbers as text, null for nothing.
    let found = search(
        &app.scim,
        "/Users",
        json!({
            "SortBy": "username", "sortorder": "Ascending", "STARTINDEX": "6", "count": "5",
            "filter": null, "attributes": null, "excludedAttributes": [],
        }),
    );
    assert_eq!(texts(&found, "userName"), ["user5", "user6"]);
    // The URL has no say.
    let found = app.scim.post("/Users/.search?count=1&filter=x", body(json!({})));
    assert_eq!(found.total(), 7);
    assert_eq!(found.ids().len(), 7);
}

fn attributes_are_a_list_or_text(app: &TestApp) {
    create(&app.scim, "/Users", user("ada@example.com"));
    let shown = |members: Value| {
        let found = search(&app.scim, "/Users", members.clone()).expect(200);
        found.body["Resources"][0].clone()
    };
    let two = json!(["userName", "name.givenName"]);
    let expected = shown(json!({"attributes": two}));
    assert_eq!(expected["name"], json!({"givenName": "Ada"}));
    assert_eq!(expected.get("emails"), None);
    assert_eq!(shown(json!({"attributes": "userName, name.givenName"})), expected);
    let urn = format!("{USER}:userName");
    assert_eq!(shown(json!({"attributes": [urn]}))["userName"], "ada@example.com");
    let without = shown(json!({"excludedAttributes": ["name", "emails.type"]}));
    assert_eq!(without.get("name"), None);
    assert_eq!(without["emails"], json!([{"value": "ada@example.com", "primary": true}]));
    let both = json!({"attributes": ["userName"], "excludedAttributes": ["name"]});
    search(&app.scim, "/Users", both).expect_scim_error(400, Some("invalidValue"));
}

fn malformed_bodies_are_refused(app: &TestApp) {
    for (members, word) in [
        (json!({"filter": true}), "filter"),
        (json!({"attributes": [1]}), "attributes"),
        (json!({"attributes": {"a": 1}}), "attributes"),
        (json!({"count": [1]}), "count"),
        (json!({"sortBy": ["userName"]}), "sortBy"),
    ] {
        let detail = search(&app.scim, "/Users", members);
        let detail = detail.expect_scim_error(400, Some("invalidSyntax"));
        assert!(detail.contains(word), "{detail}");
    }
    search(&app.scim, "", json!({"count": "many"})).expect_scim_error(400, Some("invalidValue"));
    let wrong = search(&app.scim, "", json!({"filter": "userName eq"}));
    wrong.expect_scim_error(400, Some("invalidFilter"));
    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]});
    let detail = app.scim.post("/Users/.search", patch);
    let detail = detail.expect_scim_error(400, Some("invalidSyntax"));
    assert!(detail.contains("SearchRequest"), "{detail}");
    assert_eq!(app.scim.post("/Users/.search", json!({})).total(), 0);
    let (_, rfc) = app.directory("scim.rfc");
    rfc.post("/.search", json!({})).expect_scim_error(400, Some("invalidSyntax"));
}

fn search_by_cursor(app: &TestApp) {
    let ids = fill(app);
    for (path, query, total) in [
        ("", json!({}), 6),
        ("", json!({"filter": "meta.resourceType ne \"Device\""}), 4),
        ("", json!({"sortBy": "displayName", "sortOrder": "descending"}), 6),
        ("/Users", json!({"sortBy": "userName", "attributes": ["userName"]}), 2),
    ] {
        let mut members = query.clone();
        let whole = search(&app.scim, path, members.clone()).ids();
        assert_eq!(whole.len(), total, "{query}");
        members["count"] = 1.into();
        members["cursor"] = "".into();
        let mut seen = Vec::new();
        loop {
            let page = search(&app.scim, path, members.clone()).expect(200);
            assert_eq!(page.body["totalResults"], total, "{query}");
            assert_eq!(page.body.get("startIndex"), None);
            assert_eq!(page.body["itemsPerPage"], 1);
            assert_eq!(page.body.get("previousCursor").is_some(), !seen.is_empty());
            seen.extend(page.ids());
            match page.body.get("nextCursor") {
                Some(cursor) => members["cursor"] = cursor.clone(),
                None => break,
            }
        }
        assert_eq!(seen, whole, "{query}");
    }
    // A cursor goes on where it was made, in a URL too.
    let first = search(&app.scim, "/Users", json!({"cursor": "", "count": 1})).expect(200);
    let cursor = first.body["nextCursor"].as_str().expect("a cursor");
    let second = app.scim.get(&format!("/Users?count=1&cursor={cursor}"));
    assert_eq!(second.ids(), [ids[3].clone()]);
    let elsewhere = search(&app.scim, "", json!({"cursor": cursor, "count": 1}));
    elsewhere.expect_scim_error(400, Some("invalidCursor"));
    let both = search(&app.scim, "", json!({"cursor": "", "startIndex": 1}));
    both.expect_scim_error(400, Some("invalidValue"));
}

fn read_only_token_may_search(app: &TestApp) {
    let ids = fill(app);
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&path, json!({"scope": "read"})).expect(201);
    let reader = app.scim.with_bearer(token.body["secret"].as_str());
    assert_eq!(set(search(&reader, "", json!({})).ids()), set(ids));
    for path in ["/Users", "/Groups", "/Devices"] {
        assert_eq!(search(&reader, path, json!({})).total(), 2);
    }
    assert_eq!(reader.get("/").total(), 6);
    app.scim.with_bearer(None).post("/.search", body(json!({}))).expect_scim_error(401, None);
}

fn search_takes_post_only(app: &TestApp) {
    for path in ["/.search", "/Users/.search", "/Groups/.SEARCH/"] {
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            let answer = app.scim.send(method, path, &[], None);
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {path}");
            answer.expect_scim_error(405, None);
        }
    }
}

fn unknown_types_are_404(app: &TestApp) {
    for path in ["/Planets", "/Devices", "/Schemas/x", "/Bulk"] {
        search(&app.scim, path, json!({})).expect_scim_error(404, None);
    }
    add_devices(app);
    assert_eq!(search(&app.scim, "/Devices", json!({})).total(), 0);
}

fn resource_type_is_compared_by_every_operator(app: &TestApp) {
    let [users, groups, devices] = by_type(&fill(app));
    let all = [users.clone(), groups.clone(), devices.clone()].concat();
    let two = |a: &[String], b: &[String]| [a, b].concat();
    for (filter, expected) in [
        ("meta.resourceType eq \"User\"", users.clone()),
        ("meta.resourceType eq \"Group\"", groups.clone()),
        ("meta.resourceType eq \"Device\"", devices.clone()),
        ("meta.resourceType eq \"Planet\"", vec![]),
        ("meta.resourceType ne \"User\"", two(&groups, &devices)),
        ("meta.resourceType co \"e\"", two(&users, &devices)),
        ("meta.resourceType sw \"G\"", groups.clone()),
        ("meta.resourceType ew \"r\"", users.clone()),
        ("meta.resourceType gt \"Group\"", users.clone()),
        ("meta.resourceType ge \"Group\"", two(&users, &groups)),
        ("meta.resourceType lt \"Group\"", devices.clone()),
        ("meta.resourceType le \"Group\"", two(&groups, &devices)),
        ("meta.resourceType pr", all.clone()),
        ("not (meta.resourceType pr)", vec![]),
        ("not (meta.resourceType eq \"User\")", two(&groups, &devices)),
        ("meta.resourceType eq \"User\" or meta.resourceType eq \"Device\"", two(&users, &devices)),
        ("meta.resourceType eq \"User\" and meta.resourceType eq \"Group\"", vec![]),
        ("meta[resourceType eq \"User\"]", users.clone()),
        ("meta.resourceType eq \"Group\" and displayName eq \"alpha\"", vec![groups[1].clone()]),
        // The second part is about another type and has to be looked at one by one.
        ("meta.resourceType eq \"Group\" or displayName co \"rav\"", two(&groups, &devices[..1])),
    ] {
        let found = search(&app.scim, "", json!({"filter": filter}));
        assert_eq!(found.total(), expected.len() as u64, "{filter}");
        assert_eq!(set(found.ids()), set(expected.clone()), "{filter}");
        assert_eq!(app.scim.filter("/", filter).body, found.body, "{filter}");
    }
    let own = app.scim.filter("/Users", "meta.resourceType eq \"Group\"");
    assert_eq!(own.total(), 0);
}

/// Of other types the attribute is unassigned (RFC 7644 §3.4.2.1).
fn attribute_of_one_type_selects_that_type(app: &TestApp) {
    let [users, groups, devices] = by_type(&fill(app));
    let others = [groups.clone(), devices.clone()].concat();
    for (filter, expected) in [
        ("userName pr", users.clone()),
        ("userName eq \"ECHO@example.com\"", vec![users[1].clone()]),
        ("userName co \"cho\"", users[1..].to_vec()),
        ("not (userName pr)", others.clone()),
        ("userName ne \"echo@example.com\"", [&users[..1], &others].concat()),
        ("floor ge 2", devices.clone()),
        ("floor lt 10", vec![devices[0].clone()]),
        ("serial sw \"b\" or userName sw \"c\"", vec![devices[0].clone(), users[0].clone()]),
        ("members pr", vec![groups[1].clone()]),
        (&format!("{DEVICE}:floor eq 10"), vec![devices[1].clone()]),
        (&format!("{USER}:active eq true"), users.clone()),
        ("displayName eq \"ALPHA\"", vec![users[1].clone(), groups[1].clone()]),
        ("externalId pr", vec![users[1].clone(), devices[1].clone()]),
        ("emails[type eq \"work\"]", vec![users[0].clone()]),
    ] {
        let found = app.scim.filter("/", filter);
        assert_eq!(found.total(), expected.len() as u64, "{filter}");
        assert_eq!(set(found.ids()), set(expected), "{filter}");
    }
}

fn attribute_of_no_type_is_400(app: &TestApp) {
    fill(app);
    for filter in ["shoeSize eq 43", "userName pr and shoeSize pr", "urn:x:y:userName pr"] {
        let detail = app.scim.filter("/", filter).expect_scim_error(400, Some("invalidFilter"));
        assert!(detail.contains("shoeSize") || detail.contains("urn:x:y"), "{detail}");
        let found = search(&app.scim, "", json!({"filter": filter}));
        found.expect_scim_error(400, Some("invalidFilter"));
    }
    // One that a single type does not know is 400 there.
    app.scim.filter("/Groups", "userName pr").expect_scim_error(400, Some("invalidFilter"));
}

fn root_sorts_over_types(app: &TestApp) {
    let ids = fill(app);
    let sorted = |by: &str, order: &str| {
        search(&app.scim, "", json!({"sortBy": by, "sortOrder": order})).expect(200).ids()
    };
    let pick = |at: &[usize]| -> Vec<String> { at.iter().map(|n| ids[*n].clone()).collect() };
    // alpha (user), Alpha (group), bravo, delta, Echo; the first user has no displayName.
    assert_eq!(sorted("displayName", "ascending"), pick(&[3, 4, 2, 0, 5, 1]));
    assert_eq!(sorted("displayName", "descending"), pick(&[1, 5, 0, 2, 4, 3]));
    // Two have one; the others follow in the order of creation.
    assert_eq!(sorted("externalId", "ascending"), pick(&[5, 3, 0, 1, 2, 4]));
    assert_eq!(sorted("floor", "ascending"), pick(&[2, 5, 0, 1, 3, 4]));
    assert_eq!(sorted("id", "ascending"), {
        let mut ids = ids.clone();
        ids.sort_unstable();
        ids
    });
    assert_eq!(sorted("meta.resourceType", "ascending"), pick(&[2, 5, 0, 4, 1, 3]));
    // Unknown to all: as without.
    assert_eq!(sorted("shoeSize", "descending"), app.scim.get("/").ids());
    let (_, rfc) = app.directory("scim.rfc");
    rfc.get("/?sortBy=shoeSize").expect_scim_error(400, Some("invalidValue"));
    assert_eq!(rfc.get("/?sortBy=userName").total(), 0);
}

fn root_pages_over_types(app: &TestApp) {
    fill(app);
    for query in ["", "&filter=id+pr", "&sortBy=meta.created", "&filter=displayName+co+%22a%22"] {
        let whole = app.scim.get(&format!("/?count=100{query}")).ids();
        for count in 1..=4 {
            let mut seen = Vec::new();
            while seen.len() < whole.len() {
                let start = seen.len() + 1;
                let page = app.scim.get(&format!("/?startIndex={start}&count={count}{query}"));
                assert_eq!(page.total(), whole.len() as u64, "{query}");
                assert!(!page.ids().is_empty(), "{query} {start}");
                seen.extend(page.ids());
            }
            assert_eq!(seen, whole, "{query}, {count} a page");
        }
    }
}

fn projection_over_types(app: &TestApp) {
    fill(app);
    let names = |list: &Answer| -> Vec<BTreeSet<String>> {
        let resources = list.body["Resources"].as_array().expect("a list");
        let keys = |r: &Value| r.as_object().expect("an object").keys().cloned().collect();
        resources.iter().map(keys).collect()
    };
    let of =
        |names: &[&str]| -> BTreeSet<String> { names.iter().map(|n| (*n).to_owned()).collect() };
    let list = search(&app.scim, "", json!({"attributes": ["userName", "serial"]})).expect(200);
    let expected = [
        of(&["schemas", "id", "userName"]),
        of(&["schemas", "id"]),
        of(&["schemas", "id", "serial"]),
    ];
    assert_eq!(names(&list), expected.map(|names| vec![names; 2]).concat());
    let list =
        app.scim.get("/?excludedAttributes=userName,serial,members,meta&filter=displayName+pr");
    for resource in list.body["Resources"].as_array().expect("a list") {
        for name in ["userName", "serial", "members", "meta"] {
            assert_eq!(resource.get(name), None, "{resource}");
        }
        assert!(resource["displayName"].is_string(), "{resource}");
    }
    assert_eq!(list.total(), 5);
}

fn root_takes_reads_only(app: &TestApp) {
    assert_eq!(app.scim.send("HEAD", "/", &[], None).expect(200).text, "");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = app.scim.send(method, "/", &[], Some("{}".into()));
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method}");
        answer.expect_scim_error(405, None);
    }
}

//! Pages and order of lists (RFC 7644 §3.4.2.3, §3.4.2.4).

use std::time::Duration;

use serde_json::{Value, json};

use super::{USER, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{ENTERPRISE, TestApp, group};

on_both_databases![
    empty_list_has_all_members,
    pages_walk_through_everything_once,
    page_parameters_are_clamped,
    wrong_page_parameters_are_400,
    filtered_pages_count_all_matches,
    sort_orders_by_the_attribute,
    unassigned_values_come_last_ascending_and_first_descending,
    sorted_pages_walk_through_everything_once,
    sort_of_groups_ignores_letter_case,
    wrong_sort_order_is_400,
    unknown_sort_attribute_keeps_the_order_of_creation,
];

fn make_users(app: &TestApp, names: &[&str]) {
    for name in names {
        let mut body = plain_user(name);
        body["title"] = json!("Engineer");
        create(&app.scim, "/Users", body);
    }
}

fn empty_list_has_all_members(app: &TestApp) {
    for path in ["/Users", "/Groups", "/Users?filter=title+pr", "/Users?sortBy=title"] {
        let list = app.scim.get(path).expect(200);
        assert_eq!(list.header("content-type"), Some("application/scim+json"));
        assert_eq!(
            list.body,
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
                "totalResults": 0,
                "startIndex": 1,
                "itemsPerPage": 0,
                "Resources": [],
            }),
            "{path}"
        );
    }
}

/// Reads a list in pages of two.
fn walk(app: &TestApp, query: &str, total: u64) -> Vec<String> {
    let mut seen = Vec::new();
    for start in (1..=total).step_by(2) {
        let list = app.scim.get(&format!("/Users?{query}&startIndex={start}&count=2"));
        assert_eq!(list.total(), total, "{query}");
        assert_eq!(list.body["startIndex"], start);
        let page = texts(&list, "userName");
        assert_eq!(list.body["itemsPerPage"], page.len(), "{query}");
        seen.extend(page);
    }
    seen
}

fn pages_walk_through_everything_once(app: &TestApp) {
    make_users(app, &["e", "d", "c", "b", "a"]);
    assert_eq!(walk(app, "", 5), ["e", "d", "c", "b", "a"]);
}

fn page_parameters_are_clamped(app: &TestApp) {
    make_users(app, &["a", "b", "c"]);
    for (query, start, shown) in [
        ("", 1, 3),
        ("startIndex=2", 2, 2),
        ("startIndex=0", 1, 3),
        ("startIndex=-7&count=2", 1, 2),
        ("startIndex=4", 4, 0),
        ("startIndex=99999999999999999999", 9_223_372_036_854_775_807_u64, 0),
        ("count=0", 1, 0),
        ("count=-1", 1, 0),
        ("count=1", 1, 1),
        ("count=99999999999999999999", 1, 3),
        ("STARTINDEX=3&Count=5", 3, 1),
        ("startIndex=&count=", 1, 3),
        ("filter=title+pr&startIndex=3", 3, 1),
        ("filter=title+pr&count=0", 1, 0),
        ("sortBy=title&startIndex=4", 4, 0),
    ] {
        let list = app.scim.get(&format!("/Users?{query}"));
        assert_eq!(list.total(), 3, "{query}");
        assert_eq!(list.body["startIndex"], start, "{query}");
        assert_eq!(list.body["itemsPerPage"], shown, "{query}");
        assert_eq!(list.ids().len(), shown, "{query}");
    }
}

fn wrong_page_parameters_are_400(app: &TestApp) {
    for (query, named, found) in [
        ("startIndex=first", "startIndex", "first"),
        ("count=1.5", "count", "1.5"),
        ("count=0x10", "count", "0x10"),
    ] {
        let answer = app.scim.get(&format!("/Users?{query}"));
        let detail = answer.expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains(named) && detail.contains(found), "{detail}");
    }
}

fn filtered_pages_count_all_matches(app: &TestApp) {
    make_users(app, &["a1", "b1", "a2", "b2", "a3", "b3"]);
    assert_eq!(walk(app, "filter=userName+sw+%22a%22", 3), ["a1", "a2", "a3"]);
    let scanned = "filter=userName+sw+%22a%22+and+title+co+%22gin%22";
    assert_eq!(walk(app, scanned, 3), ["a1", "a2", "a3"]);
    assert_eq!(walk(app, &format!("{scanned}&sortBy=title"), 3), ["a1", "a2", "a3"]);
}

/// Three users whose attributes all have the order c, a, b, but `joined`: a, b, c.
fn make_sortable_users(app: &TestApp) {
    for (name, family, email, number) in [
        ("a", "Ähre", "m@x.org", "20"),
        ("b", "über", "z@x.org", "30"),
        ("c", "Adler", "B@x.org", "10"),
    ] {
        let body = json!({
            "schemas": [USER, ENTERPRISE],
            "userName": format!("{name}.user"),
            "externalId": format!("x{number}"),
            "name": {"familyName": family},
            "active": name != "c",
            "emails": [{"value": "k@x.org"}, {"value": email, "primary": true}],
            ENTERPRISE: {"employeeNumber": number},
        });
        create(&app.scim, "/Users", body);
        app.clock.advance(Duration::from_secs(1));
    }
}

fn sort_orders_by_the_attribute(app: &TestApp) {
    make_sortable_users(app);
    let number = format!("{ENTERPRISE}:employeeNumber");
    let urn = format!("{USER}:name.familyName");
    for (attribute, order) in [
        ("userName", ["a", "b", "c"]),
        ("USERNAME", ["a", "b", "c"]),
        ("id", ["a", "b", "c"]),
        ("meta.created", ["a", "b", "c"]),
        ("meta.lastModified", ["a", "b", "c"]),
        ("externalId", ["c", "a", "b"]),
        ("name.familyName", ["c", "a", "b"]),
        (&urn, ["c", "a", "b"]),
        ("emails", ["c", "a", "b"]),
        ("emails.value", ["c", "a", "b"]),
        (&number, ["c", "a", "b"]),
        ("active", ["c", "a", "b"]),
    ] {
        let names = |query: &str| -> Vec<String> {
            let list = app.scim.get(&format!("/Users?sortBy={attribute}{query}"));
            texts(&list, "userName").iter().map(|name| name.replace(".user", "")).collect()
        };
        assert_eq!(names(""), order, "{attribute}");
        assert_eq!(names("&sortOrder=Ascending"), order, "{attribute}");
        if attribute != "active" {
            let mut reversed = order;
            reversed.reverse();
            assert_eq!(names("&sortOrder=descending"), reversed, "{attribute} descending");
        }
    }
}

fn unassigned_values_come_last_ascending_and_first_descending(app: &TestApp) {
    for (name, value) in [("none", json!(null)), ("two", json!("2")), ("one", json!("1"))] {
        let mut body = plain_user(name);
        body["externalId"] = value.clone();
        body["title"] = value;
        create(&app.scim, "/Users", body);
    }
    for attribute in ["externalId", "title"] {
        let names = |order: &str| {
            let path = format!("/Users?sortBy={attribute}&sortOrder={order}");
            texts(&app.scim.get(&path), "userName")
        };
        assert_eq!(names("ascending"), ["one", "two", "none"], "{attribute}");
        assert_eq!(names("descending"), ["none", "two", "one"], "{attribute}");
    }
}

fn sorted_pages_walk_through_everything_once(app: &TestApp) {
    make_users(app, &["e", "b", "d", "a", "c"]);
    let sorted = ["a", "b", "c", "d", "e"];
    assert_eq!(walk(app, "sortBy=userName", 5), sorted);
    // Equal values: whatever their order is, every user stands on one page.
    for query in ["sortBy=title", "sortBy=externalId", "sortBy=title&sortOrder=descending"] {
        let mut seen = walk(app, query, 5);
        seen.sort_unstable();
        assert_eq!(seen, sorted, "{query}");
    }
}

fn sort_of_groups_ignores_letter_case(app: &TestApp) {
    for name in ["beta", "Alpha", "Émile", "gamma"] {
        create(&app.scim, "/Groups", group(name, &[]));
    }
    let list = app.scim.get("/Groups?sortBy=displayName");
    assert_eq!(texts(&list, "displayName"), ["Alpha", "beta", "gamma", "Émile"]);
    let list = app.scim.get("/Groups?sortBy=displayName&sortOrder=descending&count=2");
    assert_eq!(texts(&list, "displayName"), ["Émile", "gamma"]);
}

fn wrong_sort_order_is_400(app: &TestApp) {
    let answer = app.scim.get("/Users?sortBy=userName&sortOrder=up");
    let detail = answer.expect_scim_error(400, Some("invalidValue"));
    for word in ["sortOrder", "ascending", "descending", "up"] {
        assert!(detail.contains(&format!("\"{word}\"")), "{detail}");
    }
}

fn unknown_sort_attribute_keeps_the_order_of_creation(app: &TestApp) {
    make_users(app, &["c", "a", "b"]);
    for attribute in ["shoeSize", "name", "a%20b"] {
        let list = app.scim.get(&format!("/Users?sortBy={attribute}"));
        assert_eq!(texts(&list, "userName"), ["c", "a", "b"], "{attribute}");
        assert_ne!(list.body["Resources"], Value::Null);
    }
}

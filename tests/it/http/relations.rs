//! What other resources say about one: managers, groups, members (RFC 7643 §4.1.2, §4.2, §4.3).

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::device::{add_devices, device};
use super::{USER, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Answer, ENTERPRISE, TestApp, group, patch};

on_both_databases![
    manager_is_shown_in_every_answer,
    what_a_client_says_about_the_manager_is_not_kept,
    renamed_manager_makes_a_new_representation,
    unknown_manager_has_no_link,
    manager_is_found_by_name,
    projection_of_the_manager,
    deleted_manager_is_taken_from_all_reports,
    deleted_manager_is_taken_from_reports_that_change_meanwhile,
    manager_given_while_it_is_deleted_ends_without_a_link,
    self_managed_user_and_circle_can_be_deleted,
    chain_of_managers_shows_the_next_one_only,
    groups_of_a_user_are_direct_and_indirect,
    groups_in_a_circle_are_listed_once,
    groups_of_a_user_in_very_many_are_all_listed,
    members_name_their_type_and_url,
    deleted_resources_leave_their_groups,
];

fn named(user_name: &str, display_name: &str) -> Value {
    json!({"schemas": [USER], "userName": user_name, "displayName": display_name})
}

fn managed(user_name: &str, manager: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": user_name,
        ENTERPRISE: {"manager": {"value": manager}},
    })
}

fn rename(name: &str) -> Value {
    patch(json!([{"op": "replace", "path": "displayName", "value": name}]))
}

fn title(value: &str) -> Value {
    patch(json!([{"op": "replace", "path": "title", "value": value}]))
}

fn user_path(id: &str) -> String {
    format!("/Users/{id}")
}

fn url(app: &TestApp, path: &str) -> String {
    format!("{}{path}", app.directory.base_url)
}

fn manager(answer: &Answer) -> &Value {
    &answer.body[ENTERPRISE]["manager"]
}

fn manager_is_shown_in_every_answer(app: &TestApp) {
    let boss = create(&app.scim, "/Users", named("boss", "The Boss"));
    let shown = json!({
        "value": boss, "$ref": url(app, &user_path(&boss)), "displayName": "The Boss",
    });
    let made = app.scim.post("/Users", managed("ada", &boss)).expect(201);
    assert_eq!(*manager(&made), shown);
    let path = user_path(&made.id());
    let found = app.scim.get(&path).expect(200);
    assert_eq!(found.body, made.body);
    assert_eq!(found.header("etag"), made.header("etag"));
    assert_eq!(found.body["meta"]["version"], found.header("etag").expect("a tag"));
    let patched = app.scim.patch(&path, title("Dr")).expect(200);
    assert_eq!(*manager(&patched), shown);
    let put = app.scim.put(&path, managed("ada", &boss)).expect(200);
    assert_eq!(*manager(&put), shown);
    for list in [
        app.scim.get("/Users?sortBy=userName"),
        app.scim.filter("/Users", "userName eq \"ada\""),
        app.scim.filter("/Users", "userName co \"da\" and title ne \"x\""),
        app.scim.filter("/", "userName eq \"ada\""),
        app.scim.post("/Users/.search", json!({"filter": "userName eq \"ada\""})),
    ] {
        assert_eq!(list.expect(200).body["Resources"][0], put.body);
    }
    // Who manages nobody and has no manager has nothing of it.
    let boss = app.scim.get(&user_path(&boss)).expect(200);
    assert_eq!(boss.body.get(ENTERPRISE), None);
    assert_eq!(boss.header("etag"), Some("W/\"1\""));
}

fn what_a_client_says_about_the_manager_is_not_kept(app: &TestApp) {
    let boss = create(&app.scim, "/Users", plain_user("boss"));
    let mut body = managed("ada", &boss);
    body[ENTERPRISE]["manager"] = json!({
        "value": boss, "$ref": "https://evil.example/Users/1", "displayName": "Evil",
    });
    let made = app.scim.post("/Users", body).expect(201);
    // The user has no displayName.
    assert_eq!(*manager(&made), json!({"value": boss, "$ref": url(app, &user_path(&boss))}));
    let path = user_path(&made.id());
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
    assert_eq!(
        app.scim.filter("/Users", &format!("{ENTERPRISE}:manager.displayName pr")).total(),
        0
    );
    let name = json!([{"op": "add", "path": format!("{ENTERPRISE}:manager.displayName"),
                       "value": "Evil"}]);
    app.scim.patch(&path, patch(name)).expect_scim_error(400, Some("mutability"));
}

fn renamed_manager_makes_a_new_representation(app: &TestApp) {
    let boss = create(&app.scim, "/Users", named("boss", "Old"));
    let made = app.scim.post("/Users", managed("ada", &boss)).expect(201);
    let path = user_path(&made.id());
    let tag = made.header("etag").expect("a tag").to_owned();
    let read = |query: &str, tag: &str| {
        app.scim.send("GET", &format!("{path}{query}"), &[("If-None-Match", tag)], None)
    };
    for query in ["", "?excludedAttributes=groups", &format!("?attributes={ENTERPRISE}:manager")] {
        let current = app.scim.get(&format!("{path}{query}")).expect(200);
        let current = current.header("etag").expect("a tag").to_owned();
        assert_eq!(read(query, &current).expect(304).text, "", "{query}");
    }
    app.scim.patch(&user_path(&boss), rename("New")).expect(200);
    for query in ["", "?excludedAttributes=groups", &format!("?attributes={ENTERPRISE}:manager")] {
        let found = read(query, &tag).expect(200);
        assert_eq!(manager(&found)["displayName"], "New", "{query}");
        assert_ne!(found.header("etag"), Some(tag.as_str()), "{query}");
    }
    // Where the manager is not shown, its name does not matter.
    read("?attributes=userName", &tag).expect(304);
    // A write asks for the version alone, and the report was not written.
    let body = Some(title("Dr").to_string());
    let written = app.scim.send("PATCH", &path, &[("If-Match", &tag)], body).expect(200);
    assert!(written.header("etag").expect("a tag").starts_with("W/\"2-"));
    assert_eq!(app.event_names(&app.directory).len(), 4);
}

fn unknown_manager_has_no_link(app: &TestApp) {
    let team = create(&app.scim, "/Groups", group("Team", &[]));
    let (_, other) = app.directory("scim.generic");
    let stranger = create(&other, "/Users", named("x", "Stranger"));
    for value in ["E-4711", &team, &stranger] {
        let made = app.scim.post("/Users", managed(&format!("of {value}"), value)).expect(201);
        assert_eq!(*manager(&made), json!({"value": value}));
        assert_eq!(app.scim.get(&user_path(&made.id())).expect(200).body, made.body);
        assert_eq!(made.header("etag"), Some("W/\"1\""));
    }
}

fn manager_is_found_by_name(app: &TestApp) {
    let boss = create(&app.scim, "/Users", named("boss", "Big Boss"));
    let other = create(&app.scim, "/Users", named("other", "Other"));
    let ada = create(&app.scim, "/Users", managed("ada", &boss));
    let bob = create(&app.scim, "/Users", managed("bob", &boss));
    let eve = create(&app.scim, "/Users", managed("eve", &other));
    let name = format!("{ENTERPRISE}:manager.displayName");
    let both = vec![ada.clone(), bob.clone()];
    for (filter, expected) in [
        (format!("{name} eq \"big boss\""), both.clone()),
        (format!("{name} co \"boss\" and userName sw \"b\""), vec![bob.clone()]),
        (format!("{name} pr"), vec![ada.clone(), bob.clone(), eve.clone()]),
        (format!("{ENTERPRISE}:manager.value eq \"{boss}\""), both.clone()),
        (format!("{ENTERPRISE}:manager eq \"{boss}\""), both.clone()),
        (format!("{ENTERPRISE}:manager.$ref ew \"{boss}\""), both.clone()),
        (format!("{ENTERPRISE}:manager[displayName sw \"oth\"]"), vec![eve]),
    ] {
        assert_eq!(app.scim.filter("/Users", &filter).expect(200).ids(), expected, "{filter}");
    }
    app.scim.patch(&user_path(&boss), rename("Small")).expect(200);
    assert_eq!(app.scim.filter("/Users", &format!("{name} eq \"big boss\"")).total(), 0);
    assert_eq!(app.scim.filter("/Users", &format!("{name} eq \"small\"")).ids(), both);
}

fn projection_of_the_manager(app: &TestApp) {
    let boss = create(&app.scim, "/Users", named("boss", "Boss"));
    let mut body = managed("ada", &boss);
    body[ENTERPRISE]["department"] = "Sales".into();
    let path = user_path(&create(&app.scim, "/Users", body));
    let enterprise = |query: String| {
        let found = app.scim.get(&format!("{path}?{query}")).expect(200);
        found.body.get(ENTERPRISE).cloned().unwrap_or(Value::Null)
    };
    let (link, value) = (url(app, &user_path(&boss)), json!(boss));
    for (query, expected) in [
        (
            format!("attributes={ENTERPRISE}:manager"),
            json!({"manager": {"value": value, "$ref": link, "displayName": "Boss"}}),
        ),
        (
            format!("attributes={ENTERPRISE}:manager.displayName"),
            json!({"manager": {"displayName": "Boss"}}),
        ),
        (format!("attributes={ENTERPRISE}:manager.$ref"), json!({"manager": {"$ref": link}})),
        (format!("attributes={ENTERPRISE}:department"), json!({"department": "Sales"})),
        (format!("excludedAttributes={ENTERPRISE}:manager"), json!({"department": "Sales"})),
        (
            format!("excludedAttributes={ENTERPRISE}:manager.displayName,{ENTERPRISE}:department"),
            json!({"manager": {"value": value, "$ref": link}}),
        ),
        (format!("excludedAttributes={ENTERPRISE}"), Value::Null),
        ("attributes=userName".into(), Value::Null),
    ] {
        assert_eq!(enterprise(query.clone()), expected, "{query}");
    }
}

fn deleted_manager_is_taken_from_all_reports(app: &TestApp) {
    let boss = create(&app.scim, "/Users", named("boss", "Boss"));
    let mut ids = Vec::new();
    for n in 0..3 {
        let mut body = managed(&format!("report{n}"), &boss);
        if n == 1 {
            body[ENTERPRISE]["department"] = "Sales".into();
        }
        ids.push(create(&app.scim, "/Users", body));
    }
    let other = create(&app.scim, "/Users", managed("other", "E-1"));
    let before = app.events(&app.directory).len();
    app.scim.delete(&user_path(&boss)).expect(204);
    for (n, id) in ids.iter().enumerate() {
        let found = app.scim.get(&user_path(id)).expect(200);
        let rest = (n == 1).then(|| json!({"department": "Sales"}));
        assert_eq!(found.body.get(ENTERPRISE).cloned(), rest, "{}", found.text);
        assert_eq!(found.header("etag"), Some("W/\"2\""));
        let schemas = if n == 1 { json!([USER, ENTERPRISE]) } else { json!([USER]) };
        assert_eq!(found.body["schemas"], schemas);
    }
    let untouched = app.scim.get(&user_path(&other)).expect(200);
    assert_eq!(untouched.header("etag"), Some("W/\"1\""));
    assert_eq!(*manager(&untouched), json!({"value": "E-1"}));
    // Neither the index nor the evaluator finds anybody.
    for filter in [
        format!("{ENTERPRISE}:manager.value eq \"{boss}\""),
        format!("{ENTERPRISE}:manager.value co \"{boss}\""),
    ] {
        assert_eq!(app.scim.filter("/Users", &filter).total(), 0, "{filter}");
    }
    let events = app.events(&app.directory).split_off(before);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["dsync.user.deleted", "dsync.user.updated", "dsync.user.updated", "dsync.user.updated"]
    );
    for ((_, event), id) in events[1..].iter().zip(&ids) {
        assert_eq!(event["id"], id.as_str());
        let previous = &event["previous_attributes"]["raw_attributes"][ENTERPRISE];
        assert_eq!(previous["manager"]["value"], boss.as_str(), "{event}");
        assert_eq!(event["raw_attributes"][ENTERPRISE].get("manager"), None, "{event}");
    }
    // The same person later is somebody else.
    let again = create(&app.scim, "/Users", named("boss", "Boss"));
    assert_ne!(again, boss);
    app.scim.delete(&user_path(&again)).expect(204);
    assert_eq!(app.scim.get(&user_path(&ids[0])).expect(200).header("etag"), Some("W/\"2\""));
}

/// No PATCH of a report is lost, and none brings the manager back.
fn deleted_manager_is_taken_from_reports_that_change_meanwhile(app: &TestApp) {
    for round in 0..10 {
        let boss = create(&app.scim, "/Users", plain_user(&format!("boss{round}")));
        let ids: Vec<String> = (0..4)
            .map(|n| create(&app.scim, "/Users", managed(&format!("report{round}-{n}"), &boss)))
            .collect();
        let done = AtomicBool::new(false);
        let patches: Vec<usize> = std::thread::scope(|scope| {
            let workers: Vec<_> = ids
                .iter()
                .map(|id| {
                    let done = &done;
                    scope.spawn(move || {
                        let mut count = 0;
                        while !done.load(Ordering::SeqCst) || count < 3 {
                            count += 1;
                            app.scim.patch(&user_path(id), title(&format!("t{count}"))).expect(200);
                        }
                        count
                    })
                })
                .collect();
            app.scim.delete(&user_path(&boss)).expect(204);
            done.store(true, Ordering::SeqCst);
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
        });
        for (id, count) in ids.iter().zip(patches) {
            let found = app.scim.get(&user_path(id)).expect(200);
            assert_eq!(found.body.get(ENTERPRISE), None, "{}", found.text);
            assert_eq!(found.body["title"], format!("t{count}"));
            assert_eq!(found.header("etag"), Some(format!("W/\"{}\"", count + 2).as_str()));
        }
    }
}

/// Whichever was first: the report has no manager, or one that nobody is.
fn manager_given_while_it_is_deleted_ends_without_a_link(app: &TestApp) {
    for round in 0..20 {
        let boss = create(&app.scim, "/Users", plain_user(&format!("boss{round}")));
        let id = create(&app.scim, "/Users", plain_user(&format!("report{round}")));
        let ops =
            json!([{"op": "add", "path": format!("{ENTERPRISE}:manager.value"), "value": boss}]);
        std::thread::scope(|scope| {
            scope.spawn(|| app.scim.patch(&user_path(&id), patch(ops)).expect(200));
            scope.spawn(|| app.scim.delete(&user_path(&boss)).expect(204));
        });
        let found = app.scim.get(&user_path(&id)).expect(200);
        let left = found.body.get(ENTERPRISE);
        assert!(left.is_none_or(|e| *e == json!({"manager": {"value": boss}})), "{}", found.text);
    }
}

fn self_managed_user_and_circle_can_be_deleted(app: &TestApp) {
    let own = create(&app.scim, "/Users", named("self", "Self"));
    let set = |id: &str, manager: &str| {
        let path = format!("{ENTERPRISE}:manager.value");
        let ops = json!([{"op": "add", "path": path, "value": manager}]);
        app.scim.patch(&user_path(id), patch(ops)).expect(200)
    };
    let shown = set(&own, &own);
    assert_eq!(manager(&shown)["displayName"], "Self");
    // Its own name is part of what it shows.
    let tag = shown.header("etag").expect("a tag").to_owned();
    let renamed = app.scim.patch(&user_path(&own), rename("Me")).expect(200);
    assert_eq!(manager(&renamed)["displayName"], "Me");
    assert_ne!(renamed.header("etag"), Some(tag.as_str()));
    app.scim.delete(&user_path(&own)).expect(204);

    let a = create(&app.scim, "/Users", plain_user("a"));
    let b = create(&app.scim, "/Users", managed("b", &a));
    set(&a, &b);
    app.scim.delete(&user_path(&a)).expect(204);
    assert_eq!(app.scim.get(&user_path(&b)).expect(200).body.get(ENTERPRISE), None);
    // Both at once: each locks the other.
    for round in 0..10 {
        let a = create(&app.scim, "/Users", plain_user(&format!("a{round}")));
        let b = create(&app.scim, "/Users", managed(&format!("b{round}"), &a));
        set(&a, &b);
        std::thread::scope(|scope| {
            scope.spawn(|| app.scim.delete(&user_path(&a)).expect(204));
            scope.spawn(|| app.scim.delete(&user_path(&b)).expect(204));
        });
    }
    assert_eq!(app.scim.get("/Users?count=0").total(), 1);
    assert_eq!(app.scim.get("/Users").ids(), [b]);
}

fn chain_of_managers_shows_the_next_one_only(app: &TestApp) {
    let mut ids = vec![create(&app.scim, "/Users", named("u0", "U0"))];
    for n in 1..4 {
        let mut body = managed(&format!("u{n}"), &ids[n - 1]);
        body["displayName"] = format!("U{n}").into();
        ids.push(create(&app.scim, "/Users", body));
    }
    for n in 1..4 {
        let found = app.scim.get(&user_path(&ids[n])).expect(200);
        assert_eq!(
            *manager(&found),
            json!({
                "value": ids[n - 1],
                "$ref": url(app, &user_path(&ids[n - 1])),
                "displayName": format!("U{}", n - 1),
            })
        );
    }
    app.scim.delete(&user_path(&ids[1])).expect(204);
    assert_eq!(app.scim.get(&user_path(&ids[2])).expect(200).body.get(ENTERPRISE), None);
    assert_eq!(manager(&app.scim.get(&user_path(&ids[3])).expect(200))["displayName"], "U2");
}

/// (name, type) of a user's groups, sorted.
#[track_caller]
fn groups_of(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let groups = answer.body["groups"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<_> =
        groups.iter().map(|group| (text(&group["display"]), text(&group["type"]))).collect();
    found.sort_unstable();
    found
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
}

fn groups_of_a_user_are_direct_and_indirect(app: &TestApp) {
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    let bob = create(&app.scim, "/Users", plain_user("bob"));
    let team = create(&app.scim, "/Groups", group("Team", &[&ada]));
    let unit = create(&app.scim, "/Groups", group("Unit", &[&team, &bob]));
    let all = create(&app.scim, "/Groups", group("All", &[&unit, &ada]));
    create(&app.scim, "/Groups", group("Empty", &[]));
    let found = app.scim.get(&user_path(&ada)).expect(200);
    let expected = pairs([("All", "direct"), ("Team", "direct"), ("Unit", "indirect")]);
    assert_eq!(groups_of(&found), expected);
    let links: Vec<(&Value, &Value)> = (found.body["groups"].as_array().expect("groups").iter())
        .map(|group| (&group["value"], &group["$ref"]))
        .collect();
    for (value, link) in links {
        let id = value.as_str().expect("an id");
        assert!([&team, &unit, &all].contains(&&id.to_owned()));
        assert_eq!(*link, url(app, &format!("/Groups/{id}")));
    }
    let other = app.scim.get(&user_path(&bob)).expect(200);
    assert_eq!(groups_of(&other), pairs([("All", "indirect"), ("Unit", "direct")]));
    // Lists and filters show and find the same.
    let list = app.scim.filter("/Users", &format!("groups.value eq \"{team}\""));
    assert_eq!(list.ids(), std::slice::from_ref(&ada));
    assert_eq!(list.body["Resources"][0], found.body);
    let indirect = app.scim.filter("/Users", "groups[type eq \"indirect\" and display eq \"all\"]");
    assert_eq!(indirect.ids(), [bob]);
    // What links them goes.
    app.scim.delete(&format!("/Groups/{unit}")).expect(204);
    let found = app.scim.get(&user_path(&ada)).expect(200);
    assert_eq!(groups_of(&found), pairs([("All", "direct"), ("Team", "direct")]));
}

fn groups_in_a_circle_are_listed_once(app: &TestApp) {
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    let a = create(&app.scim, "/Groups", group("A", &[&ada]));
    let b = create(&app.scim, "/Groups", group("B", &[&a]));
    let c = create(&app.scim, "/Groups", group("C", &[&b, &ada]));
    let join = |group: &str, member: &str| {
        let ops = json!([{"op": "add", "path": "members", "value": [{"value": member}]}]);
        app.scim.patch(&format!("/Groups/{group}"), patch(ops)).expect(200);
    };
    join(&a, &c);
    join(&b, &b);
    let expected = pairs([("A", "direct"), ("B", "indirect"), ("C", "direct")]);
    assert_eq!(groups_of(&app.scim.get(&user_path(&ada)).expect(200)), expected);
    app.scim.delete(&format!("/Groups/{b}")).expect(204);
    let expected = pairs([("A", "direct"), ("C", "direct")]);
    assert_eq!(groups_of(&app.scim.get(&user_path(&ada)).expect(200)), expected);
    for id in [&a, &c] {
        app.scim.delete(&format!("/Groups/{id}")).expect(204);
    }
    assert_eq!(groups_of(&app.scim.get(&user_path(&ada)).expect(200)), []);
}

/// More than are read at a time, and as long a way up as a worker does not go.
fn groups_of_a_user_in_very_many_are_all_listed(app: &TestApp) {
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    let made: Vec<String> = (0..300)
        .map(|n| create(&app.scim, "/Groups", group(&format!("Group {n:03}"), &[&ada])))
        .collect();
    // The last one is above the first, and the user is in it all the same.
    let join = |group: &str, member: &str| {
        let ops = json!([{"op": "add", "path": "members", "value": [{"value": member}]}]);
        app.scim.patch(&format!("/Groups/{group}?attributes=id"), patch(ops)).expect(200);
    };
    join(&made[299], &made[0]);
    let mut above = made[299].clone();
    for n in 0..100 {
        above = create(&app.scim, "/Groups", group(&format!("Upper {n:03}"), &[&above]));
    }
    let names =
        |word: &'static str, count: usize| (0..count).map(move |n| format!("{word} {n:03}"));
    let expected: Vec<(String, String)> = (names("Group", 300)
        .map(|name| (name, "direct".to_owned())))
    .chain(names("Upper", 100).map(|name| (name, "indirect".to_owned())))
    .collect();
    let found = app.scim.get(&user_path(&ada)).expect(200);
    assert_eq!(groups_of(&found), expected);
    let listed = app.scim.filter("/Users", "userName eq \"ada\"").expect(200);
    assert_eq!(listed.body["Resources"][0], found.body);
}

fn members_name_their_type_and_url(app: &TestApp) {
    add_devices(app);
    let ada = create(&app.scim, "/Users", named("ada", "Ada"));
    let bob = create(&app.scim, "/Users", plain_user("bob"));
    let inner = create(&app.scim, "/Groups", group("Inner", &[]));
    let phone = create(&app.scim, "/Devices", device("Phone", 1));
    let body = group("All", &[&ada, &bob, &inner, &phone]);
    let made = app.scim.post("/Groups", body).expect(201);
    let element = |id: &str, endpoint: &str, kind: &str, display: Option<&str>| {
        let link = url(app, &format!("{endpoint}/{id}"));
        let mut element = json!({"value": id, "$ref": link, "type": kind});
        if let Some(display) = display {
            element["display"] = display.into();
        }
        element
    };
    let expected = json!([
        element(&ada, "/Users", "User", Some("Ada")),
        element(&bob, "/Users", "User", None),
        element(&inner, "/Groups", "Group", Some("Inner")),
        element(&phone, "/Devices", "Device", Some("Phone")),
    ]);
    assert_eq!(made.body["members"], expected);
    let path = format!("/Groups/{}", made.id());
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
    for member in expected.as_array().expect("members") {
        let link = member["$ref"].as_str().expect("a link");
        let found = app.scim.get(link.strip_prefix(&app.directory.base_url).expect("ours"));
        assert_eq!(found.expect(200).body["id"], member["value"]);
    }
    for (filter, count) in [
        ("members[type eq \"Device\"]", 1),
        ("members.display eq \"phone\"", 1),
        ("members.type eq \"Planet\"", 0),
        (&format!("members.value eq \"{phone}\""), 1),
        (&format!("members.$ref ew \"/Devices/{phone}\""), 1),
    ] {
        assert_eq!(app.scim.filter("/Groups", filter).total(), count, "{filter}");
    }
    app.scim.patch(&user_path(&ada), rename("Countess")).expect(200);
    assert_eq!(app.scim.get(&path).expect(200).body["members"][0]["display"], "Countess");
    // Only users are told to the app.
    let added = app.event_names(&app.directory);
    assert_eq!(added.iter().filter(|name| *name == "dsync.group.user_added").count(), 2);
}

fn deleted_resources_leave_their_groups(app: &TestApp) {
    add_devices(app);
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    let inner = create(&app.scim, "/Groups", group("Inner", &[&ada]));
    let phone = create(&app.scim, "/Devices", device("Phone", 1));
    let outer = create(&app.scim, "/Groups", group("Outer", &[&ada, &inner, &phone]));
    let path = format!("/Groups/{outer}");
    let version = || app.scim.get(&path).expect(200).body["meta"]["version"].clone();
    let members = || {
        let found = app.scim.get(&path).expect(200);
        found.body["members"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((members(), version()), (3, json!("W/\"1\"")));
    app.clock.advance(std::time::Duration::from_secs(1));
    app.scim.delete(&format!("/Devices/{phone}")).expect(204);
    assert_eq!((members(), version()), (2, json!("W/\"2\"")));
    app.scim.delete(&format!("/Groups/{inner}")).expect(204);
    assert_eq!((members(), version()), (1, json!("W/\"3\"")));
    app.scim.delete(&user_path(&ada)).expect(204);
    assert_eq!((members(), version()), (0, json!("W/\"4\"")));
    let found = app.scim.get(&path).expect(200);
    assert_eq!(found.body.get("members"), None);
    assert_ne!(found.body["meta"]["lastModified"], found.body["meta"]["created"]);
    assert_eq!(app.scim.filter("/Groups", "members pr").total(), 0);
    assert_eq!(app.scim.filter("/Groups", &format!("members.value eq \"{ada}\"")).total(), 0);
    assert_eq!(texts(&app.scim.get("/Groups"), "displayName"), ["Outer"]);
    assert_eq!(app.scim.get("/Devices?count=0").total(), 0);
    let removed = app.event_names(&app.directory);
    assert_eq!(removed.iter().filter(|name| *name == "dsync.group.user_removed").count(), 1);
}

//! `pull.scim`: this server as its own source, and sources that fail in every way.

use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Client, ENTERPRISE, FakeSource, TestApp, Told, group, patch, user};

on_both_databases![
    own_server_is_read_page_by_page_and_followed_by_its_changes,
    failing_source_takes_nothing_away,
    who_is_inactive_loses_access_whatever_is_wrong_with_the_rest,
    busy_source_is_waited_for,
    changes_are_asked_for_and_everything_where_that_is_refused,
    changes_are_not_asked_of_a_server_that_shows_no_times,
    walk_without_an_end_is_a_failure,
    who_moves_up_while_pages_are_read_is_not_missing,
    private_networks_and_wrong_addresses_are_refused,
    groups_that_are_not_there_fail_a_test_as_they_fail_a_run,
];

pub(super) fn reader<'a>(app: &'a TestApp, base: &str, more: Value) -> Source<'a> {
    let mut config = json!({"base_url": base, "token": "s3cret-of-the-source-0123",
        "allow_private_network": true});
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    Source::new(app, "pull.scim", config, json!({"schedule": "off"}))
}

fn own_server_is_read_page_by_page_and_followed_by_its_changes(app: &TestApp) {
    // The source says its time in a header, which no test can move: what is written here comes after it.
    app.clock.advance(Duration::from_secs(20 * 365 * 24 * 3_600));
    let there: &Client = &app.scim;
    let create = |path: &str, body: Value| there.post(path, body).expect(201).id();
    let boss = create("/Users", user("boss@example.com"));
    let mut ada = user("ada@example.com");
    ada["externalId"] = "hr-7".into();
    ada["title"] = "Engineer".into();
    ada[ENTERPRISE] = json!({"department": "R&D", "manager": {"value": boss}});
    let ada = create("/Users", ada);
    let mut off = user("off@example.com");
    off["active"] = false.into();
    let off = create("/Users", off);
    let inner = create("/Groups", group("Inner", &[&ada]));
    let outer = create("/Groups", group("Outer", &[&inner, &boss]));

    let base = app.directory.base_url.clone();
    for paging in ["index", "cursor"] {
        let more = json!({"token": app.directory.token, "page_size": 2, "paging": paging});
        let source = reader(app, &base, more);
        let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
        let found = [&tested["ok"], &tested["users"], &tested["groups"]];
        assert_eq!(found, [&json!(true), &json!(3), &json!(2)], "{tested}");
        let run = source.sync();
        assert_eq!(run["counts"]["users"]["created"], 3, "{run}");
        assert_eq!(run["counts"]["memberships"]["added"], 3, "{run}");
        let seen = source.user(&ada);
        assert_eq!(seen["job_title"], "Engineer");
        let raw = &seen["raw_attributes"];
        assert_eq!(raw["sourceExternalId"], "hr-7");
        assert_eq!(raw[ENTERPRISE]["department"], "R&D");
        assert_eq!(raw[ENTERPRISE]["manager"]["value"], source.user(&boss)["id"]);
        assert_eq!(source.users()[&off], "off@example.com inactive");
        let told = source.events();
        // Everything again, and only the changes: none.
        for mode in ["full", "incremental"] {
            let again = source.run(json!({"mode": mode}));
            assert_eq!((&again["status"], &again["mode"]), (&json!("completed"), &json!(mode)));
        }
        assert_eq!(source.told(told), [""; 0]);
        app.api.delete(&source.path).expect(202);
        app.purge();
    }

    let source = reader(app, &base, json!({"token": app.directory.token}));
    source.sync();
    let told = source.events();
    let change = |path: String, op: Value| there.patch(&path, patch(json!([op]))).expect(200);
    change(
        format!("/Users/{ada}"),
        json!({"op": "replace", "value": {"userName": "lane@example.com", "title": null}}),
    );
    change(
        format!("/Groups/{outer}"),
        json!({"op": "remove", "path": "members", "value": [{"value": boss}]}),
    );
    let run = source.sync();
    assert_eq!(
        (&run["mode"], &run["counts"]["users"]["updated"]),
        (&json!("incremental"), &json!(1))
    );
    let seen = source.told(told);
    assert_eq!(seen, [format!("user.updated {ada}"), format!("group.user_removed {boss} {outer}")]);
    assert_eq!(source.user(&ada)["job_title"], json!(null));

    // Who is gone is seen by everything, which is read once a day at least.
    there.delete(&format!("/Users/{off}")).expect(204);
    there.delete(&format!("/Groups/{inner}")).expect(204);
    let told = source.events();
    assert_eq!(source.sync()["mode"], "incremental");
    assert_eq!(source.told(told), [""; 0]);
    app.clock.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(source.sync()["mode"], "full");
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, [format!("group.deleted {inner}"), format!("user.deleted {off}")]);
}

/// Users 1 to `count` of a source, all on one page.
pub(super) fn list(count: usize) -> Value {
    let users: Vec<Value> = (1..=count)
        .map(|n| {
            json!({"id": format!("u{n}"), "userName": format!("user{n}@example.com"),
                "meta": {"created": CHANGED, "lastModified": CHANGED}})
        })
        .collect();
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": count,
        "Resources": users,
    })
}

/// No cursors, no groups, and these users.
pub(super) fn healthy(count: usize) -> impl FnMut(&str) -> Told + Send + 'static {
    move |path: &str| match path {
        path if path.starts_with("/ServiceProviderConfig") => Told::status(404, "", "{}"),
        path if path.starts_with("/Groups") => Told::json(&list(0)),
        _ => Told { headers: DATE.to_owned(), ..Told::json(&list(count)) },
    }
}

/// When everybody was made.
const CHANGED: &str = "2026-11-01T00:00:00Z";

/// The clock of the source.
const DATE: &str = "Date: Sat, 21 Nov 2026 20:00:00 GMT\r\n";

fn who_is_inactive_loses_access_whatever_is_wrong_with_the_rest(app: &TestApp) {
    let fake = FakeSource::start(healthy(6));
    let source = reader(app, &fake.url, json!({}));
    source.sync();
    let (told, before) = (source.events(), source.users());
    let mut broken = list(6);
    let users = &mut broken["Resources"];
    // Without a name, and with that of another one.
    users[0] = json!({"id": "u1", "userName": "", "active": false});
    users[1] = json!({"id": "u2", "userName": "user3@example.com", "active": false});
    users[3]["userName"] = "".into();
    fake.answer(move |path: &str| match path.starts_with("/Users") {
        true => Told::json(&broken),
        false => healthy(6)(path),
    });
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(
        (&run["status"], &run["counts"]["users"]["failed"]),
        (&json!("completed"), &json!(3))
    );
    let mut expected = before;
    for inactive in ["u1", "u2"] {
        let user = expected.get_mut(inactive).expect("a user");
        *user = user.replace("active", "inactive");
    }
    assert_eq!(source.users(), expected);
    let mut told = source.told(told);
    told.sort_unstable();
    assert_eq!(told, ["user.updated u1", "user.updated u2"]);
}

fn failing_source_takes_nothing_away(app: &TestApp) {
    let fake = FakeSource::start(healthy(4));
    let source = reader(app, &fake.url, json!({}));
    source.sync();
    let (told, users) = (source.events(), source.users());
    let secret = "s3cret-of-the-source-0123";
    let refusal = json!({"detail": format!("token {secret} has expired")}).to_string();
    let mut short = list(3);
    short["totalResults"] = 9.into();
    let mut round = list(2);
    round["nextCursor"] = "again".into();
    round["totalResults"] = 9.into();
    let config = json!({"pagination": {"cursor": true}});
    let busy = Told::status(503, "Retry-After: 86400\r\n", "");
    let with = |told: Told| {
        move |path: &str| match path.starts_with("/Users") {
            true => told.clone(),
            false => healthy(4)(path),
        }
    };
    let html = Told::status(200, "", "<html>Sign in</html>");
    for (script, state, message) in [
        (with(Told::status(401, "", &refusal)), "invalid_credentials", "401: token [secret]"),
        (with(Told::json(&list(4)).cut()), "error", ""),
        (with(busy), "error", "503"),
        (with(html), "error", "no JSON object"),
        (with(Told::json(&json!({"users": []}))), "error", "no SCIM list"),
        (with(Told::json(&short)), "error", "the same page again"),
    ] {
        fake.answer(script);
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "failed", "{run}");
        let error = run["error"].as_str().expect("an error");
        assert!(error.contains(message) && !error.contains(secret), "{error}");
        let view = source.view();
        assert_eq!((&view["state"], &view["last_error"]), (&json!(state), &run["error"]));
        assert_eq!((source.events(), source.users()), (told, users.clone()), "{error}");
    }
    fake.answer(move |path: &str| match path.starts_with("/ServiceProviderConfig") {
        true => Told::json(&config),
        false => Told::json(&round),
    });
    let run = source.run(json!({"mode": "full"}));
    assert!(run["error"].as_str().is_some_and(|e| e.contains("the same page again")), "{run}");
    // An empty answer is a good one, and takes nobody away by itself.
    fake.answer(healthy(0));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], source.users()), (&json!("held"), users));
    // A user that cannot be stored is listed; the others go on, and nobody counts as missing.
    let mut odd = list(2);
    odd["Resources"][0]["userName"] = "".into();
    fake.answer(with(Told::json(&odd)));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(source.diff(&run), ["skip user u1 failed"]);
    assert_eq!(source.users().len(), 4);
    fake.answer(healthy(4));
    assert_eq!(source.sync()["counts"]["users"]["unchanged"], 4);
    assert_eq!(source.view()["state"], "linked");
}

fn busy_source_is_waited_for(app: &TestApp) {
    let mut asked = 0;
    let fake = FakeSource::start(move |path: &str| {
        asked += 1;
        match asked {
            2 => Told::status(429, "Retry-After: 0\r\n", "slow down"),
            4 => {
                let header = format!("{DATE}Retry-After: Sat, 21 Nov 2026 20:00:00 GMT\r\n");
                Told::status(503, &header, "")
            }
            _ => healthy(2)(path),
        }
    });
    let source = reader(app, &fake.url, json!({}));
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 2, "{run}");
    assert!(fake.asked().len() >= 6);
}

fn changes_are_asked_for_and_everything_where_that_is_refused(app: &TestApp) {
    let fake = FakeSource::start(healthy(2));
    let source = reader(app, &fake.url, json!({"user_filter": "active eq true"}));
    source.sync();
    let asked = fake.asked().join("\n");
    assert!(asked.contains("/Users?filter=active+eq+true&startIndex=1&count=100"), "{asked}");
    source.sync();
    let asked = fake.asked().join("\n");
    assert!(asked.contains("filter=%28active+eq+true%29+and+meta.lastModified+ge+"), "{asked}");
    let with_changes = |told: Told| {
        move |path: &str| match path.contains("lastModified") {
            true => told.clone(),
            false => healthy(3)(path),
        }
    };
    for (status, created) in [(400, 1), (403, 0), (404, 0), (405, 0), (422, 0), (501, 0)] {
        let refused = Told::status(status, "", "{\"detail\": \"no such filter\"}");
        fake.answer(with_changes(refused));
        let run = source.sync();
        let read = (&run["mode"], &run["counts"]["users"]["created"]);
        assert_eq!(read, (&json!("full"), &json!(created)), "{status}");
    }
    // What fails each time is not tried for a day.
    fake.answer(with_changes(Told::status(200, "", "<html>Too many results</html>")));
    for _ in 0..2 {
        assert_eq!(source.run(json!({}))["status"], "failed");
    }
    assert_eq!(source.sync()["mode"], "full");
}

fn changes_are_not_asked_of_a_server_that_shows_no_times(app: &TestApp) {
    let without_times = |path: &str| {
        let mut users = list(3);
        users["Resources"][1].as_object_mut().expect("a user").remove("meta");
        match path.starts_with("/Users") {
            true => Told { headers: DATE.to_owned(), ..Told::json(&users) },
            false => healthy(0)(path),
        }
    };
    let fake = FakeSource::start(without_times);
    let source = reader(app, &fake.url, json!({}));
    assert_eq!((&source.sync()["mode"], &source.sync()["mode"]), (&json!("full"), &json!("full")));
    fake.answer(healthy(3));
    source.sync();
    assert_eq!(source.sync()["mode"], "incremental");
    // Whoever was there before and comes in now may be in groups that have not changed.
    fake.answer(healthy(4));
    assert_eq!(source.sync()["mode"], "full");
}

fn walk_without_an_end_is_a_failure(app: &TestApp) {
    let fake = FakeSource::start(healthy(3));
    let source = reader(app, &fake.url, json!({"paging": "cursor"}));
    source.sync();
    let told = source.events();
    for resources in [json!([]), list(3)["Resources"].clone()] {
        let mut next = 0;
        fake.answer(move |_: &str| {
            next += 1;
            Told::json(
                &json!({"totalResults": 9, "Resources": resources, "nextCursor": next.to_string()}),
            )
        });
        let run = source.run(json!({"mode": "full"}));
        assert_eq!(run["status"], "failed", "{run}");
        let error = run["error"].as_str().unwrap_or_default();
        assert!(error.contains("200 pages without anything new"), "{error}");
        assert_eq!(source.events(), told);
    }
}

/// Pages by index over users that change after each of the first `times` pages.
pub(super) fn paged(
    users: &[&str],
    times: usize,
    change: fn(&mut Vec<String>),
) -> impl FnMut(&str) -> Told + Send + 'static {
    let mut users: Vec<String> = users.iter().map(|id| (*id).to_owned()).collect();
    let mut times = times;
    move |path: &str| {
        if !path.starts_with("/Users") {
            return healthy(0)(path);
        }
        let number = |name: &str| {
            let (_, rest) = path.split_once(&format!("{name}=")).expect(name);
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().expect("a number")
        };
        let page = users.iter().skip(number("startIndex") - 1).take(number("count"));
        let page: Vec<Value> =
            page.map(|id| json!({"id": id, "userName": format!("{id}@example.com")})).collect();
        let body = json!({"totalResults": users.len(), "Resources": page});
        if times > 0 {
            times -= 1;
            change(&mut users);
        }
        Told::json(&body)
    }
}

fn who_moves_up_while_pages_are_read_is_not_missing(app: &TestApp) {
    let all = ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"];
    let fake = FakeSource::start(paged(&all, 0, |_| {}));
    let source = reader(app, &fake.url, json!({"page_size": 2}));
    assert_eq!(source.sync()["counts"]["users"]["created"], 9);
    let told = source.events();
    // The first one goes when its page was read; the one behind the page must not go with it.
    fake.answer(paged(&all, 1, |users| drop(users.remove(0))));
    source.run(json!({"mode": "full"}));
    assert_eq!(source.told(told), [""; 0]);
    fake.answer(paged(&all[1..], 0, |_| {}));
    source.run(json!({"mode": "full"}));
    assert_eq!(source.told(told), ["user.deleted u1"]);
    // A list that never stands still is no proof of anything.
    fake.answer(paged(&all[1..], usize::MAX, |users| users.rotate_left(1)));
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "failed", "{run}");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("changes faster")), "{run}");
    assert_eq!(source.users().len(), 8);
}

fn private_networks_and_wrong_addresses_are_refused(app: &TestApp) {
    let new = |config: Value| {
        let body = json!({"organization_id": app.directory.organization_id, "name": "S",
            "kind": "pull.scim", "config": config});
        app.api.post("/api/v1/directories", body)
    };
    for (config, field) in [
        (json!({"token": "x"}), "config.base_url"),
        (json!({"base_url": "http://127.0.0.1:1/scim", "token": "x"}), "config.base_url"),
        (json!({"base_url": "https://10.0.0.1/scim", "token": "x"}), "config.base_url"),
        (json!({"base_url": "ftp://example.com", "token": "x"}), "config.base_url"),
        (json!({"base_url": "https://example.com/scim?x=1", "token": "x"}), "config.base_url"),
        (json!({"base_url": "https://example.com/scim"}), "config.token"),
        (json!({"base_url": "https://example.com/scim", "username": "x"}), "config.password"),
        (
            json!({"base_url": "https://example.com", "token": "x", "page_size": 0}),
            "config.page_size",
        ),
        (json!({"base_url": "https://example.com", "token": "x", "tokne": "y"}), "config.tokne"),
    ] {
        assert_invalid(&new(config), field);
    }
    // An address that leads elsewhere only when it is asked for is not called either.
    let source = reader(app, "http://169.254.169.254.nip.invalid/scim", json!({}));
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!(tested["ok"], false, "{tested}");
    // A moved address leaves the secret behind.
    let moved = json!({"config": {"base_url": "http://127.0.0.1:9/scim"}});
    assert_invalid(&app.api.patch(&source.path, moved), "config.token");
    let shown = source.view()["config"].clone();
    assert_eq!(shown["token"], "********0123");
    api_error(&app.api.get("/api/v1/connectors/pull.none"), 404, "entity_not_found");
}

fn groups_that_are_not_there_fail_a_test_as_they_fail_a_run(app: &TestApp) {
    let fake = FakeSource::start(|path: &str| match path.starts_with("/Groups") {
        true => Told::status(404, "", "{\"detail\": \"No groups here.\"}"),
        false => healthy(2)(path),
    });
    let source = reader(app, &fake.url, json!({}));
    let tested = || app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!(source.run(json!({}))["status"], "failed");
    let expected = json!({"ok": false, "code": "failed",
        "error": "the groups cannot be read: the source answers 404: No groups here."});
    assert_eq!(tested(), expected);
    // Where nobody wants them they need not be there.
    let off = json!({"settings": {"schedule": "off", "disable_group_sync": true}});
    app.api.patch(&source.path, off).expect(200);
    assert_eq!(source.sync()["counts"]["users"]["created"], 2);
    assert_eq!(tested(), json!({"ok": true, "users": 2, "groups": null, "warnings": []}));
}

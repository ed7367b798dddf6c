//! Runs that take too much away wait for somebody.

use std::sync::Arc;
use std::time::Duration;

use rollbook::store::{StoreError, Tx};
use serde_json::{Value, json};

use super::{Source, numbered};
use crate::http::api_error;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    empty_source_holds_the_run_and_approving_applies_it,
    half_of_a_source_holds_and_the_others_go_on,
    rejected_and_outdated_runs_take_nothing_away,
    source_that_recovers_gives_access_back,
    approved_run_is_followed_by_a_read_for_those_whose_names_were_held,
    read_that_a_decision_owes_is_tried_until_it_succeeds,
    guard_is_a_setting,
    addresses_that_the_source_shows_no_more_stay,
    source_that_shrinks_a_little_with_each_run_is_held,
    what_was_decided_on_or_let_go_counts_no_more,
    memberships_that_end_with_each_run_add_up,
    memberships_without_proof_do_not_wait_for_a_decision,
    who_is_inactive_has_nothing_to_lose_but_the_record,
    group_that_gives_a_role_holds_the_run_by_less,
];

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

fn empty_source_holds_the_run_and_approving_applies_it(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=2));
    let told = source.events();
    let run = source.sync_users("id,userName\n");
    assert_eq!((&run["status"], &run["held"]["reason"]), (&json!("held"), &json!("source_empty")));
    assert_eq!(source.diff(&run), ["delete user 1 held", "delete user 2 held"]);
    assert_eq!((source.events(), source.users().len()), (told, 2));
    assert_eq!(source.view()["state"], "linked");
    let approved = source.decide(&run, "approve").expect(200).body;
    assert_ne!(approved["status"], "held");
    let ended = source.ended(run["id"].as_str().expect("an id"));
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["counts"]["users"]["deleted"], 2);
    assert_eq!(source.diff(&run), ["delete user 1 applied", "delete user 2 applied"]);
    let mut told = source.told(told);
    told.sort_unstable();
    assert_eq!(told, ["user.deleted 1", "user.deleted 2"]);
    api_error(&source.decide(&run, "approve"), 409, "not_held");
}

/// Everybody in a held run has another id, and the name of somebody who waits to be removed.
fn held_by_names<'a>(app: &'a TestApp, file: &str) -> (Source<'a>, Value) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=5));
    let run = source.sync_users(file);
    assert_eq!((&run["status"], &run["counts"]["users"]["failed"]), (&json!("held"), &json!(5)));
    assert_eq!(run["error"], "5 objects of the source could not be used");
    (source, run)
}

fn with_other_ids() -> String {
    let rows = (1..=5).map(|n| format!("new{n},user{n}@example.com\n"));
    format!("id,userName\n{}", rows.collect::<String>())
}

fn approved_run_is_followed_by_a_read_for_those_whose_names_were_held(app: &TestApp) {
    let (source, run) = held_by_names(app, &with_other_ids());
    source.decide(&run, "approve").expect(200);
    let ended = source.ended(run["id"].as_str().expect("an id"));
    assert_eq!(ended["counts"]["users"]["deleted"], 5, "{ended}");
    assert_eq!(ended["error"], "5 objects of the source could not be used");
    // Nobody has asked, and there is no schedule.
    let next = source.next_run(3);
    assert_eq!(
        (&next["status"], &next["counts"]["users"]["created"]),
        (&json!("completed"), &json!(5))
    );
    let users: Vec<String> = source.users().into_keys().collect();
    assert_eq!(users, ["new1", "new2", "new3", "new4", "new5"]);
    let view = source.view();
    assert_eq!((&view["last_error"], &view["next_sync_at"]), (&json!(null), &json!(null)));
}

fn read_that_a_decision_owes_is_tried_until_it_succeeds(app: &TestApp) {
    let (source, run) = held_by_names(app, &with_other_ids());
    // Nobody has taken the file away, which would end what waits: the read cannot find it.
    let (id, service) = (source.handle.id.clone(), Arc::clone(app.service()));
    let lost: Result<bool, StoreError> = app.wait(async move {
        let lose = move |tx: &mut Tx<'_>| {
            let row = tx.directory_get(&id)?.expect("the directory");
            tx.file_delete(row.key, "users")
        };
        service.store.write("lost", lose).await
    });
    assert!(lost.expect("it is lost"));
    source.decide(&run, "approve").expect(200);
    assert_eq!(source.next_run(3)["status"], "failed");
    source.upload("users", &with_other_ids());
    app.clock.advance(2 * MINUTE);
    assert_eq!(source.next_run(4)["status"], "completed");
    assert_eq!(source.users().len(), 5);
    assert_eq!(source.view()["next_sync_at"], json!(null));
}

fn source_that_recovers_gives_access_back(app: &TestApp) {
    let source = Source::csv(app);
    let file = |status: &str| {
        let rows = (1..=5).map(|n| format!("{n},user{n}@example.com,{status}\n"));
        format!("id,userName,status\n{}", rows.collect::<String>())
    };
    source.sync_users(&file("active"));
    let run = source.sync_users(&file("terminated"));
    assert_eq!((&run["status"], &run["held"]["reason"]), (&json!("held"), &json!("users")));
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    assert_eq!(source.users()["3"], "user3@example.com inactive");
    // The same file as in the beginning.
    let again = source.sync_users(&file("active"));
    assert_eq!(again["counts"]["users"]["updated"], 5, "{again}");
    assert_eq!(source.users()["3"], "user3@example.com active");
}

fn half_of_a_source_holds_and_the_others_go_on(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&format!("{}20,inactive@example.com\n", numbered(1..=12)));
    let told = source.events();
    // Six have left, one is terminated, one is renamed, one is new.
    let rows: String = (1..=4).map(|n| format!("{n},user{n}@example.com,active\n")).collect();
    let file = format!(
        "id,userName,status\n{rows}5,five@example.com,active\n6,user6@example.com,terminated\n\
         20,inactive@example.com,\n30,new@example.com,active\n"
    );
    let run = source.sync_users(&file);
    assert_eq!(run["status"], "held", "{run}");
    assert_eq!(
        (&run["held"]["users"], &run["held"]["of_active_users"]),
        (&json!(7), &json!(13)),
        "{run}"
    );
    let mut seen = source.told(told);
    seen.sort_unstable();
    assert_eq!(seen, ["user.created 30", "user.updated 5"]);
    let waiting = source.diff(&run);
    assert_eq!(waiting.len(), 7, "{waiting:?}");
    assert!(waiting.contains(&"deactivate user 6 held".to_owned()), "{waiting:?}");
    assert_eq!(source.users()["6"], "user6@example.com active");
    source.decide(&run, "approve").expect(200);
    let ended = source.ended(run["id"].as_str().expect("an id"));
    assert_eq!(ended["counts"]["users"]["deleted"], 6, "{ended}");
    assert_eq!(source.users()["6"], "user6@example.com inactive");
    assert_eq!(source.users().len(), 8);
    // The next read finds all in place.
    let told = source.events();
    let again = source.sync();
    assert_eq!(again["counts"]["users"]["unchanged"], 8, "{again}");
    assert_eq!(source.events(), told);
}

fn rejected_and_outdated_runs_take_nothing_away(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=10));
    let first = source.sync_users(&numbered(1..=2));
    assert_eq!(first["status"], "held", "{first}");
    let rejected = source.decide(&first, "reject").expect(200).body;
    assert_eq!(rejected["status"], "rejected");
    api_error(&source.decide(&first, "approve"), 409, "not_held");
    let second = source.sync_users(&numbered(1..=2));
    assert_eq!(second["status"], "held", "the next read finds the same");
    // The source has recovered: what was held has no proof any more.
    source.sync_users(&numbered(1..=10));
    let outdated = source.ended(second["id"].as_str().expect("an id"));
    assert_eq!(outdated["status"], "cancelled", "{outdated}");
    api_error(&source.decide(&second, "approve"), 409, "not_held");
    assert_eq!(source.users().len(), 10);
    let runs = app.api.get(&format!("{}/syncs?limit=2", source.path)).expect(200).body;
    assert_eq!(runs["data"].as_array().map(Vec::len), Some(2));
    assert!(runs["list_metadata"]["after"].is_string(), "{runs}");
}

fn guard_is_a_setting(app: &TestApp) {
    let settings = json!({"guard": {"users": {"at_least": 1, "more_than": 0, "percent": 100}}});
    let source = Source::new(app, "pull.csv", json!({}), settings);
    source.sync_users(&numbered(1..=4));
    let held = |run: &Value| run["status"] == "held";
    assert!(held(&source.sync_users(&numbered(1..=3))));
    // A dry run says that it would be held.
    let dry = source.run(json!({"dry_run": true}));
    assert_eq!((&dry["status"], &dry["held"]["users"]), (&json!("completed"), &json!(1)));
    app.api.patch(&source.path, json!({"settings": {"guard": "off"}})).expect(200);
    let run = source.run(json!({}));
    assert_eq!((&run["status"], source.users().len()), (&json!("completed"), 3), "{run}");
}

fn addresses_that_the_source_shows_no_more_stay(app: &TestApp) {
    let source = Source::csv(app);
    let file = |shown: std::ops::RangeInclusive<usize>, left: usize| {
        let mail =
            |n: usize| if shown.contains(&n) { format!("m{n}@example.com") } else { String::new() };
        let rows =
            (1..=5_usize).filter(|n| *n != left).map(|n| format!("{n},user{n},{},Desk\n", mail(n)));
        format!("id,userName,email,title\n{}", rows.collect::<String>())
    };
    source.sync_users(&file(1..=5, 0));
    let addresses = || {
        (1..=5_usize)
            .filter(|n| source.users().contains_key(&n.to_string()))
            .map(|n| source.user(&n.to_string())["email"].clone())
            .collect::<Vec<_>>()
    };
    let all = addresses();
    assert!(all.iter().all(Value::is_string), "{all:?}");
    let told = source.events();
    // Nobody's address is shown; who has left goes all the same.
    let run = source.sync_users(&file(9..=9, 5));
    assert_eq!(
        (&run["status"], &run["counts"]["users"]["deleted"]),
        (&json!("completed"), &json!(1))
    );
    assert!(
        run["error"]
            .as_str()
            .is_some_and(|error| error.contains("address any more of 4 active users")),
        "{run}"
    );
    assert_eq!(
        (addresses(), source.told(told)),
        (all[..4].to_vec(), vec!["user.deleted 5".to_owned()])
    );
    let alarms = app.api.get("/api/v1/alarms").expect(200).text;
    assert!(alarms.contains("no e-mail address any more"), "{alarms}");
    // The next run looks again, and one who has none any more is nothing special.
    let run = source.sync();
    assert!(!run["error"].is_null(), "{run}");
    let run = source.sync_users(&file(1..=3, 5));
    assert_eq!((&run["error"], addresses()), (&json!(null), [&all[..3], &[json!(null)]].concat()));
    // Who means it says so.
    app.api.patch(&source.path, json!({"settings": {"guard": "off"}})).expect(200);
    source.sync_users(&file(9..=9, 5));
    assert_eq!(addresses(), vec![json!(null); 4]);
}

fn source_that_shrinks_a_little_with_each_run_is_held(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=40));
    let first = source.sync_users(&numbered(4..=40));
    assert_eq!((&first["status"], source.users().len()), (&json!("completed"), 37), "{first}");
    app.clock.advance(MINUTE);
    // A dry run takes nothing, so it counts for nothing, and says what would be.
    source.upload("users", &numbered(7..=40));
    let dry = source.run(json!({"dry_run": true}));
    assert_eq!((&dry["held"]["reason"], &dry["status"]), (&json!("users"), &json!("completed")));
    for _ in 0..2 {
        app.clock.advance(MINUTE);
        let run = source.run(json!({}));
        assert_eq!((&run["status"], source.users().len()), (&json!("held"), 37), "{run}");
        let held = &run["held"];
        assert_eq!((&held["users"], &held["of_active_users"]), (&json!(3), &json!(37)), "{held}");
        let earlier = json!({"users": 3, "memberships": 0, "role_groups": 0});
        assert_eq!(held["earlier"], earlier);
        let words = "runs of the last hour have taken away 3 users and 0 memberships before";
        assert!(held["message"].as_str().is_some_and(|text| text.ends_with(words)), "{held}");
        let alarms = app.api.get("/api/v1/alarms").expect(200).text;
        assert!(alarms.contains(words), "{alarms}");
    }
    // A tenth within an hour is let go, whatever the runs; after the hour the next one.
    let run = source.sync_users(&numbered(5..=40));
    assert_eq!((&run["status"], source.users().len()), (&json!("completed"), 36), "{run}");
    app.clock.advance(HOUR);
    let run = source.sync_users(&numbered(8..=40));
    assert_eq!((&run["status"], source.users().len()), (&json!("completed"), 33), "{run}");
}

fn what_was_decided_on_or_let_go_counts_no_more(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=40));
    source.sync_users(&numbered(4..=40));
    let run = source.sync_users(&numbered(7..=40));
    assert_eq!(run["status"], "held", "{run}");
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    assert_eq!(source.users().len(), 34);
    // Three of 34 are let go, three more are not.
    assert_eq!(source.sync_users(&numbered(10..=40))["status"], "completed");
    assert_eq!(source.sync_users(&numbered(13..=40))["status"], "held");
    let guard = |guard: Value| {
        app.api.patch(&source.path, json!({"settings": {"guard": guard}})).expect(200);
    };
    guard(json!("off"));
    assert_eq!(source.run(json!({}))["status"], "completed");
    guard(json!({}));
    let run = source.sync_users(&numbered(15..=40));
    assert_eq!((&run["status"], source.users().len()), (&json!("completed"), 26), "{run}");
}

fn memberships_that_end_with_each_run_add_up(app: &TestApp) {
    let source = Source::csv(app);
    let file = |outside: usize| {
        let group = |n: usize| if n <= outside { "" } else { "Staff" };
        let rows = (1..=60).map(|n| format!("{n},user{n},{}\n", group(n)));
        format!("id,userName,groups\n{}", rows.collect::<String>())
    };
    source.sync_users(&file(0));
    for outside in [2, 4, 6] {
        let run = source.sync_users(&file(outside));
        assert_eq!(run["status"], "completed", "{run}");
    }
    // Ten of sixty within the hour.
    let run = source.sync_users(&file(10));
    assert_eq!((&run["status"], &run["held"]["reason"]), (&json!("held"), &json!("memberships")));
    assert_eq!(
        (&run["held"]["memberships"], &run["held"]["of_memberships"]),
        (&json!(4), &json!(54)),
        "{run}"
    );
    assert_eq!(run["held"]["earlier"], json!({"users": 0, "memberships": 6, "role_groups": 0}));
}

fn memberships_without_proof_do_not_wait_for_a_decision(app: &TestApp) {
    let settings = json!({"profile": {"group_display_name_unique": true}});
    let source = Source::new(app, "pull.csv", json!({}), settings);
    source.upload("users", &numbered(1..=14));
    let members: String = (1..=14).map(|n| format!("g1,{n},Staff\n")).collect();
    source.upload("memberships", &format!("group,member,name\n{members}"));
    source.sync();
    // Hardly anybody is listed in the group any more, and another group cannot be written.
    source.upload("memberships", "group,member,name\ng1,1,Staff\ng2,2,STAFF\n");
    let run = source.run(json!({}));
    assert_eq!((&run["status"], &run["counts"]["groups"]["failed"]), (&json!("held"), &json!(1)));
    let waiting = source.diff(&run).into_iter().filter(|change| change.ends_with(" held")).count();
    assert_eq!(waiting, 0, "{:?}", source.diff(&run));
    let spared = "13 users, groups and memberships that it does not list stay until all can";
    assert!(run["error"].as_str().is_some_and(|error| error.ends_with(spared)), "{run}");
}

fn who_is_inactive_has_nothing_to_lose_but_the_record(app: &TestApp) {
    let source = Source::csv(app);
    let file = |inactive: usize| {
        let status = |n: usize| if n <= 10 { "active" } else { "terminated" };
        let rows = (1..=10 + inactive).map(|n| format!("{n},user{n},{},Staff\n", status(n)));
        format!("id,userName,status,groups\n{}", rows.collect::<String>())
    };
    source.sync_users(&file(20));
    // Two of thirty are few.
    assert_eq!(source.sync_users(&file(18))["status"], "completed");
    let run = source.sync_users(&file(2));
    let held = &run["held"];
    assert_eq!((&run["status"], &held["reason"]), (&json!("held"), &json!("users")), "{run}");
    assert_eq!(
        held["message"],
        "it takes something from 0 of 10 active users, deletes 16 inactive and ends 0 of 28 memberships"
    );
}

/// Two of twelve are few, unless a role goes with their group.
fn group_that_gives_a_role_holds_the_run_by_less(app: &TestApp) {
    let source = Source::csv(app);
    let file = |groups: &[&str]| {
        let rows = (1..=12).map(|n| {
            let more = if n <= 2 { groups } else { &[] };
            format!("{n},user{n},{}\n", [&["Staff"], more].concat().join(";"))
        });
        format!("id,userName,groups\n{}", rows.collect::<String>())
    };
    source.sync_users(&file(&["Admins", "Auditors", "Plain"]));
    let listed = app.api.get(&format!("/directory_groups?directory={}", source.handle.id));
    let listed = listed.expect(200).body["data"].as_array().expect("a list").clone();
    let rules: Vec<Value> = listed
        .iter()
        .filter_map(|group| match group["name"].as_str()? {
            "Admins" => Some(json!({"role": "admin", "group": group["id"]})),
            "Auditors" => Some(json!({"role": "auditor", "group": group["id"]})),
            _ => None,
        })
        .collect();
    let map = format!("{}/role_map", source.path);
    app.api.put(&map, json!({"rules": rules})).expect(200);
    let settle = || {
        let service = Arc::clone(app.service());
        app.wait(async move { service.apply_mappings().await }).expect("maps are applied");
    };
    let roles = || {
        let user = source.user("1");
        let roles = user["roles"].as_array().into_iter().flatten();
        let mut slugs: Vec<String> =
            roles.map(|role| role["slug"].as_str().expect("a slug").to_owned()).collect();
        slugs.sort_unstable();
        slugs
    };
    settle();
    assert_eq!(roles(), ["admin", "auditor"]);
    let without_plain = source.sync_users(&file(&["Admins", "Auditors"]));
    assert_eq!(without_plain["status"], "completed", "{without_plain}");
    assert_eq!(without_plain["counts"]["groups"]["deleted"], 1, "{without_plain}");

    // Everything that the run would take away waits, and so do the roles.
    app.clock.advance(2 * HOUR);
    let told = source.events();
    let run = source.sync_users(&file(&["Auditors"]));
    let held = &run["held"];
    assert_eq!((&run["status"], &held["reason"]), (&json!("held"), &json!("users")), "{run}");
    assert_eq!(
        (&held["users"], &held["memberships"], &held["role_groups"]),
        (&json!(2), &json!(2), &json!(1)),
        "{held}"
    );
    settle();
    assert_eq!((roles(), source.events()), (vec!["admin".into(), "auditor".into()], told));
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    settle();
    assert_eq!(roles(), ["auditor"]);

    // Who lets more go says so.
    let settings = json!({"settings": {"guard": {"role_groups": 2}}});
    app.api.patch(&source.path, settings).expect(200);
    let run = source.sync_users(&file(&[]));
    assert_eq!(run["status"], "completed", "{run}");
    settle();
    assert_eq!(roles(), [] as [String; 0]);
}

//! `pull.okta` when the changes of an organization break off, or show less than there is.

use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use super::okta::{app, crowd, reader, told_of};
use crate::support::fake::{Asked, Fake, Fault, Said};
use crate::support::fakes::okta::{Org, error};

#[test]
fn changes_that_break_off_are_followed_again_from_where_they_began() {
    let app = app();
    let (fake, users, staff) = crowd(6);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    app.clock.advance(Duration::from_secs(7_200));
    fake.data(|org| {
        org.pass(7_200);
        org.change_user(&users[0], json!({"title": "Pilot"}));
        org.leave(&staff, &users[2]);
    });
    let members = format!("/groups/{staff}/users");
    let oops = || error(500, "E0000009", "Oops.");
    for (fault, words) in [
        (Fault::instead("/users?", oops()), "500: Oops."),
        (Fault::instead(&members, oops()).after(1), "500: Oops."),
        (Fault::instead("/logs", oops()), "500: Oops."),
        (Fault::instead("/logs", error(400, "E0000053", "Bad.")), "400: Bad."),
        (Fault::truncated(&members), "no JSON"),
        (Fault::cut("/groups?"), "127.0.0.1"),
        (Fault::stuck("/logs"), "the same page again"),
        (
            Fault::replaced("/logs", &fake.url, "https://elsewhere.example"),
            "leads to elsewhere.example",
        ),
    ] {
        fake.fault(fault);
        let run = source.run(json!({"mode": "incremental"}));
        let error = run["error"].as_str().unwrap_or_default();
        assert!(run["status"] == "failed" && error.contains(words), "{words}: {run}");
        assert_eq!(source.told(told), [""; 0], "{words}");
        fake.heal();
    }
    let run = source.run(json!({"mode": "incremental"}));
    assert_eq!((&run["status"], &run["mode"]), (&json!("completed"), &json!("incremental")));
    let mut seen = source.told(told);
    seen.sort_unstable();
    let left = format!("group.user_removed {} {staff}", users[2]);
    assert_eq!(seen, [left, format!("user.updated {}", users[0])]);
}

/// The same rows again and again, each time with a link that was never given before.
fn endless(about: &str) -> Fault {
    let (mut first, mut number) = (None::<Said>, 0);
    Fault::new(about, move |_, said| {
        let mut said = first.get_or_insert(said).clone();
        number += 1;
        for (_, value) in said.headers.iter_mut().filter(|(name, _)| name == "Link") {
            *value = value.replace("after=", &format!("after={number}"));
        }
        said
    })
}

#[test]
fn list_that_says_the_same_under_ever_new_links_is_a_failure() {
    let app = app();
    let (fake, users, staff) = crowd(6);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    app.clock.advance(Duration::from_secs(7_200));
    fake.data(|org| {
        org.pass(7_200);
        org.leave(&staff, &users[2]);
    });
    let members = format!("/groups/{staff}/users");
    for (mode, about) in [("full", "/users?"), ("full", &*members), ("incremental", "/logs")] {
        fake.fault(endless(about));
        let run = source.run(json!({"mode": mode}));
        assert_eq!((&run["status"], source.told(told)), (&json!("failed"), vec![]), "{run}");
        let error = run["error"].as_str().unwrap_or_default();
        assert!(error.contains("200 pages without anything new"), "{about}: {error}");
        fake.heal();
    }
    source.sync();
    assert_eq!(source.told(told), [format!("group.user_removed {} {staff}", users[2])]);
}

#[test]
fn members_and_groups_that_are_not_shown_any_more_hold_the_run() {
    let app = app();
    let (fake, users, staff) = crowd(6);
    fake.data(|org| {
        for name in ["One", "Two"] {
            let group = org.add_group(name, "OKTA_GROUP");
            org.join(&group, &users[0]);
        }
        org.pass(3_600);
    });
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    let not_found = error(404, "E0000007", "Not found");
    for (about, shown) in [(format!("/groups/{staff}/users"), 1), ("/groups?".to_owned(), 0)] {
        fake.fault(Fault::rows(&about, "", move |rows: &mut Vec<Value>| rows.truncate(shown)));
        if shown == 0 {
            // What no list shows is not to be seen by its id either.
            fake.fault(Fault::instead("/groups/", not_found.clone()));
        }
        let run = source.run(json!({"mode": "full"}));
        assert_eq!((&run["status"], source.told(told)), (&json!("held"), vec![]), "{about}: {run}");
        fake.heal();
    }
    source.sync();
    assert_eq!(source.told(told), [""; 0]);
}

/// Rows without the one with that id.
fn without(id: &str) -> impl FnMut(&mut Vec<Value>) + Send + 'static {
    let id = id.to_owned();
    move |rows| rows.retain(|row| row["id"] != id.as_str())
}

/// How many users and groups were asked for by id since the last look.
fn asked_by_id(fake: &Fake<Org>) -> usize {
    let is_one = |asked: &Asked| matches!(asked.parts()[..], ["api", "v1", "users" | "groups", _]);
    fake.asked().into_iter().filter(is_one).count()
}

/// The list of users, and not one of members.
const USERS: &str = "/api/v1/users?";

#[test]
fn user_whom_the_list_leaves_out_is_looked_for_before_being_gone() {
    let app = app();
    let (fake, users, staff) = crowd(5);
    fake.data(|org| org.change_user(&users[0], json!({"managerId": "user2@example.com"})));
    let source = reader(&app, &fake, json!({}));
    let searching = reader(&app, &fake, json!({"user_search": "profile.login sw \"user\""}));
    // Only the list says who is met by a search.
    for (source, by_id) in [(&source, 1), (&searching, 0)] {
        source.sync();
        let told = source.events();
        fake.asked();
        source.run(json!({"mode": "full"}));
        assert_eq!(asked_by_id(&fake), 0, "nobody is missing");
        // Of the pages of one list.
        fake.fault(Fault::rows(USERS, "", without(&users[2])).times(2));
        let run = source.run(json!({"mode": "full"}));
        assert_eq!((&run["status"], source.told(told)), (&json!("completed"), vec![]), "{run}");
        assert_eq!(run["counts"]["users"]["unchanged"], 5, "{run}");
        assert_eq!(asked_by_id(&fake), by_id);
        fake.heal();
    }
    // Who is not found, or not to be seen, is gone.
    for (user, answer) in [(&users[2], (404, "E0000007")), (&users[3], (403, "E0000006"))] {
        let told = source.events();
        fake.fault(Fault::rows(USERS, "", without(user)));
        let said = error(answer.0, answer.1, "Not for you.");
        fake.fault(Fault::instead(&format!("/users/{user}"), said));
        source.run(json!({"mode": "full"}));
        let gone = [format!("group.user_removed {user} {staff}"), format!("user.deleted {user}")];
        assert_eq!(source.told(told), gone);
        fake.heal();
        source.run(json!({"mode": "full"}));
    }
}

#[test]
fn many_whom_the_list_leaves_out_are_looked_for_in_a_second_one() {
    let app = app();
    let (fake, ..) = crowd(25);
    fake.data(|org| org.page = 200);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    let told = source.events();
    fake.asked();
    fake.fault(Fault::rows(USERS, "", |rows| rows.truncate(2)).once());
    let run = source.run(json!({"mode": "full"}));
    assert_eq!((&run["status"], source.told(told)), (&json!("completed"), vec![]), "{run}");
    assert_eq!(
        (&run["counts"]["users"]["unchanged"], asked_by_id(&fake)),
        (&json!(25), 0),
        "{run}"
    );
}

#[test]
fn group_that_the_list_leaves_out_is_looked_for_before_being_gone() {
    let app = app();
    let (fake, users, _) = crowd(3);
    let (small, imported) = fake.data(|org| {
        let [small, imported] = [("Small", "OKTA_GROUP"), ("Imported", "APP_GROUP")]
            .map(|(name, kind)| org.add_group(name, kind));
        org.join(&small, &users[0]);
        org.join(&imported, &users[0]);
        org.pass(3_600);
        (small, imported)
    });
    let source = reader(&app, &fake, json!({"app_groups": true}));
    let search = "profile.name sw \"S\"";
    let searching = reader(&app, &fake, json!({"group_search": search}));
    for (source, by_id) in [(&source, 1), (&searching, 0)] {
        source.sync();
        let told = source.events();
        fake.asked();
        fake.fault(Fault::rows("/groups?", "", without(&small)).once());
        let run = source.run(json!({"mode": "full"}));
        assert_eq!((&run["status"], source.told(told)), (&json!("completed"), vec![]), "{run}");
        assert_eq!(asked_by_id(&fake), by_id, "{run}");
        fake.heal();
    }
    let told = source.events();
    fake.fault(Fault::rows("/groups?", "", without(&small)));
    let gone = error(404, "E0000007", "Not found");
    fake.fault(Fault::instead(&format!("/groups/{small}"), gone));
    source.run(json!({"mode": "full"}));
    assert_eq!(source.told(told), [format!("group.deleted {small}")]);
    fake.heal();
    // One of a type that is not wanted any more is there, and goes.
    source.run(json!({"mode": "full"}));
    let told = source.events();
    app.api.patch(&source.path, json!({"config": {"app_groups": false}})).expect(200);
    source.run(json!({"mode": "full"}));
    assert_eq!(source.told(told), [format!("group.deleted {imported}")]);
}

#[test]
fn who_comes_back_to_a_group_before_the_log_says_so_stays_in_it() {
    let app = app();
    let (fake, users, staff) = crowd(3);
    let source = reader(&app, &fake, json!({}));
    source.sync();
    // The log is behind: it shows that the user has left, and not yet the return.
    let behind = |rows: &mut Vec<Value>| {
        rows.retain(|event| event["eventType"] != "group.user_membership.add");
    };
    fake.fault(Fault::rows("/logs", "", behind));
    let told = told_of(&source, &fake, |org| {
        org.leave(&staff, &users[1]);
        org.join(&staff, &users[1]);
    });
    assert_eq!(told, [""; 0]);
    fake.heal();
    // Who leaves when the members have been listed already does so in the next run.
    let there = fake.data(|org| org.users[&users[2]].clone());
    let members = format!("/groups/{staff}/users");
    fake.fault(Fault::rows(&members, "", move |rows| rows.push(there.clone())));
    assert_eq!(told_of(&source, &fake, |org| org.leave(&staff, &users[2])), [""; 0]);
    fake.heal();
    let told = source.events();
    assert_eq!(source.sync()["mode"], "incremental");
    assert_eq!(source.told(told), [format!("group.user_removed {} {staff}", users[2])]);
}

/// The answer to a test of the connection.
fn tested(source: &Source<'_>) -> Value {
    source.app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body
}

#[test]
fn test_of_the_connection_waits_for_no_share() {
    let app = app();
    let (fake, ..) = crowd(2);
    fake.data(|org| org.limit = (600, 100));
    // The window ends long after a test has to.
    fake.fault(Fault::new("", |_, mut said| {
        for (_, value) in said.headers.iter_mut().filter(|(name, _)| name == "X-Rate-Limit-Reset") {
            *value = (value.parse::<i64>().expect("seconds") + 50).to_string();
        }
        said
    }));
    let tested = tested(&reader(&app, &fake, json!({})));
    let found = [&tested["ok"], &tested["users"], &tested["groups"]];
    assert_eq!(found, [&json!(true), &json!(2), &json!(1)], "{tested}");
}

#[test]
fn groups_that_must_not_be_read_fail_a_test_as_they_fail_a_run() {
    let app = app();
    let (fake, ..) = crowd(2);
    let source = reader(&app, &fake, json!({}));
    fake.fault(Fault::instead("/groups", error(403, "E0000006", "Not for you.")));
    assert_eq!(source.run(json!({}))["status"], "failed");
    let refused = tested(&source);
    let expected = json!({"ok": false, "code": "invalid_credentials",
        "error": "the groups cannot be read: the source answers 403: Not for you."});
    assert_eq!(refused, expected);
    // Where nobody wants them they need not be seen.
    let off = json!({"settings": {"schedule": "off", "disable_group_sync": true}});
    app.api.patch(&source.path, off).expect(200);
    assert_eq!(source.sync()["counts"]["users"]["created"], 2);
    let allowed = tested(&source);
    assert_eq!((&allowed["ok"], &allowed["warnings"]), (&json!(true), &json!([])), "{allowed}");
}

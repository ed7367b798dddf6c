//! `pull.okta` when the changes of an organization break off, or show less than there is.

use std::time::Duration;

use serde_json::{Value, json};

use super::okta::{app, crowd, reader};
use crate::support::fake::{Fault, Said};
use crate::support::fakes::okta::error;

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
    for (about, shown) in [(format!("/groups/{staff}/users"), 1), ("/groups?".to_owned(), 0)] {
        fake.fault(Fault::rows(&about, "", move |rows: &mut Vec<Value>| rows.truncate(shown)));
        let run = source.run(json!({"mode": "full"}));
        assert_eq!((&run["status"], source.told(told)), (&json!("held"), vec![]), "{about}: {run}");
        fake.heal();
    }
    source.sync();
    assert_eq!(source.told(told), [""; 0]);
}

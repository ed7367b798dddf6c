//! First reads of so many users that those who are listed first are written while others are read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Source, ldap_faults, scim};
use crate::on_both_databases;
use crate::support::fake::{Asked, Fake, Fault, Gate, Said};
use crate::support::fake_ldap::FakeLdap;
use crate::support::{Database, ENTERPRISE, TestApp};

on_both_databases![
    users_come_while_others_are_read,
    read_that_fails_late_leaves_whom_it_has_let_in,
    who_cannot_be_stored_is_listed_and_the_others_come,
    whoever_goes_on_with_a_read_lets_nobody_in_twice,
    directory_that_is_deleted_meanwhile_is_let_go,
];

/// Users of a source, the last page of them, and how many are written before that one: the first 2,000 together,
/// then 500 at a time.
const ALL: usize = 2_600;
const LAST_PAGE: &str = "startIndex=2496";
const EARLY: usize = 2_000;

/// The users and the groups that a source lists.
type Lists = [Vec<Value>; 2];

fn users(count: usize) -> Vec<Value> {
    let user = |n| json!({"id": format!("u{n}"), "userName": format!("user{n}@example.com")});
    (1..=count).map(user).collect()
}

/// One part of a list, by index and count.
fn answer(lists: &mut Lists, asked: &Asked) -> Said {
    let list = match asked.parts()[..] {
        ["Users"] => &lists[0],
        ["Groups"] => &lists[1],
        _ => return Said::json(404, &json!({})),
    };
    let number = |name: &str| asked.param(name).parse::<usize>().expect("a number");
    let page: Vec<&Value> =
        list.iter().skip(number("startIndex") - 1).take(number("count")).collect();
    Said::json(200, &json!({"totalResults": list.len(), "Resources": page}))
}

/// Shows no times, so everything is read each time.
fn source<'a>(
    app: &'a TestApp,
    users: Vec<Value>,
    groups: Vec<Value>,
) -> (Fake<Lists>, Source<'a>) {
    let fake = Fake::start(|_| [users, groups], answer);
    let source = scim::reader(app, &fake.url, json!({"page_size": 500, "paging": "index"}));
    (fake, source)
}

/// Asks for a run whose last page is kept back the first time, and waits until that many users have come.
fn begun(fake: &Fake<Lists>, source: &Source<'_>, come: usize) -> (String, Gate) {
    let gate = Gate::default();
    let behind = gate.clone();
    fake.fault(Fault::new(LAST_PAGE, move |_, said| said.behind(&behind)).once());
    let run = source.app.api.post(&format!("{}/sync", source.path), json!({})).expect(202).id();
    while source.events() <= come {
        std::thread::yield_now();
    }
    (run, gate)
}

/// Who has come so far, each with one event, behind that of the directory.
#[track_caller]
fn come(source: &Source<'_>) -> BTreeSet<String> {
    let told = source.told(0);
    let (first, others) = told.split_first().expect("events");
    assert_eq!(first, "activated -");
    let created = others.iter().filter_map(|event| event.strip_prefix("user.created "));
    let come: Vec<String> = created.map(str::to_owned).collect();
    let once: BTreeSet<String> = come.iter().cloned().collect();
    assert_eq!(once.len(), come.len(), "nobody comes twice");
    once
}

fn numbered(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers.into_iter().map(|n| format!("u{n}")).collect()
}

/// How many users a run has created, found unchanged, and not used; nobody else is counted.
#[track_caller]
fn counted(run: &Value) -> [u64; 3] {
    let counts = &run["counts"]["users"];
    for other in ["updated", "deactivated", "deleted"] {
        assert_eq!(counts[other], 0, "{run}");
    }
    ["created", "unchanged", "failed"].map(|name| counts[name].as_u64().expect("a count"))
}

/// Reads once more: everybody is there, and nobody hears of it.
#[track_caller]
fn assert_nothing_changes(source: &Source<'_>, users: u64) {
    let told = source.events();
    assert_eq!(counted(&source.sync()), [0, users, 0]);
    assert_eq!(source.told(told), [""; 0]);
}

fn users_come_while_others_are_read(app: &TestApp) {
    let mut users = users(ALL);
    // Managers who come before, long before, together with whom they manage, and after.
    let managers = [(2, 1), (2_500, 3), (2_550, 2_549), (10, 2_599)];
    for (user, manager) in managers {
        users[user - 1][ENTERPRISE] = json!({"manager": {"value": format!("u{manager}")}});
    }
    let members = json!([{"value": "u1"}, {"value": "u10"}, {"value": "u2600"}]);
    let staff = json!({"id": "g1", "displayName": "Staff", "members": members});
    let (fake, source) = source(app, users, vec![staff]);
    // Who reports to somebody who is not listed yet comes with him.
    let (run, gate) = begun(&fake, &source, EARLY - 1);
    assert_eq!(come(&source), numbered((1..=EARLY).filter(|n| *n != 10)));
    assert_eq!(source.user("u2000")["username"], "user2000@example.com");
    assert_eq!(source.view()["state"], "linked");
    let shown = app.api.get(&format!("{}/syncs/{run}", source.path)).expect(200).body;
    assert_eq!(shown["status"], "running", "{shown}");

    gate.open();
    let run = source.ended(&run);
    assert_eq!((&run["status"], &run["error"]), (&json!("completed"), &json!(null)), "{run}");
    assert_eq!(counted(&run), [ALL as u64, 0, 0]);
    assert_eq!(run["counts"]["memberships"]["added"], 3, "{run}");
    assert_eq!(come(&source), numbered(1..=ALL));
    assert_eq!(source.events(), 1 + ALL + 1 + 3, "the directory, users, the group and its members");
    for (user, manager) in managers {
        let user = source.user(&format!("u{user}"));
        let manager = source.user(&format!("u{manager}"))["id"].clone();
        assert_eq!(user["raw_attributes"][ENTERPRISE]["manager"]["value"], manager);
    }
    assert_nothing_changes(&source, ALL as u64);
}

fn read_that_fails_late_leaves_whom_it_has_let_in(app: &TestApp) {
    let (fake, source) = source(app, users(ALL), vec![]);
    fake.fault(Fault::instead(LAST_PAGE, Said::json(500, &json!({"detail": "Oops."}))));
    let run = source.run(json!({}));
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], "the source answers 500: Oops.");
    assert_eq!(counted(&run), [EARLY as u64, 0, 0]);
    assert_eq!(source.view()["state"], "error");
    assert_eq!(come(&source), numbered(1..=EARLY));
    // Whoever has come stays as long as it fails.
    assert_eq!(counted(&source.run(json!({}))), [0; 3]);
    assert_eq!(source.events(), 1 + EARLY);
    fake.heal();
    let run = source.sync();
    assert_eq!(counted(&run), [(ALL - EARLY) as u64, EARLY as u64, 0]);
    assert_eq!((come(&source), source.events()), (numbered(1..=ALL), 1 + ALL));
    assert_eq!(source.view()["state"], "linked");
    assert_nothing_changes(&source, ALL as u64);
}

mod read_that_takes_too_long_leaves_whom_it_has_let_in {
    use super::*;

    #[test]
    fn sqlite() {
        leaves_whom_it_has_let_in(Database::sqlite());
    }

    #[test]
    fn postgres() {
        leaves_whom_it_has_let_in(Database::postgres());
    }
}

fn leaves_whom_it_has_let_in(database: Database) {
    let app = &TestApp::start_with(database, |config| config.source_read_timeout = 10);
    let (fake, source) = source(app, users(ALL), vec![]);
    let (run, gate) = begun(&fake, &source, EARLY);
    app.clock.advance(Duration::from_secs(10));
    gate.open();
    let run = source.ended(&run);
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], "the source was not read to its end within 10 seconds");
    assert_eq!(counted(&run), [EARLY as u64, 0, 0]);
    assert_eq!((come(&source), source.events()), (numbered(1..=EARLY), 1 + EARLY));
    assert_eq!(counted(&source.sync()), [(ALL - EARLY) as u64, EARLY as u64, 0]);
    assert_eq!((come(&source), source.events()), (numbered(1..=ALL), 1 + ALL));
}

fn who_cannot_be_stored_is_listed_and_the_others_come(app: &TestApp) {
    let mut users = users(ALL);
    users[349]["name"] = "Ada Lane".into();
    // Who came first is in the directory by then.
    users[2_549]["userName"] = "USER1@example.com".into();
    let (_fake, source) = source(app, users, vec![]);
    for round in 1..=2 {
        let run = source.sync();
        let usable = (ALL - 2) as u64;
        let expected = if round == 1 { [usable, 0, 2] } else { [0, usable, 2] };
        assert_eq!(counted(&run), expected);
        assert_eq!(run["error"], "2 objects of the source could not be used");
        let diff = source.diff(&run);
        assert_eq!(diff.len(), 2, "{diff:?}");
        let reason = |id: &str| {
            let path = format!("{}/syncs/{}/diff", source.path, run["id"].as_str().expect("an id"));
            let diff = app.api.get(&path).expect(200).body;
            let changes = diff["data"].as_array().expect("a list").clone();
            let change = changes.into_iter().find(|change| change["source_id"] == id);
            change.expect(id)["message"].as_str().expect("a reason").to_owned()
        };
        assert!(reason("u350").contains("name"), "{}", reason("u350"));
        assert!(reason("u2550").contains("is also that of u1;"), "{}", reason("u2550"));
        let all = numbered((1..=ALL).filter(|n| ![350, 2_550].contains(n)));
        assert_eq!((come(&source), source.events()), (all, 1 + ALL - 2));
    }
}

/// A process stands still in the middle of its read; when it goes on, another one has done the run.
fn whoever_goes_on_with_a_read_lets_nobody_in_twice(app: &TestApp) {
    let (fake, source) = source(app, users(ALL), vec![]);
    let (run, gate) = begun(&fake, &source, EARLY);
    let service = Arc::clone(app.service());
    app.wait(service.release_syncs()).expect("its lease has ended");
    let run = source.ended(&run);
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(counted(&run), [(ALL - EARLY) as u64, EARLY as u64, 0]);
    gate.open();
    // It ends by itself.
    app.wait(service.stop_syncs());
    assert_eq!((come(&source), source.events()), (numbered(1..=ALL), 1 + ALL));
    assert_nothing_changes(&source, ALL as u64);
}

/// Neither the source nor those who write wait for each other.
fn directory_that_is_deleted_meanwhile_is_let_go(app: &TestApp) {
    let (fake, source) = source(app, users(ALL), vec![]);
    let (_run, gate) = begun(&fake, &source, EARLY);
    let read_now = |number: usize| {
        let metrics = app.api.get("/metrics").expect(200).text;
        metrics.contains(&format!("\nrollbook_sync_running {number}\n"))
    };
    assert!(read_now(1));
    app.api.delete(&source.path).expect(202);
    gate.open();
    while !read_now(0) {
        std::thread::yield_now();
    }
    app.purge();
    app.api.get(&source.path).expect(404);
}

#[test]
fn users_with_custom_attributes_come_while_others_are_read() {
    let app = &TestApp::start(Database::sqlite());
    let (fake, source) = source(app, users(ALL), vec![]);
    let map = json!({"attributes": {"login": {"expression": "raw.userName.upperAscii()"}}});
    app.api.put(&format!("{}/attribute_map", source.path), map).expect(200);
    let (run, gate) = begun(&fake, &source, EARLY);
    assert_eq!(come(&source), numbered(1..=EARLY));
    gate.open();
    assert_eq!(counted(&source.ended(&run)), [ALL as u64, 0, 0]);
    assert_eq!((come(&source), source.events()), (numbered(1..=ALL), 1 + ALL));
    for id in ["u1", "u2000", "u2600"] {
        let login = format!("USER{}@EXAMPLE.COM", &id[1..]);
        assert_eq!(source.user(id)["custom_attributes"], json!({"login": login}));
    }
    assert_nothing_changes(&source, ALL as u64);
}

/// The list gets shorter while it is read, so it is read from the beginning.
#[test]
fn who_is_listed_twice_comes_once() {
    let app = &TestApp::start(Database::sqlite());
    let (fake, source) = source(app, users(ALL), vec![]);
    let shorter = |body: &mut Value| body["totalResults"] = (ALL - 1).into();
    fake.fault(Fault::json(LAST_PAGE, shorter).once());
    assert_eq!(counted(&source.sync()), [ALL as u64, 0, 0]);
    assert_eq!((come(&source), source.events()), (numbered(1..=ALL), 1 + ALL));
    let firsts =
        fake.asked().iter().filter(|asked| asked.target.contains("/Users?startIndex=1&")).count();
    assert_eq!(firsts, 2);
    assert_nothing_changes(&source, ALL as u64);
}

/// By the time that an LDAP server shows a second entry of an id, the first one has come.
#[test]
fn first_of_two_entries_with_one_id_stays() {
    let app = &TestApp::start(Database::sqlite());
    let fake = FakeLdap::start();
    fake.world(|world| {
        for n in 1..=ALL {
            let mut person = ldap_faults::person(&format!("u{n}"));
            if n == ALL {
                person["entryUUID"] = "u1".into();
            }
            world.put(&format!("uid=u{n:04},ou=p,dc=x"), &person);
        }
    });
    let config = fake.config(json!({"incremental": "off"}));
    let source = Source::new(app, "pull.ldap", config, json!({"schedule": "off"}));
    let usable = (ALL - 1) as u64;
    for counts in [[usable, 0, 1], [0, usable - 1, 1]] {
        let run = source.sync();
        assert_eq!(counted(&run), counts);
        let error = "1 object of the source could not be used; \
                     1 user, group or membership that it does not list stays until all can";
        assert_eq!(run["error"], error);
        assert_eq!((come(&source), source.events()), (numbered(1..ALL), ALL));
    }
}

/// Who is in scope is known only by everything.
#[test]
fn nobody_comes_before_a_scope_is_read() {
    let app = &TestApp::start(Database::sqlite());
    let staff = json!({"id": "g1", "displayName": "Staff", "members": [{"value": "u7"}]});
    let (_fake, source) = source(app, users(ALL), vec![staff]);
    app.api.patch(&source.path, json!({"settings": {"group_scope": ["Staff"]}})).expect(200);
    assert_eq!(source.sync()["counts"]["users"]["created"], 1);
    assert_eq!(come(&source), numbered([7]));
}

#[test]
fn dry_run_writes_nobody() {
    let app = &TestApp::start(Database::sqlite());
    let (_fake, source) = source(app, users(ALL), vec![]);
    let run = source.run(json!({"dry_run": true}));
    assert_eq!((&run["status"], counted(&run)), (&json!("completed"), [ALL as u64, 0, 0]));
    assert_eq!((source.events(), source.users().len()), (0, 0));
    assert_eq!(source.view()["state"], "validating");
}

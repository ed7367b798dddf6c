//! `pull.ldap` with servers that are slow, behind, endless or ambiguous.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Source;
use crate::on_both_databases;
use crate::support::fake_ldap::{Attributes, FakeLdap, WORDS, World, Wrong};
use crate::support::slapd::Slapd;
use crate::support::{Database, TestApp};

on_both_databases![
    server_that_is_behind_is_not_believed,
    server_that_does_not_say_where_it_stands_is_not_believed,
    who_is_renamed_during_a_read_stays_a_member,
    users_stay_the_same_when_the_server_learns_another_id,
    names_that_several_have_are_listed_and_nobody_goes,
    test_looks_at_users_as_a_run_does,
    list_that_ends_at_a_limit_takes_nobody_away,
    server_that_is_not_ready_is_waited_for,
    next_server_is_asked_where_one_lets_nobody_in,
    who_is_locked_and_cannot_be_used_is_filtered_by_what_the_source_says,
];

const FULL: Duration = Duration::from_secs(25 * 3_600);

fn csn(second: u32, server: u32) -> String {
    format!("202611221000{second:02}.000000Z#000000#{server:03x}#000000")
}

pub(super) fn person(uid: &str) -> Value {
    json!({"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": uid, "entryUUID": uid})
}

fn group(world: &mut World, members: &[&str]) {
    let members: Vec<String> = members.iter().map(|uid| format!("uid={uid},ou=p,dc=x")).collect();
    let entry = json!({"objectClass": "groupOfNames", "cn": "team", "entryUUID": "team", "member": members});
    world.put("cn=team,ou=g,dc=x", &entry);
}

/// A server with these users in a group.
fn server(uids: &[&str]) -> FakeLdap {
    let fake = FakeLdap::start();
    fake.world(|world| {
        for uid in uids {
            world.put(&format!("uid={uid},ou=p,dc=x"), &person(uid));
        }
        group(world, uids);
    });
    fake
}

fn reader<'a>(app: &'a TestApp, config: Value) -> Source<'a> {
    Source::new(app, "pull.ldap", config, json!({"schedule": "off", "guard": "off"}))
}

/// A run that fails with these words and changes nothing; all that it says.
#[track_caller]
fn assert_fails(source: &Source<'_>, words: &str) -> String {
    let (users, told) = (source.users(), source.events());
    let run = source.run(json!({}));
    let error = run["error"].as_str().unwrap_or_default();
    assert!(run["status"] == "failed" && error.contains(words), "{run}");
    assert_eq!((source.users(), source.events()), (users, told));
    error.to_owned()
}

fn server_that_is_behind_is_not_believed(app: &TestApp) {
    let fake = server(&["a", "b", "c"]);
    fake.world(|world| world.csn = vec![csn(10, 1), csn(20, 2)]);
    let source = reader(app, fake.config(json!({})));
    source.sync();
    // A replica that has not heard of the last change does not know of it, and one that has never heard of
    // a server does not either.
    for old in [vec![csn(9, 1), csn(20, 2)], vec![csn(30, 2)]] {
        fake.world(|world| {
            world.csn = old;
            world.entries.remove("uid=c,ou=p,dc=x");
        });
        assert_fails(&source, "the server is behind what was read before");
        // Everything is read once a day; that is no better.
        app.clock.advance(FULL);
        assert_fails(&source, "the server is behind what was read before");
    }
    // Once it has caught up, what it says counts.
    fake.world(|world| world.csn = vec![csn(10, 1), csn(21, 2)]);
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["deleted"], 1, "{run}");
}

fn server_that_does_not_say_where_it_stands_is_not_believed(app: &TestApp) {
    let fake = server(&["a", "b", "c"]);
    fake.world(|world| world.csn = vec![csn(10, 1)]);
    let config = fake.config(json!({}));
    let source = reader(app, config.clone());
    source.sync();
    // Another server of the name, without change numbers, which does not know everybody yet.
    fake.world(|world| {
        world.csn.clear();
        world.entries.remove("uid=c,ou=p,dc=x");
    });
    assert_fails(&source, "the server shows no contextCSN");
    app.clock.advance(FULL);
    assert_fails(&source, "the server shows no contextCSN");
    // Who means it says so.
    app.api.patch(&source.path, json!({"config": config})).expect(200);
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["deleted"], 1, "{run}");
}

fn who_is_renamed_during_a_read_stays_a_member(app: &TestApp) {
    let fake = server(&["a", "b", "c"]);
    let source = reader(app, fake.config(json!({"incremental": "off"})));
    source.sync();
    let told = source.events();
    fake.world(|world| {
        world.after_list("ou=p,dc=x", |world| {
            world.rename("uid=b,ou=p,dc=x", "uid=new,ou=p,dc=x");
            // Of the server's groups one names somebody by his log-in.
            let posix = json!({"cn": "posix", "entryUUID": "posix", "memberUid": ["a", "gone"]});
            world.put("cn=posix,ou=g,dc=x", &posix);
        });
    });
    let run = source.sync();
    assert_eq!(run["counts"]["memberships"]["removed"], 0, "{run}");
    assert_eq!(source.told(told), ["group.created posix", "group.user_added a posix"]);
    // Nobody of that name is there at all.
    fake.world(|world| {
        world.after_list("ou=p,dc=x", |world| group(world, &["a", "ghost", "c"]));
    });
    let run = source.sync();
    assert_eq!(run["counts"]["memberships"]["removed"], 1, "{run}");
}

fn users_stay_the_same_when_the_server_learns_another_id(app: &TestApp) {
    let fake = server(&["a", "b"]);
    fake.world(|world| {
        for entry in world.entries.values_mut() {
            let id = entry.remove("entryUUID").expect("an id");
            entry.insert("nsUniqueId".to_owned(), id);
        }
    });
    // A fault keeps where the read has come to from being noted.
    fake.world(|world| {
        world.put(
            "uid=odd,ou=p,dc=x",
            &json!({"objectClass": "inetOrgPerson", "nsUniqueId": "odd", "cn": "odd"}),
        );
    });
    let source = reader(app, fake.config(json!({})));
    source.sync();
    let ids = ["a", "b"].map(|id| source.user(id)["id"].clone());
    let told = source.events();
    fake.world(|world| {
        for (number, entry) in world.entries.values_mut().enumerate() {
            entry.insert("entryUUID".to_owned(), vec![format!("uuid-{number}")]);
        }
        // Whoever is listed first is new.
        let mut new = person("0");
        new["nsUniqueId"] = json!("0");
        world.put("uid=0,ou=p,dc=x", &new);
        world.entries.remove("uid=odd,ou=p,dc=x");
    });
    source.sync();
    assert_eq!(["a", "b"].map(|id| source.user(id)["id"].clone()), ids);
    assert_eq!(source.told(told), ["user.created 0"]);
}

fn names_that_several_have_are_listed_and_nobody_goes(app: &TestApp) {
    let fake = server(&["a", "b", "c"]);
    let config = fake.config(json!({"incremental": "off"}));
    let source = reader(app, config);
    source.sync();
    let told = source.events();
    fake.world(|world| {
        // Somebody new has the user name of a.
        let mut other = person("A");
        other["entryUUID"] = json!("other");
        world.put("uid=a,ou=lab,ou=p,dc=x", &other);
        world.put("uid=d,ou=p,dc=x", &person("d"));
        world.entries.remove("uid=b,ou=p,dc=x");
        group(world, &["a", "c", "d"]);
    });
    let run = source.run(json!({}));
    let counts = &run["counts"]["users"];
    assert_eq!(
        (&counts["created"], &counts["failed"], &counts["deleted"]),
        (&json!(1), &json!(1), &json!(0)),
        "{run}"
    );
    assert!(source.diff(&run).contains(&"skip user uid=a,ou=lab,ou=p,dc=x failed".to_owned()));
    let mut events = source.told(told);
    events.sort_unstable();
    assert_eq!(events, ["group.user_added d team", "user.created d"]);
    // The same id is no better: it cannot be told whom it means.
    fake.world(|world| {
        let mut twin = person("twin");
        twin["entryUUID"] = json!("c");
        world.put("uid=a,ou=lab,ou=p,dc=x", &twin);
    });
    let run = source.run(json!({}));
    assert!(source.diff(&run).contains(&"skip user uid=c,ou=p,dc=x failed".to_owned()));
    let users: Vec<String> = source.users().into_values().collect();
    assert_eq!(users, ["a active", "b active", "c active", "d active"]);
    // Nor is a member who may be either.
    fake.world(|world| {
        let mut twin = person("c");
        twin["entryUUID"] = json!("twin");
        world.put("uid=a,ou=lab,ou=p,dc=x", &twin);
        let posix = json!({"cn": "posix", "entryUUID": "posix", "memberUid": ["c", "d"]});
        world.put("cn=posix,ou=g,dc=x", &posix);
    });
    let run = source.run(json!({}));
    assert!(source.diff(&run).contains(&"skip membership posix failed".to_owned()));
    let joined = source.told(0);
    assert!(joined.contains(&"group.user_added d posix".to_owned()), "{joined:?}");
    assert!(!joined.contains(&"group.user_added c posix".to_owned()), "{joined:?}");
}

fn test_looks_at_users_as_a_run_does(app: &TestApp) {
    let fake = server(&["a", "b"]);
    let tested = |config: Value| {
        let source = reader(app, fake.config(config));
        app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body
    };
    let good = tested(json!({}));
    assert_eq!((&good["ok"], &good["users"]), (&json!(true), &json!(2)), "{good}");
    for (config, lacking) in [
        (json!({"id_attribute": "nope"}), "no \"nope\" or no \"uid\""),
        (json!({"user_name_attribute": "mail"}), "no \"entryUUID\" or no \"mail\""),
    ] {
        let refused = tested(config);
        let error = refused["error"].as_str().unwrap_or_default();
        assert_eq!(refused["ok"], false, "{refused}");
        assert!(error.starts_with("not one of 2 users can be used"), "{refused}");
        assert!(error.contains(lacking), "{refused}");
    }
    fake.world(|world| {
        world.put("uid=c,ou=p,dc=x", &json!({"objectClass": "inetOrgPerson", "uid": "c"}));
    });
    let some = tested(json!({}));
    assert_eq!((&some["ok"], &some["users"]), (&json!(true), &json!(3)), "{some}");
    let warnings = some["warnings"].to_string();
    assert!(warnings.contains("1 of 3 users cannot be used"), "{warnings}");
    fake.world(|world| world.entries.clear());
    let none = tested(json!({"user_filter": "(uid=nobody)"}));
    assert!(none["warnings"].to_string().contains("user_filter, (uid=nobody)."), "{none}");
}

fn list_that_ends_at_a_limit_takes_nobody_away(app: &TestApp) {
    let fake = server(&["a", "b", "c"]);
    let source = reader(app, fake.config(json!({"incremental": "off"})));
    source.sync();
    for (code, name, remedy) in [
        (3, "timeLimitExceeded", "MaxQueryDuration in Active Directory"),
        (4, "sizeLimitExceeded", "size=unlimited in the limits of OpenLDAP"),
        (11, "adminLimitExceeded", "nsLookThroughLimit -1 in 389 Directory Server"),
        (51, "busy", ""),
        (52, "unavailable", ""),
    ] {
        let said = |base: &str| {
            format!("the search below {base}: the server answers {code} ({name}): {WORDS}")
        };
        // In the list of users, and in that of groups.
        fake.world(|world| world.wrong = Wrong::Ends(code));
        let error = assert_fails(&source, &said("ou=p,dc=x"));
        assert!(error.contains(remedy), "{error}");
        fake.world(|world| {
            world.wrong = Wrong::Nothing;
            world.after_list("ou=p,dc=x", move |world| world.wrong = Wrong::Ends(code));
        });
        assert_fails(&source, &said("ou=g,dc=x"));
        assert_eq!(source.view()["state"], "error");
        let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
        let error = tested["error"].as_str().unwrap_or_default();
        assert!(error.contains(name) && error.contains(remedy), "{tested}");
    }
    fake.world(|world| world.wrong = Wrong::Nothing);
    assert_eq!(source.sync()["counts"]["users"]["unchanged"], 3);
    assert_eq!(source.view()["state"], "linked");
}

fn server_that_is_not_ready_is_waited_for(app: &TestApp) {
    let fake = server(&["a", "b"]);
    let source = reader(app, fake.config(json!({"incremental": "off"})));
    let left = || fake.world(|world| std::mem::take(&mut world.binds));
    // It has just been started again.
    fake.world(|world| world.binds = vec![51, 52]);
    assert_eq!(source.sync()["counts"]["users"]["created"], 2);
    assert_eq!(left(), [0; 0]);
    // Not for ever.
    fake.world(|world| world.binds = vec![52; 9]);
    assert_fails(&source, "the server answers 52 (unavailable)");
    assert_eq!(left().len(), 6, "three tries");
    // Whose password is wrong is locked by a few tries, and what is refused for good is no better later.
    for (code, state) in [(49, "invalid_credentials"), (8, "error"), (2, "error")] {
        fake.world(|world| world.binds = vec![code; 9]);
        assert_fails(&source, &format!("the server answers {code} "));
        assert_eq!((left().len(), &source.view()["state"]), (8, &json!(state)));
    }
}

fn next_server_is_asked_where_one_lets_nobody_in(app: &TestApp) {
    let (first, second) = (server(&["a"]), server(&["a", "b"]));
    let urls = format!("{} {}", first.url(), second.url());
    let source = reader(app, first.config(json!({"url": urls, "incremental": "off"})));
    source.sync();
    let told = source.events();
    for code in [51, 52, 80] {
        first.world(|world| world.binds = vec![code]);
        source.sync();
        assert_eq!(first.world(|world| world.binds.len()), 0);
    }
    assert_eq!(source.told(told)[0], "user.created b", "the second one has been read");
    // Refused credentials would be so there.
    first.world(|world| world.binds = vec![49]);
    assert_fails(&source, "49 (invalidCredentials)");
}

fn who_is_locked_and_cannot_be_used_is_filtered_by_what_the_source_says(app: &TestApp) {
    let fake = server(&["a", "b", "c"]);
    let employee = |entry: &mut Attributes| {
        entry.insert("employeeType".to_owned(), vec!["employee".to_owned()]);
    };
    fake.world(|world| world.entries.values_mut().for_each(employee));
    let filter = "envelope.kind != 'account' || has(payload.employeeType)";
    let settings = json!({"schedule": "off", "guard": "off", "filter": filter});
    let source =
        Source::new(app, "pull.ldap", fake.config(json!({"incremental": "off"})), settings);
    source.sync();
    let told = source.events();
    fake.world(|world| {
        let locked = |entry: &mut Attributes| {
            entry.insert("nsAccountLock".to_owned(), vec!["true".to_owned()]);
        };
        let nameless = world.entries.get_mut("uid=b,ou=p,dc=x").expect("an entry");
        nameless.remove("uid");
        locked(nameless);
        let large = world.entries.get_mut("uid=c,ou=p,dc=x").expect("an entry");
        large.insert("title".to_owned(), vec!["x".repeat(300_000)]);
        locked(large);
    });
    let run = source.run(json!({}));
    assert_eq!(run["counts"]["users"]["failed"], 2, "{run}");
    let users: Vec<String> = source.users().into_values().collect();
    assert_eq!(users, ["a active", "b inactive", "c inactive"]);
    let mut events = source.told(told);
    events.sort_unstable();
    assert_eq!(events, ["user.updated b", "user.updated c"]);
    let path =
        format!("{}/syncs/{}/diff?limit=10", source.path, run["id"].as_str().expect("an id"));
    let diff = app.api.get(&path).expect(200).body.to_string();
    for reason in ["user_name_attribute", "at most 262144 are read of a user"] {
        assert!(diff.contains(reason), "{diff}");
    }
}

#[test]
fn lists_without_an_end_fail() {
    let app = TestApp::start(Database::sqlite());
    let fake = server(&["a", "b"]);
    let with_patience = |seconds: u32| {
        let config = json!({"incremental": "off", "timeout_seconds": seconds});
        let source = reader(&app, fake.config(config));
        source.sync();
        source
    };
    let (hasty, patient) = (with_patience(1), with_patience(30));
    for (wrong, source, words) in [
        (Wrong::SamePage, &patient, "the same page again"),
        (Wrong::EmptyPages, &patient, "one empty page after another"),
        (Wrong::EndlessPage, &hasty, "has not answered within 1 seconds"),
        (Wrong::ManyValues, &patient, "an entry of more than 1000000 values"),
    ] {
        fake.world(|world| world.wrong = wrong);
        assert_fails(source, words);
    }
}

#[test]
fn server_that_sends_a_little_at_a_time_has_no_more_time() {
    let Some(slapd) = Slapd::start(60) else { return };
    let app = TestApp::start(Database::sqlite());
    let (plain, tls) = (Slapd::dripping(slapd.port), Slapd::dripping(slapd.tls_port));
    for (url, security) in [
        (format!("ldap://localhost:{plain}"), "none"),
        (format!("ldaps://localhost:{tls}"), "ldaps"),
    ] {
        let since = Instant::now();
        let config = json!({"url": url, "tls": security, "ca_pem": slapd.authority(),
            "timeout_seconds": 2});
        let source = reader(&app, slapd.config(config));
        assert_fails(&source, "has not answered within 2 seconds");
        assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    }
}

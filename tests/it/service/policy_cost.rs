//! Policies cost nothing where there are none: the statements of a write are counted.

use std::sync::{Mutex, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use serde_json::{Value, json};

use crate::support::{Database, TestApp, group, patch, user};

/// Every statement of the process since the last look.
static STATEMENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Hears of every statement of every connection that is opened after it was set.
fn listener() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            STATEMENTS.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }))
}

/// How many statements the work needed in the tables that a write of a resource is about, and which.
fn statements(work: impl FnOnce()) -> Vec<String> {
    let taken = || std::mem::take(&mut *STATEMENTS.lock().unwrap_or_else(PoisonError::into_inner));
    taken();
    work();
    // What is noted now and then beside a request does not count, nor do transactions.
    let beside = [
        "request_record",
        "last_request",
        "last_used",
        "event_sequencer",
        "role_work",
        "attribute_faults IS NOT NULL",
        "SAVEPOINT",
        "RELEASE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
    ];
    taken().into_iter().filter(|text| !beside.iter().any(|word| text.contains(word))).collect()
}

/// How often a cost is counted. Jobs of the process look for work each second, and what they send among the
/// statements of a request can only make it look dearer: the least is its own.
const ROUNDS: usize = 5;

/// A create, a join, a leave, a deactivation, the DELETE of a user in a group and of a group.
fn costs(app: &TestApp, what: &str) -> [usize; 6] {
    let rounds = (0..ROUNDS).map(|n| costs_once(app, &format!("{what}-{n}")));
    rounds.reduce(|least, next| std::array::from_fn(|i| least[i].min(next[i]))).expect("a round")
}

fn costs_once(app: &TestApp, round: &str) -> [usize; 6] {
    let scim = &app.scim;
    let set = |path: &str, op: Value| {
        let path = format!("{path}?attributes=id");
        scim.patch(&path, patch(json!([op]))).expect(200);
    };
    // The first request reads who is asking.
    let ben = scim.post("/Users", user(&format!("ben-{round}@example.com"))).expect(201).id();
    let mut ada = String::new();
    let create = statements(|| {
        ada = scim.post("/Users", user(&format!("ada-{round}@example.com"))).expect(201).id();
    });
    let team = scim.post("/Groups", group(round, &[&ben])).expect(201).id();
    let (user_path, group_path) = (format!("/Users/{ada}"), format!("/Groups/{team}"));
    let add = json!({"op": "add", "path": "members", "value": [{"value": ada}]});
    let remove = json!({"op": "remove", "path": "members", "value": [{"value": ada}]});
    let join = statements(|| set(&group_path, add.clone()));
    let leave = statements(|| set(&group_path, remove));
    set(&group_path, add);
    let off = json!({"op": "replace", "path": "active", "value": false});
    let deactivate = statements(|| set(&user_path, off));
    let delete_user = statements(|| {
        scim.delete(&user_path).expect(204);
    });
    let delete_group = statements(|| {
        scim.delete(&group_path).expect(204);
    });
    let all = [create, join, leave, deactivate, delete_user, delete_group];
    for texts in &all {
        println!("{round}: {}\n{}\n", texts.len(), texts.join("\n"));
    }
    all.map(|texts| texts.len())
}

/// The numbers are those from before there were policies, and two for the names by which a user is found, who
/// comes and goes with them. The DELETE of a group also looks whether its
/// members are being changed by other units, before it waits for the group and after, and whether it has more of
/// them than go into one.
#[test]
fn directory_without_policies_pays_nothing_for_them() {
    set_default_instrumentation(listener).expect("no other listener");
    let app = TestApp::start(Database::sqlite());
    costs(&app, "first");
    // What is taken away is counted: two statements, and a look at the members of a group that goes.
    let much = json!({"at_least": 1_000, "more_than": 1_000, "percent": 100});
    let limits = json!({"users": much, "memberships": much});
    app.settings(&app.directory, json!({"brake": {"mode": "alarm", "limits": limits}}));
    assert_eq!(costs(&app, "counted"), [7, 8, 11, 9, 24, 20]);
    // What a policy costs, only where it is on. A brake that is off costs nothing.
    let on = |mut settings: Value, round: &str| {
        settings["brake"] = json!("off");
        app.settings(&app.directory, settings);
        costs(&app, round)
    };
    assert_eq!(on(json!({}), "none"), [7, 8, 9, 7, 22, 17]);
    // A look for whoever had the name, and the departed user in place of the event of the end.
    assert_eq!(on(json!({"delete": "deactivate"}), "kept"), [8, 8, 9, 7, 22, 17]);
    // Locks around the memberships of who goes, and an event for each.
    assert_eq!(on(json!({"inactive_users": "delete"}), "hidden"), [7, 8, 9, 14, 19, 17]);
    // The members are locked, and who leaves is looked at.
    let tracked = on(json!({"suspend_when_groupless": "1d"}), "tracked");
    assert_eq!(tracked, [7, 9, 11, 7, 22, 20]);
    assert_eq!(on(json!({}), "again"), [7, 8, 9, 7, 22, 17]);
    // Identities cost a user something, and a group nothing.
    let path = format!("/api/v1/organizations/{}/primary_directory", app.directory.organization_id);
    app.api.put(&path, json!({"directory_id": null})).expect(200);
    app.settle_identities();
    costs(&app, "linked first");
    let [create, join, leave, deactivate, delete_user, delete_group] = costs(&app, "linked");
    assert_eq!([join, leave, delete_group], [8, 9, 17]);
    assert!(create > 7 && deactivate > 7 && delete_user > 22);
}

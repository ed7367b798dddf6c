//! Names that go from one user to another within a run.

use serde_json::json;

use crate::on_both_databases;
use crate::support::TestApp;

use super::Source;

on_both_databases![
    users_swap_their_names_in_one_run,
    names_go_along_a_chain_and_round_in_a_circle,
    name_of_who_leaves_goes_on_to_others,
    names_that_wait_for_a_decision_are_listed,
    name_that_is_taken_keeps_nobody_active,
];

fn users(rows: &[(&str, &str)]) -> String {
    let rows: String = rows.iter().map(|(id, name)| format!("{id},{name}@example.com\n")).collect();
    format!("id,userName\n{rows}")
}

/// The first part of each user's name, by the source's id.
fn names(source: &Source<'_>) -> Vec<(String, String)> {
    let users = source.users().into_iter();
    users.map(|(id, user)| (id, user.split('@').next().unwrap_or_default().to_owned())).collect()
}

#[track_caller]
fn assert_names(source: &Source<'_>, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
    assert_eq!(names(source), expected);
}

fn users_swap_their_names_in_one_run(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&users(&[("1", "ada"), ("2", "ben"), ("3", "cy")]));
    let ids = ["1", "2"].map(|id| source.user(id)["id"].clone());
    let told = source.events();
    let swapped = users(&[("1", "ben"), ("2", "ada"), ("3", "cy")]);
    source.upload("users", &swapped);
    let dry = source.run(json!({"dry_run": true}));
    assert_eq!(source.diff(&dry), ["update user 1 planned", "update user 2 planned"]);
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["updated"], 2, "{run}");
    assert_names(&source, &[("1", "ben"), ("2", "ada"), ("3", "cy")]);
    assert_eq!(["1", "2"].map(|id| source.user(id)["id"].clone()), ids);
    // Each is told once, and never of a name in between.
    let mut events = source.told(told);
    events.sort_unstable();
    assert_eq!(events, ["user.updated 1", "user.updated 2"]);
    let again = source.sync();
    assert_eq!(again["counts"]["users"]["unchanged"], 3, "{again}");
}

fn name_that_is_taken_keeps_nobody_active(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"max_errors": 5}), json!({}));
    source.sync_users("id,userName,status\n1,ada@example.com,active\n2,ben@example.com,active\n");
    // The other one is not listed and stays, because of two who have one name.
    let run = source.sync_users(
        "id,userName,status\n1,ben@example.com,terminated\n3,cy@example.com,active\n\
         4,cy@example.com,active\n",
    );
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["counts"]["users"]["deactivated"], 1, "{run}");
    let users: Vec<String> = source.users().into_values().collect();
    assert_eq!(users, ["ada@example.com inactive", "ben@example.com active"]);
    let diff = source.diff(&run);
    assert!(diff.contains(&"deactivate user 1 applied".to_owned()), "{diff:?}");
    let is_refusal = |line: &String| line.starts_with("update user 1") && line.ends_with("failed");
    assert_eq!(diff.iter().filter(|line| is_refusal(line)).count(), 1, "{diff:?}");
    let suspended = Some("pull_suspended".to_owned());
    assert_eq!(source.reasons(), [("dsync.user.updated".to_owned(), suspended)]);
}

fn names_go_along_a_chain_and_round_in_a_circle(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&users(&[("1", "a"), ("2", "b"), ("3", "c"), ("4", "d"), ("5", "e")]));
    let told = source.events();
    // 1, 2 and 3 pass their names on in a circle, 4 takes a new one, 5 that of 4, and 6 that of 5.
    let moved = [("1", "b"), ("2", "c"), ("3", "a"), ("4", "z"), ("5", "d"), ("6", "e")];
    let run = source.sync_users(&users(&moved));
    assert_eq!((&run["status"], &run["error"]), (&"completed".into(), &().into()), "{run}");
    assert_names(&source, &moved);
    let mut events = source.told(told);
    events.sort_unstable();
    let updated = (1..=5).map(|n| format!("user.updated {n}"));
    assert_eq!(
        events,
        ["user.created 6".to_owned()].into_iter().chain(updated).collect::<Vec<_>>()
    );
}

fn name_of_who_leaves_goes_on_to_others(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&users(&[("1", "a"), ("2", "b"), ("3", "c")]));
    // 1 has left; 2 has its name, 3 that of 2, and somebody new that of 3.
    let run = source.sync_users(&users(&[("2", "a"), ("3", "b"), ("4", "c")]));
    assert_eq!((&run["status"], &run["error"]), (&"completed".into(), &().into()), "{run}");
    assert_names(&source, &[("2", "a"), ("3", "b"), ("4", "c")]);
}

fn names_that_wait_for_a_decision_are_listed(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&users(&[("1", "a"), ("2", "b"), ("3", "c"), ("4", "d")]));
    // Three of four leave, so that the run is held; 4 wants the name of one of them, 5 that of 4.
    let wanted = users(&[("4", "a"), ("5", "d")]);
    let run = source.sync_users(&wanted);
    assert_eq!(run["status"], "held", "{run}");
    assert_names(&source, &[("1", "a"), ("2", "b"), ("3", "c"), ("4", "d")]);
    let waits = source.diff(&run).into_iter().filter(|line| line.ends_with("failed"));
    assert_eq!(waits.count(), 2, "{:?}", source.diff(&run));
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    // Nobody asks for the run that lets them in, and the directory has no schedule.
    source.next_run(3);
    assert_names(&source, &[("4", "a"), ("5", "d")]);
}

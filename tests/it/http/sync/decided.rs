//! Runs that somebody has let take away what they found, and what comes between.

use std::sync::Arc;
use std::time::Duration;

use rollbook::store::sync_run::FileRow;
use rollbook::store::{StoreError, Tx};
use serde_json::{Value, json};

use super::{Source, numbered};
use crate::http::api_error;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    run_that_is_carried_out_ends_with_what_it_was_read_by,
    run_that_is_looked_at_again_leaves_its_diff_to_the_newer_one,
    decision_says_nothing_of_the_source,
    changes_that_nobody_can_read_are_not_carried_out,
    file_that_nobody_can_read_fails_the_run,
    old_runs_go_some_changes_at_a_time,
    changes_are_numbered_without_a_gap,
];

fn id(run: &Value) -> &str {
    run["id"].as_str().expect("an id")
}

/// Writes beside the server, with the key of the directory.
fn write<F>(source: &Source<'_>, work: F)
where
    F: Fn(&mut Tx<'_>, i64) -> Result<(), StoreError> + Send + 'static,
{
    let (service, directory) = (Arc::clone(source.app.service()), source.handle.id.clone());
    let written: Result<(), StoreError> = source.app.wait(async move {
        let write = move |tx: &mut Tx<'_>| {
            let row = tx.directory_get(&directory)?.expect("the directory");
            work(tx, row.key)
        };
        service.store.write("test", write).await
    });
    written.expect("written");
}

/// Five users, of whom the next read lists nobody.
fn held(app: &TestApp) -> (Source<'_>, Value) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=5));
    let run = source.sync_users("id,userName\n");
    assert_eq!(run["status"], "held", "{run}");
    (source, run)
}

fn run_that_is_carried_out_ends_with_what_it_was_read_by(app: &TestApp) {
    let (source, run) = held(app);
    // Whoever was to carry it out was killed, and meanwhile the directory rests.
    app.api.patch(&source.path, json!({"state": "paused"})).expect(200);
    source.decide(&run, "approve").expect(200);
    let under_way = id(&run).to_owned();
    write(&source, move |tx, key| {
        assert!(tx.run_move(key, &under_way, ("approved", "running"), None)?);
        Ok(())
    });
    app.api.patch(&source.path, json!({"settings": {"disable_group_sync": true}})).expect(200);
    app.api.patch(&source.path, json!({"state": "linked"})).expect(200);
    let ended = source.ended(id(&run));
    assert_eq!(ended["status"], "cancelled", "{ended}");
    let error = "what the directory is read by has changed since; what was done until then stays";
    assert_eq!(ended["error"], error);
    source.upload("users", &numbered(1..=5));
    source.sync();
    assert_eq!(source.users().len(), 5);
}

fn run_that_is_looked_at_again_leaves_its_diff_to_the_newer_one(app: &TestApp) {
    let (source, older) = held(app);
    let newer = source.run(json!({}));
    assert_eq!(newer["status"], "held", "{newer}");
    assert_eq!(source.ended(id(&older))["status"], "cancelled");
    assert_eq!((source.diff(&older).len(), source.diff(&newer).len()), (0, 5));
    api_error(&source.decide(&older, "approve"), 409, "not_held");
    source.decide(&newer, "approve").expect(200);
    assert_eq!(source.ended(id(&newer))["counts"]["users"]["deleted"], 5);
}

fn decision_says_nothing_of_the_source(app: &TestApp) {
    let (source, run) = held(app);
    let before = source.view();
    write(&source, |tx, key| tx.sync_state_set(key, "invalid_credentials", 0).map(drop));
    source.decide(&run, "approve").expect(200);
    assert_eq!(source.ended(id(&run))["counts"]["users"]["deleted"], 5);
    let after = source.view();
    assert_eq!(after["state"], "invalid_credentials");
    assert_eq!(after["last_sync_at"], before["last_sync_at"]);
}

fn changes_that_nobody_can_read_are_not_carried_out(app: &TestApp) {
    let (source, run) = held(app);
    let spoilt = id(&run).to_owned();
    write(&source, move |tx, key| tx.change_put(key, &spoilt, &[(3, "spoilt".to_owned())]));
    source.decide(&run, "approve").expect(200);
    let ended = source.ended(id(&run));
    assert_eq!(ended["status"], "failed", "{ended}");
    let error =
        "What the run waits for was sealed with another secret key; the next read finds it again.";
    assert_eq!(ended["error"], error);
    assert_eq!(source.users().len(), 5);
}

fn file_that_nobody_can_read_fails_the_run(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=5));
    write(&source, |tx, key| {
        let file = FileRow { name: "users".to_owned(), bytes: 6, uploaded: 0 };
        tx.file_put(key, &file, &["spoilt".to_owned()])
    });
    let run = source.run(json!({}));
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], "The file users was sealed with another secret key; send it again.");
    assert_eq!(source.users().len(), 5);
}

fn old_runs_go_some_changes_at_a_time(app: &TestApp) {
    let (source, run) = held(app);
    source.decide(&run, "reject").expect(200);
    let old = id(&run).to_owned();
    write(&source, move |tx, key| {
        let left = |tx: &mut Tx<'_>| tx.change_list(key, &old, 0, 100).map(|left| left.len());
        for expected in [3, 1, 0] {
            assert!(tx.change_clear(key, &old, 2)?);
            assert_eq!(left(tx)?, expected);
        }
        assert!(!tx.change_clear(key, &old, 2)?);
        Ok(())
    });
    let runs = || source.app.api.get(&format!("{}/syncs", source.path)).expect(200).body;
    app.wait(app.service().prune_syncs()).expect("pruned");
    assert_eq!(runs()["data"].as_array().map(Vec::len), Some(2));
    app.clock.advance(Duration::from_secs(31 * 24 * 3_600));
    app.wait(app.service().prune_syncs()).expect("pruned");
    assert_eq!(runs()["data"], json!([]));
}

fn changes_are_numbered_without_a_gap(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("users", &numbered(1..=600));
    let run = source.run(json!({"dry_run": true}));
    let path = format!("{}/syncs/{}/diff?limit=1000", source.path, id(&run));
    let diff = app.api.get(&path).expect(200).body;
    let changes = diff["data"].as_array().expect("a list").iter();
    let numbers: Vec<i64> = changes.map(|change| change["number"].as_i64().expect("one")).collect();
    assert_eq!(numbers, (1..=600).collect::<Vec<i64>>());
}

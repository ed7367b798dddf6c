//! Sources that tell what has changed are read as a whole all the same: after a time, and where a decision
//! has left something undone.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Source, entra, google, okta, scim};
use crate::on_both_databases;
use crate::support::fake_ldap::FakeLdap;
use crate::support::fakes::google::Google;
use crate::support::fakes::graph::Graph;
use crate::support::{FakeSource, TestApp};

on_both_databases![
    everything_is_read_again_after_its_time,
    everything_is_read_again_after_a_hold_was_rejected,
    everything_is_read_again_after_a_hold_was_approved,
];

/// Longer than an hour with its jitter.
const STEP: i64 = 67 * 60;

fn pass(app: &TestApp) {
    app.clock.advance(Duration::from_secs(STEP.unsigned_abs()));
}

/// From now on by the schedule, which begins with a run.
fn schedule(source: &Source<'_>) {
    let settings = json!({"settings": {"schedule": {"every": "1h", "full_every": "2h"}}});
    source.app.api.patch(&source.path, settings).expect(200);
}

/// What each run of a schedule of an hour reads when everything is to be read every two hours.
const MODES: [&str; 5] = ["full", "incremental", "full", "incremental", "full"];

#[track_caller]
fn assert_reads(source: &Source<'_>, run: usize, mode: &str) {
    let run = source.next_run(run);
    let read = [&run["status"], &run["cause"], &run["mode"]];
    assert_eq!(read, ["completed", "schedule", mode], "{run}");
}

fn everything_is_read_again_after_its_time(app: &TestApp) {
    let fake = FakeSource::start(scim::healthy(4));
    let source = scim::reader(app, &fake.url, json!({}));
    schedule(&source);
    for (number, mode) in (1..).zip(MODES) {
        assert_reads(&source, number, mode);
        let asked = fake.asked();
        let is_filtered = asked.iter().any(|path| path.contains("meta.lastModified"));
        assert_eq!(is_filtered, mode == "incremental", "{asked:?}");
        pass(app);
    }
}

#[test]
fn each_source_that_tells_changes_is_read_as_a_whole_after_its_time() {
    let app = &okta::app();
    let tenant = Graph::start(4, entra::NOW);
    let workspace = Google::start(4, google::NOW);
    let organization = okta::crowd(4).0;
    let server = FakeLdap::start();
    server.world(|world| {
        for uid in ["a", "b", "c"] {
            let person = json!({"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": uid,
                "entryUUID": uid, "modifyTimestamp": "20250601000000Z"});
            world.put(&format!("uid={uid},ou=p,dc=x"), &person);
        }
    });
    let ldap = server.config(json!({"incremental": "timestamp"}));
    let sources = [
        entra::reader(app, &tenant, json!({})),
        google::reader(app, &workspace, json!({})),
        okta::reader(app, &organization, json!({})),
        Source::new(app, "pull.ldap", ldap, json!({"schedule": "off"})),
    ];
    sources.iter().for_each(schedule);
    for (number, mode) in (1..).zip(MODES) {
        for source in &sources {
            assert_reads(source, number, mode);
        }
        pass(app);
        tenant.data(|graph| graph.door.now += STEP);
        workspace.data(|google| google.now += STEP);
        organization.data(|org| org.pass(STEP));
    }
}

/// A source of ten users, of whom all but three have gone; and the run that is held for it.
fn held(app: &TestApp) -> (FakeSource, Source<'_>, Value) {
    let fake = FakeSource::start(scim::healthy(10));
    let source = scim::reader(app, &fake.url, json!({}));
    source.sync();
    assert_eq!(source.sync()["mode"], "incremental");
    fake.answer(scim::healthy(3));
    assert_eq!(source.sync()["mode"], "incremental", "a list of changes shows nobody who is gone");
    let run = source.run(json!({"mode": "full"}));
    assert_eq!(run["status"], "held", "{run}");
    (fake, source, run)
}

fn everything_is_read_again_after_a_hold_was_rejected(app: &TestApp) {
    let (fake, source, mut run) = held(app);
    let told = source.events();
    // The source has not changed: it is found again, as often as somebody says no.
    for _ in 0..2 {
        source.decide(&run, "reject").expect(200);
        run = source.run(json!({}));
        assert_eq!((&run["status"], &run["mode"]), (&json!("held"), &json!("full")), "{run}");
    }
    // While it is held, too.
    assert_eq!(source.run(json!({}))["mode"], "full");
    assert_eq!((source.users().len(), source.events()), (10, told));
    fake.answer(scim::healthy(10));
    assert_eq!(source.sync()["mode"], "full");
    assert_eq!(source.sync()["mode"], "incremental");
    assert_eq!((source.users().len(), source.events()), (10, told));
}

fn everything_is_read_again_after_a_hold_was_approved(app: &TestApp) {
    let (_fake, source, run) = held(app);
    source.decide(&run, "approve").expect(200);
    source.ended(run["id"].as_str().expect("an id"));
    assert_eq!(source.users().len(), 3);
    assert_eq!(source.sync()["mode"], "full");
    assert_eq!(source.sync()["mode"], "incremental");
}

/// What a list of changes says is held like a complete one, and looked at as a whole after a no.
#[test]
fn changes_that_were_held_and_rejected_are_followed_by_everything() {
    let app = &okta::app();
    let fake = Graph::start(8, entra::NOW);
    let source = entra::reader(app, &fake, json!({}));
    source.sync();
    let told = source.events();
    fake.data(|graph| (1..=5).for_each(|n| graph.remove_user(&format!("u00{n}"), "deleted")));
    let run = source.run(json!({}));
    assert_eq!((&run["status"], &run["mode"]), (&json!("held"), &json!("incremental")), "{run}");
    assert_eq!(source.view()["last_error"], json!(null));
    source.decide(&run, "reject").expect(200);
    let run = source.run(json!({}));
    assert_eq!((&run["status"], &run["mode"]), (&json!("held"), &json!("full")), "{run}");
    assert_eq!((source.users().len(), source.events()), (8, told));
}

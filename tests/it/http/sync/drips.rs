//! Sources that send a byte now and then: that keeps a connection alive, and there is an end to it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Source, aws_faults, google, okta, scim};
use crate::support::fake::{Fake, Fault};
use crate::support::fakes::google::Google;
use crate::support::{Database, FakeSource, TestApp};

/// Longest time for a request, in seconds.
const TIMEOUT: u64 = 1;

/// How often a request is tried that a source does not answer.
const TRIES: u64 = 8;

#[test]
fn slow_drip_ends_the_run_within_the_time_of_its_requests() {
    let app = &TestApp::start_with(Database::sqlite(), |config| config.source_timeout = TIMEOUT);
    let organization = okta::crowd(4).0;
    let store = Fake::start(aws_faults::data, aws_faults::answer);
    let workspace = Google::start(4, google::NOW);
    let server = FakeSource::start(scim::healthy(4));
    let sources = [
        okta::reader(app, &organization, json!({})),
        aws_faults::reader(app, &store.url),
        google::reader(app, &workspace, json!({})),
        scim::reader(app, &server.url, json!({})),
    ];
    let standing = |source: &Source<'_>| (source.events(), source.users());
    let before: Vec<_> = sources
        .iter()
        .map(|source| {
            source.sync();
            standing(source)
        })
        .collect();
    // What is answered would take minutes.
    let drip = || Fault::drip("", Duration::from_millis(300));
    // The second page of users, or the groups behind the first.
    organization.fault(drip().after(1));
    store.fault(drip().after(1));
    workspace.fault(Fault::drip("/groups", Duration::from_millis(300)));
    server.fault(Fault::drip("/Groups", Duration::from_millis(300)));
    // Two at a time: all of them are of one organization.
    let began = Instant::now();
    let runs: Vec<String> = sources
        .iter()
        .map(|source| {
            let path = format!("{}/sync", source.path);
            app.api.post(&path, json!({"mode": "full"})).expect(202).id()
        })
        .collect();
    for ((source, run), before) in sources.iter().zip(runs).zip(before) {
        let run = source.ended(&run);
        assert_eq!((&run["status"], standing(source)), (&json!("failed"), before), "{run}");
        let error = run["error"].as_str().unwrap_or_default();
        assert!(error.starts_with("http://127.0.0.1:") && error.contains("timeout"), "{run}");
        assert_eq!(source.view()["state"], "error");
    }
    // A request of each source is in vain, as often as it is tried; the rest is room for a busy machine.
    assert!(began.elapsed() < 5 * Duration::from_secs(TIMEOUT * TRIES), "{:?}", began.elapsed());
    organization.heal();
    store.heal();
    workspace.heal();
    server.heal();
    for source in &sources {
        source.sync();
        assert_eq!(source.view()["state"], "linked");
    }
}

//! Runs that the app asks for over its read API.

use std::time::Duration;

use serde_json::json;

use super::{Source, numbered};
use crate::http::api_error;
use crate::on_both_databases;
use crate::support::{Answer, TestApp};

on_both_databases![
    app_has_a_directory_read_now_and_then,
    app_does_not_get_around_the_pause_of_a_source_that_fails,
    stopped_directories_are_not_read_for_the_app,
];

impl Source<'_> {
    fn ask(&self) -> Answer {
        self.app.api.post(&format!("/directories/{}/sync", self.handle.id), json!({}))
    }

    /// How long the app is told to wait.
    #[track_caller]
    fn refused(&self) -> u64 {
        let answer = self.ask();
        let message = api_error(&answer, 429, "sync_too_soon");
        let seconds = answer.header("retry-after").expect("when to come again").to_owned();
        assert!(message.ends_with(&format!("in {seconds} seconds.")), "{message}");
        seconds.parse().expect("seconds")
    }
}

fn app_has_a_directory_read_now_and_then(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("users", &numbered(1..=2));
    let asked = source.ask().expect(202);
    assert_eq!(asked.body, json!({"status": "queued"}));
    let run = source.next_run(1);
    assert_eq!((&run["status"], &run["cause"]), (&json!("completed"), &json!("request")));
    assert_eq!(source.users().len(), 2);
    let seconds = source.refused();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // An operator need not wait, and a dry run is none that anybody waits for.
    source.sync();
    app.clock.advance(Duration::from_secs(61));
    assert_eq!(source.run(json!({"dry_run": true}))["status"], "completed");
    source.ask().expect(202);
    assert_eq!(source.next_run(4)["status"], "completed");
}

fn app_does_not_get_around_the_pause_of_a_source_that_fails(app: &TestApp) {
    let settings = json!({"schedule": {"every": "1h"}});
    let source = Source::new(app, "pull.csv", json!({}), settings);
    // There is no file yet.
    assert_eq!(source.run(json!({}))["status"], "failed");
    let waits = [(); 2].map(|()| {
        assert_eq!(source.run(json!({}))["status"], "failed");
        source.refused()
    });
    assert!(waits[0] > 60 && waits[1] > waits[0], "{waits:?}");
}

fn stopped_directories_are_not_read_for_the_app(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("users", &numbered(1..=2));
    app.api.patch(&source.path, json!({"state": "paused"})).expect(200);
    let message = api_error(&source.ask(), 422, "directory_stopped");
    assert_eq!(message, "The directory is paused; resume it first.");
    app.api.patch(&source.path, json!({"state": "linked"})).expect(200);
    source.ask().expect(202);
    source.next_run(1);
}

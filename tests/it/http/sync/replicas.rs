//! Two processes on one PostgreSQL that read the same directories.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Source, numbered};
use crate::support::{Database, TestApp};

const SECRET_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Directories on a short schedule.
const DIRECTORIES: usize = 100;

mod no_run_is_done_twice_and_none_is_forgotten {
    use super::*;

    #[test]
    fn postgres() {
        let database = Database::postgres();
        let url = database.url();
        let first = TestApp::start_with(database, |config| {
            config.secret_key = Some(SECRET_KEY.into());
        });
        let second = TestApp::start_with(Database::sqlite(), |config| {
            config.database_url = Some(url);
            config.secret_key = Some(SECRET_KEY.into());
        });
        let make = |_| {
            let source = Source::new(&first, "pull.csv", json!({}), json!({}));
            source.upload("users", &numbered(1..=3));
            source
        };
        let sources: Vec<Source<'_>> = (0..DIRECTORIES).map(make).collect();
        for source in &sources {
            let settings = json!({"schedule": {"every": "1m"}});
            first.api.patch(&source.path, json!({"settings": settings})).expect(200);
        }
        for round in 1..=3 {
            for source in &sources {
                let runs = finished(source, round);
                for run in runs.as_array().expect("a list") {
                    assert_eq!(
                        (&run["status"], &run["cause"]),
                        (&json!("completed"), &json!("schedule"))
                    );
                }
                let created = &runs[round - 1]["counts"]["users"]["created"];
                assert_eq!(created, &json!(3), "the first run of each has made them: {runs}");
                let told = source.told(0);
                let users = told.iter().filter(|name| name.starts_with("user.")).count();
                assert_eq!((users, told.len()), (3, 4), "{told:?}");
            }
            for app in [&first, &second] {
                app.clock.advance(Duration::from_secs(90));
            }
        }
    }
}

/// So many runs of a directory, once all are over.
fn finished(source: &Source<'_>, number: usize) -> Value {
    loop {
        let runs = source.app.api.get(&format!("{}/syncs", source.path)).expect(200).body;
        let runs = runs["data"].clone();
        let list = runs.as_array().expect("a list");
        assert!(list.len() <= number, "{runs}");
        if list.len() == number && list.iter().all(|run| run["finished_at"].is_string()) {
            return runs;
        }
        std::thread::yield_now();
    }
}

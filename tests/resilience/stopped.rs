//! PostgreSQL goes away under load and comes back. The server goes on by itself.

use std::time::Duration;

use crate::cluster::{Cluster, Halt};
use crate::load::Load;
use crate::world::{api, compare, start, tenant, wait_until_ready};

/// What a client is kept waiting at most for the answer that the database is not there.
const CLEAR_WITHIN: Duration = Duration::from_secs(15);

fn database_stops(how: &[Halt]) {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().expect("a folder"));
    let server = start(folder.path(), &cluster.url);
    let tenant = tenant(&server.url);
    let load = Load::start(&tenant, &[&server.url], 8);
    for how in how {
        load.wait_done(150);
        cluster.halt(*how);
        load.wait_refused(50);
        let ready = api(&server.url).get("/health/ready").expect(503);
        assert!(ready.header("retry-after").is_some(), "{ready:?}");
        api(&server.url).get("/health/live").expect(200);
        cluster.resume();
        load.wait_done(150);
    }
    let written = load.end();
    wait_until_ready(&server.url);
    assert_eq!(written.counts.unanswered, 0, "every request gets an answer");
    assert!(written.counts.slowest < CLEAR_WITHIN, "{}", written.summary());
    compare(&tenant, &server.url, &cluster.url, &written);
}

mod stopped_database_is_told_and_waited_for {
    use super::*;

    #[test]
    fn postgres() {
        database_stops(&[Halt::Fast]);
    }
}

mod heavy_database_that_crashes_again_and_again_loses_nothing {
    use super::*;

    #[test]
    #[ignore = "takes long; tests/resilience/run"]
    fn postgres() {
        database_stops(&[Halt::Immediate, Halt::Fast, Halt::Immediate, Halt::Immediate]);
    }
}

//! The server is killed in the middle of a load, again and again, and started again.

use crate::load::Load;
use crate::support::Database;
use crate::world::{compare, embedded, start, tenant, wait_until_ready};

/// Kills it that many times, each after so many writes more.
fn killed(database: Option<&Database>, times: usize, writes: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (server_url, url) = match database {
        Some(database) => (database.url(), database.url()),
        None => (String::new(), embedded(folder.path())),
    };
    let mut server = start(folder.path(), &server_url);
    let tenant = tenant(&server.url);
    let load = Load::start(&tenant, &[&server.url], 8);
    for _ in 0..times {
        load.wait_done(writes);
        server.kill();
        server.again();
    }
    load.wait_done(writes);
    // The last time nobody writes any more when it comes back.
    server.kill();
    let written = load.end();
    server.again();
    wait_until_ready(&server.url);
    assert!(written.counts.unanswered > 0, "no write was under way");
    compare(&tenant, &server.url, &url, &written);
}

mod killed_server_loses_nothing {
    use super::*;

    #[test]
    fn sqlite() {
        killed(None, 3, 150);
    }

    #[test]
    fn postgres() {
        killed(Some(&Database::postgres()), 3, 150);
    }
}

mod heavy_server_killed_again_and_again_loses_nothing {
    use super::*;

    #[test]
    #[ignore = "takes long; tests/resilience/run"]
    fn sqlite() {
        killed(None, 20, 200);
    }

    #[test]
    #[ignore = "takes long; tests/resilience/run"]
    fn postgres() {
        killed(Some(&Database::postgres()), 20, 200);
    }
}

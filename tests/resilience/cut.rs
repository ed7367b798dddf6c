//! The network between the server and PostgreSQL is cut: all connections at once, one in the middle of an
//! answer, one around a commit. A commit without an answer may have been made or not; a client is told
//! to try again, and nothing is done twice.

use crate::cluster::Cluster;
use crate::load::Load;
use crate::proxy::{Cut, Proxy};
use crate::world::{compare, start, tenant, wait_until_ready};

fn connections_are_cut(rounds: usize) {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().expect("a folder"));
    let proxy = Proxy::start(cluster.address());
    let server = start(folder.path(), &cluster.url_through(proxy.address));
    let tenant = tenant(&server.url);
    let load = Load::start(&tenant, &[&server.url], 8);
    for round in 0..rounds {
        load.wait_done(50);
        assert!(proxy.cut_all() > 0, "the server has connections");
        load.wait_done(50);
        proxy.cut(Cut::BeforeCommit, 5);
        load.wait_done(20);
        proxy.cut(Cut::AfterCommit, 5);
        load.wait_done(20);
        for bytes in [0, 1, 7 + round, 60] {
            proxy.cut(Cut::Answer(bytes), 3);
        }
        load.wait_done(20);
        // For a while nobody gets through.
        proxy.refuse(true);
        proxy.cut_all();
        load.wait_refused(20);
        proxy.refuse(false);
        load.wait_done(50);
    }
    let written = load.end();
    wait_until_ready(&server.url);
    assert_eq!(written.counts.unanswered, 0, "every request gets an answer");
    compare(&tenant, &server.url, &cluster.url, &written);
}

mod cut_connections_lose_nothing_and_repeat_nothing {
    use super::*;

    #[test]
    fn postgres() {
        connections_are_cut(1);
    }
}

mod heavy_connections_cut_again_and_again_lose_nothing {
    use super::*;

    #[test]
    #[ignore = "takes long; tests/resilience/run"]
    fn postgres() {
        connections_are_cut(10);
    }
}

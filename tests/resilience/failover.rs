//! PostgreSQL with a synchronous standby: the primary crashes, the standby is promoted. What was
//! acknowledged is on the standby, and the server finds it by itself.

use crate::cluster::{Cluster, Halt};
use crate::load::Load;
use crate::proxy::Proxy;
use crate::tables;
use crate::world::{compare, start, tenant, wait, wait_until_ready};

/// How the server finds the new primary.
#[derive(Clone, Copy)]
enum Address {
    /// One that moves, as with a proxy or a virtual address.
    Moves,
    /// A URL that names both hosts.
    NamesBoth,
}

fn fail_over(address: Address, writes: u64) {
    let (primary, folder) = (Cluster::start(), tempfile::tempdir().expect("a folder"));
    let standby = primary.standby();
    primary.execute(&[
        "ALTER SYSTEM SET synchronous_standby_names = 'standby'",
        "SELECT pg_reload_conf()",
    ]);
    let synchronous = "SELECT sync_state AS found FROM pg_stat_replication";
    wait("the standby is synchronous", || tables::rows(&primary.url, synchronous) == ["sync"]);

    let proxy = Proxy::start(primary.address());
    let url = match address {
        Address::Moves => primary.url_through(proxy.address),
        Address::NamesBoth => format!(
            "postgres://rollbook@{},{}/postgres?target_session_attrs=read-write",
            primary.address(),
            standby.address()
        ),
    };
    let server = start(folder.path(), &url);
    let tenant = tenant(&server.url);
    let load = Load::start(&tenant, &[&server.url], 8);
    load.wait_done(writes);
    primary.halt(Halt::Immediate);
    load.wait_refused(50);
    standby.promote();
    proxy.move_to(standby.address());
    load.wait_done(writes);
    let written = load.end();
    wait_until_ready(&server.url);
    assert_eq!(written.counts.unanswered, 0, "every request gets an answer");
    compare(&tenant, &server.url, &standby.url, &written);
}

mod failover_to_a_moved_address_loses_nothing {
    use super::*;

    #[test]
    fn postgres() {
        fail_over(Address::Moves, 150);
    }
}

mod heavy_failover_to_the_other_host_of_the_url_loses_nothing {
    use super::*;

    #[test]
    #[ignore = "takes long; tests/resilience/run"]
    fn postgres() {
        fail_over(Address::NamesBoth, 1_000);
    }
}

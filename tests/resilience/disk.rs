//! The disk is full, read-only or broken for a while. Reads go on, writes are answered with 503, and when
//! the disk is well again so is the server.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::Cluster;
use crate::faults::{Fault, Faults};
use crate::load::{Load, Written};
use crate::support::process::Server;
use crate::support::user;
use crate::world::{Tenant, compare, embedded, start, start_with, tenant, wait_until_ready};

/// A small file system; gone with the scenario.
struct SmallDisk {
    folder: PathBuf,
    ballast: PathBuf,
}

impl SmallDisk {
    /// `None` where this user may not mount one.
    fn mount(folder: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(folder)
            .status();
        let folder = folder.to_owned();
        mounted.ok()?.success().then(|| Self { ballast: folder.join("ballast"), folder })
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let mut file = File::create(&self.ballast).expect("a file");
        let zeros = [0; 4096];
        while file.write_all(&zeros).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(&self.ballast).expect("it was there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

/// Writers meet a disk that fails, and go on when it is well; reads are served all the time.
fn through_a_failure(
    server: &Server,
    tenant: &Tenant,
    fail: impl Fn(),
    heal: impl Fn(),
) -> Written {
    let load = Load::start(tenant, &[&server.url], 8);
    let scim = tenant.scim(&server.url);
    let id = scim.get("/Groups").expect(200).ids()[0].clone();
    for _ in 0..2 {
        load.wait_done(150);
        fail();
        load.wait_refused(50);
        scim.get(&format!("/Groups/{id}")).expect(200);
        heal();
        load.wait_done(150);
    }
    let written = load.end();
    wait_until_ready(&server.url);
    assert_eq!(written.counts.unanswered, 0, "every request gets an answer");
    written
}

/// The comparison, and once more after the process is killed: what was acknowledged is on the disk.
fn compare_twice(tenant: &Tenant, server: &mut Server, database: &str, written: &Written) {
    compare(tenant, &server.url, database, written);
    server.kill();
    server.again();
    wait_until_ready(&server.url);
    compare(tenant, &server.url, database, written);
}

fn faulty(fault: Fault) {
    let folder = tempfile::tempdir().expect("a folder");
    let faults = Faults::prepare(folder.path());
    let mut server = start_with(folder.path(), "", &faults.environment());
    let tenant = tenant(&server.url);
    let written = through_a_failure(&server, &tenant, || faults.begin(fault), || faults.end());
    compare_twice(&tenant, &mut server, &embedded(folder.path()), &written);
}

mod full_disk_is_told_and_waited_for {
    use super::*;

    /// On a file system of 48 MiB, or where none may be mounted with writes that fail as on one.
    #[test]
    fn sqlite() {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(disk) = SmallDisk::mount(&folder.path().join("data"), 48) else {
            println!("no file system may be mounted here; writes are made to fail instead");
            return faulty(Fault::NoRoom);
        };
        let mut server = start(folder.path(), "");
        let tenant = tenant(&server.url);
        let written = through_a_failure(&server, &tenant, || disk.fill(), || disk.empty());
        compare_twice(&tenant, &mut server, &embedded(folder.path()), &written);
        server.kill();
    }

    /// The tables are on a small file system, the log is not: a full log stops PostgreSQL itself.
    #[test]
    #[ignore = "takes long; tests/resilience/run"]
    fn postgres() {
        let (cluster, folder) = (Cluster::start(), tempfile::tempdir().expect("a folder"));
        let place = folder.path().join("tables");
        let Some(disk) = SmallDisk::mount(&place, 48) else {
            println!("no file system may be mounted here, so this is not shown");
            return;
        };
        for folder in [folder.path(), &place] {
            let opened = Command::new("chmod").arg("0777").arg(folder).status();
            assert!(opened.expect("chmod").success());
        }
        let inner = place.join("space");
        std::fs::create_dir(&inner).expect("a folder");
        let owner = Command::new("chown").arg("postgres").arg(&inner).status();
        assert!(owner.expect("chown").success(), "the server runs as postgres");
        cluster.execute(&[
            &format!("CREATE TABLESPACE small LOCATION '{}'", inner.display()),
            "CREATE DATABASE small TABLESPACE small",
        ]);
        let url = format!("postgres://rollbook@{}/small", cluster.address());
        let server = start(folder.path(), &url);
        let tenant = tenant(&server.url);
        let written = through_a_failure(&server, &tenant, || disk.fill(), || disk.empty());
        compare(&tenant, &server.url, &url, &written);
    }
}

mod read_only_disk_is_told_and_waited_for {
    use super::*;

    #[test]
    fn sqlite() {
        faulty(Fault::ReadOnly);
    }
}

mod broken_disk_is_told_and_waited_for {
    use super::*;

    #[test]
    fn sqlite() {
        faulty(Fault::Broken);
    }
}

/// Every commit waits until the disk has it: where that fails, no write is acknowledged, although every
/// byte could be written.
mod write_that_is_not_durable_is_not_acknowledged {
    use super::*;

    const WRITES: usize = 20;
    const READERS: usize = 16;

    #[test]
    fn sqlite() {
        let folder = tempfile::tempdir().expect("a folder");
        let faults = Faults::prepare(folder.path());
        let server = start_with(folder.path(), "", &faults.environment());
        let tenant = tenant(&server.url);
        let scim = tenant.scim(&server.url);
        let create = |n: usize| scim.post("/Users", user(&format!("user-{n}@example.com")));
        create(0).expect(201);
        faults.begin(Fault::NotDurable);
        for n in 1..=WRITES {
            create(n).expect(503);
        }
        // Several at once, so that connections are opened for them.
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| tenant.scim(&server.url).get("/Users").expect(200));
            }
        });
        faults.end();
        create(WRITES + 1).expect(201);
    }
}

//! Two processes that read a hundred directories; one of them is killed, or stands still, in the middle of its
//! runs. The other one goes on with them, nothing happens twice, and what comes late is not done.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::fake::{Asked, Fake, Gate, Said};
use crate::support::process::Server;
use crate::tables;
use crate::world::{api, start, wait};

const DIRECTORIES: usize = 100;

/// Directories that a process reads at the same time.
const READERS: usize = 4;

/// How long a lease lasts from its last renewal; until then nobody can know that the process is gone.
const LEASE: Duration = Duration::from_secs(20);

/// What may pass from the end of the lease to the first request of whoever goes on: a second until it looks, and
/// the runs that it is at, for a place among which it waits on a machine that does much else.
const LOOK: Duration = Duration::from_secs(10);

/// What becomes of a process in the middle of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Killed,
    /// It knows nothing of the time that has passed when it goes on.
    Stopped,
}

/// A SCIM server with the directories `/0` to `/99`.
struct Lists {
    gate: Gate,
    /// What the first ones show is not what they show later.
    is_early: bool,
    asked: BTreeMap<usize, Vec<(&'static str, Instant)>>,
}

impl Lists {
    /// How a process is cut off in the first directories: of two it has only begun to read the users, of two
    /// everything is read, and its writing is held up by the database.
    fn is_read_at_once(directory: usize) -> bool {
        (READERS / 2..READERS).contains(&directory)
    }

    /// How many users a directory has, and how many of them are in its group. Of the first ones somebody is listed
    /// early, or is in the group, who is not when they are read again.
    fn shown(&self, directory: usize) -> (usize, usize) {
        match self.is_early && directory < READERS {
            true if Self::is_read_at_once(directory) => (3, 3),
            true => (4, 3),
            false => (3, 2),
        }
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        let [directory, list] = asked.parts()[..] else { return Said::json(404, &json!({})) };
        let directory: usize = directory.parse().expect("a number");
        let (users, members) = self.shown(directory);
        let ids = |number: usize| (1..=number).map(|n| format!("u{n}"));
        let user = |id: String| {
            let name = format!("{id}@{directory}.example.com");
            json!({"id": id, "userName": name, "emails": [{"value": name}]})
        };
        let (list, resources): (_, Vec<Value>) = match list {
            "Users" => ("Users", ids(users).map(user).collect()),
            _ => {
                let members: Vec<Value> = ids(members).map(|id| json!({"value": id})).collect();
                ("Groups", vec![json!({"id": "g1", "displayName": "Staff", "members": members})])
            }
        };
        self.asked.entry(directory).or_default().push((list, Instant::now()));
        let page = json!({"totalResults": resources.len(), "Resources": resources});
        match list == "Users" && !Self::is_read_at_once(directory) {
            true => Said::json(200, &page).behind(&self.gate),
            false => Said::json(200, &page),
        }
    }
}

/// The hundred directories, where they come from and where they are stored.
struct World {
    source: Fake<Lists>,
    gate: Gate,
    database: Database,
}

impl World {
    fn new() -> Self {
        let gate = Gate::default();
        let (is_early, asked) = (true, BTreeMap::new());
        let lists = Lists { gate: gate.clone(), is_early, asked };
        Self { source: Fake::start(|_| lists, Lists::answer), gate, database: Database::postgres() }
    }

    fn server(&self, folder: &Path) -> Server {
        start(folder, &self.database.url())
    }

    /// Makes directories that are read every five minutes, which is longer than all of this takes, and for the
    /// first time at once. Each has an organization of its own, which no other keeps from being read.
    fn make(&self, server: &Server, directories: std::ops::Range<usize>) {
        for directory in directories {
            let organization = json!({"name": format!("Example {directory}")});
            let organization = api(&server.url).post("/api/v1/organizations", organization);
            let config = json!({
                "base_url": format!("{}/{directory}", self.source.url),
                "token": "s3cret-of-the-source-0123",
                "paging": "index",
                "allow_private_network": true,
            });
            let body = json!({
                "organization_id": organization.expect(201).id(),
                "name": format!("Directory {directory}"),
                "kind": "pull.scim",
                "config": config,
                "settings": {"schedule": {"every": "5m"}},
            });
            api(&server.url).post("/api/v1/directories", body).expect(201);
        }
    }

    fn rows(&self, text: &str) -> Vec<String> {
        tables::rows(&self.database.url(), text)
    }

    fn number(&self, text: &str) -> usize {
        let text = format!("SELECT CAST(({text}) AS TEXT) AS found");
        self.rows(&text)[0].parse().expect("a number")
    }

    fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.database.url()).expect("the database")
    }

    /// Lists of a directory as they were asked for, each with its time.
    fn asked(&self, directory: usize) -> Vec<(&'static str, Instant)> {
        self.source.data(|lists| lists.asked.get(&directory).cloned().unwrap_or_default())
    }

    fn has_asked(&self, directory: usize, list: &str, times: usize) -> bool {
        self.asked(directory).iter().filter(|(asked, _)| *asked == list).count() >= times
    }

    /// Waits until units that write memberships stand before a lock, one in each directory that is read.
    fn wait_in_the_middle(&self) {
        wait("two runs wait for memberships", || {
            let waiting = "SELECT COUNT(*) FROM pg_locks WHERE relation = 'member'::regclass \
                           AND mode IN ('RowShareLock', 'RowExclusiveLock') AND NOT granted";
            self.number(waiting) == READERS - READERS / 2
        });
    }

    /// Waits until each directory has a run that was begun since and has ended well.
    fn wait_read_since(&self, since: i64) {
        wait("every directory is read", || {
            let read = format!(
                "SELECT COUNT(DISTINCT directory_key) FROM sync_run \
                 WHERE status = 'completed' AND finished > {since}"
            );
            self.number(&read) == DIRECTORIES
        });
    }

    /// What came of it is the same in each directory, however often it was read.
    #[track_caller]
    fn compare(&self) {
        let runs =
            "SELECT DISTINCT status || ' ' || cause || COALESCE(error, '') AS found FROM sync_run";
        assert_eq!(self.rows(runs), ["completed schedule"]);
        let in_each = |of_each: &str, expected: &str| {
            assert_eq!(self.rows(of_each), vec![expected; DIRECTORIES]);
        };
        let users = "SELECT string_agg(external_id || ' ' || active, ', ' ORDER BY external_id) AS found \
             FROM resource WHERE resource_type = 'User' GROUP BY directory_key";
        in_each(users, "u1 true, u2 true, u3 true");
        let members = "SELECT string_agg(r.external_id, ', ' ORDER BY r.external_id) AS found \
             FROM member m JOIN resource r ON r.directory_key = m.directory_key AND r.key = m.member_key \
             GROUP BY m.directory_key";
        in_each(members, "u1, u2");
        let told = "SELECT string_agg(e.event, ' ' ORDER BY e.key) AS found FROM event e \
             JOIN directory d ON d.key = e.directory_key WHERE d.kind = 'pull.scim' GROUP BY d.key";
        let once = "dsync.activated dsync.user.created dsync.user.created dsync.user.created \
             dsync.group.created dsync.group.user_added dsync.group.user_added";
        in_each(told, once);
        assert_eq!(tables::faults(&self.database.url()), [""; 0]);
    }

    /// Each run has read its directory from beginning to end, and no two at the same time; `cut` is what a
    /// process has read before it was cut off.
    #[track_caller]
    fn no_run_was_done_twice(&self, since: i64, cut: impl Fn(usize) -> &'static [&'static str]) {
        let runs = format!(
            "SELECT substr(d.name, 11) || ' ' || COUNT(r.id) AS found FROM sync_run r \
             JOIN directory d ON d.key = r.directory_key WHERE r.finished > {since} GROUP BY d.name"
        );
        for line in self.rows(&runs) {
            let (directory, runs) = line.split_once(' ').expect("two words");
            let (directory, runs): (usize, usize) =
                (directory.parse().expect("a number"), runs.parse().expect("a number"));
            let expected = [cut(directory), &["Users", "Groups"].repeat(runs)].concat();
            let asked: Vec<&str> = self.asked(directory).iter().map(|(list, _)| *list).collect();
            assert_eq!(asked, expected, "directory {directory}, {runs} runs");
        }
    }
}

/// Milliseconds since 1970, by the clock of this machine.
fn now() -> i64 {
    rollbook::clock::Clock::system().now_ms()
}

fn signal(server: &Server, signal: &str) {
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
}

/// Stops a process where it stands, and waits until it does.
fn halt(server: &Server) {
    signal(server, "-STOP");
    let stat = format!("/proc/{}/stat", server.child.id());
    wait("the process stands still", || {
        let text = std::fs::read_to_string(&stat).expect("the process is there");
        text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
}

fn another_goes_on(fate: Fate) {
    let world = World::new();
    let folders = [0; 2].map(|_| tempfile::tempdir().expect("a folder"));
    let mut first = world.server(folders[0].path());
    let mut lock = world.connect();
    lock.batch_execute("BEGIN; LOCK TABLE member IN EXCLUSIVE MODE").expect("the lock");

    // The first process has as many directories as it reads at a time, and the second one as many of the others.
    world.make(&first, 0..READERS);
    wait("the first ones are asked", || (0..READERS).all(|n| world.has_asked(n, "Users", 1)));
    world.wait_in_the_middle();
    world.make(&first, READERS..DIRECTORIES);
    let second = world.server(folders[1].path());
    wait("others are asked", || {
        (READERS..DIRECTORIES).filter(|n| world.has_asked(*n, "Users", 1)).count() == READERS
    });
    world.wait_in_the_middle();
    let (since, began) = (Instant::now(), now());
    match fate {
        Fate::Killed => first.kill(),
        Fate::Stopped => halt(&first),
    }
    world.source.data(|lists| lists.is_early = false);
    lock.batch_execute("ROLLBACK").expect("the lock is gone");
    world.gate.open();

    wait("the directories are taken over", || (0..READERS).all(|n| world.has_asked(n, "Users", 2)));
    for directory in 0..READERS {
        let users = world.asked(directory).into_iter().filter(|(list, _)| *list == "Users");
        let took = users.map(|(_, at)| at).nth(1).expect("a second one") - since;
        println!("directory {directory} was taken over after {took:?}");
        assert!(took <= LEASE + LOOK, "{took:?}");
    }
    world.wait_read_since(began);
    world.compare();
    world.no_run_was_done_twice(began, |directory| match directory {
        _ if directory >= READERS => &[],
        _ if Lists::is_read_at_once(directory) => &["Users", "Groups"],
        _ => &["Users"],
    });

    // Whoever comes back does nothing of what it was at, and reads what is due: alone, all of it.
    match fate {
        Fate::Killed => first.again(),
        Fate::Stopped => {
            signal(&first, "-CONT");
            wait("its runs are given up", || {
                let metrics = api(&first.url).get("/metrics").text;
                metrics.contains("\nrollbook_sync_running 0\n")
            });
            world.compare();
        }
    }
    assert!(second.stop());
    world.source.data(|lists| lists.asked.clear());
    let began = now();
    // The time of each has come, sooner than in five minutes.
    world.connect().batch_execute("UPDATE sync_directory SET next_at = 0").expect("due");
    world.wait_read_since(began);
    world.compare();
    world.no_run_was_done_twice(began, |_| &[]);
}

mod runs_of_a_killed_process_are_taken_over_within_the_lease {
    use super::*;

    #[test]
    fn postgres() {
        another_goes_on(Fate::Killed);
    }
}

mod process_that_stood_still_does_nothing_late {
    use super::*;

    #[test]
    fn postgres() {
        another_goes_on(Fate::Stopped);
    }
}

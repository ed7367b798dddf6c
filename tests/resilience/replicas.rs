//! Several processes on one PostgreSQL: no lost update, no work done twice, uniqueness, events in order,
//! and what one process is told about tokens and directories counts in the others within five seconds.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::Load;
use crate::support::process::Server;
use crate::support::{Answer, Client, Consumer, Database, group, patch, user};
use crate::tables;
use crate::world::{Tenant, api, compare, start, tenant, wait};

/// How old what a process knows of a token or a directory may be.
const FRESH: Duration = Duration::from_secs(5);

/// Processes on one database, each with a folder of its own.
struct Replicas {
    servers: Vec<Server>,
    _folders: Vec<TempDir>,
    database: Database,
}

impl Replicas {
    /// Starts them all at once, on an empty database.
    fn start(number: usize) -> Self {
        let database = Database::postgres();
        let folders: Vec<TempDir> =
            (0..number).map(|_| tempfile::tempdir().expect("a folder")).collect();
        let servers = std::thread::scope(|scope| {
            let start = |folder: &TempDir| {
                let (path, url) = (folder.path().to_owned(), database.url());
                scope.spawn(move || start(&path, &url))
            };
            let starting: Vec<_> = folders.iter().map(start).collect();
            starting.into_iter().map(|server| server.join().expect("it starts")).collect()
        });
        Self { servers, _folders: folders, database }
    }

    fn urls(&self) -> Vec<&str> {
        self.servers.iter().map(|server| server.url.as_str()).collect()
    }

    /// SCIM through each of them.
    fn scim(&self, tenant: &Tenant) -> Vec<Client> {
        self.servers.iter().map(|server| tenant.scim(&server.url)).collect()
    }

    fn count(&self, text: &str) -> usize {
        let text = format!("SELECT CAST(COUNT(*) AS TEXT) AS found FROM {text}");
        tables::rows(&self.database.url(), &text)[0].parse().expect("a number")
    }
}

/// Sends `of(0..n)` through the clients in turn, from that many threads.
fn at_once(
    clients: &[Client],
    n: usize,
    of: impl Fn(&Client, usize) -> Answer + Sync,
) -> Vec<Answer> {
    const THREADS: usize = 8;
    let ready = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (of, ready, scim) = (&of, &ready, &clients[thread % clients.len()]);
                scope.spawn(move || {
                    ready.wait();
                    (thread..n).step_by(THREADS).map(|k| of(scim, k)).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// The versions that writers were told they made: each one once.
fn versions(answers: &[Answer]) -> BTreeSet<String> {
    let tags = answers.iter().map(|answer| answer.header("etag").expect("a version").to_owned());
    let distinct: BTreeSet<String> = tags.collect();
    assert_eq!(distinct.len(), answers.len(), "two writers made one version");
    distinct
}

mod change_of_a_user_through_two_processes_is_never_lost {
    use super::*;

    const CHANGES: usize = 80;

    #[test]
    fn postgres() {
        let replicas = Replicas::start(2);
        let tenant = tenant(replicas.urls()[0]);
        let scim = replicas.scim(&tenant);
        let id = scim[0].post("/Users", user("ada@example.com")).expect(201).id();
        let path = format!("/Users/{id}");
        let answers = at_once(&scim, CHANGES, |scim, n| {
            let phone = json!([{"value": format!("+49 30 {n}"), "type": "work"}]);
            let operations = json!([{"op": "add", "path": "phoneNumbers", "value": phone}]);
            scim.patch(&path, patch(operations)).expect(200)
        });
        versions(&answers);
        for scim in &scim {
            let read = scim.get(&path).expect(200);
            let phones = read.body["phoneNumbers"].as_array().expect("a list");
            assert_eq!(phones.len(), CHANGES, "every acknowledged change is there");
            assert_eq!(read.body["meta"]["version"], format!("W/\"{}\"", CHANGES + 1));
        }
        // Each event says what the one before left: they are in the order of the versions.
        let events = tables::events(&replicas.database.url(), &tenant);
        let told = Consumer::of(&events);
        let phones = told.users[&id]["raw_attributes"]["phoneNumbers"].as_array().expect("a list");
        assert_eq!(phones.len(), CHANGES);
        let counts = events.iter().filter(|(name, _)| name == "dsync.user.updated");
        let lengths: Vec<usize> = counts
            .map(|(_, data)| data["raw_attributes"]["phoneNumbers"].as_array().map_or(0, Vec::len))
            .collect();
        assert_eq!(lengths, (1..=CHANGES).collect::<Vec<_>>());
    }
}

mod conditional_change_through_two_processes_is_made_once_for_each_version {
    use super::*;

    const ROUNDS: usize = 12;

    #[test]
    fn postgres() {
        let replicas = Replicas::start(2);
        let tenant = tenant(replicas.urls()[0]);
        let scim = replicas.scim(&tenant);
        let id = scim[0].post("/Users", user("ada@example.com")).expect(201).id();
        let path = format!("/Users/{id}");
        for round in 1..=ROUNDS {
            let tag = format!("W/\"{round}\"");
            let answers = at_once(&scim, 8, |scim, n| {
                let title = format!("{round}-{n}");
                let body =
                    patch(json!([{"op": "replace", "path": "title", "value": title}])).to_string();
                scim.send("PATCH", &path, &[("If-Match", &tag)], Some(body))
            });
            let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
        }
        let version = &scim[1].get(&path).expect(200).body["meta"]["version"];
        assert_eq!(*version, format!("W/\"{}\"", ROUNDS + 1));
    }
}

mod member_added_through_two_processes_is_never_lost {
    use super::*;

    const MEMBERS: usize = 80;

    #[test]
    fn postgres() {
        let replicas = Replicas::start(2);
        let tenant = tenant(replicas.urls()[0]);
        let scim = replicas.scim(&tenant);
        let team = scim[0].post("/Groups", group("Team", &[])).expect(201).id();
        let path = format!("/Groups/{team}");
        let made = at_once(&scim, MEMBERS, |scim, n| {
            scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201)
        });
        let ids: Vec<String> = made.iter().map(Answer::id).collect();
        let answers = at_once(&scim, MEMBERS, |scim, n| {
            let member = json!([{"value": ids[n]}]);
            let operations = json!([{"op": "add", "path": "members", "value": member}]);
            scim.patch(&path, patch(operations)).expect(200)
        });
        versions(&answers);
        for scim in &scim {
            let read = scim.get(&path).expect(200);
            assert_eq!(read.body["members"].as_array().map(Vec::len), Some(MEMBERS));
            assert_eq!(read.body["meta"]["version"], format!("W/\"{}\"", MEMBERS + 1));
        }
        let told = Consumer::of(&tables::events(&replicas.database.url(), &tenant));
        assert_eq!(told.members.len(), MEMBERS);
        assert_eq!(tables::faults(&replicas.database.url()), [""; 0]);
    }
}

mod user_name_that_two_processes_create_at_once_is_stored_once {
    use super::*;

    const NAMES: usize = 20;

    #[test]
    fn postgres() {
        let replicas = Replicas::start(2);
        let tenant = tenant(replicas.urls()[0]);
        let scim = replicas.scim(&tenant);
        for n in 0..NAMES {
            let answers = at_once(&scim, 8, |scim, _| {
                scim.post("/Users", user(&format!("u{n}@example.com")))
            });
            let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
            assert_eq!(made.len(), 1, "{n}");
            for refused in answers.iter().filter(|answer| answer.status != 201) {
                refused.clone().expect_scim_error(409, Some("uniqueness"));
            }
        }
        assert_eq!(scim[1].get("/Users?count=0").total(), NAMES as u64);
        let events = tables::events(&replicas.database.url(), &tenant);
        let created = events.iter().filter(|(name, _)| name == "dsync.user.created").count();
        assert_eq!(created, NAMES, "a refused create leaves no event");
    }
}

mod writers_of_two_processes_leave_what_they_were_told {
    use super::*;

    #[test]
    fn postgres() {
        let replicas = Replicas::start(2);
        let tenant = tenant(replicas.urls()[0]);
        let load = Load::start(&tenant, &replicas.urls(), 8);
        load.wait_done(300);
        let written = load.end();
        assert_eq!((written.counts.refused, written.counts.unanswered), (0, 0));
        for url in replicas.urls() {
            compare(&tenant, url, &replicas.database.url(), &written);
        }
    }
}

mod process_that_is_killed_leaves_the_others_their_work {
    use super::*;

    #[test]
    fn postgres() {
        let mut replicas = Replicas::start(3);
        let tenant = tenant(replicas.urls()[0]);
        let load = Load::start(&tenant, &replicas.urls(), 9);
        for killed in 1..3 {
            load.wait_done(100);
            replicas.servers[killed].kill();
            load.wait_done(100);
            replicas.servers[killed].again();
        }
        load.wait_done(100);
        let written = load.end();
        assert!(written.counts.unanswered > 0, "{}", written.summary());
        assert_eq!(written.counts.refused, 0, "{}", written.summary());
        compare(&tenant, replicas.urls()[0], &replicas.database.url(), &written);
    }
}

mod processes_that_start_at_once_make_one_first_directory {
    use super::*;

    #[test]
    fn postgres() {
        let replicas = Replicas::start(4);
        for url in replicas.urls() {
            for path in ["/api/v1/organizations", "/api/v1/directories"] {
                let listed = api(url).get(path).expect(200);
                assert_eq!(
                    listed.body["data"].as_array().map(Vec::len),
                    Some(1),
                    "{}",
                    listed.text
                );
            }
        }
        let told = replicas._folders.iter();
        let told = told.filter(|folder| folder.path().join("data/first-start.txt").exists());
        assert_eq!(told.count(), 1, "one process was the first");
    }
}

mod what_one_process_is_told_counts_in_the_others_within_five_seconds {
    use super::*;

    /// What is told to one process, and the answer of the others from then on.
    type Told = (&'static str, fn(&Client, &Tenant), u16);

    const TOLD: [Told; 4] = [
        (
            "a token is revoked",
            |api, tenant| {
                let path = format!("/api/v1/directories/{}/tokens/{}", tenant.id, tenant.token_id);
                api.delete(&path).expect(204);
            },
            401,
        ),
        ("a directory is paused", |api, tenant| state(api, tenant, "paused"), 503),
        ("a directory is disabled", |api, tenant| state(api, tenant, "disabled"), 403),
        (
            "a directory is deleted",
            |api, tenant| {
                let answer = api.delete(&format!("/api/v1/directories/{}", tenant.id));
                assert!(matches!(answer.status, 202 | 204), "{}", answer.text);
            },
            401,
        ),
    ];

    fn state(api: &Client, tenant: &Tenant, state: &str) {
        let path = format!("/api/v1/directories/{}", tenant.id);
        api.patch(&path, json!({"state": state})).expect(200);
    }

    #[test]
    fn postgres() {
        let replicas = Replicas::start(2);
        let urls = replicas.urls();
        std::thread::scope(|scope| {
            for (what, tell, refusal) in TOLD {
                let urls = &urls;
                scope.spawn(move || {
                    let tenant = tenant(urls[0]);
                    let (here, there) = (tenant.scim(urls[0]), tenant.scim(urls[1]));
                    here.get("/Users").expect(200);
                    there.get("/Users").expect(200);
                    tell(&api(urls[0]), &tenant);
                    let since = Instant::now();
                    assert_eq!(
                        here.get("/Users").status,
                        refusal,
                        "{what}: at once where it was told"
                    );
                    loop {
                        let asked = since.elapsed();
                        let status = there.get("/Users").status;
                        if status == refusal {
                            break;
                        }
                        assert_eq!(status, 200, "{what}");
                        assert!(asked <= FRESH, "{what}: still served after {asked:?}");
                    }
                });
            }
        });
    }
}

mod accepted_request_is_done_once_by_several_processes {
    use super::*;

    const REQUESTS: usize = 18;
    const OPERATIONS: usize = 20;

    #[test]
    fn postgres() {
        let replicas = Replicas::start(3);
        let tenant = tenant(replicas.urls()[0]);
        let scim = replicas.scim(&tenant);
        let bulk = |request: usize| {
            let operations: Vec<Value> = (0..OPERATIONS)
                .map(|n| {
                    let data = user(&format!("u{request}-{n}@example.com"));
                    json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": data})
                })
                .collect();
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                "Operations": operations,
            })
            .to_string()
        };
        let accepted = at_once(&scim, REQUESTS, |scim, n| {
            let headers = [("Prefer", "respond-async")];
            scim.send("POST", "/Bulk", &headers, Some(bulk(n))).expect(202)
        });
        for (n, answer) in accepted.iter().enumerate() {
            // Any process knows how far it is.
            let path = format!("/Async/{}", answer.header("set-txn").expect("a transaction"));
            let asked = &scim[n % scim.len()];
            let mut done = asked.get(&path);
            wait("the request is done", || {
                done = asked.get(&path);
                done.status == 200
            });
            let outcomes = done.body["Operations"].as_array().expect("a list");
            assert_eq!(outcomes.len(), OPERATIONS);
            for outcome in outcomes {
                assert_eq!(outcome["status"], "201", "{outcome}");
            }
        }
        assert_eq!(scim[1].get("/Users?count=0").total(), (REQUESTS * OPERATIONS) as u64);
        let told = Consumer::of(&tables::events(&replicas.database.url(), &tenant));
        assert_eq!(told.users.len(), REQUESTS * OPERATIONS);
        assert_eq!(tables::faults(&replicas.database.url()), [""; 0]);
    }
}

mod heavy_request_of_a_killed_process_is_finished_by_another {
    use super::*;

    const OPERATIONS: usize = 1_500;

    /// Waits for the lease of the dead process to end, and for the next look of a living one.
    #[test]
    #[ignore = "takes long; tests/resilience/run"]
    fn postgres() {
        let mut replicas = Replicas::start(2);
        let tenant = tenant(replicas.urls()[0]);
        let scim = replicas.scim(&tenant);
        let operations: Vec<Value> = (0..OPERATIONS)
            .map(|n| {
                let data = user(&format!("u{n}@example.com"));
                json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": data})
            })
            .collect();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": operations,
        });
        let headers = [("Prefer", "respond-async")];
        let accepted = scim[1].send("POST", "/Bulk", &headers, Some(body.to_string())).expect(202);
        let path = format!("/Async/{}", accepted.header("set-txn").expect("a transaction"));
        wait("the request has begun", || {
            scim[0].get(&path).body["operationsDone"].as_u64().is_some_and(|done| done > 0)
        });
        replicas.servers[1].kill();
        let kept = replicas.count("async_result");
        assert!(kept < OPERATIONS, "it was killed in the middle");
        let until = Instant::now() + Duration::from_secs(120);
        while scim[0].get(&path).status != 200 {
            assert!(Instant::now() < until, "nobody goes on");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(scim[0].get("/Users?count=0").total(), OPERATIONS as u64);
        let told = Consumer::of(&tables::events(&replicas.database.url(), &tenant));
        assert_eq!(told.users.len(), OPERATIONS);
        assert_eq!(tables::faults(&replicas.database.url()), [""; 0]);
    }
}

mod policies_and_purges_are_done_once_by_several_processes {
    use super::*;

    const USERS: usize = 120;

    #[test]
    fn postgres() {
        let mut replicas = Replicas::start(3);
        let tenant = tenant(replicas.urls()[0]);
        let scim = replicas.scim(&tenant);
        at_once(&scim, USERS, |scim, n| {
            let mut body = user(&format!("u{n}@example.com"));
            body["active"] = false.into();
            scim.post("/Users", body).expect(201)
        });
        // The process that is told begins, and those that are started meanwhile look for such work first.
        let path = format!("/api/v1/directories/{}", tenant.id);
        replicas.servers[1].kill();
        replicas.servers[2].kill();
        let settings = json!({"settings": {"inactive_users": "delete"}});
        api(replicas.urls()[0]).patch(&path, settings).expect(200);
        replicas.servers[1].again();
        replicas.servers[2].again();
        let url = replicas.database.url();
        let deleted = || {
            let events = tables::events(&url, &tenant);
            events.iter().filter(|(name, _)| name == "dsync.user.deleted").count()
        };
        wait("the app is told of all", || deleted() >= USERS);
        // More would be told to an app that no longer knows them, which the consumer refuses.
        assert!(Consumer::of(&tables::events(&url, &tenant)).users.is_empty());
        assert_eq!(deleted(), USERS);

        let of_tenant = format!(
            "resource WHERE directory_key = (SELECT key FROM directory WHERE id = '{}')",
            tenant.id
        );
        assert_eq!(replicas.count(&of_tenant), USERS);
        replicas.servers[1].kill();
        replicas.servers[2].kill();
        api(replicas.urls()[0]).delete(&path);
        replicas.servers[1].again();
        replicas.servers[2].again();
        let there = format!("directory WHERE id = '{}'", tenant.id);
        wait("the directory is purged", || replicas.count(&there) == 0);
        let left =
            "resource r WHERE NOT EXISTS (SELECT 1 FROM directory d WHERE d.key = r.directory_key)";
        assert_eq!(replicas.count(left), 0);
        for server in &replicas.servers {
            let log = server.log();
            assert!(!log.contains("not purged yet") && !log.contains("ERROR"), "{log}");
        }
    }
}

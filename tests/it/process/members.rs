//! A change of more members than one unit takes outlives the process that began it, on both databases.

use std::process::Command;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, SqliteConnection};
use serde_json::{Value, json};

use super::{Server, first_start};
use crate::support::{Client, Database, group, user};

const MEMBERS: usize = 3_000;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn count(database: &Database, what: &str) -> i64 {
    let query = diesel::sql_query(format!("SELECT COUNT(*) AS n FROM {what}"));
    let url = database.url();
    match url.strip_prefix("sqlite://") {
        Some(file) => {
            let mut conn = SqliteConnection::establish(file).expect("the file opens");
            query.get_result::<Count>(&mut conn).expect("a count").n
        }
        None => {
            let mut conn = PgConnection::establish(&url).expect("the database");
            query.get_result::<Count>(&mut conn).expect("a count").n
        }
    }
}

fn start(database: &Database) -> Server {
    let url = database.url();
    let settings = [("ROLLBOOK_DATABASE_URL", url.as_str()), ("ROLLBOOK_MEMBERS_AT_ONCE", "20")];
    Server::start_with(database.folder.path(), &settings)
}

fn make_users(scim: &Client) -> Vec<String> {
    let mut ids = Vec::new();
    for chunk in 0..MEMBERS / 1_000 {
        let post = |n: usize| {
            let data = user(&format!("user{chunk}-{n}@example.com"));
            json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": data})
        };
        let operations: Vec<Value> = (0..1_000).map(post).collect();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": operations,
        });
        let made = scim.post("/Bulk", body).expect(200);
        let outcomes = made.body["Operations"].as_array().expect("outcomes").iter();
        ids.extend(outcomes.map(|outcome| {
            let location = outcome["location"].as_str().expect("a location");
            location.rsplit('/').next().expect("an id").to_owned()
        }));
    }
    ids
}

/// Kills the server when the number of members is on its way to `goal`.
fn kill_on_the_way(server: Server, database: &Database, goal: std::ops::Range<i64>) {
    let until = Instant::now() + Duration::from_secs(60);
    while !goal.contains(&count(database, "member")) {
        assert!(Instant::now() < until, "the change is not on its way");
        std::thread::yield_now();
    }
    let pid = server.child.id().to_string();
    Command::new("kill").args(["-KILL", &pid]).status().expect("kill");
    drop(server);
    let _ = std::fs::remove_file(database.folder.path().join("data/local.json"));
    assert!(goal.contains(&count(database, "member")), "the server was killed in the middle");
    assert_eq!(count(database, "member_intent"), 1);
}

/// Waits until a start has done what was left.
fn wait_until_nothing_is_left(database: &Database) {
    let until = Instant::now() + Duration::from_secs(100);
    while count(database, "member_intent") > 0 {
        assert!(Instant::now() < until, "the change is not finished");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn killed_server_finishes_large_groups(database: &Database) {
    let server = start(database);
    let [base_url, token, _] = first_start(database.folder.path());
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    let client = |server: &Server| {
        Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json")
    };
    let scim = client(&server);
    let ids = make_users(&scim);
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let body = group("All", &members);

    let create = std::thread::spawn(move || scim.try_post("/Groups", body));
    kill_on_the_way(server, database, 200..2_500);
    assert!(create.join().expect("no panic").is_none(), "nothing was answered");
    let server = start(database);
    wait_until_nothing_is_left(database);
    let scim = client(&server);
    let list = scim.get("/Groups?excludedAttributes=members").expect(200);
    let [id] = &list.ids()[..] else { panic!("one group: {}", list.text) };
    let path_of_group = format!("/Groups/{id}");
    let shown = scim.get(&path_of_group).expect(200);
    assert_eq!(shown.body["members"].as_array().map(Vec::len), Some(MEMBERS));
    assert_eq!(count(database, "event WHERE event = 'dsync.group.user_added'"), 3_000);
    assert_eq!(count(database, "event WHERE event = 'dsync.group.created'"), 1);

    let gone = path_of_group.clone();
    let delete = std::thread::spawn(move || scim.try_send("DELETE", &gone, &[], None));
    kill_on_the_way(server, database, 200..2_900);
    assert!(delete.join().expect("no panic").is_none(), "nothing was answered");
    let server = start(database);
    wait_until_nothing_is_left(database);
    client(&server).get(&path_of_group).expect(404);
    assert_eq!(count(database, "member"), 0);
    assert_eq!(count(database, "event WHERE event = 'dsync.group.deleted'"), 1);
    assert_eq!(count(database, "event WHERE event = 'dsync.group.user_removed'"), 0);
    assert!(server.stop());
}

mod heavy_killed_server_finishes_large_groups {
    use crate::support::Database;

    #[test]
    fn sqlite() {
        super::killed_server_finishes_large_groups(&Database::sqlite());
    }

    #[test]
    fn postgres() {
        super::killed_server_finishes_large_groups(&Database::postgres());
    }
}

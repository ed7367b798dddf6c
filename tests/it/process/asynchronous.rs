//! An asynchronous request outlives the process that accepted it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::{Value, json};

use super::{Server, first_start};
use crate::support::{Client, group, user};

const OPERATIONS: usize = 2_000;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn count(folder: &std::path::Path, text: &str) -> i64 {
    let file = folder.join("data/rollbook.db");
    let mut conn =
        SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("the file opens");
    diesel::sql_query(text).get_result::<Count>(&mut conn).expect("a count").n
}

#[test]
fn heavy_killed_server_goes_on_with_what_it_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path());
    let [base_url, token, _] = first_start(folder.path());
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    let client = |server: &Server| {
        Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json")
    };
    let scim = client(&server);
    let post = |n: usize| {
        let data = user(&format!("user{n}@example.com"));
        json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": data})
    };
    let mut operations: Vec<Value> = (0..OPERATIONS - 1).map(post).collect();
    let members = group("All", &["bulkId:u0", "bulkId:u1000", "bulkId:u1998"]);
    operations.push(json!({"method": "POST", "path": "/Groups", "bulkId": "g", "data": members}));
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    let headers = [("Prefer", "respond-async")];
    let accepted = scim.send("POST", "/Bulk", &headers, Some(body.to_string())).expect(202);
    let completion = format!("/Async/{}", accepted.header("set-txn").expect("a transaction"));
    let done = loop {
        let answer = scim.get(&completion).expect(202);
        if let Some(done @ 1..) = answer.body["operationsDone"].as_u64() {
            break done;
        }
    };
    server.kill();
    let kept = count(folder.path(), "SELECT COUNT(*) AS n FROM async_result");
    assert!(kept >= i64::try_from(done).expect("a number"), "{kept} of {done} are kept");
    assert!(kept < 2_000, "the server was killed in the middle");

    server.again();
    let until = Instant::now() + Duration::from_secs(100);
    let answer = loop {
        let answer = scim.get(&completion);
        if answer.status == 200 {
            break answer;
        }
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert!(Instant::now() < until, "not done: {}", answer.text);
        std::thread::sleep(Duration::from_millis(20));
    };
    let outcomes = answer.body["Operations"].as_array().expect("a list");
    assert_eq!(outcomes.len(), OPERATIONS);
    let mut ids = HashSet::new();
    for (outcome, operation) in outcomes.iter().zip(&operations) {
        assert_eq!(outcome["status"], "201", "{outcome}");
        assert_eq!(outcome["bulkId"], operation["bulkId"]);
        let location = outcome["location"].as_str().expect("a location");
        ids.insert(location.rsplit('/').next().unwrap_or_default().to_owned());
    }
    assert_eq!(ids.len(), OPERATIONS);
    assert_eq!(scim.get("/Users?count=0").total(), 1_999);
    let all = scim.get("/Groups").expect(200);
    assert_eq!(all.body["Resources"][0]["members"].as_array().map(Vec::len), Some(3));
    for id in ids.iter().take(20) {
        let user = format!("id eq \"{id}\"");
        let found = scim.filter("/Users", &user).total() + scim.filter("/Groups", &user).total();
        assert_eq!(found, 1, "{id}");
    }
    assert!(server.stop());
    let events = |name: &str| {
        count(folder.path(), &format!("SELECT COUNT(*) AS n FROM event WHERE event = '{name}'"))
    };
    assert_eq!(events("dsync.user.created"), 1_999);
    assert_eq!(events("dsync.group.created"), 1);
    assert_eq!(events("dsync.group.user_added"), 3);
}

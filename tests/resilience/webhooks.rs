//! Processes that are killed in the middle of deliveries: the receiver gets every event, in order, some of
//! them more than once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::process::Server;
use crate::support::{Database, Delivery, Receiver, Reply, user};
use crate::world::{api, embedded, start_with, tenant, wait};

/// Users that are created, one event each.
const USERS: usize = 1_500;

/// The receiver may be called, and answers within a second.
const SETTINGS: [(&str, &str); 3] = [
    ("ROLLBOOK_OUTBOUND_NETWORKS", "127.0.0.0/8"),
    ("ROLLBOOK_WEBHOOK_TIMEOUT", "1"),
    ("ROLLBOOK_WEBHOOK_RETRY", "50"),
];

/// Each delivery takes a moment, so that a kill comes in the middle of many.
fn receiver() -> Receiver {
    let receiver = Receiver::start();
    receiver.answer(|_| Reply::status(200).after(Duration::from_millis(3)));
    receiver
}

/// Makes the endpoint and the events.
fn write(url: &str, receiver: &Receiver) -> String {
    let body = json!({"endpoint_url": receiver.url, "events": ["dsync.user.created"]});
    let id = api(url).post("/api/v1/webhook_endpoints", body).expect(201).id();
    let scim = tenant(url).scim(url);
    for part in 0..USERS / 100 {
        let operations: Vec<Value> = (0..100)
            .map(|n| {
                let data = user(&format!("u{part}-{n}@example.com"));
                json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": data})
            })
            .collect();
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"];
        scim.post("/Bulk", json!({"schemas": schemas, "Operations": operations})).expect(200);
    }
    id
}

/// What came is the log: complete, and in its order when repetitions are left out. A repetition goes back
/// at most as far as progress was not stored.
fn compare(url: &str, id: &str, receiver: &Receiver) {
    wait("everything is delivered", || {
        let shown = api(url).try_get(&format!("/api/v1/webhook_endpoints/{id}"));
        shown.is_some_and(|shown| shown.body["lag"] == 0)
    });
    let mut expected = Vec::new();
    let mut after = "oldest".to_owned();
    loop {
        let path = format!("/api/v1/events?limit=1000&events=dsync.user.created&after={after}");
        let page = api(url).get(&path).expect(200).body;
        let data = page["data"].as_array().expect("a list").iter();
        expected.extend(data.map(|event| event["id"].as_str().expect("an id").to_owned()));
        if page["more"] != true {
            break;
        }
        after = page["next"].to_string();
    }
    assert_eq!(expected.len(), USERS);
    let got: Vec<String> = receiver.accepted().iter().map(Delivery::id).collect();
    let mut seen = BTreeSet::new();
    let first: Vec<&String> = got.iter().filter(|id| seen.insert(*id)).collect();
    let again = got.len() - first.len();
    println!("{} deliveries, {again} of them again", got.len());
    assert_eq!(first, expected.iter().collect::<Vec<_>>(), "complete and in order");
    assert!(again < USERS / 2, "{again} events came again");
}

mod replica_that_is_killed_in_the_middle_of_deliveries_loses_none {
    use super::*;

    #[test]
    fn postgres() {
        let database = Database::postgres();
        let url = database.url();
        let folders = [0; 2].map(|_| tempfile::tempdir().expect("a folder"));
        let mut servers: Vec<Server> =
            folders.iter().map(|folder| start_with(folder.path(), &url, &SETTINGS)).collect();
        let receiver = receiver();
        let id = write(&servers[0].url, &receiver);
        // Whichever of them delivers, one of these hits it.
        receiver.wait_accepted(200);
        servers[0].kill();
        receiver.wait_accepted(500);
        servers[1].kill();
        servers[0].again();
        receiver.wait_accepted(900);
        servers[1].again();
        compare(&servers[1].url, &id, &receiver);
    }
}

mod server_that_is_killed_in_the_middle_of_deliveries_loses_none {
    use super::*;

    #[test]
    fn sqlite() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = start_with(folder.path(), "", &SETTINGS);
        let receiver = receiver();
        let id = write(&server.url, &receiver);
        for deliveries in [200, 500, 900] {
            receiver.wait_accepted(deliveries);
            server.kill();
            server.again();
        }
        compare(&server.url, &id, &receiver);
        assert_eq!(crate::tables::faults(&embedded(folder.path())), [""; 0]);
    }
}

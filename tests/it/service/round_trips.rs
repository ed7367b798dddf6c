//! What a request sends to PostgreSQL, each a round trip: one where one is enough.

use std::sync::{Mutex, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use serde_json::json;

use crate::support::{Database, TestApp, group, patch, user};

/// Every statement of the process since the last look.
static STATEMENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Hears of every statement of every connection that is opened after it was set.
fn listener() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            STATEMENTS.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }))
}

fn taken() -> Vec<String> {
    std::mem::take(&mut *STATEMENTS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What is sent for a request, but for the begin and the end of transactions. What runs beside requests
/// does not count: records, when somebody was seen (which takes the directory, as a unit does), jobs of the
/// process.
fn sent(request: impl FnOnce()) -> Vec<String> {
    taken();
    request();
    const ABOUT: [&str; 3] = [" resource", " member", "INTO event "];
    const BESIDE: [&str; 5] = [
        "request_record",
        "policy_cursor IS NOT NULL",
        "attribute_faults IS NOT NULL",
        "SELECT state, schema_version",
        "FROM member_intent WHERE created",
    ];
    let mut texts = taken();
    texts.retain(|text| {
        ABOUT.iter().any(|word| text.contains(word))
            && !BESIDE.iter().any(|word| text.contains(word))
    });
    texts
}

/// How often a request is counted. Jobs of the process look for work each second, and what they send beside a
/// request can only make it look dearer: the least is its own.
const ROUNDS: usize = 5;

/// The least that is sent for a request, which is told which round it is.
fn least(request: impl Fn(usize)) -> Vec<String> {
    let rounds = (0..ROUNDS).map(|round| sent(|| request(round)));
    rounds.min_by_key(Vec::len).expect("a round")
}

fn held(what: &str, expected: usize, request: impl Fn(usize)) {
    let texts = least(request);
    assert_eq!(texts.len(), expected, "{what}:\n{}", texts.join("\n"));
}

mod hot_requests_are_one_round_trip {
    use super::*;

    #[test]
    fn postgres() {
        set_default_instrumentation(listener).expect("no other listener");
        let app = TestApp::start(Database::postgres());
        let scim = &app.scim;
        // The first requests read who is asking and prepare what they ask.
        let ben = scim.post("/Users", user("ben@example.com")).expect(201).id();
        let eve = scim.post("/Users", user("eve@example.com")).expect(201).id();
        let inner = scim.post("/Groups", group("inner", &[&eve])).expect(201).id();
        scim.post("/Groups", group("outer", &[&inner])).expect(201);
        scim.get(&format!("/Users/{ben}")).expect(200);

        let made = |round: usize| {
            scim.post("/Users", user(&format!("ada{round}@example.com"))).expect(201).id()
        };
        held("create", 1, |round| {
            made(round);
        });
        held("GET by id", 1, |_| {
            scim.get(&format!("/Users/{ben}")).expect(200);
        });
        held("GET of the row alone", 1, |_| {
            scim.get(&format!("/Users/{ben}?attributes=userName")).expect(200);
        });
        let team = scim.post("/Groups", group("team", &[&ben])).expect(201).id();
        held("GET by id, in a group", 1, |_| {
            let shown = scim.get(&format!("/Users/{ben}")).expect(200);
            assert_eq!(shown.body["groups"][0]["value"], json!(team));
        });
        // The statement finds that a group is in a group; the transaction walks up.
        held("GET by id, in nested groups", 3, |_| {
            let shown = scim.get(&format!("/Users/{eve}")).expect(200);
            assert_eq!(shown.body["groups"].as_array().map(Vec::len), Some(2));
        });
        held("userName eq", 2, |_| {
            let filter = "/Users?filter=userName%20eq%20%22ben@example.com%22";
            assert_eq!(scim.get(filter).expect(200).body["totalResults"], json!(1));
        });
        // However many users are on the page. A list that fits on it is counted by reading it.
        let all = json!(2 + ROUNDS);
        held("a list", 2, |_| {
            assert_eq!(scim.get("/Users").expect(200).body["totalResults"], all);
        });
        held("the first page of a longer list", 3, |_| {
            assert_eq!(scim.get("/Users?count=2").expect(200).body["totalResults"], all);
        });
        let joining: Vec<String> = (ROUNDS..2 * ROUNDS).map(made).collect();
        held("one member more", 7, |round| {
            let member = json!([{"value": joining[round]}]);
            let add = json!([{"op": "add", "path": "members", "value": member}]);
            scim.patch(&format!("/Groups/{team}?attributes=id"), patch(add)).expect(200);
        });
    }
}

/// A create was computed for the directory as it was read, up to five seconds ago.
mod create_by_old_settings_goes_by_the_new_ones {
    use super::*;

    #[test]
    fn postgres() {
        set_default_instrumentation(listener).expect("no other listener");
        let database = Database::postgres();
        let url = database.url();
        let key = Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned());
        let first = TestApp::start_with(database, |config| config.secret_key = key.clone());
        // Its own folder, the other's database.
        let second = TestApp::start_with(Database::sqlite(), |config| {
            config.database_url = Some(url);
            config.secret_key = key;
        });
        let absent = |name: &str| {
            let mut body = user(name);
            body["active"] = json!(false);
            first.scim.post("/Users", body).expect(201);
        };
        absent("eve@example.com");
        held("an inactive user, whom the app sees", 1, |round| {
            absent(&format!("ada{round}@example.com"));
        });
        second.settings(&first.directory, json!({"inactive_users": "delete"}));
        let before = first.event_names(&first.directory).len();
        let texts = sent(|| absent("ben@example.com"));
        assert!(texts.len() > 2, "{}", texts.join("\n"));
        assert_eq!(first.event_names(&first.directory).len(), before, "the app sees nobody");
    }
}

/// What is shown beside the rows of a list is asked for once, not for each of them.
#[test]
fn list_of_directories_asks_once_for_what_all_of_them_have() {
    set_default_instrumentation(listener).expect("no other listener");
    let app = TestApp::start(Database::sqlite());
    for _ in 0..4 {
        app.directory("scim.okta");
    }
    let beside = ["resource_count", "app_count", "organization_domain"];
    let rounds = (0..ROUNDS).map(|_| {
        taken();
        let listed = app.api.get("/directories?limit=100").expect(200);
        let mut texts = taken();
        let rows = listed.body["data"].as_array().map_or(0, Vec::len);
        assert!(rows >= 5, "{}", listed.text);
        texts.retain(|text| beside.iter().any(|table| text.contains(table)));
        texts
    });
    let texts = rounds.min_by_key(Vec::len).expect("a round");
    assert_eq!(texts.len(), beside.len(), "{}", texts.join("\n"));
}

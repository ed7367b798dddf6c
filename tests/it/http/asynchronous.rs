//! `Prefer: respond-async`: what is accepted, what the completion says, and who may read it
//! (RFC 9967 §2.5.1.1, RFC 7240 §4.1, §4.3). How a request survives its process is in
//! `service/asynchronous.rs`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{assert_nothing_stored, create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp, group, patch, user};

on_both_databases![
    each_method_is_accepted_and_its_completion_tells_the_outcome,
    bulk_request_completes_as_a_bulk_response,
    client_that_waits_gets_the_bulk_response_at_once,
    failed_operation_has_its_response,
    condition_of_the_request_counts,
    request_that_makes_no_sense_is_refused_at_once,
    completion_is_for_its_directory_alone,
    read_only_token_reads_completions_and_begins_nothing,
    preference_means_nothing_to_reads,
    service_provider_config_announces_it,
    directory_may_pass_the_preference_over,
    changes_have_their_usual_events,
];

const BULK_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

fn send(scim: &Client, method: &str, path: &str, body: Option<Value>) -> Answer {
    let body = body.map(|body| body.to_string());
    scim.send(method, path, &[("Prefer", "respond-async")], body)
}

fn bulk_of(operations: Value) -> Value {
    json!({"schemas": [BULK_REQUEST], "Operations": operations})
}

/// Checks what an accepted request is answered, and gives the path of its completion.
#[track_caller]
fn accepted(scim: &Client, answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.text, "", "no body");
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    let txn = answer.header("set-txn").expect("a transaction");
    assert!(txn.starts_with("txn_"), "{txn}");
    let path = format!("/Async/{txn}");
    assert_eq!(answer.header("location"), Some(format!("{}{path}", scim.base).as_str()));
    path
}

/// Asks until the request is done.
#[track_caller]
fn completion(scim: &Client, path: &str) -> Answer {
    let until = Instant::now() + Duration::from_secs(60);
    let txn = path.strip_prefix("/Async/").expect("the path of a completion");
    loop {
        let answer = scim.get(path);
        assert_eq!(answer.header("set-txn"), Some(txn));
        match answer.status {
            202 => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!(answer.body["txn"], txn);
                assert_eq!(answer.body["status"], "running");
                assert!(answer.body["operationsDone"].is_u64(), "{}", answer.text);
            }
            status => {
                assert_eq!(status, 200, "{}", answer.text);
                assert_eq!(answer.header("content-type"), Some("application/scim+json"));
                return answer;
            }
        }
        assert!(Instant::now() < until, "not done: {}", answer.text);
        std::thread::yield_now();
    }
}

/// Sends, and gives the outcome.
#[track_caller]
fn outcome(scim: &Client, method: &str, path: &str, body: Option<Value>) -> Value {
    let answer = send(scim, method, path, body);
    completion(scim, &accepted(scim, &answer)).body
}

fn each_method_is_accepted_and_its_completion_tells_the_outcome(app: &TestApp) {
    let scim = &app.scim;
    let created = outcome(scim, "POST", "/users", Some(user("ada@example.com")));
    let location = created["location"].as_str().expect("a location").to_owned();
    let path = location.strip_prefix(&scim.base).expect("a URL of the directory").to_owned();
    assert!(path.starts_with("/Users/directory_user_"), "{path}");
    assert_eq!(
        created,
        json!({"location": location, "method": "POST", "version": "W/\"1\"", "status": "201"})
    );
    assert_eq!(scim.get(&path).expect(200).body["userName"], "ada@example.com");

    let mut body = user("ada@example.com");
    body["title"] = "Lead".into();
    let replaced = outcome(scim, "PUT", &path, Some(body));
    assert_eq!(
        replaced,
        json!({"location": location, "method": "PUT", "version": "W/\"2\"", "status": "200"})
    );
    let operations = json!([{"op": "replace", "path": "active", "value": false}]);
    let patched = outcome(scim, "PATCH", &path, Some(patch(operations)));
    assert_eq!(
        patched,
        json!({"location": location, "method": "PATCH", "version": "W/\"3\"", "status": "200"})
    );
    let shown = scim.get(&path).expect(200).body;
    assert_eq!((&shown["title"], &shown["active"]), (&"Lead".into(), &false.into()));

    let deleted = outcome(scim, "DELETE", &path, None);
    assert_eq!(deleted, json!({"location": location, "method": "DELETE", "status": "204"}));
    scim.get(&path).expect(404);
}

fn bulk_request_completes_as_a_bulk_response(app: &TestApp) {
    let scim = &app.scim;
    let known = create(scim, "/Users", plain_user("known@example.com"));
    let operations = json!([
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": group("G", &["bulkId:u"])},
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": user("ada@example.com")},
        {"method": "POST", "path": "/Users", "bulkId": "bad", "data": {"userName": "KNOWN@example.com"}},
        {"method": "DELETE", "path": format!("/Users/{known}")},
    ]);
    let answer = send(scim, "POST", "/Bulk", Some(bulk_of(operations)));
    let path = accepted(scim, &answer);
    let done = completion(scim, &path).body;
    assert_eq!(done["schemas"], json!([BULK_RESPONSE]));
    let outcomes = done["Operations"].as_array().expect("a list");
    let told = |member: &str| -> Vec<&str> {
        outcomes.iter().map(|outcome| outcome[member].as_str().unwrap_or("")).collect()
    };
    assert_eq!(told("status"), ["201", "201", "409", "204"]);
    assert_eq!(told("bulkId"), ["g", "u", "bad", ""]);
    assert_eq!(outcomes[2]["response"]["scimType"], "uniqueness");
    let shown = scim.get("/Groups").expect(200).body;
    let member = shown["Resources"][0]["members"][0]["value"].as_str().expect("a member");
    assert!(told("location")[1].ends_with(member), "{done}");
    // It can be read again, and asked for without its body.
    assert_eq!(completion(scim, &path).body, done);
    let head = scim.send("HEAD", &path, &[], None).expect(200);
    assert_eq!(head.text, "");
}

fn client_that_waits_gets_the_bulk_response_at_once(app: &TestApp) {
    let operations =
        json!([{"method": "POST", "path": "/Users", "bulkId": "u", "data": user("a@example.com")}]);
    let headers = [("Prefer", "respond-async, wait=30")];
    let body = bulk_of(operations).to_string();
    let answer = app.scim.send("POST", "/Bulk", &headers, Some(body)).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/scim+json"));
    assert_eq!(answer.body["schemas"], json!([BULK_RESPONSE]));
    assert_eq!(answer.body["Operations"][0]["status"], "201");
    // Two header lines are one list. Nobody waits for no time at all.
    let headers = [("Prefer", "wait=0, handling=strict"), ("Prefer", "respond-async")];
    let body = plain_user("b@example.com").to_string();
    let answer = app.scim.send("POST", "/Users", &headers, Some(body));
    let path = accepted(&app.scim, &answer);
    assert_eq!(completion(&app.scim, &path).body["status"], "201");
    // One operation is told of as such, also to a client that waited.
    let headers = [("Prefer", "respond-async, wait=30")];
    let body = plain_user("c@example.com").to_string();
    let answer = app.scim.send("POST", "/Users", &headers, Some(body));
    let path = accepted(&app.scim, &answer);
    assert_eq!(app.scim.get(&path).expect(200).body["status"], "201");
}

fn failed_operation_has_its_response(app: &TestApp) {
    let scim = &app.scim;
    let ada = create(scim, "/Users", plain_user("ada@example.com"));
    let path = format!("/Users/{ada}");
    let group_id = create(scim, "/Groups", group("G", &[]));
    let members = json!([{"op": "add", "path": "members", "value": [{"value": "nobody"}]}]);
    let table = [
        ("POST", "/Users".to_owned(), Some(plain_user("ADA@example.com")), 409, "uniqueness"),
        ("POST", "/Users".to_owned(), Some(json!({"userName": 7})), 400, "invalidValue"),
        ("PUT", "/Users/nobody".to_owned(), Some(plain_user("x@example.com")), 404, ""),
        ("PATCH", path.clone(), Some(patch(json!([]))), 400, "invalidSyntax"),
        ("PATCH", format!("/Groups/{group_id}"), Some(patch(members)), 400, "invalidValue"),
        ("DELETE", "/Users/nobody%2F%C3%A9".to_owned(), None, 404, ""),
    ];
    for (method, path, body, status, word) in table {
        let told = outcome(scim, method, &path, body);
        assert_eq!(told["method"], method);
        assert_eq!(told["status"], status.to_string(), "{told}");
        let response = &told["response"];
        assert_eq!(
            response["schemas"],
            json!(["urn:ietf:params:scim:api:messages:2.0:Error"]),
            "{told}"
        );
        assert_eq!(response["status"], status.to_string(), "{told}");
        assert_eq!(response["scimType"].as_str().unwrap_or(""), word, "{told}");
        assert!(response["detail"].is_string(), "{told}");
        assert!(told.get("bulkId").is_none() && told.get("version").is_none(), "{told}");
    }
}

fn condition_of_the_request_counts(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada@example.com"));
    let path = format!("/Users/{id}");
    let put = |title: &str, conditions: &[&str]| {
        let mut body = plain_user("ada@example.com");
        body["title"] = title.into();
        let mut headers = vec![("Prefer", "respond-async")];
        headers.extend(conditions.iter().map(|condition| ("If-Match", *condition)));
        let answer = app.scim.send("PUT", &path, &headers, Some(body.to_string()));
        let path = accepted(&app.scim, &answer);
        completion(&app.scim, &path).body["status"].as_str().expect("a status").to_owned()
    };
    assert_eq!(put("1", &["W/\"2\""]), "412");
    assert_eq!(put("2", &[""]), "412", "a condition that names nothing does not hold");
    assert_eq!(put("3", &["W/\"7\", W/\"1\""]), "200");
    assert_eq!(put("4", &["W/\"7\"", "W/\"2\""]), "200", "several lines are one list");
    assert_eq!(put("5", &["*"]), "200");
    assert_eq!(put("6", &["W/\"3\""]), "412");
    assert_eq!(app.scim.get(&path).expect(200).body["title"], "5");
}

fn request_that_makes_no_sense_is_refused_at_once(app: &TestApp) {
    let scim = &app.scim;
    let many: Vec<Value> =
        (0..10_001).map(|_| json!({"method": "DELETE", "path": "/Users/1"})).collect();
    let mut unlimited = bulk_of(json!([{"method": "DELETE", "path": "/Users/1"}]));
    unlimited["failOnErrors"] = 0.into();
    let table = [
        ("/Bulk", "{".to_owned(), 400),
        ("/Bulk", json!({"schemas": [BULK_REQUEST]}).to_string(), 400),
        ("/Bulk", bulk_of(json!([])).to_string(), 400),
        ("/Bulk", bulk_of(json!("all")).to_string(), 400),
        ("/Bulk", unlimited.to_string(), 400),
        ("/Users", "[]".to_owned(), 400),
    ];
    for (path, body, status) in table {
        let answer = scim.send("POST", path, &[("Prefer", "respond-async")], Some(body));
        assert_eq!(answer.header("set-txn"), None);
        answer.expect_scim_error(status, Some("invalidSyntax"));
    }
    let answer = send(scim, "POST", "/Bulk", Some(bulk_of(many.into())));
    let detail = answer.expect_scim_error(413, None);
    assert!(detail.contains("10001") && detail.contains("10000"), "{detail}");
    send(scim, "POST", "/Nobodies", Some(json!({}))).expect_scim_error(404, None);
    send(scim, "PUT", "/Bulk", Some(json!({}))).expect_scim_error(405, None);
    send(scim, "PUT", "/Users", Some(json!({}))).expect_scim_error(405, None);
    assert_nothing_stored(app);
}

fn completion_is_for_its_directory_alone(app: &TestApp) {
    let answer = send(&app.scim, "POST", "/Users", Some(plain_user("ada@example.com")));
    let path = accepted(&app.scim, &answer);
    completion(&app.scim, &path);
    let (_, other) = app.directory("scim.generic");
    other.get(&path).expect_scim_error(404, None);
    // The token alone names the directory.
    let mut bare = app.scim.clone();
    bare.base = format!("{}/scim/v2", app.url);
    bare.get(&path).expect(200);
    bare.with_bearer(other.bearer.as_deref()).get(&path).expect_scim_error(404, None);
    app.scim.with_bearer(other.bearer.as_deref()).get(&path).expect_scim_error(403, None);
    app.scim.with_bearer(None).get(&path).expect_scim_error(401, None);
    app.scim.get("/Async/txn_01ARZ3NDEKTSV4RRFFQ69G5FAV").expect_scim_error(404, None);
    app.scim.get("/Async").expect_scim_error(404, None);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let refused = app.scim.send(method, &path, &[], None);
        assert_eq!(refused.header("allow"), Some("GET, HEAD"));
        refused.expect_scim_error(405, None);
    }
}

fn read_only_token_reads_completions_and_begins_nothing(app: &TestApp) {
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&path, json!({"scope": "read"})).expect(201);
    let reader = app.scim.with_bearer(token.body["secret"].as_str());
    let answer = send(&app.scim, "POST", "/Users", Some(plain_user("ada@example.com")));
    let path = accepted(&app.scim, &answer);
    assert_eq!(completion(&reader, &path).body["status"], "201");
    let body = bulk_of(json!([{"method": "DELETE", "path": "/Users/1"}]));
    send(&reader, "POST", "/Bulk", Some(body)).expect_scim_error(403, None);
    send(&reader, "POST", "/Users", Some(plain_user("b@example.com"))).expect_scim_error(403, None);
    assert_eq!(app.scim.get("/Users").total(), 1);
}

fn preference_means_nothing_to_reads(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada@example.com"));
    let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]});
    for (method, path, body) in [
        ("GET", "/Users".to_owned(), None),
        ("GET", format!("/Users/{id}"), None),
        ("GET", "/Schemas".to_owned(), None),
        ("POST", "/Users/.search".to_owned(), Some(search)),
    ] {
        let answer = send(&app.scim, method, &path, body).expect(200);
        assert_eq!(answer.header("preference-applied"), None, "{path}");
    }
    // Other preferences are passed over.
    let headers = [("Prefer", "return=minimal, wait=5")];
    let body = plain_user("ben@example.com").to_string();
    app.scim.send("POST", "/Users", &headers, Some(body)).expect(201);
}

fn service_provider_config_announces_it(app: &TestApp) {
    let uris = [
        "create:notice",
        "create:full",
        "put:notice",
        "put:full",
        "delete",
        "activate",
        "deactivate",
    ]
    .map(|name| format!("urn:ietf:params:scim:event:prov:{name}"));
    let announced = json!({"asyncRequest": "request", "eventUris": uris});
    for scim in [&app.scim, &app.scim.with_bearer(None)] {
        let config = scim.get("/ServiceProviderConfig").expect(200);
        assert_eq!(config.body["securityEvents"], announced);
    }
}

fn directory_may_pass_the_preference_over(app: &TestApp) {
    let answer = send(&app.scim, "POST", "/Users", Some(plain_user("ada@example.com")));
    let path = accepted(&app.scim, &answer);
    completion(&app.scim, &path);
    let settings = json!({"profile": {"async_requests": false}});
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&directory, json!({"settings": settings})).expect(200);
    let answer = send(&app.scim, "POST", "/Users", Some(plain_user("ben@example.com"))).expect(201);
    assert_eq!(answer.body["userName"], "ben@example.com");
    assert_eq!(answer.header("preference-applied"), None);
    let body = bulk_of(json!([{"method": "DELETE", "path": format!("/Users/{}", answer.id())}]));
    let answer = send(&app.scim, "POST", "/Bulk", Some(body)).expect(200);
    assert_eq!(answer.body["schemas"], json!([BULK_RESPONSE]));
    let config = app.scim.get("/ServiceProviderConfig").expect(200);
    assert!(config.body.get("securityEvents").is_none(), "{}", config.text);
    // What was accepted before can still be read.
    completion(&app.scim, &path);
}

fn changes_have_their_usual_events(app: &TestApp) {
    let scim = &app.scim;
    let ada = outcome(scim, "POST", "/Users", Some(user("ada@example.com")));
    let ada = ada["location"].as_str().and_then(|url| url.rsplit('/').next()).expect("an id");
    let operations = json!([
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": group("G", &[ada])},
        {"method": "DELETE", "path": format!("/Users/{ada}")},
    ]);
    outcome(scim, "POST", "/Bulk", Some(bulk_of(operations)));
    assert_eq!(
        app.event_names(&app.directory),
        [
            "dsync.user.created",
            "dsync.group.created",
            "dsync.group.user_added",
            "dsync.group.user_removed",
            "dsync.user.deleted",
        ]
    );
}

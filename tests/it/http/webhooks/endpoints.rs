//! `/webhook_endpoints` at the root, as the public SDKs use it.

use serde_json::json;

use crate::http::{NOW, api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::{Client, TestApp};

on_both_databases![
    endpoint_is_made_listed_changed_and_deleted,
    what_no_endpoint_can_have_is_refused,
    key_needs_the_scope,
    limited_key_has_its_own_endpoints,
    pages_lead_through_the_list,
    same_request_makes_one_endpoint,
];

const PATH: &str = "/webhook_endpoints";
const URL: &str = "https://app.example.com/hooks";

fn endpoint_is_made_listed_changed_and_deleted(app: &TestApp) {
    let events = ["dsync.user.created", "dsync.user.deleted", "dsync.user.created"];
    let body = json!({"endpoint_url": URL, "events": events, "other": "passed over"});
    let made = app.api.post(PATH, body).expect(201);
    let secret = made.body["secret"].as_str().expect("a secret").to_owned();
    let expected = json!({
        "object": "webhook_endpoint",
        "id": made.id(),
        "endpoint_url": URL,
        "secret": secret,
        "status": "enabled",
        "events": ["dsync.user.created", "dsync.user.deleted"],
        "created_at": NOW,
        "updated_at": NOW,
    });
    assert_eq!(made.body, expected);
    assert!(made.id().starts_with("we_") && made.id().len() == 29, "{}", made.id());
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(secret.strip_prefix("whsec_").expect("its prefix"));
    assert_eq!(bytes.expect("base64").len(), 32);

    let listed = app.api.get(PATH).expect(200);
    assert_eq!(
        listed.body,
        json!({"object": "list", "data": [expected], "list_metadata": {"before": null, "after": null}})
    );

    app.clock.advance(std::time::Duration::from_secs(1));
    let one = format!("{PATH}/{}", made.id());
    let change = json!({"status": "disabled", "events": ["dsync.token.created"],
        "endpoint_url": "https://app.example.com/other"});
    let changed = app.api.patch(&one, change).expect(200).body;
    assert_eq!(changed["status"], "disabled");
    assert_eq!(changed["events"], json!(["dsync.token.created"]));
    assert_eq!(changed["endpoint_url"], "https://app.example.com/other");
    assert_eq!(changed["secret"], secret.as_str());
    assert_eq!(changed["created_at"], NOW);
    assert_eq!(changed["updated_at"], "2025-06-15T15:06:41.000Z");
    let enabled = app.api.patch(&one, json!({"status": "enabled"})).expect(200).body;
    assert_eq!(enabled["status"], "enabled");

    assert_eq!(app.api.delete(&one).expect(204).text, "");
    for answer in [app.api.delete(&one), app.api.patch(&one, json!({"status": "enabled"}))] {
        api_error(&answer, 404, "entity_not_found");
    }
    assert_eq!(app.api.get(PATH).expect(200).body["data"], json!([]));
    assert_eq!(app.api.get(&one).status, 405);
}

fn what_no_endpoint_can_have_is_refused(app: &TestApp) {
    let events = json!(["dsync.user.created"]);
    let long = format!("https://app.example.com/{}", "x".repeat(1_100));
    for url in [
        "",
        "hooks",
        "/hooks",
        "ftp://app.example.com/",
        "http://app.example.com/",
        "https://10.0.0.1/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://user:secret@app.example.com/",
        long.as_str(),
    ] {
        let answer = app.api.post(PATH, json!({"endpoint_url": url, "events": events}));
        api_error(&answer, 422, "invalid_url");
        assert_eq!(answer.body["errors"][0]["field"], "endpoint_url", "{}", answer.text);
    }
    for events in [
        json!([]),
        json!(["dsync.user.renamed"]),
        json!(["user.created"]),
        json!(["rollbook."]),
        json!(["rollbook.Alarm"]),
        json!(["dsync.user.created", ""]),
    ] {
        assert_invalid(
            &app.api.post(PATH, json!({"endpoint_url": URL, "events": events})),
            "events",
        );
    }
    for (body, field) in [
        (json!({"events": events}), "endpoint_url"),
        (json!({"endpoint_url": URL}), "events"),
        (json!({"endpoint_url": 1, "events": events}), "endpoint_url"),
        (json!({"endpoint_url": URL, "events": "dsync.user.created"}), "events"),
    ] {
        let answer = app.api.post(PATH, body);
        api_error(&answer, 422, "invalid_request_parameters");
        assert!(
            answer.body["message"].as_str().is_some_and(|m| m.contains(field)),
            "{}",
            answer.text
        );
    }
    let made = app.api.post(PATH, json!({"endpoint_url": URL, "events": events})).expect(201);
    let twice = app.api.post(PATH, json!({"endpoint_url": URL, "events": ["dsync.deleted"]}));
    api_error(&twice, 409, "duplicate_endpoint");
    let other =
        json!({"endpoint_url": "https://app.example.com/2", "events": ["rollbook.alarm.raised"]});
    let other = app.api.post(PATH, other).expect(201);
    let one = format!("{PATH}/{}", other.id());
    api_error(&app.api.patch(&one, json!({"endpoint_url": URL})), 409, "duplicate_endpoint");
    api_error(&app.api.patch(&one, json!({"endpoint_url": "http://x"})), 422, "invalid_url");
    assert_invalid(&app.api.patch(&one, json!({"events": []})), "events");
    assert_invalid(&app.api.patch(&one, json!({"status": "paused"})), "status");
    let listed = app.api.get(PATH).expect(200);
    assert_eq!(listed.body["data"], json!([other.body, made.body]));
}

fn key(app: &TestApp, body: serde_json::Value) -> Client {
    let made = app.api.post("/api/v1/api_keys", body).expect(201);
    app.api.with_bearer(Some(made.body["secret"].as_str().expect("a secret")))
}

fn key_needs_the_scope(app: &TestApp) {
    let body = || json!({"endpoint_url": URL, "events": ["dsync.deleted"]});
    let reader = key(app, json!({"name": "Reader", "scopes": ["read", "ssf.manage"]}));
    let message = api_error(&reader.post(PATH, body()), 403, "forbidden");
    assert!(message.contains("\"webhooks\" or \"manage\""), "{message}");
    api_error(&reader.get(PATH), 403, "forbidden");
    api_error(&reader.get("/api/v1/webhook_endpoints"), 403, "forbidden");
    app.api.with_bearer(None).get(PATH).expect(401);
    for scope in ["webhooks", "manage"] {
        let keeper = key(app, json!({"name": "Keeper", "scopes": [scope]}));
        let made = keeper.post(PATH, body()).expect(201);
        keeper.get(&format!("/api/v1{PATH}/{}", made.id())).expect(200);
        keeper.delete(&format!("{PATH}/{}", made.id())).expect(204);
    }
}

fn limited_key_has_its_own_endpoints(app: &TestApp) {
    let (other, _) = app.directory("scim.generic");
    let ids = [&app.directory.organization_id, &other.organization_id];
    let of = |ids: &[&String]| {
        key(app, json!({"name": "App", "scopes": ["webhooks"], "organization_ids": ids}))
    };
    let (first, second, both) = (of(&ids[..1]), of(&ids[1..]), of(&ids));
    let body = || json!({"endpoint_url": URL, "events": ["dsync.deleted"]});
    // The same address for other organizations is another endpoint.
    let [a, b, c, d] =
        [&first, &second, &both, &app.api].map(|client| client.post(PATH, body()).expect(201).id());
    api_error(&first.post(PATH, body()), 409, "duplicate_endpoint");
    let listed = |client: &Client| {
        let page = client.get(PATH).expect(200).body;
        let ids = page["data"].as_array().expect("a list").iter();
        ids.map(|each| each["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&first), std::slice::from_ref(&a));
    assert_eq!(listed(&second), std::slice::from_ref(&b));
    assert_eq!(listed(&both), [c.clone(), b.clone(), a.clone()]);
    assert_eq!(listed(&app.api), [d.clone(), c.clone(), b.clone(), a.clone()]);
    for id in [&b, &c, &d] {
        api_error(&first.delete(&format!("{PATH}/{id}")), 404, "entity_not_found");
        api_error(&first.get(&format!("/api/v1{PATH}/{id}")), 404, "entity_not_found");
    }
    let native = app.api.get(&format!("/api/v1{PATH}/{c}")).expect(200).body;
    let mut sorted = ids.map(String::from);
    sorted.sort();
    assert_eq!(native["organization_ids"], json!(sorted));
    both.delete(&format!("{PATH}/{a}")).expect(204);
}

fn pages_lead_through_the_list(app: &TestApp) {
    let ids: Vec<String> = (0..5)
        .map(|n| {
            let body = json!({"endpoint_url": format!("{URL}/{n}"), "events": ["dsync.deleted"]});
            app.api.post(PATH, body).expect(201).id()
        })
        .collect();
    let mut walked = Vec::new();
    let mut after = String::new();
    loop {
        let page = app.api.get(&format!("{PATH}?limit=2&after={after}")).expect(200).body;
        let data = page["data"].as_array().expect("a list").iter();
        walked.extend(data.map(|each| each["id"].as_str().expect("an id").to_owned()));
        match page["list_metadata"]["after"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    let newest: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(walked, newest);
    let rising = app.api.get(&format!("{PATH}?order=asc&limit=1")).expect(200);
    assert_eq!(rising.body["data"][0]["id"], ids[0].as_str());
    assert_invalid(&app.api.get(&format!("{PATH}?after=event_1")), "after");
    let native = app.api.get(&format!("/api/v1{PATH}?limit=2&after={}", ids[3])).expect(200).body;
    assert_eq!(native["data"][0]["id"], ids[2].as_str());
    assert_eq!(native["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(native["list_metadata"]["after"], ids[1].as_str());
    let back = app.api.get(&format!("/api/v1{PATH}?limit=2&before={}", ids[1])).expect(200).body;
    assert_eq!(back["data"][0]["id"], ids[3].as_str());
}

fn same_request_makes_one_endpoint(app: &TestApp) {
    let body = json!({"endpoint_url": URL, "events": ["dsync.deleted"]}).to_string();
    let key = [("Idempotency-Key", "once")];
    let [first, again] = [0, 1].map(|_| app.api.send("POST", PATH, &key, Some(body.clone())));
    assert_eq!(first.clone().expect(201).body, again.expect(201).body);
    assert_eq!(app.api.get(PATH).expect(200).body["data"], json!([first.body]));
}

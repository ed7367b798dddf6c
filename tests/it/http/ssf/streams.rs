//! `/.well-known/ssf-configuration` and streams: made, changed, replaced, removed; what is refused; whose
//! they are.

use serde_json::{Value, json};

use super::{
    CAEP, POLL, PROV, PUSH, RISC, STATUS, STREAMS, person, poll, polled, receiver_key, set_active,
    stream, uris,
};
use crate::support::TestApp;

with_streams![
    stream_is_made_changed_replaced_and_removed,
    what_a_receiver_must_not_say_is_refused,
    key_sees_its_own_organizations_alone_also_after_a_stream_is_narrowed,
    stream_ends_with_the_last_of_its_organizations,
    subject_that_was_taken_out_is_told_of_no_more,
    paused_stream_keeps_what_happens_and_a_disabled_one_does_not,
];

fn stream_is_made_changed_replaced_and_removed(app: &TestApp) {
    let open = app.api.with_bearer(None);
    let known = open.get("/.well-known/ssf-configuration").expect(200).body;
    let url = &app.url;
    assert_eq!(
        known,
        json!({
            "spec_version": "1_0", "issuer": url, "jwks_uri": format!("{url}/jwks.json"),
            "delivery_methods_supported": [PUSH, POLL],
            "configuration_endpoint": format!("{url}/ssf/streams"),
            "status_endpoint": format!("{url}/ssf/status"),
            "add_subject_endpoint": format!("{url}/ssf/subjects/add"),
            "remove_subject_endpoint": format!("{url}/ssf/subjects/remove"),
            "verification_endpoint": format!("{url}/ssf/verify"),
            "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6750"}],
            "default_subjects": "ALL",
        })
    );
    // The issuer has no path.
    open.get("/.well-known/ssf-configuration/other").expect(404);
    // No key is made before somebody needs one.
    assert_eq!(open.get("/jwks.json").expect(200).body, json!({"keys": []}));

    let purged = format!("{RISC}/account-purged");
    let wanted = json!({
        "delivery": {"method": PUSH, "endpoint_url": "https://app.example.com/sets",
            "authorization_header": "Bearer abc"},
        "events_requested": [purged, "urn:example:unknown"], "description": "App",
    });
    let again = [("Idempotency-Key", "one")];
    let make = || app.api.send("POST", STREAMS, &again, Some(wanted.to_string())).expect(201).body;
    let made = make();
    assert_eq!(make(), made, "a request that was sent again is carried out once");
    let id = made["stream_id"].as_str().expect("an id").to_owned();
    assert_eq!(
        (&made["iss"], &made["aud"]),
        (&json!(url), &json!(format!("{url}/ssf/streams/{id}")))
    );
    // The header is a secret of the receiver's.
    let pushed = json!({"method": PUSH, "endpoint_url": "https://app.example.com/sets"});
    assert_eq!(made["delivery"], pushed);
    assert_eq!(made["events_requested"], json!([purged, "urn:example:unknown"]));
    assert_eq!(made["events_delivered"], json!([purged]));
    assert_eq!(
        (&made["subject_format"], &made["organization_ids"]),
        (&json!("iss_sub"), &Value::Null)
    );
    let one = format!("{STREAMS}?stream_id={id}");
    assert_eq!(app.api.get(&one).expect(200).body, made);
    assert_eq!(app.api.get(STREAMS).expect(200).body, json!([made]));

    // What was answered may be sent back.
    let mut change = made.clone();
    change["description"] = Value::Null;
    let changed = app.api.patch(STREAMS, change).expect(200).body;
    assert_eq!((changed.get("description"), &changed["delivery"]), (None, &pushed));
    assert_eq!(changed["events_requested"], made["events_requested"]);

    let replaced = app.api.put(STREAMS, json!({"stream_id": id})).expect(200).body;
    let own = format!("{url}/ssf/streams/{id}/poll");
    assert_eq!(replaced["delivery"], json!({"method": POLL, "endpoint_url": own}));
    assert!(replaced.get("events_requested").is_none());
    let by_default = replaced["events_delivered"].as_array().expect("events");
    assert_eq!(by_default.len(), 10);
    assert!(!by_default.iter().any(|uri| uri.as_str().is_some_and(|uri| uri.ends_with(":full"))));

    app.api.delete(&one).expect(204);
    for answer in [
        app.api.get(&one),
        app.api.delete(&one),
        app.api.patch(STREAMS, json!({"stream_id": id})),
        app.api.get(&format!("{STATUS}?stream_id={id}")),
        app.api.post("/ssf/verify", json!({"stream_id": id})),
        app.api.post(&format!("{STREAMS}/{id}/poll"), json!({})),
    ] {
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("entity_not_found")));
    }
}

fn what_a_receiver_must_not_say_is_refused(app: &TestApp) {
    let id = polled(app, &[]);
    let streams = |body: Value| app.api.post(STREAMS, body);
    let change = |mut body: Value| {
        body["stream_id"] = json!(id);
        app.api.patch(STREAMS, body)
    };
    let push = |url: &str, header: &str| json!({"delivery": {"method": PUSH, "endpoint_url": url, "authorization_header": header}});
    for (answer, field) in [
        (streams(json!({"delivery": {"method": "email"}})), "delivery.method"),
        (streams(json!({"delivery": {"method": PUSH}})), "delivery.endpoint_url"),
        (streams(push("not a url", "")), "delivery.endpoint_url"),
        (streams(push("https://10.0.0.1/sets", "")), "delivery.endpoint_url"),
        (streams(push("https://a.example.com/", "a\r\nb: c")), "delivery.authorization_header"),
        (
            streams(
                json!({"delivery": {"method": POLL, "endpoint_url": "https://a.example.com/"}}),
            ),
            "delivery.endpoint_url",
        ),
        (streams(json!({"events_requested": "all"})), "events_requested"),
        (streams(json!({"events_requested": vec!["e"; 101]})), "events_requested"),
        (streams(json!({"subject_format": "phone_number"})), "subject_format"),
        (streams(json!({"description": "x".repeat(501)})), "description"),
        (streams(json!({"organization_ids": []})), "organization_ids"),
        (streams(json!({"organization_ids": ["org_none"]})), "organization_ids"),
        (change(json!({"organization_ids": ["org_none"]})), "organization_ids"),
        (change(json!({"iss": "https://other.example.com"})), "iss"),
        (change(json!({"events_delivered": ["x"]})), "events_delivered"),
        (change(json!({"min_verification_interval": 0})), "min_verification_interval"),
        (app.api.patch(STREAMS, json!({"description": "x"})), "stream_id"),
        (app.api.get(STATUS), "stream_id"),
        (app.api.post(STATUS, json!({"stream_id": id, "status": "off"})), "status"),
        (
            app.api.post("/ssf/verify", json!({"stream_id": id, "state": "x".repeat(1_025)})),
            "state",
        ),
        (
            app.api.post(
                "/ssf/subjects/remove",
                json!({"stream_id": id, "subject": {"format": "opaque", "id": "x"}}),
            ),
            "subject.format",
        ),
        (app.api.post(&format!("{STREAMS}/{id}/poll"), json!({"maxEvents": -1})), "maxEvents"),
        (app.api.post(&format!("{STREAMS}/{id}/poll"), json!({"ack": vec!["x"; 1_001]})), "ack"),
    ] {
        assert_eq!(answer.status, 400, "{field}: {}", answer.text);
        let message = answer.body["message"].as_str().expect("a sentence");
        assert!(message.contains(&format!("\"{field}\"")), "{field}: {message}");
    }
    assert_eq!(streams(json!({"description": "a\u{0}b"})).status, 422);
    // One that is pushed has nothing to poll.
    let pushed = stream(app, &app.api, push("https://app.example.com/", "x"));
    let answer = app.api.post(&format!("{STREAMS}/{pushed}/poll"), json!({}));
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!("not_polled")));
    for _ in 2..10 {
        streams(json!({})).expect(201);
    }
    let answer = streams(json!({}));
    assert_eq!((answer.status, &answer.body["code"]), (409, &json!("too_many_streams")));
    let reader = json!({"name": "R", "scopes": ["read", "manage", "webhooks"]});
    let reader = app.api.post("/api/v1/api_keys", reader).expect(201).body;
    app.api.with_bearer(reader["secret"].as_str()).get(STREAMS).expect(403);
    app.api.with_bearer(None).get(STREAMS).expect(401);
}

fn key_sees_its_own_organizations_alone_also_after_a_stream_is_narrowed(app: &TestApp) {
    let (other, other_scim) = app.directory("scim.generic");
    let (mine, theirs) = (&app.directory.organization_id, &other.organization_id);
    let limited = receiver_key(app, json!([mine]));
    let wide = polled(app, &[format!("{PROV}:delete")]);
    let own = stream(app, &limited, json!({}));
    let seen = limited.get(STREAMS).expect(200).body;
    assert_eq!(seen.as_array().map(Vec::len), Some(1));
    assert_eq!(seen[0]["organization_ids"], json!([mine]));
    for path in [format!("{STREAMS}?stream_id={wide}"), format!("{STATUS}?stream_id={wide}")] {
        limited.get(&path).expect(404);
    }
    limited.post(&format!("{STREAMS}/{wide}/poll"), json!({})).expect(404);
    for body in [json!([theirs]), json!([mine, theirs]), json!([format!("{mine},{theirs}")])] {
        limited.post(STREAMS, json!({"organization_ids": body})).expect(400);
        limited.patch(STREAMS, json!({"stream_id": own, "organization_ids": body})).expect(400);
    }
    // Null is for all that the key may see.
    let all = json!({"stream_id": own, "organization_ids": null});
    let all = limited.patch(STREAMS, all).expect(200).body;
    assert_eq!(all["organization_ids"], json!([mine]));

    let (ada, bea) = (person(&app.scim, "ada@example.com"), person(&other_scim, "bea@example.com"));
    set_active(&other_scim, &bea, false);
    assert_eq!(poll(app, &own, json!({})).len(), 1, "ada was created");
    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    other_scim.delete(&format!("/Users/{bea}")).expect(204);
    assert_eq!(poll(app, &wide, json!({})).len(), 2);
    // What waits is that of the organizations of now.
    let narrow = json!({"stream_id": wide, "organization_ids": [mine]});
    app.api.patch(STREAMS, narrow).expect(200);
    let left = poll(app, &wide, json!({}));
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["sub_id"]["uri"], format!("/Users/{ada}"));
    limited.get(&format!("{STREAMS}?stream_id={wide}")).expect(200);
}

fn stream_ends_with_the_last_of_its_organizations(app: &TestApp) {
    let organization =
        |name: &str| app.api.post("/api/v1/organizations", json!({"name": name})).expect(201).id();
    let (first, second) = (organization("First"), organization("Second"));
    let only = stream(app, &app.api, json!({"organization_ids": [first]}));
    let both = stream(app, &app.api, json!({"organization_ids": [first, second]}));
    let all = stream(app, &app.api, json!({}));
    app.api.delete(&format!("/api/v1/organizations/{first}")).expect(204);
    let shown = |id: &str| app.api.get(&format!("{STREAMS}?stream_id={id}"));
    shown(&only).expect(404);
    assert_eq!(shown(&both).expect(200).body["organization_ids"], json!([second]));
    assert_eq!(shown(&all).expect(200).body["organization_ids"], Value::Null);
}

fn subject_that_was_taken_out_is_told_of_no_more(app: &TestApp) {
    let id = polled(app, &[format!("{CAEP}/session-revoked")]);
    let (ada, bea) = (person(&app.scim, "ada@example.com"), person(&app.scim, "bea@example.com"));
    let cleo = person(&app.scim, "cleo@example.com");
    let by_id = json!({"format": "iss_sub", "iss": app.url, "sub": ada});
    let by_email = json!({"format": "email", "email": "BEA@example.com"});
    for subject in [&by_id, &by_email] {
        let body = json!({"stream_id": id, "subject": subject});
        app.api.post("/ssf/subjects/remove", body).expect(204);
    }
    for person in [&ada, &bea, &cleo] {
        set_active(&app.scim, person, false);
    }
    let told = poll(app, &id, json!({}));
    assert_eq!(told.iter().map(|set| &set["sub_id"]["sub"]).collect::<Vec<_>>(), [&json!(cleo)]);
    app.api.post("/ssf/subjects/add", json!({"stream_id": id, "subject": by_id})).expect(200);
    assert_eq!(poll(app, &id, json!({})).len(), 2);
    let elsewhere = json!({"format": "iss_sub", "iss": "https://other.example.com", "sub": ada});
    let body = json!({"stream_id": id, "subject": elsewhere});
    app.api.post("/ssf/subjects/add", body).expect(400);
}

fn paused_stream_keeps_what_happens_and_a_disabled_one_does_not(app: &TestApp) {
    let id = polled(app, &[format!("{PROV}:delete")]);
    let set = |status: &str| {
        let body = json!({"stream_id": id, "status": status, "reason": "maintenance"});
        let answer = app.api.post(STATUS, body).expect(200).body;
        assert_eq!((&answer["status"], &answer["reason"]), (&json!(status), &json!("maintenance")));
    };
    let leaves = |name: &str| {
        let id = person(&app.scim, name);
        app.scim.delete(&format!("/Users/{id}")).expect(204);
        app.settle_events();
    };
    set("paused");
    leaves("ada@example.com");
    assert!(poll(app, &id, json!({})).is_empty());
    set("enabled");
    let kept = poll(app, &id, json!({}));
    assert_eq!(uris(&kept), [format!("{PROV}:delete")]);
    set("disabled");
    leaves("bea@example.com");
    set("enabled");
    assert!(poll(app, &id, json!({})).is_empty());
    leaves("cleo@example.com");
    assert_eq!(poll(app, &id, json!({})).len(), 1);
}

//! What happens to users, as a receiver that polls learns of it (RFC 8936).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    CAEP, PROV, RISC, STATUS, STREAMS, ids, person, poll, polled, receiver_key, set_active, status,
    stream, uris, verified,
};
use crate::support::TestApp;

with_streams![
    leaver_yields_one_token_of_each_kind_with_a_common_transaction,
    token_is_served_until_it_is_acknowledged_or_reported,
    who_comes_back_or_loses_a_role_is_told_of,
    whole_resources_are_sent_on_request_alone_and_never_with_what_is_never_returned,
    receiver_that_waits_gets_what_happens_and_verifications,
];

fn leaver_yields_one_token_of_each_kind_with_a_common_transaction(app: &TestApp) {
    let id = stream(app, &app.api, json!({}));
    let email = stream(
        app,
        &app.api,
        json!({"events_requested": [format!("{CAEP}/session-revoked")], "subject_format": "email"}),
    );
    let mut user = crate::support::user("ada@example.com");
    user["externalId"] = json!("e-1");
    let ada = app.scim.post("/Users", user).expect(201).id();
    let created = poll(app, &id, json!({}));
    assert_eq!(uris(&created), [format!("{PROV}:create:notice")]);
    poll(app, &id, json!({"ack": ids(&created)}));

    set_active(&app.scim, &ada, false);
    let sets = poll(app, &id, json!({}));
    let expected = [
        format!("{CAEP}/session-revoked"),
        format!("{RISC}/account-disabled"),
        format!("{PROV}:deactivate"),
    ];
    assert_eq!(uris(&sets), expected);
    let transactions: BTreeSet<&str> =
        sets.iter().map(|set| set["txn"].as_str().expect("a transaction")).collect();
    assert_eq!(transactions.len(), 1);
    assert_eq!(ids(&sets).into_iter().collect::<BTreeSet<_>>().len(), 3);
    for set in &sets {
        assert_eq!(set["aud"], format!("{}/ssf/streams/{id}", app.url));
        assert_eq!(set["iat"], 1_750_000_000);
    }
    let revoked = &sets[0]["events"][&expected[0]];
    assert_eq!(revoked["event_timestamp"], 1_750_000_000);
    assert_eq!(
        revoked["reason_admin"],
        json!({"en": "The identity provider has deactivated the account."})
    );
    let account = json!({"format": "iss_sub", "iss": app.url, "sub": ada});
    assert_eq!((&sets[0]["sub_id"], &sets[1]["sub_id"]), (&account, &account));
    let resource = json!({"format": "scim", "uri": format!("/Users/{ada}"), "externalId": "e-1"});
    assert_eq!(sets[2]["sub_id"], resource);
    poll(app, &id, json!({"ack": ids(&sets)}));

    app.scim.delete(&format!("/Users/{ada}")).expect(204);
    let sets = poll(app, &id, json!({}));
    let expected = [
        format!("{CAEP}/session-revoked"),
        format!("{RISC}/account-purged"),
        format!("{PROV}:delete"),
    ];
    assert_eq!(uris(&sets), expected);
    assert!(sets.iter().all(|set| set["txn"] == sets[0]["txn"]));
    assert_ne!(sets[0]["txn"].as_str(), transactions.first().copied());

    // Another stream got what it asked for, under ids of its own.
    let others = poll(app, &email, json!({}));
    assert_eq!(uris(&others), [&expected[0][..], &expected[0]]);
    assert_eq!(others[1]["txn"], sets[0]["txn"]);
    assert_ne!(others[1]["jti"], sets[0]["jti"]);
    assert_eq!(others[0]["sub_id"], json!({"format": "email", "email": "ada@example.com"}));
}

fn token_is_served_until_it_is_acknowledged_or_reported(app: &TestApp) {
    let id = stream(app, &app.api, json!({}));
    let ada = person(&app.scim, "ada@example.com");
    set_active(&app.scim, &ada, false);
    let all = ids(&poll(app, &id, json!({})));
    assert_eq!(all.len(), 4);
    assert_eq!(ids(&poll(app, &id, json!({}))), all, "nothing was acknowledged");
    let two = poll(app, &id, json!({"maxEvents": 2}));
    assert_eq!(ids(&two), all[..2]);
    // In any order; twice; and ids that nobody knows.
    let left = ids(&poll(app, &id, json!({"ack": [all[2], all[2], "unknown"]})));
    assert_eq!(left, [&all[0], &all[1], &all[3]].map(Clone::clone));
    let only = json!({"ack": [all[0]], "maxEvents": 0});
    assert!(poll(app, &id, only).is_empty());
    let more = |body| {
        let answer = app.api.post(&format!("{STREAMS}/{id}/poll"), body).expect(200).body;
        answer["moreAvailable"] == true
    };
    assert!(more(json!({"maxEvents": 0})) && !more(json!({})));
    assert_eq!(
        ids(&poll(app, &id, json!({}))),
        all[1..2].iter().chain(&all[3..]).cloned().collect::<Vec<_>>()
    );
    let wrong =
        json!({"setErrs": {&all[1]: {"err": "invalid_request", "description": "no such user"}}});
    assert_eq!(ids(&poll(app, &id, wrong)), all[3..]);
    let shown = status(app, &id);
    assert_eq!(shown["refused"], 1);
    assert_eq!(shown["last_refusal"]["jti"], all[1]);
    assert_eq!(shown["last_refusal"]["description"], "no such user");
    assert!(poll(app, &id, json!({"ack": [all[3]]})).is_empty());
    let shown = status(app, &id);
    assert_eq!((&shown["lag"], &shown["last_success_at"]), (&json!(0), &json!(crate::http::NOW)));
    assert!(poll(app, &id, json!({"ack": all})).is_empty(), "once more does no harm");
    let metrics = app.api.get("/metrics").expect(200).text;
    for line in [
        "rollbook_ssf_sets_total{method=\"poll\",outcome=\"acknowledged\"} 3",
        "rollbook_ssf_sets_total{method=\"poll\",outcome=\"refused\"} 1",
        "rollbook_ssf_seconds_count 3",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

fn who_comes_back_or_loses_a_role_is_told_of(app: &TestApp) {
    let ada = person(&app.scim, "ada@example.com");
    let group = json!({"displayName": "Admins", "members": [{"value": ada}]});
    let group = app.scim.post("/Groups", group).expect(201).id();
    let map = json!({"default_role": "guest", "rules": [{"role": "admin", "group": group}]});
    let path = format!("/api/v1/directories/{}/role_map", app.directory.id);
    app.api.put(&path, map).expect(200);
    let service = std::sync::Arc::clone(app.service());
    app.wait(async move { service.apply_mappings().await }).expect("maps are applied");
    set_active(&app.scim, &ada, false);
    let id = stream(app, &app.api, json!({}));
    set_active(&app.scim, &ada, true);
    let sets = poll(app, &id, json!({}));
    assert_eq!(uris(&sets), [format!("{RISC}/account-enabled"), format!("{PROV}:activate")]);
    poll(app, &id, json!({"ack": ids(&sets)}));
    let out = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "remove", "path": format!("members[value eq \"{ada}\"]")}],
    });
    app.scim.patch(&format!("/Groups/{group}"), out).expect(200);
    let sets = poll(app, &id, json!({}));
    assert_eq!(uris(&sets), [format!("{CAEP}/token-claims-change")]);
    let payload = &sets[0]["events"][format!("{CAEP}/token-claims-change")];
    assert_eq!(payload["claims"], json!({"role": "guest", "roles": ["guest"]}));
    assert_eq!(payload["reason_admin"], json!({"en": "The account has lost a role."}));
}

fn whole_resources_are_sent_on_request_alone_and_never_with_what_is_never_returned(app: &TestApp) {
    const BADGE: &str = "urn:example:params:scim:schemas:extension:Badge";
    let schemas = json!({
        "schemas": [{"id": BADGE, "attributes": [
            {"name": "hat"}, {"name": "pin", "returned": "never"}]}],
        "resource_types": [{"name": "User", "schemaExtensions": [{"schema": BADGE}]}],
    });
    app.api.put(&format!("/api/v1/directories/{}/schemas", app.directory.id), schemas).expect(200);
    let full = [format!("{PROV}:create:full"), format!("{PROV}:put:full")];
    let whole = polled(app, &full);
    let notice = polled(app, &[]);
    let by_default = stream(app, &app.api, json!({}));
    let mut user = crate::support::user("ada@example.com");
    user[BADGE] = json!({"hat": "red", "pin": "pin-1234"});
    user["unknownThing"] = json!("thing-1234");
    user["password"] = json!("password-1234");
    let ada = app.scim.post("/Users", user.clone()).expect(201).id();
    user["title"] = json!("Lead");
    user[BADGE] = json!({"hat": "blue", "pin": "pin-1234"});
    app.scim.put(&format!("/Users/{ada}"), user).expect(200);
    let sets = poll(app, &whole, json!({}));
    assert_eq!(uris(&sets), full);
    let data = &sets[1]["events"][&full[1]]["data"];
    assert_eq!(data["title"], "Lead");
    assert_eq!((&data["id"], &data["active"]), (&json!(ada), &json!(true)));
    assert_eq!(data[BADGE], json!({"hat": "blue"}));
    assert_eq!(data["schemas"].as_array().map(Vec::len), Some(2));
    let text = json!(sets).to_string();
    for secret in ["pin-1234", "thing-1234", "password-1234"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(poll(app, &notice, json!({})).is_empty(), "a stream may ask for nothing");
    let sets = poll(app, &by_default, json!({}));
    assert_eq!(uris(&sets), [format!("{PROV}:create:notice"), format!("{PROV}:put:notice")]);
    let changed = &sets[1]["events"][format!("{PROV}:put:notice")];
    assert_eq!(changed["attributes"], json!([format!("{BADGE}:hat"), "title"]));
}

fn receiver_that_waits_gets_what_happens_and_verifications(app: &TestApp) {
    let id = polled(app, &[format!("{PROV}:create:notice")]);
    let waits = |change: &dyn Fn()| -> Vec<Value> {
        let client = app.api.clone();
        let path = format!("{STREAMS}/{id}/poll");
        let waiting = std::thread::spawn(move || client.post(&path, json!({})));
        change();
        let answer = waiting.join().expect("an answer").expect(200).body;
        let sets = answer["sets"].as_object().expect("sets").values();
        sets.map(|token| verified(app, token.as_str().expect("a token"))).collect()
    };
    let sets = waits(&|| {
        person(&app.scim, "ada@example.com");
    });
    assert_eq!(uris(&sets), [format!("{PROV}:create:notice")]);
    poll(app, &id, json!({"ack": ids(&sets)}));

    let ask = |state: &str| app.api.post("/ssf/verify", json!({"stream_id": id, "state": state}));
    let sets = waits(&|| {
        ask("nonce-1").expect(204);
    });
    let uri = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    assert_eq!(uris(&sets), [uri]);
    assert_eq!(sets[0]["events"][uri], json!({"state": "nonce-1"}));
    assert_eq!(sets[0]["sub_id"], json!({"format": "opaque", "id": id}));
    let answer = ask("nonce-2");
    assert_eq!((answer.status, &answer.body["code"]), (429, &json!("too_many_requests")));
    assert_eq!(ids(&poll(app, &id, json!({}))), ids(&sets));
    assert!(poll(app, &id, json!({"ack": ids(&sets)})).is_empty());
    // A stream that is paused answers once it goes on.
    let set = |status: &str| {
        app.api.post(STATUS, json!({"stream_id": id, "status": status})).expect(200);
    };
    set("paused");
    person(&app.scim, "bob@example.com");
    app.settle_events();
    assert!(poll(app, &id, json!({})).is_empty());
    let sets = waits(&|| set("enabled"));
    assert_eq!(uris(&sets), [format!("{PROV}:create:notice")]);
    // A key that reaches another organization alone does not even see it.
    let (other, _) = app.directory("scim.generic");
    let stranger = receiver_key(app, json!([other.organization_id]));
    stranger.post("/ssf/verify", json!({"stream_id": id})).expect(404);
}

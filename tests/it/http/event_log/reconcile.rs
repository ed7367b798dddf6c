//! `POST /api/v1/directories/{id}/reconcile`: hashes in, differences out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::data;
use crate::http::assert_invalid;
use crate::on_both_databases;
use crate::support::{Answer, Consumer, TestApp, group, patch, user};

on_both_databases![
    consumer_of_the_events_has_the_hashes_of_the_server,
    differences_are_told_and_nothing_else,
    large_directories_are_compared_in_parts,
    stretches_leave_the_others_alone,
    too_many_hashes_are_refused,
    directory_that_goes_is_compared_no_more,
];

/// The hash as the documentation says it: members sorted, no `updated_at`, no spaces.
fn hash(object: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let members: BTreeMap<&String, &Value> = members.iter().collect();
                let members =
                    members.into_iter().map(|(name, value)| (name.clone(), sorted(value)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            Value::Array(elements) => elements.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    let mut object = sorted(object);
    object.as_object_mut().expect("an object").remove("updated_at");
    let digest = Sha256::digest(object.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hashes that a reader of the events has.
fn hashes(app: &TestApp) -> BTreeMap<String, String> {
    let consumer = Consumer::of(&app.events(&app.directory));
    let mut hashes = BTreeMap::new();
    for (id, user) in &consumer.users {
        let mut user = user.clone();
        let groups = consumer.members.iter().filter(|(_, member)| member == id);
        user["groups"] = groups.map(|(group, _)| json!(group)).collect();
        hashes.insert(id.clone(), hash(&user));
    }
    hashes.extend(consumer.groups.iter().map(|(id, group)| (id.clone(), hash(group))));
    hashes
}

fn reconcile(app: &TestApp, body: Value) -> Answer {
    let path = format!("/api/v1/directories/{}/reconcile", app.directory.id);
    app.api.post(&path, body)
}

fn fill(app: &TestApp) -> Vec<String> {
    let scim = &app.scim;
    let ids: Vec<String> = (0..5)
        .map(|n| {
            let mut body = user(&format!("u{n}@example.com"));
            body["badge"] = json!({"number": 1.50, "2": n, "a": 2.0});
            scim.post("/Users", body).expect(201).id()
        })
        .collect();
    scim.post("/Groups", group("All", &ids.iter().map(String::as_str).collect::<Vec<_>>()))
        .expect(201);
    scim.post("/Groups", group("Some", &[&ids[0], &ids[2]])).expect(201);
    let ops = json!([{"op": "add", "path": "title", "value": "Lead"}]);
    app.clock.advance(std::time::Duration::from_secs(5));
    scim.patch(&format!("/Users/{}", ids[1]), patch(ops)).expect(200);
    // No event tells of a password.
    let ops = json!([{"op": "add", "path": "password", "value": "correct horse battery"}]);
    app.clock.advance(std::time::Duration::from_secs(5));
    scim.patch(&format!("/Users/{}", ids[3]), patch(ops)).expect(200);
    app.settle_events();
    ids
}

fn consumer_of_the_events_has_the_hashes_of_the_server(app: &TestApp) {
    fill(app);
    let answer = reconcile(app, json!({"objects": hashes(app)})).expect(200);
    let end = app.api.get("/api/v1/events?after=newest").expect(200).body["next"].clone();
    assert_eq!(answer.body, json!({"data": [], "gone": [], "next": null, "position": end}));
}

fn differences_are_told_and_nothing_else(app: &TestApp) {
    let ids = fill(app);
    let before = hashes(app);
    app.scim.delete(&format!("/Users/{}", ids[0])).expect(204);
    let new = app.scim.post("/Users", user("new@example.com")).expect(201).id();
    let ops = json!([{"op": "replace", "path": "displayName", "value": "Renamed"}]);
    let some = before.keys().filter(|id| id.starts_with("directory_group_")).nth(1);
    let some = some.expect("a group").clone();
    app.scim.patch(&format!("/Groups/{some}"), patch(ops)).expect(200);
    app.settle_events();
    let answer = reconcile(app, json!({"objects": before})).expect(200);
    assert_eq!(answer.body["gone"], json!([ids[0]]));
    let now = hashes(app);
    let told = data(&answer);
    let changed: Vec<&str> = told.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(changed, [some.as_str(), new.as_str()]);
    for one in told {
        assert_eq!(one["hash"], now[one["id"].as_str().expect("an id")]);
        assert_eq!(one["hash"], hash(&one["object"]));
    }
    assert_eq!(told[0]["object"]["name"], "Renamed");
}

fn large_directories_are_compared_in_parts(app: &TestApp) {
    for n in 0..620 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
    }
    app.settle_events();
    let (mut found, mut after, mut rounds) = (Vec::new(), Value::Null, 0);
    loop {
        let answer = reconcile(app, json!({"objects": {}, "after": after})).expect(200);
        found.extend(data(&answer).clone());
        rounds += 1;
        after = answer.body["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!((found.len(), rounds), (620, 2));
    let ids: Vec<&str> = found.iter().filter_map(|one| one["id"].as_str()).collect();
    assert!(ids.is_sorted());
}

fn stretches_leave_the_others_alone(app: &TestApp) {
    fill(app);
    let all = hashes(app);
    let ids: Vec<&String> = all.keys().collect();
    let (from, to) = (ids[1], ids[4]);
    let wanted = json!({"objects": {ids[2].as_str(): "x", ids[3].as_str(): all[ids[3]]},
        "after": from, "until": to});
    let answer = reconcile(app, wanted).expect(200);
    let changed: Vec<&str> = data(&answer).iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(changed, [ids[2].as_str(), ids[4].as_str()]);
    let gone =
        json!({"objects": {"directory_user_zzz": "x", "directory_a": "y"}, "until": "directory_b"});
    let answer = reconcile(app, gone).expect(200);
    assert_eq!((&answer.body["gone"], &answer.body["data"]), (&json!(["directory_a"]), &json!([])));
}

fn too_many_hashes_are_refused(app: &TestApp) {
    let many: Map<String, Value> =
        (0..5_001).map(|n| (format!("directory_user_{n}"), json!("x"))).collect();
    assert_invalid(&reconcile(app, json!({"objects": many})), "objects");
    let none = reconcile(app, json!({})).expect(422);
    assert!(none.body["message"].as_str().expect("a message").contains("objects"));
}

fn directory_that_goes_is_compared_no_more(app: &TestApp) {
    fill(app);
    app.api.delete(&format!("/api/v1/directories/{}", app.directory.id)).expect(202);
    let answer = reconcile(app, json!({"objects": {}})).expect(404);
    assert!(!answer.text.contains("example.com"), "{}", answer.text);
}

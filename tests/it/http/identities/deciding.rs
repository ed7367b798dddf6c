//! Suggestions are accepted, rejected and taken back; aliases are confirmed.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Company, steady};
use crate::on_both_databases;
use crate::support::{Consumer, TestApp, encode};

on_both_databases![
    accepted_suggestion_merges_and_undo_restores,
    rejected_suggestion_is_made_no_more,
    decisions_are_taken_back_in_their_order,
    undo_is_bounded_by_what_is_there,
    merged_person_is_who_the_primary_directory_knows,
    undo_leaves_each_what_the_primary_directory_has_said,
    undo_outlives_the_directory_of_the_suggestion,
    undo_takes_along_who_came_since,
    account_is_taken_out_of_a_person,
    alias_links_whoever_arrives_with_it,
    aliases_are_checked,
];

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn names(company: &Company<'_>) -> Vec<String> {
    company.told().into_iter().map(|(name, _)| name).collect()
}

/// Applying the events gives what is shown.
fn assert_told(company: &Company<'_>) {
    let consumer = Consumer::of(&company.told());
    let plain = |one: &Value| steady(one.clone());
    let told: Vec<Value> = consumer.identities.values().rev().map(plain).collect();
    let shown: Vec<Value> = company.list("identities").iter().map(plain).collect();
    assert_eq!(told, shown);
}

fn accepted_suggestion_merges_and_undo_restores(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let ada = offices[0].hire("Ada Lane", "a@example.com");
    let lane = offices[1].hire("Ada Lane", "b@example.com");
    let third = offices[2].hire("third", "b@example.com");
    let before = (steady(company.of(&ada)), steady(company.of(&lane)));
    let id = company.decide_only("accept");
    let one = company.of(&ada);
    assert_eq!(one["id"], before.0["id"], "the older one stays");
    assert!(company.are_one(&ada, &lane) && company.are_one(&ada, &third));
    assert_eq!(one["accounts"][1]["linked_by"], "suggestion");
    let merged = before.1["id"].as_str().expect("an id");
    let path = format!("{}/identities/{merged}", company.path);
    let shown = app.api.get(&path).expect(200).body;
    assert_eq!((&shown["state"], &shown["merged_into"]), (&json!("merged"), &one["id"]));
    let (name, data) = company.told().pop().expect("an event");
    assert_eq!(
        (name.as_str(), &data["merged_identity_id"]),
        ("rollbook.identity.merged", &before.1["id"])
    );
    assert_told(&company);
    let decided = company.list("identity_suggestions?state=accepted");
    assert_eq!((&decided[0]["id"], decided.len()), (&json!(id), 1));
    assert!(decided[0]["decided_at"].is_string());
    assert_eq!(company.decide(&id, "accept", 409)["code"], "suggestion_decided");
    assert_eq!(company.decide(&id, "reject", 409)["code"], "suggestion_decided");
    company.decide(&id, "undo", 200);
    assert_eq!((steady(company.of(&ada)), steady(company.of(&lane))), before);
    let (name, data) = company.told().pop().expect("an event");
    assert_eq!(name, "rollbook.identity.unmerged");
    assert_eq!(steady(data["unmerged_identity"].clone()), before.1);
    assert_told(&company);
    assert_eq!(company.decide(&id, "undo", 409)["code"], "suggestion_open");
    company.decide(&id, "accept", 200);
    assert!(company.are_one(&ada, &lane));
}

fn rejected_suggestion_is_made_no_more(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let ada = offices[0].hire("Ada Lane", "a@example.com");
    let lane = offices[1].hire("Ada Lane", "b@example.com");
    let id = company.decide_only("reject");
    assert!(company.suggestions().is_empty());
    assert_eq!(company.list("identity_suggestions?state=rejected")[0]["id"], json!(id));
    // What suggested it comes again.
    offices[1].set(&lane, "name.formatted", json!("Somebody"));
    offices[1].set(&lane, "name.formatted", json!("Ada Lane"));
    assert!(company.suggestions().is_empty());
    // Nor from the other side, nor because of an alias, nor for whoever the other one has become.
    offices[0].set(&ada, "name.formatted", json!("Somebody"));
    offices[0].set(&ada, "name.formatted", json!("Ada Lane"));
    let aliases = format!("{}/identities/{}/aliases", company.path, text(&company.of(&ada)["id"]));
    app.api.post(&aliases, json!({"email": "b@example.com"})).expect(201);
    assert!(company.suggestions().is_empty());
    let third = offices[1].hire("third", "c@elsewhere.test");
    offices[0].set(&ada, "emails", json!([{"value": "c@elsewhere.test", "primary": true}]));
    let merged = company.decide_only("accept");
    offices[1].set(&lane, "name.formatted", json!("third"));
    assert!(company.are_one(&ada, &third) && company.suggestions().is_empty());
    company.decide(&merged, "undo", 200);
    company.decide(&merged, "reject", 200);
    company.decide(&id, "undo", 200);
    assert_eq!(company.suggestions().len(), 1);
    assert!(!company.are_one(&ada, &lane));
    let refused = app.api.get(&format!("{}/identity_suggestions?state=old", company.path));
    assert!(refused.expect(422).text.contains("rejected"));
}

fn decisions_are_taken_back_in_their_order(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let users: Vec<String> = offices
        .iter()
        .enumerate()
        .map(|(n, office)| office.hire("Ada Lane", &format!("a{n}@example.com")))
        .collect();
    let open = company.list("identity_suggestions");
    let of = |user: &str, other: &Value| {
        let found = open
            .iter()
            .find(|row| row["account"]["user_id"] == user && row["identity_id"] == *other);
        found.expect("a suggestion")["id"].as_str().expect("an id").to_owned()
    };
    let identities: Vec<Value> = users.iter().map(|user| company.of(user)["id"].clone()).collect();
    // The third into the second, both into the first.
    let inner = of(&users[2], &identities[1]);
    let outer = of(&users[1], &identities[0]);
    company.decide(&inner, "accept", 200);
    company.decide(&outer, "accept", 200);
    assert_eq!(company.of(&users[2])["id"], identities[0]);
    let moot = of(&users[2], &identities[0]);
    assert_eq!(company.decide(&moot, "accept", 409)["code"], "already_merged");
    assert_eq!(company.decide(&inner, "undo", 409)["code"], "superseded");
    company.decide(&outer, "undo", 200);
    assert_eq!(company.of(&users[2])["id"], identities[1]);
    company.decide(&inner, "undo", 200);
    for (user, identity) in users.iter().zip(&identities) {
        assert_eq!(company.of(user)["id"], *identity);
    }
    assert_told(&company);
}

fn undo_is_bounded_by_what_is_there(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    // What is left of the other one comes back alone, and the one that stayed ends.
    let ada = offices[0].hire("Ada Lane", "a@example.com");
    let lane = offices[1].hire("Ada Lane", "b@example.com");
    let id = company.decide_only("accept");
    offices[0].dismiss(&ada);
    company.decide(&id, "undo", 200);
    assert_eq!(company.list("identities").len(), 1);
    assert_eq!(company.of(&lane)["accounts"].as_array().map(Vec::len), Some(1));
    let last: Vec<String> = names(&company).into_iter().rev().take(2).collect();
    assert_eq!(last, ["rollbook.identity.ended", "rollbook.identity.unmerged"]);
    assert_told(&company);
    // Nothing is left to take back.
    let ben = offices[0].hire("Ben Moor", "c@example.com");
    let moor = offices[1].hire("Ben Moor", "d@example.com");
    let id = company.decide_only("accept");
    offices[1].dismiss(&moor);
    assert_eq!(company.decide(&id, "undo", 409)["code"], "nothing_to_undo");
    assert_eq!(company.of(&ben)["accounts"].as_array().map(Vec::len), Some(1));
    // Open suggestions go with the account, and with the identity.
    let cara = offices[0].hire("Cara", "e@example.com");
    let also = offices[1].hire("Cara", "f@example.com");
    assert_eq!(company.suggestions().len(), 1);
    offices[1].dismiss(&also);
    assert!(company.suggestions().is_empty());
    offices[1].hire("Cara", "f@example.com");
    assert_eq!(company.suggestions().len(), 1);
    offices[0].dismiss(&cara);
    assert!(company.suggestions().is_empty());
    company.decide("identity_suggestion_1", "accept", 404);
    // Also those that lead to it by another one.
    let dora = offices[0].hire("Dora", "g@example.com");
    let also = offices[1].hire("Dora", "h@example.com");
    company.decide_only("accept");
    let third = offices[1].hire("third", "i@example.com");
    offices[1].set(&third, "name.formatted", json!("Dora"));
    assert_eq!(company.suggestions().len(), 1);
    offices[0].dismiss(&dora);
    assert_eq!(company.suggestions().len(), 1, "the other account is there");
    offices[1].dismiss(&also);
    assert!(company.suggestions().is_empty());
}

fn merged_person_is_who_the_primary_directory_knows(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    company.primary(Some(&offices[0]));
    let lane = offices[1].hire("lane", "a@example.com");
    let ada = offices[0].hire("ada", "a@example.com");
    offices[0].set(&ada, "title", json!("Lead"));
    let id = company.decide_only("accept");
    assert_eq!(company.of(&lane)["title"], "Lead");
    offices[0].set(&ada, "active", json!(false));
    assert_eq!(company.of(&lane)["state"], "inactive");
    assert_eq!(company.list("orphaned_access")[0]["user_id"], lane.as_str());
    company.decide(&id, "undo", 200);
    assert_eq!(company.of(&lane)["state"], "active");
    assert_eq!(company.list("orphaned_access"), Vec::<Value>::new());
    assert_told(&company);
}

fn undo_leaves_each_what_the_primary_directory_has_said(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let t = offices[2].hire("Ada Lane", "t@example.com");
    let p = offices[0].hire("Ada Lane", "x@example.com");
    let y = offices[1].hire("y", "x@example.com");
    let id = company.decide_only("accept");
    // The primary directory deletes the one of whom was suggested that they are the same.
    company.primary(Some(&offices[0]));
    offices[0].dismiss(&p);
    assert_eq!(company.of(&t)["state"], "inactive");
    assert_eq!(company.list("orphaned_access").len(), 2);
    let undone = company.decide(&id, "undo", 200);
    assert_eq!(undone["account"]["user_id"], y.as_str(), "the other one that was moved");
    assert_eq!(undone["account"]["identity_id"], company.of(&y)["id"]);
    assert_eq!(
        (&company.of(&y)["state"], &company.of(&t)["state"]),
        (&json!("inactive"), &json!("active"))
    );
    assert_eq!(company.list("orphaned_access")[0]["user_id"], y.as_str());
    assert_told(&company);
    // Whom it deletes of the other one stays gone as well.
    company.decide(&id, "accept", 200);
    let q = offices[0].hire("q", "t@example.com");
    let suggested = company.list("identity_suggestions").into_iter();
    let of_q = suggested.filter(|row| row["account"]["user_id"] == q.as_str()).collect::<Vec<_>>();
    company.decide(text(&of_q[0]["id"]), "accept", 200);
    offices[0].dismiss(&q);
    assert_eq!(company.of(&t)["state"], "inactive");
}

fn undo_outlives_the_directory_of_the_suggestion(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let b = offices[2].hire("Ada Lane", "b@example.com");
    let x = offices[0].hire("Ada Lane", "a@example.com");
    let z = offices[1].hire("z", "a@example.com");
    let own = company.of(&x)["id"].clone();
    let id = company.decide_only("accept");
    app.api.delete(&format!("/api/v1/directories/{}", offices[0].id)).expect(202);
    app.purge();
    assert!(company.are_one(&b, &z));
    company.decide(&id, "undo", 200);
    assert_eq!(company.of(&z)["id"], own);
    assert!(!company.are_one(&b, &z));
    assert_told(&company);
    app.api.delete(&format!("/api/v1/directories/{}", offices[1].id)).expect(202);
    app.purge();
    assert_eq!(company.list("identities").len(), 1);
}

fn undo_takes_along_who_came_since(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let lane = offices[1].hire("Ada Lane", "b@example.com");
    let ada = offices[0].hire("Ada Lane", "x@example.com");
    let path = format!("{}/identities/{}/aliases", company.path, text(&company.of(&ada)["id"]));
    app.api.post(&path, json!({"email": "private@elsewhere.test"})).expect(201);
    app.clock.advance(Duration::from_secs(1));
    let id = company.decide_only("accept");
    let fresh = offices[2].hire("fresh", "x@example.com");
    let private = offices[2].hire("private", "private@elsewhere.test");
    let theirs = offices[2].hire("theirs", "b@example.com");
    assert!(company.are_one(&fresh, &lane) && company.are_one(&private, &lane));
    company.decide(&id, "undo", 200);
    assert!(company.are_one(&fresh, &ada) && company.are_one(&private, &ada));
    assert!(!company.are_one(&ada, &lane));
    // Two of one directory are never matched, so this one was a person of its own.
    assert!(!company.are_one(&theirs, &lane) && !company.are_one(&theirs, &ada));
    assert_told(&company);
}

fn account_is_taken_out_of_a_person(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let users: Vec<String> =
        offices.iter().map(|office| office.hire("ada", "a@example.com")).collect();
    let one = company.of(&users[0]);
    let path = |user: &str| {
        format!("{}/identities/{}/accounts/{user}/unlink", company.path, text(&one["id"]))
    };
    let own = app.api.post(&path(&users[1]), json!({})).expect(200).body;
    assert_eq!(own, company.of(&users[1]));
    assert_eq!(
        (&own["state"], &own["accounts"][0]["linked_by"]),
        (&json!("active"), &json!("first"))
    );
    assert!(company.are_one(&users[0], &users[2]));
    let last: Vec<String> = names(&company).into_iter().rev().take(2).collect();
    assert_eq!(last, ["rollbook.identity.created", "rollbook.identity.updated"]);
    // That they are not the same is a decision, which may be taken back.
    assert!(company.suggestions().is_empty());
    offices[1].set(&users[1], "name.formatted", json!("Somebody"));
    offices[1].set(&users[1], "name.formatted", json!("ada"));
    assert!(company.suggestions().is_empty());
    let rejected = company.list("identity_suggestions?state=rejected");
    assert_eq!((&rejected[0]["reason"], rejected.len()), (&json!("unlink"), 1));
    company.decide(text(&rejected[0]["id"]), "undo", 200);
    company.decide_only("accept");
    assert!(company.are_one(&users[0], &users[1]));
    assert_told(&company);
    app.api.post(&path("directory_user_1"), json!({})).expect(404);
    for user in &users[1..] {
        app.api.post(&path(user), json!({})).expect(200);
    }
    let refused = app.api.post(&path(&users[0]), json!({})).expect(409);
    assert_eq!(refused.body["code"], "only_account");
    // What an accepted suggestion had moved is no part of its undo any more.
    let decided = company.list("identity_suggestions?state=accepted");
    assert_eq!(decided, Vec::<Value>::new());
    let metrics = app.api.get("/metrics").expect(200).text;
    assert!(metrics.contains("rollbook_identity_decisions_total{decision=\"unlink\"} 3"));
}

fn alias_links_whoever_arrives_with_it(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 3);
    let ada = offices[0].hire("ada", "a@example.com");
    let early = offices[1].hire("early", "private@elsewhere.test");
    let identity = company.of(&ada)["id"].as_str().expect("an id").to_owned();
    let aliases = format!("{}/identities/{identity}/aliases", company.path);
    let made = app.api.post(&aliases, json!({"email": " Private@Elsewhere.test"})).expect(201).body;
    assert_eq!(
        (&made["email"], &made["identity_id"]),
        (&json!("Private@Elsewhere.test"), &json!(identity))
    );
    // Whoever is there already is somebody's account; that is suggested.
    assert!(!company.are_one(&ada, &early));
    assert_eq!(company.suggestions(), [(early.clone(), identity.clone(), "alias".to_owned())]);
    let late = offices[2].hire("late", "private@elsewhere.TEST");
    assert!(company.are_one(&ada, &late));
    assert_eq!(company.of(&late)["accounts"][1]["linked_by"], "alias");
    let listed = app.api.get(&aliases).expect(200).body;
    assert_eq!(listed["data"], json!([made]));
    // The same again is no other one.
    app.api.post(&aliases, json!({"email": "private@elsewhere.test"})).expect(201);
    let one = format!("{aliases}/{}", encode("PRIVATE@elsewhere.test"));
    app.api.delete(&one).expect(204);
    app.api.delete(&one).expect(404);
    assert!(company.are_one(&ada, &late), "links stay");
    let later = offices[2].hire("later", "private@elsewhere.test");
    assert!(!company.are_one(&ada, &later));
    // An alias of one who was merged leads to the one who stayed.
    let other = company.of(&early)["id"].as_str().expect("an id").to_owned();
    let path = format!("{}/identities/{other}/aliases", company.path);
    app.api.post(&path, json!({"email": "e@elsewhere.test"})).expect(201);
    let row = company.list("identity_suggestions").into_iter().find(|row| {
        row["account"]["user_id"] == early.as_str() && row["identity_id"] == identity.as_str()
    });
    let id = row.expect("a suggestion")["id"].as_str().expect("an id").to_owned();
    company.decide(&id, "accept", 200);
    let last = offices[2].hire("last", "e@elsewhere.test");
    assert!(company.are_one(&ada, &last));
    // It is shown there, and deleted there.
    assert_eq!(app.api.get(&aliases).expect(200).body["data"][0]["email"], "e@elsewhere.test");
    app.api.post(&aliases, json!({"email": "e@elsewhere.test"})).expect(201);
    app.api.delete(&format!("{aliases}/e%40elsewhere.test")).expect(204);
    assert_eq!(app.api.get(&aliases).expect(200).body["data"], json!([]));
}

fn aliases_are_checked(app: &TestApp) {
    let (company, offices) = Company::keeping(app, 2);
    let ada = offices[0].hire("Ada Lane", "a@example.com");
    let lane = offices[1].hire("Ada Lane", "b@example.com");
    let path = |user: &str| {
        let id = company.of(user)["id"].as_str().expect("an id").to_owned();
        format!("{}/identities/{id}/aliases", company.path)
    };
    let (first, second) = (path(&ada), path(&lane));
    for wrong in ["", "ada", "@example.com", "ada@", "a b@example.com", "a\u{7}@example.com"] {
        let refused = app.api.post(&first, json!({"email": wrong})).expect(422);
        assert_eq!(refused.body["errors"][0]["field"], "email", "{wrong}");
    }
    let long = format!("{}@example.com", "a".repeat(600));
    app.api.post(&first, json!({"email": long})).expect(422);
    app.api.post(&first, json!({"email": "x@example.com"})).expect(201);
    let taken = app.api.post(&second, json!({"email": "X@example.com"})).expect(409);
    assert_eq!(taken.body["code"], "alias_in_use");
    assert!(taken.text.contains(text(&company.of(&ada)["id"])), "it says whose: {}", taken.text);
    company.decide_only("accept");
    let merged = app.api.post(&second, json!({"email": "y@example.com"})).expect(409);
    assert_eq!(merged.body["code"], "identity_merged");
    offices[0].dismiss(&ada);
    offices[1].dismiss(&lane);
    let ended = app.api.post(&first, json!({"email": "y@example.com"})).expect(409);
    assert_eq!(ended.body["code"], "identity_ended");
}

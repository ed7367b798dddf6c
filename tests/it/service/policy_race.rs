//! Users come and go for the app while their memberships change, and no event is ever impossible.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{Answer, Client, Consumer, TestApp, group, patch};

on_both_databases![
    heavy_events_stay_possible_whatever_happens_at_once,
    groups_that_swap_users_do_not_wait_for_each_other,
];

const USERS: usize = 6;
const GROUPS: usize = 4;
const ROUNDS: usize = 60;

/// A sequence of numbers that looks random and is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % n
    }
}

fn fine(answer: &Answer) {
    assert!(answer.status < 500, "{} {}", answer.status, answer.text);
}

/// Everything of a list by id.
fn all(scim: &Client, path: &str) -> BTreeMap<String, Value> {
    let answer = scim.get(&format!("{path}?count=1000")).expect(200);
    let resources = answer.body["Resources"].as_array().cloned().unwrap_or_default();
    resources.into_iter().map(|r| (r["id"].as_str().expect("an id").to_owned(), r)).collect()
}

/// The app sees the users that SCIM has, with or without the inactive ones.
fn assert_seen(app: &TestApp, with_inactive: bool) {
    let consumer = Consumer::of(&app.events(&app.directory));
    let users = all(&app.scim, "/Users");
    let state = |user: &Value| if user["active"] == true { "active" } else { "inactive" };
    let expected: BTreeMap<&str, &str> = users
        .iter()
        .map(|(id, user)| (id.as_str(), state(user)))
        .filter(|(_, state)| with_inactive || *state == "active")
        .collect();
    let seen: BTreeMap<&str, &str> = consumer
        .users
        .iter()
        .map(|(id, user)| (id.as_str(), user["state"].as_str().expect("a state")))
        .collect();
    assert_eq!(seen, expected);
    let mut members = BTreeSet::new();
    for (id, group) in all(&app.scim, "/Groups") {
        for member in group["members"].as_array().into_iter().flatten() {
            let user = member["value"].as_str().expect("an id").to_owned();
            if expected.contains_key(user.as_str()) {
                members.insert((id.clone(), user));
            }
        }
    }
    assert_eq!(consumer.members, members);
}

fn heavy_events_stay_possible_whatever_happens_at_once(app: &TestApp) {
    let hiding = json!({"inactive_users": "delete", "suspend_when_groupless": "1m"});
    app.settings(&app.directory, hiding.clone());
    let users: Vec<String> = (0..USERS)
        .map(|n| app.scim.post("/Users", user(&format!("u{n}"))).expect(201).id())
        .collect();
    let groups: Vec<String> = (0..GROUPS)
        .map(|n| app.scim.post("/Groups", group(&format!("g{n}"), &[])).expect(201).id())
        .collect();
    std::thread::scope(|scope| {
        for worker in 0..3_u64 {
            let (scim, users, groups) = (app.scim.clone(), &users, &groups);
            scope.spawn(move || {
                let mut dice = Dice(worker);
                for _ in 0..ROUNDS {
                    let path = format!("/Users/{}", users[dice.below(USERS)]);
                    let active = dice.below(2) == 0;
                    let op = json!([{"op": "replace", "path": "active", "value": active}]);
                    fine(&scim.patch(&path, patch(op)));
                    let listed = [&users[dice.below(USERS)], &users[dice.below(USERS)]];
                    let value: Vec<Value> = listed.iter().map(|id| json!({"value": id})).collect();
                    let op = ["add", "remove", "replace"][dice.below(3)];
                    let op = json!([{"op": op, "path": "members", "value": value}]);
                    fine(
                        &scim.patch(&format!("/Groups/{}", groups[dice.below(GROUPS)]), patch(op)),
                    );
                }
            });
        }
        let (scim, users) = (app.scim.clone(), &users);
        scope.spawn(move || {
            for n in 0..ROUNDS / 2 {
                // One who comes, joins and goes, with a name that was used before.
                let made = scim.post("/Users", user(&format!("guest{}", n % 2)));
                fine(&made);
                let id = made.expect(201).id();
                let team = scim.post("/Groups", group("Guests", &[&id, &users[n % USERS]]));
                fine(&team);
                fine(&scim.delete(&format!("/Users/{id}")));
                fine(&scim.delete(&format!("/Groups/{}", team.id())));
            }
        });
        scope.spawn(|| {
            for n in 0..ROUNDS / 6 {
                app.clock.advance(Duration::from_secs(40));
                app.apply_policies();
                let settings = match n % 3 {
                    0 => json!({"strip_groups_when_inactive": true, "delete": "deactivate"}),
                    1 => json!({"grace_period": "1m", "suspend_when_groupless": "1m"}),
                    _ => hiding.clone(),
                };
                app.settings(&app.directory, settings);
            }
        });
    });
    app.settings(&app.directory, json!({"inactive_users": "delete"}));
    assert_seen(app, false);
    app.settings(&app.directory, json!({}));
    assert_seen(app, true);
}

fn user(name: &str) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name})
}

fn groups_that_swap_users_do_not_wait_for_each_other(app: &TestApp) {
    app.settings(&app.directory, json!({"suspend_when_groupless": "1d"}));
    let make = |side: &str| -> Vec<String> {
        let users = (0..20).map(|n| app.scim.post("/Users", user(&format!("{side}{n}"))));
        users.map(|made| made.expect(201).id()).collect()
    };
    let sides = [make("a"), make("b")];
    let list = |side: usize| -> Vec<&str> { sides[side].iter().map(String::as_str).collect() };
    let groups: Vec<String> = (0..2)
        .map(|n| app.scim.post("/Groups", group(&format!("g{n}"), &list(n))).expect(201).id())
        .collect();
    for round in 1..20 {
        std::thread::scope(|scope| {
            for (n, id) in groups.iter().enumerate() {
                let (scim, body) = (app.scim.clone(), group("g", &list((n + round) % 2)));
                scope.spawn(move || scim.put(&format!("/Groups/{id}"), body).expect(200));
            }
        });
    }
    // A unit that the database ends because of a deadlock runs again.
    let metrics = app.api.get("/metrics").expect(200).text;
    assert!(metrics.contains("rollbook_store_retries_total 0\n"), "{metrics}");
}

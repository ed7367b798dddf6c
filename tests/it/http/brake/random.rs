//! Whatever happens before, while and after a directory is held: the app that reads events knows what there
//! is, and what was taken away is there again after an undo.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{assert_app_knows_what_there_is, brake, consumer, path, shown, tight};
use crate::http::plain_user;
use crate::on_both_databases;
use crate::support::{TestApp, group, patch};

on_both_databases![
    random_changes_are_released_or_undone,
    writers_at_once_are_held_and_released,
    writers_at_once_are_held_and_undone,
];

/// A sequence of numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

/// What the identity provider has made and not deleted.
#[derive(Default)]
struct Made {
    users: Vec<String>,
    groups: Vec<String>,
    number: usize,
}

impl Made {
    fn name(&mut self, what: &str) -> String {
        self.number += 1;
        format!("{what}{}", self.number)
    }

    fn some(&self, dice: &mut Dice) -> Vec<&str> {
        self.users.iter().filter(|_| dice.roll(3) == 0).map(String::as_str).collect()
    }

    /// One request of an identity provider.
    fn step(&mut self, app: &TestApp, dice: &mut Dice) {
        let scim = &app.scim;
        if self.users.len() < 3 || dice.roll(6) == 0 {
            let name = self.name("u");
            self.users.push(scim.post("/Users", plain_user(&name)).expect(201).id());
            return;
        }
        if self.groups.is_empty() || dice.roll(12) == 0 {
            let name = self.name("g");
            let body = group(&name, &self.some(dice));
            self.groups.push(scim.post("/Groups", body).expect(201).id());
            return;
        }
        let user = dice.roll(self.users.len());
        let id = self.users[user].clone();
        let team = dice.roll(self.groups.len());
        let (of_user, of_group) =
            (format!("/Users/{id}"), format!("/Groups/{}", self.groups[team]));
        let change = |path: &str, operation: Value| {
            scim.patch(path, patch(json!([operation]))).expect(200);
        };
        match dice.roll(9) {
            0 | 1 => {
                let active = dice.roll(3) == 0;
                change(&of_user, json!({"op": "replace", "path": "active", "value": active}));
            }
            2 => {
                scim.delete(&of_user).expect(204);
                self.users.remove(user);
            }
            3 => {
                let title = self.name("t");
                change(&of_user, json!({"op": "replace", "path": "title", "value": title}));
            }
            4 => {
                scim.delete(&of_group).expect(204);
                self.groups.remove(team);
            }
            5 | 6 => {
                change(
                    &of_group,
                    json!({"op": "add", "path": "members", "value": [{"value": id}]}),
                );
            }
            7 => {
                let gone = format!("members[value eq \"{id}\"]");
                change(&of_group, json!({"op": "remove", "path": gone}));
            }
            _ => {
                let name = self.name("g");
                scim.put(&of_group, group(&name, &self.some(dice))).expect(200);
            }
        }
    }
}

/// Active users, groups, and memberships as (group, user).
type Known = (BTreeSet<String>, BTreeSet<String>, BTreeSet<(String, String)>);

/// What an app knows, without users who are inactive.
fn known(app: &TestApp) -> Known {
    let known = consumer(app);
    let active = known.users.iter().filter(|(_, user)| user["state"] == "active");
    (active.map(|(id, _)| id.clone()).collect(), known.groups.into_keys().collect(), known.members)
}

fn random_changes_are_released_or_undone(app: &TestApp) {
    let mut made = Made::default();
    let policies = [
        json!({}),
        json!({"inactive_users": "delete"}),
        json!({"delete": "deactivate"}),
        json!({"strip_groups_when_inactive": true, "suspend_when_groupless": "1d"}),
    ];
    let mut decided = 0;
    for (round, policy) in (0..12_u64).zip(policies.iter().cycle()) {
        let mut settings = policy.clone();
        settings["brake"] = json!("off");
        app.settings(&app.directory, settings);
        let mut dice = Dice(round);
        for _ in 0..10 {
            made.step(app, &mut dice);
        }
        brake(app, tight());
        let mut held = known(app);
        for _ in 0..25 {
            if shown(app)["state"] == "open" {
                held = known(app);
            }
            made.step(app, &mut dice);
        }
        if shown(app)["state"] == "open" {
            continue;
        }
        decided += 1;
        let undone = round % 3 != 2;
        if undone {
            let report = app.api.post(&path(app, "/undo"), json!({})).expect(200).body;
            assert_eq!(report["not_restored"], json!([]), "round {round}");
        } else {
            app.api.post(&path(app, "/release"), json!({})).expect(200);
        }
        assert_app_knows_what_there_is(app);
        if undone {
            let now = known(app);
            // All that the app knew when the hold began, and maybe more.
            assert!(held.0.is_subset(&now.0), "round {round}: {:?}", held.0.difference(&now.0));
            assert!(held.1.is_subset(&now.1), "round {round}: {:?}", held.1.difference(&now.1));
            assert!(held.2.is_subset(&now.2), "round {round}: {:?}", held.2.difference(&now.2));
            made = stored(app, made.number);
        }
    }
    assert!(decided > 6, "{decided} rounds came to a hold");
}

/// What the identity provider would find.
fn stored(app: &TestApp, number: usize) -> Made {
    let ids = |path: &str| -> Vec<String> {
        let list = app.scim.get(&format!("{path}?count=500&attributes=id")).expect(200);
        let found = list.body["Resources"].as_array().cloned().unwrap_or_default();
        found.iter().map(|one| one["id"].as_str().expect("text").to_owned()).collect()
    };
    Made { users: ids("/Users"), groups: ids("/Groups"), number }
}

/// Clients that take users away at the same time.
fn take_away_at_once(app: &TestApp) {
    let names: Vec<String> = (0..36).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ids = super::users(app, &names);
    let team = super::team(app, "Team", &ids.iter().collect::<Vec<_>>());
    let limit = json!({"at_least": 1, "more_than": 5, "percent": 100});
    brake(app, json!({"mode": "hold", "limits": {"users": limit, "memberships": limit}}));
    std::thread::scope(|scope| {
        for part in ids.chunks(6) {
            let team = &team;
            scope.spawn(move || {
                for (n, id) in part.iter().enumerate() {
                    match n % 3 {
                        0 => {
                            super::set_active(app, id, false);
                            super::rename(&app.scim, id, "Gone");
                        }
                        1 => super::delete(app, &format!("/Users/{id}")),
                        _ => {
                            let gone = format!("members[value eq \"{id}\"]");
                            let gone = patch(json!([{"op": "remove", "path": gone}]));
                            app.scim.patch(&format!("/Groups/{team}"), gone).expect(200);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(shown(app)["state"], "holding");
    // Five are told, and of what is under way at that moment no more than there are clients.
    let told = consumer(app).users.len();
    assert!(told >= 36 - 11, "{told} users are left");
}

fn writers_at_once_are_held_and_released(app: &TestApp) {
    take_away_at_once(app);
    app.api.post(&path(app, "/release"), json!({})).expect(200);
    assert_app_knows_what_there_is(app);
    assert_eq!(consumer(app).users.len(), 24);
}

fn writers_at_once_are_held_and_undone(app: &TestApp) {
    take_away_at_once(app);
    let told = known(app);
    app.api.post(&path(app, "/undo"), json!({})).expect(200);
    assert_app_knows_what_there_is(app);
    assert_eq!(known(app), told);
}

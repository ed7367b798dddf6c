//! Roles while memberships change at many places at once: in the end everybody has what the memberships
//! say, and every event was possible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{Answer, Client, Consumer, Database, TestApp, group, patch, user};

on_both_databases![
    roles_follow_whatever_happens_in_turn,
    heavy_roles_follow_whatever_happens_at_once,
];

const USERS: usize = 6;
const GROUPS: usize = 5;

/// A sequence of numbers that looks random and is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % n
    }
}

/// What comes while a map is put may be asked to try again.
fn fine(answer: &Answer) {
    assert!(answer.status < 500 || answer.status == 503, "{} {}", answer.status, answer.text);
}

struct World<'a> {
    app: &'a TestApp,
    users: Vec<String>,
    groups: Vec<String>,
}

impl<'a> World<'a> {
    /// Users and groups, and a map about two of the groups and a value of the users.
    fn build(app: &'a TestApp) -> Self {
        let create = |path: &str, body: Value| app.scim.post(path, body).expect(201).id();
        let users = (0..USERS).map(|n| create("/Users", user(&format!("u{n}@example.com"))));
        let groups = (0..GROUPS).map(|n| create("/Groups", group(&format!("g{n}"), &[])));
        let world = Self { app, users: users.collect(), groups: groups.collect() };
        world.put(0);
        world
    }

    fn put(&self, number: usize) {
        let at = |index: usize| self.groups[(index + number) % GROUPS].as_str();
        let map = json!({
            "rules": [
                {"role": "admin", "priority": 9, "group": at(0)},
                {"role": "editor", "priority": 5, "group": at(1)},
                {"role": "auditor", "priority": 7, "scim_role": "auditor"},
            ],
            "default_role": if number.is_multiple_of(2) { Value::Null } else { "guest".into() },
        });
        let path = format!("/api/v1/directories/{}/role_map", self.app.directory.id);
        // A group of the map may be gone by now.
        let put = self.app.api.put(&path, map);
        assert!([200, 422].contains(&put.status), "{}", put.text);
    }

    /// One change of any kind.
    fn step(&self, scim: &Client, dice: &mut Dice) {
        let (user, at) = (&self.users[dice.below(USERS)], dice.below(GROUPS));
        let path = format!("/Groups/{}", self.groups[at]);
        let op = ["add", "add", "remove", "replace"][dice.below(4)];
        let members = match dice.below(5) {
            // Mostly without circles, and sometimes with one.
            0 | 1 => vec![&self.groups[(at + 1 + dice.below(2)) % GROUPS]],
            2 => vec![user, &self.groups[(at + 1) % GROUPS]],
            _ => vec![user, &self.users[dice.below(USERS)]],
        };
        match dice.below(12) {
            0 => {
                let values = [json!([]), json!([{"value": "Auditor"}])];
                let op =
                    json!([{"op": "replace", "path": "roles", "value": values[dice.below(2)]}]);
                fine(&scim.patch(&format!("/Users/{user}"), patch(op)));
            }
            1 => {
                let op = json!([{"op": "replace", "path": "active", "value": dice.below(2) == 0}]);
                fine(&scim.patch(&format!("/Users/{user}"), patch(op)));
            }
            2 => {
                // A way to a role that comes and goes.
                let members = [user.as_str(), self.groups[(at + 1) % GROUPS].as_str()];
                let made = scim.post("/Groups", group("Passing", &members));
                fine(&made);
                if made.status != 201 {
                    return;
                }
                let op = json!([{"op": "add", "path": "members", "value": [{"value": made.id()}]}]);
                fine(&scim.patch(&path, patch(op)));
                while scim.delete(&format!("/Groups/{}", made.id())).status == 503 {}
            }
            _ => {
                let value: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
                let op = json!([{"op": op, "path": "members", "value": value}]);
                fine(&scim.patch(&path, patch(op)));
            }
        }
    }

    /// Everybody has what the memberships, as SCIM shows them, and the user's own values say; the app was
    /// told so, and reads so.
    fn assert_followed(&self) {
        let service = Arc::clone(self.app.service());
        self.app.wait(async move { service.apply_mappings().await }).expect("maps are applied");
        let path = format!("/api/v1/directories/{}/role_map", self.app.directory.id);
        let map = self.app.api.get(&path).expect(200).body;
        let consumer = Consumer::of(&self.app.events(&self.app.directory));
        let mut expected: BTreeMap<&str, Value> = BTreeMap::new();
        let (mut told, mut read) = (expected.clone(), expected.clone());
        for id in &self.users {
            let shown = self.app.scim.get(&format!("/Users/{id}")).expect(200).body;
            expected.insert(id, wanted(&map, &shown));
            told.insert(id, consumer.users[id]["roles"].clone());
            let seen = self.app.api.get(&format!("/directory_users/{id}")).expect(200).body;
            assert_eq!(seen.get("role"), seen.get("roles").map(|roles| &roles[0]));
            read.insert(id, seen["roles"].clone());
        }
        assert_eq!(read, expected);
        assert_eq!(told, expected);
    }
}

/// The roles by the contract, from what SCIM shows of a user.
fn wanted(map: &Value, user: &Value) -> Value {
    let values = |name: &str| -> BTreeSet<String> {
        let elements = user[name].as_array().into_iter().flatten();
        elements.filter_map(|e| e["value"].as_str()).map(str::to_lowercase).collect()
    };
    let (groups, roles) = (values("groups"), values("roles"));
    let mut found: Vec<(i64, &str)> = Vec::new();
    for rule in map["rules"].as_array().expect("a list") {
        let given = rule["group"].as_str().is_some_and(|id| groups.contains(&id.to_lowercase()))
            || rule["scim_role"].as_str().is_some_and(|value| roles.contains(value));
        if given {
            let priority = rule["priority"].as_i64().expect("a number");
            found.push((-priority, rule["role"].as_str().expect("a slug")));
        }
    }
    found.sort_unstable();
    let mut slugs: Vec<&str> = found.into_iter().map(|(_, slug)| slug).collect();
    slugs.extend(map["default_role"].as_str().filter(|_| slugs.is_empty()));
    match slugs.is_empty() {
        true => Value::Null,
        false => slugs.iter().map(|slug| json!({"slug": slug})).collect(),
    }
}

fn roles_follow_whatever_happens_in_turn(app: &TestApp) {
    let world = World::build(app);
    let mut dice = Dice(7);
    for round in 0..4 {
        for _ in 0..15 {
            world.step(&app.scim, &mut dice);
        }
        world.assert_followed();
        world.put(round + 1);
    }
    world.assert_followed();
}

fn heavy_roles_follow_whatever_happens_at_once(app: &TestApp) {
    let world = World::build(app);
    for round in 0..3 {
        std::thread::scope(|scope| {
            for worker in 0..4_u64 {
                let (scim, world) = (app.scim.clone(), &world);
                scope.spawn(move || {
                    let mut dice = Dice(worker + 10 * round);
                    for _ in 0..25 {
                        world.step(&scim, &mut dice);
                    }
                });
            }
            scope.spawn(|| world.put(usize::try_from(round).expect("small")));
        });
        world.assert_followed();
    }
}

/// One unit puts the group in the middle into the mapped one and tells the user; the other, which does not
/// see that, takes the inner group out of the middle at the same moment.
mod role_goes_when_its_way_ends_while_it_is_made {
    use super::*;

    #[test]
    fn postgres() {
        let app = TestApp::start(Database::postgres());
        let id = |made: Answer| made.expect(201).id();
        let ada = id(app.scim.post("/Users", user("ada@example.com")));
        let inner = id(app.scim.post("/Groups", group("Inner", &[&ada])));
        let middle = id(app.scim.post("/Groups", group("Middle", &[&inner])));
        let mapped = id(app.scim.post("/Groups", group("Mapped", &[])));
        let map = json!({"rules": [{"role": "admin", "group": mapped}]});
        let path = format!("/api/v1/directories/{}/role_map", app.directory.id);
        app.api.put(&path, map).expect(200);

        // A unit that has not ended.
        let mut unit = PgConnection::establish(&app.database.url()).expect("the database");
        unit.batch_execute(&format!(
            "BEGIN; \
             SELECT pg_advisory_xact_lock_shared(hashtext('directory'), CAST(key AS INTEGER)) \
             FROM directory WHERE id = '{directory}' FOR KEY SHARE; \
             INSERT INTO member (directory_key, group_key, member_key) \
             SELECT g.directory_key, g.key, m.key FROM resource g, resource m \
             WHERE g.id = '{mapped}' AND m.id = '{middle}'; \
             INSERT INTO role_work (directory_key, kind, target_key, after_key) \
             SELECT directory_key, 'below', key, 0 FROM resource WHERE id = '{middle}'; \
             UPDATE resource SET roles = '[\"admin\"]' WHERE id = '{ada}'",
            directory = app.directory.id,
        ))
        .expect("it sees the way to the user");
        let members = json!([{"value": inner}]);
        let op = json!([{"op": "remove", "path": "members", "value": members}]);
        app.scim.patch(&format!("/Groups/{middle}"), patch(op)).expect(200);
        unit.batch_execute("COMMIT").expect("the unit ends");

        let service = Arc::clone(app.service());
        app.wait(async move { service.apply_mappings().await }).expect("maps are applied");
        let seen = app.api.get(&format!("/directory_users/{ada}")).expect(200).body;
        assert_eq!(seen.get("roles"), None, "no group gives one any more");
    }
}

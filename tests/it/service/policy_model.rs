//! Whatever happens under whatever policies, an app that follows the events sees what the policies
//! make of the users, groups and memberships that SCIM has, and of those whom it has deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{Client, Consumer, DirectoryHandle, TestApp, group, patch};

on_both_databases![heavy_app_sees_what_the_policies_make_of_any_history];

const NAMES: usize = 4;
const GROUPS: usize = 3;
const HOUR: u64 = 3_600;

#[derive(Clone, Copy, Debug, Default)]
struct Policies {
    hides: bool,
    deactivates: bool,
    /// Hours.
    grace: Option<u64>,
    strips: bool,
    revives: bool,
    /// Hours.
    groupless: Option<u64>,
}

impl Policies {
    fn settings(self) -> Value {
        json!({
            "inactive_users": if self.hides { "delete" } else { "keep" },
            "delete": if self.deactivates { "deactivate" } else { "remove" },
            "grace_period": self.grace.map(|hours| format!("{hours}h")),
            "strip_groups_when_inactive": self.strips,
            "revive_on_create": if self.revives { "same_external_id" } else { "never" },
            "suspend_when_groupless": self.groupless.map(|hours| format!("{hours}h")),
        })
    }
}

#[derive(Clone, Debug)]
enum Step {
    Policies(Policies),
    /// Hours go by.
    Wait(u64),
    /// A POST of that name, active or not.
    Create(usize, bool),
    Activate(usize, bool),
    /// The user with one name gets another.
    Rename(usize, usize),
    Delete(usize),
    /// The group is made if it is not there, and is to have exactly these members.
    Put(usize, Vec<usize>),
    Add(usize, Vec<usize>),
    Remove(usize, Vec<usize>),
    DeleteGroup(usize),
}

fn policies() -> impl Strategy<Value = Policies> {
    let hours = || proptest::option::of(1_u64..4);
    (any::<bool>(), any::<bool>(), hours(), any::<bool>(), any::<bool>(), hours()).prop_map(
        |(hides, deactivates, grace, strips, revives, groupless)| Policies {
            hides,
            deactivates,
            grace,
            strips,
            revives,
            groupless,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let (name, team) = (|| 0..NAMES, || 0..GROUPS);
    let names = || vec(0..NAMES, 0..3);
    prop_oneof![
        2 => policies().prop_map(Step::Policies),
        2 => (1_u64..3).prop_map(Step::Wait),
        4 => (name(), any::<bool>()).prop_map(|(n, active)| Step::Create(n, active)),
        4 => (name(), any::<bool>()).prop_map(|(n, active)| Step::Activate(n, active)),
        1 => (name(), name()).prop_map(|(a, b)| Step::Rename(a, b)),
        2 => name().prop_map(Step::Delete),
        3 => (team(), names()).prop_map(|(g, n)| Step::Put(g, n)),
        3 => (team(), names()).prop_map(|(g, n)| Step::Add(g, n)),
        3 => (team(), names()).prop_map(|(g, n)| Step::Remove(g, n)),
        1 => team().prop_map(Step::DeleteGroup),
    ]
}

#[derive(Clone, Debug)]
struct User {
    id: String,
    active: bool,
    /// The hour at which the last membership ended, while that counted.
    groupless: Option<u64>,
    suspended: bool,
}

/// What there is in SCIM, by name and number, and who has left.
struct Model<'a> {
    app: &'a TestApp,
    directory: DirectoryHandle,
    scim: Client,
    policies: Policies,
    hour: u64,
    users: BTreeMap<usize, User>,
    groups: BTreeMap<usize, (String, BTreeSet<usize>)>,
    /// Name → id and the hour of the deletion.
    departed: BTreeMap<usize, (String, u64)>,
}

impl<'a> Model<'a> {
    fn new(app: &'a TestApp) -> Self {
        let (directory, scim) = app.directory("scim.generic");
        Self {
            app,
            directory,
            scim,
            policies: Policies::default(),
            hour: 0,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            departed: BTreeMap::new(),
        }
    }

    fn counts_active(user: &User) -> bool {
        user.active && !user.suspended
    }

    fn is_hidden(&self, user: &User) -> bool {
        self.policies.hides && !Self::counts_active(user)
    }

    fn body(name: usize, active: bool) -> Value {
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": format!("u{name}"), "externalId": format!("e{name}"), "active": active})
    }

    /// The members that are there, as a value of `members`.
    fn there(&self, names: &[usize]) -> BTreeSet<usize> {
        names.iter().copied().filter(|name| self.users.contains_key(name)).collect()
    }

    fn ids(&self, names: &BTreeSet<usize>) -> Vec<String> {
        names.iter().map(|name| self.users[name].id.clone()).collect()
    }

    fn is_member(&self, name: usize) -> bool {
        self.groups.values().any(|(_, members)| members.contains(&name))
    }

    /// Takes note of memberships that began or ended.
    fn track(&mut self, before: &BTreeSet<usize>) {
        let members: BTreeSet<usize> =
            self.users.keys().copied().filter(|name| self.is_member(*name)).collect();
        for (name, user) in &mut self.users {
            if members.contains(name) {
                (user.groupless, user.suspended) = (None, false);
            } else if before.contains(name) && self.policies.groupless.is_some() {
                user.groupless = Some(self.hour);
            }
        }
    }

    /// What the clock and the policies make of everybody.
    fn settle(&mut self) {
        let (policies, hour) = (self.policies, self.hour);
        for user in self.users.values_mut() {
            user.groupless = policies.groupless.and(user.groupless);
            let over = |delay: u64| user.groupless.is_some_and(|since| since + delay <= hour);
            user.suspended = policies.groupless.is_some_and(over);
        }
        let keeps = !policies.hides && (policies.deactivates || policies.grace.is_some());
        self.departed
            .retain(|_, (_, at)| keeps && policies.grace.is_none_or(|grace| *at + grace > hour));
    }

    fn run(&mut self, step: &Step) {
        let members: BTreeSet<usize> =
            self.users.keys().copied().filter(|name| self.is_member(*name)).collect();
        match step {
            Step::Policies(policies) => {
                self.app.settings(&self.directory, policies.settings());
                self.policies = *policies;
                self.settle();
            }
            Step::Wait(hours) => {
                self.app.clock.advance(Duration::from_secs(hours * HOUR));
                self.hour += hours;
                self.app.apply_policies();
                self.settle();
            }
            Step::Create(name, active) => self.create(*name, *active),
            Step::Activate(name, active) => self.activate(*name, *active),
            Step::Rename(from, to) => self.rename(*from, *to),
            Step::Delete(name) => self.delete(*name),
            Step::Put(team, names) => {
                let wanted = self.there(names);
                let ids = self.ids(&wanted);
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let body = group(&format!("g{team}"), &ids);
                let id = match self.groups.get(team) {
                    Some((id, _)) => self.scim.put(&format!("/Groups/{id}"), body).expect(200).id(),
                    None => self.scim.post("/Groups", body).expect(201).id(),
                };
                self.groups.insert(*team, (id, wanted));
            }
            Step::Add(team, names) | Step::Remove(team, names) => {
                let adds = matches!(step, Step::Add(..));
                let wanted = self.there(names);
                let value: Vec<Value> =
                    self.ids(&wanted).into_iter().map(|id| json!({"value": id})).collect();
                let Some((id, members)) = self.groups.get_mut(team) else { return };
                let op = if adds { "add" } else { "remove" };
                let ops = json!([{"op": op, "path": "members", "value": value}]);
                if !wanted.is_empty() {
                    self.scim.patch(&format!("/Groups/{id}"), patch(ops)).expect(200);
                }
                for name in wanted {
                    if adds {
                        members.insert(name)
                    } else {
                        members.remove(&name)
                    };
                }
            }
            Step::DeleteGroup(team) => {
                if let Some((id, _)) = self.groups.remove(team) {
                    self.scim.delete(&format!("/Groups/{id}")).expect(204);
                }
            }
        }
        self.track(&members);
    }

    fn create(&mut self, name: usize, active: bool) {
        let answer = self.scim.post("/Users", Self::body(name, active));
        match self.users.get_mut(&name) {
            None => {
                let id = answer.expect(201).id();
                self.users.insert(name, User { id, active, groupless: None, suspended: false });
                self.departed.remove(&name);
            }
            Some(user) if self.policies.revives && !Self::counts_active(user) => {
                assert_eq!(answer.expect(201).id(), user.id);
                user.active = active;
            }
            Some(_) => {
                answer.expect_scim_error(409, Some("uniqueness"));
            }
        }
    }

    fn activate(&mut self, name: usize, active: bool) {
        let Some(user) = self.users.get_mut(&name) else { return };
        let ops = json!([{"op": "replace", "path": "active", "value": active}]);
        self.scim.patch(&format!("/Users/{}", user.id), patch(ops)).expect(200);
        let ends = Self::counts_active(user) && !active;
        user.active = active;
        if ends && self.policies.strips {
            self.groups.values_mut().for_each(|(_, members)| {
                members.remove(&name);
            });
        }
    }

    fn rename(&mut self, from: usize, to: usize) {
        if self.users.contains_key(&to) {
            return;
        }
        let Some(user) = self.users.remove(&from) else { return };
        let body = Self::body(to, user.active);
        self.scim.put(&format!("/Users/{}", user.id), body).expect(200);
        self.users.insert(to, user);
        self.departed.remove(&to);
        for (_, members) in self.groups.values_mut() {
            if members.remove(&from) {
                members.insert(to);
            }
        }
    }

    fn delete(&mut self, name: usize) {
        let Some(user) = self.users.remove(&name) else { return };
        self.scim.delete(&format!("/Users/{}", user.id)).expect(204);
        for (_, members) in self.groups.values_mut() {
            members.remove(&name);
        }
        let keeps =
            !self.policies.hides && (self.policies.deactivates || self.policies.grace.is_some());
        if keeps && !self.is_hidden(&user) {
            self.departed.insert(name, (user.id, self.hour));
        }
    }

    /// Compares what the app has been told with what it should see.
    fn check(&self) -> Result<(), TestCaseError> {
        let consumer = Consumer::of(&self.app.events(&self.directory));
        let visible: BTreeMap<usize, &User> = self
            .users
            .iter()
            .filter(|(_, user)| !self.is_hidden(user))
            .map(|(name, user)| (*name, user))
            .collect();
        let state = |user: &User| if Self::counts_active(user) { "active" } else { "inactive" };
        let mut expected: BTreeMap<String, String> =
            visible.values().map(|user| (user.id.clone(), state(user).to_owned())).collect();
        let departed = self.departed.values();
        expected.extend(departed.map(|(id, _)| (id.clone(), "inactive".to_owned())));
        let seen: BTreeMap<String, String> = consumer
            .users
            .iter()
            .map(|(id, user)| (id.clone(), user["state"].as_str().unwrap_or_default().to_owned()))
            .collect();
        prop_assert_eq!(seen, expected);
        let mut members = BTreeSet::new();
        for (id, names) in self.groups.values() {
            let seen = names.iter().filter_map(|name| visible.get(name));
            members.extend(seen.map(|user| (id.clone(), user.id.clone())));
        }
        prop_assert_eq!(&consumer.members, &members);
        let groups: BTreeSet<&String> = self.groups.values().map(|(id, _)| id).collect();
        prop_assert_eq!(consumer.groups.keys().collect::<BTreeSet<_>>(), groups);
        for user in self.users.values() {
            let shown = self.scim.get(&format!("/Users/{}", user.id)).expect(200);
            prop_assert_eq!(&shown.body["active"], &json!(user.active));
        }
        Ok(())
    }
}

fn heavy_app_sees_what_the_policies_make_of_any_history(app: &TestApp) {
    let cases = std::env::var("ROLLBOOK_TEST_CASES").ok().and_then(|n| n.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(24),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let history = (policies(), vec(step(), 10..50));
    let checked = TestRunner::new(config).run(&history, |(policies, steps)| {
        let mut model = Model::new(app);
        model.run(&Step::Policies(policies));
        for step in &steps {
            model.run(step);
        }
        model.check()
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}

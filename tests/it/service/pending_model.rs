//! Whatever comes in whatever order, a group has the members that were named and are there, waits for
//! those that were named and are not, and has a new version exactly when its members change.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{Client, TestApp, group, patch};

on_both_databases![heavy_group_follows_the_model];

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const NAMES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// A user with that externalId is made.
    Create(usize),
    /// A user is made and then given that externalId.
    Give(usize),
    /// The user goes.
    Delete(usize),
    Add(Vec<usize>),
    RemoveByFilter(usize),
    RemoveListed(Vec<usize>),
    /// The members are to be these, by PATCH.
    Set(Vec<usize>),
    /// The group is to be this one.
    Put(Vec<usize>),
    RemoveAll,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    let names = || vec(0..NAMES, 0..4);
    prop_oneof![
        2 => name.clone().prop_map(Step::Create),
        1 => name.clone().prop_map(Step::Give),
        1 => name.clone().prop_map(Step::Delete),
        3 => names().prop_map(Step::Add),
        1 => name.prop_map(Step::RemoveByFilter),
        1 => names().prop_map(Step::RemoveListed),
        1 => names().prop_map(Step::Set),
        1 => names().prop_map(Step::Put),
        1 => Just(Step::RemoveAll),
    ]
}

/// What is known of one group and the users that it may name.
struct Model<'a> {
    app: &'a TestApp,
    group_id: String,
    prefix: String,
    /// The id of the user with each name, while there is one.
    users: [Option<String>; NAMES],
    /// Names that the group was told and has not been told to forget.
    members: BTreeSet<usize>,
    waiting: BTreeSet<usize>,
    version: u64,
    made: usize,
}

impl<'a> Model<'a> {
    fn new(app: &'a TestApp, prefix: String) -> Self {
        let group_id = app.scim.post("/Groups", group(&prefix, &[])).expect(201).id();
        let users = std::array::from_fn(|_| None);
        let (members, waiting) = (BTreeSet::new(), BTreeSet::new());
        Self { app, group_id, prefix, users, members, waiting, version: 1, made: 0 }
    }

    fn scim(&self) -> &Client {
        &self.app.scim
    }

    fn external_id(&self, name: usize) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn change(&self, operation: Value) {
        let path = format!("/Groups/{}", self.group_id);
        self.scim().patch(&path, patch(json!([operation]))).expect(200);
    }

    fn elements(&self, names: &[usize]) -> Value {
        names.iter().map(|name| json!({"value": self.external_id(*name)})).collect()
    }

    /// Makes a user and gives its id.
    fn user(&mut self, external_id: Option<String>) -> String {
        self.made += 1;
        let mut body = json!({
            "schemas": [USER], "userName": format!("{}-user-{}", self.prefix, self.made),
        });
        if let Some(external_id) = external_id {
            body["externalId"] = external_id.into();
        }
        self.scim().post("/Users", body).expect(201).id()
    }

    fn appeared(&mut self, name: usize, id: String) {
        self.users[name] = Some(id);
        if self.waiting.remove(&name) {
            self.members.insert(name);
        }
    }

    fn named(&mut self, names: &[usize]) {
        for name in names {
            let there = self.users[*name].is_some();
            if there {
                self.members.insert(*name)
            } else {
                self.waiting.insert(*name)
            };
        }
    }

    fn forgotten(&mut self, names: &[usize]) {
        for name in names {
            self.members.remove(name);
            self.waiting.remove(name);
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Create(name) | Step::Give(name) if self.users[*name].is_some() => {}
            Step::Create(name) => {
                let id = self.user(Some(self.external_id(*name)));
                self.appeared(*name, id);
            }
            Step::Give(name) => {
                let id = self.user(None);
                let value = self.external_id(*name);
                let operation = json!({"op": "add", "path": "externalId", "value": value});
                let path = format!("/Users/{id}");
                self.scim().patch(&path, patch(json!([operation]))).expect(200);
                self.appeared(*name, id);
            }
            Step::Delete(name) => {
                if let Some(id) = self.users[*name].take() {
                    self.scim().delete(&format!("/Users/{id}")).expect(204);
                    self.members.remove(name);
                }
            }
            Step::Add(names) => {
                let value = self.elements(names);
                self.change(json!({"op": "add", "path": "members", "value": value}));
                self.named(names);
            }
            Step::RemoveByFilter(name) => {
                let path = format!("members[value eq \"{}\"]", self.external_id(*name));
                self.change(json!({"op": "remove", "path": path}));
                self.forgotten(&[*name]);
            }
            Step::RemoveListed(names) => {
                let value = self.elements(names);
                self.change(json!({"op": "remove", "path": "members", "value": value}));
                self.forgotten(names);
            }
            Step::Set(names) => {
                let value = self.elements(names);
                self.change(json!({"op": "replace", "path": "members", "value": value}));
                self.forgotten(&[0, 1, 2, 3]);
                self.named(names);
            }
            Step::Put(names) => {
                let values: Vec<String> = names.iter().map(|n| self.external_id(*n)).collect();
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                let path = format!("/Groups/{}", self.group_id);
                self.scim().put(&path, group(&self.prefix, &values)).expect(200);
                self.forgotten(&[0, 1, 2, 3]);
                self.named(names);
            }
            Step::RemoveAll => {
                self.change(json!({"op": "remove", "path": "members"}));
                self.forgotten(&[0, 1, 2, 3]);
            }
        }
    }

    /// Compares the model with what the server says.
    fn check(&mut self, members_before: &BTreeSet<usize>) -> Result<(), TestCaseError> {
        let shown = self.scim().get(&format!("/Groups/{}", self.group_id)).expect(200);
        let members = shown.body["members"].as_array().cloned().unwrap_or_default();
        let members: BTreeSet<&str> = members.iter().filter_map(|m| m["value"].as_str()).collect();
        let expected: BTreeSet<&str> =
            self.members.iter().filter_map(|name| self.users[*name].as_deref()).collect();
        prop_assert_eq!(members, expected);
        if *members_before != self.members {
            self.version += 1;
        }
        prop_assert_eq!(&shown.body["meta"]["version"], &json!(format!("W/\"{}\"", self.version)));

        let path = format!("/api/v1/directories/{}/pending_members", self.app.directory.id);
        let list = self.app.api.get(&path).expect(200);
        let rows = list.body["data"].as_array().expect("a list");
        let of_group = rows.iter().filter(|row| row["group_id"] == self.group_id);
        let waiting: BTreeSet<&str> = of_group.filter_map(|row| row["value"].as_str()).collect();
        let expected: Vec<String> = self.waiting.iter().map(|n| self.external_id(*n)).collect();
        prop_assert_eq!(waiting, expected.iter().map(String::as_str).collect());
        Ok(())
    }
}

fn heavy_group_follows_the_model(app: &TestApp) {
    let settings = json!({"profile": {"hold_unknown_members": true}});
    let path = format!("/api/v1/directories/{}", app.directory.id);
    app.api.patch(&path, json!({"settings": settings})).expect(200);
    let mut runner = TestRunner::new(Config {
        cases: 40,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..Config::default()
    });
    let cases = std::cell::Cell::new(0);
    let law = runner.run(&vec(step(), 1..20), |steps| {
        cases.set(cases.get() + 1);
        let mut model = Model::new(app, format!("case{}", cases.get()));
        for step in &steps {
            let before = model.members.clone();
            model.run(step);
            model.check(&before)?;
        }
        // What still waits would crowd the list of the cases that follow.
        app.scim.delete(&format!("/Groups/{}", model.group_id)).expect(204);
        Ok(())
    });
    law.unwrap_or_else(|error| panic!("{error}"));
}

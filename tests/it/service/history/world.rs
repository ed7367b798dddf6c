//! Directories of two organizations, what an app makes of the events, and the comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::persons::Persons;
use super::step::{NAMES, Step};
use crate::support::{Answer, Client, Consumer, ENTERPRISE, TestApp, patch};

const HOUR: u64 = 3_600;

/// Directories of each organization.
const DIRECTORIES: [usize; 2] = [3, 1];

const BADGE: &str = "urn:example:params:scim:schemas:extension:Badge";

struct Live {
    organization: usize,
    id: String,
    scim: Client,
    users: Vec<String>,
    groups: Vec<String>,
}

pub struct World<'a> {
    app: &'a TestApp,
    organizations: Vec<String>,
    directories: Vec<Live>,
    consumer: Consumer,
    persons: Persons,
    /// The primary directory of the first organization.
    primary: Option<String>,
    /// The position up to which events were applied.
    position: i64,
    /// How many events of each name there were.
    counts: BTreeMap<String, usize>,
}

/// Every event that a history must have had to say something.
const RICH: [&str; 16] = [
    "rollbook.identity.created",
    "rollbook.identity.updated",
    "rollbook.identity.merged",
    "rollbook.identity.unmerged",
    "rollbook.identity.ended",
    "dsync.activated",
    "dsync.deleted",
    "dsync.user.created",
    "dsync.user.updated",
    "dsync.user.deleted",
    "dsync.group.created",
    "dsync.group.updated",
    "dsync.group.deleted",
    "dsync.group.user_added",
    "dsync.group.user_removed",
    "dsync.token.created",
];

fn pick<T>(among: &[T], number: usize) -> Option<&T> {
    match among.len() {
        0 => None,
        length => among.get(number % length),
    }
}

/// A refusal is an answer too, but no failure of the server is.
fn understood(answer: &Answer) -> Result<(), String> {
    match answer.status {
        200..=204 | 400 | 404 | 409 | 422 => Ok(()),
        status => Err(format!("status {status}: {}", answer.text)),
    }
}

fn user_body(name: usize, email: usize, active: bool) -> Value {
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": format!("u{name}@example.com"),
        "externalId": format!("e{name}"),
        "name": {"givenName": format!("Given{}", name % 5), "familyName": "Lane"},
        "active": active,
    });
    // Some have no address, some one that is verified, some another.
    if !email.is_multiple_of(7) {
        let domain = if email.is_multiple_of(3) { "example.org" } else { "example.com" };
        body["emails"] = json!([{"value": format!("m{email}@{domain}"), "primary": true}]);
    }
    if name.is_multiple_of(4) {
        body["unknown"] = json!({"level": name, "since": 1.0});
    }
    body
}

impl<'a> World<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        let mut world = Self {
            app,
            organizations: Vec::new(),
            directories: Vec::new(),
            consumer: Consumer::default(),
            persons: Persons::default(),
            primary: None,
            position: 0,
            counts: BTreeMap::new(),
        };
        for (number, count) in DIRECTORIES.into_iter().enumerate() {
            let made = json!({"name": format!("Organization {number}"),
                "domain_data": [{"domain": "example.com", "state": "verified"}]});
            let organization = app.api.post("/organizations", made).expect(201).id();
            world.organizations.push(organization);
            for _ in 0..count {
                let live = world.make_directory(number);
                world.directories.push(live);
            }
        }
        world.primary(None).expect("identities are on");
        world
    }

    fn make_directory(&self, organization: usize) -> Live {
        let body = json!({"organization_id": self.organizations[organization],
            "name": "Directory", "kind": "scim.generic"});
        let made = self.app.api.post("/api/v1/directories", body).expect(201);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let base = text(&made.body["scim"]["base_url"]);
        let secret = text(&made.body["token"]["secret"]);
        Live {
            organization,
            id: made.id(),
            scim: Client::new(&base, &secret, "application/scim+json"),
            users: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn members(live: &Live, users: &[usize], groups: &[usize]) -> Vec<Value> {
        let users = users.iter().filter_map(|number| pick(&live.users, *number));
        let groups = groups.iter().filter_map(|number| pick(&live.groups, *number));
        users.chain(groups).map(|id| json!({"value": id})).collect()
    }

    /// Fails when the server does.
    pub fn run(&mut self, step: &Step) -> Result<(), String> {
        let count = self.directories.len();
        let app = self.app;
        match step {
            Step::Create { at, name, email, active } => {
                let live = &mut self.directories[at % count];
                let answer = live.scim.post("/Users", user_body(*name, *email, *active));
                if answer.status == 201 && !live.users.contains(&answer.id()) {
                    live.users.push(answer.id());
                }
                understood(&answer)
            }
            Step::Replace { at, user, name, email, active } => {
                let live = &self.directories[at % count];
                let Some(id) = pick(&live.users, *user) else { return Ok(()) };
                let body = user_body(*name, *email, *active);
                understood(&live.scim.put(&format!("/Users/{id}"), body))
            }
            Step::Set { at, user, field, value } => {
                let live = &self.directories[at % count];
                let Some(id) = pick(&live.users, *user) else { return Ok(()) };
                understood(&live.scim.patch(&format!("/Users/{id}"), change(live, *field, *value)))
            }
            Step::Activate { at, user, active } => {
                let live = &self.directories[at % count];
                let Some(id) = pick(&live.users, *user) else { return Ok(()) };
                let ops = json!([{"op": "replace", "path": "active", "value": active}]);
                understood(&live.scim.patch(&format!("/Users/{id}"), patch(ops)))
            }
            Step::Delete { at, user } => {
                let live = &mut self.directories[at % count];
                let Some(id) = pick(&live.users, *user).cloned() else { return Ok(()) };
                live.users.retain(|known| *known != id);
                understood(&live.scim.delete(&format!("/Users/{id}")))
            }
            Step::CreateGroup { at, name, members, groups } => {
                let live = &mut self.directories[at % count];
                if live.groups.len() >= NAMES {
                    return Ok(());
                }
                let body = json!({"displayName": format!("g{name}"),
                    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
                    "members": Self::members(live, members, groups)});
                let answer = live.scim.post("/Groups", body);
                if answer.status == 201 {
                    live.groups.push(answer.id());
                }
                understood(&answer)
            }
            Step::ReplaceGroup { at, group, name, members, groups } => {
                let live = &self.directories[at % count];
                let Some(id) = pick(&live.groups, *group) else { return Ok(()) };
                let body = json!({"displayName": format!("g{}", name % 5),
                    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
                    "members": Self::members(live, members, groups)});
                understood(&live.scim.put(&format!("/Groups/{id}"), body))
            }
            Step::AddMembers { at, group, members } => self.change(*at, *group, "add", members),
            Step::RemoveMembers { at, group, members } => {
                self.change(*at, *group, "remove", members)
            }
            Step::RenameGroup { at, group, name } => {
                let live = &self.directories[at % count];
                let Some(id) = pick(&live.groups, *group) else { return Ok(()) };
                let name = format!("g{}", name % 3);
                let ops = json!([{"op": "replace", "path": "displayName", "value": name}]);
                understood(&live.scim.patch(&format!("/Groups/{id}"), patch(ops)))
            }
            Step::DeleteGroup { at, group } => {
                let live = &mut self.directories[at % count];
                let Some(id) = pick(&live.groups, *group).cloned() else { return Ok(()) };
                live.groups.retain(|known| *known != id);
                understood(&live.scim.delete(&format!("/Groups/{id}")))
            }
            Step::Bulk { at, name, email } => self.bulk(*at, *name, *email),
            Step::Policies { at, settings } => {
                let path = format!("/api/v1/directories/{}", self.directories[at % count].id);
                let answer = app.api.patch(&path, json!({"settings": settings}));
                app.apply_policies();
                understood(&answer)
            }
            Step::Wait(hours) => {
                app.clock.advance(Duration::from_secs(hours * HOUR));
                app.apply_policies();
                Ok(())
            }
            Step::Renew(at) => {
                let at = at % count;
                let (id, organization) =
                    (self.directories[at].id.clone(), self.directories[at].organization);
                let answer = app.api.delete(&format!("/api/v1/directories/{id}"));
                if answer.status == 202 {
                    self.directories[at] = self.make_directory(organization);
                }
                understood(&answer)
            }
            Step::Primary(choice) => {
                let of_first: Vec<&Live> =
                    self.directories.iter().filter(|live| live.organization == 0).collect();
                let chosen = of_first.get(choice % (of_first.len() + 1));
                let chosen = chosen.map(|live| live.id.clone());
                self.primary(chosen)
            }
            Step::Decide { state, number } => self.decide(*state, *number),
            Step::Unlink { identity, account } => {
                let known: Vec<&Value> = self.consumer.identities.values().collect();
                let Some(of) = pick(&known, *identity) else { return Ok(()) };
                let accounts = of["accounts"].as_array().expect("a list");
                let Some(user) = pick(accounts, *account) else { return Ok(()) };
                let (id, user) = (of["id"].as_str(), user["user_id"].as_str());
                let (id, user) = (id.expect("an id"), user.expect("an id"));
                let path = format!("{}/identities/{id}/accounts/{user}/unlink", self.first());
                understood(&app.api.post(&path, json!({})))
            }
            Step::Alias { identity, email } => {
                let known: Vec<&String> = self.consumer.identities.keys().collect();
                let Some(id) = pick(&known, *identity) else { return Ok(()) };
                let body = json!({"email": format!("m{email}@example.org")});
                let path = format!("{}/identities/{id}/aliases", self.first());
                understood(&app.api.post(&path, body))
            }
            Step::Schemas { at, own } => {
                let badge = json!({"id": BADGE, "name": "Badge", "attributes": [
                    {"name": "number"}, {"name": "pin", "returned": "never"}]});
                let body = match own {
                    true => json!({"schemas": [badge], "resource_types": [{"name": "User",
                        "schemaExtensions": [{"schema": BADGE, "required": false}]}]}),
                    false => json!({}),
                };
                let path = format!("/api/v1/directories/{}", self.directories[at % count].id);
                understood(&app.api.put(&format!("{path}/schemas"), body))
            }
        }
    }

    /// The organization that keeps identities.
    fn first(&self) -> String {
        format!("/api/v1/organizations/{}", self.organizations[0])
    }

    fn primary(&mut self, directory: Option<String>) -> Result<(), String> {
        let path = format!("{}/primary_directory", self.first());
        let answer = self.app.api.put(&path, json!({"directory_id": directory}));
        self.app.settle_identities();
        if answer.status == 200 {
            self.primary = directory;
        }
        understood(&answer)
    }

    fn decide(&self, state: usize, number: usize) -> Result<(), String> {
        let (wanted, decision) =
            [("open", "accept"), ("open", "reject"), ("accepted", "undo"), ("rejected", "undo")]
                [state];
        let path = format!("{}/identity_suggestions", self.first());
        let page = self.app.api.get(&format!("{path}?limit=100&state={wanted}")).expect(200).body;
        let found = page["data"].as_array().expect("a page");
        let Some(id) = pick(found, number).and_then(|found| found["id"].as_str()) else {
            return Ok(());
        };
        understood(&self.app.api.post(&format!("{path}/{id}/{decision}"), json!({})))
    }

    fn change(&self, at: usize, group: usize, op: &str, members: &[usize]) -> Result<(), String> {
        let live = &self.directories[at % self.directories.len()];
        let Some(id) = pick(&live.groups, group) else { return Ok(()) };
        let value = Self::members(live, members, &[]);
        if value.is_empty() {
            return Ok(());
        }
        let ops = json!([{"op": op, "path": "members", "value": value}]);
        understood(&live.scim.patch(&format!("/Groups/{id}"), patch(ops)))
    }

    fn bulk(&mut self, at: usize, name: usize, email: usize) -> Result<(), String> {
        let count = self.directories.len();
        let live = &mut self.directories[at % count];
        if live.groups.len() >= NAMES {
            return Ok(());
        }
        let team = json!({"displayName": format!("b{name}"),
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "members": [{"value": "bulkId:user"}]});
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [
                {"method": "POST", "path": "/Users", "bulkId": "user",
                    "data": user_body(name, email, true)},
                {"method": "POST", "path": "/Groups", "bulkId": "team", "data": team},
            ],
        });
        let answer = live.scim.post("/Bulk", body);
        for operation in answer.body["Operations"].as_array().into_iter().flatten() {
            let location = operation["location"].as_str().unwrap_or_default();
            let id = location.rsplit('/').next().unwrap_or_default().to_owned();
            if operation["status"] == "201" {
                let list = match id.starts_with("directory_user_") {
                    true => &mut live.users,
                    false => &mut live.groups,
                };
                if !list.contains(&id) {
                    list.push(id);
                }
            }
        }
        understood(&answer)
    }

    /// Applies the events since the last time.
    fn follow(&mut self) -> Result<(), String> {
        self.app.settle_events();
        loop {
            let path = format!("/api/v1/events?limit=1000&after={}", self.position);
            let page = self.app.api.get(&path).expect(200).body;
            for event in page["data"].as_array().expect("a page") {
                let name = event["event"].as_str().expect("a name");
                *self.counts.entry(name.to_owned()).or_default() += 1;
                let applied = self.consumer.apply(name, &event["data"]);
                applied.map_err(|wrong| format!("{event} cannot be: {wrong}"))?;
                self.persons.apply(name, &event["data"]);
            }
            self.position = page["next"].as_i64().expect("a position");
            if page["more"] == false {
                return Ok(());
            }
        }
    }

    fn list(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.app.api.get(&format!("{path}limit=100{after}")).expect(200).body;
            all.extend(page["data"].as_array().expect("a page").iter().cloned());
            match page["list_metadata"]["after"].as_str() {
                Some(id) => after = format!("&after={id}"),
                None => return all,
            }
        }
    }

    /// Compares what the app has been told with what it is shown.
    pub fn check(&mut self) -> Result<(), String> {
        self.app.apply_policies();
        // Accounts of deleted directories go in the background.
        self.app.purge();
        self.follow()?;
        let (mut users, mut groups, mut members) =
            (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for live in &self.directories {
            for mut user in self.list(&format!("/directory_users?directory={}&", live.id)) {
                let id = user["id"].as_str().expect("an id").to_owned();
                let shown = user.as_object_mut().expect("an object");
                let of = shown.shift_remove("groups").unwrap_or_default();
                for group in of.as_array().into_iter().flatten() {
                    let group = group["id"].as_str().expect("an id").to_owned();
                    members.insert((group, id.clone()));
                }
                users.insert(id, user);
            }
            for group in self.list(&format!("/directory_groups?directory={}&", live.id)) {
                groups.insert(group["id"].as_str().expect("an id").to_owned(), group);
            }
        }
        same("user", &self.consumer.users, &users)?;
        same("group", &self.consumer.groups, &groups)?;
        let identities = self.list(&format!("{}/identities?", self.first()));
        let identities: BTreeMap<String, Value> = identities
            .into_iter()
            .map(|shown| (shown["id"].as_str().expect("an id").to_owned(), shown))
            .collect();
        same("identity", &self.consumer.identities, &identities)?;
        self.check_links(&identities)?;
        self.check_persons(&identities)?;
        match members == self.consumer.members {
            true => Ok(()),
            false => Err(format!(
                "members: {:?} were told, {:?} are shown",
                self.consumer.members.difference(&members),
                members.difference(&self.consumer.members)
            )),
        }
    }

    /// Everybody whom the app sees is an account of exactly one identity; the others are those whom a
    /// policy hides.
    fn check_links(&self, identities: &BTreeMap<String, Value>) -> Result<(), String> {
        let mut linked: BTreeMap<String, Value> = BTreeMap::new();
        for account in
            identities.values().flat_map(|one| one["accounts"].as_array().expect("a list"))
        {
            let id = account["user_id"].as_str().expect("an id").to_owned();
            if linked.insert(id, account.clone()).is_some() {
                return Err(format!("two identities have {account}"));
            }
        }
        for live in self.directories.iter().filter(|live| live.organization == 0) {
            let mine = |user: &&Value| user["directory_id"] == live.id.as_str();
            for user in self.consumer.users.values().filter(mine) {
                let id = user["id"].as_str().expect("an id");
                let Some(account) = linked.remove(id) else {
                    return Err(format!("no identity has {user}"));
                };
                if (&account["state"], &account["email"]) != (&user["state"], &user["email"]) {
                    return Err(format!("{account} is not {user}"));
                }
            }
        }
        let hidden = |account: &&Value| account["state"] != "inactive";
        match linked.values().find(hidden) {
            Some(account) => Err(format!("{account} is nobody whom the app sees")),
            None => Ok(()),
        }
    }

    /// Every identity is what follows from its accounts and the primary directory.
    fn check_persons(&self, identities: &BTreeMap<String, Value>) -> Result<(), String> {
        let mut orphaned = BTreeSet::new();
        for (id, shown) in identities {
            let users = &self.consumer.users;
            let expected = self.persons.expected(id, self.primary.as_deref(), users);
            if shown["state"] != expected.state {
                return Err(format!("{shown} should be {}", expected.state));
            }
            if expected.title.is_some_and(|title| shown["title"] != *title) {
                return Err(format!("{shown} should have the title {:?}", expected.title));
            }
            orphaned.extend(expected.orphaned);
        }
        let listed = self.list(&format!("{}/orphaned_access?", self.first())).into_iter();
        let listed: BTreeSet<String> =
            listed.map(|row| row["user_id"].as_str().expect("an id").to_owned()).collect();
        match listed == orphaned {
            true => Ok(()),
            false => Err(format!("orphaned: {listed:?} are listed, {orphaned:?} are")),
        }
    }

    /// A history without some of the events would say nothing of them.
    pub fn assert_rich(&self) {
        for name in RICH {
            assert!(self.counts.contains_key(name), "no {name} among {:?}", self.counts);
        }
    }
}

/// `updated_at` moves with what the app does not see.
fn same(
    what: &str,
    told: &BTreeMap<String, Value>,
    shown: &BTreeMap<String, Value>,
) -> Result<(), String> {
    for id in told.keys().chain(shown.keys()) {
        let plain = |value: Option<&Value>| {
            let mut value = value.cloned().unwrap_or_default();
            if let Some(object) = value.as_object_mut() {
                object.shift_remove("updated_at");
            }
            value
        };
        let (told, shown) = (plain(told.get(id)), plain(shown.get(id)));
        if told != shown {
            return Err(format!("{what} {id}\ntold  {told}\nshown {shown}"));
        }
    }
    Ok(())
}

/// A PATCH of one attribute to one of a few values; none takes it away.
fn change(live: &Live, field: usize, value: usize) -> Value {
    let text = ["Lead", "Clerk", ""][value];
    let op = |path: String, new: Value| match value {
        2 => json!({"op": "remove", "path": path}),
        _ => json!({"op": "replace", "path": path, "value": new}),
    };
    let op = match field % 8 {
        0 => op("title".into(), text.into()),
        1 => op(format!("{ENTERPRISE}:department"), text.into()),
        2 => op("name.formatted".into(), format!("{text} Lane").into()),
        3 => op("phoneNumbers".into(), json!([{"value": format!("+1{value}"), "type": "work"}])),
        4 => op("emails".into(), json!([{"value": format!("n{value}@example.com")}])),
        5 => match pick(&live.users, value + field) {
            Some(boss) => op(format!("{ENTERPRISE}:manager"), json!({"value": boss})),
            None => op("title".into(), text.into()),
        },
        6 => op(format!("{BADGE}:number"), text.into()),
        _ => op("nickName".into(), text.into()),
    };
    patch(json!([op]))
}

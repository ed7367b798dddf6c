//! Reads a directory back through SCIM and compares it with what its writers know.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::load::Written;
use crate::model::Facts;
use crate::support::Client;

/// Resources in one page, so that a directory takes several.
const PAGE: usize = 200;

/// Users that are looked for by their attributes, and deleted ones that are asked for.
const SAMPLE: usize = 40;

/// What a directory holds.
#[derive(Debug, Default)]
pub struct Stored {
    /// By userName.
    pub users: BTreeMap<String, Value>,
    /// By displayName.
    pub groups: BTreeMap<String, Value>,
    /// What is wrong with the lists themselves.
    pub faults: Vec<String>,
}

pub fn read(scim: &Client) -> Stored {
    let mut stored = Stored::default();
    stored.users = everything(scim, "/Users", "userName", &mut stored.faults);
    stored.groups = everything(scim, "/Groups", "displayName", &mut stored.faults);
    stored
}

fn everything(
    scim: &Client,
    endpoint: &str,
    name: &str,
    faults: &mut Vec<String>,
) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    loop {
        let start = all.len() + 1;
        let page = scim.get(&format!("{endpoint}?startIndex={start}&count={PAGE}"));
        let total = page.total();
        let resources = page.body["Resources"].as_array().cloned().unwrap_or_default();
        if resources.is_empty() {
            if total != all.len() as u64 {
                faults.push(format!("{endpoint}: totalResults {total}, found {}", all.len()));
            }
            return all;
        }
        for resource in resources {
            let name = resource[name].as_str().expect("a name").to_owned();
            if let Some(twin) = all.insert(name.clone(), resource) {
                faults.push(format!("{endpoint}: {name} is there twice, also as {}", twin["id"]));
                return all;
            }
        }
    }
}

/// Every difference between what is stored and what may be.
pub fn differences(scim: &Client, written: &Written, stored: &Stored) -> Vec<String> {
    let mut wrong = stored.faults.clone();
    users(written, stored, &mut wrong);
    groups(written, stored, &mut wrong);
    found_by_attributes(scim, stored, &mut wrong);
    let deleted = written.models.iter().flat_map(|model| &model.people);
    let deleted = deleted.filter(|person| person.may_be == [None]);
    for id in deleted.filter_map(|person| person.id.as_deref()).take(SAMPLE) {
        let status = scim.get(&format!("/Users/{id}")).status;
        if status != 404 {
            wrong.push(format!("the deleted user {id} is answered with {status}"));
        }
    }
    wrong
}

fn users(written: &Written, stored: &Stored, wrong: &mut Vec<String>) {
    let mut known = BTreeSet::new();
    for person in written.models.iter().flat_map(|model| &model.people) {
        known.insert(&person.user_name);
        let found = stored.users.get(&person.user_name);
        let facts = found.map(|user| Facts {
            title: user["title"].as_str().unwrap_or_default().to_owned(),
            active: user["active"] == true,
        });
        if !person.may_be.contains(&facts) {
            let may_be = &person.may_be;
            wrong.push(format!("{}: {facts:?}, may be {may_be:?}", person.user_name));
        }
        let Some(user) = found else { continue };
        if person.id.as_ref().is_some_and(|id| user["id"] != **id) {
            wrong.push(format!("{}: id {}, not {:?}", person.user_name, user["id"], person.id));
        }
        let version = number(user);
        // A write without an answer may have been one more.
        let allowed = person.version..=person.version + u64::from(person.is_unsure);
        if !allowed.contains(&version) {
            wrong.push(format!("{}: version {version}, not {allowed:?}", person.user_name));
        }
    }
    for stranger in stored.users.keys().filter(|name| !known.contains(name)) {
        wrong.push(format!("nobody wrote the user {stranger}"));
    }
}

/// The number of `meta.version`.
fn number(resource: &Value) -> u64 {
    let tag = resource["meta"]["version"].as_str().unwrap_or_default();
    let digits: String =
        tag.trim_start_matches("W/\"").chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

fn values(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(|one| one["value"].as_str()).collect()
}

fn groups(written: &Written, stored: &Stored, wrong: &mut Vec<String>) {
    let mut known = BTreeSet::new();
    // (changes, changes without an answer) of each group
    let mut changes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    // Members that must be there, and that may be.
    let mut members: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for model in &written.models {
        for (number, team) in model.teams.iter().enumerate() {
            known.insert(&team.name);
            let (sure, maybe) = changes.entry(&team.name).or_default();
            *sure += team.changes;
            *maybe += team.maybe;
            if !team.may_be.contains(&stored.groups.contains_key(&team.name)) {
                wrong.push(format!("the group {} is there or not: {:?}", team.name, team.may_be));
            }
            let (must, may) = members.entry(&team.name).or_default();
            for ((_, person), may_be) in model.members.range((number, 0)..(number + 1, 0)) {
                let person = &model.people[*person];
                let Some(user) = stored.users.get(&person.user_name) else { continue };
                let id = user["id"].as_str().unwrap_or_default();
                if may_be == &[true] {
                    must.insert(id);
                }
                if may_be.contains(&true) {
                    may.insert(id);
                }
            }
        }
    }
    for (name, group) in &stored.groups {
        let Some((must, may)) = members.get(name.as_str()) else {
            wrong.push(format!("nobody wrote the group {name}"));
            continue;
        };
        let found = values(&group["members"]);
        for lost in must.difference(&found) {
            wrong.push(format!("the group {name} has lost {lost}"));
        }
        for surplus in found.difference(may) {
            wrong.push(format!("the group {name} has {surplus}, who is no member"));
        }
        let (sure, maybe) = changes.get(name.as_str()).copied().unwrap_or_default();
        let allowed = 1 + sure..=1 + sure + maybe;
        if !allowed.contains(&number(group)) {
            wrong.push(format!("the group {name}: version {}, not {allowed:?}", number(group)));
        }
    }
    // What users say about their groups is the same, seen from the other side.
    for (user_name, user) in &stored.users {
        let id = user["id"].as_str().unwrap_or_default();
        let expected: BTreeSet<&str> = stored
            .groups
            .values()
            .filter(|group| values(&group["members"]).contains(id))
            .filter_map(|group| group["id"].as_str())
            .collect();
        if values(&user["groups"]) != expected {
            wrong.push(format!("{user_name} says {} about its groups", user["groups"]));
        }
    }
}

/// The indexes find what the lists show.
fn found_by_attributes(scim: &Client, stored: &Stored, wrong: &mut Vec<String>) {
    let step = (stored.users.len() / SAMPLE).max(1);
    for (user_name, user) in stored.users.iter().step_by(step) {
        for filter in [
            format!("userName eq \"{user_name}\""),
            format!("externalId eq \"x-{user_name}\""),
            format!("emails[type eq \"work\" and value eq \"{user_name}\"]"),
        ] {
            let found = scim.filter("/Users", &filter).ids();
            if found != [user["id"].as_str().unwrap_or_default()] {
                wrong.push(format!("{filter} finds {found:?}"));
            }
        }
    }
}

//! An app that does what the events say, and fails the test at one that cannot be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// What an app knows of a directory that has read nothing but its events.
#[derive(Debug, Default)]
pub struct Consumer {
    /// By id, as last told.
    pub users: BTreeMap<String, Value>,
    pub groups: BTreeMap<String, Value>,
    /// (group, user)
    pub members: BTreeSet<(String, String)>,
    pub identities: BTreeMap<String, Value>,
}

impl Consumer {
    pub fn of(events: &[(String, Value)]) -> Self {
        let mut consumer = Self::default();
        for (index, (name, data)) in events.iter().enumerate() {
            if let Err(wrong) = consumer.apply(name, data) {
                let names: Vec<String> = events.iter().map(|(n, d)| line(n, d)).collect();
                panic!("event {index} cannot be: {wrong}\n{}", names.join("\n"));
            }
        }
        consumer
    }

    /// Does what one event says.
    pub fn apply(&mut self, name: &str, data: &Value) -> Result<(), String> {
        let id = text(&data["id"]);
        match name {
            "dsync.user.created" => match self.users.insert(id, data.clone()) {
                None => Ok(()),
                Some(_) => Err("the user is there".into()),
            },
            "dsync.user.updated" => {
                let known = self.users.get_mut(&id).ok_or("the user is not there")?;
                update(known, data)
            }
            "dsync.user.deleted" => {
                self.users.remove(&id).ok_or("the user is not there")?;
                match self.members.iter().find(|(_, user)| *user == id) {
                    None => Ok(()),
                    Some(member) => Err(format!("the user is a member: {member:?}")),
                }
            }
            "dsync.group.created" => match self.groups.insert(id, data.clone()) {
                None => Ok(()),
                Some(_) => Err("the group is there".into()),
            },
            "dsync.group.updated" => {
                let known = self.groups.get_mut(&id).ok_or("the group is not there")?;
                update(known, data)
            }
            "dsync.group.deleted" => {
                self.groups.remove(&id).ok_or("the group is not there")?;
                self.members.retain(|(group, _)| *group != id);
                Ok(())
            }
            "dsync.group.user_added" => {
                let member = self.member(data)?;
                self.members.insert(member).then_some(()).ok_or("it is a member".into())
            }
            "dsync.group.user_removed" => {
                let member = self.member(data)?;
                self.members.remove(&member).then_some(()).ok_or("it is no member".into())
            }
            "dsync.deleted" => {
                self.users.retain(|_, user| user["directory_id"] != data["id"]);
                self.groups.retain(|_, group| group["directory_id"] != data["id"]);
                self.members.retain(|(group, _)| self.groups.contains_key(group));
                Ok(())
            }
            "rollbook.identity.created" => match self.identities.insert(id, data.clone()) {
                None => Ok(()),
                Some(_) => Err("the identity is there".into()),
            },
            "rollbook.identity.updated" => {
                let known = self.identities.get_mut(&id).ok_or("the identity is not there")?;
                update(known, data)
            }
            "rollbook.identity.merged" => {
                let (data, merged) = without(data, "merged_identity_id");
                self.identities.remove(&text(&merged)).ok_or("the merged one is not there")?;
                let known = self.identities.get_mut(&id).ok_or("the identity is not there")?;
                update(known, &data)
            }
            "rollbook.identity.unmerged" => {
                let (data, again) = without(data, "unmerged_identity");
                if self.identities.insert(text(&again["id"]), again).is_some() {
                    return Err("the unmerged one is there".into());
                }
                let known = self.identities.get_mut(&id).ok_or("the identity is not there")?;
                update(known, &data)
            }
            "rollbook.identity.ended" => {
                self.identities.remove(&id).ok_or("the identity is not there")?;
                match data["accounts"].as_array().is_some_and(Vec::is_empty) {
                    true => Ok(()),
                    false => Err("it has accounts".into()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Both ends are known.
    fn member(&self, data: &Value) -> Result<(String, String), String> {
        let (group, user) = (text(&data["group"]["id"]), text(&data["user"]["id"]));
        self.groups.get(&group).ok_or("the group is not there")?;
        let known = self.users.get(&user).ok_or("the user is not there")?;
        match known["state"] == data["user"]["state"] {
            true => Ok((group, user)),
            false => Err(format!("the user was {}", known["state"])),
        }
    }
}

/// The old values are those that were told, all of those that are new have one, and something changed.
fn update(known: &mut Value, data: &Value) -> Result<(), String> {
    let mut new = data.clone();
    let previous = new.as_object_mut().and_then(|new| new.shift_remove("previous_attributes"));
    let previous = previous.ok_or("no previous_attributes")?;
    let mut expected = changes(known, &new);
    expected.shift_remove("updated_at");
    for nested in ["raw_attributes", "custom_attributes"] {
        if expected.contains_key(nested) {
            expected.insert(nested.into(), changes(&known[nested], &new[nested]).into());
        }
    }
    if expected.is_empty() {
        return Err("nothing changed".into());
    }
    if previous != Value::Object(expected.clone()) {
        return Err(format!("previous_attributes should be {}", Value::Object(expected)));
    }
    *known = new;
    Ok(())
}

/// The old values of the members that differ; of those that were not there null.
fn changes(old: &Value, new: &Value) -> Map<String, Value> {
    let names: BTreeSet<&String> =
        [old, new].into_iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
    let changed = names.into_iter().filter(|name| old[*name] != new[*name]);
    changed.map(|name| (name.clone(), old[name].clone())).collect()
}

/// The object without a member, and that.
fn without(data: &Value, member: &str) -> (Value, Value) {
    let mut data = data.clone();
    let taken = data.as_object_mut().and_then(|data| data.shift_remove(member));
    (data, taken.unwrap_or_default())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// One line that says what an event is about.
pub fn line(name: &str, data: &Value) -> String {
    let short = name.strip_prefix("dsync.").unwrap_or(name);
    match name {
        "dsync.group.user_added" | "dsync.group.user_removed" => {
            format!("{short} {} {}", text(&data["group"]["name"]), text(&data["user"]["username"]))
        }
        _ if data["object"] == "directory_user" => {
            format!("{short} {} {}", text(&data["username"]), text(&data["state"]))
        }
        _ if data["object"] == "directory_group" => format!("{short} {}", text(&data["name"])),
        _ => short.to_owned(),
    }
}

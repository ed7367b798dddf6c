//! An app that does what the events say, and fails the test at one that cannot be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What an app knows of a directory that has read nothing but its events.
#[derive(Debug, Default)]
pub struct Consumer {
    /// By id, as last told.
    pub users: BTreeMap<String, Value>,
    pub groups: BTreeMap<String, Value>,
    /// (group, user)
    pub members: BTreeSet<(String, String)>,
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

    fn apply(&mut self, name: &str, data: &Value) -> Result<(), String> {
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

/// The old values are those that were told, and something changed.
fn update(known: &mut Value, data: &Value) -> Result<(), String> {
    let previous = data["previous_attributes"].as_object().ok_or("no previous_attributes")?;
    for (name, old) in previous {
        // Inside of these only what has changed is told.
        let nested = ["raw_attributes", "custom_attributes"].contains(&name.as_str());
        let same = match old.as_object().filter(|_| nested) {
            Some(members) => members.iter().all(|(member, old)| known[name][member] == *old),
            None => known[name] == *old,
        };
        if !same {
            return Err(format!("\"{name}\" was {}, not {old}", known[name]));
        }
    }
    let mut new = data.clone();
    new.as_object_mut().ok_or("no object")?.remove("previous_attributes");
    if previous.is_empty() || *known == new {
        return Err("nothing changed".into());
    }
    *known = new;
    Ok(())
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

//! Groups as each provider's client writes them. A group that others change too is never written
//! whole without `If-Match`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::manner::Members;
use super::model::{Model, Team};
use super::users::message;
use super::wire::{Wire, expect, version};
use crate::answer::Answer;
use crate::scim::{GROUP, encode};

const ADSCIM_GROUP: &str =
    "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group";

/// How often a group that others change is read and written again.
const RACES: usize = 1_000;

/// Members to take in and to let go.
#[derive(Clone, Debug, Default)]
pub(super) struct Delta {
    pub(super) join: Vec<String>,
    pub(super) leave: Vec<String>,
}

impl Delta {
    fn apply(&self, members: &mut BTreeSet<String>) {
        members.extend(self.join.iter().cloned());
        members.retain(|id| !self.leave.contains(id));
    }
}

/// Stores a group without members.
pub(super) fn create(wire: &mut Wire, name: String) -> Result<Team, String> {
    let body = document(wire, &name, &BTreeSet::new());
    let answer = expect(wire.write("POST", "/Groups", Some(&body))?, &[201])?;
    let id = answer.id().map_err(|finding| finding.to_string())?.to_owned();
    let team = Team { id, name, members: BTreeSet::new(), version: 0 };
    seen(&team, &answer).map(|version| Team { version, ..team })
}

/// A second group of the same name is refused where names are unique.
pub(super) fn create_twice(wire: &mut Wire, team: &Team) -> Result<(), String> {
    let body = document(wire, &team.name, &BTreeSet::new());
    expect(wire.write("POST", "/Groups", Some(&body))?, &[409]).map(drop)
}

/// Changes the members of a group of the writer's own.
pub(super) fn change(wire: &mut Wire, team: &mut Team, delta: &Delta) -> Result<(), String> {
    let mut changed = team.clone();
    delta.apply(&mut changed.members);
    match wire.manner.members {
        None => return Ok(()),
        Some(Members::Put) => put(wire, &changed, None)?,
        Some(Members::ReplaceAll) => replace_all(wire, &changed, None)?,
        Some(members) => {
            return patch(wire, &mut changed, members, delta).map(|()| *team = changed);
        }
    };
    *team = changed;
    Ok(())
}

/// Takes the writer's own users into the group that all writers change, and out of it.
pub(super) fn change_shared(
    wire: &mut Wire,
    shared: &Team,
    model: &mut Model,
    delta: &Delta,
) -> Result<(), String> {
    let whole = match wire.manner.members {
        None => return Ok(()),
        Some(Members::Put) => put,
        Some(Members::ReplaceAll) => replace_all,
        Some(members) => {
            patch(wire, &mut shared.clone(), members, delta)?;
            delta.apply(&mut model.shared);
            return read_shared(wire, shared, model).map(drop);
        }
    };
    for _ in 0..RACES {
        let read = read_shared(wire, shared, model)?;
        let tag = read.etag().map_err(|finding| finding.to_string())?.to_owned();
        let mut members = member_ids(&read.json);
        delta.apply(&mut members);
        let changed = Team { members, ..shared.clone() };
        if whole(wire, &changed, Some(&tag))? {
            delta.apply(&mut model.shared);
            return Ok(());
        }
    }
    Err(format!("/Groups/{}: another writer was faster {RACES} times", shared.id))
}

/// Reads the shared group; the writer's own users in it must be those of the model.
pub(super) fn read_shared(
    wire: &mut Wire,
    shared: &Team,
    model: &mut Model,
) -> Result<Answer, String> {
    let answer = expect(wire.get(&format!("/Groups/{}", shared.id))?, &[200])?;
    let members = member_ids(&answer.json);
    let own: BTreeSet<String> = members.into_iter().filter(|id| model.is_mine(id)).collect();
    if own != model.shared {
        let what =
            format!("of the writer's users {own:?} are members, expected {:?}", model.shared);
        return Err(answer.failed(&what).to_string());
    }
    let version = version(&answer.json).unwrap_or_default();
    if version < model.shared_version {
        let what = format!("version {} was there before", model.shared_version);
        return Err(answer.failed(&what).to_string());
    }
    model.shared_version = version;
    Ok(answer)
}

/// Reads a group of the writer's own.
pub(super) fn read(wire: &mut Wire, team: &mut Team) -> Result<(), String> {
    let answer = expect(wire.get(&format!("/Groups/{}", team.id))?, &[200])?;
    let version = seen(team, &answer)?;
    if version < team.version {
        return Err(answer
            .failed(&format!("version {} was there before", team.version))
            .to_string());
    }
    team.version = version;
    Ok(())
}

/// Finds a group by name, without its members.
pub(super) fn look_up(wire: &mut Wire, team: &Team) -> Result<(), String> {
    let filter = encode(&format!("displayName eq \"{}\"", team.name));
    let path = format!("/Groups?excludedAttributes=members&filter={filter}");
    let answer = expect(wire.get(&path)?, &[200])?;
    answer.expect_ids(&[&team.id]).map(drop).map_err(|finding| finding.to_string())
}

pub(super) fn rename(wire: &mut Wire, team: &mut Team, name: String) -> Result<(), String> {
    let changed = Team { name, ..team.clone() };
    let path = format!("/Groups/{}", team.id);
    let value = &changed.name;
    let operation = match wire.manner.members {
        None => return Ok(()),
        Some(Members::Put) => {
            put(wire, &changed, None)?;
            *team = changed;
            return Ok(());
        }
        Some(Members::FilterPaths) => {
            json!({"op": "replace", "value": {"id": team.id, "displayName": value}})
        }
        Some(Members::OneByOne | Members::OperationEach) => {
            json!({"op": "replace", "value": {"displayName": value}})
        }
        Some(Members::CapitalLists) => {
            json!({"op": "Replace", "path": "displayName", "value": value})
        }
        Some(Members::Lists | Members::ReplaceAll) => {
            json!({"op": "replace", "path": "displayName", "value": value})
        }
    };
    let body = message(&[operation]);
    expect(wire.write("PATCH", &path, Some(&body))?, &[200, 204])?;
    *team = changed;
    read(wire, team)
}

pub(super) fn delete(wire: &mut Wire, id: &str) -> Result<(), String> {
    let path = format!("/Groups/{id}");
    expect(wire.write("DELETE", &path, None)?, &[204])?;
    expect(wire.get(&path)?, &[404]).map(drop)
}

/// What of the stored group is not as the model says.
pub(super) fn differences(team: &Team, stored: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let name = stored.get("displayName").and_then(Value::as_str);
    if name != Some(&team.name) {
        differences.push(format!("displayName is {name:?}, expected {:?}", team.name));
    }
    let members = member_ids(stored);
    for missing in team.members.difference(&members) {
        differences.push(format!("member {missing} is missing"));
    }
    for surplus in members.difference(&team.members) {
        differences.push(format!("member {surplus} does not belong there"));
    }
    differences
}

fn member_ids(group: &Value) -> BTreeSet<String> {
    let members = group.get("members").and_then(Value::as_array).into_iter().flatten();
    let ids = members.filter_map(|member| member.get("value").and_then(Value::as_str));
    ids.map(str::to_owned).collect()
}

/// The version, when the answer shows the group of the model.
fn seen(team: &Team, answer: &Answer) -> Result<u64, String> {
    let differences = differences(team, &answer.json);
    if !differences.is_empty() {
        return Err(answer.failed(&differences.join(", ")).to_string());
    }
    let missing = || answer.failed("there is no version in `meta`").to_string();
    version(&answer.json).ok_or_else(missing)
}

fn document(wire: &Wire, name: &str, members: &BTreeSet<String>) -> Value {
    let mut group = json!({"schemas": [GROUP], "displayName": name});
    let mut insert = |member: &str, value: Value| {
        if let Some(object) = group.as_object_mut() {
            object.insert(member.to_owned(), value);
        }
    };
    match wire.manner.members {
        Some(Members::CapitalLists) => insert("schemas", json!([GROUP, ADSCIM_GROUP])),
        Some(Members::OperationEach) if members.is_empty() => {}
        // Relative references, as some plug-ins write them.
        Some(Members::ReplaceAll) => {
            let list = members.iter().map(|id| json!({"value": id, "$ref": format!("Users/{id}")}));
            insert("members", list.collect());
        }
        _ => insert("members", members.iter().map(|id| json!({"value": id})).collect()),
    }
    group
}

/// PUT of the whole group. False when `If-Match` did not hold.
fn put(wire: &mut Wire, team: &Team, tag: Option<&str>) -> Result<bool, String> {
    let body = document(wire, &team.name, &team.members);
    let path = format!("/Groups/{}{}", team.id, wire.manner.tail);
    let answer = expect(wire.send("PUT", &path, tag, Some(&body))?, statuses(tag, &[200, 412]))?;
    match (answer.status, tag) {
        (412, _) => Ok(false),
        // Who else writes the group may have done so before the answer was made.
        (_, Some(_)) => Ok(true),
        (_, None) => seen(team, &answer).map(|_| true),
    }
}

/// `replace members`, and the name with it.
fn replace_all(wire: &mut Wire, team: &Team, tag: Option<&str>) -> Result<bool, String> {
    let members: Vec<Value> = team.members.iter().map(|id| json!({"value": id})).collect();
    let first = match members.is_empty() {
        true => json!({"op": "remove", "path": "members"}),
        false => json!({"op": "replace", "path": "members", "value": members}),
    };
    let name = json!({"op": "replace", "path": "displayName", "value": team.name});
    let body = message(&[first, name]);
    let path = format!("/Groups/{}{}", team.id, wire.manner.tail);
    let answer = wire.send("PATCH", &path, tag, Some(&body))?;
    Ok(expect(answer, statuses(tag, &[200, 204, 412]))?.status != 412)
}

/// 412, the last of them, is right only with a condition.
fn statuses<'a>(tag: Option<&str>, all: &'a [u16]) -> &'a [u16] {
    match (tag, all) {
        (None, [unconditional @ .., _]) => unconditional,
        _ => all,
    }
}

/// Operations on single members. The answer is not looked at: others may change the group.
fn patch(wire: &mut Wire, team: &mut Team, members: Members, delta: &Delta) -> Result<(), String> {
    let path = format!("/Groups/{}", team.id);
    for operations in requests(members, delta) {
        let body = message(&operations);
        expect(wire.write("PATCH", &path, Some(&body))?, &[200, 204])?;
    }
    Ok(())
}

/// The operations of each request.
fn requests(members: Members, delta: &Delta) -> Vec<Vec<Value>> {
    let values = |ids: &[String]| ids.iter().map(|id| json!({"value": id})).collect::<Vec<_>>();
    let nulled = |ids: &[String]| {
        ids.iter().map(|id| json!({"$ref": null, "value": id})).collect::<Vec<_>>()
    };
    let list = |op: &str, value: Vec<Value>| {
        let operation = json!({"op": op, "path": "members", "value": value});
        (!value.is_empty()).then_some(operation)
    };
    let each = || {
        let join = delta.join.iter().map(|id| ("add", id));
        let leave = delta.leave.iter().map(|id| ("remove", id));
        join.chain(leave)
            .map(|(op, id)| json!({"op": op, "path": "members", "value": [{"value": id}]}))
    };
    match members {
        Members::OneByOne => each().map(|operation| vec![operation]).collect(),
        Members::OperationEach => one_request(each().collect()),
        Members::FilterPaths => {
            let mut operations: Vec<Value> = delta
                .leave
                .iter()
                .map(|id| json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")}))
                .collect();
            operations.extend(list("add", values(&delta.join)));
            one_request(operations)
        }
        // Additions and removals never share a request.
        Members::CapitalLists => {
            let lists = [list("Add", nulled(&delta.join)), list("Remove", values(&delta.leave))];
            lists.into_iter().flatten().map(|operation| vec![operation]).collect()
        }
        Members::Lists | Members::Put | Members::ReplaceAll => {
            let lists = [list("add", values(&delta.join)), list("remove", values(&delta.leave))];
            one_request(lists.into_iter().flatten().collect())
        }
    }
}

fn one_request(operations: Vec<Value>) -> Vec<Vec<Value>> {
    if operations.is_empty() { Vec::new() } else { vec![operations] }
}

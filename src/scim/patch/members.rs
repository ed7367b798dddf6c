//! Changes of a group's membership inside a PATCH or PUT.
//!
//! Members are rows, not part of the document: a change names the members that it touches and costs
//! what it names, whatever the size of the group. The operations on `members` are taken out of the
//! request, in order, and become [`MemberStep`]s; the rest of the request edits the document.

use std::collections::HashMap;

use serde_json::Value;

use super::matching::refuse_whole_element;
use super::op::{OpKind, PatchOp};
use super::rules::{PatchRules, SeveralMatches};
use crate::scim::filter::{ElementFilter, Filter, TargetPath, parse_target_path, resolve_element};
use crate::scim::message::member;
use crate::scim::resource::validate::{refuse_unknown_subs, wrong_type};
use crate::scim::schema::{Attribute, Kept};
use crate::scim::{Object, ResourceType, ScimError};

/// One step of a membership change; values are member ids as the client sent them.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberStep {
    Add(Vec<String>),
    Remove(Vec<String>),
    /// Remove every member whose element matches a filter that is not just a list of ids.
    RemoveMatching(Filter),
    /// Exactly these.
    Set(Vec<String>),
}

/// The net effect of the steps that name their members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberChange {
    /// True when members that are not in `add` go, whoever they are.
    pub only_added_stay: bool,
    /// In the order of the request, each once.
    pub add: Vec<String>,
    pub remove: Vec<String>,
}

impl MemberChange {
    /// Folds the steps; `None` when one needs the elements of the group to know what it means.
    /// Linear: a request may have thousands of steps.
    pub fn fold(steps: &[MemberStep]) -> Option<Self> {
        let mut only_added_stay = false;
        // What is wanted of each id at last, and the order in which ids were first named.
        let mut wanted: HashMap<&str, Wanted> = HashMap::new();
        let mut order: Vec<&str> = Vec::new();
        for step in steps {
            let (ids, state) = match step {
                MemberStep::Add(ids) => (ids, Wanted::Member),
                MemberStep::Remove(ids) => (ids, Wanted::Stranger),
                MemberStep::Set(ids) => {
                    only_added_stay = true;
                    wanted.clear();
                    order.clear();
                    (ids, Wanted::Member)
                }
                MemberStep::RemoveMatching(_) => return None,
            };
            for id in ids {
                if wanted.insert(id, state).is_none() {
                    order.push(id);
                }
            }
        }
        let with = |state: Wanted| {
            let ids = order.iter().filter(|id| wanted.get(*id) == Some(&state));
            ids.map(|id| (*id).to_owned()).collect()
        };
        let remove = if only_added_stay { Vec::new() } else { with(Wanted::Stranger) };
        Some(Self { only_added_stay, add: with(Wanted::Member), remove })
    }

    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.only_added_stay && self.add.is_empty() && self.remove.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Member,
    Stranger,
}

/// The members attribute of a resource type, if it has one.
pub fn members_attribute(resource_type: &ResourceType) -> Option<&Attribute> {
    resource_type.schema.attributes.iter().find(|attribute| attribute.kept == Kept::AsMembers)
}

/// The members of a POST or PUT body; `None` when it does not speak of them.
pub fn of_representation(
    body: &Object,
    resource_type: &ResourceType,
) -> Result<Option<Vec<String>>, ScimError> {
    let Some(attribute) = members_attribute(resource_type) else { return Ok(None) };
    match body.iter().find(|(name, _)| name.eq_ignore_ascii_case(&attribute.name)) {
        Some((_, value)) => ids(value).map(Some),
        None => Ok(None),
    }
}

/// Takes the operations on `members` out of the request.
pub fn split(
    ops: Vec<PatchOp>,
    resource_type: &ResourceType,
    rules: PatchRules,
) -> Result<(Vec<PatchOp>, Vec<MemberStep>), ScimError> {
    let Some(attribute) = members_attribute(resource_type) else { return Ok((ops, Vec::new())) };
    let mut rest = Vec::with_capacity(ops.len());
    let mut steps = Vec::new();
    for mut op in ops {
        match (&op.path, &mut op.value) {
            (None, Some(Value::Object(value))) => {
                for (path, members) in take_members(value, resource_type, attribute) {
                    let sub = sub_of(&path, resource_type);
                    steps.extend(step(op.kind, &path, sub, Some(&members), attribute, rules)?);
                }
                if !value.is_empty() {
                    rest.push(op);
                }
            }
            (Some(path), value) if names(path, resource_type, attribute) => {
                let sub = sub_of(path, resource_type);
                steps.extend(step(op.kind, path, sub, value.as_ref(), attribute, rules)?);
            }
            _ => rest.push(op),
        }
    }
    Ok((rest, steps))
}

/// True when the path is about the members attribute.
fn names(path: &TargetPath, resource_type: &ResourceType, attribute: &Attribute) -> bool {
    resource_type
        .resolve_attribute(&path.attr)
        .is_some_and(|at| at.extension.is_none() && at.attribute.name == attribute.name)
}

/// The sub-attribute that the path names, before or after a filter.
fn sub_of<'p>(path: &'p TargetPath, resource_type: &'p ResourceType) -> Option<&'p str> {
    let before = || Some(resource_type.resolve_attribute(&path.attr)?.sub?.name.as_str());
    path.sub.as_deref().or_else(before)
}

/// Takes what is about members out of a value without a path, under whatever name.
fn take_members(
    value: &mut Object,
    resource_type: &ResourceType,
    attribute: &Attribute,
) -> Vec<(TargetPath, Value)> {
    let mut taken = Vec::new();
    value.retain(|name, members| match parse_target_path(name) {
        Ok(path) if names(&path, resource_type, attribute) => {
            taken.push((path, members.take()));
            false
        }
        _ => true,
    });
    taken
}

fn step(
    kind: OpKind,
    path: &TargetPath,
    sub: Option<&str>,
    value: Option<&Value>,
    attribute: &Attribute,
    rules: PatchRules,
) -> Result<Vec<MemberStep>, ScimError> {
    if let Some(value) = value {
        refuse_unknown_subs(attribute, value, rules.values)?;
    }
    if let Some(sub) = sub {
        return Err(ScimError::mutability(format!(
            "The sub-attribute \"members.{sub}\" cannot be changed; add or remove whole members."
        )));
    }
    let Some(filter) = &path.filter else { return whole(kind, value) };
    let condition: ElementFilter<'_> = resolve_element(filter, attribute)
        .map_err(|error| ScimError::invalid_path(error.detail))?;
    refuse_whole_element(kind, attribute, filter, rules)?;
    if rules.several_matches == SeveralMatches::Refuse && condition.required_value().is_none() {
        return Err(ScimError::invalid_filter(format!(
            "The filter [{filter}] can match several values of \"members\"; in a path it must name \
             one, such as members[value eq \"…\"]."
        )));
    }
    let remove = match condition.wanted_values() {
        Some(ids) => MemberStep::Remove(ids),
        None => MemberStep::RemoveMatching(filter.clone()),
    };
    match (kind, value) {
        (OpKind::Remove, _) => Ok(vec![remove]),
        (_, Some(value)) => {
            let add = MemberStep::Add(ids(value)?);
            Ok(if kind == OpKind::Replace { vec![remove, add] } else { vec![add] })
        }
        (_, None) => Ok(Vec::new()),
    }
}

fn whole(kind: OpKind, value: Option<&Value>) -> Result<Vec<MemberStep>, ScimError> {
    Ok(match (kind, value) {
        (OpKind::Remove, None | Some(Value::Null)) => vec![MemberStep::Set(Vec::new())],
        // A list of members removes only those (RFC 7644 leaves it open; identity providers mean it).
        (OpKind::Remove, Some(value)) => vec![MemberStep::Remove(ids(value)?)],
        (OpKind::Add, Some(value)) => vec![MemberStep::Add(ids(value)?)],
        (OpKind::Replace, Some(value)) => vec![MemberStep::Set(ids(value)?)],
        (_, None) => Vec::new(),
    })
}

/// The ids in a members value: objects with `value`, or with `$ref` alone, or bare strings.
fn ids(value: &Value) -> Result<Vec<String>, ScimError> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(elements) => elements.iter().filter(|e| !e.is_null()).map(member_id).collect(),
        one => Ok(vec![member_id(one)?]),
    }
}

fn member_id(element: &Value) -> Result<String, ScimError> {
    let get = |name: &str| member(element.as_object()?, name);
    let text = match element {
        Value::String(text) => Some(text.as_str()),
        _ => get("value")
            .and_then(Value::as_str)
            .or_else(|| get("$ref")?.as_str()?.rsplit('/').next()),
    };
    match text.map(str::trim) {
        Some(id) if !id.is_empty() && !id.contains('\0') => Ok(id.to_owned()),
        _ => {
            let expected = "a list of objects with a \"value\" that is an id";
            Err(wrong_type("members", expected, get("value").unwrap_or(element)))
        }
    }
}

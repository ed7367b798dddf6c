//! What the operator makes of a directory's users: custom attributes by expressions ([`attributes`]),
//! roles by rules ([`roles`]).
//!
//! What the maps make of a user is stored with the user, so that an event knows exactly what was before.
//! Custom attributes follow from the user's own attributes and are made with every change of them, before
//! the unit. Roles follow from memberships, too, and are made in the unit that changes one ([`follow`]),
//! or by the job ([`work`]) when that is about more users than one unit tells of. A changed map moves the
//! version by which units know the rules of a directory, so that none goes by the one before; users are
//! brought to it by the job. Users whom SCIM has deleted keep what they had.
//!
//! The filter of a directory that is pushed is asked beside the attribute map ([`filter`]): whom it does not
//! let in the app sees as inactive.
//!
//! A directory without maps pays nothing: no statement, no row, no evaluation.

pub mod attributes;
mod bounds;
pub(super) mod expression;
pub(super) mod filter;
pub(super) mod follow;
mod fuel;
pub mod manage;
pub mod roles;
pub mod suggest;
pub mod work;

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use attributes::AttributeMap;
use filter::Filter;
use roles::RoleMap;

use super::context::{Directory, Settings};
use super::policy::Policies;
use super::seen::object;
use crate::event::model::raw_attributes;
use crate::pull::{Envelope, SourceKind};
use crate::scim::resource::project::strip_hidden;
use crate::scim::{Object, Registry, ResourceType};
use crate::store::StoreError;
use crate::store::directory::DirectoryRow;
use crate::store::resource::{Mapped, ResourceRow};

/// The maps of a directory.
#[derive(Default)]
pub struct Mapping {
    pub attributes: Option<AttributeMap>,
    pub roles: Option<RoleMap>,
    pub gate: Gate,
}

/// Whom the app is to see as active, of a directory that is pushed.
#[derive(Debug, Default)]
pub enum Gate {
    #[default]
    Open,
    Filter(Filter),
    /// There is a filter that this version does not understand: everybody stays as before.
    Stuck,
}

impl Gate {
    /// By the settings of a directory; one that is read is filtered while it is read.
    fn of(row: &DirectoryRow) -> Self {
        if row.settings == "{}" || SourceKind::named(&row.kind).is_some() {
            return Self::Open;
        }
        match Settings::stored(&row.settings).filter.as_deref().map(Filter::compile) {
            None => Self::Open,
            Some(Ok(filter)) => Self::Filter(filter),
            Some(Err(error)) => {
                tracing::warn!(
                    directory = row.id,
                    error,
                    "the filter of a directory is not understood"
                );
                Self::Stuck
            }
        }
    }

    /// Whether a user is kept from the app; an error is a sentence and says nothing about that.
    fn excludes(&self, raw: &Object) -> Result<bool, String> {
        match self {
            Self::Open => Ok(false),
            Self::Stuck => Err("the filter is not understood.".to_owned()),
            Self::Filter(filter) => {
                let id = raw.get("externalId").and_then(Value::as_str).unwrap_or_default();
                let account = Envelope::account(id.to_owned(), raw.clone(), Object::new());
                filter.lets_in(&account).map(|lets_in| !lets_in)
            }
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self.attributes.as_ref().map(AttributeMap::rules);
        let roles = self.roles.as_ref().map(RoleMap::rules);
        f.debug_struct("Mapping")
            .field("attributes", &attributes)
            .field("roles", &roles)
            .field("gate", &self.gate)
            .finish()
    }
}

impl Mapping {
    pub fn of_row(row: &DirectoryRow) -> Self {
        Self {
            attributes: AttributeMap::stored(row.attribute_map.as_deref()),
            roles: RoleMap::stored(row.role_map.as_deref()).map(|map| roles_in(row, map)),
            gate: Gate::of(row),
        }
    }

    /// Whether nothing is made of anybody.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_none() && self.roles.is_none() && matches!(self.gate, Gate::Open)
    }

    /// The role map, if roles follow from memberships.
    pub fn group_roles(&self) -> Option<&RoleMap> {
        self.roles.as_ref().filter(|roles| roles.reads_groups())
    }

    /// The roles of a user in no group, as they are stored.
    pub fn roles_alone(&self, document: &str) -> Option<String> {
        self.roles.as_ref()?.text_of(&object(document), &HashSet::new())
    }

    /// What the maps make of a resource in no group: of a user, that is; nothing of others. Fails only if
    /// nothing was evaluated; another try may succeed.
    pub fn mapped(
        &self,
        resource_type: &ResourceType,
        document: &Object,
        extra: Option<&Object>,
    ) -> Result<Mapped, StoreError> {
        if !resource_type.is_user() {
            return Ok(Mapped::default());
        }
        let roles = self.roles.as_ref();
        let mut mapped = Mapped {
            roles: roles.and_then(|roles| roles.text_of(document, &HashSet::new())),
            ..Mapped::default()
        };
        if let Some(map) = &self.attributes {
            let made = map.attributes_of(&raw(resource_type, document, extra))?;
            mapped.custom_attributes = made.values_text();
            mapped.faults = made.faults_text();
        }
        if !matches!(self.gate, Gate::Open) {
            mapped.excluded = self.gate.excludes(&raw(resource_type, document, extra)).ok();
        }
        Ok(mapped)
    }

    /// Whether the filter keeps a stored user from the app; an error is a sentence.
    pub(super) fn excludes(&self, registry: &Registry, row: &ResourceRow) -> Result<bool, String> {
        match registry.by_name("User") {
            Some(user) if !matches!(self.gate, Gate::Open) => {
                let extra = row.extra.as_deref().map(object);
                self.gate.excludes(&raw(user, &object(&row.doc), extra.as_ref()))
            }
            _ => Ok(false),
        }
    }
}

/// The role map as it counts in a directory: where the app sees no groups, no role comes from them.
fn roles_in(row: &DirectoryRow, map: RoleMap) -> RoleMap {
    let is_pushed = SourceKind::named(&row.kind).is_none();
    match is_pushed && Policies::stored(&row.settings).disable_group_sync {
        true => map.without_groups(),
        false => map,
    }
}

/// What events show as `raw_attributes`.
fn raw(resource_type: &ResourceType, document: &Object, extra: Option<&Object>) -> Object {
    let mut raw = raw_attributes(document, extra).into_owned();
    if resource_type.hides_attributes() {
        strip_hidden(&mut raw, resource_type);
    }
    raw
}

/// What the maps make of a stored user who is in these groups, directly or not.
pub(super) fn mapped_row(
    mapping: &Mapping,
    registry: &Registry,
    row: &ResourceRow,
    groups: &HashSet<&str>,
) -> Result<Mapped, StoreError> {
    let Some(user) = registry.by_name("User") else { return Ok(Mapped::default()) };
    let (document, extra) = (object(&row.doc), row.extra.as_deref().map(object));
    let mut mapped = mapping.mapped(user, &document, extra.as_ref())?;
    if let Some(map) = mapping.group_roles() {
        mapped.roles = map.text_of(&document, groups);
    }
    mapped.excluded = None;
    Ok(mapped)
}

impl Directory {
    /// Whether a new user with this is kept from the app: also where the filter fails for it.
    pub(super) fn excludes_new(&self, resource_type: &ResourceType, mapped: &Mapped) -> bool {
        resource_type.is_user()
            && mapped.excluded.unwrap_or(!matches!(self.mapping.gate, Gate::Open))
    }

    /// Whether a membership may give or take roles.
    pub(super) fn follows_memberships(&self) -> bool {
        self.mapping.group_roles().is_some()
    }
}

//! The roles and entitlements that a directory's users can be given
//! (draft-ietf-scim-roles-entitlements): put as a whole through the management API, read over SCIM.
//!
//! The list is declarative. A value that stays keeps its id; what it is contained by follows from
//! what the others contain.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::directory::missing;
use crate::scim::resource::{Document, Notes, Rules, UnknownAttributes, UnknownSchemas, validate};
use crate::scim::{Object, ResourceType, ScimError};
use crate::service::audit::{Target, action};
use crate::service::context::{Directory, State};
use crate::service::deletion::Deletion;
use crate::service::error::AdminError;
use crate::service::exchange::Trace;
use crate::service::record::Told;
use crate::service::seen::object;
use crate::service::unit::{Creation, Edit, Prepared, Revision, Site, content};
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::list::{Order, Walk};
use crate::store::plan::Predicate;
use crate::store::resource::ResourceRow;
use crate::store::schemas::SchemaRow;
use crate::store::{StoreError, Tx};

/// Most values of one kind.
const MAX_VALUES: usize = 1_000;
const LIMIT: i64 = 1_000;

const RULES: Rules = Rules {
    unknown_attributes: UnknownAttributes::Refuse,
    unknown_schemas: UnknownSchemas::Refuse,
};

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogue {
    Roles,
    Entitlements,
}

impl Catalogue {
    fn type_name(self) -> &'static str {
        match self {
            Self::Roles => "Role",
            Self::Entitlements => "Entitlement",
        }
    }

    fn changed(self) -> &'static str {
        match self {
            Self::Roles => action::ROLES_CHANGED,
            Self::Entitlements => action::ENTITLEMENTS_CHANGED,
        }
    }
}

impl Service {
    /// The values in the order in which they were first put, each with its id.
    pub async fn catalogue_get(
        &self,
        access: &ApiAccess,
        id: &str,
        which: Catalogue,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let rows: Result<Vec<ResourceRow>, StoreError> =
            self.store.get("catalogue_list", move |tx| stored(tx, row.key, which)).await;
        let shown = rows?.into_iter().map(|row| {
            let mut shown = object(&row.doc);
            shown.shift_remove("schemas");
            Value::Object(shown)
        });
        Ok(json!({"data": shown.collect::<Vec<Value>>()}))
    }

    /// Puts a list in place of the one before.
    pub async fn catalogue_put(
        &self,
        access: &ApiAccess,
        id: &str,
        which: Catalogue,
        body: &Object,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let own: Result<Option<SchemaRow>, StoreError> =
            self.store.get("schema_get", move |tx| tx.schema_get(row.key)).await;
        let registry = self.registry_of(own?.as_ref());
        let served = registry.catalogue().iter().find(|t| t.name == which.type_name());
        let Some(resource_type) = served.map(|t| Arc::new(t.writable())) else {
            return Err(missing());
        };
        let wanted = read(body, &resource_type)?;
        let directory = Arc::new(Directory::from_row(&row, registry));
        let site = |id: String| Site {
            directory: Arc::clone(&directory),
            resource_type: Arc::clone(&resource_type),
            id,
            now: self.clock.now_ms(),
            ids: self.clock.ids(),
            trace: Trace::off(),
            members_at_once: usize::MAX,
            removal: None,
        };
        let mut sites: Vec<(Site, String, Object)> = Vec::with_capacity(wanted.len());
        for (value, attributes) in wanted {
            sites.push((site(self.clock.id(&resource_type.id_prefix)), value, attributes));
        }
        let plain = site(String::new());
        let audit = self.audit(access, which.changed());
        self.store
            .write("catalogue_put", move |tx| {
                let before = values(tx, row.key, which)?;
                replace(tx, &plain, &sites, which)?;
                let after = values(tx, row.key, which)?;
                Ok::<_, ServiceError>(audit.write(tx, Target::directory(&row), before, after)?)
            })
            .await?;
        self.forget_access();
        self.catalogue_get(access, id, which).await
    }
}

/// The values in the order in which they were first put.
fn stored(tx: &mut Tx<'_>, key: i64, which: Catalogue) -> Result<Vec<ResourceRow>, StoreError> {
    tx.resource_walk(&Walk {
        directory_key: key,
        resource_type: which.type_name(),
        predicate: &Predicate::All,
        order: Order::Key,
        rising: true,
        beyond: None,
        offset: 0,
        limit: LIMIT,
    })
}

/// The values by what they are called, as the audit log keeps them.
fn values(tx: &mut Tx<'_>, key: i64, which: Catalogue) -> Result<Value, StoreError> {
    let rows = stored(tx, key, which)?;
    let named = rows.iter().map(|row| {
        let mut doc = object(&row.doc);
        for name in ["schemas", "containedBy"] {
            doc.shift_remove(name);
        }
        let value = doc.get("value").and_then(Value::as_str).unwrap_or_default().to_owned();
        (value, Value::Object(doc))
    });
    Ok(Value::Object(named.collect()))
}

/// Makes the stored values the wanted ones. Of two lists that are put at once the later one stands:
/// no other writer is in the directory meanwhile.
fn replace(
    tx: &mut Tx<'_>,
    plain: &Site,
    wanted: &[(Site, String, Object)],
    which: Catalogue,
) -> Result<(), ServiceError> {
    let state = tx.directory_lock_exclusive(plain.directory.key)?;
    if state.is_none_or(|state| state == State::Deleting.as_str()) {
        return Err(missing());
    }
    let at = |id: &str| Site { id: id.to_owned(), ..plain.clone() };
    let mut known: HashMap<String, ResourceRow> = HashMap::new();
    let rows = tx.resource_chunk_locked(plain.directory.key, which.type_name(), 0, LIMIT)?;
    for row in rows {
        let value = object(&row.doc).get("value").and_then(Value::as_str).map(str::to_owned);
        known.insert(value.unwrap_or_default(), row);
    }
    for (site, value, attributes) in wanted {
        let resource_type = &site.resource_type;
        match known.remove(value) {
            None => {
                let document = Document::canonical(attributes.clone(), &site.id, resource_type)?;
                let content = content(&document, &Object::new(), resource_type, &site.directory)?;
                let creation = Creation {
                    site: site.clone(),
                    content,
                    members: Vec::new(),
                    told: Told::nothing(),
                    revive: None,
                    plan: None,
                };
                creation.run(tx)?;
            }
            Some(row) => {
                let document = Document::canonical(attributes.clone(), &row.id, resource_type)?;
                let edit = Edit { document, extra: Object::new(), members: Vec::new() };
                let site = at(&row.id);
                let prepared = Prepared::of(&row, edit, &site)?;
                if !prepared.changes_nothing(&row) {
                    let never = |_: &ResourceRow| Err(StoreError::MissingReference.into());
                    let revision = Revision { site, condition: None, edit: Arc::new(never) };
                    revision.run(tx, Some(&prepared))?;
                }
            }
        }
    }
    for row in known.into_values() {
        Deletion { site: at(&row.id), condition: None }.run(tx)?;
    }
    Ok(())
}

/// The values of a body with their attributes, checked; the error names the element.
fn read(body: &Object, resource_type: &ResourceType) -> Result<Vec<(String, Object)>, AdminError> {
    let Some(elements) = body.get("data").and_then(Value::as_array) else {
        return Err(AdminError::invalid("data", "it must be a list."));
    };
    if let Some(name) = body.keys().find(|name| *name != "data") {
        return Err(AdminError::invalid(name, "it is not known here; allowed is \"data\"."));
    }
    if elements.len() > MAX_VALUES {
        let message =
            format!("it has {} elements; at most {MAX_VALUES} are allowed.", elements.len());
        return Err(AdminError::invalid("data", message));
    }
    let mut found: Vec<(String, Object)> = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let at = format!("data[{index}]");
        let refuse = |error: ScimError| AdminError::invalid(&at, error.detail);
        let Some(sent) = element.as_object() else {
            return Err(AdminError::invalid(&at, "it must be an object."));
        };
        let mut attributes =
            validate::representation(sent.clone(), resource_type, RULES, &mut Notes::default())
                .map_err(refuse)?;
        attributes.entry("supported").or_insert(true.into());
        // What the server answers may be sent back: an id is read-only, and this follows.
        attributes.shift_remove("containedBy");
        let value = attributes.get("value").and_then(Value::as_str).unwrap_or_default().to_owned();
        if value.is_empty() {
            return Err(AdminError::invalid(&format!("{at}.value"), "it must not be empty."));
        }
        found.push((value, attributes));
    }
    check_values(&found)?;
    contain(&mut found);
    Ok(found)
}

fn check_values(found: &[(String, Object)]) -> Result<(), AdminError> {
    let mut values = HashSet::new();
    for (index, (value, _)) in found.iter().enumerate() {
        if !values.insert(value.as_str()) {
            let message = format!("the value \"{value}\" stands twice.");
            return Err(AdminError::invalid(&format!("data[{index}].value"), message));
        }
    }
    for (index, (_, attributes)) in found.iter().enumerate() {
        let unknown = contained(attributes).find(|inner| !values.contains(inner));
        if let Some(unknown) = unknown {
            let message = format!("\"{unknown}\" is no value of this list.");
            return Err(AdminError::invalid(&format!("data[{index}].contains"), message));
        }
    }
    Ok(())
}

fn contained(attributes: &Object) -> impl Iterator<Item = &str> {
    let list = attributes.get("contains").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// Writes `containedBy` from `contains`.
fn contain(found: &mut [(String, Object)]) {
    let mut parents: HashMap<String, Vec<Value>> = HashMap::new();
    for (value, attributes) in found.iter() {
        for inner in contained(attributes) {
            parents.entry(inner.to_owned()).or_default().push(value.as_str().into());
        }
    }
    for (value, attributes) in found {
        if let Some(parents) = parents.remove(value) {
            attributes.insert("containedBy".into(), parents.into());
        }
    }
}

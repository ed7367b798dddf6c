//! The configuration of a source: checked by the fields of its kind, sealed in the database, shown with
//! its secrets masked.

use serde_json::{Value, json};

use super::Syncs;
use super::settings::ReadSettings;
use crate::pull::field::{self, Field, Setter, Shape};
use crate::pull::{SourceKind, connectors};
use crate::scim::Object;
use crate::service::context::Settings;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::Tx;
use crate::store::directory::DirectoryRow;
use crate::store::sync::SyncRow;

/// What a directory that is read shows beside the others.
#[derive(Clone, Debug)]
pub(in crate::service) struct SourceView {
    pub(in crate::service) config: Value,
    pub(in crate::service) last_sync: Option<i64>,
    pub(in crate::service) last_counts: Option<Value>,
    pub(in crate::service) last_error: Option<String>,
    pub(in crate::service) next_sync: Option<i64>,
}

/// A configuration that may be stored.
pub(in crate::service) struct Checked {
    kind: &'static SourceKind,
    config: Object,
}

/// Refuses a configuration where there is nothing to configure.
pub(in crate::service) fn refuse(config: Option<&Value>) -> Result<(), AdminError> {
    match config {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(members)) if members.is_empty() => Ok(()),
        Some(_) => Err(AdminError::invalid("config", "a SCIM directory has no configuration.")),
    }
}

/// Refuses what lets somebody push into a directory that is read.
pub(in crate::service) fn refuse_push(row: &DirectoryRow) -> Result<(), AdminError> {
    match SourceKind::named(&row.kind) {
        None => Ok(()),
        Some(_) => {
            let message = "The directory is read from its source; nobody pushes into it.";
            Err(AdminError::new(409, "not_pushable", message))
        }
    }
}

/// What opens private networks or folders of the installation is the operator's: an API key that is limited
/// to organizations, which may be a customer's, changes none of it. Nor does it lead a source elsewhere for
/// which the operator has opened something.
fn refuse_limited(
    access: &ApiAccess,
    kind: &SourceKind,
    old: &Object,
    new: &Object,
) -> Result<(), AdminError> {
    if access.organization_ids.is_none() {
        return Ok(());
    }
    let usual = |field: &Field| serde_json::from_str::<Value>(field.default).ok();
    let in_force =
        |config: &Object, field: &Field| config.get(field.name).cloned().or_else(|| usual(field));
    let is_operators = |field: &&Field| field.setter == Setter::Operator;
    let is_opened = kind.fields.iter().filter(is_operators).any(|f| in_force(old, f) != usual(f));
    let is_bound = |field: &&Field| is_operators(field) || (is_opened && field.shape == Shape::Url);
    let changed = kind
        .fields
        .iter()
        .filter(is_bound)
        .find(|field| in_force(old, field) != in_force(new, field));
    let Some(field) = changed else { return Ok(()) };
    let message = match field.setter {
        Setter::Operator => "only an API key that is not limited to organizations can set it.",
        Setter::Anyone => {
            "the directory has fields that only an operator sets; with them only an API key that is not \
             limited to organizations can change the address."
        }
    };
    Err(AdminError::invalid(&format!("config.{}", field.name), message))
}

fn object_of(config: Option<&Value>) -> Result<Object, AdminError> {
    match config {
        None | Some(Value::Null) => Ok(Object::new()),
        Some(Value::Object(members)) => Ok(members.clone()),
        Some(_) => Err(AdminError::invalid("config", "it must be an object.")),
    }
}

impl Service {
    /// Checks a configuration of that kind; `None` for a kind that is pushed.
    pub(in crate::service) fn source_checked(
        &self,
        access: &ApiAccess,
        kind: &str,
        config: Option<&Value>,
    ) -> Result<Option<Checked>, AdminError> {
        let Some(kind) = SourceKind::named(kind) else { return refuse(config).map(|()| None) };
        let config = object_of(config)?;
        refuse_limited(access, kind, &Object::new(), &config)?;
        self.checked(kind, config).map(Some)
    }

    /// A changed configuration: what a change leaves out stays as it is.
    pub(in crate::service) fn source_changed(
        &self,
        access: &ApiAccess,
        row: &DirectoryRow,
        sync: &SyncRow,
        change: &Value,
    ) -> Result<Option<Checked>, AdminError> {
        let Some(kind) = SourceKind::named(&row.kind) else {
            return refuse(Some(change)).map(|()| None);
        };
        let old = self.syncs.open_config(row, sync).unwrap_or_default();
        let new = field::merged(&old, &object_of(Some(change))?, kind.fields);
        refuse_limited(access, kind, &old, &new)?;
        self.checked(kind, new).map(Some)
    }

    /// Whether a change leaves the configuration of a directory as it is.
    ///
    /// # Errors
    /// 409 `not_pullable` for a directory that is pushed.
    pub(in crate::service) async fn source_is(
        &self,
        access: &ApiAccess,
        id: &str,
        change: &Object,
    ) -> Result<bool, ServiceError> {
        let (row, sync, kind) = self.source_of(access, id).await?;
        let old = self.syncs.open_config(&row, &sync).unwrap_or_default();
        Ok(field::merged(&old, change, kind.fields) == old)
    }

    fn checked(&self, kind: &'static SourceKind, config: Object) -> Result<Checked, AdminError> {
        let mut faults = field::check(&config, kind.fields).into_iter();
        if let Some((place, message)) = faults.next() {
            let mut error = AdminError::invalid(&place, message);
            error.errors.extend(faults);
            return Err(error);
        }
        let whole = field::with_defaults(&config, kind.fields);
        (kind.check)(&whole, &self.syncs.outbound)
            .map_err(|(name, message)| AdminError::invalid(&format!("config.{name}"), message))?;
        Ok(Checked { kind, config })
    }

    /// The kinds of sources.
    pub fn connector_list(&self) -> Value {
        let shown = connectors::ALL.iter().map(
            |kind| json!({"kind": kind.name, "title": kind.title, "description": kind.description}),
        );
        json!({"data": shown.collect::<Vec<Value>>()})
    }

    /// A kind of source with the JSON Schema of its configuration.
    pub fn connector(&self, name: &str) -> Result<Value, ServiceError> {
        let kind = SourceKind::named(name).ok_or_else(|| {
            let known: Vec<&str> = connectors::ALL.iter().map(|kind| kind.name).collect();
            let name: String = name.chars().take(80).collect();
            let message =
                format!("There is no connector \"{name}\"; known are {}.", known.join(", "));
            AdminError::new(404, "entity_not_found", message)
        })?;
        let operator = |field: &&Field| field.setter == Setter::Operator;
        let names: Vec<&str> =
            kind.fields.iter().filter(operator).map(|field| field.name).collect();
        Ok(json!({
            "kind": kind.name,
            "title": kind.title,
            "description": kind.description,
            "files": kind.files,
            "operator_only": names,
            "config_schema": field::schema(kind.title, kind.fields),
        }))
    }
}

impl Checked {
    /// Stores it for a new directory, in the unit that makes the directory.
    pub(in crate::service) fn store(
        &self,
        tx: &mut Tx<'_>,
        row: &DirectoryRow,
        syncs: &Syncs,
        now: i64,
    ) -> Result<(), ServiceError> {
        Ok(tx.sync_insert(row.key, &self.sealed(row, syncs), self.first(row, now))?)
    }

    /// Stores it in the place of the one before.
    pub(in crate::service) fn replace(
        &self,
        tx: &mut Tx<'_>,
        row: &DirectoryRow,
        syncs: &Syncs,
        now: i64,
    ) -> Result<(), ServiceError> {
        Ok(tx.sync_config_set(row.key, &self.sealed(row, syncs), self.first(row, now))?)
    }

    fn sealed(&self, row: &DirectoryRow, syncs: &Syncs) -> String {
        let text = Value::Object(self.config.clone()).to_string();
        syncs.seal.seal(row.id.as_bytes(), text.as_bytes())
    }

    fn first(&self, row: &DirectoryRow, now: i64) -> Option<i64> {
        next_after_change(self.kind, &row.settings, now)
    }
}

/// When a directory is read first by changed settings: at once, if it is read by itself at all.
pub(in crate::service) fn next_after_change(
    kind: &SourceKind,
    settings: &str,
    now: i64,
) -> Option<i64> {
    let settings = ReadSettings::of(&Settings::stored(settings), kind).ok()?;
    settings.every_ms.map(|_| now)
}

impl Syncs {
    /// The configuration as it was sent, with its secrets. `None` when it cannot be opened, which the key
    /// of the installation decides.
    pub(super) fn open_config(&self, row: &DirectoryRow, sync: &SyncRow) -> Option<Object> {
        let bytes = self.seal.open(row.id.as_bytes(), &sync.config)?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What is shown of a directory that is read.
    pub(in crate::service) fn view(&self, row: &DirectoryRow, sync: &SyncRow) -> SourceView {
        let fields = SourceKind::named(&row.kind).map_or(&[][..], |kind| kind.fields);
        let config = self.open_config(row, sync).unwrap_or_default();
        let counts = sync.last_counts.as_deref();
        SourceView {
            config: Value::Object(field::masked(&config, fields)),
            last_sync: sync.last_sync,
            last_counts: counts.and_then(|counts| serde_json::from_str(counts).ok()),
            last_error: sync.last_error.clone(),
            next_sync: sync.next_at,
        }
    }
}

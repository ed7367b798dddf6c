//! A directory's own schemas: read, checked as a whole, and put in place of the ones before.
//!
//! A change converts what is stored: index entries and unique values follow the new schemas, and
//! values move between a document and its `extra`. While that goes on, in bounded units, writes into
//! the directory are refused with 503, so that none is made by the old rules; reads go on. A change
//! that a stopped process left behind is finished by the next one.

use serde_json::{Value, json};

use super::directory::missing;
use crate::scim::resource::{Document, convert};
use crate::scim::schema::{Claim, OwnSchemas, Problems};
use crate::scim::{Object, Registry, ResourceType};
use crate::service::context::Directory;
use crate::service::error::AdminError;
use crate::service::record::{Recorder, object};
use crate::service::unit::columns;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::resource::{ResourceContent, ResourceRow};
use crate::store::schemas::SchemaRow;
use crate::store::{StoreError, Tx};

use std::sync::Arc;

/// Largest document, in bytes of JSON.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// Resources converted in one unit.
const CHUNK: i64 = 200;

/// Duplicates that a refusal shows.
const SHOWN: usize = 20;

const EMPTY: &str = "{}";

impl Service {
    /// The built-in types with the directory's own schemas. A stored document that this version no
    /// longer accepts is left out, with a log line: a directory must go on working after an upgrade.
    pub(crate) fn registry_of(&self, own: Option<&SchemaRow>) -> Registry {
        own.map_or_else(|| self.registry.clone(), |row| self.registry_from(&row.document))
    }

    fn registry_from(&self, document: &str) -> Registry {
        match OwnSchemas::parse(&object(document), &self.registry) {
            Ok(own) => own.added_to(&self.registry),
            Err(problems) => {
                tracing::warn!(?problems, "the schemas of a directory are not understood");
                self.registry.clone()
            }
        }
    }

    /// The document as it was put.
    pub async fn schemas_get(&self, access: &ApiAccess, id: &str) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let own: Result<Option<SchemaRow>, StoreError> =
            self.store.get("schema_get", move |tx| tx.schema_get(row.key)).await;
        let document = own?.map_or_else(Object::new, |own| object(&own.document));
        let list = |name: &str| document.get(name).cloned().unwrap_or_else(|| json!([]));
        Ok(json!({"schemas": list("schemas"), "resource_types": list("resource_types")}))
    }

    /// Puts a document in place of the one before and converts what is stored.
    pub async fn schemas_put(
        &self,
        access: &ApiAccess,
        id: &str,
        document: Object,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let own = OwnSchemas::parse(&document, &self.registry).map_err(refused)?;
        let text = Value::Object(document).to_string();
        if text.len() > MAX_DOCUMENT_BYTES {
            let message = format!(
                "The schemas are {} bytes large; at most {MAX_DOCUMENT_BYTES} are allowed.",
                text.len()
            );
            return Err(AdminError::new(413, "payload_too_large", message).into());
        }
        let (key, registry, builtin) =
            (row.key, own.added_to(&self.registry), self.registry.clone());
        let begun =
            self.store.write("schema_change", move |tx| begin(tx, key, &text, &registry, &builtin));
        if begun.await? {
            self.forget_access();
            let converted = self.convert_directory(key).await;
            self.forget_access();
            converted?;
        }
        self.schemas_get(access, id).await
    }

    /// Finishes every change that was begun, also one that a stopped process left behind.
    pub async fn finish_schema_changes(&self) -> Result<(), ServiceError> {
        let keys: Result<Vec<i64>, StoreError> =
            self.store.get("schema_converting", |tx| tx.schema_converting()).await;
        for key in keys? {
            // One directory that cannot be converted now does not hold up the others.
            if let Err(error) = self.convert_directory(key).await {
                tracing::warn!(%error, "a change of schemas is not finished yet");
            }
        }
        Ok(())
    }

    /// Converts every resource; when values that must be unique are not, takes the change back.
    async fn convert_directory(&self, key: i64) -> Result<(), ServiceError> {
        let Some(change) = self.schema_change(key).await? else { return Ok(()) };
        let duplicates = self.convert_resources(&change).await?;
        if duplicates.is_empty() {
            return self.end(key, change.document).await;
        }
        let (document, previous) = (change.previous.clone(), change.document.clone());
        let undone: Result<(), StoreError> = self
            .store
            .write("schema_change", move |tx| {
                tx.directory_lock_exclusive(key)?;
                tx.schema_change(key, &document, &previous)
            })
            .await;
        undone?;
        if let Some(back) = self.schema_change(key).await? {
            self.convert_resources(&back).await?;
            self.end(key, back.document).await?;
        }
        Err(not_unique(&duplicates))
    }

    async fn schema_change(&self, key: i64) -> Result<Option<Change>, ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("schema_get", move |tx| {
                let own = tx.schema_get(key)?;
                Ok(own.zip(tx.directory_by_key(key)?))
            })
            .await;
        let Some((own, row)) = found? else { return Ok(None) };
        let Some(previous) = own.previous else { return Ok(None) };
        Ok(Some(Change {
            old: self.registry_from(&previous),
            directory: Arc::new(Directory::from_row(&row, self.registry_from(&own.document))),
            document: own.document,
            previous,
        }))
    }

    /// Answers the values that several resources claim.
    async fn convert_resources(&self, change: &Change) -> Result<Vec<Claim>, ServiceError> {
        let mut duplicates: Vec<Claim> = Vec::new();
        for new in change.directory.registry.types() {
            let old = change.old.by_name(&new.name).unwrap_or(new);
            let mut after = 0;
            loop {
                let step = Step {
                    directory: Arc::clone(&change.directory),
                    old: Arc::clone(old),
                    new: Arc::clone(new),
                    ids: self.clock.ids(),
                    now: self.clock.now_ms(),
                };
                let converted: (Option<i64>, Vec<Claim>) =
                    self.store.write("schema_convert", move |tx| step.chunk(tx, after)).await?;
                duplicates.extend(converted.1);
                match converted.0 {
                    Some(last) if duplicates.len() < SHOWN => after = last,
                    _ => break,
                }
            }
        }
        Ok(duplicates)
    }

    async fn end(&self, key: i64, document: String) -> Result<(), ServiceError> {
        let ended: Result<(), StoreError> = self
            .store
            .write("schema_converted", move |tx| {
                tx.directory_lock_exclusive(key)?;
                tx.schema_converted(key, &document)
            })
            .await;
        Ok(ended?)
    }
}

/// A change that was begun: from which registry to which, and the documents.
struct Change {
    old: Registry,
    /// With the new registry.
    directory: Arc<Directory>,
    document: String,
    previous: String,
}

/// Begins a change; false when the document is the same as before.
fn begin(
    tx: &mut Tx<'_>,
    key: i64,
    document: &str,
    registry: &Registry,
    builtin: &Registry,
) -> Result<bool, ServiceError> {
    let state = tx.directory_lock_exclusive(key)?.ok_or_else(missing)?;
    if state == "deleting" {
        return Err(missing());
    }
    let before = tx.schema_get(key)?;
    let (old, under_way) = match &before {
        Some(row) => (row.document.as_str(), row.previous.is_some()),
        None => (EMPTY, false),
    };
    if under_way {
        let message = "Another change of this directory's schemas is under way; try again.";
        return Err(AdminError::new(409, "schema_change_under_way", message).into());
    }
    if old == document {
        return Ok(false);
    }
    refuse_orphans(tx, key, old, registry, builtin)?;
    tx.schema_change(key, document, old)?;
    Ok(true)
}

/// A resource type can go only when it has no resources.
fn refuse_orphans(
    tx: &mut Tx<'_>,
    key: i64,
    old: &str,
    registry: &Registry,
    builtin: &Registry,
) -> Result<(), ServiceError> {
    let old = match OwnSchemas::parse(&object(old), builtin) {
        Ok(own) => own.added_to(builtin),
        Err(_) => return Ok(()),
    };
    for gone in old.types().iter().filter(|t| registry.by_name(&t.name).is_none()) {
        let resources = tx.count_total(key, &gone.name)?;
        if resources > 0 {
            let message = format!(
                "The resource type \"{}\" has {resources} resources; delete them before it.",
                gone.name
            );
            return Err(AdminError::new(409, "resource_type_in_use", message).into());
        }
    }
    Ok(())
}

/// The conversion of some resources of one type.
struct Step {
    directory: Arc<Directory>,
    old: Arc<ResourceType>,
    new: Arc<ResourceType>,
    ids: crate::clock::Ids,
    now: i64,
}

impl Step {
    /// Answers the last key, `None` when there are no more, and the values that are not unique.
    fn chunk(
        &self,
        tx: &mut Tx<'_>,
        after: i64,
    ) -> Result<(Option<i64>, Vec<Claim>), ServiceError> {
        let rows = tx.resource_chunk_locked(self.directory.key, &self.new.name, after, CHUNK)?;
        let mut recorder =
            Recorder { directory: &self.directory, ids: self.ids.clone(), now: self.now };
        let mut duplicates = Vec::new();
        for row in &rows {
            duplicates.extend(self.row(tx, row, &mut recorder)?);
        }
        Ok((rows.last().map(|row| row.key), duplicates))
    }

    fn row(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        recorder: &mut Recorder<'_>,
    ) -> Result<Vec<Claim>, ServiceError> {
        let (key, profile) = (self.directory.key, &self.directory.profile);
        let stored = object(&row.doc);
        let extra = row.extra.as_deref().map(object).unwrap_or_default();
        let (document, extra) = convert(&stored, &extra, &self.new);
        let before = columns(&Document::stored(stored), &self.old, profile)?;
        let after = columns(&document, &self.new, profile)?;
        tx.attribute_keys_change(key, row.key, &before.attributes, &after.attributes)?;
        for gone in before.claims.iter().filter(|claim| !after.claims.contains(claim)) {
            tx.unique_release(key, &gone.scope, &gone.key, row.key)?;
        }
        let mut duplicates = Vec::new();
        for claim in &after.claims {
            match tx.unique_holder(key, &claim.scope, &claim.key)? {
                Some(holder) if holder == row.key => {}
                Some(_) => duplicates.push(claim.clone()),
                None => tx.unique_claim(key, &claim.scope, &claim.key, row.key)?,
            }
        }
        let content = ResourceContent {
            columns: after,
            display: row_display(&document),
            doc: document.to_json(),
            extra: (!extra.is_empty()).then(|| Value::Object(extra).to_string()),
        };
        if content.doc != row.doc || content.extra != row.extra {
            tx.resource_update(key, row.key, row.version, &content, self.now.max(row.modified))?;
            let new = ResourceRow {
                doc: content.doc,
                extra: content.extra,
                version: row.version + 1,
                modified: self.now.max(row.modified),
                ..row.clone()
            };
            recorder.updated(tx, row, &new)?;
        }
        Ok(duplicates)
    }
}

fn row_display(document: &Document) -> Option<String> {
    document.text("displayName").filter(|text| !text.is_empty()).map(str::to_owned)
}

fn refused(problems: Problems) -> ServiceError {
    let count = problems.len();
    let first = problems.first().map(|p| format!("{} {}", p.at, p.message)).unwrap_or_default();
    let mut error = AdminError::new(
        422,
        "invalid_schemas",
        format!("The schemas have {count} faults; the first: {first}"),
    );
    error.errors = problems.into_iter().map(|problem| (problem.at, problem.message)).collect();
    error.into()
}

fn not_unique(duplicates: &[Claim]) -> ServiceError {
    let mut shown: Vec<String> = Vec::new();
    for claim in duplicates.iter().take(SHOWN) {
        let value: String = claim.key.chars().take(80).collect();
        let line = format!("{} \"{value}\"", claim.attribute);
        if !shown.contains(&line) {
            shown.push(line);
        }
    }
    let message = format!(
        "Values that the schemas want to be unique are held by several resources: {}. Nothing was \
         changed.",
        shown.join(", ")
    );
    AdminError::new(409, "duplicate_values", message).into()
}

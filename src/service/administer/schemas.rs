//! A directory's own schemas: read, checked as a whole, put in place of the ones before.
//!
//! A change converts what is stored: index entries and unique values follow the new schemas, and
//! values move between a document and its `extra`. While that goes on, in bounded units, writes into
//! the directory are refused with 503, so that none is made by the old rules; reads go on.
//!
//! First every resource claims what the new schemas want to be unique. Only when nothing is claimed
//! twice are documents touched; otherwise the change is taken back, and no resource has changed. A
//! change that a stopped process left behind is finished by the next one. Several processes may work
//! on one change: each unit takes the directory for itself and asks whether the change still stands.

use serde_json::{Value, json};

use super::directory::missing;
use crate::scim::resource::project::strip_hidden;
use crate::scim::resource::{Document, convert};
use crate::scim::schema::{Claim, OwnSchemas, Problems};
use crate::scim::{Object, Registry, ResourceType};
use crate::service::audit::{Target, action};
use crate::service::context::{Directory, State};
use crate::service::error::AdminError;
use crate::service::exchange::Listed;
use crate::service::identity::Scope;
use crate::service::mapping::follow;
use crate::service::policy::InForce;
use crate::service::record::Recorder;
use crate::service::seen::object;
use crate::service::unit::{columns, mapped};
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::resource::{AppSide, Mapped, ResourceContent, ResourceRow};
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
        let audit = self.audit(access, action::SCHEMAS_CHANGED);
        let begun = self.store.write("schema_change", move |tx| {
            let before = tx.schema_get(key)?.map_or_else(|| EMPTY.to_owned(), |own| own.document);
            let begun = begin(tx, key, &text, &registry, &builtin)?;
            let (before, after) = (object(&before).into(), object(&text).into());
            audit.write(tx, Target::directory(&row), before, after)?;
            Ok::<_, ServiceError>(begun)
        });
        if begun.await? {
            self.forget_access();
            let converted = self.convert_directory(key).await;
            self.forget_access();
            if let Ended::TakenBack(duplicates) = converted? {
                return Err(not_unique(&duplicates));
            }
        }
        self.schemas_get(access, id).await
    }

    /// Finishes every change that was begun, also one that a stopped process left behind.
    pub async fn finish_schema_changes(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let keys: Result<Vec<i64>, StoreError> =
            self.store.get("schema_converting", |tx| tx.schema_converting()).await;
        for key in keys? {
            // One directory that cannot be converted now does not hold up the others.
            let converted = self.convert_directory(key).await;
            self.forget_access();
            match converted {
                Ok(Ended::Done) => {}
                Ok(Ended::TakenBack(duplicates)) => {
                    let error = not_unique(&duplicates);
                    tracing::warn!(%error, "a change of schemas was taken back");
                }
                Err(error) => tracing::warn!(%error, "a change of schemas is not finished yet"),
            }
        }
        Ok(())
    }

    /// Converts every resource; when values that must be unique are not, takes the change back.
    async fn convert_directory(&self, key: i64) -> Result<Ended, ServiceError> {
        let Some(change) = self.schema_change(key).await? else { return Ok(Ended::Done) };
        let duplicates = match self.walk(&change, Pass::Claim).await? {
            Walk::Overtaken => return self.overtaken(&change).await,
            Walk::Complete(duplicates) => duplicates,
        };
        if !duplicates.is_empty() {
            return self.take_back(change, duplicates).await;
        }
        match self.walk(&change, Pass::Convert).await? {
            Walk::Overtaken => self.overtaken(&change).await,
            Walk::Complete(_) => self.end(&change).await,
        }
    }

    /// Back to the schemas before. No document was touched, so only claims are given up.
    async fn take_back(
        &self,
        change: Arc<Change>,
        duplicates: Vec<Claim>,
    ) -> Result<Ended, ServiceError> {
        let key = change.directory.key;
        let standing = Arc::clone(&change);
        let undone = self
            .store
            .write("schema_change", move |tx| {
                let stands = standing.stands(tx)?;
                if stands {
                    tx.schema_change(key, &standing.previous, &standing.document)?;
                }
                Ok::<_, StoreError>(stands)
            })
            .await;
        if !undone? {
            return self.overtaken(&change).await;
        }
        if let Some(back) = self.schema_change(key).await?
            && let Walk::Complete(_) = self.walk(&back, Pass::Convert).await?
        {
            self.end(&back).await?;
        }
        Ok(Ended::TakenBack(duplicates))
    }

    /// How a change ended that another process worked on as well, and ended first.
    async fn overtaken(&self, change: &Change) -> Result<Ended, ServiceError> {
        let key = change.directory.key;
        let own: Result<Option<SchemaRow>, StoreError> =
            self.store.get("schema_get", move |tx| tx.schema_get(key)).await;
        let taken_back = own?.is_some_and(|own| own.document == change.previous);
        Ok(if taken_back { Ended::TakenBack(Vec::new()) } else { Ended::Done })
    }

    async fn schema_change(&self, key: i64) -> Result<Option<Arc<Change>>, ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("schema_get", move |tx| {
                let own = tx.schema_get(key)?;
                Ok(own.zip(tx.directory_by_key(key)?))
            })
            .await;
        let Some((own, row)) = found? else { return Ok(None) };
        let Some(previous) = own.previous else { return Ok(None) };
        Ok(Some(Arc::new(Change {
            old: self.registry_from(&previous),
            directory: Arc::new(Directory::from_row(&row, self.registry_from(&own.document))),
            document: own.document,
            previous,
        })))
    }

    /// Takes every resource of the types that differ through one pass.
    async fn walk(&self, change: &Arc<Change>, pass: Pass) -> Result<Walk, ServiceError> {
        let mut duplicates: Vec<Claim> = Vec::new();
        for new in change.directory.registry.types() {
            let old = change.old.by_name(&new.name).unwrap_or(new);
            if new.is_stored_like(old) || (pass == Pass::Claim && new.unique.is_empty()) {
                continue;
            }
            let mut after = 0;
            loop {
                let step = Step {
                    change: Arc::clone(change),
                    pass,
                    old: Arc::clone(old),
                    new: Arc::clone(new),
                    ids: self.clock.ids(),
                    now: self.clock.now_ms(),
                };
                let chunk: Result<Option<Chunk>, ServiceError> =
                    self.store.write("schema_convert", move |tx| step.chunk(tx, after)).await;
                let Some(chunk) = chunk? else { return Ok(Walk::Overtaken) };
                duplicates.extend(chunk.duplicates);
                match chunk.last {
                    Some(last) if duplicates.len() < SHOWN => after = last,
                    _ => break,
                }
            }
        }
        Ok(Walk::Complete(duplicates))
    }

    async fn end(&self, change: &Arc<Change>) -> Result<Ended, ServiceError> {
        let standing = Arc::clone(change);
        let ended: Result<(), StoreError> = self
            .store
            .write("schema_converted", move |tx| match standing.stands(tx)? {
                true => tx.schema_converted(standing.directory.key, &standing.document),
                false => Ok(()),
            })
            .await;
        ended?;
        Ok(Ended::Done)
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

impl Change {
    /// Keeps every other unit of the directory out; false when the change was ended, or another one
    /// came after it.
    fn stands(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let key = self.directory.key;
        tx.directory_lock_exclusive(key)?;
        Ok(tx.directory_share(key)?.is_some_and(|shared| {
            shared.converting
                && shared.schema_version == self.directory.schema_version
                && shared.state != State::Deleting.as_str()
        }))
    }
}

enum Ended {
    Done,
    /// Because of these values; none when another process found them.
    TakenBack(Vec<Claim>),
}

enum Walk {
    /// Every resource was visited; these values are claimed by several.
    Complete(Vec<Claim>),
    /// The change no longer stands.
    Overtaken,
}

#[derive(Clone, Copy, PartialEq)]
enum Pass {
    /// Values that must be unique are claimed; nothing else changes.
    Claim,
    Convert,
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
    // What expressions are shown of a user may be another thing although nothing of the user changes.
    if tx.directory_by_key(key)?.is_some_and(|row| row.attribute_map.is_some()) {
        tx.mapping_cursor_set(key, Some(0))?;
    }
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
    // Rows hold the name as it is written, in its letter case.
    let stays = |name: &str| registry.types().iter().any(|kept| kept.name == name);
    for gone in old.types().iter().filter(|t| !stays(&t.name)) {
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

/// A pass over some resources of one type.
struct Step {
    change: Arc<Change>,
    pass: Pass,
    old: Arc<ResourceType>,
    new: Arc<ResourceType>,
    ids: crate::clock::Ids,
    now: i64,
}

struct Chunk {
    /// `None` when there are no more resources.
    last: Option<i64>,
    duplicates: Vec<Claim>,
}

impl Step {
    /// `None` when the change no longer stands.
    fn chunk(&self, tx: &mut Tx<'_>, after: i64) -> Result<Option<Chunk>, ServiceError> {
        if !self.change.stands(tx)? {
            return Ok(None);
        }
        let directory = &self.change.directory;
        let identities = Scope::enter(tx, directory)?;
        let rows = tx.resource_chunk_locked(directory.key, &self.new.name, after, CHUNK)?;
        let in_force = InForce { policies: directory.policies, changing: false };
        let (ids, event_ids) = (self.ids.clone(), Listed::default());
        let (now, has_intents, removal) = (self.now, false, None);
        let mut recorder =
            Recorder { directory, in_force, identities, ids, now, event_ids, has_intents, removal };
        let mut duplicates = Vec::new();
        for row in &rows {
            duplicates.extend(self.row(tx, row, &mut recorder)?);
        }
        Ok(Some(Chunk { last: rows.last().map(|row| row.key), duplicates }))
    }

    /// The row before, without what its old schemas never showed.
    fn as_told(&self, row: &ResourceRow) -> ResourceRow {
        let mut document = object(&row.doc);
        strip_hidden(&mut document, &self.old);
        ResourceRow { doc: Value::Object(document).to_string(), ..row.clone() }
    }

    fn row(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        recorder: &mut Recorder<'_>,
    ) -> Result<Vec<Claim>, ServiceError> {
        let (key, profile) = (self.change.directory.key, &self.change.directory.profile);
        let stored = object(&row.doc);
        let extra = row.extra.as_deref().map(object).unwrap_or_default();
        let (document, mut extra) = convert(&stored, &extra, &self.new);
        // What was never returned is told to nobody; without its schema nothing would know that.
        strip_hidden(&mut extra, &self.old);
        let before = columns(&Document::stored(stored), &self.old, profile);
        let (before, after) = match (before, columns(&document, &self.new, profile)) {
            (Ok(before), Ok(after)) => (before, after),
            // A damaged resource stays as it is and must not hold up the others.
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(id = row.id, %error, "a resource cannot be converted");
                return Ok(Vec::new());
            }
        };
        let duplicates = claim_all(tx, key, row.key, &after.claims)?;
        if self.pass == Pass::Claim {
            return Ok(duplicates);
        }
        for gone in before.claims.iter().filter(|claim| !after.claims.contains(claim)) {
            tx.unique_release(key, &gone.scope, &gone.key, row.key)?;
        }
        tx.attribute_keys_change(key, row.key, &before.attributes, &after.attributes)?;
        let mut content = ResourceContent {
            columns: after,
            display: row_display(&document),
            doc: document.to_json(),
            extra: (!extra.is_empty()).then(|| Value::Object(extra.clone()).to_string()),
            mapped: Mapped::default(),
        };
        if content.doc != row.doc || content.extra != row.extra {
            let modified = self.now.max(row.modified);
            let directory = &self.change.directory;
            content.mapped = mapped(&content, &self.new, directory)?;
            let roles = follow::roles_after(tx, directory, row, &content, false)?;
            let (state, excluded) = (row.app_state, row.excluded);
            let app = AppSide { state, roles: roles.as_deref(), excluded };
            tx.resource_update(key, row.key, row.version, &content, app, modified)?;
            let new = ResourceRow {
                doc: content.doc,
                extra: content.extra,
                custom_attributes: content.mapped.custom_attributes,
                roles,
                version: row.version + 1,
                modified,
                ..row.clone()
            };
            recorder.updated(tx, &self.as_told(row), &new, None)?;
        }
        Ok(duplicates)
    }
}

/// Claims what is free; answers what another resource holds.
fn claim_all(
    tx: &mut Tx<'_>,
    directory_key: i64,
    resource_key: i64,
    claims: &[Claim],
) -> Result<Vec<Claim>, StoreError> {
    let mut held = Vec::new();
    for claim in claims {
        match tx.unique_holder(directory_key, &claim.scope, &claim.key)? {
            Some(holder) if holder == resource_key => {}
            Some(_) => held.push(claim.clone()),
            None => tx.unique_claim(directory_key, &claim.scope, &claim.key, resource_key)?,
        }
    }
    Ok(held)
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
    let message = match shown.is_empty() {
        false => format!(
            "Values that the schemas want to be unique are held by several resources: {}. Nothing \
             was changed.",
            shown.join(", ")
        ),
        true => "Another process took the change back: values that the schemas want to be unique \
                 are held by several resources. Put the schemas again to see which."
            .to_owned(),
    };
    AdminError::new(409, "duplicate_values", message).into()
}

//! Create, replace, patch and delete (RFC 7644 §3.3, §3.5, §3.6), for every resource type alike.
//!
//! What can be computed without the database is computed here, before the unit: rewriting,
//! validation, patching. [`super::unit`] is what happens inside.

use std::sync::Arc;

use serde_json::Value;

use super::authenticate::Access;
use super::deletion::{Deleted, Deletion};
use super::mapping::work::computed;
use super::policy::Revive;
use super::record::Told;
use super::seen::object;
use super::unit::{
    Creation, Edit, Editor, Prepared, Revision, Site, Stored, check, content, mapped,
};
use super::unit_single::SingleCreation;
use super::{Service, ServiceError};
use crate::profile::{Profile, rewrite};
use crate::scim::patch::{self, MemberStep, members, op};
use crate::scim::resource::meta::Condition;
use crate::scim::resource::{Document, Notes, doc, validate};
use crate::scim::{Object, ResourceType, ScimError};
use crate::store::resource::{ResourceContent, ResourceRow};
use crate::store::{EventForm, Single, StoreError, Tx, UniqueRule};

/// A new resource, without what the maps of its directory make of it.
struct Draft {
    site: Site,
    document: Document,
    extra: Object,
    content: ResourceContent,
    members: Option<Vec<String>>,
    revive: Option<Arc<Editor>>,
    /// How its event is kept.
    form: EventForm,
}

impl Draft {
    /// Evaluates the maps, which may take its time.
    fn made(self) -> Result<Creation, ServiceError> {
        let Self { site, document, extra, mut content, members, revive, form } = self;
        content.mapped = mapped(&content, &site.resource_type, &site.directory)?;
        Ok(Creation {
            told: Told::new(&site, form, document.as_object(), &extra, &content),
            content,
            members: members.map(MemberStep::Add).into_iter().collect(),
            revive,
            plan: None,
            site,
        })
    }
}

impl Service {
    fn site(&self, access: &Access, resource_type: &Arc<ResourceType>, id: String) -> Site {
        Site {
            directory: Arc::clone(&access.directory),
            resource_type: Arc::clone(resource_type),
            id,
            now: self.clock.now_ms(),
            ids: self.clock.ids(),
            trace: access.trace.clone(),
            members_at_once: self.members_at_once,
            removal: access.removal,
        }
    }

    /// A new resource with the id that it will have.
    pub(super) fn creation(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: String,
        body: Object,
    ) -> Result<Creation, ServiceError> {
        self.draft(access, resource_type, id, body)?.made()
    }

    /// Whether a new resource could be stored, as far as that can be told without the database.
    pub(super) fn check_new(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        body: Object,
    ) -> Result<(), ServiceError> {
        self.draft(access, resource_type, "checked".to_owned(), body).map(drop)
    }

    fn draft(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: String,
        mut body: Object,
    ) -> Result<Draft, ServiceError> {
        let profile = &access.directory.profile;
        access.trace.rewritten(rewrite::representation(&mut body, resource_type, profile));
        let members = members::of_representation(&body, resource_type)?;
        let mut notes = Notes::default();
        let checked =
            validate::representation(body, resource_type, profile.value_rules(), &mut notes);
        access.trace.ignored(&notes);
        let mut attributes = checked?;
        default_active(&mut attributes, resource_type, true);
        let revive = match access.directory.policies.revive_on_create {
            Revive::SameExternalId if resource_type.is_user() => {
                reviver(resource_type, profile, &attributes, &notes.extra)
            }
            _ => None,
        };
        rewrite::stored(&mut attributes, resource_type, profile)?;
        let site = self.site(access, resource_type, id);
        let document = Document::canonical(attributes, &site.id, resource_type)?;
        let content = content(&document, &notes.extra, resource_type, &site.directory)?;
        // What is too large to be kept is not told either.
        let extra = content.extra.as_ref().map(|_| notes.extra).unwrap_or_default();
        let form = self.store.event_form();
        Ok(Draft { site, document, extra, content, members, revive, form })
    }

    /// POST: stores a new resource.
    pub async fn create(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        body: Object,
    ) -> Result<ResourceRow, ServiceError> {
        let id = self.clock.id(&resource_type.id_prefix);
        self.create_as(access, resource_type, id, body).await
    }

    /// The same, with an id that was given out before.
    pub(super) async fn create_as(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: String,
        body: Object,
    ) -> Result<ResourceRow, ServiceError> {
        let draft = self.draft(access, resource_type, id, body)?;
        let mut creation = match access.directory.mapping.attributes.is_some() {
            true => computed(move || draft.made()).await??,
            false => draft.made()?,
        };
        let site = creation.site.clone();
        creation.plan = self.plan_members(&site, None, &creation.members).await?;
        let creation = Arc::new(creation);
        let single = self.store.has_singles().then(|| SingleCreation::of(&creation)).flatten();
        let run = move |tx: &mut Tx<'_>| creation.run(tx);
        let created = match single {
            Some(single) => {
                let single = move |one: Single<'_>| single.run(one);
                self.store.write_in_one("resource_create", single, run).await
            }
            None => self.store.write("resource_create", run).await,
        };
        self.finished(site, created).await
    }

    /// The row that a unit has stored; when it left something to later units, the row after the last of
    /// them, which moves the version once more.
    async fn finished(
        &self,
        site: Site,
        stored: Result<Stored, ServiceError>,
    ) -> Result<ResourceRow, ServiceError> {
        let Stored { row, unfinished } = self.notice(stored)?;
        if !unfinished {
            return Ok(row);
        }
        self.finish_members(site.clone(), row.key).await?;
        let ended: Result<_, StoreError> =
            self.store.lookup_one("resource_get", move |tx| site.get(tx)).await;
        // The change is done, whether it can be read again or not.
        Ok(ended.ok().flatten().unwrap_or(row))
    }

    /// A PUT: attributes that are left out are cleared, but `active` and what the client cannot have
    /// seen keep their values: nobody gains or loses access by an omission.
    pub(super) fn replacement(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
        mut body: Object,
    ) -> Result<Revision, ServiceError> {
        let profile = &access.directory.profile;
        access.trace.rewritten(rewrite::representation(&mut body, resource_type, profile));
        let members = replaced_members(&body, resource_type)?;
        let mut notes = Notes::default();
        let checked =
            validate::representation(body, resource_type, profile.value_rules(), &mut notes);
        access.trace.ignored(&notes);
        let attributes = checked?;
        let (rt, profile) = (Arc::clone(resource_type), Arc::clone(profile));
        let edit = move |row: &ResourceRow| -> Result<Edit, ServiceError> {
            let document = replaced(row, attributes.clone(), &rt, &profile)?;
            Ok(Edit { document, extra: notes.extra.clone(), members: members.clone() })
        };
        let site = self.site(access, resource_type, id.to_owned());
        Ok(Revision { site, condition, edit: Arc::new(edit) })
    }

    /// PUT: replaces the resource.
    pub async fn replace(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
        body: Object,
    ) -> Result<ResourceRow, ServiceError> {
        let revision = self.replacement(access, resource_type, id, condition, body)?;
        self.revise(revision).await
    }

    /// A PATCH: all operations apply, or none.
    pub(super) fn patching(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
        body: &Object,
    ) -> Result<Revision, ServiceError> {
        let profile = Arc::clone(&access.directory.profile);
        let mut ops = op::parse(body, profile.patch_body_rules())?;
        access.trace.rewritten(rewrite::patch(&mut ops, resource_type, &profile));
        let (ops, members) = members::split(ops, resource_type, profile.patch_rules())?;
        let (rt, trace) = (Arc::clone(resource_type), access.trace.clone());
        let edit = move |row: &ResourceRow| -> Result<Edit, ServiceError> {
            let document = Document::stored(object(&row.doc));
            let extra = row.extra.as_deref().map(object).unwrap_or_default();
            let mut notes = Notes { extra, ..Notes::default() };
            let document = match ops.is_empty() {
                true => document,
                false => {
                    let rules = profile.patch_rules();
                    let patched = patch::apply(&document, &ops, &rt, rules, &mut notes);
                    trace.ignored(&notes);
                    let mut edited = patched?.into_object();
                    // Nobody gains access because `active` was taken away.
                    if !row.active {
                        default_active(&mut edited, &rt, false);
                    }
                    rewrite::stored(&mut edited, &rt, &profile)?;
                    Document::canonical(edited, &row.id, &rt)?
                }
            };
            Ok(Edit { document, extra: notes.extra, members: members.clone() })
        };
        let site = self.site(access, resource_type, id.to_owned());
        Ok(Revision { site, condition, edit: Arc::new(edit) })
    }

    /// PATCH: edits the resource.
    pub async fn patch(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
        body: &Object,
    ) -> Result<ResourceRow, ServiceError> {
        let revision = self.patching(access, resource_type, id, condition, body)?;
        self.revise(revision).await
    }

    /// Computes the change on what is stored now, outside the unit.
    pub(super) async fn revise(&self, revision: Revision) -> Result<ResourceRow, ServiceError> {
        let site = revision.site.clone();
        let found: Result<_, StoreError> =
            self.store.lookup_one("resource_get", move |tx| site.get(tx)).await;
        let row = found?.ok_or_else(|| revision.site.missing())?;
        revision.site.trace.met(&row);
        check(revision.condition.as_ref(), &row)?;
        let mut prepared = Prepared::of(&row, (revision.edit)(&row)?, &revision.site)?;
        if prepared.changes_nothing(&row) {
            return Ok(row);
        }
        let site = revision.site.clone();
        if site.directory.mapping.attributes.is_some() {
            let site = site.clone();
            prepared = computed(move || prepared.mapped(&site)).await??;
        } else {
            prepared = prepared.mapped(&site)?;
        }
        let group = Some((row.key, prepared.version));
        prepared.plan = self.plan_members(&site, group, &prepared.members).await?;
        let updated =
            self.store.write("resource_update", move |tx| revision.run(tx, Some(&prepared))).await;
        self.finished(site, updated).await
    }

    pub(super) fn deletion(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
    ) -> Deletion {
        Deletion { site: self.site(access, resource_type, id.to_owned()), condition }
    }

    /// DELETE: the resource, its memberships and its keys are gone at once.
    pub async fn delete(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
    ) -> Result<(), ServiceError> {
        let deletion = self.deletion(access, resource_type, id, condition);
        let site = deletion.site.clone();
        let deleted = self.store.write("resource_delete", move |tx| deletion.run(tx)).await;
        match self.notice(deleted)? {
            Deleted::Gone => Ok(()),
            Deleted::Begun { key } => self.finish_members(site, key).await,
        }
    }

    /// A request that found other schemas than it was let in with makes the next one read them.
    pub(super) fn notice<T>(&self, result: Result<T, ServiceError>) -> Result<T, ServiceError> {
        result.inspect_err(|error| {
            if matches!(error, ServiceError::SchemasChange) {
                self.forget_access();
            }
        })
    }
}

/// What a PUT of these attributes makes of a resource.
fn replaced(
    row: &ResourceRow,
    mut new: Object,
    resource_type: &ResourceType,
    profile: &Profile,
) -> Result<Document, ServiceError> {
    let old = object(&row.doc);
    doc::keep_unseen(&mut new, &old, resource_type);
    default_active(&mut new, resource_type, row.active);
    rewrite::stored(&mut new, resource_type, profile)?;
    refuse_immutable_changes(&old, &new, resource_type)?;
    Ok(Document::canonical(new, &row.id, resource_type)?)
}

/// Brings a user back who has the externalId that is sent; refuses everybody else as a create does
/// that finds the name taken. Whether the user is inactive is for the unit to say. `None` when no externalId is sent.
fn reviver(
    resource_type: &Arc<ResourceType>,
    profile: &Arc<Profile>,
    attributes: &Object,
    extra: &Object,
) -> Option<Arc<Editor>> {
    let sent = attributes.get("externalId")?.as_str().filter(|id| !id.is_empty())?.to_owned();
    let (rt, profile) = (Arc::clone(resource_type), Arc::clone(profile));
    let (attributes, extra) = (attributes.clone(), extra.clone());
    Some(Arc::new(move |row: &ResourceRow| {
        let held = object(&row.doc);
        let same = held.get("externalId").and_then(Value::as_str) == Some(sent.as_str());
        if !same {
            return Err(StoreError::Unique(UniqueRule::UserName).into());
        }
        let document = replaced(row, attributes.clone(), &rt, &profile)?;
        Ok(Edit { document, extra: extra.clone(), members: Vec::new() })
    }))
}

/// A PUT of a group sets exactly the members that it lists; one that lists none empties the group.
fn replaced_members(
    body: &Object,
    resource_type: &ResourceType,
) -> Result<Vec<MemberStep>, ScimError> {
    if members::members_attribute(resource_type).is_none() {
        return Ok(Vec::new());
    }
    let ids = members::of_representation(body, resource_type)?.unwrap_or_default();
    Ok(vec![MemberStep::Set(ids)])
}

/// `active` is always part of a user: a filter must find what an answer shows.
fn default_active(attributes: &mut Object, resource_type: &ResourceType, active: bool) {
    if resource_type.is_user() {
        attributes.entry("active").or_insert_with(|| active.into());
    }
}

/// An immutable attribute that has a value keeps it; leaving it out of a PUT is no change.
fn refuse_immutable_changes(
    old: &Object,
    new: &Object,
    resource_type: &ResourceType,
) -> Result<(), ScimError> {
    match doc::changed_immutable(old, new, resource_type) {
        Some(path) => Err(ScimError::mutability(format!(
            "The attribute \"{path}\" is immutable and already has another value."
        ))),
        None => Ok(()),
    }
}

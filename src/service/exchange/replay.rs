//! A recorded request once more, without storing anything: what the profile of today, or another one,
//! does with it.
//!
//! The request runs in a unit that is always rolled back, on the directory as it is now. Only for a
//! create the resource that it made is taken away before, in the same unit; otherwise the answer would
//! be that it exists. Conditions (`If-Match`) and the form of the answer are not replayed.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::compose::compose;
use super::{Exchange, Kind, Trace};
use crate::profile::{PROVIDERS, PatchReply};
use crate::scim::{Object, ResourceType};
use crate::service::authenticate::served_catalogue;
use crate::service::context::Directory;
use crate::service::deletion::Deletion;
use crate::service::error::AdminError;
use crate::service::unit::{Creation, Revision};
use crate::service::{Access, ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::{StoreError, Tx, UnitError};

/// The body of a replay.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The provider whose profile is tried; without it the directory's own.
    #[serde(default)]
    pub profile: Option<String>,
}

/// What the two outcomes are compared by.
const COMPARED: [&str; 5] = ["status", "rewritten", "ignored", "changes", "error"];

/// A request that can be done again.
struct Plan {
    method: String,
    resource_type: Arc<ResourceType>,
    id: String,
    body: Object,
    /// What a create made when it was recorded.
    made: Option<String>,
}

/// What a replay runs.
enum Run {
    Create { creation: Box<Creation>, before: Option<Box<Deletion>> },
    Revise(Revision),
    Delete(Deletion),
}

impl Service {
    /// Does a recorded request again and answers
    /// `{id, directory_id, profile, status, rewritten, ignored, changes, error, difference}`.
    pub async fn replay(
        self: &Arc<Self>,
        access: &ApiAccess,
        directory_id: &str,
        id: &str,
        wanted: Replay,
    ) -> Result<Value, ServiceError> {
        let record = self.record_get(access, directory_id, id).await?;
        let mut row = self.directory_row(access, directory_id).await?;
        if let Some(provider) = &wanted.profile {
            if !PROVIDERS.contains(&provider.as_str()) {
                let message =
                    format!("it is \"{provider}\"; allowed are {}.", PROVIDERS.join(", "));
                return Err(AdminError::invalid("profile", message).into());
            }
            row.kind = format!("scim.{provider}");
        }
        let directory = self.directory_of(row).await?;
        let plan = Plan::of(&record, &directory)?;
        let trace = Trace::on();
        let plain = Access::of_directory(directory);
        let traced = plain.traced(trace.clone());
        let reply = traced.directory.profile.group_patch_reply;
        let recorded = record.get("status").and_then(Value::as_u64).unwrap_or_default();
        let (status, error) = match self.rolled_back(&plain, &traced, &plan).await {
            Ok(()) => (plan.success(reply, recorded), None),
            Err(error) => {
                let error = error.to_scim();
                (error.status, Some(error.body().to_string().into_bytes()))
            }
        };
        let again = compose(&Exchange {
            directory: Arc::clone(&traced.directory),
            id: id.to_owned(),
            client_id: None,
            at: self.clock.now_ms(),
            kind: Kind::Write,
            method: plan.method.clone(),
            path: String::new(),
            scim: "2.0",
            client: None,
            user_agent: String::new(),
            status,
            duration: Duration::ZERO,
            resource: None,
            error,
            trace,
        });
        let again = again.record;
        let mut answer = json!({
            "id": id,
            "directory_id": directory_id,
            "profile": traced.directory.provider,
        });
        let mut difference = Vec::new();
        for name in COMPARED {
            let (before, now) = (record.get(name), again.get(name));
            if before != now {
                difference.push(json!({"field": name, "recorded": before, "replayed": now}));
            }
            if let Some(members) = answer.as_object_mut() {
                members.insert(name.to_owned(), now.cloned().unwrap_or_default());
            }
        }
        if let Some(members) = answer.as_object_mut() {
            members.insert("difference".to_owned(), difference.into());
        }
        Ok(answer)
    }

    /// The directory with its own schemas and what its users can be given.
    pub(in crate::service) async fn directory_of(
        &self,
        row: DirectoryRow,
    ) -> Result<Directory, ServiceError> {
        let key = row.key;
        let read: Result<_, StoreError> = self
            .store
            .read("replay_directory", move |tx| {
                Ok((tx.schema_get(key)?, served_catalogue(tx, key)?))
            })
            .await;
        let (own, served) = read?;
        let registry = self.registry_of(own.as_ref()).with_catalogue(|name| served.contains(&name));
        Ok(Directory::from_row(&row, registry))
    }

    /// Runs the request in a unit of which nothing stays.
    async fn rolled_back(
        &self,
        plain: &Access,
        traced: &Access,
        plan: &Plan,
    ) -> Result<(), ServiceError> {
        let rt = &plan.resource_type;
        let run = match plan.method.as_str() {
            "POST" => {
                let id = self.clock.id(&rt.id_prefix);
                let creation = self.creation(traced, rt, id, plan.body.clone())?;
                let made = plan.made.as_ref();
                let before = made.map(|made| self.deletion(plain, rt, made, None)).map(Box::new);
                Run::Create { creation: Box::new(creation), before }
            }
            "PUT" => {
                Run::Revise(self.replacement(traced, rt, &plan.id, None, plan.body.clone())?)
            }
            "PATCH" => Run::Revise(self.patching(traced, rt, &plan.id, None, &plan.body)?),
            _ => Run::Delete(self.deletion(traced, rt, &plan.id, None)),
        }
        // Later units would not be rolled back.
        .in_one_unit();
        let ran: Result<(), Undone> =
            self.store.write("replay", move |tx| Err(Undone(run.run(tx)))).await;
        match ran {
            Ok(()) => Ok(()),
            Err(Undone(outcome)) => outcome,
        }
    }
}

impl Run {
    fn in_one_unit(mut self) -> Self {
        let site = match &mut self {
            Self::Create { creation, before } => {
                if let Some(before) = before {
                    before.site.members_at_once = usize::MAX;
                }
                &mut creation.site
            }
            Self::Revise(revision) => &mut revision.site,
            Self::Delete(deletion) => &mut deletion.site,
        };
        site.members_at_once = usize::MAX;
        self
    }

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), ServiceError> {
        match self {
            Self::Create { creation, before } => {
                match before.as_ref().map(|deletion| deletion.run(tx)) {
                    // It was deleted since.
                    Some(Err(ServiceError::Scim(error))) if error.status == 404 => {}
                    Some(Err(error)) => return Err(error),
                    _ => {}
                }
                creation.run(tx).map(|_| ())
            }
            Self::Revise(revision) => revision.run(tx, None).map(|_| ()),
            Self::Delete(deletion) => deletion.run(tx).map(|_| ()),
        }
    }
}

/// The outcome of a unit as its refusal, so that it is rolled back whatever it was.
struct Undone(Result<(), ServiceError>);

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self(Err(error.into()))
    }
}

impl UnitError for Undone {
    fn into_storage(self) -> Result<StoreError, Self> {
        match self.0 {
            Err(error) => error.into_storage().map_err(|own| Self(Err(own))),
            Ok(()) => Err(self),
        }
    }
}

impl Plan {
    /// What a record says to do; the error says why it cannot be done again.
    fn of(record: &Object, directory: &Directory) -> Result<Self, AdminError> {
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        let refuse = |message: &str| Err(AdminError::new(409, "not_replayable", message));
        let method = text("method");
        let resource = record.get("resource").and_then(Value::as_object);
        let of_resource = |name: &str| Some(resource?.get(name)?.as_str()?.to_owned());
        let is_write = matches!(method, "POST" | "PUT" | "PATCH" | "DELETE");
        let resource_type = of_resource("type")
            .and_then(|name| directory.registry.by_name(&name).cloned())
            .filter(|resource_type| !resource_type.is_read_only());
        let (true, Some(resource_type)) = (is_write, resource_type) else {
            return refuse(
                "Only a POST, PUT, PATCH or DELETE of one resource can be replayed; reads and \
                 bulk requests cannot.",
            );
        };
        if text("scim") == "1.1" {
            return refuse("Only requests of SCIM 2.0 can be replayed.");
        }
        let body = record.get("received").and_then(Value::as_object).cloned();
        let body = match (method, body) {
            ("DELETE", _) => Object::new(),
            (_, Some(body)) => body,
            _ => return refuse("The record does not hold the whole body of the request as JSON."),
        };
        let id = of_resource("id").unwrap_or_default();
        let made = (method == "POST" && !id.is_empty()).then(|| id.clone());
        Ok(Self { method: method.to_owned(), resource_type, id, body, made })
    }

    /// The status of a success. A group that is too large to be sent back stays so.
    fn success(&self, reply: PatchReply, recorded: u64) -> u16 {
        match self.method.as_str() {
            "POST" => 201,
            "DELETE" => 204,
            "PATCH" if self.resource_type.is_group() => match (reply, recorded) {
                (PatchReply::NoContent, _) | (_, 204) => 204,
                _ => 200,
            },
            _ => 200,
        }
    }
}

//! Ids of a source and what they mean here: references of records become those of resources.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::stage::{digest, manager_of};
use crate::pull::Kind;
use crate::pull::plan::{Record, Stored};
use crate::scim::{Object, urn};

/// The id here of every account and group that is stored or that a run makes.
#[derive(Clone, Default)]
pub(super) struct Ids {
    stored: Arc<Stored>,
    /// Given out before anything is written: users name their managers, and groups their members, by it.
    new: HashMap<(Kind, String), Arc<str>>,
}

impl Ids {
    pub(super) fn of(stored: Arc<Stored>, new: HashMap<(Kind, String), Arc<str>>) -> Self {
        Self { stored, new }
    }

    /// Of an account or group of the source.
    pub(super) fn here(&self, kind: Kind, source_id: &str) -> Option<&str> {
        let known = self.stored.get(kind, source_id).map(|known| known.id.as_str());
        let new = || self.new.get(&(kind, source_id.to_owned())).map(|id| &**id);
        known.or_else(new)
    }

    /// Of somebody who comes.
    pub(super) fn of_new<'i>(&'i self, record: &'i Record) -> Option<&'i str> {
        record.id.as_deref().or_else(|| self.here(record.kind, &record.source_id))
    }

    fn of_manager<'i>(&'i self, record: &'i Record) -> Option<&'i str> {
        let here = || self.here(Kind::Account, record.manager.as_deref()?);
        record.manager_id.as_deref().or_else(here)
    }

    /// Nobody means somebody who is not made after all.
    pub(super) fn forget(&mut self, record: &Record) {
        self.new.remove(&(record.kind, record.source_id.clone()));
    }

    /// What tells the next run whether a record has changed. By the ids of this run: the manager may have
    /// come with it.
    pub(super) fn digest_of(&self, record: &Record) -> String {
        match (self.of_manager(record), &record.attributes) {
            (Some(manager), Some(text)) => digest(text, manager),
            _ => record.digest.clone(),
        }
    }

    /// The attributes as they are sent: references by the ids here.
    pub(super) fn body(&self, record: &Record) -> Object {
        let text = record.attributes.as_deref().unwrap_or("{}");
        let mut body: Object = serde_json::from_str(text).unwrap_or_default();
        if let Some(name) = &record.usual_name {
            body.insert("userName".to_owned(), name.as_ref().into());
        }
        if manager_of(&body).is_some()
            && let Some(Value::Object(enterprise)) = body.get_mut(urn::ENTERPRISE_USER)
        {
            let manager = self.of_manager(record).map_or(Value::Null, |id| json!({"value": id}));
            enterprise.insert("manager".to_owned(), manager);
        }
        body
    }
}

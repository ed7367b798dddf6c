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
    new: HashMap<(Kind, String), String>,
}

impl Ids {
    pub(super) fn of(stored: Arc<Stored>, new: HashMap<(Kind, String), String>) -> Self {
        Self { stored, new }
    }

    /// Of an account or group of the source.
    pub(super) fn here(&self, kind: Kind, source_id: &str) -> Option<&str> {
        let known = self.stored.get(kind, source_id).map(|known| known.id.as_str());
        let new = || self.new.get(&(kind, source_id.to_owned())).map(String::as_str);
        known.or_else(new)
    }

    /// Nobody means somebody who is not made after all.
    pub(super) fn forget(&mut self, record: &Record) {
        self.new.remove(&(record.kind, record.source_id.clone()));
    }

    /// What tells the next run whether a record has changed. By the ids of this run: the manager may have
    /// come with it.
    pub(super) fn digest_of(&self, record: &Record) -> String {
        let manager = record.manager.as_deref().and_then(|id| self.here(Kind::Account, id));
        match (manager, &record.attributes) {
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
        let manager = manager_of(&body).map(|source_id| {
            self.here(Kind::Account, source_id).map_or(Value::Null, |id| json!({"value": id}))
        });
        if let (Some(manager), Some(Value::Object(enterprise))) =
            (manager, body.get_mut(urn::ENTERPRISE_USER))
        {
            enterprise.insert("manager".to_owned(), manager);
        }
        body
    }
}

//! What of a source comes in, and when: the part of the settings that a customer's administrator may change.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::next_after_change;
use super::outdate;
use crate::service::administer::{DirectoryView, audited, checked_settings, missing};
use crate::service::audit::{Target, action};
use crate::service::context::Settings;
use crate::service::{ApiAccess, Service, ServiceError};

/// Settings of a directory that is read; null takes one away, what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    #[serde(default, deserialize_with = "crate::service::administer::present")]
    pub filter: Option<Option<String>>,
    #[serde(default)]
    pub disable_group_sync: Option<bool>,
    #[serde(default, deserialize_with = "crate::service::administer::present")]
    pub group_scope: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "crate::service::administer::present")]
    pub schedule: Option<Option<Value>>,
}

impl Reading {
    /// What settings say about it; of when the source is read nothing.
    pub fn of(settings: &Value) -> Self {
        let settings: Settings = serde_json::from_value(settings.clone()).unwrap_or_default();
        Self {
            filter: Some(settings.filter),
            disable_group_sync: Some(settings.disable_group_sync),
            group_scope: Some(settings.group_scope),
            schedule: None,
        }
    }

    /// The settings with this in the place of what they had.
    pub fn merged(&self, settings: &Value) -> Value {
        let mut merged = settings.as_object().cloned().unwrap_or_default();
        let mut put = |name: &str, value: Option<Value>| match value {
            None => {}
            Some(Value::Null) => drop(merged.remove(name)),
            Some(value) => drop(merged.insert(name.to_owned(), value)),
        };
        put("filter", self.filter.as_ref().map(|filter| json!(filter)));
        put("disable_group_sync", self.disable_group_sync.map(Value::from));
        put("group_scope", self.group_scope.as_ref().map(|scope| json!(scope)));
        put("schedule", self.schedule.as_ref().map(|schedule| json!(schedule)));
        Value::Object(merged)
    }
}

impl Service {
    /// Changes what a directory is read by; it is read at once, if it is read by itself.
    ///
    /// # Errors
    /// 409 `not_pullable` for a directory that is pushed.
    pub async fn reading_put(
        &self,
        access: &ApiAccess,
        id: &str,
        change: Reading,
    ) -> Result<DirectoryView, ServiceError> {
        let (row, _, kind) = self.source_of(access, id).await?;
        let (key, now, ids) = (row.key, self.clock.now_ms(), self.clock.ids());
        let (audit, syncs) =
            (self.audit(access, action::DIRECTORY_UPDATED), Arc::clone(&self.syncs));
        let updated: Result<_, ServiceError> = self
            .store
            .write("reading_put", move |tx| {
                tx.directory_lock_exclusive(key)?;
                let row = tx.directory_by_key(key)?.filter(|row| row.state != "deleting");
                let row = row.ok_or_else(missing)?;
                let before = audited(tx, &syncs, &row)?;
                let stored = serde_json::from_str(&row.settings).unwrap_or_default();
                let settings = change.merged(&stored);
                let settings = checked_settings(Some(&settings), &row.kind)?;
                tx.directory_update(key, &row.name, &row.state, &settings, &row.config, now)?;
                tx.sync_schedule_set(key, next_after_change(kind, &settings, now))?;
                outdate(tx, &mut ids.clone(), now, &row)?;
                let row = tx.directory_by_key(key)?.ok_or_else(missing)?;
                let after = audited(tx, &syncs, &row)?;
                audit.write(tx, Target::directory(&row), before, after)?;
                Ok(row)
            })
            .await;
        let row = updated?;
        self.forget_access();
        self.directory_view(row).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_stays_and_null_takes_away() {
        let stored = json!({"filter": "a", "group_scope": ["g"], "delete": "deactivate"});
        let change: Reading =
            serde_json::from_value(json!({"filter": null, "schedule": "off"})).expect("a change");
        assert_eq!(
            change.merged(&stored),
            json!({"group_scope": ["g"], "delete": "deactivate", "schedule": "off"})
        );
        assert_eq!(Reading::default().merged(&stored), stored);
    }
}

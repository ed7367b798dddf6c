//! E-mail addresses that a source shows no more. Apps and identities know people by them, and an account
//! that has lost a right sees none, of anybody: where so many would be cleared at once, they stay.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::drive::Job;
use crate::pull::Kind;
use crate::pull::plan::{Plan, Record, Update};
use crate::scim::Object;
use crate::service::seen::object;
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::resource::ResourceRow;

/// Documents that are read at a time.
const PAGE: usize = 1_000;

impl Service {
    /// Puts stored addresses back into a plan that clears those of more active users than the guard lets go;
    /// answers of how many. With `is_whole`, what an account does not give is cleared.
    pub(super) async fn keep_addresses(
        &self,
        job: &Job,
        plan: &mut Plan,
        is_whole: bool,
    ) -> Result<usize, ServiceError> {
        let silent = plan.updates.iter_mut().filter(|update| clears(update, is_whole));
        let mut silent: Vec<&mut Update> = silent.collect();
        let mut stored: HashMap<i64, Value> = HashMap::new();
        for page in silent.chunks(PAGE) {
            let directory_key = job.row.key;
            let keys: Vec<i64> = page.iter().map(|update| update.known.key).collect();
            let rows: Result<Vec<ResourceRow>, StoreError> = self
                .store
                .read("sync_addresses", move |tx| tx.resource_rows(directory_key, &keys))
                .await;
            let emails = |row: ResourceRow| {
                let emails = object(&row.doc).swap_remove("emails")?;
                emails
                    .as_array()
                    .is_some_and(|emails| !emails.is_empty())
                    .then_some((row.key, emails))
            };
            stored.extend(rows?.into_iter().filter_map(emails));
        }
        if !job.settings.guard.is_too_much(stored.len(), plan.toll.active_users) {
            return Ok(0);
        }
        let kept = stored.len();
        for update in &mut silent {
            if let Some(emails) = stored.remove(&update.known.key) {
                keep(&mut update.record, emails);
            }
        }
        Ok(kept)
    }
}

/// Whether a user who stays active has no address after it.
fn clears(update: &Update, is_whole: bool) -> bool {
    let record = &update.record;
    let stays = record.kind == Kind::Account && update.known.active && record.active;
    let text = record.attributes.as_deref().unwrap_or_default();
    // Most have one: nothing of theirs is to be understood.
    if !stays || record.is_partial || text.contains(r#""emails":[{"#) {
        return false;
    }
    match object(text).get("emails") {
        Some(Value::Array(emails)) => emails.is_empty(),
        Some(emails) => emails.is_null(),
        None => is_whole,
    }
}

fn keep(record: &mut Record, emails: Value) {
    let mut attributes: Object = object(record.attributes.as_deref().unwrap_or_default());
    attributes.insert("emails".to_owned(), emails);
    record.attributes = Some(json!(attributes).to_string().into_boxed_str());
    // Not what the source gives: the next run looks again.
    record.digest = String::new();
}

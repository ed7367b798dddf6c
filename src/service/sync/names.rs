//! Names of stored accounts: of those of which a source gives none, that of the address or of the key; of
//! those who go, as people read it.

use std::collections::HashMap;

use serde_json::Value;

use crate::pull::Kind;
use crate::pull::plan::{Plan, Source, Stored};
use crate::scim::Object;
use crate::scim::key::text_key;
use crate::service::seen::object;
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::resource::ResourceRow;

/// Documents that are read at a time.
const PAGE: usize = 1_000;

impl Service {
    /// Who was named after the address or the key is so again; whoever has another name keeps it: the source
    /// has given it once, and has not said that it is gone.
    pub(super) async fn follow_names(
        &self,
        directory_key: i64,
        stored: &Stored,
        source: &mut Source,
    ) -> Result<(), ServiceError> {
        let known = source.unnamed().filter_map(|record| {
            let key = stored.get(Kind::Account, &record.source_id)?.key;
            Some((record, key))
        });
        let mut known: Vec<_> = known.collect();
        for page in known.chunks_mut(PAGE) {
            let keys: Vec<i64> = page.iter().map(|(_, key)| *key).collect();
            let rows: Result<Vec<ResourceRow>, StoreError> = self
                .store
                .read("sync_names", move |tx| tx.resource_rows(directory_key, &keys))
                .await;
            let rows = rows?.into_iter().map(|row| (row.key, has_usual_name(&object(&row.doc))));
            let rows: HashMap<i64, bool> = rows.collect();
            for (record, key) in page {
                match rows.get(&*key) {
                    Some(true) => {
                        let usual = record.usual_name.as_deref().unwrap_or_default();
                        record.name = text_key(usual, false);
                    }
                    _ => record.usual_name = None,
                }
            }
        }
        Ok(())
    }

    /// Gives those whom a plan removes their names as they are written: they are compared by others.
    pub(super) async fn name_removed(
        &self,
        directory_key: i64,
        plan: &mut Plan,
    ) -> Result<(), ServiceError> {
        let removed = plan.removals.iter_mut().map(|removal| &mut removal.known);
        let left = plan.members.iter_mut().flat_map(|change| &mut change.remove);
        let users = removed.chain(left).filter(|known| known.kind == Kind::Account);
        let mut users: Vec<_> = users.collect();
        for page in users.chunks_mut(PAGE) {
            let keys: Vec<i64> = page.iter().map(|known| known.key).collect();
            let rows: Result<Vec<ResourceRow>, StoreError> = self
                .store
                .read("sync_names", move |tx| tx.resource_rows(directory_key, &keys))
                .await;
            let names: HashMap<i64, String> = rows?
                .into_iter()
                .filter_map(|row| {
                    Some((row.key, object(&row.doc).get("userName")?.as_str()?.to_owned()))
                })
                .collect();
            for known in page {
                if let Some(name) = names.get(&known.key) {
                    known.name.clone_from(name);
                }
            }
        }
        Ok(())
    }
}

fn has_usual_name(user: &Object) -> bool {
    let key = |value: &Value| text_key(value.as_str().unwrap_or_default(), false);
    let name = user.get("userName").map(key);
    let emails = user.get("emails").and_then(Value::as_array).into_iter().flatten();
    let mut usual = emails.filter_map(|email| email.get("value")).chain(user.get("externalId"));
    usual.any(|usual| Some(key(usual)) == name)
}

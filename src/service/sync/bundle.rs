//! New accounts and groups of an embedded database, many in one unit: what a unit costs beside its
//! statements is paid once for all of them.

use std::sync::atomic::Ordering;

use futures_util::StreamExt;

use super::apply::{Apply, Done, Item, type_of};
use crate::service::{Access, ServiceError};
use crate::store::Tx;

/// Most of them in one unit, which the others who write wait for.
const BUNDLE: usize = 250;

/// Units under way at the same time: one is written while the next is made.
const UNITS: usize = 3;

type Written = Vec<(Item, Result<Done, ServiceError>)>;

impl Apply<'_> {
    /// Writes those who are new, and answers what became of them and who is left to be written alone: all
    /// others, and those who were refused together, of whom it is not known which one was meant.
    pub(super) async fn bundles(&self, items: Vec<Item>) -> (Written, Vec<Item>) {
        // A database elsewhere takes a create in one statement, many of them at the same time; maps take
        // their time beside everything else.
        let has_maps = self.job.access.directory.mapping.attributes.is_some();
        if self.service.store.has_singles() || has_maps {
            return (Vec::new(), items);
        }
        let (new, mut alone): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| matches!(item, Item::New { .. }));
        let (mut written, mut bundles, mut new) = (Vec::new(), Vec::new(), new.into_iter());
        loop {
            let bundle: Vec<Item> = new.by_ref().take(BUNDLE).collect();
            if bundle.is_empty() {
                break;
            }
            bundles.push(bundle);
        }
        let bundles = futures_util::stream::iter(bundles.into_iter().map(|bundle| async move {
            let made = self.bundle(&bundle).await;
            (bundle, made)
        }));
        for (bundle, made) in bundles.buffer_unordered(UNITS).collect::<Vec<_>>().await {
            match made {
                Ok(keys) => {
                    let count = bundle.len();
                    let created = keys.into_iter().map(|key| Ok(Done::Created(key)));
                    written.extend(bundle.into_iter().zip(created));
                    self.lease.progress.done.fetch_add(count, Ordering::Relaxed);
                }
                Err(_) => alone.extend(bundle),
            }
        }
        (written, alone)
    }

    /// All of them or none; their keys.
    async fn bundle(&self, items: &[Item]) -> Result<Vec<i64>, ServiceError> {
        self.tried(None, |access: Access| async move {
            let mut creations = Vec::with_capacity(items.len());
            for item in items {
                let Item::New { record, id } = item else { continue };
                let resource_type = type_of(&access, record.kind)?;
                let body = self.body(record);
                creations.push(self.service.creation(&access, &resource_type, id.clone(), body)?);
            }
            let work = move |tx: &mut Tx<'_>| {
                let made = creations.iter().map(|creation| Ok(creation.run(tx)?.row.key));
                made.collect::<Result<Vec<i64>, ServiceError>>()
            };
            self.service.store.write("sync_create", work).await
        })
        .await
    }
}

//! New accounts and groups of an embedded database, many in one unit: what a unit and a statement cost
//! beside their rows is paid once for all of them. They are made on other threads while those before them
//! are written.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;

use super::apply::{Apply, Item, batches, type_of};
use crate::pull::Kind;
use crate::service::mapping::work::computed;
use crate::service::unit::Creation;
use crate::service::{ServiceError, on_behalf_of};
use crate::store::Tx;

/// Most of them in one unit, which the others who write wait for.
const BUNDLE: usize = 500;

/// Bundles that are made at the same time, or are made and wait for the one that is written; each takes some
/// ten megabytes.
const MADE: usize = 2;

/// Units under way at the same time: the writer finds the next one when it has written one.
const WRITTEN: usize = 2;

/// Some of one kind who are new.
struct Bundle {
    kind: Kind,
    new: Vec<Item>,
    /// As they are written; `None` where one of them cannot be.
    creations: Option<Vec<Creation>>,
    /// What each was made of.
    digests: Vec<String>,
    /// Who is left to be written alone.
    alone: Vec<Item>,
}

impl Apply<'_> {
    /// Writes those who are new, and answers who is left to be written alone: all others, and those who
    /// were refused together, of whom it is not known which one was meant.
    pub(super) async fn bundles(&mut self, items: Vec<Item>) -> Vec<Item> {
        // A database elsewhere takes a create in one statement, many of them at the same time; maps take
        // their time beside everything else.
        let has_maps = self.job.access.directory.mapping.attributes.is_some();
        if self.service.store.has_singles() || has_maps {
            return items;
        }
        let this = &*self;
        let made = batches(items, BUNDLE).map(|items| this.made(items));
        let made = futures_util::stream::iter(made).buffered(MADE);
        let mut written = made.map(|bundle| this.written(bundle)).buffered(WRITTEN);
        let (mut alone, mut created) = (Vec::new(), Vec::new());
        while let Some((kind, count, left)) = written.next().await {
            created.push((kind, count));
            alone.extend(left);
        }
        drop(written);
        for (kind, count) in created {
            self.tally(kind).created += count;
        }
        alone
    }

    /// Works out what is written of the new ones.
    async fn made(&self, items: Vec<Item>) -> Bundle {
        let is_new = |item: &&Item| matches!(item, Item::New { .. });
        let first = items.iter().find(is_new);
        let kind = first.map_or(Kind::Account, |item| item.record().kind);
        let (new, alone): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| is_new(&item) && item.record().kind == kind);
        let digests = new.iter().map(|item| self.digest_of(item.record())).collect();
        let creations = match self.lease.is_lost() {
            true => None,
            false => self.creations(kind, &new).await.ok(),
        };
        Bundle { kind, new, creations, digests, alone }
    }

    async fn creations(&self, kind: Kind, new: &[Item]) -> Result<Vec<Creation>, ServiceError> {
        let access = self.access.read().await.clone();
        let resource_type = type_of(&access, kind)?;
        let drafts = new.iter().filter_map(|item| match item {
            Item::New { record, id } => Some((id.clone(), self.body(record))),
            Item::Changed { .. } => None,
        });
        let drafts: Vec<_> = drafts.collect();
        let service = Arc::clone(self.service);
        let made = move || {
            let mut creations = Vec::with_capacity(drafts.len());
            for (id, body) in drafts {
                creations.push(service.creation(&access, &resource_type, id, body)?);
            }
            Ok(creations)
        };
        computed(made).await?
    }

    /// Writes a bundle, all of it or nothing: of which kind how many were written, and who was not.
    async fn written(&self, bundle: Bundle) -> (Kind, usize, Vec<Item>) {
        let Bundle { kind, new, creations, digests, mut alone } = bundle;
        let directory_key = self.job.row.key;
        let is_written = match creations.filter(|new| !new.is_empty() && !self.lease.is_lost()) {
            None => false,
            Some(creations) => {
                let work = move |tx: &mut Tx<'_>| -> Result<(), ServiceError> {
                    let keys = Creation::run_all(tx, &creations)?;
                    let digests = digests.iter().map(String::as_str);
                    let digests: Vec<(i64, &str)> = keys.into_iter().zip(digests).collect();
                    Ok(tx.sync_digests_put(directory_key, &digests)?)
                };
                let written = self.service.store.write("sync_create", work);
                on_behalf_of(directory_key, written).await.is_ok()
            }
        };
        if !is_written {
            alone.extend(new);
            return (kind, 0, alone);
        }
        self.lease.progress.done.fetch_add(new.len(), Ordering::Relaxed);
        (kind, new.len(), alone)
    }
}

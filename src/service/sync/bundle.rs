//! New accounts and groups of an embedded database, many in one unit: what a unit and a statement cost
//! beside their rows is paid once for all of them. They are made on other threads while those before them
//! are written.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::apply::{Apply, Item, batches, type_of};
use crate::pull::Kind;
use crate::service::mapping::work::computed;
use crate::service::unit::Creation;
use crate::service::{ServiceError, on_behalf_of};
use crate::store::Tx;

/// Most of them in one unit, which the others who write wait for.
const BUNDLE: usize = 200;

/// Bundles that are made at the same time.
const MADE: usize = 2;

/// Bundles that are made and wait for those before them; each takes some megabytes.
const READY: usize = 1;

/// Units under way at the same time: the writer finds the next ones when it has written one, and commits
/// them together.
const WRITTEN: usize = 5;

/// Some of one kind who are new.
struct Bundle {
    kind: Kind,
    new: Vec<Item>,
    /// As they are written, and what each was made of; `None` where one of them cannot be.
    creations: Option<(Vec<Creation>, Vec<String>)>,
    /// Who is left to be written alone.
    alone: Vec<Item>,
}

impl Apply<'_> {
    /// Writes those who are new, and answers who is left to be written alone: all others, and those who
    /// were refused together, of whom it is not known which one was meant.
    pub(super) async fn bundles(&mut self, items: Vec<Item>) -> Result<Vec<Item>, ServiceError> {
        // A database elsewhere takes a create in one statement, many of them at the same time; maps take
        // their time beside everything else.
        let has_maps = self.job.access.directory.mapping.attributes.is_some();
        if self.service.store.has_singles() || has_maps {
            return Ok(items);
        }
        let this = &*self;
        let (ready, mut bundles) = mpsc::channel(READY);
        let making = async move {
            let made = batches(items, BUNDLE).map(|items| this.made(items));
            let mut made = stream::iter(made).buffered(MADE);
            while let Some(bundle) = made.next().await {
                if ready.send(bundle?).await.is_err() {
                    break;
                }
            }
            Ok::<_, ServiceError>(())
        };
        let bundles = stream::poll_fn(|context| bundles.poll_recv(context));
        let writing = bundles.map(|bundle| this.written(bundle)).buffered(WRITTEN);
        let (made, written) = tokio::join!(making, writing.collect::<Vec<_>>());
        made?;
        let mut alone = Vec::new();
        for (kind, count, left) in written {
            self.tally(kind).created += count;
            alone.extend(left);
        }
        Ok(alone)
    }

    /// Works out what is written of the new ones.
    async fn made(&self, items: Vec<Item>) -> Result<Bundle, ServiceError> {
        let is_new = |item: &&Item| matches!(item, Item::New(_));
        let first = items.iter().find(is_new);
        let kind = first.map_or(Kind::Account, |item| item.record().kind);
        let (new, alone): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| is_new(&item) && item.record().kind == kind);
        let access = self.access.read().await.clone();
        let resource_type = type_of(&access, kind).ok().filter(|_| !self.lease.is_lost());
        let Some(resource_type) = resource_type else {
            return Ok(Bundle { kind, new, creations: None, alone });
        };
        let (service, ids) = (Arc::clone(self.service), Arc::clone(&self.ids));
        let made = move || {
            let creation = |item: &Item| {
                let record = item.record();
                let id = ids.here(kind, &record.source_id)?.to_owned();
                service.creation(&access, &resource_type, id, ids.body(record)).ok()
            };
            let creations: Option<Vec<Creation>> = new.iter().map(creation).collect();
            let digests = || new.iter().map(|item| ids.digest_of(item.record())).collect();
            let creations = creations.map(|creations| (creations, digests()));
            Bundle { kind, new, creations, alone }
        };
        computed(made).await
    }

    /// Writes a bundle, all of it or nothing: of which kind how many were written, and who was not.
    async fn written(&self, bundle: Bundle) -> (Kind, usize, Vec<Item>) {
        let Bundle { kind, new, creations, mut alone } = bundle;
        let directory_key = self.job.row.key;
        let is_written = match creations.filter(|_| !new.is_empty() && !self.lease.is_lost()) {
            None => false,
            Some((creations, digests)) => {
                let work = move |tx: &mut Tx<'_>| -> Result<(), ServiceError> {
                    let keys = Creation::run_all(tx, &creations)?;
                    let digests = digests.iter().map(String::as_str);
                    let digests: Vec<(i64, &str)> = keys.into_iter().zip(digests).collect();
                    Ok(tx.sync_digests_put(directory_key, &digests)?)
                };
                let written = self.service.store.write_bulk("sync_create", work);
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

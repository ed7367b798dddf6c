//! New accounts and groups of an embedded database, many in one unit: what a unit and a statement cost
//! beside their rows is paid once for all of them. They are made on other threads while those before them
//! are written.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::apply::{Apply, Item, batches, type_of};
use crate::pull::Kind;
use crate::service::mapping::work::computed;
use crate::service::unit::Creation;
use crate::service::{ServiceError, on_behalf_of};
use crate::store::Tx;

/// Most of them in one unit, which the others who write wait for: some 20 ms. A page of an index that many of
/// them change is written once for each commit, so that twice as many take a third less of all pages.
pub(super) const BUNDLE: usize = 500;

/// Bundles that are made at the same time.
const MADE: usize = 2;

/// Bundles that are made and wait for those before them; each takes some megabytes.
const READY: usize = 1;

/// Bundles that come to the writer together, and share a commit: a page of an index that several of them change is
/// written once. While they are written, as many are gathered and wait behind them.
const TOGETHER: usize = 4;

/// How long the first of them waits for the others, where the source is slow.
const GATHERED: Duration = Duration::from_millis(250);

/// Some of one kind who are new.
#[derive(Default)]
struct Bundle {
    new: Vec<Item>,
    /// As they are written, and what each was made of.
    creations: Vec<Creation>,
    digests: Vec<String>,
    /// Who is left to be written alone.
    alone: Vec<Item>,
}

impl Apply<'_> {
    /// Whether many of them can be written together: a database elsewhere takes a create in one statement,
    /// many of them at the same time, and maps take their time beside everything else.
    pub(super) fn has_bundles(&self) -> bool {
        let has_maps = self.job.access.directory.mapping.attributes.is_some();
        !self.service.store.has_singles() && !has_maps
    }

    /// Writes those who are new, and answers who is left to be written alone.
    pub(super) async fn bundled(&mut self, items: Vec<Item>) -> Result<Vec<Item>, ServiceError> {
        if !self.has_bundles() {
            return Ok(items);
        }
        let mut counts: Vec<(Kind, usize)> = Vec::new();
        let count = |items: Vec<Item>, _| {
            counts.extend(items.first().map(|item| (item.record().kind, items.len())));
        };
        let bundles = stream::iter(batches(items, BUNDLE));
        let left = self.bundles(bundles, count).await?;
        for (kind, count) in counts {
            self.tally(kind).created += count;
        }
        Ok(left)
    }

    /// Writes those who are new; each bundle is `kept` with the keys that it got. Answers who is left to be
    /// written alone: all others, and those who were refused together, of whom it is not known which one was
    /// meant.
    pub(super) async fn bundles(
        &self,
        bundles: impl Stream<Item = Vec<Item>>,
        mut kept: impl FnMut(Vec<Item>, Vec<i64>),
    ) -> Result<Vec<Item>, ServiceError> {
        let (ready, mut made) = mpsc::channel(READY);
        let making = async move {
            let mut bundles = pin!(bundles.map(|items| self.made(items)).buffered(MADE));
            while let Some(bundle) = bundles.next().await {
                if ready.send(bundle?).await.is_err() {
                    break;
                }
            }
            Ok::<_, ServiceError>(())
        };
        let gathered = stream::unfold(&mut made, async |made| {
            let bundles = gathered(made).await;
            (!bundles.is_empty()).then_some((bundles, made))
        });
        let together =
            |bundles: Vec<Bundle>| join_all(bundles.into_iter().map(|b| self.written(b)));
        let written = gathered.map(together).buffered(2);
        let mut left = Vec::new();
        let writing = written.for_each(|done| {
            for (new, keys, alone) in done {
                kept(new, keys);
                left.extend(alone);
            }
            std::future::ready(())
        });
        let (made, ()) = tokio::join!(making, writing);
        made?;
        Ok(left)
    }

    /// Works out what is written of the new ones.
    async fn made(&self, items: Vec<Item>) -> Result<Bundle, ServiceError> {
        let is_new = |item: &&Item| matches!(item, Item::New(_));
        let first = items.iter().find(is_new);
        let kind = first.map_or(Kind::Account, |item| item.record().kind);
        let (new, mut alone): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| is_new(&item) && item.record().kind == kind);
        let access = self.access.read().await.clone();
        let resource_type = type_of(&access, kind).ok().filter(|_| !self.lease.is_lost());
        let Some(resource_type) = resource_type else {
            alone.extend(new);
            return Ok(Bundle { alone, ..Bundle::default() });
        };
        let (service, ids) = (Arc::clone(self.service), Arc::clone(&self.ids));
        let made = move || {
            let mut bundle = Bundle { alone, ..Bundle::default() };
            for item in new {
                let record = item.record();
                let id = ids.of_new(record).map(str::to_owned);
                let creation = |id| service.creation(&access, &resource_type, id, ids.body(record));
                match id.map(creation) {
                    Some(Ok(creation)) => {
                        bundle.creations.push(creation);
                        bundle.digests.push(ids.digest_of(record));
                        bundle.new.push(item);
                    }
                    // Whoever writes it alone says what is wrong with it.
                    Some(Err(_)) | None => bundle.alone.push(item),
                }
            }
            bundle
        };
        computed(made).await
    }

    /// Writes a bundle, all of it or nothing: who was written, their keys, and who was not.
    async fn written(&self, bundle: Bundle) -> (Vec<Item>, Vec<i64>, Vec<Item>) {
        let Bundle { new, creations, digests, mut alone } = bundle;
        if new.is_empty() || self.lease.is_lost() {
            alone.extend(new);
            return (Vec::new(), Vec::new(), alone);
        }
        let directory_key = self.job.row.key;
        // What was written is let go of by this thread, not by the one that writes.
        let made = Arc::new(creations);
        let creations = Arc::clone(&made);
        let work = move |tx: &mut Tx<'_>| -> Result<Vec<i64>, ServiceError> {
            let keys = Creation::run_all(tx, &creations)?;
            let digests = digests.iter().map(String::as_str);
            let digests: Vec<(i64, &str)> = keys.iter().copied().zip(digests).collect();
            tx.sync_digests_put(directory_key, &digests)?;
            Ok(keys)
        };
        let written = self.service.store.write_bulk("sync_create", work);
        let Ok(keys) = on_behalf_of(directory_key, written).await else {
            alone.extend(new);
            return (Vec::new(), Vec::new(), alone);
        };
        drop(made);
        self.lease.progress.done.fetch_add(new.len(), Ordering::Relaxed);
        (new, keys, alone)
    }
}

/// The next bundles that are made; none when no more are.
async fn gathered(made: &mut mpsc::Receiver<Bundle>) -> Vec<Bundle> {
    let mut bundles: Vec<Bundle> = made.recv().await.into_iter().collect();
    let others = async {
        while (1..TOGETHER).contains(&bundles.len()) {
            match made.recv().await {
                Some(bundle) => bundles.push(bundle),
                None => break,
            }
        }
    };
    // Whoever is there by then goes.
    let _ = tokio::time::timeout(GATHERED, others).await;
    bundles
}

//! New users of a long first read, who are written while it goes on: whoever is waited for comes sooner, and
//! what was read of them is not kept until the end. A read that fails after that has let some of them in; none
//! of them goes by it, and the next one finds them unchanged.
//!
//! ```text
//! stage ─batches▶ Apply::ahead ─written and left▶ plan of the rest
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::apply::{AT_ONCE, Apply, BATCH, Done, Item};
use super::bundle::BUNDLE;
use crate::clock::Clock;
use crate::pull::SourceError;
use crate::pull::plan::{Record, Source, Stored};
use crate::service::ServiceError;

/// Users whom a read lists before the first are written: most directories are smaller, and a read of theirs
/// is over, or has failed, before anything is written.
const LONG: usize = 2_000;

/// Batches that are read and wait to be written; then the source waits.
const READ: usize = 8;

/// Text of the users in a batch, in bytes, beyond which another one begins.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Where a read sends them.
pub(super) struct Ahead {
    to: mpsc::Sender<Vec<Item>>,
    clock: Clock,
    /// How many records were looked at.
    seen: usize,
}

impl Ahead {
    pub(super) fn new(clock: Clock) -> (Self, mpsc::Receiver<Vec<Item>>) {
        let (to, sent) = mpsc::channel(READ);
        (Self { to, clock, seen: 0 }, sent)
    }

    /// Sends who has come since the last time.
    pub(super) fn send(&mut self, source: &mut Source) -> Result<(), SourceError> {
        if source.len() < LONG.max(self.seen + BUNDLE) {
            return Ok(());
        }
        let sent = source.send_ahead(self.seen, || self.clock.id("directory_user").into());
        self.seen = source.len();
        for items in bundles(sent) {
            // Nobody takes them any more: the run is over.
            self.to.blocking_send(items).map_err(|_| SourceError::Stopped)?;
        }
        Ok(())
    }
}

/// As many at a time as are written together, fewer where they are large.
fn bundles(records: Vec<Record>) -> impl Iterator<Item = Vec<Item>> {
    let mut records = records.into_iter();
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut bundle = Vec::new();
        while bundle.len() < BUNDLE && bytes < BATCH_BYTES {
            let Some(record) = records.next() else { break };
            bytes += record.bytes();
            bundle.push(Item::New(record));
        }
        (!bundle.is_empty()).then_some(bundle)
    })
}

/// What was done before everything was read.
pub(super) struct Begun {
    /// With those who were written.
    stored: Arc<Stored>,
    pub(super) written: usize,
    /// Who could not be.
    left: Vec<Record>,
}

impl Begun {
    pub(super) fn of(stored: &Arc<Stored>) -> Self {
        Self { stored: Arc::clone(stored), written: 0, left: Vec::new() }
    }

    fn put(&mut self, item: Item, key: i64) {
        if let Some(known) = new(item).and_then(|record| record.stored_as(key)) {
            Arc::make_mut(&mut self.stored).add(known);
            self.written += 1;
        }
    }

    /// What is stored by now; who is left is to be planned like everybody else.
    pub(super) fn join(self, source: &mut Source) -> Arc<Stored> {
        self.left.into_iter().for_each(|record| source.take_back(record));
        self.stored
    }
}

impl Apply<'_> {
    /// Writes who is sent ahead. When it ends before the read does, the read ends with it.
    pub(super) async fn ahead(
        self,
        mut sent: mpsc::Receiver<Vec<Item>>,
        begun: &mut Begun,
    ) -> Result<(), ServiceError> {
        let Some(first) = sent.recv().await else { return Ok(()) };
        if !self.job.sync.activated {
            self.service.activate(self.job).await?;
        }
        let rest = stream::poll_fn(|context| sent.poll_recv(context));
        let sent = stream::once(async { first }).chain(rest);
        if !self.has_bundles() {
            return self.singly(sent, begun).await;
        }
        let put = |items: Vec<Item>, keys: Vec<i64>| {
            items.into_iter().zip(keys).for_each(|(item, key)| begun.put(item, key));
        };
        let left = self.bundles(sent, put).await?;
        begun.left = left.into_iter().filter_map(new).collect();
        Ok(())
    }

    /// Writes each of them alone, many at the same time.
    async fn singly(
        &self,
        sent: impl Stream<Item = Vec<Item>>,
        begun: &mut Begun,
    ) -> Result<(), ServiceError> {
        let one = |item: Item| async move {
            let done = self.item(&item).await;
            (item, done)
        };
        let done = sent.flat_map(stream::iter).map(one).buffer_unordered(AT_ONCE);
        let mut done = pin!(done.chunks(BATCH));
        while let Some(chunk) = done.next().await {
            let mut digests = Vec::with_capacity(chunk.len());
            for (item, done) in chunk {
                match done? {
                    Done::Created(key) => {
                        digests.push((key, self.ids.digest_of(item.record())));
                        begun.put(item, key);
                    }
                    _ => begun.left.extend(new(item)),
                }
            }
            self.lease.progress.done.fetch_add(digests.len(), Ordering::Relaxed);
            // Those who come next are in the queue, which may have no place for more.
            self.tried(None, |_| self.keep_digests(digests.clone())).await?;
        }
        Ok(())
    }
}

/// The record of somebody who is new.
fn new(item: Item) -> Option<Record> {
    match item {
        Item::New(record) => Some(record),
        Item::Changed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::{Kind, Members};

    #[test]
    fn large_users_are_sent_in_smaller_batches() {
        let sizes = |bytes: usize, count: usize| -> Vec<usize> {
            let record = Record {
                kind: Kind::Account,
                source_id: String::new(),
                name: String::new(),
                active: true,
                digest: String::new(),
                attributes: Some("x".repeat(bytes).into()),
                manager: None,
                members: Members::Changes,
                place: String::new(),
                usual_name: None,
                is_partial: false,
                id: None,
                manager_id: None,
            };
            bundles(vec![record; count]).map(|bundle| bundle.len()).collect()
        };
        assert_eq!(sizes(1_000, 2 * BUNDLE + 1), [BUNDLE, BUNDLE, 1]);
        assert_eq!(sizes(BATCH_BYTES / 4, 10), [4, 4, 2]);
        assert_eq!(sizes(BATCH_BYTES, 2), [1, 1]);
    }
}

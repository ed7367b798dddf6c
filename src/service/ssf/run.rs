//! Which streams this process pushes.
//!
//! A process reads each stretch of the log once, without its data, and goes to the streams that something
//! in it may be for. The others are moved on now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::window::delivered;
use super::{LANES, Streams, organizations};
use crate::clock::Stopwatch;
use crate::event::set::{LOGGED, logged};
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::stream::{PushedStream, StreamLag, StreamRow, UserEvent};

/// How often a process looks for streams whose time has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The least time between two looks, while events come in.
const BREATH: Duration = Duration::from_millis(100);

/// How often streams are moved on that nothing is for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Events looked at in one look.
const NEWS: i64 = 500;

/// Lanes that streams for the same organization have at a time, and those for all organizations: slow
/// receivers of some leave room for the others.
const SHARE: usize = LANES / 4;
const SHARE_OF_ALL: usize = LANES / 2;

/// How long a lease lasts beyond the longest request, in milliseconds.
const LEASE_MS: i64 = 20_000;

/// What a process has seen.
#[derive(Default)]
struct Watch {
    /// Up to where it has read the log; nothing before its first look.
    seen: Option<i64>,
    /// Streams that something is for, up to that position.
    hot: BTreeMap<String, i64>,
    /// Streams of the last look.
    known: BTreeSet<String>,
    swept: Option<Stopwatch>,
    /// Whether there is a stream that is pushed.
    pushes: bool,
    /// More is to be read at once.
    more: bool,
}

/// A stream that this process pushes, as long as this lives.
struct Busy {
    service: Arc<Service>,
    id: String,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.service.streams.busy().remove(&self.id);
    }
}

impl Streams {
    /// Until when a lease lasts that is taken or renewed now.
    pub(super) fn lease(&self, now: i64) -> i64 {
        let timeout = i64::try_from(self.timeout.as_millis()).unwrap_or(LEASE_MS);
        now.saturating_add(LEASE_MS).saturating_add(timeout)
    }
}

/// The streams that get a free lane, in the order of those that are due. `busy` has the scopes of those that
/// have one.
fn choose<'a>(
    due: impl Iterator<Item = &'a PushedStream>,
    busy: &BTreeMap<String, String>,
    room: usize,
) -> Vec<String> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for id in busy.values().flat_map(|scope| scope.split(',')) {
        *taken.entry(id.to_owned()).or_default() += 1;
    }
    let mut chosen = Vec::new();
    for stream in due.filter(|stream| !busy.contains_key(&stream.id)) {
        let most = if stream.scope.is_empty() { SHARE_OF_ALL } else { SHARE };
        let is_free = |id: &str| taken.get(id).is_none_or(|count| *count < most);
        if chosen.len() < room && stream.scope.split(',').all(is_free) {
            for id in stream.scope.split(',') {
                *taken.entry(id.to_owned()).or_default() += 1;
            }
            chosen.push(stream.id.clone());
        }
    }
    chosen
}

/// Whether an event is one that the stream may get something of.
fn of(stream: &PushedStream) -> impl Fn(&&UserEvent) -> bool {
    let names = logged(&delivered(stream.events.as_deref()));
    let scope = organizations(&stream.scope);
    move |event| {
        names.contains(&event.event)
            && scope.as_ref().is_none_or(|ids| ids.contains(&event.organization_id))
    }
}

impl Watch {
    /// Notes for which streams there is something among the events, up to `end`.
    fn note(&mut self, streams: &[PushedStream], news: &[UserEvent], end: i64) {
        let is_due = self.swept.as_ref().is_none_or(|since| since.elapsed() >= SWEEP_EVERY);
        let is_all = is_due || self.seen.is_none();
        if is_all {
            self.swept = Some(Stopwatch::start());
        }
        // What came while a stream was paused or polled was noted for nobody.
        let behind = streams
            .iter()
            .filter(|stream| stream.position < end && (is_all || !self.known.contains(&stream.id)));
        self.hot.extend(behind.map(|stream| (stream.id.clone(), end)));
        self.known = streams.iter().map(|stream| stream.id.clone()).collect();
        if news.iter().any(|event| LOGGED.contains(&event.event.as_str())) {
            for stream in streams {
                let last = news.iter().rev().find(of(stream));
                self.hot.extend(last.map(|event| (stream.id.clone(), event.position)));
            }
        }
        // A log that is shorter than before, as behind a standby that lost its tail, is read anew.
        self.more = i64::try_from(news.len()).unwrap_or(i64::MAX) >= NEWS;
        let last = news.last().map(|event| event.position).filter(|_| self.more);
        self.seen = Some(last.unwrap_or(end));
        self.pushes = !streams.is_empty();
        self.hot.retain(|id, wanted| {
            streams.iter().any(|stream| stream.id == *id && stream.position < *wanted)
        });
    }

    /// Whether there is something to do for the stream now.
    fn is_due(&self, stream: &PushedStream, now: i64) -> bool {
        let waits = stream.verification.is_some()
            // A token that was to be tried again.
            || stream.next_at > 0
            // Whoever had it has stopped.
            || stream.lease > 0
            || self.hot.contains_key(&stream.id);
        stream.lease <= now && stream.next_at <= now && waits
    }
}

impl Service {
    /// Ends every lease. For a process that has the database to itself: whoever held one has stopped.
    pub async fn release_streams(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let released: Result<(), StoreError> =
            self.store.write("stream_release", |tx| tx.stream_release_all()).await;
        Ok(released?)
    }

    /// Pushes for as long as the process serves.
    pub async fn run_streams(self: Arc<Self>) {
        let mut positions = self.event_log.positions();
        let mut watch = Watch::default();
        while !self.event_log.is_closing() {
            if let Err(error) = self.look_at_streams(&mut watch).await {
                tracing::warn!(%error, "streams are not served yet");
            }
            tokio::time::sleep(BREATH).await;
            if watch.more {
                continue;
            }
            tokio::select! {
                _ = positions.changed(), if watch.pushes => {}
                () = self.streams.changed.notified() => {}
                () = self.event_log.closed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Waits until the requests that were sent are answered and what they came to is stored. Nothing is
    /// sent any more once the log closes.
    pub async fn stop_streams(&self) {
        let all = u32::try_from(LANES).unwrap_or(u32::MAX);
        let patience = self.streams.timeout + Duration::from_secs(2);
        if tokio::time::timeout(patience, self.streams.lanes.acquire_many(all)).await.is_err() {
            tracing::warn!("tokens were cut off; they are pushed again");
        }
    }

    /// Looks at what is new, and takes streams that it is for, as many as there is room for.
    async fn look_at_streams(self: &Arc<Self>, watch: &mut Watch) -> Result<(), ServiceError> {
        let seen = watch.seen;
        let read: Result<_, StoreError> = self
            .store
            .read("stream_look", move |tx| {
                let streams = tx.stream_pushed()?;
                if streams.is_empty() {
                    return Ok((streams, Vec::new(), 0));
                }
                let end = tx.log_position()?;
                let news = match seen {
                    Some(seen) if seen < end => tx.stream_news(seen, NEWS)?,
                    _ => Vec::new(),
                };
                Ok((streams, news, end))
            })
            .await;
        let (streams, news, end) = read?;
        if streams.is_empty() {
            *watch = Watch::default();
            return Ok(());
        }
        watch.note(&streams, &news, end);
        let (now, room) = (self.clock.now_ms(), self.streams.lanes.available_permits());
        let due: Vec<String> = {
            let due = streams.iter().filter(|stream| watch.is_due(stream, now));
            choose(due, &self.streams.busy(), room)
        };
        if due.is_empty() {
            return Ok(());
        }
        let (runner, lease) = (self.clock.id("run"), self.streams.lease(now));
        let name = runner.clone();
        let claimed: Result<Vec<StreamRow>, StoreError> = self
            .store
            .write("stream_claim", move |tx| {
                let mut claimed = Vec::new();
                for id in &due {
                    claimed.extend(tx.stream_claim(id, &name, now, lease)?);
                }
                Ok(claimed)
            })
            .await;
        for row in claimed? {
            self.start_stream(row, runner.clone()).await;
        }
        Ok(())
    }

    async fn start_stream(self: &Arc<Self>, row: StreamRow, runner: String) {
        let Ok(place) = Arc::clone(&self.streams.lanes).acquire_owned().await else { return };
        self.streams.busy().insert(row.id.clone(), row.scope.clone());
        let busy = Busy { service: Arc::clone(self), id: row.id.clone() };
        let service = Arc::clone(self);
        tokio::spawn(async move {
            // Both are let go when the lane has ended, however it does.
            let (_place, busy) = (place, busy);
            if let Err(error) = service.push_stream(row, runner).await {
                tracing::warn!(%error, stream = busy.id, "a stream is not served");
            }
        });
    }

    /// Brings the metrics of all streams up to date, and streams back that stand beyond the end of the
    /// log, as after a restore.
    pub async fn measure_streams(&self) -> Result<(), ServiceError> {
        let found: Result<(Vec<StreamLag>, i64), StoreError> = self
            .store
            .read("stream_lags", |tx| {
                let places = tx.stream_lags()?;
                let end = if places.is_empty() { 0 } else { tx.log_position()? };
                Ok((places, end))
            })
            .await;
        let (places, end) = found?;
        self.streams.metrics.places(&places, end);
        if places.iter().any(|place| place.position > end) {
            tracing::warn!(
                "the event log is shorter than what streams have got; they go on at its end"
            );
            let back: Result<usize, StoreError> = self
                .store
                .write("stream_rewind", |tx| {
                    let end = tx.log_position()?;
                    tx.stream_rewind(end)
                })
                .await;
            back?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::set::DEACTIVATE;

    const DELETED: &str = "dsync.user.deleted";

    fn stream(id: &str, scope: &str, position: i64) -> PushedStream {
        let (id, scope) = (id.to_owned(), scope.to_owned());
        PushedStream { id, scope, events: None, position, next_at: 0, lease: 0, verification: None }
    }

    fn event(position: i64, event: &str, organization: &str) -> UserEvent {
        let (event, organization_id) = (event.to_owned(), organization.to_owned());
        UserEvent { position, event, organization_id }
    }

    #[test]
    fn only_streams_that_something_is_for_are_woken() {
        let purges = Some(format!("[\"{DEACTIVATE}\"]"));
        let streams = [
            stream("all", "", 10),
            stream("a", "org_a", 10),
            stream("b", "org_b", 10),
            PushedStream { events: purges, ..stream("other", "", 10) },
        ];
        let mut watch = Watch::default();
        watch.note(&streams, &[], 10);
        assert!(watch.hot.is_empty());
        let news = [
            event(11, "dsync.group.user_added", "org_b"),
            event(12, "dsync.user.deleted", "org_a"),
        ];
        watch.note(&streams, &news, 12);
        let due = |watch: &Watch| -> Vec<String> {
            let due = streams.iter().filter(|stream| watch.is_due(stream, 0));
            due.map(|stream| stream.id.clone()).collect()
        };
        assert_eq!(due(&watch), ["all", "a"]);
        assert_eq!((watch.seen, watch.more), (Some(12), false));
        // Until they have got there.
        watch.note(&[stream("all", "", 12), stream("a", "org_a", 11)], &[], 12);
        assert_eq!(due(&watch), ["a"]);
    }

    #[test]
    fn stream_that_was_paused_is_gone_to_at_once() {
        let (mut watch, other) = (Watch::default(), stream("other", "", 10));
        watch.note(&[other.clone(), stream("s", "", 10)], &[], 10);
        watch.note(std::slice::from_ref(&other), &[event(11, DELETED, "org_a")], 11);
        watch.note(&[other, stream("s", "", 10)], &[], 11);
        assert_eq!(watch.hot.keys().collect::<Vec<_>>(), ["other", "s"]);
    }

    #[test]
    fn no_organization_takes_the_lanes_of_others() {
        let many = |scope: &'static str, count: usize| {
            (0..count).map(move |number| stream(&format!("{scope}{number}"), scope, 0))
        };
        let streams: Vec<PushedStream> =
            many("a", 10).chain(many("", 10)).chain(many("b", 1)).chain(many("a,c", 1)).collect();
        let busy = BTreeMap::from([("a0".to_owned(), "a".to_owned())]);
        let chosen = choose(streams.iter(), &busy, LANES);
        let (all, a): (Vec<_>, Vec<_>) =
            chosen.iter().filter(|id| *id != "b0").partition(|id| !id.starts_with('a'));
        assert_eq!((all.len(), a.len()), (SHARE_OF_ALL, SHARE - 1));
        assert!(chosen.iter().any(|id| id == "b0"));
        // In their order, as far as there is room.
        assert_eq!(choose(streams.iter(), &BTreeMap::new(), 2), ["a0", "a1"]);
    }

    #[test]
    fn first_look_goes_to_every_stream_that_is_behind() {
        let mut watch = Watch::default();
        watch.note(&[stream("behind", "", 3), stream("there", "", 10)], &[], 10);
        assert_eq!(watch.hot.keys().collect::<Vec<_>>(), ["behind"]);
    }

    #[test]
    fn stream_is_left_alone_while_somebody_has_it_or_it_waits_for_its_next_try() {
        let watch = Watch::default();
        let failing = PushedStream { next_at: 50, ..stream("s", "", 1) };
        assert!(!watch.is_due(&failing, 49));
        assert!(watch.is_due(&failing, 50));
        let held = PushedStream { lease: 60, ..stream("s", "", 1) };
        assert!(!watch.is_due(&held, 59));
        // Its runner has died.
        assert!(watch.is_due(&held, 60));
        assert!(!watch.is_due(&stream("s", "", 1), 100));
    }
}

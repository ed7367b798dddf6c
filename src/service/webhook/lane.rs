//! One endpoint, for a few seconds: what is new in the order of the log, and replays beside it.
//!
//! Progress is stored a few times a second and after every failure. What was delivered since is delivered
//! again when the process ends before: receivers know an event by its id.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::attempt::{Attempt, Envelope, Target};
use super::news::Behind;
use super::replay::selection;
use crate::clock::{Stopwatch, fill_random};
use crate::event::deliver::{Health, Verdict, back_off};
use crate::outbound::Session;
use crate::service::events::{INNER_BYTES, Part, Selection, part};
use crate::service::overview::Series;
use crate::service::{Service, ServiceError};
use crate::store::event_log::{LogRow, Order};
use crate::store::webhook::{AttemptRow, EndpointRow, ParkedRow, ReplayRow};
use crate::store::webhook_lane::{Kept, LaneEnd, LaneProgress};
use crate::store::{StoreError, Tx};

/// How long an endpoint is served before others get its place.
const TURN: Duration = Duration::from_secs(5);

/// How often progress is stored, and a lease renewed.
const SAVE_EVERY: Duration = Duration::from_millis(250);

/// Pauses up to this many milliseconds are waited for in the lane.
const IN_LANE_MS: i64 = 5_000;

/// How often a lane that waits looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// Events read at a time, of the log and of a replay.
const PAGE: i64 = 100;
const REPLAY_PAGE: i64 = 20;

/// Attempts of an event in a replay before it is parked; a second event in a row ends the replay.
const REPLAY_TRIES: i64 = 10;

/// Deliveries in the log each time progress is stored; failures are all in it.
const LOGGED: usize = 5;

/// What a lane does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There may be more to do.
    Onward,
    /// Nothing is left to do.
    Idle,
    /// The next event is to be tried later.
    Wait,
    /// The endpoint is not this lane's any more.
    Stop,
}

/// What replays want of a lane.
enum Due {
    Nothing,
    /// The next events of one.
    Part(ReplayRow, Part),
    /// An operator has changed the endpoint, or somebody else has it.
    Changed,
}

/// What is to be stored beside the endpoint's own row.
#[derive(Default)]
struct Unsaved {
    log: Vec<AttemptRow>,
    /// Deliveries among the log.
    delivered: usize,
    parked: Vec<ParkedRow>,
    unparked: Vec<i64>,
    replay: Option<ReplayRow>,
}

struct Lane {
    service: Arc<Service>,
    row: EndpointRow,
    runner: String,
    target: Target,
    session: Session,
    selection: Selection,
    health: Health,
    unsaved: Unsaved,
    /// Where the endpoint stands as far as it is stored.
    stood: i64,
    /// Up to where there is nothing more by this selection: of no worth once an operator has changed it.
    passed: i64,
    /// True when something was delivered since progress was stored.
    moved: bool,
    /// True when something was added to the log of attempts.
    logged: bool,
    changed: watch::Receiver<()>,
    seen: watch::Receiver<i64>,
    begun: Stopwatch,
    saved: Stopwatch,
}

impl Service {
    /// Serves an endpoint whose lease this runner holds, and lets it go.
    pub(super) async fn serve_endpoint(
        self: &Arc<Self>,
        row: EndpointRow,
        runner: String,
    ) -> Result<(), ServiceError> {
        let secrets = self.webhooks.secrets(&row, self.clock.now_ms())?;
        let target = Target { endpoint_id: row.id.clone(), url: row.url.clone(), secrets };
        let lane = Lane {
            service: Arc::clone(self),
            session: self.webhooks.outbound.session(self.webhooks.timeout),
            selection: selection(&row, None),
            health: Health {
                attempts: row.attempts,
                head_since: row.head_since,
                failing_since: row.failing_since,
                last_success: row.last_success,
                probed: row.probed,
            },
            target,
            stood: row.position,
            passed: row.position,
            row,
            runner,
            unsaved: Unsaved::default(),
            moved: false,
            logged: false,
            changed: self.webhooks.changed.subscribe(),
            seen: self.webhooks.seen.subscribe(),
            begun: Stopwatch::start(),
            saved: Stopwatch::start(),
        };
        Box::pin(lane.serve()).await
    }
}

impl Lane {
    async fn serve(mut self) -> Result<(), ServiceError> {
        loop {
            // What changes from here on is not lost while it is not waited for.
            self.changed.mark_unchanged();
            let new = match self.forward().await? {
                Step::Stop => return Ok(()),
                _ if self.is_over() => break,
                new => new,
            };
            let next = match (new, self.replay().await?) {
                (_, Step::Stop) => return Ok(()),
                _ if self.is_over() => break,
                (Step::Onward, _) | (_, Step::Onward) => Step::Onward,
                (Step::Wait, _) | (_, Step::Wait) => break,
                _ => self.linger().await?,
            };
            match next {
                Step::Onward => {}
                Step::Stop => return Ok(()),
                Step::Idle | Step::Wait => break,
            }
        }
        self.store(LaneEnd::Over, None).await?;
        Ok(())
    }

    /// True when it is another endpoint's turn, or the process is about to stop.
    fn is_over(&self) -> bool {
        self.begun.elapsed() >= TURN || self.service.event_log.is_closing()
    }

    fn now(&self) -> i64 {
        self.service.clock.now_ms()
    }

    /// Delivers a page of what is new.
    async fn forward(&mut self) -> Result<Step, ServiceError> {
        if self.now() < self.row.next_at {
            return Ok(Step::Wait);
        }
        let Some((page, pruned)) = self.page().await? else {
            return self.give_up(None).await;
        };
        let reached = self.row.position.max(self.passed);
        if reached < pruned {
            let lost = pruned - reached;
            tracing::warn!(
                endpoint = self.row.id,
                lost,
                "events were removed before they were sent"
            );
            (self.row.position, self.row.missed) = (pruned, self.row.missed + lost);
        }
        let is_empty = page.rows.is_empty();
        for row in &page.rows {
            match self.deliver(row).await? {
                Step::Onward if self.is_over() => return Ok(Step::Onward),
                Step::Onward => {}
                other => return Ok(other),
            }
        }
        // What was passed over is stored with the next delivery, or at the end of the turn.
        self.row.position = self.row.position.max(page.next);
        Ok(if is_empty && !page.more { Step::Idle } else { Step::Onward })
    }

    /// The next events, and up to where the log was pruned; `None` when an operator has changed the
    /// endpoint, or somebody else has it.
    async fn page(&self) -> Result<Option<(Part, i64)>, ServiceError> {
        let (id, runner, version) = (self.row.id.clone(), self.runner.clone(), self.row.version);
        let (selection, position) = (self.selection.clone(), self.row.position.max(self.passed));
        let read: Result<_, StoreError> = self
            .service
            .store
            .read("webhook_page", move |tx| {
                if tx.webhook_held(&id, &runner)? != Some(version) {
                    return Ok(None);
                }
                let pruned = tx.log_pruned()?;
                Ok(Some((part(tx, &selection, position.max(pruned), PAGE)?, pruned)))
            })
            .await;
        Ok(read?)
    }

    /// Delivers the next event, with short pauses between attempts.
    async fn deliver(&mut self, row: &LogRow) -> Result<Step, ServiceError> {
        let event = Envelope::of(row);
        // What is known of another event, which was passed over or removed, does not count for this one.
        if self.row.head_position != Some(row.position) {
            self.health.passed();
            self.row.head_position = Some(row.position);
        }
        loop {
            if self.saved.elapsed() >= SAVE_EVERY && !self.keep().await? {
                return Ok(Step::Stop);
            }
            let attempt = self.attempt(&event, self.health.attempts + 1, None).await;
            let now = self.now();
            if attempt.is_accepted() {
                self.health.delivered(now);
                if row.reason.is_some() {
                    let taken = Series::offboarding(now - row.created);
                    self.service.samples.count(now, taken);
                }
                (self.row.position, self.row.next_at, self.moved) = (row.position, 0, true);
                return Ok(Step::Onward);
            }
            if attempt.is_gone() {
                return self.give_up(Some(("disabled", "gone", now))).await;
            }
            self.health.failed(now);
            let mut verdict = self.health.verdict(now);
            if verdict == Verdict::Probe {
                // Another request may take its time, and the lease is for one.
                if !self.keep().await? {
                    return Ok(Step::Stop);
                }
                if self.probe().await {
                    self.health.answers(now);
                    verdict = self.health.verdict(now);
                }
            }
            match verdict {
                Verdict::Probe | Verdict::Pause => {
                    return self.give_up(Some(("paused", "failing", now))).await;
                }
                Verdict::Park => {
                    let since = self.health.head_since.unwrap_or(now);
                    self.park(row, self.health.attempts, since, &attempt);
                    self.health.passed();
                    (self.row.position, self.row.next_at, self.moved) = (row.position, 0, true);
                    return Ok(Step::Onward);
                }
                Verdict::Retry => {}
            }
            self.row.next_at = now + self.pause(self.health.attempts, &attempt);
            if !self.keep().await? {
                return Ok(Step::Stop);
            }
            if !self.wait(now).await {
                return Ok(Step::Wait);
            }
        }
    }

    /// Sends a page of the oldest replay.
    async fn replay(&mut self) -> Result<Step, ServiceError> {
        let (mut replay, page) = match self.replay_page().await? {
            Due::Part(replay, page) => (replay, page),
            Due::Nothing => return Ok(Step::Idle),
            Due::Changed => return self.give_up(None).await,
        };
        for row in &page.rows {
            // Each event may take its time, and the lease is for one request.
            self.unsaved.replay = Some(replay.clone());
            if self.is_over() {
                return Ok(Step::Onward);
            }
            if self.saved.elapsed() >= SAVE_EVERY && !self.keep().await? {
                return Ok(Step::Stop);
            }
            let event = Envelope::of(row);
            let number = replay.attempts % REPLAY_TRIES + 1;
            let attempt = self.attempt(&event, number, Some(&replay.id)).await;
            let now = self.now();
            if attempt.is_gone() {
                self.unsaved.replay = Some(replay);
                return self.give_up(Some(("disabled", "gone", now))).await;
            }
            if attempt.is_accepted() {
                self.health.alive(now);
                self.unsaved.unparked.push(row.position);
                (replay.attempts, replay.since) = (0, None);
            } else if !self.refused(&mut replay, row, number, &attempt) {
                return self.note(replay, Step::Wait).await;
            }
            replay.position = row.position;
        }
        replay.position = page.next.min(replay.until);
        self.note(replay, Step::Onward).await
    }

    /// Notes that an event of a replay was not accepted. True when the event is parked and the replay
    /// goes on.
    fn refused(
        &mut self,
        replay: &mut ReplayRow,
        row: &LogRow,
        number: i64,
        last: &Attempt,
    ) -> bool {
        let now = self.now();
        let since = *replay.since.get_or_insert(now);
        replay.attempts += 1;
        if number < REPLAY_TRIES {
            replay.next_at = now + self.pause(number, last);
            return false;
        }
        let others_pass = self.health.last_success.is_some_and(|success| success > since);
        if replay.attempts > REPLAY_TRIES && !others_pass {
            // Nothing is parked for a receiver that takes nothing: it would be the whole log.
            tracing::warn!(endpoint = self.row.id, replay = replay.id, "a replay is given up");
            replay.failed = Some(now);
            return false;
        }
        self.park(row, REPLAY_TRIES, since, last);
        if others_pass {
            (replay.attempts, replay.since) = (0, None);
        }
        true
    }

    /// The oldest replay whose time has come, and its next events.
    async fn replay_page(&self) -> Result<Due, ServiceError> {
        let (endpoint, runner, now) = (self.row.clone(), self.runner.clone(), self.now());
        let read: Result<_, StoreError> = self
            .service
            .store
            .read("webhook_replay_page", move |tx| {
                let Some(replay) = tx.webhook_replay_due(&endpoint.id, now)? else {
                    return Ok(Due::Nothing);
                };
                if tx.webhook_held(&endpoint.id, &runner)? != Some(endpoint.version) {
                    return Ok(Due::Changed);
                }
                let mut page = if replay.only_parked {
                    parked(tx, &endpoint, &replay)?
                } else {
                    let range =
                        (replay.range_start.is_some() || replay.range_end.is_some()).then(|| {
                            (
                                replay.range_start.unwrap_or(0),
                                replay.range_end.unwrap_or(i64::MAX / 2),
                            )
                        });
                    part(tx, &selection(&endpoint, range), replay.position, REPLAY_PAGE)?
                };
                page.rows.retain(|row| row.position <= replay.until);
                Ok(Due::Part(replay, page))
            })
            .await;
        Ok(read?)
    }

    /// Stores how far a replay has got.
    async fn note(&mut self, replay: ReplayRow, then: Step) -> Result<Step, ServiceError> {
        self.unsaved.replay = Some(replay);
        Ok(if self.keep().await? { then } else { Step::Stop })
    }

    /// Sends the event once and notes it in the log.
    async fn attempt(&mut self, event: &Envelope, number: i64, replay: Option<&str>) -> Attempt {
        let service = Arc::clone(&self.service);
        let attempt = service.webhook_send(&self.target, &self.session, event, replay).await;
        let unsaved = &mut self.unsaved;
        if attempt.is_accepted() {
            unsaved.delivered += 1;
        }
        // A busy endpoint must not make a row of each delivery.
        if !attempt.is_accepted() || unsaved.delivered <= LOGGED {
            self.logged = true;
            let row = service.attempt_row(&self.row.id, event, number, replay, &attempt);
            unsaved.log.push(row);
        }
        attempt
    }

    /// Whether the receiver accepts an event that it can have nothing against.
    async fn probe(&mut self) -> bool {
        let event = Envelope::test(self.service.clock.id("event"), &self.row.id, self.now());
        self.attempt(&event, 1, None).await.is_accepted()
    }

    fn park(&mut self, row: &LogRow, attempts: i64, since: i64, last: &Attempt) {
        tracing::warn!(endpoint = self.row.id, event = row.id, "an event is parked");
        self.service.webhooks.metrics.parked.inc();
        self.unsaved.parked.push(ParkedRow {
            position: row.position,
            event_id: row.id.clone(),
            event: row.event.clone(),
            attempts,
            status: last.status.map(i32::from),
            since,
            parked: self.now(),
        });
    }

    /// Milliseconds until the next attempt.
    fn pause(&self, attempts: i64, last: &Attempt) -> i64 {
        let mut random = [0; 4];
        fill_random(&mut random);
        let first = self.service.webhooks.first_retry_ms;
        back_off(attempts, first, last.retry_after, u32::from_le_bytes(random))
    }

    /// Waits for the next attempt; false when it is too far off for this lane.
    async fn wait(&self, now: i64) -> bool {
        if self.row.next_at - now > IN_LANE_MS {
            return false;
        }
        loop {
            let left = self.row.next_at - self.now();
            if left <= 0 {
                return true;
            }
            if self.is_over() {
                return false;
            }
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            tokio::time::sleep(left.min(TICK)).await;
        }
    }

    /// Whether there is something new for this endpoint.
    fn behind(&self) -> Behind {
        let news = self.service.webhooks.news();
        news.behind(self.row.position.max(self.passed), &self.row.scope, &self.row.events)
    }

    /// Waits for news: a lease that is kept costs less than one for each event.
    async fn linger(&mut self) -> Result<Step, ServiceError> {
        let service = Arc::clone(&self.service);
        loop {
            if !service.webhooks.has_room(&self.row.scope) {
                return Ok(Step::Idle);
            }
            self.seen.mark_unchanged();
            let behind = self.behind();
            match behind {
                Behind::Nothing(up_to) => self.passed = self.passed.max(up_to),
                Behind::Something | Behind::Unknown => return Ok(Step::Onward),
            }
            let left = TURN.saturating_sub(self.begun.elapsed());
            let to_save = SAVE_EVERY.saturating_sub(self.saved.elapsed());
            let pause = if self.moved { left.min(to_save) } else { left };
            tokio::select! {
                _ = self.seen.changed() => {}
                _ = self.changed.changed() => return Ok(Step::Onward),
                () = service.event_log.closed() => return Ok(Step::Idle),
                () = tokio::time::sleep(pause) => {}
            }
            if self.is_over() {
                return Ok(Step::Idle);
            }
            if self.moved && !self.keep().await? {
                return Ok(Step::Stop);
            }
        }
    }

    /// Stores what was done and renews the lease; false when the endpoint is not this lane's any more.
    async fn keep(&mut self) -> Result<bool, ServiceError> {
        Ok(self.store(LaneEnd::Open, None).await? == Kept::Yes)
    }

    /// Stores what was done and lets the endpoint go, in another state.
    async fn give_up(
        &mut self,
        state: Option<(&'static str, &'static str, i64)>,
    ) -> Result<Step, ServiceError> {
        if let Some((state, reason, _)) = state {
            tracing::warn!(endpoint = self.row.id, state, reason, "an endpoint gets nothing more");
        }
        self.store(LaneEnd::Over, state).await?;
        Ok(Step::Stop)
    }

    async fn store(
        &mut self,
        end: LaneEnd,
        state: Option<(&'static str, &'static str, i64)>,
    ) -> Result<Kept, ServiceError> {
        let now = self.now();
        let unsaved = std::mem::take(&mut self.unsaved);
        let done = LaneProgress {
            endpoint_id: self.row.id.clone(),
            runner: self.runner.clone(),
            version: self.row.version,
            stood: self.stood,
            position: self.row.position,
            passed: self.row.position.max(self.passed),
            missed: self.row.missed,
            attempts: self.health.attempts,
            head_since: self.health.head_since,
            head_position: self.row.head_position.filter(|_| self.health.attempts > 0),
            failing_since: self.health.failing_since,
            last_success: self.health.last_success,
            probed: self.health.probed,
            next_at: self.row.next_at,
            lease: match end {
                LaneEnd::Open => self.service.webhooks.lease(now),
                LaneEnd::Over => now,
            },
            end,
            trim: self.logged,
            state,
            log: unsaved.log,
            parked: unsaved.parked,
            unparked: unsaved.unparked,
            replay: unsaved.replay,
        };
        let passed = done.passed;
        let kept: Result<Kept, StoreError> =
            self.service.store.write("webhook_progress", move |tx| tx.webhook_save(&done)).await;
        (self.saved, self.moved, self.stood) = (Stopwatch::start(), false, passed);
        Ok(kept?)
    }
}

/// The next events of a replay of what is parked, as far as the endpoint still gets their names. Those
/// of organizations that it no longer gets are not parked any more.
fn parked(tx: &mut Tx<'_>, endpoint: &EndpointRow, replay: &ReplayRow) -> Result<Part, StoreError> {
    let parked = tx.webhook_parked(&endpoint.id, replay.position, REPLAY_PAGE)?;
    let more = i64::try_from(parked.len()).unwrap_or(i64::MAX) >= REPLAY_PAGE;
    let end = parked.last().map(|row| row.position).filter(|_| more);
    let names = selection(endpoint, None).names;
    let wanted = parked.into_iter().filter(|row| names.contains(&row.event));
    let positions: Vec<i64> = wanted.map(|row| row.position).collect();
    let read = tx.log_at(&positions, Order::OldestFirst, INNER_BYTES)?;
    let last = read.rows.last().filter(|_| read.full).map(|row| row.position);
    let next = last.or(end).unwrap_or(replay.until);
    Ok(Part { rows: read.rows, next, more })
}

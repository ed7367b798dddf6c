//! Which endpoints this process serves: it takes their leases, a few seconds at a time.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::news::{Choice, choose};
use super::{LANES, Webhooks};
use crate::clock::Stopwatch;
use crate::service::{Service, ServiceError};
use crate::store::StoreError;
use crate::store::webhook::{EndpointPlace, EndpointRow};
use crate::store::webhook_lane::{CandidateRow, NewsRow};

/// How often a process looks for endpoints whose time has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The least time between two looks, while events come in. Looks take no more than a fifth of the time
/// however many endpoints there are, as long as they do not take longer than this.
const BREATH: Duration = Duration::from_millis(20);
const LONGEST_BREATH: Duration = Duration::from_millis(100);

/// Events that a look reads; where there are more, it begins anew at the end of the log.
const MOST_NEWS: i64 = 2_000;

/// How often endpoints that there is nothing for are brought to the end of the log, and how many of them.
const ADVANCE_EVERY: Duration = Duration::from_secs(2);
const ADVANCED: usize = 1_000;

/// How long a lease lasts beyond the longest request, in milliseconds.
const LEASE_MS: i64 = 20_000;

/// An endpoint that this process serves, as long as this lives.
struct Busy {
    service: Arc<Service>,
    id: String,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.service.webhooks.busy().remove(&self.id);
    }
}

impl Webhooks {
    /// Until when a lease lasts that is taken or renewed now.
    pub(super) fn lease(&self, now: i64) -> i64 {
        let timeout = i64::try_from(self.timeout.as_millis()).unwrap_or(LEASE_MS);
        now.saturating_add(LEASE_MS).saturating_add(timeout)
    }
}

impl Service {
    /// Ends every lease. For a process that has the database to itself: whoever held one has stopped.
    pub async fn release_webhooks(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let released: Result<(), StoreError> =
            self.store.write("webhook_release", |tx| tx.webhook_release_all()).await;
        Ok(released?)
    }

    /// Delivers for as long as the process serves.
    pub async fn run_webhooks(self: Arc<Self>) {
        let mut positions = self.event_log.positions();
        let mut changed = self.webhooks.changed.subscribe();
        let mut advanced = Stopwatch::start();
        while !self.event_log.is_closing() {
            let since = Stopwatch::start();
            if let Err(error) = self.look_at_endpoints(&mut advanced).await {
                tracing::warn!(%error, "webhooks are not delivered yet");
            }
            let breath = since.elapsed().saturating_mul(4).clamp(BREATH, LONGEST_BREATH);
            tokio::time::sleep(breath).await;
            tokio::select! {
                _ = positions.changed() => {}
                _ = changed.changed() => {}
                () = self.event_log.closed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Waits until the requests that were sent are answered and what they came to is stored. Nothing is
    /// sent any more once the log closes.
    pub async fn stop_webhooks(&self) {
        let all = u32::try_from(LANES).unwrap_or(u32::MAX);
        let patience = self.webhooks.timeout + Duration::from_secs(2);
        if tokio::time::timeout(patience, self.webhooks.lanes.acquire_many(all)).await.is_err() {
            tracing::warn!("deliveries were cut off; they are made again");
        }
    }

    /// Takes endpoints that have something to do, as many as there is room for, and brings others to the
    /// end of the log.
    async fn look_at_endpoints(
        self: &Arc<Self>,
        advanced: &mut Stopwatch,
    ) -> Result<(), ServiceError> {
        let now = self.clock.now_ms();
        let candidates: Result<Vec<CandidateRow>, StoreError> =
            self.store.get("webhook_candidates", move |tx| tx.webhook_candidates(now)).await;
        let candidates = candidates?;
        if candidates.is_empty() && self.webhooks.busy().is_empty() {
            return Ok(());
        }
        self.read_news().await?;
        let room = self.webhooks.lanes.available_permits();
        let Choice { serve, mut idle, up_to } =
            choose(&self.webhooks.news(), candidates, &self.webhooks.busy(), room);
        if !idle.is_empty() && advanced.elapsed() >= ADVANCE_EVERY {
            *advanced = Stopwatch::start();
            idle.truncate(ADVANCED);
            let moved: Result<usize, StoreError> = self
                .store
                .write("webhook_advance", move |tx| tx.webhook_advance(&idle, up_to, now))
                .await;
            moved?;
        }
        if serve.is_empty() {
            return Ok(());
        }
        let (runner, lease) = (self.clock.id("run"), self.webhooks.lease(now));
        let name = runner.clone();
        let claimed: Result<Vec<EndpointRow>, StoreError> = self
            .store
            .write("webhook_claim", move |tx| tx.webhook_claim(&serve, &name, now, lease))
            .await;
        for row in claimed? {
            self.start_lane(row, runner.clone()).await;
        }
        Ok(())
    }

    /// Reads what has happened since the last look, and tells the lanes that wait for it.
    async fn read_news(&self) -> Result<(), ServiceError> {
        let news = Arc::clone(&self.webhooks.news);
        let beyond = move |end: i64| {
            news.lock().unwrap_or_else(PoisonError::into_inner).beyond(end, MOST_NEWS)
        };
        let read: Result<(i64, Option<Vec<NewsRow>>), StoreError> = self
            .store
            .read("webhook_news", move |tx| {
                let end = tx.log_position()?;
                let from = beyond(end);
                let rows = from.map(|from| tx.webhook_news(from, MOST_NEWS + 1)).transpose()?;
                Ok((end, rows))
            })
            .await;
        let (end, rows) = read?;
        if !rows.is_some_and(|rows| self.webhooks.news().add(rows)) {
            let last: Result<Vec<NewsRow>, StoreError> =
                self.store.get("webhook_last", move |tx| tx.webhook_news(end, 1)).await;
            let last = last?.pop();
            self.webhooks.news().begin(end, last);
        }
        self.webhooks.seen.send_if_modified(|seen| std::mem::replace(seen, end) != end);
        Ok(())
    }

    async fn start_lane(self: &Arc<Self>, row: EndpointRow, runner: String) {
        let Ok(place) = Arc::clone(&self.webhooks.lanes).acquire_owned().await else { return };
        self.webhooks.busy().insert(row.id.clone(), row.scope.clone());
        let busy = Busy { service: Arc::clone(self), id: row.id.clone() };
        let service = Arc::clone(self);
        tokio::spawn(async move {
            // Both are let go when the lane has ended, however it does.
            let (_place, busy) = (place, busy);
            if let Err(error) = service.serve_endpoint(row, runner).await {
                tracing::warn!(%error, endpoint = busy.id, "an endpoint is not served");
            }
        });
    }

    /// Brings the metrics of all endpoints up to date, and endpoints back that stand beyond the end of
    /// the log, as after a restore.
    pub async fn measure_webhooks(&self) -> Result<(), ServiceError> {
        let found: Result<(Vec<EndpointPlace>, i64), StoreError> = self
            .store
            .read("webhook_places", |tx| {
                let places = tx.webhook_places()?;
                let end = if places.is_empty() { 0 } else { tx.log_position()? };
                Ok((places, end))
            })
            .await;
        let (places, end) = found?;
        self.webhooks.metrics.places(&places, end, self.clock.now_ms());
        if places.iter().any(|place| place.position > end) {
            tracing::warn!(
                "the event log is shorter than what endpoints have got; they go on at its end"
            );
            let back: Result<usize, StoreError> = self
                .store
                .write("webhook_rewind", |tx| {
                    let end = tx.log_position()?;
                    tx.webhook_rewind(end)
                })
                .await;
            back?;
        }
        Ok(())
    }
}

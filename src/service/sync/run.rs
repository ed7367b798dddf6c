//! Which directories this process reads: it takes their leases, a few seconds at a time.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::end::DROPPED;
use super::stage::Progress;
use crate::clock::Clock;
use crate::service::{Service, ServiceError};
use crate::store::sync::Claimed;
use crate::store::{self, StoreError, Tx, under_lease};

/// How often a process looks for directories whose time has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a lease lasts, in milliseconds: so long after a process was killed another one goes on.
const LEASE_MS: i64 = 20_000;

/// How long a process counts on a lease without having renewed it, in milliseconds: one that stood still, or could
/// not reach the database, has let go before another one takes over.
const COUNTED_ON_MS: i64 = LEASE_MS - 5_000;

/// How often a lease is renewed, and how often a look is taken whether it has to be.
const RENEW_EVERY: Duration = Duration::from_secs(5);
const BEAT: Duration = Duration::from_millis(500);

/// The priority of threads that read directories, from 0 as for all others to 19.
#[cfg(target_os = "linux")]
const PRIORITY: i32 = 10;

/// How long a directory rests when the database was in trouble, in milliseconds.
const REST_MS: i64 = 10_000;

/// For how long runs are kept, in milliseconds: 30 days.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// A directory that this process reads. Renewed as long as this lives.
pub(super) struct Lease {
    pub(super) directory_key: i64,
    pub(super) runner: String,
    /// Set when the directory is to be let go.
    pub(super) stop: Arc<AtomicBool>,
    pub(super) progress: Arc<Progress>,
    renewal: Arc<Renewal>,
    /// The run that is done now.
    run: Arc<Mutex<Option<String>>>,
    beat: tokio::task::JoinHandle<()>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.beat.abort();
    }
}

impl Lease {
    fn new(service: &Arc<Service>, directory_key: i64, runner: String) -> Self {
        let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(Progress::default()));
        let run = Arc::new(Mutex::new(None));
        let renewal = Arc::new(Renewal::now(service.clock.clone()));
        let heart = Heart {
            service: Arc::clone(service),
            directory_key,
            runner: runner.clone(),
            stop: Arc::clone(&stop),
            progress: Arc::clone(&progress),
            renewal: Arc::clone(&renewal),
            run: Arc::clone(&run),
        };
        let beat = tokio::spawn(heart.beat());
        Self { directory_key, runner, stop, progress, renewal, run, beat }
    }

    /// The run whose progress is shown.
    pub(super) fn begins(&self, run: &str) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run.to_owned());
    }

    /// Once it is lost it stays so: what was left out in the meantime is not made up for.
    pub(super) fn is_lost(&self) -> bool {
        if self.renewal.is_old() {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.stop.load(Ordering::Relaxed)
    }
}

/// When a lease was renewed, by a clock that nobody sets.
struct Renewal {
    clock: Clock,
    at: AtomicI64,
}

impl Renewal {
    fn now(clock: Clock) -> Self {
        Self { at: AtomicI64::new(clock.steady_ms()), clock }
    }

    /// `asked` is when it was asked for: the lease lasts from then.
    fn note(&self, asked: i64) {
        self.at.store(asked, Ordering::Relaxed);
    }

    fn is_old(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        self.clock.steady_ms().saturating_sub(at) > COUNTED_ON_MS
    }
}

/// Renews a lease and shows the progress of its run.
struct Heart {
    service: Arc<Service>,
    directory_key: i64,
    runner: String,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    renewal: Arc<Renewal>,
    run: Arc<Mutex<Option<String>>>,
}

impl Heart {
    /// Until the lease is lost, or the server stops.
    async fn beat(self) {
        let (mut beats, mut reported) = (0_u32, String::new());
        loop {
            tokio::time::sleep(BEAT).await;
            beats += 1;
            let renews = BEAT * beats >= RENEW_EVERY;
            let goes_on = !self.service.event_log.is_closing() && (!renews || self.renew().await);
            if !goes_on {
                self.stop.store(true, Ordering::Relaxed);
                return;
            }
            if renews {
                beats = 0;
            }
            let progress = self.progress.shown().to_string();
            // Who stood still does not know yet whose run it is.
            let is_counted_on = !self.renewal.is_old();
            if is_counted_on && beats.is_multiple_of(2) && progress != reported {
                self.report(&progress).await;
                reported = progress;
            }
        }
    }

    /// False when somebody else has the directory, or an operator has stopped it. A database in trouble is no
    /// reason to let go at once: the lease ends by itself.
    async fn renew(&self) -> bool {
        let asked = self.service.clock.steady_ms();
        match self.service.hold(self.directory_key, &self.runner).await {
            Ok(true) => {
                self.renewal.note(asked);
                true
            }
            Ok(false) => false,
            Err(_) => true,
        }
    }

    async fn report(&self, progress: &str) {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(run) = run else { return };
        let (key, progress) = (self.directory_key, progress.to_owned());
        let write = move |tx: &mut Tx<'_>| tx.run_progress(key, &run, &progress);
        let written: Result<(), StoreError> =
            self.service.store.write("sync_progress", write).await;
        if let Err(error) = written {
            tracing::debug!(%error, "the progress of a run is not shown");
        }
    }
}

/// Lets every other thread go before this one. Where a priority is that of the whole process, it stays.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, PRIORITY) {
        tracing::debug!(%error, "a thread that reads a directory has the priority of all others");
    }
}

/// Serves a directory on this thread and others of its own, all of which give way: a large run must not take
/// the time of those who answer requests, nor that of the thread that writes for it.
fn serve_alone(service: &Arc<Service>, claimed: Claimed, runner: String) {
    give_way();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().on_thread_start(give_way).build();
    match runtime {
        Ok(runtime) => {
            service.syncs.metrics.running.inc();
            runtime.block_on(service.serve_source(claimed, runner));
            service.syncs.metrics.running.dec();
        }
        Err(error) => tracing::warn!(%error, "a directory cannot be read"),
    }
}

impl Service {
    /// Ends every lease. For a process that has the database to itself: whoever held one has stopped.
    pub async fn release_syncs(&self) -> Result<(), ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let released: Result<(), StoreError> =
            self.store.write("sync_release", |tx| tx.sync_release_all()).await;
        Ok(released?)
    }

    /// Reads directories for as long as the process serves.
    pub async fn run_syncs(self: Arc<Self>) {
        while !self.event_log.is_closing() {
            if let Err(error) = self.take_inbox().await {
                tracing::warn!(%error, "files that were laid into folders are not taken yet");
            }
            if let Err(error) = self.start_syncs().await {
                tracing::warn!(%error, "directories are not read yet");
            }
            tokio::select! {
                () = self.syncs.wanted.notified() => {}
                () = self.event_log.closed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Lets go of what is being read; it is read again by whoever comes next.
    pub async fn stop_syncs(&self) {
        let waiting = self.syncs.readers.all_gone();
        if tokio::time::timeout(Duration::from_secs(10), waiting).await.is_err() {
            tracing::warn!("the read of a directory was cut off; it is read again");
        }
    }

    /// Takes directories that have something to do, as many as there is room for: an organization gets a place
    /// only while more are free than it has.
    pub async fn start_syncs(self: &Arc<Self>) -> Result<(), ServiceError> {
        let (room, now) = (self.syncs.readers.room(), self.clock.now_ms());
        if room.free == 0 {
            return Ok(());
        }
        let looked = room.clone();
        let due: Result<bool, StoreError> =
            self.store.get("sync_due", move |tx| tx.sync_due(now, &looked)).await;
        if !due? {
            return Ok(());
        }
        let runner = self.clock.id("run");
        let name = runner.clone();
        let claimed: Result<Vec<Claimed>, StoreError> = self
            .store
            .write("sync_claim", move |tx| tx.sync_claim(&name, now, now + LEASE_MS, &room))
            .await;
        for claimed in claimed? {
            let taken = self.syncs.readers.place(claimed.directory_key).await;
            let Some(place) = taken else { break };
            let (service, runner) = (Arc::clone(self), runner.clone());
            let thread = std::thread::Builder::new().name("sync".to_owned());
            let started = thread.spawn(move || {
                let _place = place;
                serve_alone(&service, claimed, runner);
            });
            if let Err(error) = started {
                tracing::warn!(%error, "there is no thread for a directory; it waits for its lease");
            }
        }
        Ok(())
    }

    /// Does what there is to do for a directory, and lets it go.
    async fn serve_source(self: &Arc<Self>, claimed: Claimed, runner: String) {
        let key = claimed.directory_key;
        let held = store::Lease { directory_key: key, runner: runner.clone() };
        let lease = Lease::new(self, key, runner);
        let work = async {
            if claimed.is_taken_over {
                self.outlast_writers(key).await?;
            }
            self.drive(&lease).await
        };
        let rest = match under_lease(held, Box::pin(work)).await {
            Ok(()) => 0,
            // Whoever has the directory next goes on.
            Err(_) if lease.is_lost() => 0,
            Err(error) => {
                tracing::warn!(%error, directory_key = key, "a run is interrupted and goes on later");
                self.clock.now_ms() + REST_MS
            }
        };
        let (runner, key) = (lease.runner.clone(), lease.directory_key);
        drop(lease);
        let released: Result<bool, StoreError> =
            self.store.write("sync_let_go", move |tx| tx.sync_hold(key, &runner, rest)).await;
        if let Err(error) = released {
            tracing::warn!(%error, "a directory is let go only when its lease ends");
        }
        self.syncs.ended.notify_waiters();
        self.syncs.wanted.notify_one();
    }

    /// Waits for the units under way of whoever had the directory before; what it begins later is undone.
    async fn outlast_writers(&self, key: i64) -> Result<(), ServiceError> {
        let wait = move |tx: &mut Tx<'_>| tx.directory_lock_exclusive(key).map(drop);
        let waited: Result<(), StoreError> = self.store.write("sync_take_over", wait).await;
        Ok(waited?)
    }

    /// Renews a lease; false when it is not the runner's any more.
    async fn hold(&self, key: i64, runner: &str) -> Result<bool, StoreError> {
        let (until, name) = (self.clock.now_ms() + LEASE_MS, runner.to_owned());
        self.store.write("sync_keep", move |tx| tx.sync_keep(key, &name, until)).await
    }

    /// Removes runs that nobody looks at any more, and counts those that wait for somebody.
    pub async fn prune_syncs(&self) -> Result<(), ServiceError> {
        let before = self.clock.now_ms() - KEPT_MS;
        loop {
            let pruned: Result<bool, StoreError> =
                self.store.write("sync_prune", move |tx| tx.run_prune(before, DROPPED)).await;
            if !pruned? {
                break;
            }
        }
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let held: Result<i64, StoreError> =
            self.store.get("sync_held", |tx| tx.run_held_count()).await;
        self.syncs.metrics.held.set(held?);
        Ok(())
    }
}

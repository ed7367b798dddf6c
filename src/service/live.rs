//! Pages that stay up to date: whoever shows something is told when it has changed, and reads it again.
//!
//! A topic names what a page shows. As long as anybody watches, this process takes one look a second
//! at all topics that are watched, whoever watches them, and compares what it sees with what it saw
//! before. So changes of other processes are noticed, too, and writers know nothing of it.
//!
//! A page that was read a moment before its watch begins may have missed a change in between. Hence a
//! watch that begins within [`GAP`] of a change tells of it once more.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::error::AdminError;
use super::overview::{MINUTE, USERS};
use super::{ApiAccess, Service, ServiceError};
use crate::clock::Stopwatch;
use crate::store::{StoreError, Tx};

/// How often a look is taken while somebody watches.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long before a watch a page may have been read.
const GAP: Duration = Duration::from_secs(1);

/// A watch tells no more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a watch without news shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a topic is looked at when its last watch has ended: a page that reads itself again begins
/// the next one.
const KEPT: Duration = Duration::from_secs(10);

/// Watches of this process: of the console and, beside them, of the set-up portal; those of one
/// organization's visitors; those of one session.
const MOST_OF_CONSOLE: usize = 1_000;
const MOST_OF_PORTAL: usize = 1_000;
const MOST_OF_ORGANIZATION: usize = 100;
const MOST_OF_SESSION: usize = 20;

/// Topics of one watch.
const MAX_TOPICS: usize = 8;

/// Topics that are looked at in one unit.
const CHUNK: usize = 50;

/// Who watches. Whoever has a set-up link is a visitor: visitors take no place of the console, and those of
/// one organization leave some to the others.
#[derive(Clone, Copy, Debug)]
pub enum Watcher<'w> {
    Console { session: &'w str },
    Visitor { session: &'w str, organization: &'w str },
}

impl Watcher<'_> {
    /// What a watch counts towards, and how many watches that may have.
    fn bounds(self) -> Vec<(String, usize)> {
        match self {
            Self::Console { session } => vec![
                ("console".to_owned(), MOST_OF_CONSOLE),
                (format!("console session {session}"), MOST_OF_SESSION),
            ],
            Self::Visitor { session, organization } => vec![
                ("portal".to_owned(), MOST_OF_PORTAL),
                (format!("portal organization {organization}"), MOST_OF_ORGANIZATION),
                (format!("portal session {session}"), MOST_OF_SESSION),
            ],
        }
    }
}

/// What a page shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Overview,
    Events,
    Alarms,
    Directory(i64),
    Requests(i64),
    Runs(i64),
    Run(i64, String),
    Webhook(String),
}

/// A topic that somebody watches, or did a moment ago.
struct Watched {
    watches: usize,
    /// What was seen last; `None` before the first look.
    seen: Option<u64>,
    /// How often it has changed.
    changes: u64,
    changed: Stopwatch,
    left: Stopwatch,
}

#[derive(Default)]
struct Board {
    topics: BTreeMap<Topic, Watched>,
    /// Watches by what they count towards.
    counts: BTreeMap<String, usize>,
}

/// What this process watches.
pub struct Live {
    board: Mutex<Board>,
    /// Rises with every look that has found a change.
    round: watch::Sender<u64>,
    /// Told when a watch begins.
    begun: Notify,
}

impl Default for Live {
    fn default() -> Self {
        Self { board: Mutex::default(), round: watch::Sender::new(0), begun: Notify::new() }
    }
}

impl Live {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics to look at. Those that nobody has watched for a while are forgotten.
    fn topics(&self) -> Vec<Topic> {
        let mut board = self.board();
        board.topics.retain(|_, topic| topic.watches > 0 || topic.left.elapsed() < KEPT);
        board.topics.keys().cloned().collect()
    }

    /// Notes what was seen; true when something is different.
    fn note(&self, seen: Vec<(Topic, u64)>) -> bool {
        let mut board = self.board();
        let mut is_new = false;
        for (topic, now) in seen {
            let Some(watched) = board.topics.get_mut(&topic) else { continue };
            let before = watched.seen.replace(now);
            if before.is_some_and(|before| before != now) {
                watched.changes += 1;
                watched.changed = Stopwatch::start();
                is_new = true;
            }
        }
        is_new
    }
}

impl Board {
    /// Counts one more watch; answers what it counts towards, or `None` where something has as many as it
    /// may.
    fn admit(&mut self, watcher: Watcher<'_>) -> Option<Vec<String>> {
        let bounds = watcher.bounds();
        let count = |name: &String| self.counts.get(name).copied().unwrap_or_default();
        if bounds.iter().any(|(name, most)| count(name) >= *most) {
            return None;
        }
        let names: Vec<String> = bounds.into_iter().map(|(name, _)| name).collect();
        for name in &names {
            *self.counts.entry(name.clone()).or_default() += 1;
        }
        Some(names)
    }

    fn dismiss(&mut self, names: &[String]) {
        for name in names {
            if let Some(count) = self.counts.get_mut(name) {
                *count -= 1;
            }
        }
        self.counts.retain(|_, count| *count > 0);
    }

    /// Adds a watch of that topic; answers the changes that it knows of.
    fn begin(&mut self, topic: &Topic) -> u64 {
        let fresh = || Watched {
            watches: 0,
            seen: None,
            // A topic that nobody has watched may have changed just now.
            changes: 1,
            changed: Stopwatch::start(),
            left: Stopwatch::start(),
        };
        let watched = self.topics.entry(topic.clone()).or_insert_with(fresh);
        watched.watches += 1;
        let is_recent = watched.changed.elapsed() < GAP;
        watched.changes - u64::from(is_recent)
    }

    fn end(&mut self, topic: &Topic) {
        if let Some(watched) = self.topics.get_mut(topic) {
            watched.watches = watched.watches.saturating_sub(1);
            watched.left = Stopwatch::start();
        }
    }
}

/// Somebody who is told of changes. Dropping it ends the watch.
pub struct Watch {
    service: Arc<Service>,
    /// What it counts towards.
    counted: Vec<String>,
    /// Topics with the names that they are watched under, and the changes that were told.
    topics: Vec<(Topic, String, u64)>,
    round: watch::Receiver<u64>,
    told: Stopwatch,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut board = self.service.live.board();
        for (topic, ..) in &self.topics {
            board.end(topic);
        }
        board.dismiss(&self.counted);
    }
}

impl Watch {
    /// Waits for changes and answers the names of what has changed; none when nothing has for a while,
    /// `None` when the server is about to stop.
    pub async fn next(&mut self) -> Option<Vec<String>> {
        let service = Arc::clone(&self.service);
        let since = Stopwatch::start();
        loop {
            // What a look finds from here on is not lost while it is not waited for.
            self.round.mark_unchanged();
            let rest = PAUSE.saturating_sub(self.told.elapsed());
            if rest.is_zero() {
                let news = self.news();
                if !news.is_empty() {
                    return Some(news);
                }
            }
            let left = HEARTBEAT.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Some(Vec::new());
            }
            let pause = if rest.is_zero() { left } else { rest };
            tokio::select! {
                () = service.event_log.closed() => return None,
                _ = self.round.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// What has changed since it was told.
    fn news(&mut self) -> Vec<String> {
        let board = self.service.live.board();
        let mut news = Vec::new();
        for (topic, name, told) in &mut self.topics {
            let changes = board.topics.get(topic).map_or(*told, |watched| watched.changes);
            if changes != *told {
                *told = changes;
                news.push(name.clone());
            }
        }
        drop(board);
        if !news.is_empty() {
            self.told = Stopwatch::start();
        }
        news
    }
}

impl Service {
    /// Begins to watch topics: names with commas between them. Those of directories and runs
    /// that the access does not reach are not found, nor is what belongs to everybody unless it reaches
    /// everybody.
    pub async fn watch(
        self: &Arc<Self>,
        access: &ApiAccess,
        watcher: Watcher<'_>,
        names: &str,
    ) -> Result<Watch, ServiceError> {
        let names: Vec<&str> = names.split(',').collect();
        if names.len() > MAX_TOPICS {
            let message = format!("it names {} topics; allowed are {MAX_TOPICS}.", names.len());
            return Err(AdminError::invalid("of", message).into());
        }
        let mut topics = Vec::new();
        for name in names {
            topics.push((self.topic(access, name).await?, name.to_owned(), 0));
        }
        let mut board = self.live.board();
        let counted = board.admit(watcher).ok_or_else(|| {
            let message = "As many pages stay up to date as this process serves; try again later.";
            AdminError::new(503, "too_many_watches", message)
        })?;
        for (topic, _, told) in &mut topics {
            *told = board.begin(topic);
        }
        drop(board);
        self.live.begun.notify_one();
        Ok(Watch {
            service: Arc::clone(self),
            counted,
            topics,
            round: self.live.round.subscribe(),
            told: Stopwatch::start(),
        })
    }

    async fn topic(&self, access: &ApiAccess, name: &str) -> Result<Topic, ServiceError> {
        let (kind, id) = name.split_once(':').unwrap_or((name, ""));
        let of_all = access.organization_ids.is_none() && id.is_empty();
        match kind {
            "overview" if of_all => Ok(Topic::Overview),
            "events" if of_all => Ok(Topic::Events),
            "alarms" if of_all => Ok(Topic::Alarms),
            "directory" => Ok(Topic::Directory(self.directory_row(access, id).await?.key)),
            "requests" => Ok(Topic::Requests(self.directory_row(access, id).await?.key)),
            "runs" => Ok(Topic::Runs(self.directory_row(access, id).await?.key)),
            "run" => {
                let run = id.to_owned();
                let found: Result<Option<(i64, String)>, StoreError> =
                    self.store.get("run_directory", move |tx| tx.run_directory(&run)).await;
                let found = found?.filter(|(_, organization)| access.reaches(organization));
                let (key, _) = found.ok_or_else(|| AdminError::not_found("The run"))?;
                Ok(Topic::Run(key, id.to_owned()))
            }
            "webhook" => Ok(Topic::Webhook(self.webhook_row(access, id).await?.id)),
            _ => Err(AdminError::not_found("The topic").into()),
        }
    }

    /// Looks at what is watched, as long as the process runs.
    pub async fn run_live(self: Arc<Self>) {
        loop {
            let topics = self.live.topics();
            if topics.is_empty() {
                tokio::select! {
                    () = self.live.begun.notified() => {}
                    () = self.event_log.closed() => return,
                }
                continue;
            }
            for chunk in topics.chunks(CHUNK) {
                match self.look(chunk.to_vec()).await {
                    Ok(seen) => {
                        if self.live.note(seen) {
                            self.live.round.send_modify(|round| *round += 1);
                        }
                    }
                    Err(error) => tracing::debug!(%error, "what is watched is not looked at yet"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.event_log.closed() => return,
            }
        }
    }

    /// What is to be seen of each topic.
    async fn look(&self, topics: Vec<Topic>) -> Result<Vec<(Topic, u64)>, StoreError> {
        let (recorded, stored): (Vec<_>, Vec<_>) =
            topics.into_iter().partition(|topic| matches!(topic, Topic::Requests(_)));
        let mut seen = Vec::new();
        if !stored.is_empty() {
            seen = self.store.read("live_look", move |tx| look_at(tx, &stored)).await?;
        }
        if !recorded.is_empty() {
            // Records may be out of reach while everything else goes on.
            match self.look_at_records(recorded).await {
                Ok(found) => seen.extend(found),
                Err(error) => tracing::debug!(%error, "new requests are not looked for yet"),
            }
        }
        Ok(seen)
    }

    async fn look_at_records(&self, topics: Vec<Topic>) -> Result<Vec<(Topic, u64)>, StoreError> {
        self.records.database()?.read("live_look", move |tx| look_at(tx, &topics)).await
    }
}

fn look_at(tx: &mut Tx<'_>, topics: &[Topic]) -> Result<Vec<(Topic, u64)>, StoreError> {
    let mut seen = Vec::new();
    for topic in topics {
        let digest = match topic {
            Topic::Overview => digest((tx.sample_newest(MINUTE, USERS)?, tx.live_alarms()?)),
            Topic::Events => digest(tx.log_position()?),
            Topic::Alarms => digest(tx.live_alarms()?),
            Topic::Directory(key) => {
                let counts = tx.app_counts(&[*key])?.remove(key).unwrap_or_default();
                let counts = (counts.active, counts.inactive, counts.groups);
                digest((tx.live_directory(*key)?, counts))
            }
            Topic::Requests(key) => digest(tx.live_requests(*key)?),
            Topic::Runs(key) => digest(tx.live_runs(*key)?),
            Topic::Run(key, id) => digest(tx.live_run(*key, id)?),
            Topic::Webhook(id) => digest(tx.live_webhook(id)?),
        };
        seen.push((topic.clone(), digest));
    }
    Ok(seen)
}

fn digest(seen: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    seen.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_told_to_who_watches_and_to_who_begins_a_moment_later() {
        let live = Live::default();
        let topic = Topic::Events;
        let first = live.board().begin(&topic);
        assert_eq!(first, 0, "a topic that nobody watched may have changed just now");
        assert!(!live.note(vec![(topic.clone(), 7)]), "the first look finds nothing new");
        assert!(!live.note(vec![(topic.clone(), 7)]));
        assert!(live.note(vec![(topic.clone(), 8)]));
        assert_eq!(live.board().topics[&topic].changes, 2);
        assert_eq!(live.board().begin(&topic), 1, "who begins now is told of it, too");
    }

    #[test]
    fn visitors_of_the_portal_leave_places_to_each_other_and_to_the_console() {
        let mut board = Board::default();
        let mut admit = |session: usize, organization: usize| {
            let (session, organization) = (session.to_string(), organization.to_string());
            board.admit(Watcher::Visitor { session: &session, organization: &organization })
        };
        for watch in 0..MOST_OF_ORGANIZATION {
            assert!(admit(watch / MOST_OF_SESSION, 0).is_some(), "{watch}");
        }
        assert!(admit(99, 0).is_none(), "the organization has all of its places");
        let others = MOST_OF_PORTAL / MOST_OF_ORGANIZATION;
        for watch in MOST_OF_ORGANIZATION..MOST_OF_PORTAL {
            let session = watch / MOST_OF_SESSION;
            assert!(admit(session, watch / MOST_OF_ORGANIZATION).is_some(), "{watch}");
        }
        assert!(admit(100, others).is_none(), "the portal has all of its places");
        let console = Watcher::Console { session: "0" };
        let taken: Vec<_> = (0..MOST_OF_SESSION).map(|_| board.admit(console)).collect();
        assert!(taken.iter().all(Option::is_some) && board.admit(console).is_none());
        board.dismiss(taken[0].as_ref().expect("a place"));
        assert!(board.admit(console).is_some(), "what is left can be taken again");
    }

    #[test]
    fn topic_is_looked_at_for_a_while_after_its_last_watch() {
        let live = Live::default();
        live.board().begin(&Topic::Alarms);
        live.board().end(&Topic::Alarms);
        assert_eq!(live.topics(), [Topic::Alarms]);
    }
}

//! Workers at the same time: seeding, mixes, and one address over and over.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::connection::Connection;
use crate::measure::{Measurements, Row};
use crate::operation::{Known, Mix, Scene, Worker, due, id_of, ids_of};
use crate::people::{People, member_operation, patch};

/// When the next request of a client is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loop {
    /// When the last one is answered.
    Closed,
    /// When its time has come: this many a second over all clients.
    Open(f64),
}

/// Who sends.
pub(crate) struct Plan {
    /// A connection that is not open yet; every client has one like it.
    pub(crate) connect: Connection,
    pub(crate) clients: u64,
    /// The same number makes the same requests.
    pub(crate) seed: u64,
    pub(crate) work: Loop,
}

/// What a directory is filled with.
pub(crate) struct Seed {
    pub(crate) people: People,
    pub(crate) users: u64,
    pub(crate) groups: u64,
    pub(crate) members: u64,
}

/// What was measured, and in which time.
pub(crate) struct Report {
    measurements: Measurements,
    elapsed: Duration,
}

impl Report {
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.measurements.rows(self.elapsed)
    }

    /// Answers a second, all kinds together; an error when a request failed.
    pub(crate) fn rate(&self) -> Result<f64, String> {
        let rows = self.rows();
        match rows.iter().find(|row| row.errors > 0) {
            // The last row is of all kinds.
            None => Ok(rows.last().map_or(0.0, |row| row.per_second)),
            Some(row) => {
                let Row { request, errors, errors_by_status, .. } = row;
                Err(format!(
                    "{errors} requests of {request} failed, by status: {errors_by_status:?}"
                ))
            }
        }
    }

    /// Puts what was measured afterwards to it.
    fn merge(&mut self, later: Self) {
        self.elapsed += later.elapsed;
        self.measurements.merge(later.measurements);
    }
}

/// Most users whose ids a run looks up before it begins, where nobody says another number.
pub(crate) const MOST_KNOWN: u64 = 10_000;

/// Most members that one PATCH of the seed adds.
const MEMBERS_AT_ONCE: usize = 1_000;

impl Plan {
    /// Runs a function per client, each with its number and a connection, and puts together what
    /// they measured.
    fn all(&self, client: impl Fn(u64, Connection) -> Measurements + Sync) -> Report {
        let begun = Instant::now();
        let mut measurements = Measurements::default();
        std::thread::scope(|scope| {
            let client = &client;
            let threads: Vec<_> = (0..self.clients)
                .map(|index| {
                    let connection = self.connect.another();
                    scope.spawn(move || client(index, connection))
                })
                .collect();
            for thread in threads {
                if let Ok(measured) = thread.join() {
                    measurements.merge(measured);
                }
            }
        });
        Report { measurements, elapsed: begun.elapsed() }
    }

    /// Does the work once for every number, which the clients share, under a progress bar.
    fn each(
        &self,
        numbers: Range<u64>,
        what: &'static str,
        work: impl Fn(&mut Connection, &mut Measurements, u64) + Sync,
    ) -> Report {
        let length = numbers.end.saturating_sub(numbers.start);
        let bar = bar(length, "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}");
        bar.set_message(what);
        let next = AtomicU64::new(numbers.start);
        let report = self.all(|_, mut connection| {
            let mut measurements = Measurements::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return measurements;
                }
                work(&mut connection, &mut measurements, number);
                bar.inc(1);
            }
        });
        bar.finish_and_clear();
        report
    }
}

/// Creates the users, then the groups with the first of them as members.
pub(crate) fn seed(plan: &Plan, seed: &Seed) -> Report {
    let (mut report, members) = seed_users(plan, &seed.people, seed.users, seed.members);
    let ids: Vec<&str> = members.iter().map(String::as_str).collect();
    report.merge(seed_groups(plan, &seed.people, 0..seed.groups, &ids).0);
    report
}

/// Creates users; answers the ids of the first `keep` of them.
pub(crate) fn seed_users(
    plan: &Plan,
    people: &People,
    users: u64,
    keep: u64,
) -> (Report, Vec<String>) {
    let kept = Mutex::new(BTreeMap::new());
    let report = plan.each(0..users, "users", |connection, measurements, number| {
        let body = people.user(number);
        let id = timed(connection, measurements, "create", "/Users", &body);
        if let Some(id) = id.filter(|_| number < keep) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).insert(number, id);
        }
    });
    let kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    (report, kept.into_values().collect())
}

/// Creates groups with these members; answers their ids.
pub(crate) fn seed_groups(
    plan: &Plan,
    people: &People,
    numbers: Range<u64>,
    members: &[&str],
) -> (Report, Vec<String>) {
    let ids = Mutex::new(BTreeMap::new());
    let report = plan.each(numbers, "groups", |connection, measurements, number| {
        let body = people.group(number);
        let made = timed(connection, measurements, "create group", "/Groups", &body);
        let Some(id) = made else { return };
        for chunk in members.chunks(MEMBERS_AT_ONCE) {
            let body = patch(&[member_operation("add", chunk)]);
            let path = format!("/Groups/{id}?attributes=id");
            let begun = Instant::now();
            let status = connection
                .exchange("PATCH", &path, Some(body.as_bytes()))
                .map_or(0, |answer| answer.status);
            measurements.add("add members", begun.elapsed(), status);
        }
        ids.lock().unwrap_or_else(PoisonError::into_inner).insert(number, id);
    });
    let ids = ids.into_inner().unwrap_or_else(PoisonError::into_inner);
    (report, ids.into_values().collect())
}

/// A POST; the id of what it made.
fn timed(
    connection: &mut Connection,
    measurements: &mut Measurements,
    kind: &'static str,
    path: &str,
    body: &str,
) -> Option<String> {
    let begun = Instant::now();
    let answer = connection.exchange("POST", path, Some(body.as_bytes()));
    let latency = begun.elapsed();
    let (status, id) = match &answer {
        Ok(answer) => (answer.status, id_of(answer.body)),
        Err(_) => (0, None),
    };
    measurements.add(kind, latency, status);
    id
}

/// Looks up ids of up to `most` users, evenly spread over the seed, and of its groups.
pub(crate) fn scene(
    plan: &Plan,
    people: People,
    users: u64,
    groups: u64,
    most: u64,
) -> Result<Scene, String> {
    let users = known(plan, &people, users, most)?;
    let mut connection = plan.connect.another();
    let mut ids = Vec::new();
    for number in 0..groups {
        let filter = format!("displayName eq \"{}\"", people.group_name(number));
        let found = ids_of(&mut connection, "/Groups", &filter);
        ids.extend(found.map_err(|error| format!("groups are not found: {error}"))?);
    }
    Ok(Scene { users, groups: ids, ..Scene::of_nobody(people) })
}

fn known(plan: &Plan, people: &People, users: u64, most: u64) -> Result<Vec<Known>, String> {
    let wanted = users.min(most);
    let mut connection = plan.connect.another();
    let mut known = Vec::new();
    for index in 0..wanted {
        let number = index * users / wanted;
        let filter = format!("userName eq \"{}\"", people.user_name(number));
        let found = ids_of(&mut connection, "/Users", &filter)
            .map_err(|error| format!("users are not found: {error}"))?;
        let id = found.into_iter().next().ok_or_else(|| {
            format!(
                "user {number} of the seed is not there; run `bench seed --users {users}` first"
            )
        })?;
        known.push(Known { number, id });
    }
    Ok(known)
}

/// Sends the mix for a while.
pub(crate) fn mix(plan: &Plan, scene: &Scene, mix: &Mix, length: Duration) -> Report {
    let start = Instant::now();
    let until = start + length;
    let bar = bar(length.as_secs(), "{wide_bar} {pos}/{len} s");
    let report = plan.all(|index, connection| {
        let mut worker = Worker::new(scene, connection, index, plan.clients, plan.seed);
        let mut random = fastrand::Rng::with_seed(plan.seed.wrapping_add(index));
        for turn in 0.. {
            let due = match plan.work {
                Loop::Closed => None,
                Loop::Open(rate) => Some(due(start, rate, index, plan.clients, turn)),
            };
            let begins = due.unwrap_or_else(Instant::now);
            if begins >= until {
                break;
            }
            std::thread::sleep(begins.saturating_duration_since(Instant::now()));
            if let Some(operation) = mix.pick(&mut random) {
                worker.perform(operation, due);
            }
            if index == 0 {
                bar.set_position(start.elapsed().as_secs());
            }
        }
        worker.measurements
    });
    bar.finish_and_clear();
    report
}

/// What is asked for over and over.
pub(crate) struct Address {
    pub(crate) path: String,
    /// Where it is not the one of the plan.
    pub(crate) token: Option<String>,
}

/// Asks for the addresses in turn for a while; every client begins at another place.
pub(crate) fn gets(plan: &Plan, addresses: &[Address], length: Duration) -> Report {
    let until = Instant::now() + length;
    plan.all(|index, mut connection| {
        let mut measurements = Measurements::default();
        let index = usize::try_from(index).unwrap_or_default();
        let clients = usize::try_from(plan.clients).unwrap_or(usize::MAX);
        let own = addresses.iter().cycle().skip(index % addresses.len().max(1));
        for address in own.step_by(clients.max(1)) {
            if Instant::now() >= until {
                break;
            }
            if let Some(token) = &address.token {
                connection.set_token(token);
            }
            let begun = Instant::now();
            let status =
                connection.exchange("GET", &address.path, None).map_or(0, |answer| answer.status);
            measurements.add("get", begun.elapsed(), status);
        }
        measurements
    })
}

/// A progress bar on a terminal, nothing elsewhere.
#[expect(clippy::expect_used, reason = "the templates are constant")]
fn bar(length: u64, template: &'static str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template(template).expect("well formed");
    ProgressBar::with_draw_target(Some(length), target).with_style(style)
}

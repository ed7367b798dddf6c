//! Workers at the same time: seeding, mixes, and one address over and over.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
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
}

/// Most users whose ids a run looks up before it begins.
const MOST_KNOWN: u64 = 10_000;

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
}

/// Creates the users, then the groups with the first of them as members.
pub(crate) fn seed(plan: &Plan, seed: &Seed) -> Result<Report, String> {
    let bar = bar(seed.users + seed.groups, "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}");
    bar.set_message("users");
    let next = AtomicU64::new(0);
    let mut report = plan.all(|_, mut connection| {
        let mut measurements = Measurements::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seed.users {
                return measurements;
            }
            let body = seed.people.user(number);
            timed(&mut connection, &mut measurements, "create", "/Users", &body);
            bar.inc(1);
        }
    });
    bar.set_message("groups");
    let members = known(plan, &seed.people, seed.members.min(seed.users))?;
    let ids: Vec<&str> = members.iter().map(|user| user.id.as_str()).collect();
    let next = AtomicU64::new(0);
    let groups = plan.all(|_, mut connection| {
        let mut measurements = Measurements::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seed.groups {
                return measurements;
            }
            group(&mut connection, &mut measurements, &seed.people.group(number), &ids);
            bar.inc(1);
        }
    });
    bar.finish_and_clear();
    report.elapsed += groups.elapsed;
    report.measurements.merge(groups.measurements);
    Ok(report)
}

fn group(connection: &mut Connection, measurements: &mut Measurements, body: &str, ids: &[&str]) {
    let Some(id) = timed(connection, measurements, "create group", "/Groups", body) else { return };
    for chunk in ids.chunks(MEMBERS_AT_ONCE) {
        let body = patch(&[member_operation("add", chunk)]);
        let path = format!("/Groups/{id}?attributes=id");
        let begun = Instant::now();
        let status = connection
            .exchange("PATCH", &path, Some(body.as_bytes()))
            .map_or(0, |answer| answer.status);
        measurements.add("add members", begun.elapsed(), status);
    }
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

/// Looks up ids of up to [`MOST_KNOWN`] users, evenly spread over the seed, and of its groups.
pub(crate) fn scene(plan: &Plan, people: People, users: u64, groups: u64) -> Result<Scene, String> {
    let users = known(plan, &people, users)?;
    let mut connection = plan.connect.another();
    let mut ids = Vec::new();
    for number in 0..groups {
        let filter = format!("displayName eq \"{}\"", people.group_name(number));
        let found = ids_of(&mut connection, "/Groups", &filter);
        ids.extend(found.map_err(|error| format!("groups are not found: {error}"))?);
    }
    // Numbers that no run before has used, as good as certainly.
    let fresh = fastrand::u64(1 << 40..1 << 62);
    Ok(Scene { people, fresh, users, groups: ids })
}

/// Ids of seeded users: all, or [`MOST_KNOWN`] that are evenly spread.
fn known(plan: &Plan, people: &People, users: u64) -> Result<Vec<Known>, String> {
    let wanted = users.min(MOST_KNOWN);
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

/// Asks for one address for a while.
pub(crate) fn constant(plan: &Plan, length: Duration) -> Report {
    let until = Instant::now() + length;
    plan.all(|_, mut connection| {
        let mut measurements = Measurements::default();
        while Instant::now() < until {
            let begun = Instant::now();
            let status = connection.exchange("GET", "", None).map_or(0, |answer| answer.status);
            measurements.add("constant", begun.elapsed(), status);
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

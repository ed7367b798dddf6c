//! A soak: many identity providers' clients at once against one server, and a checker that reads
//! everything back.
//!
//! Every client has a directory of its own, plays one provider in its manner over several
//! connections, and keeps a model of what its directory must contain. Every value carries the
//! directory's marker, so a value in the wrong directory is seen in the first answer that shows it.
//!
//! - [`manner`]: how each provider's client says things, as a table
//! - [`model`]: what a directory must contain
//! - [`wire`]: one connection; counts, and looks at every answer for what must never be there
//! - [`users`], [`groups`]: the requests for users and groups, and how answers compare with the model
//! - [`play`]: the random mix; the seed decides it
//! - [`check`]: reads everything back
//! - [`report`]: what came out

mod chance;
mod check;
mod groups;
mod manner;
mod model;
mod play;
mod report;
mod users;
mod wire;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::management::{Directory, Management};
use chance::Chance;
use manner::{MANNERS, Manner};
use model::Model;
use play::Player;
use wire::{Tally, Wire};

pub use report::Report;

/// Connections that write into one directory at the same time.
const WRITERS: usize = 2;

/// How long the purge of all directories may take before the organization stays.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long and how wide a soak is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub clients: usize,
    pub duration: Duration,
    /// Decides every choice of every client.
    pub seed: u64,
}

/// One directory and how its provider behaves.
struct Tenant {
    manner: &'static Manner,
    directory: Directory,
    marker: String,
    /// The group that all writers change, where the provider has groups.
    shared: Option<model::Team>,
}

/// What the writers of one directory left behind.
struct Outcome {
    models: Vec<Model>,
    tally: Tally,
    failures: Vec<String>,
}

/// Plays, checks, and tidies up. An error means that the soak could not be made.
pub fn run(management: &Management, options: Options) -> Result<Report, String> {
    let organization = management.organization_create(&format!("Soak {}", options.seed))?;
    let tenants: Vec<Tenant> = (0..options.clients)
        .zip(MANNERS.iter().cycle())
        .map(|(number, manner)| tenant(management, &organization, options.seed, number, manner))
        .collect::<Result<_, _>>()?;
    let until = Instant::now() + options.duration;
    let outcomes = thread::scope(|scope| {
        let playing: Vec<_> = (0_u64..)
            .zip(&tenants)
            .map(|(number, tenant)| {
                scope.spawn(move || play_tenant(tenant, options.seed, number, until))
            })
            .collect();
        playing.into_iter().map(joined).collect::<Vec<_>>()
    });
    let mut report = check::all(&tenants, outcomes, options);
    // What is left behind says nothing about what was found.
    report.left = tidy(management, &organization, &tenants).err();
    Ok(report)
}

/// Deletes what was made. Directories are purged in the background, which takes its time.
fn tidy(management: &Management, organization: &str, tenants: &[Tenant]) -> Result<(), String> {
    for tenant in tenants {
        management.directory_delete(&tenant.directory.id)?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match management.organization_remove(organization) {
            Err(_) if Instant::now() < until => {}
            result => return result,
        }
    }
}

/// Makes a directory and its shared group.
fn tenant(
    management: &Management,
    organization: &str,
    seed: u64,
    number: usize,
    manner: &'static Manner,
) -> Result<Tenant, String> {
    let kind = format!("scim.{}", manner.provider);
    let directory = management.directory_create(organization, manner.name, &kind)?;
    let marker = format!("mark{:04x}{number:03x}kram", seed & 0xffff);
    let mut tenant = Tenant { manner, directory, marker, shared: None };
    if manner.members.is_some() {
        let mut wire = Wire::new(&tenant);
        let name = format!("Everybody {}", tenant.marker);
        tenant.shared = Some(groups::create(&mut wire, name)?);
    }
    Ok(tenant)
}

fn play_tenant(tenant: &Tenant, seed: u64, number: u64, until: Instant) -> Outcome {
    let writers = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let chance =
                    Chance::new(seed).fork(number).fork(u64::try_from(writer).unwrap_or(0));
                scope.spawn(move || {
                    let mut player = Player::new(tenant, writer, chance);
                    let ended = player.play(until);
                    (player.into_parts(), ended)
                })
            })
            .collect();
        writers.into_iter().map(joined).collect::<Vec<_>>()
    });
    let mut outcome = Outcome { models: Vec::new(), tally: Tally::default(), failures: Vec::new() };
    for ((model, tally), ended) in writers {
        outcome.models.push(model);
        outcome.tally.absorb(tally);
        let named = |failure| format!("{} ({}): {failure}", tenant.manner.name, tenant.marker);
        outcome.failures.extend(ended.err().map(named));
    }
    outcome
}

/// What a thread computed; its panic goes on here.
fn joined<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The client that all connections of one writer use.
fn http_client() -> Arc<crate::http::Client> {
    Arc::new(crate::http::Client::bare(crate::http::Trust::Verified))
}

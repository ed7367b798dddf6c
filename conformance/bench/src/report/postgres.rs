//! Creates and GET by id on PostgreSQL against pgbench with the same statements and connections.

use super::creates::create_template;
use super::data::FEW;
use super::line::{Line, Target, Unit, median, over, runs, thousands};
use super::server::Server;
use super::{Bench, CREATORS};
use crate::baseline::postgres::Bare;
use crate::baseline::template;
use crate::drive;
use crate::operation::{Mix, Scene};

/// Connections of the server, and of pgbench.
const CONNECTIONS: usize = 16;

/// Users that pgbench reads; a variable for each.
const READ: usize = 100;

pub(super) fn lines(bench: &Bench) -> Result<Vec<Line>, String> {
    let url = bench.postgres.as_deref().ok_or("no PostgreSQL is named")?;
    let folder = bench.empty_folder("postgres")?;
    let server = Server::start(&bench.program, &folder.path, Some((url, CONNECTIONS)))?;
    let directory = server.directory()?;
    let creators = server.clients(&directory, CREATORS)?;
    create_template(&creators).map_err(|error| format!("is the database empty? {error}"))?;
    super::data::fill(&creators, bench.small(), [FEW, FEW])?;
    let (readers, scene) = bench.scene(&server, &directory, bench.small(), FEW)?;
    let ids: Vec<&str> = scene.users.iter().take(READ).map(|user| user.id.as_str()).collect();
    let bare = Bare::new(url, CONNECTIONS, &folder.path, &template::user().0, &ids)?;
    // pgbench counts in whole seconds.
    let seconds = bench.length.as_secs().max(1);
    let (create, get) = (Mix::parse("create")?, Mix::parse("get")?);
    let [created, bare_created, read, bare_read] = runs(bench.runs, |subject| match subject {
        0 => {
            // New numbers each time, so that every name is new.
            let scene = Scene::of_nobody(super::data::people());
            drive::mix(&creators, &scene, &create, bench.length).rate()
        }
        1 => bare.creates(seconds),
        2 => drive::mix(&readers, &scene, &get, bench.length).rate(),
        _ => bare.gets(seconds),
    })?;
    server.stop()?;
    let line = |what: &str, rates: &[f64], bare: &[f64]| {
        Line::new(
            format!("{what} on PostgreSQL, against pgbench with {CONNECTIONS} connections"),
            Target::AtLeast(0.6),
            Unit::Times,
            over(rates, bare),
            format!("{}/s against {}/s", thousands(median(rates)), thousands(median(bare))),
        )
    };
    Ok(vec![line("creates", &created, &bare_created), line("GET by id", &read, &bare_read)])
}

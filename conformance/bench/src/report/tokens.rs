//! Tokens: a hash is computed for the first request of each, and for no other.

use std::time::Instant;

use super::line::{Line, Target, Unit, count, median, over, runs, thousands};
use super::server::Server;
use super::{Bench, CLIENTS};
use crate::connection::Connection;
use crate::drive::{self, Address};
use crate::people::People;

/// New tokens of one run.
const TOKENS: usize = 20;

/// The request whose time is that of all later ones.
const LATER: usize = 10;

pub(super) fn lines(bench: &Bench) -> Result<Vec<Line>, String> {
    let (server, _folder) = bench.fresh("tokens")?;
    let [first, second, later] = requests(bench, &server)?;
    let addresses = directories(bench, &server)?;
    let paid_once = Line::new(
        "second request of a new token against its tenth",
        Target::AtMost(1.5),
        Unit::Times,
        over(&second, &later),
        format!(
            "first {:.2} ms, second {:.2} ms, tenth {:.2} ms",
            median(&first),
            median(&second),
            median(&later)
        ),
    );
    let plan = server.plan("", None, CLIENTS)?;
    let [turn, one] = runs(bench.runs, |subject| {
        let asked = if subject == 0 { addresses.len() } else { 1 };
        drive::gets(&plan, addresses.get(..asked).unwrap_or_default(), bench.length).rate()
    })?;
    let in_turn = Line::new(
        format!("{} directories in turn against one, GET by id", count(bench.directories)),
        Target::AtLeast(0.8),
        Unit::Times,
        over(&turn, &one),
        format!("{}/s against {}/s", thousands(median(&turn)), thousands(median(&one))),
    );
    Ok(vec![paid_once, in_turn])
}

/// Makes the directories, with a user each who has been asked for once.
fn directories(bench: &Bench, server: &Server) -> Result<Vec<Address>, String> {
    let people = People { namespace: "token".to_owned() };
    let mut addresses = Vec::new();
    for number in 0..bench.directories {
        let directory = server.new_directory(&format!("directory {number}"))?;
        let (report, ids) = drive::seed_users(&server.clients(&directory, 1)?, &people, 1, 1);
        report.rate()?;
        let id = ids.first().ok_or("a create answered without an id")?;
        let path = format!("{}/Users/{id}", directory.path);
        addresses.push(Address { path, token: Some(directory.token) });
    }
    Ok(addresses)
}

/// Milliseconds of the first, the second and a later request of new tokens; a figure for each run.
fn requests(bench: &Bench, server: &Server) -> Result<[Vec<f64>; 3], String> {
    let directory = server.directory()?;
    let people = People { namespace: "token".to_owned() };
    let plan = server.clients(&directory, 1)?;
    let (report, ids) = drive::seed_users(&plan, &people, 1, 1);
    report.rate()?;
    let path = format!("/Users/{}", ids.first().ok_or("a create answered without an id")?);
    let mut connection = plan.connect.another();
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..bench.runs {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..TOKENS {
            connection.set_token(&server.token(&directory.id)?);
            for turn in 1..=LATER {
                let time = get(&mut connection, &path)?;
                let kind = match turn {
                    1 => 0,
                    2 => 1,
                    LATER => 2,
                    _ => continue,
                };
                times.get_mut(kind).into_iter().for_each(|times| times.push(time));
            }
        }
        for (figures, times) in figures.iter_mut().zip(&times) {
            figures.push(median(times));
        }
    }
    Ok(figures)
}

fn get(connection: &mut Connection, path: &str) -> Result<f64, String> {
    let begun = Instant::now();
    let answer = connection.exchange("GET", path, None).map_err(|error| error.to_string())?;
    let time = begun.elapsed().as_secs_f64() * 1_000.0;
    match answer.status {
        200 => Ok(time),
        status => Err(format!("GET {path} answered {status}")),
    }
}

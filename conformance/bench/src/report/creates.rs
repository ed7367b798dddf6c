//! Durable creates on SQLite against the same statements without a server.

use std::path::Path;

use super::line::{Line, Target, Unit, count, median, over, runs, thousands};
use super::server::Server;
use super::{Bench, CREATORS};
use crate::baseline::sqlite::Bare;
use crate::baseline::template;
use crate::drive::{self, Plan};
use crate::operation::{Mix, Scene};

pub(super) fn lines(bench: &Bench) -> Result<Vec<Line>, String> {
    // Empty: every measurement has a database of its own.
    let empty = runs(bench.runs, |subject| {
        let (server, folder) = bench.fresh("creates")?;
        create_template(&plan(&server)?)?;
        creates(bench, &server, &folder.path, subject)
    })?;
    let folder = bench.large_copy()?;
    let server = Server::start(&bench.program, &folder.path, None)?;
    create_template(&plan(&server)?)?;
    let full = runs(bench.runs, |subject| creates(bench, &server, &folder.path, subject))?;
    let users = count(bench.users);
    let mut lines = compared("0", &empty);
    lines.extend(compared(&users, &full));
    Ok(lines)
}

/// Creates a second: of the server, of the bare database one by one, and of it in transactions of
/// several. The bare database is the server's, which does nothing meanwhile but copy the log back.
fn creates(bench: &Bench, server: &Server, folder: &Path, subject: usize) -> Result<f64, String> {
    if subject == 0 {
        let scene = Scene::of_nobody(super::data::people());
        return drive::mix(&plan(server)?, &scene, &Mix::parse("create")?, bench.length).rate();
    }
    let mut bare = Bare::open(&folder.join("rollbook.db"), &template::user().0)?;
    bare.creates(if subject == 1 { 1 } else { CREATORS }, bench.length)
}

fn plan(server: &Server) -> Result<Plan, String> {
    server.clients(&server.directory()?, CREATORS)
}

/// Creates the user whose rows the bare database repeats.
pub(super) fn create_template(plan: &Plan) -> Result<(), String> {
    let body = template::user().1;
    let mut connection = plan.connect.another();
    let answer = connection.exchange("POST", "/Users", Some(body.as_bytes()));
    match answer.map_err(|error| error.to_string())?.status {
        201 => Ok(()),
        status => Err(format!("the create of the baseline's user answered {status}")),
    }
}

fn compared(users: &str, [server, one_by_one, together]: &[Vec<f64>; 3]) -> Vec<Line> {
    let line = |against: &str, bound: f64, bare: &[f64]| {
        let (created, rate) = (thousands(median(server)), thousands(median(bare)));
        Line::new(
            format!("creates at {users} users, against {against}"),
            Target::AtLeast(bound),
            Unit::Times,
            over(server, bare),
            format!("{created}/s against {rate}/s"),
        )
    };
    vec![
        line("a SQLite transaction each", 2.0, one_by_one),
        line(&format!("SQLite transactions of {CREATORS}"), 0.6, together),
    ]
}

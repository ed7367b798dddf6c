//! The process with a large directory: how soon it answers, and how much memory it takes.

use std::time::Instant;

use super::Bench;
use super::data::LARGE_GROUP;
use super::line::{Line, Target, Unit, count, median};
use super::server::Server;
use crate::connection::Connection;
use crate::drive;
use crate::operation::Mix;

/// A bit of everything.
const MIX: &str = "get=6,find-user-name=4,find-email,find-external-id,list,sort,cursor,put,\
    patch-user=2,patch-member=2,patch-members,create=2,bulk,okta,entra";

/// The group, read once.
struct Read {
    first_byte: f64,
    whole: f64,
    megabytes: f64,
}

pub(super) fn lines(bench: &Bench) -> Result<Vec<Line>, String> {
    let folder = bench.large_copy()?;
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    let (mut extra, mut first, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let server = Server::start(&bench.program, &folder.path, None)?;
        ready.push(server.to_ready.as_secs_f64() * 1_000.0);
        let directory = server.directory()?;
        let (plan, scene) = bench.scene(&server, &directory, bench.users, bench.members())?;
        drive::mix(&plan, &scene, &Mix::parse(MIX)?, bench.length).rate()?;
        let group = scene.groups.get(LARGE_GROUP).ok_or("the large group is not there")?;
        read(&mut plan.connect.another(), group)?;
        resident.push(server.memory()?.peak);
        server.stop()?;
        // What a process has freed stays resident, and a later answer would seem to need nothing: a new
        // process answers with the group, after its token was checked by a small request.
        let server = Server::start(&bench.program, &folder.path, None)?;
        let mut connection = server.clients(&server.directory()?, 1)?.connect.another();
        let warm = connection.exchange("GET", "/Users?count=1", None);
        warm.map_err(|error| error.to_string())?;
        server.forget_peak()?;
        let before = server.memory()?.now;
        let read = read(&mut connection, group)?;
        extra.push(server.memory()?.peak - before);
        first.push(read.first_byte / read.whole);
        reads.push(read);
        server.stop()?;
    }
    let users = count(bench.users);
    let members = count(bench.members());
    let part = |part: fn(&Read) -> f64| median(&reads.iter().map(part).collect::<Vec<_>>());
    Ok(vec![
        Line::new(
            format!("peak resident memory while serving {users} users"),
            Target::AtMost(150.0),
            Unit::Megabytes,
            resident,
            format!("a mix of all requests, then a group of {members}"),
        ),
        Line::new(
            format!("start to ready with {users} users"),
            Target::AtMost(200.0),
            Unit::Milliseconds,
            ready,
            "from the start of the process to the first 200 of /health/ready",
        ),
        Line::new(
            format!("GET of a group of {members}: extra memory"),
            Target::AtMost(64.0),
            Unit::Megabytes,
            extra,
            format!("an answer of {:.1} MB", part(|read| read.megabytes)),
        ),
        Line::new(
            format!("GET of a group of {members}: first byte against the whole answer"),
            Target::AtMost(0.5),
            Unit::Times,
            first,
            format!("{:.0} ms of {:.0} ms", part(|read| read.first_byte), part(|read| read.whole)),
        ),
    ])
}

fn read(connection: &mut Connection, group: &str) -> Result<Read, String> {
    let begun = Instant::now();
    let path = format!("/Groups/{group}");
    let answer = connection.exchange("GET", &path, None).map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("GET {path} answered {}", answer.status));
    }
    let bytes = u32::try_from(answer.body.len()).unwrap_or(u32::MAX);
    Ok(Read {
        first_byte: answer.first_byte.as_secs_f64() * 1_000.0,
        whole: begun.elapsed().as_secs_f64() * 1_000.0,
        megabytes: f64::from(bytes) / 1_000_000.0,
    })
}

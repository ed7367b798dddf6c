//! Pages of a large directory: the first and the last, and all of them one after another.

use std::time::Instant;

use super::line::{Line, Target, Unit, median, over, runs};
use super::server::Server;
use super::{Bench, say};
use crate::connection::Connection;
use crate::drive::{self, Address};
use crate::operation::escape;

/// Users of a page.
const PAGE: u64 = 100;

pub(super) fn lines(bench: &Bench) -> Result<Vec<Line>, String> {
    let folder = bench.large_directory()?;
    let server = Server::start(&bench.program, &folder.path, None)?;
    let directory = server.directory()?;
    let plan = server.clients(&directory, 1)?;
    let mut connection = plan.connect.another();
    let pages = bench.users.div_ceil(PAGE);
    let mut last = String::new();
    let [index, cursor] = runs(bench.runs, |subject| {
        let begun = Instant::now();
        if subject == 0 {
            by_index(&mut connection, pages)?;
        } else {
            last = by_cursor(&mut connection, pages)?;
        }
        Ok(begun.elapsed().as_secs_f64())
    })?;
    say("         both walks are done");
    let address = |cursor: &str| Address { path: page(cursor), token: None };
    let (first, last) = (address(""), address(&last));
    let [last, first] = runs(bench.runs, |subject| {
        let asked = if subject == 0 { &last } else { &first };
        drive::gets(&plan, std::slice::from_ref(asked), bench.length).rate()
    })?;
    server.stop()?;
    let milliseconds = |rates: &[f64]| 1_000.0 / median(rates);
    Ok(vec![
        Line::new(
            format!("last cursor page against the first, {pages} pages"),
            Target::AtMost(1.2),
            Unit::Times,
            over(&first, &last),
            format!("{:.2} ms against {:.2} ms", milliseconds(&last), milliseconds(&first)),
        ),
        Line::new(
            format!("reading {pages} pages by startIndex against by cursor"),
            Target::AtMost(1.5),
            Unit::Times,
            over(&index, &cursor),
            format!("{:.1} s against {:.1} s", median(&index), median(&cursor)),
        ),
    ])
}

fn page(cursor: &str) -> String {
    format!("/Users?count={PAGE}&cursor={}", escape(cursor))
}

/// Reads every page; answers the cursor of the last one.
fn by_cursor(connection: &mut Connection, pages: u64) -> Result<String, String> {
    let mut cursor = String::new();
    for number in 1.. {
        let body = get(connection, &page(&cursor))?;
        // Reading a member out of the text costs the client less than parsing a hundred users.
        let next = body.split_once("\"nextCursor\":\"").and_then(|(_, rest)| rest.split_once('"'));
        match next {
            Some((next, _)) => cursor = next.to_owned(),
            None if number == pages => break,
            None => {
                return Err(format!("the walk by cursor ended after {number} of {pages} pages"));
            }
        }
    }
    Ok(cursor)
}

fn by_index(connection: &mut Connection, pages: u64) -> Result<(), String> {
    for number in 0..pages {
        let path = format!("/Users?count={PAGE}&startIndex={}", number * PAGE + 1);
        let body = get(connection, &path)?;
        if !body.contains("\"userName\"") {
            return Err(format!("page {number} of {pages} by startIndex is empty"));
        }
    }
    Ok(())
}

fn get<'c>(connection: &'c mut Connection, path: &str) -> Result<&'c str, String> {
    let answer = connection.exchange("GET", path, None).map_err(|error| error.to_string())?;
    match answer.status {
        200 => std::str::from_utf8(answer.body).map_err(|error| error.to_string()),
        status => Err(format!("GET {path} answered {status}")),
    }
}

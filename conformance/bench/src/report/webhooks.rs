//! What sending events costs those who make them: the same requests at the same rate to a server without
//! an endpoint and to one whose endpoint gets everything.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::json;

use super::line::{Line, Target, Unit, count, median, over, runs};
use super::{Bench, CLIENTS};
use crate::drive::{self, Loop, Plan};
use crate::operation::{Mix, Scene};

/// Changes, most of which make events, and look-ups between them.
const MIX: &str = "create=3,patch-user=4,patch-member=3,get=4,find-user-name=2";

/// Requests a second over all clients: far below what the server can do, as times of a server at its
/// limit say nothing.
const RATE: f64 = 150.0;

/// A hundredth of the requests is to be a number that means something.
const LONGER: u32 = 4;

pub(super) fn lines(bench: &Bench) -> Result<Vec<Line>, String> {
    let received = receive()?;
    let (plain, _plain_folder, directory) = bench.small_directory("webhooks-off")?;
    let without = bench.scene(&plain, &directory, bench.small(), bench.paged())?;
    let (told, _told_folder, directory) = bench.small_directory("webhooks-on")?;
    let with = bench.scene(&told, &directory, bench.small(), bench.paged())?;
    told.webhook(&json!({
        "endpoint_url": received.url,
        "events": [
            "dsync.user.created", "dsync.user.updated", "dsync.group.user_added",
            "dsync.group.user_removed",
        ],
    }))?;
    let [on, off] = runs(bench.runs, |subject| {
        let (plan, scene): (&Plan, &Scene) =
            if subject == 0 { (&with.0, &with.1) } else { (&without.0, &without.1) };
        let plan = Plan {
            connect: plan.connect.another(),
            clients: CLIENTS,
            seed: plan.seed,
            work: Loop::Open(RATE),
        };
        // The users of each run are new.
        let scene = Scene {
            groups: scene.groups.clone(),
            users: scene.users.clone(),
            ..Scene::of_nobody(scene.people.clone())
        };
        let report = drive::mix(&plan, &scene, &Mix::parse(MIX)?, bench.length * LONGER);
        // Fails when a request did.
        report.rate()?;
        // The last row is of all kinds.
        Ok(report.rows().last().map_or(f64::NAN, |row| row.p99))
    })?;
    let deliveries = received.count.load(Ordering::Relaxed);
    if deliveries == 0 {
        return Err("no event was delivered".to_owned());
    }
    Ok(vec![Line::new(
        "p99 of SCIM with webhooks against without",
        Target::AtMost(1.1),
        Unit::Times,
        over(&on, &off),
        format!(
            "{:.2} ms against {:.2} ms at {RATE}/s, {} deliveries",
            median(&on),
            median(&off),
            count(deliveries)
        ),
    )])
}

struct Received {
    url: String,
    count: Arc<AtomicU64>,
}

/// Accepts every delivery, as long as the report runs.
fn receive() -> Result<Received, String> {
    let failed = |error: std::io::Error| format!("a receiver of webhooks: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let url = format!("http://{}/", listener.local_addr().map_err(failed)?);
    let count = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counting = Arc::clone(&counting);
            thread::spawn(move || answer(&stream, &counting));
        }
    });
    Ok(Received { url, count })
}

/// Answers the requests of a connection until it ends.
fn answer(stream: &TcpStream, count: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        if line.is_empty() {
            return None;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
        count.fetch_add(1, Ordering::Relaxed);
    }
}

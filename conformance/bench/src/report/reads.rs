//! GET by id and the most common filter on SQLite, against an answer that needs no data.

use super::line::{Line, Target, Unit, median, over, runs, thousands};
use super::server::Server;
use super::{Bench, CLIENTS, CREATORS};
use crate::drive::{self, Address, Plan};
use crate::operation::{Known, Mix, Scene};
use crate::people::People;

/// Users who are in groups.
const MEMBERS: u64 = 100;

/// Groups that each of them is in, and groups that have those as members.
const DIRECT: u64 = 5;
const INDIRECT: u64 = 2;

pub(super) fn lines(bench: &Bench) -> Result<Vec<Line>, String> {
    let (server, _folder, directory) = bench.small_directory("reads")?;
    let (plan, alone) = bench.scene(&server, &directory, bench.small(), bench.paged())?;
    let members = members(&server.clients(&directory, CREATORS)?)?;
    let live = health(&server)?;
    let nowhere = [Address { path: String::new(), token: None }];
    let (get, find) = (Mix::parse("get")?, Mix::parse("find-user-name")?);
    let [constant, with, without, found] = runs(bench.runs, |subject| {
        match subject {
            0 => drive::gets(&live, &nowhere, bench.length),
            1 => drive::mix(&plan, &members, &get, bench.length),
            2 => drive::mix(&plan, &alone, &get, bench.length),
            _ => drive::mix(&plan, &alone, &find, bench.length),
        }
        .rate()
    })?;
    let line = |what: &str, bound: f64, rates: &[f64]| {
        let (rate, live) = (thousands(median(rates)), thousands(median(&constant)));
        Line::new(
            format!("{what}, against /health/live"),
            Target::AtLeast(bound),
            Unit::Times,
            over(rates, &constant),
            format!("{rate}/s against {live}/s"),
        )
    };
    let groups = format!("{DIRECT} direct and {INDIRECT} indirect groups");
    Ok(vec![
        line(&format!("GET by id, {groups}"), 0.3, &with),
        line("GET by id, no groups", 0.5, &without),
        line("userName eq", 0.35, &found),
    ])
}

fn health(server: &Server) -> Result<Plan, String> {
    server.plan("/health/live", None, CLIENTS)
}

/// Users who are all in the same groups, half of these in one group and half in another.
fn members(plan: &Plan) -> Result<Scene, String> {
    let people = People { namespace: "member".to_owned() };
    let (report, users) = drive::seed_users(plan, &people, MEMBERS, MEMBERS);
    report.rate()?;
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let (report, direct) = drive::seed_groups(plan, &people, 0..DIRECT, &ids);
    report.rate()?;
    let direct: Vec<&str> = direct.iter().map(String::as_str).collect();
    let (one, other) = direct.split_at(direct.len() / 2);
    for (number, members) in (DIRECT..DIRECT + INDIRECT).zip([one, other]) {
        drive::seed_groups(plan, &people, number..number + 1, members).0.rate()?;
    }
    let users = (0..).zip(users).map(|(number, id)| Known { number, id }).collect();
    let scene = Scene { users, ..Scene::of_nobody(people) };
    check(plan, &scene)?;
    Ok(scene)
}

/// The figure means what its line says only if the answer shows the groups.
fn check(plan: &Plan, scene: &Scene) -> Result<(), String> {
    let user = scene.users.first().ok_or("no user was created")?;
    let mut connection = plan.connect.another();
    let answer = connection.exchange("GET", &format!("/Users/{}", user.id), None);
    let answer = answer.map_err(|error| error.to_string())?;
    let shown: serde_json::Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let groups = shown.get("groups").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    match u64::try_from(groups) {
        Ok(groups) if groups == DIRECT + INDIRECT => Ok(()),
        _ => Err(format!("a user of {} groups is shown with {groups}", DIRECT + INDIRECT)),
    }
}

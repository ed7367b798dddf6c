//! What a small directory does at once, a large one does as fast: times of the same request as groups and
//! directories grow.

use super::Bench;
use super::data::{FEW, LARGE_GROUP, SMALL_GROUP};
use super::line::{Line, Target, Unit, count, median, over, runs, thousands};
use super::server::Server;
use crate::drive::{self, Plan};
use crate::operation::{Mix, Scene};

/// What is measured, and of what.
const SUBJECTS: [(&str, Place); 7] = [
    ("patch-member", Place::LargeGroup),
    ("patch-member", Place::Large),
    ("patch-member", Place::Small),
    ("find-user-name", Place::Large),
    ("find-user-name", Place::Small),
    ("list", Place::Large),
    ("list", Place::Small),
];

#[derive(Clone, Copy)]
enum Place {
    /// The large group of the large directory.
    LargeGroup,
    /// The large directory, and its small group.
    Large,
    Small,
}

pub(super) fn lines(bench: &Bench) -> Result<Vec<Line>, String> {
    let folder = bench.large_directory()?;
    let large = Server::start(&bench.program, &folder.path, None)?;
    let directory = large.directory()?;
    let (large_plan, scene) = bench.scene(&large, &directory, bench.users, bench.members())?;
    let large_group = of_group(&scene, LARGE_GROUP)?;
    let large_rest = of_group(&scene, SMALL_GROUP)?;
    let (small, _folder, directory) = bench.small_directory("growth")?;
    let (small_plan, scene) = bench.scene(&small, &directory, bench.small(), bench.paged())?;
    let small_rest = of_group(&scene, SMALL_GROUP)?;
    let rates = runs(bench.runs, |subject| {
        let (kind, place) = SUBJECTS.get(subject).ok_or("a subject too many")?;
        let (plan, scene): (&Plan, &Scene) = match place {
            Place::LargeGroup => (&large_plan, &large_group),
            Place::Large => (&large_plan, &large_rest),
            Place::Small => (&small_plan, &small_rest),
        };
        drive::mix(plan, scene, &Mix::parse(kind)?, bench.length).rate()
    })?;
    let [group, large_patch, small_patch, large_find, small_find, large_list, small_list] = rates;
    large.stop()?;
    let line = |what: &str, sizes: [u64; 2], bound: f64, large: &[f64], small: &[f64]| {
        let [of, against] = sizes.map(count);
        Line::new(
            format!("{what} of {of} against {against}"),
            Target::AtMost(bound),
            Unit::Times,
            // Times, so the other way round than rates.
            over(small, large),
            format!("{}/s against {}/s", thousands(median(large)), thousands(median(small))),
        )
    };
    let users = [bench.users, bench.small()];
    Ok(vec![
        line("one member into a group", [bench.members(), FEW], 1.2, &group, &large_patch),
        line("userName eq in a directory", users, 1.3, &large_find, &small_find),
        line("one-member PATCH in a directory", users, 1.3, &large_patch, &small_patch),
        line("list of 100 with total in a directory", users, 1.5, &large_list, &small_list),
    ])
}

/// The scene with that one of its groups alone.
fn of_group(scene: &Scene, index: usize) -> Result<Scene, String> {
    let group = scene.groups.get(index).ok_or("a group of the seed is not there")?;
    Ok(Scene {
        groups: vec![group.clone()],
        users: scene.users.clone(),
        ..Scene::of_nobody(scene.people.clone())
    })
}

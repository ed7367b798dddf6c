//! Whoever applies the whole event log to an empty model has what the read API shows, after a random
//! history of thousands of operations: every row of the table in docs/events.md, in several directories
//! of two organizations, under changing policies.

mod persons;
mod step;
mod world;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{Database, TestApp};

use step::{Step, step};
use world::World;

/// Operations between two comparisons.
const STRIDE: usize = 250;

/// Operations that a failure shows.
const SHOWN: usize = 30;

/// The history that every run of the tests takes, so that a failure is that of a change.
const SEED: u64 = 1;

/// Runs a random history. `ROLLBOOK_TEST_SEED` runs another one, `ROLLBOOK_TEST_OPERATIONS` another
/// number of operations.
fn run(app: &TestApp, operations: usize) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("ROLLBOOK_TEST_SEED").unwrap_or(SEED);
    let operations = number("ROLLBOOK_TEST_OPERATIONS")
        .map_or(operations, |n| usize::try_from(n).expect("a number of operations"));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let steps = step();
    let mut world = World::new(app);
    let mut last: Vec<Step> = Vec::new();
    for number in 1..=operations {
        let step = steps.new_tree(&mut runner).expect("a step").current();
        last.push(step.clone());
        let from = last.len().saturating_sub(SHOWN);
        let mut result = world.run(&step);
        if result.is_ok() && (number % STRIDE == 0 || number == operations) {
            result = world.check();
        }
        if let Err(wrong) = result {
            let steps: Vec<String> = last[from..].iter().map(|step| format!("{step:?}")).collect();
            panic!("seed {seed}, operation {number}: {wrong}\n{}", steps.join("\n"));
        }
    }
    world.assert_rich();
}

#[test]
fn heavy_events_give_what_the_read_api_shows_sqlite() {
    run(&TestApp::start(Database::sqlite()), 10_000);
}

#[test]
fn heavy_events_give_what_the_read_api_shows_postgres() {
    run(&TestApp::start(Database::postgres()), 2_500);
}

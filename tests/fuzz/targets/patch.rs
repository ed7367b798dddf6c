//! PATCH bodies: `checks::patch`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rollbook_fuzz::checks;
use rollbook_fuzz::mutate::{self, Random};
use serde_json::{Value, json};

static WORDS: LazyLock<Vec<String>> =
    LazyLock::new(|| mutate::words(include_str!("../dict/patch.dict")));

fn operation(random: &mut Random, words: &[String]) -> Value {
    let op = random.one_of(&["add", "replace", "remove"]);
    let value = mutate::value(random, words);
    match random.below(6) {
        0 => json!({"op": op, "value": {random.one_of(words): value}}),
        _ => json!({"op": op, "path": random.one_of(words), "value": value}),
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::json(data, size, max_size, seed, &WORDS, operation)
});

fuzz_target!(|data: &[u8]| checks::patch::check(data));

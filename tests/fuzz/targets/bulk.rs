//! Bulk bodies: `checks::bulk`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rollbook_fuzz::checks;
use rollbook_fuzz::mutate::{self, Random};
use serde_json::{Value, json};

static WORDS: LazyLock<Vec<String>> =
    LazyLock::new(|| mutate::words(include_str!("../dict/bulk.dict")));

/// Mostly POSTs that refer to each other.
fn operation(random: &mut Random, words: &[String]) -> Value {
    let names = ["a", "b", "c", "d"];
    let mut reference = || format!("bulkId:{}", random.one_of(&names));
    let (first, second) = (reference(), reference());
    let data = json!({"members": [{"value": first}, {"$ref": format!("../Users/{second}")}]});
    let other = mutate::value(random, words);
    let data = random.one_of(&[data.clone(), data, json!({}), other]);
    let bulk_id = random.one_of(&names);
    match random.below(6) {
        0 => json!({"method": "PUT", "path": format!("/Users/{first}"), "data": data}),
        1 => json!({"method": "PATCH", "path": "/Groups/1", "data": {"Operations": [
            {"op": "remove", "path": format!("members[value eq \"{second}\"]"), "value": data}
        ]}}),
        2 => json!({"method": "DELETE", "path": format!("/Users/{first}"), "bulkId": bulk_id}),
        _ => json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data}),
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::json(data, size, max_size, seed, &WORDS, operation)
});

fuzz_target!(|data: &[u8]| checks::bulk::check(data));

//! Filters: `checks::filter`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rollbook_fuzz::checks;
use rollbook_fuzz::mutate::{self, Frames};

static WORDS: LazyLock<Vec<String>> =
    LazyLock::new(|| mutate::words(include_str!("../dict/filter.dict")));

const FRAMES: &Frames = &[
    ("(", ")"),
    ("not (", ")"),
    ("title pr and (", ")"),
    ("(", ") and not (b pr)"),
    ("", " or active eq true"),
    ("not (a pr) and ", ""),
    ("emails[", "]"),
    ("emails[type pr and (", ")]"),
    ("emails[", "].value pr"),
    ("ports[not (", ")]"),
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::text(data, size, max_size, seed, &WORDS, FRAMES)
});

fuzz_target!(|text: &str| checks::filter::check(text));

//! Paths: `checks::path`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rollbook_fuzz::checks;
use rollbook_fuzz::mutate::{self, Frames};

static WORDS: LazyLock<Vec<String>> =
    LazyLock::new(|| mutate::words(include_str!("../dict/path.dict")));

const FRAMES: &Frames = &[
    ("", ","),
    ("title,", ""),
    ("emails[", "]"),
    ("emails[not (", ")].value"),
    ("[", "]"),
    ("", "[value pr]"),
    ("", ".value"),
    ("urn:ietf:params:scim:schemas:core:2.0:User:", ""),
    ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:", ""),
    (" ", " "),
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::text(data, size, max_size, seed, &WORDS, FRAMES)
});

fuzz_target!(|text: &str| checks::path::check(text));

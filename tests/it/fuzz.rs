//! What is fuzzed holds for the inputs that fuzzing begins with.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/checks/mod.rs"]
mod checks;

/// Gives a check every input in the folder of its target.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).expect("the folder of a target") {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        check(&fs::read(path).expect("an input"));
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", folder.display());
}

/// A check of text, which libFuzzer gives nothing that is not UTF-8.
fn text(input: &[u8], check: fn(&str)) {
    if let Ok(input) = str::from_utf8(input) {
        check(input);
    }
}

#[test]
fn bulk_bodies_run_once_in_order() {
    replay("bulk", checks::bulk::check);
}

#[test]
fn cursors_open_only_as_they_were_sealed() {
    replay("cursor", checks::cursor::check);
}

#[test]
fn filters_have_one_text_and_evaluate() {
    replay("filter", |input| text(input, checks::filter::check));
}

#[test]
fn patches_leave_canonical_documents() {
    replay("patch", checks::patch::check);
}

#[test]
fn paths_have_one_text_and_one_meaning() {
    replay("path", |input| text(input, checks::path::check));
}

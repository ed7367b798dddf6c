//! Cursors: `checks::cursor`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollbook_fuzz::checks;

fuzz_target!(|data: &[u8]| checks::cursor::check(data));

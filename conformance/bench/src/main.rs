//! The program; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match rollbook_bench::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            #[expect(clippy::print_stderr, reason = "a command's errors")]
            {
                eprintln!("bench: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

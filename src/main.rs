//! The `rollbook` binary; see `rollbook::cli`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stderr, reason = "the last word of a failed command")]
fn main() -> std::process::ExitCode {
    match rollbook::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rollbook: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

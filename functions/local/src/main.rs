//! `cargo run -- --help` tells what this does.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|first| first == local::FUNCTION_ARGUMENT) {
        return local::child_main();
    }
    local::run()
}

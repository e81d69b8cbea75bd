//! `cargo run -- --help` tells what this does.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == local::FUNCTION_ARGUMENT) {
        return local::child_main();
    }
    local::run(arguments)
}

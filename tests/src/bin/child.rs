//! The process that end-to-end tests start as a function.

use std::process::ExitCode;

fn main() -> ExitCode {
    local::child_main()
}

//! Commands that measure, and print tables with the goals beside the figures.
//! What they say, and what they do not, is in docs/benchmarks.md.

// The functions' futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod calls;
mod classify;
mod clusters;
mod figures;
mod function;
mod migrate;
mod planning;
mod rig;
mod sharding;

use std::error::Error;
use std::process::ExitCode;

const HELP: &str = "\
Measures, and prints tables with the goals beside the figures. See docs/benchmarks.md.

  cargo run --release -p benchmarks -- COMMAND [--rounds N]

  calls       AWS calls of each case, over the real function
  migrate     1,000 bindings to an empty cluster, at 25 ms a call
  planning    one plan for 5,000 bindings
  sharding    1,000 roles spread over node policies
  classify    which of 100,000 pods are stale
  function    the release binary of the association function beside a hello world;
              build it first: cargo build --release -p association
  clusters    the release binaries of the functions that look at whole clusters: a reconciliation of
              1,000 associations, a sweep of 10,000 pods; build them first:
              cargo build --release -p association -p reconcile -p workloads
";

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == local::FUNCTION_ARGUMENT) {
        return local::child_main();
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [command] => run(command, None),
        [command, "--rounds", rounds] => match rounds.parse() {
            Ok(rounds @ 1..) => run(command, Some(rounds)),
            _ => Err(format!("`{rounds}` is not a number of rounds").into()),
        },
        _ => Err(HELP.into()),
    };
    match done {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, rounds: Option<usize>) -> Result<String, Failure> {
    match command {
        "calls" => block_on(calls::run()),
        "migrate" => migrate::run(),
        "planning" => planning::run(rounds.unwrap_or(100)),
        "sharding" => sharding::run(rounds.unwrap_or(1_000)),
        "classify" => classify::run(rounds.unwrap_or(20)),
        "clusters" => block_on(clusters::run(rounds.unwrap_or(7))),
        "function" => block_on(function::run(rounds.unwrap_or(31))),
        _ => Err(HELP.into()),
    }
}

/// On one thread, so that a measured child has the other processors for itself.
fn block_on(work: impl Future<Output = Result<String, Failure>>) -> Result<String, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

//! Plays any number of seeds and says how many histories a second that was, or
//! plays one history from a file and tells every call.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use simulation::history::History;
use simulation::{Found, Played, search, trace};

/// Plays the histories of many seeds, and says how many a second that was.
///
/// A finding is printed with its seed and the smallest history that shows it, as JSON; kept in
/// tests/simulation/found, it is played by every test run.
#[derive(Parser)]
struct Arguments {
    /// Seeds to play
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Events of each history
    #[arg(long, default_value_t = 20)]
    events: usize,
    /// Histories played at once; as many as there are processors without it
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Findings after which it stops
    #[arg(long, default_value_t = 1)]
    findings: usize,
    /// Plays the history of this file instead, and prints every call
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.play {
        Some(file) => play(file),
        None => seeds(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn play(file: &Path) -> Result<bool, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let history: History =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let (calls, played) = trace(&history);
    for call in calls {
        let error = call.error.unwrap_or_default();
        println!("{} {} {} {} {error}", call.at, call.caller, call.operation, call.object);
    }
    match &played {
        Ok(played) => println!("{played:?}"),
        Err(violation) => println!("{violation}"),
    }
    Ok(played.is_ok())
}

fn seeds(arguments: &Arguments) -> Result<bool, String> {
    let threads = arguments.threads.or(std::thread::available_parallelism().ok());
    let threads = threads.map_or(1, NonZeroUsize::get);
    let begin = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let found: Mutex<Vec<Found>> = Mutex::default();
    let sums: Mutex<(u64, Played)> = Mutex::default();
    let lock = |error| format!("a thread broke off: {error}");
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let enough =
                        found.lock().is_ok_and(|found| found.len() >= arguments.findings.max(1));
                    if seed >= end || enough {
                        break;
                    }
                    let played = search(seed, arguments.events);
                    if let Ok(mut sums) = sums.lock() {
                        sums.0 += 1;
                        sums.1 += played.as_ref().copied().unwrap_or_default();
                    }
                    if let (Err(finding), Ok(mut found)) = (played, found.lock()) {
                        report(&finding);
                        found.push(*finding);
                    }
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let (histories, sums) = sums.into_inner().map_err(|error| lock(error.to_string()))?;
    let found = found.into_inner().map_err(|error| lock(error.to_string()))?;
    println!(
        "{histories} histories of {} events in {seconds:.1} s on {threads} threads, {:.0} histories a second, {} broken",
        arguments.events,
        histories as f64 / seconds,
        found.len(),
    );
    println!(
        "{} invocations, {} of them killed, {} AWS calls, {} made to fail; in the end {} associations, {} conditions blocked",
        sums.runs, sums.crashes, sums.calls, sums.faults, sums.bound, sums.blocked
    );
    Ok(found.is_empty())
}

fn report(found: &Found) {
    let history = serde_json::to_string(&found.history).unwrap_or_default();
    println!("seed {}: {}\nsmallest: {}\n{history}\n", found.seed, found.violation, found.smallest);
}

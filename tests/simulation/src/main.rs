//! Plays any number of seeds and says how many histories a second that was, or
//! plays one history from a file and tells every call.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use simulation::history::History;
use simulation::{Found, Played, search, trace};

const USAGE: &str = "\
usage: simulation [--seeds N] [--from SEED] [--events N] [--threads N] [--findings N]
       simulation --play FILE

Plays the histories of N seeds (2000), from SEED (0) on, of N events each (20), and stops after
N findings (1). A finding is printed with its seed and the smallest history that shows it, as JSON;
kept in tests/simulation/found, it is played by every test run.
With --play, plays one such file and prints every call.";

struct Arguments {
    seeds: u64,
    from: u64,
    events: usize,
    threads: usize,
    findings: usize,
    play: Option<String>,
}

fn arguments() -> Result<Arguments, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut arguments =
        Arguments { seeds: 2_000, from: 0, events: 20, threads, findings: 1, play: None };
    let mut list = std::env::args().skip(1);
    while let Some(name) = list.next() {
        let value = list.next().ok_or_else(|| format!("{name} has no value\n{USAGE}"))?;
        let number = || value.parse().map_err(|_| format!("{name} wants a number, not `{value}`"));
        let size = || number().map(|number: u64| usize::try_from(number).unwrap_or(usize::MAX));
        match name.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--from" => arguments.from = number()?,
            "--events" => arguments.events = size()?,
            "--threads" => arguments.threads = size()?.max(1),
            "--findings" => arguments.findings = size()?,
            "--play" => arguments.play = Some(value),
            _ => return Err(format!("{name} is not known\n{USAGE}")),
        }
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let result = arguments().and_then(|arguments| match &arguments.play {
        Some(file) => play(file),
        None => seeds(&arguments),
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn play(file: &str) -> Result<bool, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let history: History =
        serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
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
    let begin = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let found: Mutex<Vec<Found>> = Mutex::default();
    let sums: Mutex<(u64, Played)> = Mutex::default();
    let lock = |error| format!("a thread broke off: {error}");
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
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
        "{histories} histories of {} events in {seconds:.1} s on {} threads, {:.0} histories a second, {} broken",
        arguments.events,
        arguments.threads,
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

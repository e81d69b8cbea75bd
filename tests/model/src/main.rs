//! Searches every setup and prints how many states it has.

use std::process::ExitCode;

use protocol_model::claims::{self, Claims};
use protocol_model::{Checked, Setup, check, setups};

fn main() -> ExitCode {
    let more = std::env::args().nth(1).map_or(Ok(0), |text| text.parse::<u8>());
    let only = std::env::args().nth(2).unwrap_or_default();
    let Ok(more) = more else {
        eprintln!(
            "usage: protocol-model [MORE [SETUP]]: so many mishaps more than usual, and only setups so called"
        );
        return ExitCode::FAILURE;
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{:<46} {:>7} {:>12} {:>6} {:>8}", "setup", "mishaps", "states", "depth", "seconds");
    let mut broken = 0;
    let mut all = 0;
    for setup in setups::all().into_iter().filter(|setup| setup.name.contains(&only)) {
        let late = (", late calls", setup.clone().with_late_calls());
        let abandoned = (", given up calls", setup.clone().beyond_the_margin());
        for (margin, setup) in [("", setup), late, abandoned] {
            let mishaps = setup.mishaps + more;
            let name = format!("{}{margin}", setup.name);
            let checked = check(Setup::mishaps(setup, mishaps), threads);
            all += checked.states;
            broken += checked.broken.len();
            print(&name, mishaps, &checked);
        }
    }
    for (name, claims) in claims::setups::all().into_iter().filter(|(name, _)| name.contains(&only))
    {
        let mishaps = claims.mishaps + more;
        let (states, ways) = Claims { mishaps, ..claims }.check(threads);
        all += states;
        println!("{name:<46} {mishaps:>7} {states:>12}");
        for (promise, way) in ways {
            broken += 1;
            println!("  broken: {}", promise.name());
            way.iter().for_each(|action| println!("    {action:?}"));
        }
    }
    println!("{all} states, {broken} promises broken");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(name: &str, mishaps: u8, checked: &Checked) {
    let Checked { states, depth, took, .. } = checked;
    let seconds = took.as_secs_f64();
    println!("{name:<46} {mishaps:>7} {states:>12} {depth:>6} {seconds:>8.1}");
    for (promise, way) in &checked.broken {
        println!("  broken: {}", promise.name());
        way.iter().for_each(|action| println!("    {action}"));
    }
}

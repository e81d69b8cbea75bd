//! The commands that need no release build do their work and print their tables.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_benchmarks")).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The words of the line that begins with `name`, behind it.
fn row<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).split_whitespace().collect()
}

#[test]
fn calls_are_counted_over_tls_and_keep_to_their_goals() {
    let text = printed(&["calls"]);
    let all = row(&text, "all  ");
    assert_eq!(all[..6], ["10", "ok", "8", "ok", "2", "ok"], "{text}");
    assert!(!text.contains("OVER"), "{text}");
}

/// The time over the model is one of calls alone, by a clock that no machine is too slow for.
#[test]
fn a_migration_is_counted_over_tls_and_keeps_to_its_goals() {
    let text = printed(&["migrate"]);
    assert_eq!(row(&text, "eks CreatePodIdentityAssociation")[..3], ["-", "1000", "-"], "{text}");
    assert!(text.matches(", ok").count() == 3 && !text.contains("OVER"), "{text}");
}

#[test]
fn planning_prints_a_row_for_each_case() {
    let text = printed(&["planning", "--rounds", "1"]);
    assert_eq!(row(&text, "nothing to do")[..2], ["0", "0"], "{text}");
    assert_eq!(row(&text, "everything to change")[..2], ["5000", "0"], "{text}");
    assert_eq!(row(&text, "two bindings want each place")[..2], ["0", "2500"], "{text}");
}

#[test]
fn sharding_prints_a_row_for_each_case() {
    let text = printed(&["sharding", "--rounds", "1"]);
    assert_eq!(row(&text, "none new")[1], "0", "{text}");
    assert_eq!(row(&text, "one new beside 999")[1], "1", "{text}");
}

#[test]
fn an_unknown_command_is_answered_with_the_known_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_benchmarks")).arg("none").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("planning"));
}

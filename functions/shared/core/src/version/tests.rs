#![allow(clippy::unwrap_used)]

use super::*;

fn version(text: &str, event_id: &str) -> Version {
    Version::new(text.parse().unwrap(), event_id)
}

#[test]
fn later_wins_and_the_event_id_decides_between_equal_times() {
    let first = version("2026-11-03T09:00:00Z", "b");
    assert!(first < version("2026-11-03T09:00:00.001Z", "a"));
    assert!(first < version("2026-11-03T09:00:00Z", "c"));
    assert_eq!(first, version("2026-11-03T10:00:00+01:00", "b"));
}

#[test]
fn less_than_a_millisecond_does_not_count() {
    let time = |text: &str| version(text, "a");
    assert_eq!(time("2026-11-03T09:00:00.0011Z"), time("2026-11-03T09:00:00.0019Z"));
}

#[test]
fn versions_sort_as_text_as_they_do_as_values() {
    let mut versions = [
        version("2026-11-03T09:00:00Z", "b"),
        version("1970-01-01T00:00:01Z", "z"),
        version("2026-11-03T09:00:00Z", "a"),
        version("2096-11-03T09:00:00Z", "a"),
    ];
    let mut texts: Vec<String> = versions.iter().map(ToString::to_string).collect();
    versions.sort();
    texts.sort();
    assert_eq!(texts, versions.map(|version| version.to_string()));
}

#[test]
fn a_version_reads_back_from_its_text() {
    let version = version("2026-11-03T09:00:00.123Z", "id-with#hash");
    assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
    assert!("nonsense".parse::<Version>().is_err());
    assert!("x#y".parse::<Version>().is_err());
}

#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn domino_names_fit_a_tag_and_a_key() {
    for name in ["svc-etl", "Svc.ETL_1", "a@b.c", "x+y=z", &"x".repeat(128)] {
        assert!(name.parse::<DominoName>().is_ok(), "{name}");
    }
    for name in ["", "svc etl", "svc/etl", "svc#etl", "sv\u{e9}", &"x".repeat(129)] {
        assert!(name.parse::<DominoName>().is_err(), "{name}");
    }
}

#[test]
fn kubernetes_names_follow_rfc_1123() {
    let long = "x".repeat(253);
    for (namespace, service_account) in
        [("domino-compute", "svc-etl-sa"), ("n", "a.b-c.9"), (&"x".repeat(63), long.as_str())]
    {
        assert!(ServiceAccountRef::new(namespace, service_account).is_ok(), "{service_account}");
    }
    for (namespace, service_account) in [
        ("", "a"),
        ("Domino", "a"),
        ("a.b", "a"),
        ("-a", "a"),
        (&"x".repeat(64), "a"),
        ("n", ""),
        ("n", "A"),
        ("n", "a_b"),
        ("n", "a..b"),
        ("n", ".a"),
        ("n", "a-"),
        ("n", "a/b"),
        ("n", &"x".repeat(254)),
    ] {
        assert!(ServiceAccountRef::new(namespace, service_account).is_err(), "{service_account}");
    }
}

#[test]
fn accounts_of_one_run_and_default_are_known_by_name() {
    let named = |account: &str| ServiceAccountRef::new("domino-compute", account).unwrap();
    assert!(named("default").is_default());
    assert!(named("run-0123456789abcdef01234567").is_of_one_run());
    for name in [
        "default-sa",
        "run-0123456789abcdef0123456",
        "run-0123456789abcdef012345678",
        "run-0123456789abcdef0123456g",
        "run-0123456789abcdef01234567-sa",
        "my-run-0123456789abcdef01234567",
        "run-etl",
    ] {
        assert!(!named(name).is_default() && !named(name).is_of_one_run(), "{name}");
    }
}

#[test]
fn a_kubernetes_name_is_one_string_in_json() {
    let name = ServiceAccountRef::new("domino-compute", "svc-etl-sa").unwrap();
    let text = serde_json::to_string(&name).unwrap();
    assert_eq!(text, "\"domino-compute/svc-etl-sa\"");
    assert_eq!(serde_json::from_str::<ServiceAccountRef>(&text).unwrap(), name);
    assert!(serde_json::from_str::<ServiceAccountRef>("\"domino-compute\"").is_err());
}

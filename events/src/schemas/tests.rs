#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use super::*;

#[test]
fn committed_schemas_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    assert_eq!(drift(&folder), Vec::<String>::new());
}

#[test]
fn drift_names_every_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let drift = drift(&folder);
    assert!(drift[0].starts_with("service-account-role-assigned.json cannot be read"));
    assert!(drift.contains(&"lib.rs belongs to no event type".to_owned()));
}

#[test]
fn every_schema_pins_source_type_and_version() {
    for event in all() {
        let properties = &event.schema["properties"];
        assert_eq!(properties["source"]["enum"], json!([event.source]));
        assert_eq!(properties["detail-type"]["enum"], json!([event.detail_type]));
        let version = &properties["detail"]["properties"]["schemaVersion"];
        assert_eq!(version["enum"], json!([1]), "{}", event.detail_type);
    }
}

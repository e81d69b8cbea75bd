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

#[test]
fn operations_explain_every_code_of_the_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let schema = all().into_iter().find(|one| one.file_name().ends_with("-blocked.json")).unwrap();
    let mut codes = Vec::new();
    collect_codes(&schema.schema, &mut codes);
    assert!(codes.len() > 30, "{codes:?}");
    codes.retain(|code| !text.contains(&format!("| `{code}` |")));
    assert_eq!(codes, Vec::<String>::new());
}

fn collect_codes(schema: &Value, codes: &mut Vec<String>) {
    let code = schema.pointer("/properties/code/enum/0").and_then(Value::as_str);
    codes.extend(code.map(str::to_owned));
    match schema {
        Value::Object(fields) => fields.values().for_each(|one| collect_codes(one, codes)),
        Value::Array(items) => items.iter().for_each(|one| collect_codes(one, codes)),
        _ => {}
    }
}

//! The event contract: types, committed schemas, samples and rules say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use jsonschema::draft4;
use pod_identity_core::{Change, Clusters, Pattern, Rules};
use pod_identity_events::samples::{self, Sample};
use pod_identity_events::schemas::{self, EventSchema};
use pod_identity_events::{Envelope, Incoming, Outgoing, source};
use serde_json::Value;

/// The settings that `events/samples/README.md` names.
fn rules() -> Rules {
    let cluster =
        |name: &str| Pattern::new(format!("arn:aws:eks:eu-west-1:111122223333:cluster/{name}"));
    Rules {
        region: "eu-west-1".into(),
        clusters: ["blue", "green", "teal", "amber"].map(cluster).into(),
        roles: vec![Pattern::new("arn:aws:iam::111122223333:role/domino/*")],
        target_roles: vec![Pattern::new("arn:aws:iam::444455556666:role/domino-target-*")],
        namespaces: vec!["domino-compute".into()],
        node_roles: vec![Pattern::new("arn:aws:iam::111122223333:role/*-eks-nodes")],
        assume_roles: vec![],
        service_account_template: "{name}-sa".into(),
    }
}

fn now() -> Timestamp {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

fn value(sample: &Sample) -> Value {
    serde_json::from_str(sample.json).unwrap_or_else(|error| panic!("{}: {error}", sample.name))
}

fn envelope(sample: &Sample) -> Envelope {
    serde_json::from_str(sample.json).unwrap_or_else(|error| panic!("{}: {error}", sample.name))
}

fn schema_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../events/schemas")
}

fn schema_of(event: &EventSchema) -> Value {
    let text = fs::read_to_string(schema_folder().join(event.file_name())).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn assert_matches_its_schema(sample: &Sample) {
    let envelope = envelope(sample);
    let event = schemas::all()
        .into_iter()
        .find(|event| event.detail_type == envelope.detail_type)
        .unwrap_or_else(|| panic!("{}: no schema", sample.name));
    let validator = draft4::new(&schema_of(&event)).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(&value(sample)).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new(), "{}", sample.name);
}

fn types_of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> BTreeSet<String> {
    samples.into_iter().map(|sample| envelope(sample).detail_type).collect()
}

#[test]
fn committed_schemas_are_what_the_types_say() {
    assert_eq!(schemas::drift(&schema_folder()), Vec::<String>::new());
}

#[test]
fn committed_schemas_are_draft_4() {
    for event in schemas::all() {
        let schema = schema_of(&event);
        draft4::meta::validate(&schema)
            .unwrap_or_else(|error| panic!("{}: {error}", event.file_name()));
        let text = schema.to_string();
        assert!(!text.contains("\"const\":"), "{}", event.file_name());
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-04/schema#");
    }
}

#[test]
fn every_event_type_has_a_sample() {
    let all = samples::accepted().iter().chain(samples::outgoing());
    let kinds: BTreeSet<_> =
        schemas::all().iter().map(|event| event.detail_type.to_owned()).collect();
    assert_eq!(types_of(all), kinds);
}

#[test]
fn accepted_samples_round_trip() {
    for sample in samples::accepted() {
        let envelope = envelope(sample);
        let incoming =
            Incoming::parse(&envelope).unwrap_or_else(|error| panic!("{}: {error}", sample.name));
        let mut written = serde_json::to_value(&incoming).unwrap();
        if envelope.detail["clusters"] == "all" {
            // The default is left out when it is written.
            written["clusters"] = "all".into();
        }
        assert_eq!(written, envelope.detail, "{}", sample.name);
        assert_eq!(serde_json::to_value(&envelope).unwrap(), value(sample), "{}", sample.name);
    }
}

#[test]
fn outgoing_samples_round_trip() {
    for sample in samples::outgoing() {
        let envelope = envelope(sample);
        let outgoing = Outgoing::parse(&envelope.detail_type, &envelope.detail)
            .unwrap_or_else(|error| panic!("{}: {error}", sample.name));
        assert_eq!(envelope.source, source::POD_IDENTITY);
        assert_eq!(outgoing.detail_type(), envelope.detail_type);
        assert_eq!(serde_json::to_value(&outgoing).unwrap(), envelope.detail, "{}", sample.name);
        assert_eq!(serde_json::to_value(&envelope).unwrap(), value(sample), "{}", sample.name);
    }
}

#[test]
fn rejected_samples_are_envelopes() {
    for sample in samples::rejected() {
        let envelope = envelope(sample);
        assert_eq!(serde_json::to_value(&envelope).unwrap(), value(sample), "{}", sample.name);
    }
}

#[test]
fn accepted_and_outgoing_samples_match_their_schemas() {
    for sample in samples::accepted().iter().chain(samples::outgoing()) {
        assert_matches_its_schema(sample);
    }
}

#[test]
fn the_schema_refuses_accounts_that_the_rules_refuse() {
    let refused: Vec<&Sample> = samples::rejected()
        .iter()
        .filter(|sample| sample.name.starts_with("kubernetes-account-"))
        .collect();
    assert_eq!(refused.len(), 2);
    let all = schemas::all();
    let event = all.iter().find(|event| event.detail_type == envelope(refused[0]).detail_type);
    let validator = draft4::new(&schema_of(event.unwrap())).unwrap();
    for sample in refused {
        assert!(!validator.is_valid(&value(sample)), "{}", sample.name);
        let mut other = value(sample);
        for fitting in [Value::Null, "run-etl".into(), "default-sa".into()] {
            other["detail"]["kubernetes"]["serviceAccount"] = fitting;
            assert!(validator.is_valid(&other), "{other}");
        }
    }
}

#[test]
fn accepted_samples_break_no_rule() {
    let rules = rules();
    for sample in samples::accepted() {
        let command = rules.validate(&envelope(sample), now());
        let command = command.unwrap_or_else(|lines| panic!("{}: {lines:?}", sample.name));
        match &command.change {
            Change::Bind(binding) => assert_eq!(rules.admits(binding), Ok(())),
            Change::Register(cluster) => assert_eq!(rules.admits_registration(cluster), Ok(())),
            Change::Unbind { .. } | Change::Retire { .. } => {}
        }
    }
}

#[test]
fn rejected_samples_are_refused_with_their_messages() {
    let rules = rules();
    for sample in samples::rejected() {
        let lines = rules.validate(&envelope(sample), now()).expect_err(sample.name);
        let expected: Vec<_> = sample.message.unwrap().lines().collect();
        assert_eq!(lines, expected, "{}", sample.name);
    }
}

#[test]
fn the_story_repeats_one_event_and_sends_one_late() {
    let rules = rules();
    let version = |name: &str| {
        let sample = samples::accepted().iter().find(|sample| sample.name == name).unwrap();
        rules.validate(&envelope(sample), now()).unwrap()
    };
    let first = version("04-assigned-minimal");
    assert_eq!(first, version("18-assigned-twice"));
    assert!(version("17-unassigned-late").version < first.version);
    assert!(
        version("14-assigned-change-of-role").version
            > version("05-assigned-named-clusters").version
    );
    let Change::Bind(binding) = first.change else { panic!("not a binding") };
    assert_eq!(binding.kubernetes.to_string(), "domino-compute/svc-etl-sa");
    assert_eq!(binding.clusters, Clusters::All);
}

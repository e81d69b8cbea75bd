#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pod_identity_events::{detail_type, source};
use serde_json::{Value, json};

use super::*;
use crate::Exemptions;

const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/blue";
const ROLE: &str = "arn:aws:iam::111122223333:role/domino/etl";

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(*text)).collect()
}

fn rules() -> Rules {
    Rules {
        region: "eu-west-1".into(),
        clusters: patterns(&["arn:aws:eks:eu-west-1:111122223333:cluster/*"]),
        roles: patterns(&["arn:aws:iam::111122223333:role/domino/*"]),
        target_roles: patterns(&["arn:aws:iam::444455556666:role/*"]),
        namespaces: vec!["domino-compute".into(), "domino-batch".into()],
        node_roles: patterns(&["arn:aws:iam::*:role/*-eks-nodes"]),
        assume_roles: patterns(&["arn:aws:iam::*:role/pod-identity"]),
        service_account_template: "{name}-sa".into(),
    }
}

fn now() -> Timestamp {
    "2026-11-18T12:00:00Z".parse().unwrap()
}

fn envelope(kind: &str, detail: Value) -> Envelope {
    let source =
        if kind.starts_with("Cluster") { source::ADMINISTRATION } else { source::AUTOMATION };
    let envelope = json!({ "id": "1", "detail-type": kind, "source": source, "detail": detail });
    serde_json::from_value(envelope).unwrap()
}

fn merged(mut detail: Value, changes: Value) -> Value {
    let changes: serde_json::Map<_, _> = serde_json::from_value(changes).unwrap();
    detail.as_object_mut().unwrap().extend(changes);
    detail
}

fn assigned(changes: Value) -> Envelope {
    let detail = json!({
        "schemaVersion": 1,
        "eventId": "change-1",
        "occurredAt": "2026-11-18T11:00:00Z",
        "serviceAccount": "svc-etl",
        "roleArn": ROLE,
    });
    envelope(detail_type::ROLE_ASSIGNED, merged(detail, changes))
}

fn registered(changes: Value) -> Envelope {
    let detail = json!({
        "schemaVersion": 1,
        "eventId": "change-1",
        "occurredAt": "2026-11-18T11:00:00Z",
        "clusterArn": CLUSTER,
    });
    envelope(detail_type::CLUSTER_REGISTERED, merged(detail, changes))
}

fn refused(envelope: &Envelope) -> Vec<String> {
    rules().validate(envelope, now()).unwrap_err()
}

fn binding(envelope: &Envelope) -> Binding {
    match rules().validate(envelope, now()).unwrap().change {
        Change::Bind(binding) => binding,
        other => panic!("not a binding: {other:?}"),
    }
}

#[test]
fn defaults_come_from_the_deployment() {
    let binding = binding(&assigned(json!({})));
    assert_eq!(binding.kubernetes.to_string(), "domino-compute/svc-etl-sa");
    assert_eq!(binding.clusters, Clusters::All);
    assert_eq!(binding.desired.role.as_str(), ROLE);
}

#[test]
fn half_a_kubernetes_account_is_completed() {
    let other = binding(&assigned(json!({ "kubernetes": { "namespace": "domino-batch" } })));
    assert_eq!(other.kubernetes.to_string(), "domino-batch/svc-etl-sa");
    let named = binding(&assigned(json!({ "kubernetes": { "serviceAccount": "etl" } })));
    assert_eq!(named.kubernetes.to_string(), "domino-compute/etl");
}

#[test]
fn an_explicit_kubernetes_account_spares_the_default_name() {
    let event = json!({ "serviceAccount": "Svc_ETL", "kubernetes": { "serviceAccount": "etl" } });
    assert_eq!(binding(&assigned(event)).service_account.as_str(), "Svc_ETL");
}

#[test]
fn accounts_that_pods_share_or_lose_are_refused() {
    let run = "run-0123456789abcdef01234567";
    for (account, why) in [("default", "names no service account"), (run, "for one run only")] {
        let begins = format!("Kubernetes service account `{account}` cannot be bound to a role: ");
        let ends = "in detail.kubernetes.serviceAccount";
        let as_it_should = |lines: &[String]| {
            let [line] = lines else { panic!("{lines:?}") };
            let parts = line.starts_with(&begins) && line.contains(why) && line.ends_with(ends);
            assert!(parts, "{line}");
        };
        as_it_should(&refused(&assigned(json!({ "kubernetes": { "serviceAccount": account } }))));
        // The naming rule may lead to it too.
        let plain = Rules { service_account_template: "{name}".into(), ..rules() };
        let event = assigned(json!({ "serviceAccount": account }));
        as_it_should(&plain.validate(&event, now()).unwrap_err());

        let mut stored = binding(&assigned(json!({})));
        stored.kubernetes = ServiceAccountRef::new("domino-compute", account).unwrap();
        as_it_should(&rules().admits(&stored).unwrap_err());
    }
    let near = json!({ "kubernetes": { "serviceAccount": "run-0123456789abcdef01234567-sa" } });
    binding(&assigned(near));
}

#[test]
fn a_bare_name_and_its_arn_are_one_cluster() {
    let binding = binding(&assigned(json!({ "clusters": ["blue", CLUSTER] })));
    let Clusters::Named(clusters) = binding.clusters else { panic!("all") };
    assert_eq!(clusters.iter().map(ClusterArn::as_str).collect::<Vec<_>>(), [CLUSTER]);
}

#[test]
fn every_broken_rule_is_named() {
    let lines = refused(&assigned(json!({
        "eventId": "a b",
        "occurredAt": "today",
        "serviceAccount": "svc etl",
        "roleArn": "etl",
        "targetRoleArn": "arn:aws:iam::111122223333:role/other",
        "kubernetes": { "namespace": "kube-system", "serviceAccount": "ETL" },
        "sessionPolicy": "no",
        "clusters": ["arn:aws:eks:eu-west-1:999988887777:cluster/blue", "blue"],
        "actor": "a".repeat(513),
    })));
    let begins: Vec<_> = lines.iter().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(
        begins,
        [
            "detail.eventId",
            "detail.occurredAt",
            "detail.actor",
            "detail.serviceAccount:",
            "namespace",
            "detail.kubernetes.serviceAccount:",
            "detail.roleArn:",
            "target",
            "detail.sessionPolicy",
            "detail.sessionPolicy",
            "cluster",
        ]
    );
}

#[test]
fn a_role_is_of_an_account_that_has_a_listed_cluster() {
    let elsewhere: RoleArn = "arn:aws:iam::999988887777:role/domino/etl".parse().unwrap();
    let admitted = |clusters: &[&str], role: &RoleArn| {
        let rules = Rules { clusters: patterns(clusters), roles: patterns(&["*"]), ..rules() };
        let mut broken = BrokenRules::default();
        rules.allow_role(role, &mut broken);
        broken.is_empty()
    };
    assert!(!admitted(&["arn:aws:eks:*:111122223333:cluster/*"], &elsewhere));
    assert!(!admitted(&[], &elsewhere));
    assert!(admitted(&["arn:aws:eks:*:9999*:cluster/*"], &elsewhere));
    assert!(admitted(&["arn:aws:eks:eu-west-1:*:cluster/blue"], &elsewhere));
    assert!(admitted(&["*"], &elsewhere));
    assert!(admitted(&["arn:aws:eks:*:cluster/blue"], &elsewhere));
    assert!(!admitted(&["arn:aws-cn:eks:*:*:cluster/*"], &elsewhere));
}

#[test]
fn an_empty_list_admits_nothing() {
    let rules = Rules { target_roles: vec![], ..rules() };
    let event = assigned(json!({ "targetRoleArn": "arn:aws:iam::444455556666:role/other" }));
    assert_eq!(
        rules.validate(&event, now()).unwrap_err(),
        [
            "target role `arn:aws:iam::444455556666:role/other` is not in TARGET_ROLES, which admits nothing"
        ]
    );
}

#[test]
fn stored_bindings_are_held_to_the_lists_of_today() {
    let stored = binding(&assigned(json!({
        "clusters": ["blue"],
        "targetRoleArn": "arn:aws:iam::444455556666:role/other",
    })));
    assert_eq!(rules().admits(&stored), Ok(()));
    let closed = Rules {
        clusters: vec![],
        roles: vec![],
        target_roles: vec![],
        namespaces: vec![],
        ..rules()
    };
    // Namespace, account, role, target role, cluster.
    assert_eq!(closed.admits(&stored).unwrap_err().len(), 5);
}

#[test]
fn stored_registrations_are_held_to_the_lists_of_today() {
    let event = registered(json!({
        "nodeRoleArns": ["arn:aws:iam::111122223333:role/blue-eks-nodes"],
        "assumeRoleArn": "arn:aws:iam::111122223333:role/pod-identity",
    }));
    let Change::Register(stored) = rules().validate(&event, now()).unwrap().change else {
        panic!("not a registration");
    };
    assert_eq!(rules().admits_registration(&stored), Ok(()));
    let closed = Rules { clusters: vec![], node_roles: vec![], assume_roles: vec![], ..rules() };
    assert_eq!(closed.admits_registration(&stored).unwrap_err().len(), 3);
}

#[test]
fn roles_of_a_cluster_are_in_its_account() {
    let lines = refused(&registered(json!({
        "nodeRoleArns": ["arn:aws:iam::999988887777:role/blue-eks-nodes"],
        "assumeRoleArn": "arn:aws:iam::999988887777:role/pod-identity",
    })));
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("node role `arn:aws:iam::999988887777:role/blue-eks-nodes` is in")
    );
    assert!(
        lines[1].starts_with("role to assume `arn:aws:iam::999988887777:role/pod-identity` is")
    );
}

#[test]
fn taking_a_role_away_needs_no_list() {
    let closed = Rules { clusters: vec![], roles: vec![], namespaces: vec![], ..rules() };
    for (kind, expected) in [
        (detail_type::ROLE_UNASSIGNED, RemovalReason::Unassigned),
        (detail_type::DEACTIVATED, RemovalReason::Deactivated),
    ] {
        let detail = json!({
            "schemaVersion": 1,
            "eventId": "change-2",
            "occurredAt": "2026-11-18T11:00:00Z",
            "serviceAccount": "svc-etl",
            "actor": "amara",
            "reason": "left",
        });
        let command = closed.validate(&envelope(kind, detail), now()).unwrap();
        let service_account = "svc-etl".parse().unwrap();
        assert_eq!(command.change, Change::Unbind { service_account, reason: expected });
        assert_eq!(command.detail_type, kind);
        assert_eq!(command.actor.as_deref(), Some("amara"));
        assert_eq!(command.reason.as_deref(), Some("left"));
    }
}

#[test]
fn a_clock_may_be_five_minutes_ahead() {
    let at = |time: &str| rules().validate(&assigned(json!({ "occurredAt": time })), now());
    assert!(at("2026-11-18T12:05:00.000Z").is_ok());
    assert!(at("2026-11-18T12:05:00.001Z").is_err());
    assert!(at("1969-12-31T23:59:59Z").is_err());
}

#[test]
fn times_are_rfc_3339_and_count_to_the_millisecond() {
    let at = |time: &str| {
        let command = rules().validate(&assigned(json!({ "occurredAt": time })), now()).ok()?;
        Some(command.version.occurred_at().to_string())
    };
    for good in [
        "2026-11-02T09:00:00.1239Z",
        "2026-11-02t09:00:00.123z",
        "2026-11-02T10:00:00.123456789+01:00",
        "2026-11-02T04:00:00.123-05:00",
    ] {
        assert_eq!(at(good).as_deref(), Some("2026-11-02T09:00:00.123Z"), "{good}");
    }
    for bad in [
        "",
        "2026-11-02",
        "2026-11-02T09:00Z",
        "2026-11-02 09:00:00Z",
        "2026-11-02T09:00:00",
        "2026-11-02T09:00:00.Z",
        "2026-11-02T09:00:00+01",
        "2026-11-02T09:00:00+24:00",
        "2026-11-02T09:00:00-01:60",
        "2026-11-02T09:00:00+01:00[Europe/Berlin]",
        "2026-02-30T09:00:00Z",
        "２０２６-11-02T09:00:00Z",
        "1793000000",
    ] {
        assert_eq!(at(bad), None, "{bad}");
    }
}

#[test]
fn event_ids_are_visible_ascii_without_the_separator() {
    let fits = |id: &str| rules().validate(&assigned(json!({ "eventId": id })), now()).is_ok();
    assert!(fits("a"));
    assert!(fits("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"));
    assert!(fits(&"x".repeat(128)));
    for bad in ["", "a b", "a#b", "a\n", "\u{e9}", &"x".repeat(129)] {
        assert!(!fits(bad), "{bad}");
    }
}

#[test]
fn session_policies_are_what_sts_takes() {
    let policy = |policy: &str| {
        refused(&assigned(json!({ "disableSessionTags": true, "sessionPolicy": policy })))
    };
    let fitting = format!("{{\"Id\":\"{}\"}}", "x".repeat(2_048 - 9));
    let event = json!({ "disableSessionTags": true, "sessionPolicy": fitting });
    assert_eq!(binding(&assigned(event)).desired.session_policy.unwrap().len(), 2_048);
    assert_eq!(
        policy(&format!("{fitting} ")),
        ["detail.sessionPolicy has 2049 characters; STS takes at most 2048"]
    );
    assert_eq!(policy("[]"), ["detail.sessionPolicy must be a JSON object"]);
    assert_eq!(
        policy(r#"{"Statement":[{"Effect":"Deny","Effect":"Allow"}]}"#),
        ["detail.sessionPolicy: key `Statement[0].Effect` occurs twice in one JSON object"]
    );
    assert!(policy("{\"Id\":\"\u{4e2d}\"}")[0].contains("U+0020 to U+00FF"));
}

#[test]
fn lines_stay_short_and_single() {
    let clusters: Vec<_> = (0..100).map(|n| format!("violet:{n}\nx")).collect();
    let lines = refused(&assigned(json!({ "clusters": clusters })));
    assert_eq!(lines.len(), 21);
    assert_eq!(lines[20], "and 80 more broken rules");
    assert!(lines.iter().all(|line| !line.contains('\n')));

    let lines = refused(&assigned(json!({ "roleArn": "r".repeat(9_000) })));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].chars().count() < 1_100);
    assert!(lines[0].contains("characters left out"));
    assert!(
        lines[0]
            .ends_with("is not the ARN of an IAM role, `arn:aws:iam::ACCOUNT:role/[PATH/]NAME`")
    );
}

#[test]
fn a_detail_that_is_no_object_is_refused() {
    for detail in [json!(null), json!("text"), json!([1])] {
        let lines = refused(&envelope(detail_type::ROLE_ASSIGNED, detail));
        assert!(lines[0].contains("without detail.schemaVersion"), "{lines:?}");
    }
}

#[test]
fn a_retirement_names_a_listed_cluster() {
    let detail = json!({
        "schemaVersion": 1,
        "eventId": "change-3",
        "occurredAt": "2026-11-18T11:00:00Z",
        "clusterArn": CLUSTER,
    });
    let event = envelope(detail_type::CLUSTER_RETIRED, detail);
    let change = rules().validate(&event, now()).unwrap().change;
    let (cluster, exemptions) = (CLUSTER.parse().unwrap(), Exemptions::default());
    assert_eq!(change, Change::Retire { cluster, exemptions });
    let closed = Rules { clusters: vec![], ..rules() };
    assert!(closed.validate(&event, now()).is_err());
}

#[test]
fn a_retirement_gives_up_names_or_all() {
    let retired = |exemptions: serde_json::Value| {
        let detail = json!({
            "schemaVersion": 1,
            "eventId": "change-3",
            "occurredAt": "2026-11-18T11:00:00Z",
            "clusterArn": CLUSTER,
            "exemptServiceAccounts": exemptions,
        });
        rules().validate(&envelope(detail_type::CLUSTER_RETIRED, detail), now())
    };
    let exemptions = |list| match retired(list).unwrap().change {
        Change::Retire { exemptions, .. } => exemptions,
        other => panic!("{other:?}"),
    };
    let (etl, other) = ("svc-etl".parse().unwrap(), "svc-other".parse().unwrap());
    let named = exemptions(json!(["svc-etl"]));
    assert!(named.names(&etl) && !named.names(&other));
    assert!(exemptions(json!(["*"])).names(&other));
    assert!(exemptions(json!([])).is_nobody());
    let many: Vec<String> = (0..101).map(|n| format!("svc-{n}")).collect();
    for (list, rule) in [
        (json!(["*", "svc-etl"]), "stands alone"),
        (json!(["svc etl"]), "`svc etl` is not"),
        (json!(many), "at most 100"),
    ] {
        let lines = retired(list).unwrap_err();
        assert!(lines.len() == 1 && lines[0].contains(rule), "{lines:?}");
        assert!(lines[0].starts_with("detail.exemptServiceAccounts"), "{lines:?}");
    }
}

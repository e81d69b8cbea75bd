//! What must hold.

use std::collections::{BTreeMap, BTreeSet};

use association::Invocation;
use pod_identity_core::{Association, DEPLOYMENT_TAG};
use pod_identity_engine::Outcome;
use pod_identity_world::World;
use serde_json::{Value, json};

use crate::scene::{CLUSTERS, Stage, cluster, role};

/// Lambda's limit of an answer is 6 MB; a person should be able to read it.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Most lines of one record's report, and most bytes of one of them.
const MAX_LINES: usize = 110;
const MAX_LINE_BYTES: usize = 4 * 1024;

/// What AWS is like at a moment.
#[derive(Debug, PartialEq)]
pub(crate) struct Before {
    associations: BTreeMap<String, Association>,
    policies: BTreeMap<String, Option<String>>,
    attached: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Before {
    pub(crate) fn of(stage: &Stage) -> Self {
        let world = stage.ports.world();
        let of_cluster = |name: &&str| world.eks.associations(&cluster(name)).into_iter().cloned();
        let policy = |arn: &str| world.iam.document_in_force(arn).map(str::to_owned);
        let attached = |name| (name, world.iam.attached_to(&role(&format!("{name}-eks-nodes"))));
        Self {
            associations: CLUSTERS
                .iter()
                .flat_map(of_cluster)
                .map(|association| (association.arn.clone(), association))
                .collect(),
            policies: world.iam.policy_arns().map(|arn| (arn.to_owned(), policy(arn))).collect(),
            attached: CLUSTERS.map(attached).into(),
        }
    }

    fn of_others(&self) -> impl Iterator<Item = &Association> {
        self.associations.values().filter(|one| !one.tags.contains_key(DEPLOYMENT_TAG))
    }
}

/// Every record has its one verdict; nothing fails in an AWS that works; the
/// answer is the one that Lambda and SQS understand.
pub(crate) fn of_invocation(payload: &Value, invocation: &Invocation) {
    let records = payload.get("Records").and_then(Value::as_array);
    let id = |record: &Value, field| record[field].as_str().unwrap_or_default().to_owned();
    let sent: Vec<String> = match records {
        Some(records) => records.iter().map(|record| id(record, "messageId")).collect(),
        None => vec![id(payload, "id")],
    };
    let report = &invocation.report;
    let judged: Vec<&str> = report.records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(judged, sent, "each record has one verdict, in order");
    for record in &report.records {
        // Delivered again it would fail again, until it is a dead letter.
        assert_ne!(record.outcome, Outcome::Failed, "{record:?}");
        assert!(!record.lines.is_empty(), "{record:?}");
        assert!(record.lines.len() <= MAX_LINES, "{} lines", record.lines.len());
        for line in &record.lines {
            assert!(line.len() <= MAX_LINE_BYTES, "a line of {} bytes: {line}", line.len());
        }
    }
    let answer = invocation.answer.as_ref().expect("nothing failed");
    assert!(answer.to_string().len() <= MAX_ANSWER_BYTES, "{} bytes", answer.to_string().len());
    if records.is_some() {
        assert_eq!(answer, &json!({ "batchItemFailures": [] }));
    } else {
        assert_eq!(answer["outcome"], json!(report.records[0].outcome));
    }
}

/// A refused event changes nothing and is told; others' associations stay;
/// ours keep the allow-lists.
pub(crate) fn of_effects(stage: &Stage, before: &Before, invocation: &Invocation) {
    let after = Before::of(stage);
    let rejected = |outcome| outcome == Outcome::Rejected;
    let outcomes: Vec<Outcome> = invocation.report.records.iter().map(|one| one.outcome).collect();
    let world = stage.ports.world();
    if outcomes.iter().all(|outcome| rejected(*outcome)) {
        assert_eq!(&after, before, "a refused event changed something");
        let only = ["dynamodb", "events"];
        let call = world.calls.iter().find(|call| !only.contains(&call.service.as_str()));
        assert_eq!(call, None, "a refused event needs neither EKS nor IAM");
    }
    let published =
        world.bus.events.iter().filter(|one| one.detail_type.ends_with("Rejected")).count();
    let count = outcomes.iter().filter(|outcome| rejected(**outcome)).count();
    assert_eq!(published, count, "every refused record is told once");
    // One text in several records is one notice.
    let kept = notices(&world);
    assert!(kept <= count && (kept > 0) == (count > 0), "{kept} notices of {count}");
    assert!(after.of_others().eq(before.of_others()), "somebody else's association changed");
    drop(world);
    of_ours(stage, &after);
}

fn notices(world: &World) -> usize {
    let is_notice = |item: &&pod_identity_engine::ports::Item| {
        let partition = &item.key.partition;
        partition.starts_with("REJECTED#") && !partition.ends_with("#COUNTS")
    };
    world.ledger.items().filter(is_notice).count()
}

/// Whatever was asked for, our associations keep the allow-lists and are granted.
fn of_ours(stage: &Stage, after: &Before) {
    let rules = &stage.settings.rules;
    for one in after.associations.values().filter(|one| one.tags.contains_key(DEPLOYMENT_TAG)) {
        assert!(rules.roles.iter().any(|pattern| pattern.matches(&one.role_arn)), "{one:?}");
        assert!(rules.namespaces.contains(&one.namespace), "{one:?}");
        if let Some(target) = &one.target_role_arn {
            assert!(rules.target_roles.iter().any(|pattern| pattern.matches(target)), "{one:?}");
        }
        let quoted = json!(one.role_arn).to_string();
        let granted = after.policies.values().flatten().any(|policy| policy.contains(&quoted));
        assert!(granted, "{} is bound and not granted", one.role_arn);
    }
}

/// Delivered again, nothing changes any more.
pub(crate) fn of_repetition(stage: &Stage, after: &Before, invocation: &Invocation) {
    assert_eq!(&Before::of(stage), after, "{:?}", invocation.report);
}

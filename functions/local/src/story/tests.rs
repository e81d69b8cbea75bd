#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;

fn outcome(kind: &str, detail: Value) -> Envelope {
    let value = json!({
        "id": "o", "detail-type": kind, "source": "domino.pod-identity", "detail": detail,
    });
    serde_json::from_value(value).unwrap()
}

fn records() -> Vec<Record> {
    batches().unwrap().into_iter().flatten().collect()
}

fn refused() -> Record {
    records()
        .into_iter()
        .find(|record| {
            record.refusal.is_some() && record.event_id().is_some_and(|id| !id.is_empty())
        })
        .unwrap()
}

#[test]
fn every_sample_is_sent_once_and_in_order() {
    let names: Vec<_> = records().iter().map(|record| record.name).collect();
    let accepted = samples::accepted().iter().copied().map(|sample| sample.name);
    let rejected = samples::rejected().iter().copied().map(|sample| sample.name);
    assert_eq!(names, accepted.chain(rejected).collect::<Vec<_>>());
}

#[test]
fn no_batch_holds_an_accepted_subject_twice_or_more_than_ten() {
    for batch in batches().unwrap() {
        assert!(batch.len() <= BATCH_SIZE);
        let accepted: Vec<_> = batch.iter().filter(|record| record.refusal.is_none()).collect();
        let subjects: BTreeSet<_> =
            accepted.iter().map(|r| r.subject().unwrap().to_string()).collect();
        assert_eq!(subjects.len(), accepted.len());
    }
}

fn accepted(name: &str) -> Record {
    records().into_iter().find(|record| record.name == name).unwrap()
}

#[test]
fn sample_that_changes_nothing_is_noted() {
    let report = report(&[accepted("18-assigned-twice")], &[]);
    assert!(report.problems.is_empty());
    assert_eq!(report.lines[1], "    = noted, nothing to change");
}

#[test]
fn outcome_that_is_not_the_samples_is_a_problem() {
    let record = accepted("10-assigned-where-a-foreign-association-is");
    let blocked = |code: &str, details: Value| {
        let detail = json!({
            "schemaVersion": 1, "eventId": "o", "occurredAt": "2026-11-01T00:00:00Z",
            "cause": {"eventId": record.event_id(), "requestId": "r"},
            "serviceAccount": "svc-warehouse", "namespace": "domino-compute",
            "kubernetesServiceAccount": "svc-warehouse-sa",
            "clusterArn": "arn:aws:eks:eu-west-1:111122223333:cluster/blue",
            "code": code, "details": details, "message": "no", "remediation": "ask",
        });
        let outcome = outcome(detail_type::ASSOCIATION_BLOCKED, detail);
        report(std::slice::from_ref(&record), &[outcome]).problems
    };
    let account = json!({
        "clusterArn": "arn:aws:eks:eu-west-1:111122223333:cluster/blue",
        "namespace": "domino-compute", "kubernetesServiceAccount": "svc-warehouse-sa",
    });
    let foreign = json!({ "account": account, "associationId": "a-1", "roleArn": "arn" });
    assert_eq!(blocked("foreignAssociation", foreign), Vec::<String>::new());
    let unknown = json!({ "clusterArn": "arn" });
    let [problem] = &blocked("clusterNotFound", unknown)[..] else { panic!() };
    let expected = "10-assigned-where-a-foreign-association-is: blue should be blocked \
                    (ForeignAssociation), but is blocked (ClusterNotFound): no";
    assert_eq!(problem, expected);
}

#[test]
fn missing_outcome_is_a_problem() {
    let report = report(&[accepted("01-cluster-registered-blue")], &[]);
    let expected =
        ["01-cluster-registered-blue: blue should be registered, but nothing came of it"];
    assert_eq!(report.problems, expected);
}

#[test]
fn refusal_of_an_accepted_sample_is_a_problem() {
    let record = records().remove(0);
    let detail = json!({"cause": {"eventId": record.event_id()}, "reasons": ["no"]});
    let report = report(&[record], &[outcome(detail_type::EVENT_REJECTED, detail)]);
    assert!(report.problems[0].contains("was to be accepted"), "{:?}", report.problems);
}

#[test]
fn acceptance_of_a_refused_sample_is_a_problem() {
    let report = report(&[refused()], &[]);
    assert!(report.problems[0].contains("was to be refused"), "{:?}", report.problems);
}

#[test]
fn refusal_must_have_the_samples_reasons() {
    let record = refused();
    let with = |reasons: Vec<&str>| {
        let detail = json!({"cause": {"eventId": record.event_id()}, "reasons": reasons});
        report(std::slice::from_ref(&record), &[outcome(detail_type::EVENT_REJECTED, detail)])
            .problems
    };
    assert_eq!(with(record.refusal.unwrap().trim_end().lines().collect()), Vec::<String>::new());
    assert!(with(vec!["another"])[0].contains("otherwise than expected"));
}

#[test]
fn outcome_of_no_event_in_the_batch_is_shown_at_the_end_and_a_problem() {
    let record = accepted("18-assigned-twice");
    let outcome = outcome("Sweep Requested", json!({"cause": {"requestId": "r"}}));
    let report = report(&[record], &[outcome]);
    assert!(report.lines.last().unwrap().contains("Sweep Requested"));
    assert!(report.problems[0].starts_with("no sample led to"), "{:?}", report.problems);
}

#[test]
fn change_of_a_node_policy_belongs_to_the_batch() {
    let outcome = outcome(detail_type::NODE_ROLE_POLICY_CHANGED, json!({}));
    let report = report(&[accepted("18-assigned-twice")], &[outcome]);
    assert!(report.problems.is_empty());
}

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

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

#[test]
fn sample_without_an_outcome_is_noted() {
    let record = records().remove(0);
    let report = report(&[record], &[]);
    assert!(report.problems.is_empty());
    assert_eq!(report.lines[1], "    = noted, nothing to change");
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
fn outcome_of_no_event_in_the_batch_is_shown_at_the_end() {
    let record = records().remove(0);
    let outcome = outcome("Sweep Requested", json!({"cause": {"requestId": "r"}}));
    let report = report(&[record], &[outcome]);
    assert!(report.lines.last().unwrap().contains("Sweep Requested"));
}

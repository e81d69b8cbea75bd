//! The sample events as a story: what is sent together, what is expected of
//! each, and which outcome belongs to which.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use pod_identity_events::{Envelope, detail_type, samples};
use serde_json::Value;

use crate::expected;
use crate::queue::BATCH_SIZE;
use crate::show;

/// A sample event on its way.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Name of the sample.
    pub(crate) name: &'static str,
    /// What is sent.
    pub(crate) json: &'static str,
    /// What is sent, read.
    pub(crate) envelope: Envelope,
    /// The reasons to refuse it, one a line; none when it is to be accepted.
    pub(crate) refusal: Option<&'static str>,
}

impl Record {
    fn read(sample: samples::Sample) -> Result<Self, String> {
        let envelope = serde_json::from_str(sample.json)
            .map_err(|error| format!("sample `{}` is no envelope: {error}", sample.name))?;
        Ok(Self { name: sample.name, json: sample.json, envelope, refusal: sample.message })
    }

    /// Whether it is an accepted `Cluster Registered`.
    pub(crate) fn registers_a_cluster(&self) -> bool {
        self.refusal.is_none() && self.envelope.detail_type == detail_type::CLUSTER_REGISTERED
    }

    fn event_id(&self) -> Option<&str> {
        self.envelope.detail.get("eventId").and_then(Value::as_str)
    }

    /// What two events must share to be about the same thing.
    fn subject(&self) -> Option<&Value> {
        let detail = &self.envelope.detail;
        detail.get("serviceAccount").or_else(|| detail.get("clusterArn"))
    }

    /// Whether an outcome comes from this event.
    fn led_to(&self, outcome: &Envelope) -> bool {
        let cause = outcome.detail.pointer("/cause/eventId").and_then(Value::as_str);
        if let (Some(cause), Some(own)) = (cause, self.event_id()) {
            return cause == own;
        }
        // A refused event may have no id; then the original tells.
        let original = outcome.detail.get("original");
        original.is_some_and(|original| {
            original == &self.envelope.detail
                || original.get("id").and_then(Value::as_str) == Some(&self.envelope.id)
        })
    }
}

/// The samples in batches. A batch ends before ten where one service account
/// would be in it twice, so that every change is seen.
///
/// # Errors
/// When a sample is no envelope.
pub(crate) fn batches() -> Result<Vec<Vec<Record>>, String> {
    let mut batches: Vec<Vec<Record>> = Vec::new();
    let accepted = samples::accepted().iter().copied();
    let rejected = samples::rejected().iter().copied();
    for sample in accepted.chain(rejected) {
        let record = Record::read(sample)?;
        match batches.last_mut() {
            Some(batch) if fits(batch, &record) => batch.push(record),
            _ => batches.push(vec![record]),
        }
    }
    Ok(batches)
}

fn fits(batch: &[Record], record: &Record) -> bool {
    let again = |other: &Record| record.refusal.is_none() && other.subject() == record.subject();
    batch.len() < BATCH_SIZE && !batch.iter().any(again)
}

/// What came of a batch: lines for people, and what should not have happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// What to print.
    pub(crate) lines: Vec<String>,
    /// What was not expected.
    pub(crate) problems: Vec<String>,
}

/// Tells what came of a batch by the outcome events that it led to.
pub(crate) fn report(batch: &[Record], outcomes: &[Envelope]) -> Report {
    let mut report = Report::default();
    let mut shown = BTreeSet::new();
    for record in batch {
        report.lines.push(format!("{}  [{}]", show::heading(&record.envelope), record.name));
        let mut refusal = None;
        let mut own = Vec::new();
        let mut silent = true;
        // The remediation is often the same on every cluster.
        let mut details = BTreeSet::new();
        for (index, outcome) in outcomes.iter().enumerate() {
            if shown.contains(&index) || !record.led_to(outcome) {
                continue;
            }
            shown.insert(index);
            silent = false;
            if outcome.detail_type == detail_type::EVENT_REJECTED {
                refusal = Some(reasons(outcome));
            } else {
                own.push(outcome);
            }
            for line in show::outcome(outcome) {
                if !line.starts_with(' ') || details.insert(line.clone()) {
                    report.lines.push(format!("    {line}"));
                }
            }
        }
        if silent {
            report.lines.push("    = noted, nothing to change".to_owned());
        }
        match problem(record, refusal.as_deref()) {
            Some(problem) => report.problems.push(problem),
            None => report.problems.extend(expected::differences(record.name, own)),
        }
    }
    for (index, outcome) in outcomes.iter().enumerate() {
        if !shown.contains(&index) {
            report.lines.extend(show::outcome(outcome).iter().map(|line| format!("  {line}")));
            if outcome.detail_type != detail_type::NODE_ROLE_POLICY_CHANGED {
                let kind = &outcome.detail_type;
                report.problems.push(format!("no sample led to this `{kind}`: {}", outcome.detail));
            }
        }
    }
    report
}

fn reasons(outcome: &Envelope) -> String {
    let reasons = outcome.detail.get("reasons").and_then(Value::as_array);
    let reasons = reasons.into_iter().flatten().filter_map(Value::as_str);
    reasons.collect::<Vec<_>>().join("\n")
}

fn in_one_line(reasons: &str) -> String {
    reasons.replace('\n', "; ")
}

fn problem(record: &Record, refusal: Option<&str>) -> Option<String> {
    let name = record.name;
    match (record.refusal.map(str::trim_end), refusal) {
        (None, None) => None,
        (Some(expected), Some(found)) if expected == found => None,
        (None, Some(found)) => Some(format!(
            "sample `{name}` was to be accepted, and was refused: {}",
            in_one_line(found)
        )),
        (Some(expected), None) => Some(format!(
            "sample `{name}` was to be refused, and was accepted: {}",
            in_one_line(expected)
        )),
        (Some(expected), Some(found)) => Some(format!(
            "sample `{name}` was refused otherwise than expected: {} (expected: {})",
            in_one_line(found),
            in_one_line(expected)
        )),
    }
}

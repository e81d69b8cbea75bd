//! Parses an invocation, calls the engine, answers.

use std::time::{Duration, SystemTime};

use pod_identity_core::{ClusterArn, Json};
use pod_identity_engine::ports::{Clock, Reads, Writes};
use pod_identity_engine::{
    BatchReport, Cloud, Outcome, RecordReport, Run, Settings, Writers, process,
};
use pod_identity_function::{NotFinished, Payload, batch_answer};
use serde_json::{Value, json};

/// The function and everything that it works with.
pub struct Function<'a> {
    /// Reads AWS and the ledger.
    pub reader: &'a dyn Reads,
    /// Changes AWS and the ledger, and puts events on the bus.
    pub writer: &'a dyn Writes,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Settings of the deployment.
    pub settings: &'a Settings,
    /// No step starts that might end later than this before the deadline.
    pub deadline_margin: Duration,
}

/// What came of an invocation.
#[derive(Debug)]
pub struct Invocation {
    /// What Lambda gets. An error makes it deliver a single event again.
    pub answer: Result<Value, NotFinished>,
    /// What was done.
    pub report: BatchReport,
    /// How many records wait for what ends by itself.
    pub waiting: usize,
}

impl Function<'_> {
    /// Handles one invocation, whatever was sent, until `deadline` at the latest.
    pub async fn invoke(
        &self,
        payload: impl Into<Json>,
        request_id: &str,
        deadline: SystemTime,
    ) -> Invocation {
        let deadline = pod_identity_function::deadline(deadline, self.deadline_margin);
        let run = Run::new(request_id, self.clock.now());
        let payload = pod_identity_function::read(&payload.into());
        let Self { reader, writer, clock, settings, .. } = *self;
        let cloud = Cloud::of(reader, clock, &run, settings, deadline);
        let report = process(cloud, Writers::of(writer), payload.records()).await;
        report.records.iter().for_each(log);
        let answer = match payload {
            Payload::Batch(_) => Ok(batch_answer(report.failed())),
            Payload::Single(_) => match report.records.as_slice() {
                [record @ RecordReport { waits_until: Some(until), .. }, ..] => {
                    Ok(pod_identity_function::waits(&record.lines.join("; "), *until))
                }
                _ => single_answer(&report),
            },
        };
        let waiting = report.records.iter().filter(|record| record.waits_until.is_some()).count();
        Invocation { answer, report, waiting }
    }
}

fn log(record: &RecordReport) {
    let text = record.lines.join("; ");
    let failed = record.outcome == Outcome::Failed;
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                message_id = record.id,
                event_id = record.event_id,
                detail_type = record.detail_type,
                service_account = record.service_account,
                outcome = ?record.outcome,
                text,
                "event processed"
            )
        };
    }
    match (failed, record.waits_until.is_some()) {
        (false, _) => event!(info),
        (true, true) => event!(warn),
        (true, false) => event!(error),
    }
}

/// What a person in the console reads. Only what may work later is an error,
/// because Lambda tries an asynchronous invocation again after one.
fn single_answer(report: &BatchReport) -> Result<Value, NotFinished> {
    let Some(record) = report.records.first() else {
        return Err(NotFinished("the event was not processed; send it again".to_owned()));
    };
    let text = record.lines.join("\n");
    if record.outcome == Outcome::Failed {
        let what = record.service_account.as_deref().or(record.event_id.as_deref());
        return Err(NotFinished(format!(
            "the event of {} is not finished; send it again: {text}",
            what.unwrap_or("an unknown sender"),
        )));
    }
    let plan = |(cluster, plan): (&ClusterArn, String)| json!({ "cluster": cluster, "text": plan });
    let plans: Vec<Value> = report
        .clusters
        .iter()
        .filter_map(|(cluster, report)| Some((cluster, report.plan.as_ref()?.to_string())))
        .map(plan)
        .collect();
    Ok(json!({
        "outcome": record.outcome,
        "text": text,
        "eventId": record.event_id,
        "serviceAccount": record.service_account,
        "plans": plans,
    }))
}

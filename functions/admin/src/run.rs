//! The function over AWS and Kubernetes, as Lambda runs it.

use std::time::{Duration, SystemTime};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pod_identity_aws::{Aws, Settings, SettingsError, SystemClock, WorkloadSettings};
use pod_identity_core::Json;
use pod_identity_kubernetes::Kubernetes;
use serde_json::Value;
use tokio::time::timeout;

use crate::context::AdminWriter;
use crate::context::Deployment;
use crate::handler::{Function, Invocation, too_late};

/// Reads the settings from the environment and serves invocations until
/// Lambda ends the process.
///
/// # Errors
/// When the settings are wrong, all of it at once, by variable; or when the
/// Runtime API fails.
pub async fn run() -> Result<(), Error> {
    pod_identity_function::start_logging();
    let read =
        Settings::from_env().and_then(|settings| Ok((settings, WorkloadSettings::from_env()?)));
    let (settings, workloads) = read.inspect_err(SettingsError::log)?;
    let aws = Aws::new(&settings);
    let credentials = aws.clone();
    let calls = settings.calls.clone();
    let kubernetes = match &workloads.kubeconfig {
        Some(path) => Kubernetes::kubeconfig(calls, path, workloads.context.as_deref()),
        None => Kubernetes::eks(calls, aws.reader(), move |access| credentials.credentials(access)),
    };
    let writer = || -> Box<dyn AdminWriter> { Box::new(aws.writer()) };
    let function = Function {
        reader: &aws.reader(),
        kubernetes: &kubernetes.reader(),
        writer: (!settings.read_only).then_some(&writer as &dyn Fn() -> Box<dyn AdminWriter>),
        clock: &SystemClock,
        settings: &settings.engine(),
        inside: &workloads.inside(&settings.rules.namespaces),
        deployment: Deployment {
            bus: &settings.event_bus,
            reconcile_plans: settings.plan_only,
            workloads_plans: workloads.plan_only,
        },
        deadline_margin: settings.deadline_margin,
    };
    let function = &function;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Json>| {
        let (payload, context) = event.into_parts();
        let invocation = Invocation {
            request_id: &context.request_id,
            arn: &context.invoked_function_arn,
            deadline: context.deadline(),
        };
        // What does something is never cut off; a question is answered in time even where calls
        // are slow. The margin is for what follows the last call: half of it, so that an answer
        // from what there was time to read still goes out.
        let instead = too_late(&payload.value);
        let deadline = context.deadline().checked_sub(function.deadline_margin / 2);
        let left = deadline.and_then(|it| it.duration_since(SystemTime::now()).ok());
        let answer = function.invoke(payload, invocation);
        Ok::<_, Error>(before_deadline(answer, left.unwrap_or_default(), instead).await)
    }))
    .await
}

/// An answer, or what is answered instead once the time is over; without that it is waited for.
async fn before_deadline(
    answer: impl Future<Output = Value>,
    left: Duration,
    instead: Option<Value>,
) -> Value {
    let Some(instead) = instead else { return answer.await };
    timeout(left, answer).await.unwrap_or_else(|_| {
        tracing::warn!(?left, "not answered in time");
        instead
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::{pending, ready};

    use serde_json::json;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_question_that_takes_too_long_is_answered_with_why() {
        for payload in [
            json!({ "action": "explain", "serviceAccount": "svc-etl" }),
            json!({ "action": "bind", "serviceAccount": "svc-etl", "mode": "plan" }),
        ] {
            let answer = before_deadline(pending(), SOON, too_late(&payload)).await;
            assert_eq!((&answer["ok"], &answer["action"]), (&json!(false), &payload["action"]));
            let name = payload["action"].as_str().unwrap();
            let text = answer["text"].as_str().unwrap();
            assert!(text.starts_with(&format!("{name}: the invocation's time is nearly over")));
            let right = before_deadline(ready(json!("right")), SOON, too_late(&payload)).await;
            assert_eq!(right, "right");
        }
        let widget = json!({ "action": "explain", "widget": true });
        let shown = before_deadline(pending(), SOON, too_late(&widget)).await;
        assert!(shown.as_str().unwrap().contains("time is nearly over"), "{shown}");
    }

    #[tokio::test]
    async fn what_does_something_is_waited_for() {
        let apply = json!({ "action": "bind", "serviceAccount": "svc-etl", "mode": "apply" });
        let done = async {
            tokio::time::sleep(2 * SOON).await;
            json!("done")
        };
        assert_eq!(before_deadline(done, SOON, too_late(&apply)).await, "done");
    }
}

//! The function over AWS and Kubernetes, as Lambda runs it.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pod_identity_aws::{Aws, Settings, SystemClock, WorkloadSettings};
use pod_identity_kubernetes::Kubernetes;
use serde_json::Value;

use crate::exchange::Exchange;
use crate::handler::{Function, Invocation};

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
    let (settings, workloads) = read.inspect_err(|error| {
        for problem in &error.problems {
            tracing::error!(variable = problem.variable, "{problem}");
        }
    })?;
    let aws = Aws::new(&settings);
    let credentials = aws.clone();
    let calls = settings.calls.clone();
    let kubernetes = match &workloads.kubeconfig {
        Some(path) => Kubernetes::kubeconfig(calls, path, workloads.context.as_deref()),
        None => Kubernetes::eks(calls, aws.reader(), move |access| credentials.credentials(access)),
    };
    let writer = || aws.writer();
    let domino = settings.domino.as_ref().map(|domino| (domino, aws.domino(domino)));
    let objects = aws.objects();
    let exchange =
        settings.exchange_bucket.as_deref().map(|bucket| Exchange { bucket, reader: &objects });
    let function = Function {
        reader: &aws.reader(),
        kubernetes: &kubernetes.reader(),
        writer: (!settings.read_only).then_some(&writer as &dyn Fn() -> _),
        clock: &SystemClock,
        settings: &settings.engine(),
        inside: &workloads.inside(&settings.rules.namespaces),
        domino: domino.as_ref().map(|(settings, api)| settings.source(api)),
        exchange,
        deadline_margin: settings.deadline_margin,
    };
    let function = &function;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let (payload, context) = event.into_parts();
        let invocation = Invocation {
            request_id: &context.request_id,
            arn: &context.invoked_function_arn,
            deadline: context.deadline(),
        };
        let answer = function.invoke(payload, invocation).await;
        Ok::<_, Error>(answer)
    }))
    .await
}

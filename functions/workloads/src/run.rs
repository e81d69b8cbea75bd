//! The function over AWS and Kubernetes, as Lambda runs it.

use std::time::Instant;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pod_identity_aws::{Aws, AwsReader, Settings, SettingsError, SystemClock, WorkloadSettings};
use pod_identity_core::Json;
use pod_identity_engine::WorkloadsWriters;
use pod_identity_function::write_waiting;
use pod_identity_kubernetes::Kubernetes;

use crate::handler::Function;
use crate::metrics;

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
    let kubernetes = kubernetes(&aws, &settings, &workloads);
    let writers = (!workloads.plan_only).then(|| (aws.writer(), kubernetes.writer()));
    let reader = &aws.reader();
    let function = Function {
        ledger: reader,
        eks: reader,
        clusters: reader,
        kubernetes: &kubernetes.reader(),
        writers: writers.as_ref().map(|(outside, kubernetes)| WorkloadsWriters {
            ledger: outside,
            bus: outside,
            kubernetes,
        }),
        clock: &SystemClock,
        settings: &settings.engine(),
        inside: &workloads.inside(&settings.rules.namespaces),
        deadline_margin: settings.deadline_margin,
    };
    let function = &function;
    let deployment = settings.deployment_id.as_str();
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Json>| {
        let started = Instant::now();
        let (payload, context) = event.into_parts();
        let invocation = function.invoke(payload, &context.request_id, context.deadline()).await;
        for (cluster, report) in &invocation.clusters {
            metrics::write(deployment, cluster, report, started.elapsed());
        }
        write_waiting(deployment, "workloads", invocation.waiting);
        invocation.answer
    }))
    .await
}

fn kubernetes(
    aws: &Aws,
    settings: &Settings,
    workloads: &WorkloadSettings,
) -> Kubernetes<AwsReader> {
    let calls = settings.calls.clone();
    match &workloads.kubeconfig {
        Some(path) => Kubernetes::kubeconfig(calls, path, workloads.context.as_deref()),
        None => {
            let credentials = aws.clone();
            Kubernetes::eks(calls, aws.reader(), move |access| credentials.credentials(access))
        }
    }
}

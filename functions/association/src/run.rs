//! The function over AWS, as Lambda runs it.

use std::time::Instant;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pod_identity_aws::{Aws, Settings, SettingsError, SystemClock};
use pod_identity_core::Json;
use pod_identity_function::write_waiting;

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
    let settings = Settings::from_env().inspect_err(SettingsError::log)?;
    let aws = Aws::new(&settings);
    let function = Function {
        reader: &aws.reader(),
        writer: &aws.writer(),
        clock: &SystemClock,
        settings: &settings.engine(),
        deadline_margin: settings.deadline_margin,
    };
    let function = &function;
    let deployment = settings.deployment_id.as_str();
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Json>| {
        let started = Instant::now();
        let (payload, context) = event.into_parts();
        let invocation = function.invoke(payload, &context.request_id, context.deadline()).await;
        metrics::write(deployment, &invocation.report, started.elapsed());
        write_waiting(deployment, "association", invocation.waiting);
        invocation.answer
    }))
    .await
}

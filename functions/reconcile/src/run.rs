//! The function over AWS, as Lambda runs it.

use std::time::Instant;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use pod_identity_aws::{Aws, DominoSettings, Settings, SettingsError, SystemClock};
use pod_identity_core::Json;
use pod_identity_engine::ports::Writes;
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
    let read =
        Settings::from_env().and_then(|settings| Ok((settings, DominoSettings::from_env()?)));
    let (settings, domino) = read.inspect_err(SettingsError::log)?;
    let aws = Aws::new(&settings);
    let writer = (!settings.plan_only).then(|| aws.writer());
    let domino = domino.as_ref().map(|domino| (domino, aws.domino(domino)));
    let function = Function {
        reader: &aws.reader(),
        writer: writer.as_ref().map(|writer| writer as &dyn Writes),
        clock: &SystemClock,
        settings: &settings.engine(),
        own_roles: &settings.own_roles,
        domino: domino.as_ref().map(|(settings, api)| settings.source(api)),
        deadline_margin: settings.deadline_margin,
    };
    let function = &function;
    let settings = &settings;
    let deployment = settings.deployment_id.as_str();
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Json>| {
        let started = Instant::now();
        let (payload, context) = event.into_parts();
        let invocation = function.invoke(payload, &context.request_id, context.deadline()).await;
        for (cluster, done) in &invocation.clusters {
            metrics::write(settings, cluster, done, started.elapsed());
        }
        if let Some(check) = &invocation.domino {
            metrics::write_domino(deployment, check);
        }
        write_waiting(deployment, "reconcile", invocation.waiting);
        invocation.answer
    }))
    .await
}

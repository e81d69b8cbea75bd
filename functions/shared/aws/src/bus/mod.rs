//! The bus over EventBridge.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use pod_identity_engine::ports::{Bus, BusEntry, ErrorKind, PortError, PutFailure};
use pod_identity_events::source;

use crate::clients::AwsWriter;
use crate::errors::port_error;

const PUT: &str = "put events on";

#[async_trait(?Send)]
impl Bus for AwsWriter {
    async fn put(&self, entries: &[BusEntry]) -> Result<Vec<Result<(), PutFailure>>, PortError> {
        // EventBridge refuses a call without entries.
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let bus = self.aws.bus();
        let object = || format!("bus {bus}");
        let requests = entries.iter().map(|entry| {
            PutEventsRequestEntry::builder()
                .source(source::POD_IDENTITY)
                .event_bus_name(bus)
                .detail_type(&entry.detail_type)
                .detail(&entry.detail)
                .build()
        });
        let answer = self
            .aws
            .eventbridge()
            .await
            .put_events()
            .set_entries(Some(requests.collect()))
            .send()
            .await
            .map_err(|error| port_error(PUT, object(), error))?;
        let results: Vec<_> = answer.entries().iter().map(result).collect();
        if results.len() != entries.len() {
            let (got, put) = (results.len(), entries.len());
            return Err(PortError {
                operation: PUT,
                object: object(),
                kind: ErrorKind::Passing,
                code: None,
                message: None,
                source: format!("{got} results for {put} entries").into(),
            });
        }
        Ok(results)
    }
}

fn result(entry: &PutEventsResultEntry) -> Result<(), PutFailure> {
    match entry.error_code() {
        None => Ok(()),
        Some(code) => Err(PutFailure {
            code: code.to_owned(),
            message: entry.error_message().unwrap_or_default().to_owned(),
        }),
    }
}

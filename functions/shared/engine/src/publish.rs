//! Outcome events, on their way to the bus.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use pod_identity_events::Outgoing;

use crate::error::Error;
use crate::ports::{Bus, BusEntry, Clock, MAX_BUS_ENTRIES};

/// Most bytes of one call, details and detail types together. EventBridge's
/// limit counts more than these (256 KiB), so there is room.
const MAX_CALL_BYTES: usize = 200 * 1024;

/// Most calls under way at once. EventBridge keeps no order among events anyway, and throttles
/// whoever sends more than some hundred calls a second.
const CALLS_AT_ONCE: usize = 8;

const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Puts events on the bus; none make no call. Answers one result an event, in
/// order; an entry that EventBridge refuses is tried again beside others that
/// it took.
pub(crate) async fn publish(
    bus: &dyn Bus,
    clock: &dyn Clock,
    events: &[Outgoing],
) -> Vec<Result<(), Error>> {
    let mut results: Vec<Result<(), Error>> = Vec::with_capacity(events.len());
    let mut entries = Vec::with_capacity(events.len());
    for event in events {
        match serde_json::to_string(event) {
            Ok(detail) => {
                entries.push((
                    results.len(),
                    BusEntry { detail_type: event.detail_type().to_owned(), detail },
                ));
                results.push(Err("it was not sent".into()));
            }
            Err(error) => results.push(Err(error.to_string().into())),
        }
    }
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        let mut refused = Vec::new();
        let put = |call: Vec<(usize, BusEntry)>| async move {
            let list: Vec<BusEntry> = call.iter().map(|(_, entry)| entry.clone()).collect();
            let answers = bus.put(&list).await;
            (call, answers)
        };
        let put: Vec<_> =
            stream::iter(calls(entries)).map(put).buffered(CALLS_AT_ONCE).collect().await;
        for (call, answers) in put {
            match answers {
                Ok(answers) => {
                    for ((at, entry), answer) in call.into_iter().zip(answers) {
                        match answer {
                            Ok(()) => results[at] = Ok(()),
                            Err(failure) => {
                                results[at] =
                                    Err(format!("{}: {}", failure.code, failure.message).into());
                                refused.push((at, entry));
                            }
                        }
                    }
                }
                // The SDK has already tried again as often as it may.
                Err(error) => {
                    let error = Error::from(error);
                    for (at, _) in call {
                        results[at] = Err(error.clone());
                    }
                }
            }
        }
        if refused.is_empty() || attempt == ATTEMPTS {
            break;
        }
        entries = refused;
        clock.sleep(pause).await;
        pause *= 2;
    }
    results
}

fn calls(entries: Vec<(usize, BusEntry)>) -> Vec<Vec<(usize, BusEntry)>> {
    let mut calls: Vec<Vec<(usize, BusEntry)>> = Vec::new();
    let mut bytes = 0;
    for (at, entry) in entries {
        let size = entry.detail.len() + entry.detail_type.len();
        match calls.last_mut() {
            Some(call) if call.len() < MAX_BUS_ENTRIES && bytes + size <= MAX_CALL_BYTES => {
                bytes += size;
                call.push((at, entry));
            }
            _ => {
                bytes = size;
                calls.push(vec![(at, entry)]);
            }
        }
    }
    calls
}

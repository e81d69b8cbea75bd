//! Dry runs of pods, where no pod has proven yet that a binding is effective.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use pod_identity_core::{DominoName, fingerprint};

use super::effective::Unproven;
use super::pods::words;
use crate::inside::{Inside, LeasedWriters};
use crate::ledger::{InsideBinding, Proof};
use crate::ports::{Admission, PortError};

/// Most dry runs of one run.
const MAX_TRIES: usize = 10;

/// Asks what pods would get, for some of the bindings.
pub(super) async fn prove(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    unproven: &[Unproven],
    bindings: &mut BTreeMap<DominoName, InsideBinding>,
) {
    let mut unproven: Vec<&Unproven> = unproven.iter().collect();
    // Those that prove nothing today must not keep the others from being tried for ever.
    let request = context.run.request_id();
    unproven.sort_by_cached_key(|one| fingerprint([request, one.name.as_str()]));
    unproven.truncate(MAX_TRIES);
    let tried: Vec<(&Unproven, Result<Admission, PortError>)> =
        stream::iter(unproven)
            .take_while(|_| std::future::ready(!context.deadline_reached()))
            .map(|one| async move {
                (one, writers.kubernetes.try_pod(context.access, &one.place).await)
            })
            .buffer_unordered(context.settings.concurrency.max(1))
            .collect()
            .await;
    let cluster = &context.access.cluster;
    for (one, answer) in tried {
        let nothing = match answer {
            Ok(Admission::Admitted(pod)) => {
                if pod.works() {
                    let proof = one.proven(Proof::DryRun, context.clock.now());
                    bindings.entry(one.name.clone()).or_default().effective = Some(proof);
                    continue;
                }
                "a pod would be admitted without these credentials alone".to_owned()
            }
            Ok(Admission::Refused(words)) => format!("a pod would be refused: {words}"),
            Err(error) => words(&error, cluster),
        };
        tracing::info!(
            cluster = cluster.name(),
            service_account = one.name.as_str(),
            kubernetes = %one.place,
            "a dry run proved nothing: {nothing}"
        );
    }
}

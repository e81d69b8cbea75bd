//! A look at Domino before all clusters are asked for.

use jiff::Timestamp;
use pod_identity_core::DominoName;
use pod_identity_engine::{DominoCheck, Error};

/// By when Domino has to be done: the other half of the time is the clusters'.
pub(crate) fn half_way(now: Timestamp, deadline: Timestamp) -> Timestamp {
    now.checked_add(deadline.duration_since(now) / 2).unwrap_or(deadline).min(deadline)
}

/// Logs what came of it, and who is meant.
pub(crate) fn log(check: &Result<DominoCheck, Error>) {
    let DominoCheck { found, unbound, failures } = match check {
        Ok(check) => check,
        Err(why) => return tracing::warn!(%why, "Domino was not compared"),
    };
    let list =
        |names: &[DominoName]| names.iter().map(DominoName::as_str).collect::<Vec<_>>().join(", ");
    tracing::info!(
        bound = found.bound,
        deactivated = list(&found.deactivated),
        gone = list(&found.gone),
        unassigned = found.unassigned.len(),
        unbound = list(unbound),
        "compared with Domino"
    );
    if let Some(doubt) = &found.doubt {
        tracing::warn!("Domino is not believed: {doubt}");
    }
    for (name, why) in failures {
        tracing::warn!(service_account = name.as_str(), %why, "not unbound");
    }
}

/// The same for the answer, behind other words.
pub(crate) fn words(check: &Result<DominoCheck, Error>) -> String {
    match check {
        Err(why) => format!("; Domino was not compared: {why}"),
        Ok(DominoCheck { found, unbound, .. }) => {
            let doubt = found.doubt.as_ref().map(|doubt| format!("; {doubt}")).unwrap_or_default();
            format!(
                "; Domino has deactivated {} and does not know {} of {} that are bound; {} unbound{doubt}",
                found.deactivated.len(),
                found.gone.len(),
                found.bound,
                unbound.len()
            )
        }
    }
}

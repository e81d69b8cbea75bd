//! How far a migration is: of the bindings that both clusters take, those that are ready.

use pod_identity_core::{ClusterArn, DominoName};
use pod_identity_engine::ledger::{BindingRecord, ConditionState};
use serde::Serialize;

use crate::context::AdminContext;
use pod_identity_engine::Error;

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    pub(super) bindings: usize,
    pub(super) ready: usize,
    pub(super) pending: usize,
    pub(super) blocked: usize,
    pub(super) ready_percent: usize,
    pub(super) pending_percent: usize,
    pub(super) blocked_percent: usize,
}

/// By the conditions that the ledger has of the bindings as they are now.
pub(super) async fn of(
    admin: &AdminContext<'_>,
    blue: &ClusterArn,
    green: &ClusterArn,
) -> Result<Progress, Error> {
    let mut bindings = admin.bindings().await?;
    bindings.retain(|_, record| {
        record.binding().is_some_and(|one| one.selects(blue) && one.selects(green))
    });
    let conditions = admin.conditions(bindings.keys().map(|name| (name, green))).await?;
    let state = |(name, record): (&DominoName, &BindingRecord)| {
        let condition = conditions.get(&(name.clone(), green.clone()))?;
        (condition.version == record.version).then_some(condition.state)
    };
    let mut progress = Progress { bindings: bindings.len(), ..Progress::default() };
    for binding in &bindings {
        match state(binding) {
            Some(ConditionState::Ready) => progress.ready += 1,
            Some(ConditionState::Blocked) => progress.blocked += 1,
            _ => progress.pending += 1,
        }
    }
    // Rounded down: 100 % says that nothing is left.
    let percent = |count: usize| (count * 100).checked_div(bindings.len()).unwrap_or_default();
    progress.ready_percent = percent(progress.ready);
    progress.pending_percent = percent(progress.pending);
    progress.blocked_percent = percent(progress.blocked);
    Ok(progress)
}

impl Progress {
    pub(super) fn words(&self, green: &str) -> String {
        format!(
            "Progress on {green}: of {} service accounts {} are ready ({} %), {} pending ({} %), {} blocked ({} %).\n",
            self.bindings,
            self.ready,
            self.ready_percent,
            self.pending,
            self.pending_percent,
            self.blocked,
            self.blocked_percent,
        )
    }
}

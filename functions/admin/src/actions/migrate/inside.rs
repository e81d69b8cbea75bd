//! The inside of green as it would be once every association is there: Kubernetes service accounts
//! and the mapping.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{Binding, ClusterArn, DominoName};
use pod_identity_engine::ledger::{
    AssociationRecord, BindingRecord, Condition, ConditionState, View, WriteSet, condition_key,
};
use pod_identity_engine::ports::{LedgerWriter, MAX_WRITE};
use pod_identity_engine::{
    Error, InsideReport, InsideScope, InsideSettings, Workloads, preview_workloads,
};

use super::reason::Reason;
use crate::context::AdminContext;

/// Who can look, where this function cannot.
const LOOK: &str = "the workloads function makes them on its own where it gets in, and action status shows what it saw; to have them looked at here, let this function in (AdminInVpc for a private endpoint, infra/kubernetes/readers.yaml and an access entry), or look yourself";

/// What to do where the cluster lacks something that pods need.
const MAKE_UP: &str =
    "then ask again; migrate with mode apply need not wait for it, the workloads do";

/// What is to be said of it.
#[derive(Debug, Default)]
pub(super) struct GreenWorkloads {
    /// Whom the mapping or a missing Kubernetes service account keeps from working.
    pub(super) blocked: BTreeMap<DominoName, Reason>,
    /// Why nobody at all will get credentials there.
    pub(super) breaks: Option<Reason>,
    /// What is missing or could not be looked at, so that nobody is ready for sure.
    pub(super) unread: Option<Reason>,
    /// What is missing there, or that nobody can look.
    pub(super) words: Vec<Reason>,
}

impl GreenWorkloads {
    fn unknown(green: &ClusterArn, why: &str, remediation: &str) -> Self {
        let unread = unread(green, why, remediation);
        Self { words: vec![unread.clone()], unread: Some(unread), ..Self::default() }
    }
}

fn unread(green: &ClusterArn, why: &str, remediation: &str) -> Reason {
    let why = format!(
        "Kubernetes service accounts and the mapping on cluster {} are unknown: {why}",
        green.name()
    );
    Reason::new(why, remediation)
}

/// Looks inside green.
pub(super) async fn look(
    ahead: &AdminContext<'_>,
    green: &ClusterArn,
    moving: &[(&DominoName, &Binding)],
) -> GreenWorkloads {
    if ahead.deadline_reached() {
        let remediation = "raise the function's time-out and ask again";
        return GreenWorkloads::unknown(green, "the time was over", remediation);
    }
    let scope = InsideScope::of(green.clone());
    // There is nothing to sweep on a cluster that nobody works on.
    let only_domino = InsideSettings { sweep: None, ..ahead.inside.clone() };
    match preview_workloads(Workloads { inside: &only_domino, ..ahead.workloads() }, &scope).await {
        Ok(report) => render(green, &report, moving),
        Err(why) => GreenWorkloads::unknown(green, &why.to_string(), "ask again"),
    }
}

/// Writes into the rehearsed ledger that some are ready on green: what the workloads function does
/// waits for their associations.
pub(super) async fn presume(
    ahead: &AdminContext<'_>,
    dry_run: &dyn LedgerWriter,
    green: &ClusterArn,
    bindings: &BTreeMap<DominoName, BindingRecord>,
    coming: &[(&DominoName, &Binding)],
) -> Result<(), Error> {
    for some in coming.chunks(MAX_WRITE) {
        let mut writes = WriteSet::default();
        for (name, binding) in some {
            let Some(record) = bindings.get(*name) else { continue };
            let association = AssociationRecord {
                id: "a-presumed".to_owned(),
                arn: String::new(),
                kubernetes: binding.kubernetes.clone(),
                desired: binding.desired.clone(),
                external_id: None,
            };
            let condition = Condition {
                service_account: (*name).clone(),
                cluster: green.clone(),
                version: record.version.clone(),
                wanted: Some(binding.kubernetes.clone()),
                leaving: BTreeMap::new(),
                state: ConditionState::Ready,
                blocked: None,
                association: Some(association),
                adopts: None,
                credentials_changed_at: None,
                before: None,
                intents: Vec::new(),
                removals: BTreeMap::new(),
                trust: None,
                warnings: Vec::new(),
                updated_at: ahead.clock.now(),
                request_id: ahead.run.request_id().to_owned(),
            };
            let (key, revision) = (condition_key(name, green), ahead.run.revision());
            writes.put_anyway(&mut View::default(), key, &condition, &revision, None)?;
        }
        writes.commit(ahead.ledger, dry_run).await?;
    }
    Ok(())
}

fn render(
    green: &ClusterArn,
    report: &InsideReport,
    moving: &[(&DominoName, &Binding)],
) -> GreenWorkloads {
    let name = green.name();
    let mut inside = match &report.skipped {
        Some(why) => GreenWorkloads::unknown(green, why, LOOK),
        None => {
            // What fails for a passing reason, or for want of a right, leaves a part unseen.
            let domino = report.domino.as_ref().map(|domino| &domino.failures);
            let why = domino.unwrap_or(&report.failures).first();
            let why =
                why.map(String::as_str).or(report.domino.is_none().then_some("nobody looked"));
            GreenWorkloads {
                unread: why.map(|why| unread(green, why, LOOK)),
                ..GreenWorkloads::default()
            }
        }
    };
    let doubts = lacks(report).into_iter().chain(inside.unread.take());
    inside.unread = doubts.chain(unasked(green, report)).reduce(both);
    let words = &mut inside.words;
    words.extend(report.missing.iter().map(|one| Reason::new(&one.reason, &one.remediation)));
    words.extend(report.failures.iter().map(|failure| Reason::new(failure, "")));
    let Some(domino) = &report.domino else { return inside };
    words.extend(domino.kept.iter().map(|kept| Reason::new(kept, "")));
    words.extend(domino.failures.iter().map(|failure| Reason::new(failure, "")));
    words.extend(domino.annotated.iter().map(|(place, role)| {
        let why = format!(
            "Kubernetes service account {place} on cluster {name} is annotated with role {role}: a pod that is admitted there while EKS does not show its association gets that role instead (IRSA)"
        );
        Reason::new(why, "take the annotation off")
    }));
    if !domino.steps.is_empty() {
        let why = format!(
            "the workloads function has {} changes to make inside cluster {name}: {}",
            domino.steps.len(),
            few(&domino.steps)
        );
        words.push(Reason::new(why, "it makes them on its own once associations are ready"));
    }
    let who: BTreeSet<&DominoName> = moving.iter().map(|(name, _)| *name).collect();
    let blocked = report.bindings.iter().filter(|(name, _)| who.contains(name));
    let blocked = blocked.filter_map(|(name, binding)| {
        let lacks = binding.blocked.as_ref()?;
        Some((name.clone(), Reason::new(lacks.message(), lacks.remediation())))
    });
    inside.blocked = blocked.collect();
    inside
}

/// What pods lack there, or may.
fn lacks(report: &InsideReport) -> Option<Reason> {
    let all =
        report.missing.iter().map(|one| Reason::new(&one.reason, &one.remediation)).reduce(both)?;
    Some(Reason { remediation: format!("{}; {MAKE_UP}", all.remediation), ..all })
}

/// What EKS did not tell, beside what is said of Kubernetes.
fn unasked(green: &ClusterArn, report: &InsideReport) -> Option<Reason> {
    report.domino.as_ref()?;
    let why = report.failures.first()?;
    Some(Reason::new(
        format!("what cluster {} lacks for Pod Identity is unknown: {why}", green.name()),
        "ask again",
    ))
}

fn both(one: Reason, other: Reason) -> Reason {
    Reason {
        why: format!("{}; {}", one.why, other.why),
        remediation: format!("{}; {}", one.remediation, other.remediation),
    }
}

fn few(steps: &[String]) -> String {
    let shown: Vec<&str> = steps.iter().take(3).map(String::as_str).collect();
    let more = if steps.len() > shown.len() { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

//! What came of one cluster, for people.

use pod_identity_core::ClusterArn;
use pod_identity_engine::InsideReport;

pub(crate) fn words(cluster: &ClusterArn, report: &InsideReport) -> String {
    let mut said = vec![cluster.name().to_owned()];
    said.extend(report.missing.iter().map(|m| format!("{}: {}", m.reason, m.way_out)));
    if let Some(why) = &report.skipped {
        said.push(format!("nobody looked inside: {why}"));
    }
    if let Some(domino) = &report.domino {
        said.extend(domino.steps.iter().cloned());
        said.extend(domino.kept.iter().cloned());
        said.extend(domino.failures.iter().map(|why| format!("failed: {why}")));
    }
    if let Some(done) = &report.sweep {
        let sweep = &done.sweep;
        said.push(format!(
            "{} pods looked at, {} evicted, {} deleted, {} blocked by a budget, {} reported, {} wait",
            sweep.pods,
            done.evicted.len(),
            done.deleted.len(),
            done.blocked.len(),
            sweep.reports.len(),
            sweep.held_back.len()
        ));
        said.extend(sweep.halted.iter().map(|why| format!("nobody is evicted: {why}")));
        said.extend(sweep.ceilings.iter().map(ToString::to_string));
        let failed = done.failures.iter();
        said.extend(failed.map(|(pod, why)| format!("{}/{}: {why}", pod.namespace, pod.name)));
        said.extend(done.closed.values().cloned());
    }
    let domino_left = report.domino.as_ref().is_some_and(|domino| domino.left);
    if domino_left || report.sweep.as_ref().is_some_and(|sweep| sweep.left) {
        said.push("the time was over, and another invocation goes on".to_owned());
    }
    said.join("\n  ")
}

//! What came of one cluster, for people.

use pod_identity_core::ClusterArn;
use pod_identity_engine::{InsideReport, SweepReport};

pub(crate) fn words(cluster: &ClusterArn, report: &InsideReport, is_plan: bool) -> String {
    let mut said = vec![cluster.name().to_owned()];
    if is_plan {
        said.push("this is a plan: nothing was changed".to_owned());
    }
    said.extend(report.missing.iter().map(|m| format!("{}: {}", m.reason, m.remediation)));
    if let Some(why) = &report.skipped {
        said.push(format!("the inside was not looked at: {why}"));
    }
    if let Some(domino) = &report.domino {
        said.extend(domino.steps.iter().cloned());
        said.extend(domino.kept.iter().cloned());
        said.extend(domino.failures.iter().map(|why| format!("failed: {why}")));
    }
    if let Some(done) = &report.sweep {
        let sweep = &done.sweep;
        said.push(if is_plan { planned(done) } else { swept(done) });
        said.extend(sweep.halted.iter().map(|why| format!("no pod is evicted: {why}")));
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

/// How many pods were looked at and are stale. One that is stale and was reported before still counts.
fn stale(done: &SweepReport) -> String {
    let stale: usize = done.stale.values().sum();
    let cases: Vec<String> =
        done.stale.iter().map(|(case, count)| format!("{count} {case}")).collect();
    let cases = if cases.is_empty() { String::new() } else { format!(" ({})", cases.join(", ")) };
    format!("{} pods looked at, {stale} stale{cases}", done.sweep.pods)
}

fn planned(done: &SweepReport) -> String {
    let sweep = &done.sweep;
    format!(
        "{}: {} would be evicted, {} would be left alone and reported, {} would wait",
        stale(done),
        sweep.evictions.len(),
        sweep.reports.len(),
        sweep.held_back.len()
    )
}

fn swept(done: &SweepReport) -> String {
    let sweep = &done.sweep;
    format!(
        "{}: {} evicted, {} deleted, {} blocked by a budget, {} failed, {} left alone, {} wait; {} events sent",
        stale(done),
        done.evicted.len(),
        done.deleted.len(),
        done.blocked.len(),
        done.failures.len(),
        sweep.reports.len(),
        sweep.held_back.len(),
        done.published
    )
}

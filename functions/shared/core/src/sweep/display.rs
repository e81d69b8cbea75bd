//! A sweep as people read it.

use std::fmt;

use super::{Finding, HeldBack, Omitted, Reported, Sweep, WhyHeldBack, WhyReported};

impl fmt::Display for WhyReported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy => f.write_str("the policy is to report it"),
            Self::NothingRestartsIt => f.write_str("nothing would start it again"),
            Self::Doubt(doubt) => doubt.fmt(f),
            Self::AsksToBeKept => f.write_str("it is annotated to be kept"),
        }
    }
}

impl fmt::Display for WhyHeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halted => f.write_str("the observation cannot be trusted"),
            Self::Unsettled(at) => write!(f, "the change is not settled before {at:.3}"),
            Self::Ceiling(_) => f.write_str("a ceiling is reached"),
        }
    }
}

/// One row, with why nothing more is done.
type Row<'a> = (&'a Finding, &'static str, Option<String>);

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pods, halted, evictions, reports, held_back, ceilings, again_at, omitted } =
            self;
        let evicted = evictions.len() + omitted.evictions;
        let reported = reports.len() + omitted.reports;
        let waiting = held_back.len() + omitted.held_back;
        writeln!(
            f,
            "{pods} pods looked at: {evicted} to evict, {reported} to report, {waiting} held back"
        )?;
        let reports = reports.iter().map(|Reported { finding, because }| {
            // A doubt is part of the reason already.
            let doubt = matches!(because, WhyReported::Doubt(_));
            (finding, "report", (!doubt).then(|| because.to_string()))
        });
        let held_back = held_back
            .iter()
            .map(|HeldBack { finding, because }| (finding, "wait", Some(because.to_string())));
        let evictions = evictions.iter().map(|finding| (finding, "evict", None));
        let rows: Vec<Row<'_>> = evictions.chain(reports).chain(held_back).collect();
        let workload = |finding: &Finding| finding.workload_type.clone().unwrap_or("-".to_owned());
        let width = |of: &dyn Fn(&Finding) -> usize, head: &str| {
            rows.iter().map(|(finding, ..)| of(finding)).max().unwrap_or(0).max(head.len())
        };
        let names = width(&|finding| finding.pod.to_string().len(), "pod");
        let workloads = width(&|finding| workload(finding).len(), "workload");
        if !rows.is_empty() {
            let (pod, kind, since) = ("pod", "workload", "since");
            writeln!(f, "  {pod:names$}  {kind:workloads$}  case       action  {since}")?;
        }
        for (finding, action, why) in &rows {
            let (pod, kind, case) = (finding.pod.to_string(), workload(finding), finding.case);
            let since = finding.since.map_or_else(|| "-".to_owned(), |at| format!("{at:.3}"));
            writeln!(f, "  {pod:names$}  {kind:workloads$}  {case:9}  {action:6}  {since}")?;
            match why {
                Some(why) => writeln!(f, "      {}; {why}", finding.reason)?,
                None => writeln!(f, "      {}", finding.reason)?,
            }
        }
        let Omitted { evictions, reports, held_back } = omitted;
        let more = evictions + reports + held_back;
        if more > 0 {
            writeln!(f, "  {more} more are not shown")?;
        }
        if let Some(note) = halted {
            writeln!(f, "  ! nobody is evicted: {note}")?;
        }
        for hit in ceilings {
            writeln!(f, "  ! {hit}")?;
        }
        if let Some(at) = again_at {
            writeln!(f, "  . sweep again at {at:.3}")?;
        }
        Ok(())
    }
}

//! The drawings, in SVG. Words and numbers stand beside them, for those who do not see them.

use std::f64::consts::PI;

use pod_identity_core::sweep::Case;
use pod_identity_engine::ledger::SweepCount;

use super::html::{Element, element};
use crate::actions::status::Counts;

/// One of the counts.
type Count = fn(&Counts) -> usize;

/// What is counted of bindings, in the order that it is drawn, with its colours' classes.
pub(crate) const COUNTED: [(Count, &str, &str); 5] = [
    (|counts| counts.ready, "ready", "c-ready"),
    (|counts| counts.blocked, "blocked", "c-blocked"),
    (|counts| counts.pending, "pending", "c-pending"),
    (|counts| counts.waiting, "waiting", "c-waiting"),
    (|counts| counts.not_begun, "not begun", "c-track"),
];

/// The colour of a case.
pub(crate) fn colour(case: Case) -> &'static str {
    match case {
        Case::Revoked => "c-revoked",
        Case::Changed => "c-changed",
        Case::Recreated => "c-recreated",
        Case::Shadowed => "c-shadowed",
        Case::Excluded => "c-excluded",
        Case::Missing => "c-missing",
        Case::Unmapped => "c-unmapped",
    }
}

fn number(value: f64) -> String {
    format!("{value:.2}")
}

#[expect(clippy::cast_precision_loss, reason = "a drawing does not show the 53rd bit")]
fn real(count: usize) -> f64 {
    count as f64
}

fn svg(class: &'static str, view: &str, title: &str) -> Element {
    let svg = element("svg", class).set("viewBox", view).set("role", "img");
    svg.with(Element::new("title").text(title))
}

/// A bar whose parts are as long as their counts.
pub(crate) fn bar(parts: &[(usize, &'static str)], title: &str) -> Element {
    let total: usize = parts.iter().map(|(count, _)| count).sum();
    let mut bar = svg("dpi-bar", "0 0 100 10", title).set("preserveAspectRatio", "none");
    bar = bar.with(rectangle("c-track", 0.0, 100.0));
    let mut from = 0.0;
    for (count, class) in parts.iter().filter(|(count, _)| *count > 0) {
        let width = 100.0 * real(*count) / real(total);
        bar = bar.with(rectangle(class, from, width));
        from += width;
    }
    bar
}

fn rectangle(class: &'static str, x: f64, width: f64) -> Element {
    let rectangle = element("rect", class).set("x", number(x)).set("y", 0);
    rectangle.set("width", number(width)).set("height", 10)
}

/// Half a dial, from nothing to full.
pub(crate) fn gauge(percent: u32, title: &str) -> Element {
    let shown = f64::from(percent.min(100));
    let class = match percent {
        0..=69 => "s-ready",
        70..=89 => "s-changed",
        _ => "s-blocked",
    };
    let half = "M 10 58 A 50 50 0 0 1 110 58";
    let arc = |class| element("path", class).set("d", half).set("fill", "none");
    let length = PI * 50.0;
    let dash = format!("{} {}", number(length * shown / 100.0), number(length * 2.0));
    let mut gauge = svg("dpi-gauge", "0 0 120 64", title);
    gauge = gauge.with(arc("s-track").set("stroke-width", 12));
    if percent > 0 {
        gauge = gauge.with(arc(class).set("stroke-width", 12).set("stroke-dasharray", dash));
    }
    let words = element("text", "dpi-dial").set("x", 60).set("y", 56).set("text-anchor", "middle");
    gauge.with(words.text(format_args!("{percent} %")))
}

/// Columns of one chart: what the ledger remembers at most.
const COLUMNS: usize = 48;
const COLUMN: f64 = 4.0;
const HEIGHT: f64 = 40.0;

/// Stale pods of the last sweeps, one column each, the newest on the right.
pub(crate) fn columns(sweeps: &[SweepCount], title: &str) -> Element {
    let shown = &sweeps[sweeps.len().saturating_sub(COLUMNS)..];
    let totals = shown.iter().map(|sweep| sweep.stale.values().sum::<usize>());
    let most = real(totals.max().unwrap_or_default().max(1));
    let empty = COLUMNS - shown.len();
    let view = format!("0 0 {} {}", number(COLUMN * real(COLUMNS)), number(HEIGHT + 1.0));
    let mut chart = svg("dpi-columns", &view, title).set("preserveAspectRatio", "none");
    for case in Case::ALL {
        let mut path = String::new();
        for (at, sweep) in shown.iter().enumerate() {
            let count = |case: &Case| sweep.stale.get(case).copied().unwrap_or_default();
            let below: usize = Case::ALL.iter().take_while(|one| **one != case).map(count).sum();
            if count(&case) == 0 {
                continue;
            }
            let (x, height) = (COLUMN * real(empty + at), HEIGHT * real(count(&case)) / most);
            let top = HEIGHT - HEIGHT * real(below) / most - height;
            path += &format!("M{x:.0} {top:.2}h3v{height:.2}h-3z");
        }
        if !path.is_empty() {
            chart = chart.with(element("path", colour(case)).set("d", path));
        }
    }
    let base = element("rect", "c-track").set("x", 0).set("y", number(HEIGHT));
    chart.with(base.set("width", number(COLUMN * real(COLUMNS))).set("height", 1))
}

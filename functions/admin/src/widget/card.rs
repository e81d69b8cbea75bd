//! One cluster: how its bindings are, how full its node policies, how stale its pods.

use jiff::Timestamp;
use pod_identity_core::sweep::Case;
use pod_identity_engine::ledger::InsideCluster;

use super::draw::{self, COUNTED};
use super::facts::ClusterFacts;
use super::html::{Element, cut, element};
use super::page::MOST_CHARS;
use crate::times::age;

pub(super) fn card(facts: &ClusterFacts, now: Timestamp) -> Element {
    let cluster = &facts.cluster;
    let place = format!("{} · {}", cluster.region(), cluster.account());
    let mut name = element("div", "dpi-row").with(Element::new("h3").text(cluster.name()));
    if let Some(leaving) = facts.leaving {
        name = name.with(element("span", "dpi-tag").text(leaving));
    }
    let head = element("div", "dpi-between").with(name);
    let head = head.with(element("span", "dpi-muted").text(place));
    let card = element("div", "dpi-card").set("title", cluster).with(head);
    let card = card.all(conditions(facts, now)).all(capacity(facts)).all(stale(facts, now));
    card.all(notes(facts))
}

/// Bindings by their state, as the last reconciliation counted them.
fn conditions(facts: &ClusterFacts, now: Timestamp) -> Vec<Element> {
    let (Some(reconciled), Some(counts)) = (&facts.reconciled, &facts.counts) else {
        return vec![
            element("div", "dpi-muted").text("Reconcile has not looked at this cluster yet."),
        ];
    };
    let counted = COUNTED.map(|(of, word, class)| (of(counts), word, class));
    let total: usize = counted.iter().map(|(count, ..)| count).sum();
    let words = counted.map(|(count, word, _)| format!("{count} {word}")).join(", ");
    let parts = counted.map(|(count, _, class)| (count, class));
    let legend = counted.iter().filter(|(count, word, _)| *count > 0 || *word == "ready");
    let legend = legend.map(|(count, word, class)| entry(class, *count, word));
    let goes_on = if reconciled.goes_on.is_some() { ", reconcile is under way" } else { "" };
    let when = age(now, counts.counted_at);
    let when = format!("{total} bindings, counted {when}{goes_on}");
    vec![
        draw::bar(&parts, &format!("bindings: {words}")),
        element("div", "dpi-row").all(legend),
        element("div", "dpi-muted").set("title", counts.counted_at).text(when),
    ]
}

/// A colour, a number and what it counts.
fn entry(class: &'static str, count: usize, word: &str) -> Element {
    let swatch = Element::new("span").set("class", format_args!("dpi-swatch {class}"));
    let number = Element::new("b").text(count);
    Element::new("span").with(swatch).with(number).text(format_args!(" {word}"))
}

fn capacity(facts: &ClusterFacts) -> Vec<Element> {
    let reconciled = facts.reconciled.as_ref();
    let Some(capacity) = reconciled.and_then(|reconciled| reconciled.capacity.as_ref()) else {
        return Vec::new();
    };
    let title = format!("node policies: {} percent full", capacity.used_percent);
    let policies = format!("{} of {} node policies", capacity.policies, capacity.max_policies);
    let roles =
        format!("{} roles, room for about {} more", capacity.roles, capacity.roles_remaining);
    let words = Element::new("div")
        .with(Element::new("div").text(policies))
        .with(element("div", "dpi-muted").text(roles));
    let gauge = draw::gauge(capacity.used_percent, &title);
    vec![element("div", "dpi-capacity").with(gauge).with(words)]
}

/// Stale pods of the last sweep by case, and of the sweeps before it.
fn stale(facts: &ClusterFacts, now: Timestamp) -> Vec<Element> {
    let inside = facts.inside.as_ref();
    let Some((inside, swept_at)) = inside.and_then(|it| Some((it, it.swept_at?))) else {
        return vec![element("div", "dpi-muted").text("Never swept for stale pods.")];
    };
    let (sum, swept) = (facts.stale(), age(now, swept_at));
    let line = element("div", "dpi-between")
        .with(Element::new("b").text(format_args!("{sum} stale pods")))
        .with(
            element("span", "dpi-muted").set("title", swept_at).text(format_args!("swept {swept}")),
        );
    let legend = Case::ALL.into_iter().filter_map(|case| {
        let count = inside.stale.get(&case).copied().filter(|count| *count > 0)?;
        Some(entry(draw::colour(case), count, case.as_str()))
    });
    let mut elements = vec![line, element("div", "dpi-row").all(legend)];
    let most = facts.sweeps.iter().map(|sweep| sweep.stale.values().sum::<usize>()).max();
    if let Some(most) = most.filter(|_| facts.sweeps.len() > 1) {
        let title = match (facts.sweeps.len(), most) {
            (sweeps, 0) => format!("none in the last {sweeps} sweeps"),
            (sweeps, most) => format!("last {sweeps} sweeps, at most {most} stale pods"),
        };
        elements.extend((most > 0).then(|| draw::columns(&facts.sweeps, &title)));
        elements.push(element("div", "dpi-muted").text(title));
    }
    elements
}

/// What somebody should look at.
fn notes(facts: &ClusterFacts) -> Vec<Element> {
    let mut notes = Vec::new();
    if let Some(reconciled) = &facts.reconciled {
        let skipped = reconciled.skipped.as_ref();
        notes.extend(skipped.map(|why| format!("Left alone by reconcile: {why}")));
        for (count, what) in [
            (reconciled.failures, "service accounts failed for a passing reason"),
            (reconciled.orphans, "associations with our tag that the ledger does not know"),
        ] {
            notes.extend((count > 0).then(|| format!("{count} {what}")));
        }
    }
    if let Some(InsideCluster { unreachable, missing, .. }) = &facts.inside {
        notes.extend(unreachable.iter().map(|why| format!("Nobody can look inside: {why}")));
        notes.extend(missing.iter().map(|it| format!("{}; {}", it.reason, it.remediation)));
    }
    notes.iter().map(|note| element("p", "dpi-note").text(cut(note, MOST_CHARS))).collect()
}

//! The page.

use jiff::Timestamp;
use pod_identity_core::DominoName;
use serde_json::json;

use super::card::card;
use super::draw;
use super::facts::{BlockedBinding, Facts, Move, RecentChange};
use super::html::{Element, cut, element};
use super::style::Theme;
use crate::times::age;

/// Most characters of one reason: the page shows, and `explain` tells in full.
pub(super) const MOST_CHARS: usize = 600;

/// What a click on a service account does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Links<'a> {
    /// CloudWatch calls this function by its ARN, and shows the answer in a pop-up.
    Dashboard {
        /// The ARN.
        arn: &'a str,
    },
    /// A page of its own, on a server of ours.
    Plain,
}

pub(crate) fn page(facts: &Facts, links: Links<'_>, theme: Theme) -> String {
    let body = Element::new("div").with(head(facts)).with(tiles(facts)).with(clusters(facts));
    let body = body.all(moves(&facts.moves)).all(blocked(facts, links, theme));
    framed(theme, body.all(changes(facts, links, theme)))
}

/// Words as they are, such as the answer of an action.
pub(crate) fn words(text: &str, theme: Theme) -> String {
    framed(theme, Element::new("pre").text(text))
}

fn framed(theme: Theme, body: Element) -> String {
    // CloudWatch's own style of tables and links would be on top of this one.
    let class = format!("dpi dpi-{} cwdb-no-default-styles", theme.word());
    let frame = Element::new("div").set("class", class);
    frame.with(Element::new("style").text(theme.css())).with(body).into_html()
}

fn head(facts: &Facts) -> Element {
    let title = format!("Pod identities of {}", facts.deployment);
    element("div", "dpi-head")
        .with(element("span", "dpi-title").text(title))
        .with(element("span", "dpi-muted").text(format_args!("as of {}", time(facts.now))))
}

fn tiles(facts: &Facts) -> Element {
    let stale: usize = facts.clusters.iter().map(super::facts::ClusterFacts::stale).sum();
    let tile = |count: usize, what: &str, bad: bool| {
        let number = Element::new("b").text(count);
        let number = if bad { number.class("dpi-bad") } else { number };
        element("div", "dpi-tile").with(number).with(element("span", "dpi-muted").text(what))
    };
    element("div", "dpi-tiles")
        .with(tile(facts.bound, "service accounts bound", false))
        .with(tile(facts.clusters.len(), "clusters registered", false))
        .with(tile(facts.blocked_in_all, "bindings blocked", facts.blocked_in_all > 0))
        .with(tile(stale, "stale pods", stale > 0))
}

fn clusters(facts: &Facts) -> Element {
    let section = Element::new("div").with(Element::new("h2").text("Clusters"));
    if facts.clusters.is_empty() {
        return section.with(element("p", "dpi-muted").text("No cluster is registered."));
    }
    let cards = facts.clusters.iter().map(|cluster| card(cluster, facts.now));
    section.with(element("div", "dpi-cards").all(cards))
}

fn moves(moves: &[Move]) -> Vec<Element> {
    if moves.is_empty() {
        return Vec::new();
    }
    let cards = moves.iter().map(|one| {
        let ready = one.ready.unwrap_or_default();
        let shown = match one.ready {
            Some(ready) => format!("{ready} of {} bindings ready", one.of),
            None => format!("{} bindings, not counted there yet", one.of),
        };
        let percent = one.percent().map_or_else(|| "?".to_owned(), |it| format!("{it} %"));
        let line = element("div", "dpi-between")
            .with(Element::new("h3").text(format_args!("{} → {}", one.from, one.to)))
            .with(Element::new("b").text(percent));
        let rest = one.of.saturating_sub(ready);
        let bar = draw::bar(&[(ready, "c-ready"), (rest, "c-track")], &shown);
        let card = element("div", "dpi-card").with(line).with(bar);
        card.with(element("div", "dpi-muted").text(&shown))
    });
    vec![Element::new("h2").text("Migration"), element("div", "dpi-cards").all(cards)]
}

fn blocked(facts: &Facts, links: Links<'_>, theme: Theme) -> Vec<Element> {
    let heading = Element::new("h2").text("Blocked");
    if facts.blocked_in_all == 0 {
        return vec![heading, element("p", "dpi-muted").text("Nothing is blocked.")];
    }
    let rows = facts.blocked.iter().map(|row: &BlockedBinding| {
        Element::new("tr")
            .with(cell("service account", row.name.as_str()))
            .with(cell("cluster", &row.cluster))
            .with(cell("reason", &row.reason).class("dpi-wide"))
            .with(cell("remediation", &row.remediation).class("dpi-wide"))
            .with(when("since", facts.now, row.since))
            .with(explain(&row.name, links, theme))
    });
    let head = ["service account", "cluster", "reason", "remediation", "since", ""];
    let mut section = vec![heading, table(&head, rows)];
    let more = facts.blocked_in_all.saturating_sub(facts.blocked.len());
    if more > 0 {
        let shown =
            format!("And {more} more: the action status with \"state\": \"blocked\" lists them.");
        section.push(element("p", "dpi-muted").text(shown));
    }
    section
}

fn changes(facts: &Facts, links: Links<'_>, theme: Theme) -> Vec<Element> {
    let heading = Element::new("h2").text("Last changes");
    if facts.changes.is_empty() {
        return vec![heading, element("p", "dpi-muted").text("Nobody has been bound yet.")];
    }
    let rows = facts.changes.iter().map(|row: &RecentChange| {
        Element::new("tr")
            .with(when("when", facts.now, row.at))
            .with(cell("service account", row.name.as_str()))
            .with(cell("works as", &row.what).class("dpi-wide"))
            .with(cell("event", &row.detail_type))
            .with(cell("actor (claimed)", row.actor.as_deref().unwrap_or_default()))
            .with(explain(&row.name, links, theme))
    });
    let head = ["when", "service account", "works as", "event", "actor (claimed)", ""];
    vec![heading, table(&head, rows)]
}

fn table(head: &[&str], rows: impl Iterator<Item = Element>) -> Element {
    let head = head.iter().map(|word| Element::new("th").text(word));
    let head = Element::new("thead").with(Element::new("tr").all(head));
    let table = Element::new("table").with(head).with(Element::new("tbody").all(rows));
    element("div", "dpi-scroll").with(table)
}

/// A cell with the head of its column, which stands before it where the page is narrow.
fn cell(head: &str, text: &str) -> Element {
    let text = Element::new("span").text(cut(text, MOST_CHARS));
    Element::new("td").set("data-label", head).with(text)
}

fn when(head: &str, now: Timestamp, at: Timestamp) -> Element {
    cell(head, &age(now, at)).set("title", at)
}

/// A button that asks the action `explain`.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_interactivity.html>
fn explain(name: &DominoName, links: Links<'_>, theme: Theme) -> Element {
    let button = element("a", "btn").text("explain");
    let cell = element("td", "dpi-act");
    match links {
        Links::Plain => {
            let name = percent_encoded(name.as_str());
            let url = format!("explain?serviceAccount={name}&theme={}", theme.word());
            cell.with(button.set("href", url))
        }
        Links::Dashboard { arn } => {
            let asked = json!({ "action": "explain", "serviceAccount": name, "widget": true });
            // It belongs to the element right before it.
            let call = Element::new("cwdb-action")
                .set("action", "call")
                .set("display", "popup")
                .set("endpoint", arn)
                .text(asked);
            cell.with(button).with(call)
        }
    }
}

/// Of the characters of a Domino name only these mean something in a query.
fn percent_encoded(name: &str) -> String {
    name.replace('+', "%2B").replace('=', "%3D").replace('@', "%40")
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

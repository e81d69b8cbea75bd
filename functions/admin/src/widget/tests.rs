#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::sweep::Case;
use pod_identity_core::{ClusterArn, ServiceAccountRef};
use pod_identity_engine::ledger::{InsideCluster, Missing, ReconciledRecord, SweepCount};
use pod_identity_events::PolicyCapacity;

use super::facts::{BlockedBinding, ClusterFacts, Facts, Move, RecentChange};
use super::html::{Element, cut};
use super::page::{Links, page, words};
use super::style::Theme;
use super::{WidgetRequest, draw, read};
use crate::actions::status::Counts;

const ARN: &str = "arn:aws:lambda:eu-west-1:111122223333:function:admin";
const EVIL: &str = "<script>alert(\"1\")</script>'><img src=x onerror=alert(2)>&lt;";

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_mins(minutes)).unwrap()
}

fn counts(ready: usize, blocked: usize, pending: usize, not_begun: usize) -> Counts {
    Counts {
        bindings: ready + blocked + pending + not_begun,
        ready,
        ready_percent: None,
        blocked,
        pending,
        waiting: 0,
        not_begun,
        counted_at: ago(7),
        changed_since: 0,
    }
}

fn cluster(name: &str, counts: Counts, used_percent: u32) -> ClusterFacts {
    let capacity = PolicyCapacity {
        policies: 3,
        max_policies: 5,
        roles: 173,
        roles_remaining: 41,
        used_percent,
    };
    let sweeps = (0..48_usize).map(|at| SweepCount {
        at: ago(15 * (48 - i64::try_from(at).unwrap())),
        stale: [(Case::Revoked, at % 5), (Case::Changed, (at * 7) % 11), (Case::Missing, 2)].into(),
    });
    ClusterFacts {
        cluster: ClusterArn::new("aws", "eu-west-1", "111122223333", name).unwrap(),
        leaving: None,
        reconciled: Some(ReconciledRecord {
            at: ago(7),
            capacity: Some(capacity),
            ..ReconciledRecord::default()
        }),
        counts: Some(counts),
        inside: Some(InsideCluster {
            looked_at: Some(ago(3)),
            swept_at: Some(ago(3)),
            stale: [(Case::Revoked, 2), (Case::Changed, 4), (Case::Unmapped, 1)].into(),
            ..InsideCluster::default()
        }),
        sweeps: sweeps.collect(),
    }
}

/// A deployment in the middle of a migration, to whose ledger somebody wrote markup.
fn facts() -> Facts {
    let mut amber = cluster("amber", counts(0, 0, 0, 0), 0);
    amber.leaving = Some("retiring");
    (amber.reconciled, amber.counts, amber.sweeps) = (None, None, Vec::new());
    amber.inside = Some(InsideCluster {
        unreachable: Some(format!("the API server does not answer {EVIL}")),
        missing: vec![Missing {
            reason: "namespace is missing".into(),
            remediation: "make it".into(),
        }],
        ..InsideCluster::default()
    });
    let mut green = cluster("green", counts(131, 9, 14, 60), 93);
    if let Some(reconciled) = &mut green.reconciled {
        reconciled.goes_on = ServiceAccountRef::new("domino-compute", "svc-m").ok();
    }
    let change = |minutes, name: &str, actor: Option<&str>| RecentChange {
        at: ago(minutes),
        name: name.parse().unwrap(),
        what: "arn:aws:iam::111122223333:role/domino/models/eu/scoring".to_owned(),
        detail_type: "Service Account Role Assigned".to_owned(),
        actor: actor.map(str::to_owned),
    };
    Facts {
        deployment: "acme".to_owned(),
        now: now(),
        bound: 214,
        clusters: vec![cluster("blue", counts(205, 6, 3, 0), 61), green, amber],
        moves: vec![Move { from: "blue".into(), to: "green".into(), ready: Some(131), of: 214 }],
        changes: vec![
            change(4, "svc-etl", Some(EVIL)),
            change(190, "svc+models=eu@x", Some("ada")),
            change(9_000, "svc-notebook", None),
        ],
        blocked: vec![
            BlockedBinding {
                name: "svc-legacy".parse().unwrap(),
                cluster: "green".to_owned(),
                reason: format!("the trust policy does not allow pods.eks.amazonaws.com {EVIL}"),
                remediation: "let the role's owner add the statement".to_owned(),
                since: ago(400),
            },
            BlockedBinding {
                name: "svc-warehouse".parse().unwrap(),
                cluster: "blue".to_owned(),
                reason: "a foreign association is in the way: a-1111".to_owned(),
                remediation: "delete it, or adopt it".to_owned(),
                since: ago(40),
            },
        ],
        blocked_in_all: 15,
    }
}

fn both() -> [String; 2] {
    [Theme::Light, Theme::Dark].map(|theme| page(&facts(), Links::Dashboard { arn: ARN }, theme))
}

/// Fails when an element is not closed by its own tag; answers the names of all.
fn elements(html: &str) -> Vec<String> {
    let (mut open, mut names) = (Vec::new(), Vec::new());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None => {
                let name = tag.split(' ').next().unwrap().to_owned();
                assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
                open.push(name.clone());
                names.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    names
}

#[test]
fn markup_that_somebody_wrote_stays_text() {
    for html in both() {
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&gt;&lt;img src=x onerror=alert(2)&gt;&amp;lt;";
        assert_eq!(html.matches(escaped).count(), 3, "actor, reason and note");
    }
    let set = Element::new("a").set("title", EVIL).into_html();
    assert_eq!(set.matches('"').count(), 2, "{set}");
    assert!(words(EVIL, Theme::Dark).contains("&lt;script&gt;"));
}

#[test]
fn text_that_hides_or_turns_is_shown_as_such() {
    let shown = Element::new("b").text("a\u{202e}b\u{200b}c\0d\ne").into_html();
    assert_eq!(shown, "<b>a\u{fffd}b\u{fffd}c\u{fffd}d\ne</b>");
    assert_eq!(cut("äöü", 3), "äöü");
    assert_eq!(cut("äöüß", 3), "äö…");
}

#[test]
fn the_page_is_well_formed_and_asks_for_nothing_from_elsewhere() {
    for html in both() {
        let names = elements(&html);
        for allowed in ["svg", "rect", "path", "cwdb-action", "style", "table"] {
            assert!(names.iter().any(|name| name == allowed), "{allowed}");
        }
        // CloudWatch removes these.
        for forbidden in ["script", "iframe", "use", "link", "img", "object", "form", "input"] {
            assert!(names.iter().all(|name| name != forbidden), "{forbidden}");
        }
        for outside in ["http:", "https:", "url(", "@import", "javascript:", " on"] {
            let inside_tags = html.split('<').filter_map(|tag| tag.split_once('>')).map(|it| it.0);
            assert!(inside_tags.into_iter().all(|tag| !tag.contains(outside)), "{outside}");
        }
        assert!(!html.contains("http") && !html.contains("@import") && !html.contains("url("));
        let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(!style.contains('&'), "styles are not unescaped: {style}");
        assert!(html.len() < 64 * 1024, "{}", html.len());
    }
}

#[test]
fn the_numbers_are_shown() {
    let [html, _] = both();
    for shown in [
        ">214</b>",
        "<b>205</b> ready",
        "<b>6</b> blocked",
        "bindings: 131 ready, 9 blocked, 14 pending, 0 waiting, 60 not begun",
        "<b>60</b> not begun",
        "214 bindings, counted 7 min ago, reconcile is under way",
        ">61 %</text>",
        ">93 %</text>",
        "173 roles, room for about 41 more",
        "131 of 214 bindings ready",
        "<b>61 %</b>",
        "last 48 sweeps, at most 16 stale pods",
        "<b>2</b> revoked",
        "And 13 more",
        "4 min ago",
        "3 h ago",
        "6 days ago",
        "Reconcile has not looked at this cluster yet.",
        "retiring",
    ] {
        assert!(html.contains(shown), "{shown}\n{html}");
    }
}

#[test]
fn both_themes_are_drawn_and_differ() {
    let [light, dark] = both();
    assert!(light.contains("dpi-light") && light.contains(".dpi{color:#16191f}"));
    assert!(dark.contains("dpi-dark") && dark.contains(".dpi{color:#e9ebed}"));
    let classes = |html: &str| html.matches("class=").count();
    assert_eq!(classes(&light), classes(&dark));
}

#[test]
fn a_click_asks_this_function_to_explain_or_follows_a_link() {
    let [html, _] = both();
    let call = "<a class=\"btn\">explain</a><cwdb-action action=\"call\" display=\"popup\" endpoint=\"arn:aws:lambda:eu-west-1:111122223333:function:admin\">{&quot;action&quot;:&quot;explain&quot;,&quot;serviceAccount&quot;:&quot;svc-etl&quot;,&quot;widget&quot;:true}</cwdb-action>";
    assert!(html.contains(call), "{html}");
    let plain = page(&facts(), Links::Plain, Theme::Dark);
    assert!(!plain.contains("<cwdb-action"));
    let link = "href=\"explain?serviceAccount=svc%2Bmodels%3Deu%40x&amp;theme=dark\"";
    assert!(plain.contains(link), "{plain}");
}

#[test]
fn columns_are_as_high_as_the_highest_and_stand_on_each_other() {
    let sweep =
        |stale: &[(Case, usize)]| SweepCount { at: now(), stale: stale.iter().copied().collect() };
    let sweeps = [sweep(&[(Case::Revoked, 1), (Case::Missing, 3)]), sweep(&[(Case::Revoked, 2)])];
    let chart = draw::columns(&sweeps, "t").into_html();
    assert!(
        chart.contains("c-revoked\" d=\"M184 30.00h3v10.00h-3zM188 20.00h3v20.00h-3z"),
        "{chart}"
    );
    assert!(chart.contains("c-missing\" d=\"M184 0.00h3v30.00h-3z"), "{chart}");
}

#[test]
fn what_comes_from_a_widget_is_told_from_everything_else() {
    let asked = |payload| read(&serde_json::from_str(payload).unwrap());
    assert!(asked(r#"{"action":"status"}"#).is_none());
    assert!(asked("[]").is_none() && asked("{}").is_none());
    assert!(asked(r#"{"action":"status","widget":false}"#).is_none());
    assert!(matches!(asked(r#"{"describe":true}"#), Some(WidgetRequest::Description)));
    let Some(WidgetRequest::View(view)) = asked(
        r#"{"action":"explain","serviceAccount":"a","widget":true,"widgetContext":{"theme":"dark"}}"#,
    ) else {
        panic!("a view")
    };
    assert_eq!(view.theme, Theme::Dark);
    assert_eq!(view.fields.keys().collect::<Vec<_>>(), ["action", "serviceAccount"]);
}

#[test]
#[ignore = "writes what tests/page/run looks at in a browser, which names the folder"]
fn the_page_can_be_written_to_a_folder() {
    let folder = std::path::PathBuf::from(std::env::var_os("PAGE_FOLDER").unwrap());
    for theme in [Theme::Light, Theme::Dark] {
        let html = page(&facts(), Links::Dashboard { arn: ARN }, theme);
        std::fs::write(folder.join(format!("full-{}.html", theme.word())), html).unwrap();
    }
}

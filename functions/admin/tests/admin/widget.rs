//! The page of a dashboard: what it shows of the ledger, and that it only reads.

use serde_json::{Value, json};

use crate::office::{FUNCTION, Office, role};

fn context(theme: &str) -> Value {
    json!({
        "dashboardName": "domino", "widgetId": "widget-1", "accountId": "111122223333",
        "locale": "en", "timezone": { "label": "UTC", "offsetISO": "+00:00", "offsetInMinutes": 0 },
        "period": 300, "isAutoPeriod": true, "timeRange": { "mode": "relative" },
        "theme": theme, "linkCharts": true, "title": "", "forms": { "all": {} }, "params": {},
        "width": 1400, "height": 800,
    })
}

fn html(office: &Office, payload: &Value) -> String {
    let mut payload = payload.clone();
    payload["widgetContext"] = context("light");
    office.ask(payload).as_str().expect("HTML").to_owned()
}

#[test]
fn the_page_shows_what_the_ledger_says_of_clusters_and_bindings() {
    let office = Office::registered();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"),
        "actor": "<b>ada</b>", "mode": "apply",
    }));
    office.bind("svc-report", "report");
    office.bind("svc-old", "untrusted");
    let html = html(&office, &json!({}));
    for shown in [
        "Pod identities of acme",
        "<b>3</b><span class=\"dpi-muted\">service accounts bound",
        "bindings: 2 ready, 1 blocked, 0 pending, 0 waiting",
        "2 of 3 bindings ready",
        "blue → green",
        "role/domino/report",
        "&lt;b&gt;ada&lt;/b&gt;",
        "svc-old",
        FUNCTION,
    ] {
        assert!(html.contains(shown), "{shown}\n{html}");
    }
    assert!(html.contains(">2</b><span class=\"dpi-muted\">bindings blocked"), "on both clusters");
    assert!(!html.contains("<b>ada"));
}

#[test]
fn a_migration_reaches_all_when_the_other_cluster_has_what_the_first_has() {
    let office = Office::new();
    office.register("blue");
    office.bind("svc-etl", "etl");
    office.register("green");
    office.bind("svc-report", "report");
    assert!(html(&office, &json!({})).contains("2 of 2 bindings ready"));
    // What green alone has does not count.
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-train", "roleArn": role("train"),
        "clusters": ["green"], "mode": "apply",
    }));
    office.reconcile("green");
    assert!(html(&office, &json!({})).contains("2 of 2 bindings ready"));
}

#[test]
fn a_widget_only_reads_whatever_it_asks_for() {
    let office = Office::registered();
    let made = office.writers_made.get();
    let bind = json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"), "mode": "apply",
    });
    let refused = html(&office, &bind);
    assert!(refused.contains("a widget only reads"), "{refused}");
    let mut marked = bind.clone();
    marked["widget"] = json!(true);
    assert!(office.ask(marked).as_str().unwrap().contains("a widget only reads"));
    let mut plan = bind;
    plan["mode"] = json!("plan");
    assert!(html(&office, &plan).contains("svc-etl-sa"));
    assert_eq!(office.writers_made.get(), made);
    let status = html(&office, &json!({ "action": "status" }));
    assert!(status.contains("<pre>0 service accounts are bound"), "{status}");
}

#[test]
fn an_action_that_does_not_exist_is_answered_with_those_that_do() {
    let answer = html(&Office::new(), &json!({ "action": "<script>", "widget": true }));
    assert!(answer.contains("there is no action `&lt;script&gt;`"), "{answer}");
}

#[test]
fn a_deployment_without_clusters_has_a_page_too() {
    let html = html(&Office::new(), &json!({}));
    assert!(html.contains("No cluster is registered.") && html.contains("Nothing is blocked."));
}

#[test]
fn the_widget_describes_itself_in_markdown() {
    let described = Office::new().ask(json!({ "describe": true }));
    assert!(described.as_str().unwrap().starts_with("## Domino pod identities"), "{described}");
}

#[test]
fn the_page_takes_few_calls_whatever_the_number_of_bindings() {
    let office = Office::registered();
    for at in 0..120 {
        office.done(json!({
            "action": "bind", "serviceAccount": format!("svc-{at:04}"), "roleArn": role("etl"),
            "mode": "apply",
        }));
    }
    office.reconcile("blue");
    office.calls();
    html(&office, &json!({}));
    let calls = office.calls();
    assert!(calls.len() <= 6, "{calls:?}");
}

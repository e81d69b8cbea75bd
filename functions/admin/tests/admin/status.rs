//! What a status shows, and what it costs.

use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{Caller, PortFault, When};
use serde_json::{Value, json};

use crate::office::{ACCOUNT, Office, cluster, role, text};

fn import(office: &Office, bindings: std::ops::Range<usize>) {
    let row = |at| json!({ "serviceAccount": format!("svc-{at:04}"), "roleArn": role("etl") });
    let rows: Vec<Value> = bindings.map(row).collect();
    office.applied(json!({ "action": "import", "rows": rows }));
}

/// The facts of one cluster.
fn of<'a>(status: &'a Value, name: &str) -> &'a Value {
    let all = status["clusters"].as_array().unwrap();
    all.iter().find(|one| one["clusterArn"] == json!(cluster(name))).unwrap()
}

/// The row of one cluster in the first table.
fn line<'a>(status: &'a Value, name: &str) -> &'a str {
    text(status).lines().find(|line| line.starts_with(&format!("{name} "))).unwrap()
}

#[test]
fn status_and_page_show_a_migration_grow_while_it_is_handed_on() {
    let office = Office::new();
    office.register("blue");
    import(&office, 0..1_000);
    office.reconcile("blue");
    let node_role = format!("arn:aws:iam::{ACCOUNT}:role/green-eks-nodes");
    let to = json!({ "clusterArn": cluster("green"), "nodeRoleArns": [node_role] });
    office.applied(json!({ "action": "migrate", "from": "blue", "to": to }));
    let look = |office: &Office| {
        let status = office.done(json!({ "action": "status" }));
        let page = office.ask(json!({ "widget": true })).as_str().unwrap().to_owned();
        (status, page)
    };
    let (status, page) = look(&office);
    assert_eq!(of(&status, "green")["counts"], Value::Null);
    assert!(line(&status, "green").starts_with("green    ?"), "{}", text(&status));
    assert!(page.contains("1000 bindings, not counted there yet"));
    assert!(page.contains("<b>?</b>") && !page.contains("<b>0 %</b>"), "nobody has counted");

    let mut after = None;
    for (there, percent) in [(400, 40), (800, 80), (1_000, 100)] {
        after = office.reconcile_part("green", after, there);
        let (status, page) = look(&office);
        let counts = &of(&status, "green")["counts"];
        let expected = (json!(there), json!(percent), json!(1_000));
        let shown = (&counts["ready"], &counts["readyPercent"], &counts["bindings"]);
        assert_eq!(shown, (&expected.0, &expected.1, &expected.2), "{counts}");
        assert_eq!(counts["notBegun"], 1_000 - there, "{counts}");
        let row = line(&status, "green");
        assert!(row.contains(&format!("{there} of 1000 ({percent} %)")), "{row}");
        assert_eq!(row.contains("(goes on)"), after.is_some(), "{row}");
        assert!(page.contains(&format!("{there} of 1000 bindings ready")));
        assert!(page.contains(&format!("<b>{percent} %</b>")));
        assert_eq!(page.contains("reconcile is under way"), after.is_some());
    }
    assert_eq!(after, None);
}

#[test]
fn every_page_of_a_thousand_bindings_takes_at_most_ten_calls() {
    let office = Office::registered();
    let teal = cluster("teal");
    let node_role = format!("arn:aws:iam::{ACCOUNT}:role/green-eks-nodes");
    office.ports.world().add_cluster(&teal, &[("default", &node_role.parse().unwrap())]);
    office.applied(json!({
        "action": "clusters", "register": { "clusterArn": teal, "nodeRoleArns": [node_role] },
    }));
    import(&office, 0..1_000);
    office.reconcile("blue");
    // DynamoDB's pages are 1 MB, which a thousand bindings of half a kilobyte do not fill.
    let of_bindings = |world: &pod_identity_world::World| -> usize {
        let items = world.ledger.items().filter(|item| item.key.partition == "BINDINGS");
        items.map(|item| item.body.to_string().len()).sum()
    };
    assert!(of_bindings(&office.ports.world()) < 1_000_000);
    office.ports.world().settings.page_size = 1_000;
    let first = office.done(json!({ "action": "status" }));
    assert!(text(&first).starts_with("1000 service accounts are bound"), "{}", text(&first));
    let blue = &of(&first, "blue")["counts"];
    assert_eq!((&blue["ready"], &blue["readyPercent"]), (&json!(1_000), &json!(100)));

    for (asked, rows) in [
        (json!({}), 3_000),
        (json!({ "state": "ready" }), 1_000),
        (json!({ "state": "pending" }), 2_000),
        (json!({ "state": "removed" }), 0),
        (json!({ "cluster": "blue" }), 1_000),
        (json!({ "cluster": "green", "state": "ready" }), 0),
    ] {
        for limit in [100, 101, 200, 299, 300] {
            let (mut after, mut seen) = (Value::Null, 0);
            loop {
                let mut page = asked.clone();
                page["action"] = json!("status");
                page["limit"] = json!(limit);
                page["after"] = after;
                office.calls();
                let status = office.done(page);
                let calls = office.calls();
                assert!(calls.len() <= 10, "{asked}, limit {limit}: {calls:?}");
                let shown = shown(&status).len();
                assert!(shown <= limit, "{asked}, limit {limit}: {shown}");
                seen += shown;
                after = status["next"].clone();
                if after.is_null() {
                    break;
                }
            }
            assert_eq!(seen, rows, "{asked}, limit {limit}");
        }
    }
    let too_many = office.refused(json!({ "action": "status", "limit": 301 }));
    assert!(too_many.contains("limit is 1 to 300, not 301"), "{too_many}");
}

#[test]
fn a_page_of_as_many_clusters_as_there_may_be_takes_at_most_ten_calls() {
    let office = Office::new();
    for at in 0..80 {
        let (name, node_role) = (format!("c-{at:02}"), role("etl"));
        office.ports.world().add_cluster(&cluster(&name), &[("default", &node_role)]);
        let register = json!({ "clusterArn": cluster(&name) });
        office.applied(json!({ "action": "clusters", "register": register }));
    }
    for name in ["svc-a", "svc-b", "svc-c", "svc-d", "svc-e", "svc-f", "svc-g"] {
        let bind = json!({ "action": "bind", "serviceAccount": name, "roleArn": role("etl") });
        office.applied(bind);
    }
    let (mut after, mut seen) = (Value::Null, 0);
    loop {
        office.calls();
        let asked = json!({ "action": "status", "limit": 300, "after": after });
        let status = office.done(asked);
        let calls = office.calls();
        assert!(calls.len() <= 10, "{calls:?}");
        seen += shown(&status).len();
        after = status["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(seen, 7 * 80);
}

#[test]
fn what_is_read_whole_is_counted_as_it_is_now() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.applied(json!({
        "action": "bind", "serviceAccount": "svc-new", "roleArn": role("report"),
    }));
    let whole = office.done(json!({ "action": "status" }));
    assert!(line(&whole, "blue").contains("1 of 2 (50 %)"), "{}", text(&whole));
    assert_eq!(of(&whole, "blue")["counts"]["changedSince"], 0);
    // Of a part only what reconcile counted is known.
    let part = office.done(json!({ "action": "status", "serviceAccount": "svc-e" }));
    assert!(line(&part, "blue").contains("1 of 1 (100 %)"), "{}", text(&part));
    assert!(text(&part).contains("! blue: counted at "), "{}", text(&part));
    assert!(text(&part).contains("1 bindings were changed since"), "{}", text(&part));
    // One that was unbound is no binding, and keeps nobody from counting.
    office.applied(json!({ "action": "unbind", "serviceAccount": "svc-new" }));
    let whole = office.done(json!({ "action": "status" }));
    assert!(line(&whole, "blue").contains("1 of 1 (100 %)"), "{}", text(&whole));
    assert_eq!(of(&whole, "blue")["counts"]["changedSince"], 0);
}

#[test]
fn a_cluster_that_reconcile_leaves_alone_keeps_its_counts_and_says_why() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let denied = |operation| PortFault::nth(operation, 1, When::Before, ErrorKind::Denied);
    office.ports.fault(denied("ListPodIdentityAssociations"));
    office.reconcile("blue");
    let status = office.done(json!({ "action": "status", "serviceAccount": "svc-e" }));
    let row = line(&status, "blue");
    assert!(row.contains("1 of 1 (100 %)") && row.contains("(left alone)"), "{row}");
    let why = "! blue: left alone by reconcile, bindings counted at 2026-";
    assert!(text(&status).contains(why), "{}", text(&status));
    assert!(text(&status).contains("to list its associations"), "{}", text(&status));
}

#[test]
fn a_cluster_that_nobody_ever_counted_has_no_percentage() {
    let office = Office::new();
    let denied = PortFault::nth("ListPodIdentityAssociations", 1, When::Before, ErrorKind::Denied);
    office.ports.fault(PortFault { lasting: true, ..denied });
    office.register("blue");
    for name in ["svc-etl", "svc-other"] {
        let bind = json!({ "action": "bind", "serviceAccount": name, "roleArn": role("etl") });
        office.applied(bind);
    }
    for _ in 0..2 {
        office.reconcile("blue");
        let status = office.done(json!({ "action": "status", "serviceAccount": "svc-e" }));
        assert_eq!(of(&status, "blue")["counts"], Value::Null, "{}", text(&status));
    }
}

#[test]
fn a_removal_that_something_stands_in_the_way_of_is_found_by_its_state() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let denied = PortFault {
        lasting: true,
        ..PortFault::nth("DeletePodIdentityAssociation", 1, When::Before, ErrorKind::Denied)
    };
    office.ports.fault(denied);
    office.applied(json!({ "action": "unbind", "serviceAccount": "svc-etl" }));
    office.reconcile("blue");
    let blocked = office.done(json!({ "action": "status", "state": "blocked" }));
    assert_eq!(shown(&blocked).len(), 1, "{}", text(&blocked));
    let pending = office.done(json!({ "action": "status", "state": "pending" }));
    assert_eq!(shown(&pending)[0].2.as_deref(), Some(cluster("green").as_str()));
    let by_name = office.done(json!({ "action": "status", "serviceAccount": "svc-etl" }));
    assert_eq!(shown(&by_name).len(), 2, "{}", text(&by_name));
    let on_blue = &of(&blocked, "blue")["counts"];
    assert_eq!((&on_blue["blocked"], &on_blue["ready"]), (&json!(1), &json!(0)));
}

#[test]
fn status_tells_what_was_changed_by_hand() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let words = |office: &Office| text(&office.done(json!({ "action": "status" }))).to_owned();
    assert!(!words(&office).contains("put back"), "{}", words(&office));
    let id = office.there("blue", "svc-etl-sa").unwrap().id;
    let (name, account) = ("somebody".to_owned(), ACCOUNT.to_owned());
    let somebody = Caller { name, account, region: "eu-west-1".to_owned() };
    office.ports.world().delete_pod_identity_association(&somebody, "blue", &id).unwrap();
    office.reconcile("blue");
    assert!(words(&office).contains("1 put back"), "{}", words(&office));
}

/// What a status shows: service account, state and cluster of each row.
fn shown(answer: &Value) -> Vec<(String, String, Option<String>)> {
    let rows = answer["bindings"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().map(str::to_owned);
    rows.map(|row| {
        let name = word(&row["serviceAccount"]).unwrap();
        (name, word(&row["state"]).unwrap(), word(&row["clusterArn"]))
    })
    .collect()
}

#[test]
fn status_shows_bindings_that_wait_for_a_cluster_that_is_not_registered() {
    let office = Office::new();
    let teal = cluster("teal");
    office.applied(json!({
        "action": "bind", "serviceAccount": "svc-w", "roleArn": role("etl"), "clusters": [teal],
    }));
    office.applied(json!({
        "action": "bind", "serviceAccount": "svc-x", "roleArn": role("etl"),
    }));
    let waits = |name: &str, at: Option<String>| (name.to_owned(), "waiting".to_owned(), at);
    let on_teal = waits("svc-w", Some(teal.to_string()));
    let all = [on_teal.clone(), waits("svc-x", None)];
    let status = office.done(json!({ "action": "status" }));
    assert_eq!(shown(&status), all, "{}", text(&status));
    assert!(text(&status).contains("none registered"), "{}", text(&status));
    let waiting = office.done(json!({ "action": "status", "state": "waiting" }));
    assert_eq!(shown(&waiting), all);
    let ready = office.done(json!({ "action": "status", "state": "ready" }));
    assert_eq!(shown(&ready), []);

    office.register("blue");
    for asked in [
        json!({ "action": "status", "serviceAccount": "svc-w" }),
        json!({ "action": "status", "state": "waiting" }),
        json!({ "action": "status", "cluster": teal }),
    ] {
        let status = office.done(asked);
        assert_eq!(shown(&status), std::slice::from_ref(&on_teal), "{}", text(&status));
        assert!(!text(&status).contains("No binding fits"));
    }
    let on_blue = office.done(json!({ "action": "status", "cluster": "blue" }));
    assert_eq!(shown(&on_blue)[0].0, "svc-x", "{}", text(&on_blue));
    assert_eq!(shown(&on_blue).len(), 1);
}

#[test]
fn status_keeps_its_limit_and_the_rows_of_one_service_account_together() {
    let office = Office::registered();
    for name in ["svc-a", "svc-b", "svc-c"] {
        office.applied(json!({
            "action": "bind", "serviceAccount": name, "roleArn": role("etl"),
        }));
    }
    for (limit, expected) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        let (mut after, mut seen) = (Value::Null, Vec::new());
        loop {
            let asked = json!({ "action": "status", "limit": limit, "after": after });
            let status = office.done(asked);
            let rows = shown(&status);
            assert!(rows.len() <= expected * 2, "limit {limit}: {rows:?}");
            assert!(rows.len() <= limit || rows.len() == 2, "limit {limit}: {rows:?}");
            seen.extend(rows);
            after = status["next"].clone();
            if after.is_null() {
                break;
            }
        }
        let names: Vec<&str> = seen.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["svc-a", "svc-a", "svc-b", "svc-b", "svc-c", "svc-c"]);
    }
}

//! Clusters that join, change and leave.

use serde_json::{Value, json};

use crate::office::{ACCOUNT, Office, cluster, role, text};

fn node_role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

fn register(name: &str, node_roles: &[String]) -> Value {
    let registration = json!({ "clusterArn": cluster(name), "nodeRoleArns": node_roles });
    json!({ "action": "clusters", "register": registration, "actor": "ada", "reason": "upgrade" })
}

fn registered(office: &Office) -> Value {
    office.planned(json!({ "action": "clusters" }))["clusters"].clone()
}

/// Requests for the reconciliation of a cluster.
fn requests(office: &Office, name: &str) -> usize {
    let world = office.ports.world();
    let asked = world.bus.events.iter().filter(|event| {
        event.detail_type == "Reconciliation Requested"
            && event.detail["clusterArn"] == json!(cluster(name))
    });
    asked.count()
}

/// svc-etl is bound and works on blue.
fn on_blue() -> Office {
    let office = Office::new();
    office.register("blue");
    office.bind("svc-etl", "etl");
    office
}

#[test]
fn a_registration_is_planned_with_what_reconcile_would_do_there_and_nothing_is_noted() {
    let office = on_blue();
    let planned = office.planned(register("green", &[node_role("green-eks-nodes")]));
    let words = text(&planned);
    assert!(words.contains("mode is plan, nothing was"), "{words}");
    assert!(words.contains("cluster green (eu-west-1, 111122223333)"), "{words}");
    assert!(
        words.contains("+ association domino-compute/svc-etl-sa -> role/domino/etl for svc-etl"),
        "{words}"
    );
    let plan = &planned["changed"]["plans"];
    assert!(plan.to_string().contains("svc-etl"), "the same as data: {plan}");
    assert!(registered(&office).get(cluster("green").as_str()).is_none());
    assert_eq!(requests(&office, "green"), 0);
}

#[test]
fn a_registration_is_in_the_ledger_the_history_and_on_the_bus_and_is_carried_out() {
    let office = on_blue();
    let done = office.applied(register("green", &[node_role("green-eks-nodes")]));
    assert!(text(&done).contains("reconcile was asked to go on there"), "{}", text(&done));
    let green = &registered(&office)[cluster("green").as_str()]["registration"];
    assert_eq!(green["nodeRoles"], json!([node_role("green-eks-nodes")]), "{green}");
    assert_eq!(requests(&office, "green"), 1);
    let history = office.planned(json!({ "action": "history", "cluster": "green" }));
    let entry = &history["history"][0];
    assert_eq!((&history["known"], &entry["actor"]), (&json!(1), &json!("ada")));
    assert_eq!((&entry["reason"], &entry["outcome"]), (&json!("upgrade"), &json!("accepted")));
    assert!(text(&history).contains("register"), "{}", text(&history));
    office.reconcile("green");
    assert_eq!(office.there("green", "svc-etl-sa").unwrap().role_arn, role("etl").to_string());
}

#[test]
fn a_registration_again_changes_the_cluster_as_a_whole() {
    let office = on_blue();
    let both = [node_role("blue-eks-nodes"), node_role("more-eks-nodes")];
    let node_roles = |office: &Office| {
        registered(office)[cluster("blue").as_str()]["registration"]["nodeRoles"].clone()
    };
    office.planned(register("blue", &both));
    assert_eq!(node_roles(&office), json!([both[0]]));
    office.applied(register("blue", &both));
    assert_eq!(node_roles(&office), json!(both));
    let history = office.planned(json!({ "action": "history", "cluster": "blue" }));
    assert_eq!(history["known"], 2, "{}", text(&history));
}

#[test]
fn a_registration_that_breaks_a_rule_is_refused_with_it_in_both_modes() {
    let office = on_blue();
    let foreign = register("green", &["arn:aws:iam::111122223333:role/admin".to_owned()]);
    for mode in ["plan", "apply"] {
        let mut payload = foreign.clone();
        payload["mode"] = json!(mode);
        let why = office.refused(payload);
        assert!(why.contains("NODE_ROLES") && why.contains("nothing was done"), "{why}");
    }
    assert!(registered(&office).get(cluster("green").as_str()).is_none());
    assert_eq!(requests(&office, "green"), 0);
}

//! Who can act as a role, and the inventory of a cluster.

use std::time::Duration;

use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{DominoPod, PortFault, When};
use serde_json::{Value, json};

use crate::office::{Office, cluster, role, text};

fn who(office: &Office, role_name: &str) -> Value {
    let made = office.writers_made.get();
    let answer = office.done(json!({ "action": "who", "role": role(role_name) }));
    assert_eq!(office.writers_made.get(), made, "nothing that writes is made to look");
    answer
}

/// The holder at a Kubernetes service account on blue.
fn holder(answer: &Value, service_account: &str) -> Value {
    let blue = json!(cluster("blue"));
    let all = answer["holders"].as_array().unwrap();
    let found = all
        .iter()
        .find(|one| one["cluster"] == blue && one["kubernetesServiceAccount"] == service_account);
    found.cloned().unwrap_or_else(|| panic!("{}", text(answer)))
}

fn pod(office: &Office, service_account: &str) -> String {
    let mut world = office.ports.world();
    let blue = cluster("blue");
    // It is there already where a workloads run, or another pod, needed it.
    _ = world.add_service_account(&blue, "domino-compute", service_account, &[]);
    world.add_domino_pod(&blue, &DominoPod::new(service_account, "somebody")).unwrap()
}

#[test]
fn a_bound_service_account_is_named_with_its_pods() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let name = pod(&office, "svc-etl-sa");
    let answer = who(&office, "etl");
    let found = holder(&answer, "svc-etl-sa");
    assert_eq!(found["serviceAccount"], "svc-etl");
    assert_eq!(found["owner"], "managed");
    assert_eq!(found["differs"], Value::Null, "{}", text(&answer));
    assert_eq!(found["pods"], json!([name]));
    assert!(text(&answer).contains("agree"), "{}", text(&answer));
    assert!(
        text(&answer).contains("On cluster blue listed in arn:aws:iam::111122223333:policy/"),
        "{}",
        text(&answer)
    );
    assert_eq!(answer["holders"].as_array().unwrap().len(), 2, "one on each cluster");
}

#[test]
fn the_holders_of_foreign_and_add_on_owned_associations_are_found() {
    let office = Office::registered();
    {
        let mut world = office.ports.world();
        let (blue, etl) = (cluster("blue"), role("etl"));
        let etl = etl.as_str();
        world.add_foreign_association(&blue, "domino-compute", "karpenter", etl).unwrap();
        let addon = "arn:aws:eks:eu-west-1:111122223333:addon/blue/csi/1";
        world.add_addon_association(&blue, "domino-compute", "csi", etl, addon).unwrap();
    }
    let name = pod(&office, "karpenter");
    let answer = who(&office, "etl");
    let foreign = holder(&answer, "karpenter");
    assert_eq!(foreign["owner"], "foreign");
    assert_eq!(foreign["pods"], json!([name]));
    assert_eq!(foreign["differs"], "EKS has it, it is not the ledger's");
    assert_eq!(holder(&answer, "csi")["owner"], "addOn");
    assert_eq!(who(&office, "train")["holders"], json!([]));
}

#[test]
fn who_lost_the_role_is_named_as_long_as_pods_may_hold_it() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.bind("svc-idle", "etl");
    office.advance(100);
    let name = pod(&office, "svc-etl-sa");
    office.advance(600);
    office.bind("svc-etl", "train");
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-idle", "mode": "apply" }));
    for name in ["blue", "green", "blue", "green"] {
        office.reconcile(name);
    }
    office.advance(100);
    pod(&office, "svc-etl-sa");
    let answer = who(&office, "etl");
    let found = holder(&answer, "svc-etl-sa");
    assert_eq!((&found["through"], &found["pods"]), (&json!("role, before"), &json!([name])));
    assert!(found["differs"].as_str().unwrap().starts_with("taken away at "), "{found}");
    // Nobody has a pod on green, nor svc-idle anywhere.
    assert_eq!(answer["holders"].as_array().unwrap().len(), 1, "{}", text(&answer));
    office.advance(7 * 3600);
    assert_eq!(who(&office, "etl")["holders"], json!([]));
}

#[test]
fn who_lost_the_role_is_named_where_nobody_can_see_pods() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    for name in ["blue", "green", "blue", "green"] {
        office.reconcile(name);
    }
    office.ports.world().kubernetes(&cluster("blue")).unwrap().settings.reachable = false;
    let answer = who(&office, "etl");
    let found = holder(&answer, "svc-etl-sa");
    assert_eq!((&found["through"], &found["pods"]), (&json!("role, before"), &Value::Null));
}

#[test]
fn the_holders_by_irsa_are_found_with_their_pods() {
    let office = Office::registered();
    let etl = role("etl").to_string();
    let name = {
        let (mut world, blue) = (office.ports.world(), cluster("blue"));
        let annotations = [("eks.amazonaws.com/role-arn", etl.as_str())];
        world.add_service_account(&blue, "domino-compute", "by-irsa", &annotations).unwrap();
        world.add_service_account(&blue, "domino-compute", "other", &[]).unwrap();
        world.add_domino_pod(&blue, &DominoPod::new("by-irsa", "somebody")).unwrap()
    };
    let answer = who(&office, "etl");
    let found = holder(&answer, "by-irsa");
    assert_eq!(found["through"], "role by IRSA");
    assert_eq!(found["pods"], json!([name]));
    assert_eq!(answer["holders"].as_array().unwrap().len(), 1, "{}", text(&answer));
    assert!(text(&answer).contains("outside of EKS Pod Identity"), "{}", text(&answer));
}

#[test]
fn where_ledger_and_eks_differ_it_is_said() {
    let office = Office::registered();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"), "mode": "apply",
    }));
    let found = holder(&who(&office, "etl"), "svc-etl-sa");
    assert_eq!(found["differs"], "the ledger has it bound, EKS has no association");
    office.reconcile("blue");
    // Taken away in the ledger, and not yet on EKS.
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    let found = holder(&who(&office, "etl"), "svc-etl-sa");
    assert_eq!(found["differs"], "EKS has it, the ledger means another role or none");
}

#[test]
fn pods_that_nobody_can_see_are_said_to_be_unknown() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let blue = cluster("blue");
    office.ports.world().kubernetes(&blue).unwrap().settings.reachable = false;
    let answer = who(&office, "etl");
    let found = holder(&answer, "svc-etl-sa");
    assert_eq!(found["pods"], Value::Null);
    assert!(found["podsUnknown"].as_str().unwrap().contains("pods are not known"), "{found}");
    assert!(text(&answer).contains("! cluster blue: pods are not known"), "{}", text(&answer));
}

#[test]
fn a_cluster_that_eks_does_not_tell_of_is_answered_by_the_ledger() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let kind = ErrorKind::Denied;
    office.ports.fault(PortFault::nth("ListPodIdentityAssociations", 1, When::Before, kind));
    let found = holder(&who(&office, "etl"), "svc-etl-sa");
    assert_eq!(found["owner"], Value::Null);
    assert!(found["differs"].as_str().unwrap().contains("associations are not known"), "{found}");
}

#[test]
fn the_inventory_of_a_cluster_is_a_table_csv_or_json() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office
        .ports
        .world()
        .add_foreign_association(
            &cluster("blue"),
            "kube-system",
            "karpenter",
            role("train").as_str(),
        )
        .unwrap();
    let ask =
        |format: &str| office.done(json!({ "action": "who", "cluster": "blue", "format": format }));
    let table = ask("table");
    assert!(text(&table).starts_with("Cluster blue has 2 associations.\n"), "{}", text(&table));
    let csv = ask("csv");
    let id = csv["associations"][0]["association"].as_str().unwrap();
    let lines: Vec<&str> = text(&csv).split("\r\n").collect();
    assert_eq!(
        lines[0],
        "namespace,service account,owner,domino name,role,target role,condition,association"
    );
    let etl = role("etl");
    assert_eq!(lines[1], format!("domino-compute,svc-etl-sa,managed,svc-etl,{etl},,ready,{id}"));
    assert!(lines[2].starts_with("kube-system,karpenter,foreign,,"), "{}", lines[2]);
    let parsed: Value = serde_json::from_str(text(&ask("json"))).unwrap();
    assert_eq!(parsed, csv["associations"]);
}

#[test]
fn who_is_asked_of_one_thing() {
    let office = Office::registered();
    let both = json!({ "action": "who", "role": role("etl"), "cluster": "blue" });
    assert!(office.refused(both).contains("either a role or a cluster"));
    assert!(office.refused(json!({ "action": "who" })).contains("name one"));
}

#[test]
fn what_there_is_no_time_for_is_said_and_never_left_out_of_a_file() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.ports.world().settings.call_takes = Duration::from_secs(30);
    let answer = who(&office, "etl");
    assert!(text(&answer).contains("! cluster green: not looked at"), "{}", text(&answer));
    let csv = json!({ "action": "who", "cluster": "blue", "format": "csv" });
    for (seconds, lack) in [
        (45, "cluster blue: 1 associations were not read"),
        (60, "cluster blue: associations were not read"),
    ] {
        office.ports.world().settings.call_takes = Duration::from_secs(seconds);
        let why = office.refused(csv.clone());
        assert!(why.starts_with(lack), "{why}");
    }
}

//! The chain from a binding to a pod's credentials, with each link broken by itself. The whole answer
//! to each is in `snapshots`.
//!
//! | link | broken by | in |
//! |---|---|---|
//! | ledger | a tombstone, no binding at all | `ledger` |
//! | cluster | not registered, not meant by the binding, being retired | `ledger` |
//! | condition | not carried out yet, waiting for its cluster, blocked by another's place | `ledger` |
//! | Kubernetes service account | none, annotated for IRSA | `within` |
//! | domsed mapping | none, ours to another, another's to another, domsed not installed | `within` |
//! | association | none, drift, foreign, an add-on's, an orphan, made for another, still there | `outside` |
//! | role | none, another by its name | `outside` |
//! | trust policy | no statement, a condition, a Deny, not to be understood | `outside` |
//! | target role | not readable, none, not trusting, not to be understood | `outside` |
//! | node policy | not remembered, not listed, not attached, no node role known | `outside` |
//! | broad grant | `AmazonEKSWorkerNodePolicy`, in strict mode, also when attached since | `outside` |
//! | agent | a degraded add-on, one that is being made; without one it is unknown, except in Auto Mode | `outside` |
//! | webhook | a pod that came up without injection; unknown before one came up | `within` |
//! | pods | missing, unmapped, shadowed by keys and by IRSA, changed, recreated, revoked | `within` |
//! | one pod | the same, right, over, of nobody | `within` |
//! | what nobody tells | Kubernetes unreachable or closed, EKS and IAM denied, cluster gone, no time | here |

mod ledger;
mod outside;
mod within;

use std::time::Duration;

use pod_identity_core::sweep;
use pod_identity_engine::SweepSettings;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{DominoPod, KubernetesCluster, PortFault, When};
use serde_json::{Value, json};

use crate::office::{Office, cluster, text};

const NAMESPACE: &str = "domino-compute";

/// svc-etl works as role etl on blue and green, and somebody has looked inside both.
fn at_work() -> Office {
    let mut office = Office::registered();
    // So that the webhook was seen at work, also where no pod runs.
    office.inside.dry_run = true;
    office.inside.sweep = Some(SweepSettings {
        rules: sweep::Settings::new([NAMESPACE.to_owned()]),
        selector: String::new(),
        grace_seconds: None,
        delete_after: None,
    });
    office.bind("svc-etl", "etl");
    office.advance(100);
    for name in ["blue", "green"] {
        office.work(name);
    }
    office.advance(100);
    office
}

fn ask(office: &Office, payload: Value) -> Value {
    let made = office.writers_made.get();
    let answer = office.done(payload);
    assert_eq!(office.writers_made.get(), made, "nothing that writes is made to look");
    answer
}

fn explain(office: &Office) -> Value {
    ask(office, json!({ "action": "explain", "serviceAccount": "svc-etl", "cluster": "blue" }))
}

fn of_pod(office: &Office, pod: &str) -> Value {
    ask(office, json!({ "action": "explain", "pod": pod, "cluster": "blue" }))
}

/// The words of an answer; ids of associations and names of pods are numbered.
fn golden(answer: &Value) -> String {
    let is_name = |word: &str| {
        let of = |prefix: &str, length| word.starts_with(prefix) && word.len() >= length;
        of("a-", 19) || of("run-", 30)
    };
    let words = text(answer);
    let inside =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let mut names: Vec<&str> = Vec::new();
    for word in words.split(|letter| !inside(letter)).filter(|word| is_name(word)) {
        if !names.contains(&word) {
            names.push(word);
        }
    }
    names.iter().enumerate().fold(words.to_owned(), |words, (at, name)| {
        let (prefix, _) = name.split_once('-').unwrap();
        words.replace(name, &format!("{prefix}-{}", at + 1))
    })
}

fn headline(answer: &Value) -> &str {
    text(answer).lines().next().unwrap()
}

/// The lines that are not ok: (check, verdict, evidence).
fn wrong(answer: &Value) -> Vec<(String, String, String)> {
    let lines = answer["lines"].as_array().unwrap().iter();
    let word = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .filter(|line| line["verdict"] != "ok")
        .map(|line| (word(line, "check"), word(line, "verdict"), word(line, "evidence")))
        .collect()
}

/// The one link that is broken: its evidence and its remediation. That nobody has seen the webhook at
/// work with an association that is new is no fault.
fn broken(answer: &Value, check: &str) -> (String, String) {
    let mut found = wrong(answer);
    found.retain(|(of, verdict, _)| (of.as_str(), verdict.as_str()) != ("webhook", "unknown"));
    let [(of, verdict, evidence)] = found.as_slice() else { panic!("{}", text(answer)) };
    assert_eq!((of.as_str(), verdict.as_str()), (check, "broken"), "{}", text(answer));
    assert!(text(answer).contains(&format!("  broken   {check}")), "{}", text(answer));
    (evidence.clone(), remediation(answer, check))
}

fn remediation(answer: &Value, check: &str) -> String {
    let line = answer["lines"].as_array().unwrap().iter().find(|line| line["check"] == check);
    line.unwrap()["remediation"].as_str().unwrap_or_default().to_owned()
}

fn pod(office: &Office, service_account: &str) -> String {
    add(office, &DominoPod::new(service_account, "svc-etl"))
}

fn add(office: &Office, pod: &DominoPod) -> String {
    office.ports.world().add_domino_pod(&cluster("blue"), pod).unwrap()
}

fn kubernetes<T>(office: &Office, change: impl FnOnce(&mut KubernetesCluster) -> T) -> T {
    change(office.ports.world().kubernetes(&cluster("blue")).unwrap())
}

fn set_agent(office: &Office, name: &str, status: &str) {
    let mut world = office.ports.world();
    let addons = &mut world.eks.cluster_mut(&cluster(name)).unwrap().addons;
    addons.get_mut("eks-pod-identity-agent").unwrap().status = status.to_owned();
}

fn association_id(office: &Office) -> String {
    let world = office.ports.world();
    world.eks.find(&cluster("blue"), NAMESPACE, "svc-etl-sa").unwrap().id.clone()
}

#[test]
fn a_chain_without_a_broken_link_works() {
    let office = at_work();
    pod(&office, "svc-etl-sa");
    let answer = explain(&office);
    assert_eq!(headline(&answer), "svc-etl works on blue");
    assert_eq!(answer["works"], true);
    insta::assert_snapshot!(golden(&answer));
    let both = ask(&office, json!({ "action": "explain", "serviceAccount": "svc-etl" }));
    assert_eq!(headline(&both), "svc-etl works on blue, green");
}

#[test]
fn the_cause_is_told_before_what_follows_from_it() {
    let office = at_work();
    office.bind("svc-legacy", "untrusted");
    let ask_for =
        |name: &str| json!({ "action": "explain", "serviceAccount": name, "cluster": "blue" });
    let answer = ask(&office, ask_for("svc-legacy"));
    let words = headline(&answer);
    assert!(
        words.starts_with("svc-legacy has no credentials on blue: the trust policy of role"),
        "{words}"
    );
    assert!(words.ends_with("(broken); 5 more lines"), "{}", text(&answer));
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn what_kubernetes_does_not_tell_is_unknown_with_what_is_remembered() {
    let office = at_work();
    pod(&office, "svc-etl-sa");
    office.work("blue");
    kubernetes(&office, |api| api.settings.reachable = false);
    office.calls();
    let answer = explain(&office);
    let asked = office.calls().iter().filter(|call| call.starts_with("kubernetes")).count();
    assert_eq!(asked, 1, "nobody waits for the same time-out again");
    let shown = wrong(&answer);
    let checks: Vec<&str> = shown.iter().map(|(check, ..)| check.as_str()).collect();
    assert_eq!(checks, ["service account", "irsa annotation", "domsed mapping", "pods"]);
    assert!(shown.iter().all(|(_, verdict, _)| verdict == "unknown"), "{shown:?}");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn what_aws_does_not_tell_is_unknown() {
    for (operation, check) in [
        ("ListPodIdentityAssociations", "association"),
        ("GetRole", "role"),
        ("GetPolicy", "node policy"),
        ("DescribeAddon", "agent"),
    ] {
        let office = at_work();
        office.ports.fault(PortFault::nth(operation, 1, When::Before, ErrorKind::Denied));
        let answer = explain(&office);
        let shown = wrong(&answer);
        assert!(shown.iter().all(|(_, verdict, _)| verdict == "unknown"), "{shown:?}");
        assert!(shown.iter().any(|(of, ..)| of == check), "{shown:?}");
        insta::assert_snapshot!(operation, golden(&answer));
    }
}

#[test]
fn a_cluster_that_does_not_know_the_caller_is_unknown_inside() {
    let office = at_work();
    kubernetes(&office, |api| api.settings.users = Some([].into()));
    let answer = explain(&office);
    let shown = wrong(&answer);
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert!(shown.iter().all(|(_, verdict, _)| verdict == "unknown"), "{shown:?}");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_cluster_that_eks_does_not_know_is_told() {
    let office = at_work();
    office.ports.world().remove_cluster(&cluster("blue"));
    insta::assert_snapshot!(golden(&explain(&office)));
}

#[test]
fn a_cluster_for_which_there_is_no_time_is_unknown() {
    let mut office = at_work();
    office.settings.concurrency = 1;
    office.settings.longest_call = Duration::from_secs(20);
    office.ports.world().settings.call_takes = Duration::from_secs(20);
    let began = office.ports.world().now;
    let answer = ask(&office, json!({ "action": "explain", "serviceAccount": "svc-etl" }));
    let took = office.ports.world().now.duration_since(began).as_secs();
    assert!(took <= 120, "Lambda would have ended it: {took} s");
    let words = headline(&answer);
    assert!(
        words.contains("whether svc-etl works on green is not known: not looked at"),
        "{words}"
    );
    insta::assert_snapshot!(golden(&answer));
}

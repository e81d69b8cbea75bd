//! Trust policies for the owners of roles.

use pod_identity_core::ServiceAccountRef;
use pod_identity_core::trust::{TrustQuestion, evaluate};
use pod_identity_events::TrustVerdict;
use serde_json::{Value, json};

use crate::office::{Office, TRUSTED, UNTRUSTED, cluster, role, text};

fn policy(office: &Office, role_name: &str) -> Value {
    let made = office.writers_made.get();
    let answer = office.done(json!({ "action": "trust-policy", "role": role(role_name) }));
    assert_eq!(office.writers_made.get(), made, "nothing that writes is made to look");
    let all = answer["checks"].as_array().unwrap();
    assert!(all.iter().all(|check| check["verdict"] == "trusted"), "{}", text(&answer));
    answer
}

/// Whether a document trusts a service account on both clusters alike.
fn trusts(document: &Value, namespace: &str, name: &str, session_tags: bool) -> bool {
    let kubernetes = &ServiceAccountRef::new(namespace, name).unwrap();
    let verdicts = ["blue", "green"].map(|name| {
        let cluster = &cluster(name);
        let question = TrustQuestion { cluster, kubernetes, session_tags };
        evaluate(&document.to_string(), question).verdict
    });
    assert_eq!(verdicts[0], verdicts[1], "{document:#}");
    verdicts[0] == TrustVerdict::Trusted
}

/// Bound in the ledger only: what a role trusts makes no difference to that.
fn bind(office: &Office, name: &str, namespace: &str, more: Value) {
    let mut event = json!({
        "action": "bind", "serviceAccount": name, "roleArn": role("etl"), "mode": "apply",
        "kubernetes": { "namespace": namespace, "serviceAccount": name },
    });
    let more = more.as_object().cloned().unwrap_or_default();
    event.as_object_mut().unwrap().extend(more);
    office.done(event);
}

fn statements(document: &Value) -> &Vec<Value> {
    document["Statement"].as_array().unwrap()
}

fn of_two_namespaces() -> Office {
    let mut office = Office::registered();
    office.settings.rules.namespaces = vec!["domino-compute".to_owned(), "domino-apps".to_owned()];
    office
}

#[test]
fn one_binding_gets_one_statement_that_no_cluster_is_named_in() {
    let office = Office::registered();
    bind(&office, "svc-etl", "domino-compute", json!({}));
    let answer = policy(&office, "etl");
    let document = &answer["document"];
    assert_eq!(
        *document,
        json!({ "Version": "2012-10-17", "Statement": [{
            "Sid": "AllowEksAuthToAssumeRoleForPodIdentity",
            "Effect": "Allow",
            "Principal": { "Service": "pods.eks.amazonaws.com" },
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": { "StringEquals": {
                "aws:SourceAccount": "111122223333",
                "aws:RequestTag/kubernetes-namespace": "domino-compute",
                "aws:RequestTag/kubernetes-service-account": "svc-etl",
            } },
        }] })
    );
    assert!(trusts(document, "domino-compute", "svc-etl", true));
    assert!(!trusts(document, "domino-compute", "svc-other", true));
    assert!(!trusts(document, "other", "svc-etl", true));
    assert!(text(&answer).contains("it trusts 1 bindings on blue, green"), "{}", text(&answer));
}

#[test]
fn namespaces_share_a_statement_only_for_the_very_same_names() {
    let office = of_two_namespaces();
    bind(&office, "svc-a", "domino-compute", json!({}));
    bind(&office, "svc-b", "domino-compute", json!({}));
    let one = policy(&office, "etl");
    assert_eq!(statements(&one["document"]).len(), 1, "a list is exact within a namespace");

    bind(&office, "svc-c", "domino-apps", json!({}));
    let two = policy(&office, "etl");
    let document = &two["document"];
    assert_eq!(statements(document).len(), 2, "{document:#}");
    let wanted =
        [("domino-compute", "svc-a"), ("domino-compute", "svc-b"), ("domino-apps", "svc-c")];
    for namespace in ["domino-compute", "domino-apps", "other"] {
        for name in ["svc-a", "svc-b", "svc-c", "svc-d"] {
            let meant = wanted.contains(&(namespace, name));
            assert_eq!(trusts(document, namespace, name, true), meant, "{namespace}/{name}");
        }
    }
    let sids: Vec<&Value> = statements(document).iter().map(|one| &one["Sid"]).collect();
    assert_ne!(sids[0], sids[1]);
}

#[test]
fn the_same_names_in_two_namespaces_are_one_statement() {
    let office = of_two_namespaces();
    let at = |namespace: &str| json!({ "kubernetes": { "namespace": namespace, "serviceAccount": "runner" } });
    bind(&office, "svc-a", "domino-compute", at("domino-compute"));
    bind(&office, "svc-b", "domino-apps", at("domino-apps"));
    let answer = policy(&office, "etl");
    assert_eq!(statements(&answer["document"]).len(), 1);
    assert!(trusts(&answer["document"], "domino-apps", "runner", true));
}

#[test]
fn without_session_tags_only_the_account_can_be_asked_for_and_that_is_said() {
    let office = Office::registered();
    bind(&office, "svc-etl", "domino-compute", json!({ "disableSessionTags": true }));
    let answer = policy(&office, "etl");
    let document = &answer["document"];
    assert_eq!(statements(document)[0]["Action"], "sts:AssumeRole");
    assert!(trusts(document, "domino-compute", "anybody", false));
    assert!(!trusts(document, "domino-compute", "svc-etl", true), "no TagSession");
    assert!(text(&answer).contains("svc-etl has disableSessionTags"), "{}", text(&answer));
}

#[test]
fn what_is_there_is_kept_and_only_what_lacks_is_added() {
    let office = Office::registered();
    bind(&office, "svc-etl", "domino-compute", json!({}));
    office.ports.world().set_trust(&role("etl"), UNTRUSTED);
    let answer = policy(&office, "etl");
    assert!(text(&answer).contains("does not surely trust 1 of 1"), "{}", text(&answer));
    let ec2: Value = serde_json::from_str(UNTRUSTED).unwrap();
    let merged = &answer["merged"];
    assert_eq!(statements(merged).len(), 2);
    assert_eq!(statements(merged)[0], ec2["Statement"][0]);
    assert_eq!(answer["lost"], json!([ec2["Statement"][0]]));
    assert_eq!(answer["missing"], json!([statements(merged)[1]]));
    assert!(trusts(merged, "domino-compute", "svc-etl", true));
    assert!(!trusts(merged, "domino-compute", "svc-other", true));

    // Planning after applying is empty.
    office.ports.world().set_trust(&role("etl"), &merged.to_string());
    let again = policy(&office, "etl");
    assert_eq!(again["missing"], json!([]));
    assert_eq!(again["merged"], *merged);
}

#[test]
fn a_role_that_trusts_everybody_lacks_nothing_and_can_be_narrowed() {
    let office = Office::registered();
    bind(&office, "svc-etl", "domino-compute", json!({}));
    office.ports.world().set_trust(&role("etl"), TRUSTED);
    let answer = policy(&office, "etl");
    assert_eq!(answer["missing"], json!([]));
    assert!(text(&answer).contains("already trusts all 1 bindings"), "{}", text(&answer));
    assert!(text(&answer).contains("lets any Kubernetes service account"), "{}", text(&answer));
}

#[test]
fn added_statements_do_not_help_against_a_deny() {
    let office = Office::registered();
    bind(&office, "svc-etl", "domino-compute", json!({}));
    let deny = r#"{"Version":"2012-10-17","Statement":{"Sid":"No","Effect":"Deny","Principal":"*","Action":"sts:*"}}"#;
    office.ports.world().set_trust(&role("etl"), deny);
    let answer = policy(&office, "etl");
    let words = text(&answer);
    assert!(words.contains("added statements do not help svc-etl on cluster blue"), "{words}");
    assert!(words.contains("Together it was evaluated and does NOT trust"), "{words}");
}

#[test]
fn a_document_that_is_longer_than_iam_takes_by_default_says_so() {
    let office = Office::registered();
    for at in 0..30 {
        let name = format!("svc-{at:02}-{}", "x".repeat(60));
        bind(&office, &name, "domino-compute", json!({}));
    }
    let answer = policy(&office, "etl");
    assert!(answer["length"].as_u64().unwrap() > 2_048);
    assert!(text(&answer).contains("IAM takes 2048 by default"), "{}", text(&answer));
}

#[test]
fn a_role_that_does_not_exist_or_that_nobody_names_is_answered_so() {
    let office = Office::registered();
    assert!(
        office
            .refused(json!({ "action": "trust-policy", "role": role("etl") }))
            .contains("no binding names role")
    );
    let gone = role("gone");
    let bind =
        json!({ "action": "bind", "serviceAccount": "svc-etl", "roleArn": gone, "mode": "apply" });
    office.done(bind);
    let answer = policy(&office, "gone");
    assert!(text(&answer).contains("does not exist"), "{}", text(&answer));
    assert_eq!(answer["merged"], Value::Null);
}

#[test]
fn a_role_that_is_only_a_target_is_told_what_it_needs_of_each_role_that_goes_on_to_it() {
    let office = Office::registered();
    let target = "arn:aws:iam::444455556666:role/far";
    bind(&office, "svc-etl", "domino-compute", json!({ "targetRoleArn": target }));
    bind(
        &office,
        "svc-bare",
        "domino-compute",
        json!({ "targetRoleArn": target, "disableSessionTags": true }),
    );
    let answer = office.done(json!({ "action": "trust-policy", "role": target }));
    let checks = answer["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 4, "each on both clusters: {}", text(&answer));
    assert!(checks.iter().all(|check| check["verdict"] == "trusted"), "{}", text(&answer));
    insta::assert_snapshot!(text(&answer));
}

#[test]
fn a_target_role_that_can_be_read_is_compared() {
    let mut office = Office::registered();
    let target = "arn:aws:iam::111122223333:role/target/lake";
    office.settings.rules.target_roles.push(pod_identity_core::Pattern::new(target));
    bind(&office, "svc-etl", "domino-compute", json!({ "targetRoleArn": target }));
    let ask = || office.done(json!({ "action": "trust-policy", "role": target }));
    assert!(text(&ask()).contains("does not exist: have it made"), "{}", text(&ask()));
    office.ports.world().add_role(&target.parse().unwrap(), TRUSTED);
    let answer = ask();
    assert!(text(&answer).contains("does not surely trust 1 of 1"), "{}", text(&answer));
    // What is there stays, and what lacks is added.
    let there: Value = serde_json::from_str(TRUSTED).unwrap();
    assert_eq!(answer["lost"], json!([there["Statement"][0]]));
    assert_eq!(statements(&answer["merged"])[0], there["Statement"][0]);
    assert_eq!(answer["missing"], json!([statements(&answer["merged"])[1]]));
    assert!(text(&answer).contains("Statements to add to what the role has now:"));
    assert!(text(&answer).contains("Together it was evaluated: it trusts 1 bindings"));
    for whole in ["merged", "document"] {
        let policy = answer[whole].to_string();
        office.ports.world().set_trust(&target.parse().unwrap(), &policy);
        let again = ask();
        assert!(text(&again).contains("already trusts all 1 bindings"), "{}", text(&again));
        assert_eq!(again["missing"], json!([]));
    }
    let deny = r#"{"Version":"2012-10-17","Statement":{"Sid":"No","Effect":"Deny","Principal":"*","Action":"sts:*"}}"#;
    office.ports.world().set_trust(&target.parse().unwrap(), deny);
    let denied = ask();
    let words = text(&denied);
    assert!(words.contains("added statements do not help svc-etl on cluster blue"), "{words}");
    office.ports.world().set_trust(&target.parse().unwrap(), "[]");
    assert!(text(&ask()).contains("is not understood: it has no Statement"), "{}", text(&ask()));
}

#[test]
fn a_role_that_is_a_target_role_as_well_keeps_both_ways_in() {
    let mut office = Office::registered();
    office.settings.rules.target_roles.push(pod_identity_core::Pattern::new(role("etl").as_str()));
    bind(&office, "svc-etl", "domino-compute", json!({}));
    let hop = json!({ "roleArn": role("train"), "targetRoleArn": role("etl") });
    bind(&office, "svc-hop", "domino-compute", hop);
    let answer = policy(&office, "etl");
    let words = text(&answer);
    assert!(
        words.contains("does not surely trust 1 of 2 bindings that name it: svc-hop"),
        "{words}"
    );
    assert_eq!(answer["checks"].as_array().unwrap().len(), 4, "each on both clusters");
    assert_eq!(answer["missing"].as_array().unwrap().len(), 1, "{words}");
    assert_eq!(statements(&answer["document"]).len(), 2, "{words}");
    assert!(words.contains("a policy of") && words.contains("is not looked at"), "{words}");

    for whole in ["document", "merged"] {
        office.ports.world().set_trust(&role("etl"), &answer[whole].to_string());
        let again = policy(&office, "etl");
        let words = text(&again);
        assert!(words.contains("already trusts all 2 bindings"), "{words}");
        assert_eq!(again["missing"], json!([]));
        assert_eq!(again["document"], answer["document"]);
    }
    office.ports.world().set_trust(&role("etl"), &answer["document"].to_string());
    assert_eq!(policy(&office, "etl")["lost"], json!([]), "no hop is cut off");

    // One more that goes on gets a statement by a name that is not taken.
    let hop = json!({ "roleArn": role("report"), "targetRoleArn": role("etl") });
    bind(&office, "svc-more", "domino-compute", hop);
    let more = policy(&office, "etl");
    let sids: std::collections::BTreeSet<&str> =
        statements(&more["merged"]).iter().map(|one| one["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids.len(), 3, "{}", text(&more));
}

#[test]
fn a_cluster_that_is_retired_is_not_named_any_more_and_one_to_come_is() {
    let office = Office::registered();
    let target = "arn:aws:iam::444455556666:role/far";
    let untagged = json!({ "targetRoleArn": target, "disableSessionTags": true });
    bind(&office, "svc-all", "domino-compute", untagged.clone());
    let mut named = untagged;
    named["clusters"] = json!([cluster("blue"), cluster("green"), cluster("teal")]);
    bind(&office, "svc-named", "domino-compute", named);
    let ids = |office: &Office| {
        let answer = office.done(json!({ "action": "trust-policy", "role": target }));
        let document = answer["document"].to_string();
        ["blue", "green", "teal"].map(|name| {
            ["svc-all", "svc-named"]
                .iter()
                .filter(|of| document.contains(&format!("/{name}/domino-compute/{of}\"")))
                .count()
        })
    };
    assert_eq!(ids(&office), [2, 2, 1]);
    office.applied(json!({ "action": "retire", "cluster": "blue", "exemptServiceAccounts": [] }));
    assert_eq!(ids(&office), [2, 2, 1], "the retirement is held up, and they still work there");
    office
        .applied(json!({ "action": "retire", "cluster": "blue", "exemptServiceAccounts": ["*"] }));
    office.reconcile("blue");
    assert_eq!(ids(&office), [0, 2, 1]);
}

//! Binding by hand, what is asked about it, and what a payload has to be.

use serde_json::json;

use crate::office::{ACCOUNT, Office, cluster, role, text};

#[test]
fn a_wrong_payload_is_answered_with_the_actions_their_fields_and_examples() {
    let office = Office::new();
    for payload in [json!({}), json!([]), json!({ "action": "nothing" })] {
        let answer = office.ask(payload);
        assert_eq!(answer["ok"], false);
        assert!(text(&answer).contains("example: {\"action\":\"status\""), "{}", text(&answer));
        assert!(answer["actions"].as_array().unwrap().len() > 5);
    }
    assert_eq!(office.writers_made.get(), 0);
}

#[test]
fn a_payload_with_a_key_twice_is_refused_and_nothing_is_done() {
    let office = Office::registered();
    let made = office.writers_made.get();
    let bind = format!(
        r#"{{"action":"bind","mode":"apply","serviceAccount":"svc-a","roleArn":"{}"}}"#,
        role("etl")
    );
    for (once, twice, path) in [
        ("\"action\":", "\"action\":\"status\",\"action\":", "action"),
        ("\"mode\":", "\"mode\":\"plan\",\"mode\":", "mode"),
        (
            "\"mode\":",
            "\"kubernetes\":{\"namespace\":\"a\",\"namespace\":\"b\"},\"mode\":",
            "kubernetes.namespace",
        ),
    ] {
        let answer = office.ask_text(&bind.replacen(once, twice, 1));
        assert_eq!(answer["ok"], false, "{path}");
        let why = format!("key `{path}` occurs twice in one JSON object; send a payload");
        assert!(text(&answer).starts_with(&why), "{}", text(&answer));
    }
    assert_eq!(office.writers_made.get(), made);
    assert_eq!(office.ask_text(&bind)["ok"], true);
}

#[test]
fn a_known_action_with_a_wrong_payload_is_answered_with_what_it_takes() {
    let office = Office::registered();
    let wrong = json!({ "clusterArn": cluster("blue"), "nodeRoleArns": ["x"] });
    for (payload, why) in [
        (json!({ "action": "history", "nonsense": 1 }), "unknown field `nonsense`"),
        (json!({ "action": "history" }), "either serviceAccount or cluster"),
        (json!({ "action": "bind", "mode": "perhaps" }), "mode is `plan` or `apply`"),
        (json!({ "action": "bind", "serviceAccount": "svc-a" }), "  missing field `roleArn`"),
        (
            json!({ "action": "bind", "serviceAccount": "svc a", "roleArn": role("etl") }),
            "  serviceAccount: `svc a` is not the name",
        ),
        (json!({ "action": "unbind", "serviceAccount": "svc a" }), "  serviceAccount: `svc a`"),
        (json!({ "action": "unbind", "service": "svc-a" }), "  unknown field `service`"),
        (json!({ "action": "clusters", "register": wrong }), "  nodeRoleArns: `x` is not the ARN"),
        (json!({ "action": "clusters", "register": {} }), "  missing field `clusterArn`"),
        (json!({ "action": "clusters", "register": {}, "retire": { "cluster": "blue" } }), "both"),
        (json!({ "action": "migrate", "from": "blue", "to": {} }), "  missing field `clusterArn`"),
        (
            json!({ "action": "retire", "cluster": "blue", "exemptServiceAccounts": ["*", "a"] }),
            "exemptServiceAccounts: ",
        ),
        (json!({ "action": "adopt", "cluster": "blue" }), "say which associations"),
        (json!({ "action": "import" }), "exactly one of"),
        (json!({ "action": "rejected", "days": 32 }), "days is 1 to 31"),
    ] {
        let answer = office.ask(payload.clone());
        let (action, words) = (payload["action"].as_str().unwrap(), text(&answer));
        assert_eq!((&answer["ok"], &answer["action"]), (&json!(false), &json!(action)));
        assert!(words.starts_with(&format!("{action}: ")) && words.contains(why), "{words}");
        assert!(words.contains(&format!("example: {{\"action\":\"{action}\"")), "{words}");
        assert!(!words.contains("detail"), "{words}");
        let help = answer["actions"].as_array().unwrap();
        assert_eq!((help.len(), &help[0]["action"]), (1, &json!(action)));
        assert!(help[0]["fields"].is_object() && help[0]["example"]["action"] == action);
    }
}

#[test]
fn a_question_takes_what_is_left_of_another_payload_and_changes_nothing_in_any_mode() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    for question in [
        json!({ "action": "status" }),
        json!({ "action": "history", "serviceAccount": "svc-etl" }),
        json!({ "action": "rejected" }),
        json!({ "action": "explain", "serviceAccount": "svc-etl", "cluster": "blue" }),
        json!({ "action": "who", "role": role("etl") }),
        json!({ "action": "trust-policy", "role": role("etl") }),
    ] {
        let plain = office.planned(question.clone());
        let mut left = question.clone();
        left["mode"] = json!("plan");
        left["actor"] = json!("ada");
        left["reason"] = json!("ticket 4711");
        assert_eq!(text(&office.planned(left.clone())), text(&plain));
        left["mode"] = json!("apply");
        let idle = office.planned(left);
        let words = text(&idle);
        assert!(words.starts_with(text(&plain)), "{words}");
        assert!(words.ends_with("changes nothing here, and nothing was changed.\n"), "{words}");
        let mut wrong = question;
        wrong["mode"] = json!("perhaps");
        assert!(office.refused(wrong).contains("mode is `plan` or `apply`"));
    }
}

#[test]
fn a_binding_is_planned_made_seen_and_taken_away() {
    let office = Office::registered();
    let made = office.writers_made.get();
    let bind = json!({ "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl") });
    let planned = office.done(bind.clone());
    let words = text(&planned);
    assert!(
        words.contains("+ association domino-compute/svc-etl-sa -> role/domino/etl"),
        "{words}"
    );
    assert_eq!(office.writers_made.get(), made, "plan mode makes nothing that writes");
    assert!(text(&office.done(json!({ "action": "status" }))).contains("0 service accounts"));

    let mut apply = bind;
    apply["mode"] = json!("apply");
    apply["actor"] = json!("ada");
    let done = office.done(apply);
    assert!(text(&done).contains("reconcile was asked to go on: blue, green"), "{}", text(&done));
    office.reconcile("blue");
    let status = office.done(json!({ "action": "status", "serviceAccount": "etl" }));
    assert_eq!(status["bindings"][0]["condition"]["state"], "ready", "{}", text(&status));
    assert_eq!(status["bindings"][1]["condition"]["state"], "pending", "{}", text(&status));
    office.reconcile("green");

    let unbind = json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" });
    office.done(unbind);
    office.reconcile("blue");
    let removed = json!({ "action": "status", "state": "removed", "cluster": "blue" });
    let removed = office.done(removed);
    assert_eq!(removed["bindings"][0]["serviceAccount"], "svc-etl");

    let history = office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
    let words = text(&history);
    assert_eq!(history["known"], 2);
    assert!(words.contains("ada") && words.contains("no role (unassigned)"), "{words}");
}

#[test]
fn an_administrators_change_is_newer_than_what_stands_whatever_the_clock_says() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.advance(-600);
    let unbind = json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" });
    office.done(unbind);
    let history = office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
    assert_eq!(history["history"][0]["outcome"], "accepted", "{}", text(&history));
    assert_eq!(history["history"][0]["detailType"], "Service Account Role Unassigned");
}

#[test]
fn a_cluster_that_could_not_be_asked_to_go_on_is_not_among_those_that_were() {
    let row = json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") });
    for payload in [
        json!({ "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl") }),
        json!({ "action": "import", "rows": [row] }),
    ] {
        let office = Office::registered();
        // The request for one of two clusters is refused as often as it is sent.
        office.ports.world().bus.refusals = [1, 1, 1].into();
        let done = office.applied(payload.clone());
        let words = text(&done);
        assert!(words.contains("cluster green could not be asked for"), "{words}");
        assert!(words.contains("reconcile was asked to go on: blue."), "{words}");
        office.ports.world().bus.refusals = [2, 2, 2].into();
        let mut other = payload;
        match other.get("rows") {
            Some(_) => other["rows"][0]["roleArn"] = json!(role("train")),
            None => other["roleArn"] = json!(role("train")),
        }
        let none = office.applied(other);
        assert!(text(&none).contains("could not be asked to go on, see below"), "{}", text(&none));
    }
}

#[test]
fn reconcile_is_asked_to_go_on_with_a_cluster_that_comes_or_goes_and_that_is_told() {
    let office = Office::new();
    let requests = || {
        let world = office.ports.world();
        world.bus.events.iter().filter(|it| it.detail_type == "Reconciliation Requested").count()
    };
    let node_role = format!("arn:aws:iam::{ACCOUNT}:role/blue-eks-nodes");
    let register = json!({ "clusterArn": cluster("blue"), "nodeRoleArns": [node_role] });
    let done = office.applied(json!({ "action": "clusters", "register": register }));
    assert!(text(&done).contains("reconcile was asked to go on there"), "{}", text(&done));
    assert_eq!(requests(), 1);
    let done = office.applied(json!({ "action": "retire", "cluster": "blue" }));
    let words = text(&done);
    assert!(words.contains("reconcile, which was asked to"), "{words}");
    assert!(!words.contains("anything to do"), "{words}");
    assert_eq!(requests(), 2);
}

#[test]
fn what_breaks_a_rule_is_refused_with_the_rule_and_leaves_no_trace() {
    let office = Office::registered();
    let admin = "arn:aws:iam::111122223333:role/admin";
    let why = office.refused(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": admin, "mode": "apply",
    }));
    assert!(why.contains("ROLES") && why.contains(admin), "{why}");
    let rejected = office.done(json!({ "action": "rejected" }));
    assert_eq!(rejected["known"], 0, "{}", text(&rejected));
}

#[test]
fn a_read_only_deployment_plans_and_changes_nothing() {
    let mut office = Office::registered();
    office.read_only = true;
    let bind = json!({ "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl") });
    office.done(bind.clone());
    let mut apply = bind;
    apply["mode"] = json!("apply");
    assert!(office.refused(apply).contains("only answers"));
    assert!(text(&office.done(json!({ "action": "status" }))).contains("0 service accounts"));
}

#[test]
fn clusters_are_registered_listed_and_retired() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let listed = office.done(json!({ "action": "clusters" }));
    assert!(text(&listed).contains("green") && text(&listed).contains("registered"));
    let retire = json!({ "action": "clusters", "retire": { "cluster": "blue" } });
    let planned = office.done(retire.clone());
    assert!(text(&planned).contains("svc-etl-sa"), "{}", text(&planned));
    let mut apply = retire;
    apply["mode"] = json!("apply");
    office.done(apply);
    office.reconcile("blue");
    let left = office.done(json!({ "action": "clusters" }));
    assert!(text(&left).contains("blue") && text(&left).contains("emptied at"), "{}", text(&left));
}

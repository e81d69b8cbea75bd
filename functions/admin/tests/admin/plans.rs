//! What a plan hands over, so that it can be applied as it is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::office::{ACCOUNT, Office, cluster, role, text};

/// svc-etl is bound on blue, and another tool's association is there too.
fn office() -> Office {
    let office = Office::new();
    office.register("blue");
    office.bind("svc-etl", "etl");
    let theirs = role("report").to_string();
    let (blue, namespace) = (cluster("blue"), "domino-compute");
    office.ports.world().add_foreign_association(&blue, namespace, "theirs", &theirs).unwrap();
    let unbind = json!({ "action": "unbind", "serviceAccount": "svc-gone" });
    office.applied(unbind);
    office
}

/// A payload of each action that changes something.
fn changes() -> Vec<Value> {
    let node_role = format!("arn:aws:iam::{ACCOUNT}:role/green-eks-nodes");
    let green = json!({ "clusterArn": cluster("green"), "nodeRoleArns": [node_role] });
    let row = json!({ "serviceAccount": "svc-new", "roleArn": role("train") });
    vec![
        json!({ "action": "bind", "serviceAccount": "svc-new", "roleArn": role("train") }),
        json!({ "action": "unbind", "serviceAccount": "svc-etl" }),
        json!({ "action": "clusters", "register": green }),
        json!({ "action": "clusters", "retire": { "cluster": "blue" } }),
        json!({ "action": "retire", "cluster": "blue", "exemptServiceAccounts": ["*"] }),
        json!({ "action": "migrate", "from": "blue", "to": green }),
        json!({ "action": "adopt", "cluster": "blue", "all": true }),
        json!({ "action": "import", "rows": [row] }),
    ]
}

#[test]
fn a_plan_hands_over_the_payload_that_applies_it() {
    for mut payload in changes() {
        let office = office();
        payload["actor"] = json!("ada");
        let planned = office.planned(payload.clone());
        let apply = &planned["apply"];
        let words = text(&planned);
        assert!(words.ends_with(&format!("invoke again with:\n{apply}\n")), "{words}");
        assert_eq!((&apply["mode"], &apply["actor"]), (&json!("apply"), &json!("ada")));
        let done = office.done(apply.clone());
        assert_eq!(done["mode"], "apply", "{}", text(&done));
        assert_eq!(done["apply"], Value::Null, "there is nothing more to apply");
    }
}

#[test]
fn a_plan_of_an_adoption_hands_over_what_pins_it() {
    let office = office();
    let planned = office.planned(json!({ "action": "adopt", "cluster": "blue", "all": true }));
    assert_eq!(planned["apply"]["plan"], planned["plan"], "{}", text(&planned));
    assert_eq!(office.done(planned["apply"].clone())["accepted"], 1);
}

#[test]
fn who_has_something_done_is_told_where_those_who_go_on_run_in_plan_mode() {
    for mut payload in
        changes().into_iter().chain([json!({ "action": "sweep", "cluster": "blue" })])
    {
        let mut office = office().sweeping();
        if payload["action"] == "adopt" {
            payload["plan"] = office.planned(payload.clone())["plan"].clone();
        }
        let plain = office.applied(payload.clone());
        assert!(!text(&plain).contains("plan mode"), "{}", text(&plain));
        office.others_plan = true;
        let words = office.applied(payload.clone());
        let words = text(&words);
        match payload["action"].as_str().unwrap() {
            "sweep" => assert!(words.contains("WorkloadsMode=plan"), "{words}"),
            _ => assert!(words.contains("ReconcileMode=plan"), "{words}"),
        }
    }
}

#[test]
fn a_plan_that_is_not_the_whole_says_so_with_what_follows() {
    let mut office = Office::registered();
    office.bind("svc-etl", "etl");
    office.bind("svc-train", "train");
    let retire = json!({ "action": "retire", "cluster": "blue" });
    let plan = |answer: &Value| answer["changed"]["plans"][cluster("blue").as_str()].clone();
    let whole = office.planned(retire.clone());
    assert!(text(&whole).contains("its retirement is under way"), "{}", text(&whole));
    assert_eq!(plan(&whole)["moreFollows"], false);
    office.settings.plan.max_deletions = 1;
    let part = office.planned(retire);
    let only = "! only the 1 deletions of the next run are shown; the others follow by themselves";
    assert!(text(&part).contains(only), "{}", text(&part));
    assert_eq!(plan(&part)["moreFollows"], true);
    assert_eq!(plan(&part)["brokenOffBehind"], Value::Null);
}

#[test]
fn a_plan_that_broke_off_says_behind_whom() {
    let mut office = Office::new();
    office.register("blue");
    let row = |at| json!({ "serviceAccount": format!("svc-{at:04}"), "roleArn": role("etl") });
    let rows: Vec<Value> = (0..500).map(row).collect();
    office.applied(json!({ "action": "import", "rows": rows }));
    office.settings.concurrency = 1;
    let node_role = format!("arn:aws:iam::{ACCOUNT}:role/green-eks-nodes");
    let green = json!({ "clusterArn": cluster("green"), "nodeRoleArns": [node_role] });
    // Every call takes its time: for some time, one part is all that fits.
    let parts = (1..60).map(|seconds| {
        office.ports.world().settings.call_takes = Duration::from_secs(seconds);
        office.ask(json!({ "action": "clusters", "register": green }))
    });
    let plan = |answer: &Value| answer["changed"]["plans"][cluster("green").as_str()].clone();
    let mut broken_off = parts.filter(|answer| plan(answer)["brokenOffBehind"].is_string());
    let part = broken_off.next().unwrap();
    let words = text(&part);
    let behind = "! the plan of cluster green breaks off behind domino-compute/svc-0399-sa";
    assert!(words.contains(behind), "{words}");
    assert!(words.contains("raise the function's time-out"), "{words}");
    assert_eq!(plan(&part)["moreFollows"], true);
}

#[test]
fn a_plan_of_nothing_hands_over_nothing() {
    let office = office();
    let same = json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") });
    for payload in [
        json!({ "action": "clusters" }),
        json!({ "action": "export" }),
        json!({ "action": "import", "rows": [same] }),
        json!({ "action": "import", "rows": [{}], "stopOnError": true }),
        json!({ "action": "adopt", "cluster": "blue", "associations": [
            { "namespace": "domino-compute", "serviceAccount": "nobody", "as": "svc-new" },
        ] }),
    ] {
        let planned = office.planned(payload.clone());
        assert_eq!(planned["apply"], Value::Null, "{payload}");
        assert!(!text(&planned).contains("invoke again"), "{}", text(&planned));
    }
}

#[test]
fn a_long_payload_is_not_handed_back_but_how_to_change_it_is_said() {
    let office = office();
    let row = |at| json!({ "serviceAccount": format!("svc-{at}"), "roleArn": role("etl") });
    let rows: Vec<Value> = (0..100).map(row).collect();
    let planned = office.planned(json!({ "action": "import", "rows": rows }));
    assert_eq!(planned["apply"], Value::Null);
    let words = text(&planned);
    assert!(
        words.ends_with("invoke again with the same payload and \"mode\": \"apply\".\n"),
        "{words}"
    );
}

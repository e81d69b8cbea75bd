//! Sweeps of stale pods: what one would do, and how it is asked for.

use pod_identity_world::DominoPod;
use serde_json::{Value, json};

use crate::office::{Office, cluster, role, text};

/// svc-etl worked on blue and green, and lost its role; a pod of it on blue holds it still.
fn office() -> (Office, String) {
    let office = Office::registered().sweeping();
    office.bind("svc-etl", "etl");
    office.bind("svc-train", "train");
    let pod = {
        let (mut world, blue) = (office.ports.world(), cluster("blue"));
        world.add_service_account(&blue, "domino-compute", "svc-etl-sa", &[]).unwrap();
        world.add_domino_pod(&blue, &DominoPod::new("svc-etl-sa", "svc-etl")).unwrap()
    };
    office.advance(1_000);
    office.applied(json!({ "action": "unbind", "serviceAccount": "svc-etl" }));
    office.reconcile("blue");
    office.reconcile("green");
    office.advance(1_000);
    (office, pod)
}

/// The requests on the bus: cluster, service account and reason.
fn requests(office: &Office) -> Vec<[Value; 3]> {
    let world = office.ports.world();
    let all = world.bus.events.iter().filter(|event| event.detail_type == "Sweep Requested");
    let parts = ["clusterArn", "serviceAccount", "reason"];
    all.map(|event| parts.map(|part| event.detail[part].clone())).collect()
}

fn last_noted(office: &Office, of: Value) -> Value {
    let mut history = of;
    history["action"] = json!("history");
    let history = office.done(history);
    let entry = history["history"][0].clone();
    assert_eq!(entry["outcome"], "noted", "{}", text(&history));
    assert!(text(&history).contains("sweep pods"), "{}", text(&history));
    entry
}

#[test]
fn a_plan_tells_each_stale_pod_with_its_case_in_words_and_as_data() {
    let (office, pod) = office();
    let planned = office.planned(json!({ "action": "sweep", "cluster": "blue" }));
    let words = text(&planned);
    assert!(words.starts_with("Cluster blue: 1 pods looked at: "), "{words}");
    assert!(words.contains(&pod) && words.contains("revoked"), "{words}");
    let [blue] = planned["clusters"].as_array().unwrap().as_slice() else { panic!("{words}") };
    assert_eq!(blue["clusterArn"], json!(cluster("blue")));
    assert_eq!(blue["stale"], json!({ "revoked": 1 }), "{blue}");
    let found = &blue["sweep"];
    let shown = found["evictions"].as_array().unwrap().iter();
    let shown = shown.chain(found["reports"].as_array().unwrap().iter().map(|one| &one["finding"]));
    let shown: Vec<&Value> = shown.collect();
    let [finding] = shown.as_slice() else { panic!("{blue}") };
    assert_eq!(
        (&finding["pod"]["name"], &finding["case"]),
        (&json!(pod), &json!("revoked")),
        "{finding}"
    );
    assert_eq!(found["ceilings"], json!([]));
    assert_eq!(planned["apply"]["mode"], "apply");
    assert_eq!(requests(&office), Vec::<[Value; 3]>::new());
}

#[test]
fn a_ceiling_that_holds_pods_back_is_told_as_data() {
    let (mut office, _) = office();
    let rules = &mut office.inside.sweep.as_mut().unwrap().rules;
    rules.ceilings.per_sweep = 0;
    rules.policy = "revoked=evict".parse().unwrap();
    let planned = office.planned(json!({ "action": "sweep", "cluster": "blue" }));
    let found = &planned["clusters"][0]["sweep"];
    assert_eq!(found["heldBack"].as_array().unwrap().len(), 1, "{}", text(&planned));
    let hit = json!([{ "ceiling": "sweep", "limit": 0, "waiting": 1 }]);
    assert_eq!(found["ceilings"], hit, "{}", text(&planned));
}

#[test]
fn a_service_account_is_looked_for_on_every_cluster_that_has_or_had_it() {
    let (office, pod) = office();
    let sweep = json!({ "action": "sweep", "serviceAccount": "svc-etl" });
    let planned = office.planned(sweep);
    let of: Vec<&Value> =
        planned["clusters"].as_array().unwrap().iter().map(|one| &one["clusterArn"]).collect();
    assert_eq!(of, [&json!(cluster("blue")), &json!(cluster("green"))], "{}", text(&planned));
    assert!(text(&planned).contains(&pod), "{}", text(&planned));

    let mut apply = planned["apply"].clone();
    (apply["actor"], apply["reason"]) = (json!("ada"), json!("ticket 4711"));
    let done = office.done(apply);
    assert_eq!(done["asked"], json!(["blue", "green"]));
    let asked = |name| [json!(cluster(name)), json!("svc-etl"), json!("ticket 4711")];
    assert_eq!(requests(&office), [asked("blue"), asked("green")]);
    let entry = last_noted(&office, json!({ "serviceAccount": "svc-etl" }));
    assert_eq!((&entry["actor"], &entry["reason"]), (&json!("ada"), &json!("ticket 4711")));
    assert_eq!(entry["detailType"], "Sweep Requested");

    office.applied(json!({
        "action": "bind", "serviceAccount": "svc-blue", "roleArn": role("etl"), "clusters": ["blue"],
    }));
    let sweep = json!({ "action": "sweep", "serviceAccount": "svc-blue" });
    assert_eq!(office.applied(sweep)["asked"], json!(["blue"]));
    let unknown = json!({ "action": "sweep", "serviceAccount": "svc-unknown", "mode": "apply" });
    let why = office.refused(unknown);
    assert!(why.contains("knows svc-unknown on no registered cluster"), "{why}");
}

#[test]
fn a_cluster_is_swept_on_request_with_who_asked_in_its_history() {
    let (office, _) = office();
    let train = json!({ "action": "sweep", "cluster": "green", "serviceAccount": "svc-train" });
    office.applied(train);
    let done = office.applied(json!({ "action": "sweep", "cluster": "green", "actor": "ada" }));
    assert!(text(&done).contains("asked to sweep pods on cluster green"), "{}", text(&done));
    let by_default = json!("an administrator asked for it");
    let green = json!(cluster("green"));
    let expected =
        [[green.clone(), json!("svc-train"), by_default.clone()], [green, Value::Null, by_default]];
    assert_eq!(requests(&office), expected);
    let entry = last_noted(&office, json!({ "cluster": "green" }));
    assert_eq!(entry["actor"], "ada");
    last_noted(&office, json!({ "serviceAccount": "svc-train" }));
    let known = office.done(json!({ "action": "history", "cluster": "green" }));
    assert_eq!(known["known"], 3, "registered and swept twice: {}", text(&known));
}

#[test]
fn a_sweep_of_nothing_in_particular_is_refused_with_what_to_name() {
    let (office, _) = office();
    for mode in ["plan", "apply"] {
        let why = office.refused(json!({ "action": "sweep", "mode": mode }));
        assert!(
            why.contains("name a cluster or some `clusters`, a serviceAccount, or both"),
            "{why}"
        );
    }
    assert_eq!(requests(&office), Vec::<[Value; 3]>::new());
}

#[test]
fn what_applies_the_plan_of_a_sweep_names_the_clusters_that_were_looked_at() {
    let (office, _) = office();
    office.ports.world().kubernetes(&cluster("green")).unwrap().settings.reachable = false;
    let plan = office.planned(json!({ "action": "sweep", "serviceAccount": "svc-etl" }));
    let looked: Vec<&Value> = plan["clusters"].as_array().unwrap().iter().collect();
    let looked: Vec<&Value> = looked.iter().map(|one| &one["clusterArn"]).collect();
    assert_eq!(json!(looked), plan["apply"]["clusters"], "{}", text(&plan));
    let done = office.done(plan["apply"].clone());
    assert_eq!(done["asked"].as_array().unwrap().len(), looked.len());
}

#[test]
fn nobody_is_asked_to_sweep_a_cluster_that_is_not_registered() {
    let office = Office::new().sweeping();
    let sweep = json!({ "action": "sweep", "cluster": cluster("blue"), "mode": "apply" });
    let why = office.refused(sweep);
    assert!(why.contains("cluster/blue is not registered"), "{why}");
    assert!(office.ports.world().bus.events.is_empty());
}

#[test]
fn where_the_sweep_is_switched_off_that_is_said_and_nobody_is_asked() {
    let (mut office, _) = office();
    office.inside.sweep = None;
    let sweep = json!({ "action": "sweep", "cluster": "blue" });
    let planned = office.planned(sweep.clone());
    assert!(text(&planned).starts_with("The sweep is switched off"), "{}", text(&planned));
    assert_eq!((&planned["sweep"], &planned["apply"]), (&json!("off"), &Value::Null));
    let mut apply = sweep;
    apply["mode"] = json!("apply");
    let why = office.refused(apply);
    assert!(why.contains("parameter Sweep") && why.contains("switch it on"), "{why}");
    assert_eq!(requests(&office), Vec::<[Value; 3]>::new());
}

#[test]
fn a_sweep_that_can_be_asked_for_on_one_cluster_only_says_where_it_was_not() {
    let (office, _) = office();
    let sweep = json!({ "action": "sweep", "serviceAccount": "svc-etl" });
    office.ports.world().bus.refusals = [1, 1, 1].into();
    let done = office.applied(sweep.clone());
    assert_eq!(done["asked"], json!(["green"]), "{}", text(&done));
    assert!(text(&done).contains("cluster blue could not be asked for"), "{}", text(&done));
}

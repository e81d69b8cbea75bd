//! The samples, which the console offers as test events: each does what it says, in both modes.

use serde_json::{Value, json};

use crate::domino;
use crate::office::{Office, cluster, role, text};

/// The files, by name.
fn samples() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/samples/admin");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap()).collect();
    files.sort_by_key(std::fs::DirEntry::path);
    let of = |file: std::fs::DirEntry| {
        let text = std::fs::read_to_string(file.path()).unwrap();
        (file.file_name().into_string().unwrap(), serde_json::from_str(&text).unwrap())
    };
    files.into_iter().map(of).collect()
}

/// A sample that is planned, and then asked for as its plan says.
fn after_its_plan(office: &Office, mut sample: Value) -> Value {
    if sample["action"] == "adopt" || sample["action"] == "resume" {
        sample["plan"] = office.planned(sample.clone())["plan"].clone();
    }
    sample
}

/// svc-etl and svc-old work on blue, and Domino was compared; svc-etl as another role than samples
/// ask for. Where another's association is to be adopted, no service account is bound.
fn office(action: &str) -> Office {
    let office = Office::new().sweeping();
    office.register("blue");
    if action == "adopt" {
        let mut world = office.ports.world();
        let theirs = role("etl").to_string();
        let (blue, namespace) = (cluster("blue"), "domino-compute");
        world.add_foreign_association(&blue, namespace, "svc-etl-sa", &theirs).unwrap();
        drop(world);
        return office;
    }
    office.bind("svc-etl", "etl");
    office.bind("svc-old", "report");
    if ["bind", "import"].contains(&action) {
        office.bind("svc-etl", "report");
    }
    office.compared_with_domino(&Ok(domino::check()));
    office
}

#[test]
fn every_action_has_a_sample() {
    let named: Vec<Value> = samples().into_iter().map(|(_, it)| it["action"].clone()).collect();
    let help = Office::new().ask(json!({}));
    for action in help["actions"].as_array().unwrap() {
        assert!(named.contains(&action["action"]), "{action}");
    }
}

#[test]
fn a_sample_in_plan_mode_changes_nothing_and_makes_nothing_that_writes() {
    for (name, sample) in samples() {
        let office = office(sample["action"].as_str().unwrap());
        office.calls();
        let answer = office.planned(sample);
        assert!(!text(&answer).is_empty(), "{name}");
        let changes = |call: &String| {
            !["Get", "List", "Describe", "Query", "BatchGet", "list", "get"]
                .iter()
                .any(|verb| call.split(' ').nth(1).unwrap().starts_with(verb))
        };
        let changing: Vec<String> = office.calls().into_iter().filter(changes).collect();
        assert!(changing.is_empty(), "{name}: {changing:?}");
    }
}

/// As which role somebody works by the ledger.
fn role_of(office: &Office, name: &str) -> Option<String> {
    let rows = office.planned(json!({ "action": "export" }))["rows"].clone();
    let row = rows.as_array().unwrap().iter().find(|row| row["serviceAccount"] == name)?;
    Some(row["roleArn"].as_str().unwrap().to_owned())
}

/// Whether what a sample asks for is so.
fn is_done(sample: &str, office: &Office) -> bool {
    let etl = || role_of(office, "svc-etl") == Some(role("etl").to_string());
    let ask = |payload: Value| office.planned(payload);
    match sample {
        "adopt.json" | "import.json" => etl(),
        "bind.json" => {
            let asked =
                ask(json!({ "action": "history", "serviceAccount": "svc-etl", "limit": 1 }));
            let last = &asked["history"][0];
            etl() && last["actor"] == "ada" && last["reason"] == "ticket 4711"
        }
        "unbind.json" => role_of(office, "svc-etl").is_none(),
        "migrate.json" | "retire.json" => {
            let clusters = &ask(json!({ "action": "clusters" }))["clusters"];
            match sample {
                "migrate.json" => clusters.get(cluster("green").as_str()).is_some(),
                _ => !clusters[cluster("blue").as_str()]["retired"].is_null(),
            }
        }
        "resume.json" => {
            let asked = ask(json!({ "action": "history", "cluster": "blue", "limit": 1 }));
            text(&asked).contains("Cluster Resumed")
        }
        "sweep.json" => {
            let world = office.ports.world();
            world.bus.events.iter().any(|event| event.detail_type == "Sweep Requested")
        }
        _ => panic!("say what comes of {sample}"),
    }
}

#[test]
fn a_sample_in_apply_mode_is_done() {
    for (name, sample) in samples() {
        let Some("plan") = sample["mode"].as_str() else { continue };
        let office = office(sample["action"].as_str().unwrap());
        let sample = after_its_plan(&office, sample);
        assert!(!is_done(&name, &office), "{name} has something to do");
        let made = office.writers_made.get();
        let answer = office.applied(sample);
        assert_eq!(office.writers_made.get(), made + 1, "{name}");
        assert_eq!(answer["mode"], "apply", "{name}: {}", text(&answer));
        assert!(is_done(&name, &office), "{name}: {}", text(&answer));
    }
}

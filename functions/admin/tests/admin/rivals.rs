//! Two who change the same at the same time: whose change lost is told so.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::office::{Office, cluster, role, text};

const LOST: &str = "another change came in between";

/// The outcome of an invocation during which another caller bound svc-etl to role report.
struct Contest {
    office: Office,
    answer: Value,
}

impl Contest {
    /// Whether the ledger took the change that was asked for.
    fn is_taken(&self, detail_type: &str, role_name: Option<&str>) -> bool {
        let history = self.office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
        let role = role_name.map(|name| role(name).to_string());
        history["history"].as_array().unwrap().iter().any(|entry| {
            let of_it = role.as_ref().is_none_or(|role| entry["change"].to_string().contains(role));
            entry["outcome"] == "accepted" && entry["detailType"] == detail_type && of_it
        })
    }
}

/// The other one comes after each step of the invocation in turn.
fn contests(make: impl Fn() -> (Office, Value)) -> Vec<Contest> {
    let rival = json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("report"), "mode": "apply",
    });
    let mut all = Vec::new();
    for after in 1.. {
        let (office, mut payload) = make();
        payload["mode"] = json!("apply");
        let (steps, came) = (Cell::new(0), Cell::new(false));
        let answer = office.ask_while(payload, || {
            steps.set(steps.get() + 1);
            if steps.get() == after {
                came.set(true);
                office.advance(1);
                office.done(rival.clone());
            }
        });
        if !came.get() {
            break;
        }
        all.push(Contest { office, answer });
    }
    all
}

const ASSIGNED: &str = "Service Account Role Assigned";

#[test]
fn a_binding_that_lost_is_refused_with_what_stands() {
    let bind = json!({ "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl") });
    let all = contests(|| (Office::registered(), bind.clone()));
    let mut lost = 0;
    for contest in &all {
        let words = text(&contest.answer);
        assert_eq!(contest.answer["ok"], contest.is_taken(ASSIGNED, Some("etl")), "{words}");
        lost += usize::from(words.starts_with("bind: it was not done") && words.contains(LOST));
    }
    assert!(lost > 0 && lost < all.len(), "{lost} of {}", all.len());
}

#[test]
fn a_row_that_lost_has_failed() {
    let row = json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") });
    let import = json!({ "action": "import", "rows": [row] });
    let all = contests(|| (Office::registered(), import.clone()));
    let mut lost = 0;
    for contest in &all {
        let (counts, words) = (&contest.answer["counts"], text(&contest.answer));
        let taken = usize::from(contest.is_taken(ASSIGNED, Some("etl")));
        assert_eq!(counts["failed"], 1 - taken, "{words}");
        assert_eq!(words.contains(LOST), taken == 0, "{words}");
        lost += 1 - taken;
    }
    assert!(lost > 0 && lost < all.len(), "{lost} of {}", all.len());
}

#[test]
fn an_adoption_whose_binding_lost_permits_nothing() {
    let named =
        json!({ "namespace": "domino-compute", "serviceAccount": "svc-etl-sa", "as": "svc-etl" });
    let adopt = json!({ "action": "adopt", "cluster": "blue", "associations": [named] });
    let make = || {
        let office = Office::registered();
        let (blue, theirs) = (cluster("blue"), role("etl").to_string());
        let mut world = office.ports.world();
        world.add_foreign_association(&blue, "domino-compute", "svc-etl-sa", &theirs).unwrap();
        drop(world);
        let mut payload = adopt.clone();
        payload["plan"] = office.planned(adopt.clone())["plan"].clone();
        (office, payload)
    };
    let (mut lost, mut done) = (0, 0);
    for contest in contests(make) {
        let words = text(&contest.answer);
        if contest.is_taken(ASSIGNED, Some("etl")) {
            done += 1;
            continue;
        }
        // It came before the look, or after it.
        assert!(words.contains("is not what `plan`") || words.contains(LOST), "{words}");
        lost += usize::from(words.contains(LOST));
        contest.office.reconcile("blue");
        let theirs = contest.office.there("blue", "svc-etl-sa").unwrap();
        assert!(theirs.tags.is_empty(), "{theirs:?}: {words}");
        assert_eq!(theirs.role_arn, role("etl").to_string());
    }
    assert!(lost > 0 && done > 0, "{lost} lost, {done} done");
}

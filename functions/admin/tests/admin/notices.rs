//! Events that were refused or overtaken, and how they are sent again.

use std::time::Duration;

use pod_identity_engine::Outcome;
use serde_json::{Value, json};

use crate::office::{Office, role, text};

fn event(kind: &str, detail: &Value) -> Value {
    json!({
        "version": "0", "id": "e-1", "detail-type": kind, "source": "domino.automation",
        "account": "111122223333", "time": "2026-11-20T12:00:00Z", "region": "eu-west-1",
        "resources": [], "detail": detail,
    })
}

fn assigned(event_id: &str, at: &str, role: &str) -> Value {
    let detail = json!({
        "schemaVersion": 1, "eventId": event_id, "occurredAt": at, "serviceAccount": "svc-etl",
        "roleArn": role, "actor": "pipeline",
    });
    event("Service Account Role Assigned", &detail)
}

/// The event that EventBridge makes of an entry, whose detail somebody edits.
fn sent(entry: &Value, edit: impl FnOnce(&mut Value)) -> String {
    assert_eq!(entry["EventBusName"], "domino-pod-identity");
    let mut detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    edit(&mut detail);
    let mut event = event(entry["DetailType"].as_str().unwrap(), &detail);
    event["source"] = entry["Source"].clone();
    event.to_string()
}

#[test]
fn a_rejected_event_with_a_key_twice_is_shown_as_its_text() {
    let office = Office::registered();
    let event = assigned("e-1", "2026-11-20T11:00:00.000Z", role("etl").as_str()).to_string();
    let twice = event.replacen("\"roleArn\":", "\"roleArn\":\"x\",\"roleArn\":", 1);
    assert_eq!(office.comes(&twice).outcome, Outcome::Rejected);
    let answer = office.planned(json!({ "action": "rejected" }));
    assert!(text(&answer).contains("key `detail.roleArn` occurs twice"), "{}", text(&answer));
    assert_eq!(answer["notices"][0]["original"], twice);
    assert_eq!(answer["notices"][0]["entry"], Value::Null);
}

#[test]
fn a_rejected_event_is_told_with_its_reasons_corrected_and_sent_again() {
    let office = Office::registered();
    let admin = "arn:aws:iam::111122223333:role/admin";
    let original = assigned("e-1", "2026-11-20T11:00:00.000Z", admin);
    assert_eq!(office.comes(&original.to_string()).outcome, Outcome::Rejected);
    assert_eq!(office.comes("no event at all").outcome, Outcome::Rejected);
    let answer = office.planned(json!({ "action": "rejected" }));
    let words = text(&answer);
    assert!(words.starts_with("2 events were rejected from 2026-11-14 to 2026-11-20"), "{words}");
    assert!(words.contains("Service Account Role Assigned e-1"), "{words}");
    assert!(words.contains("is not in ROLES") && words.contains("put-events"), "{words}");
    let notices = answer["notices"].as_array().unwrap();
    let (whole, other): (Vec<&Value>, Vec<&Value>) =
        notices.iter().partition(|notice| notice["original"].is_object());
    assert_eq!(other[0]["original"], "no event at all");
    assert_eq!(other[0]["entry"], Value::Null, "there is nothing to be sent");
    let notice = whole[0];
    assert_eq!(notice["original"], original);
    assert!(notice["reasons"][0].as_str().unwrap().contains(admin), "{notice}");
    let corrected = sent(&notice["entry"], |detail| detail["roleArn"] = json!(role("etl")));
    assert_eq!(office.comes(&corrected).outcome, Outcome::Applied);
    let history = office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
    assert_eq!(history["history"][0]["actor"], "pipeline", "{}", text(&history));
}

#[test]
fn a_superseded_event_is_told_with_what_stands_and_has_its_effect_when_it_is_sent_again() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let late = assigned("late", "2026-11-20T11:00:00.000Z", role("train").as_str());
    assert_eq!(office.comes(&late.to_string()).outcome, Outcome::Superseded);
    assert_eq!(office.planned(json!({ "action": "rejected" }))["known"], 0);
    let answer = office.planned(json!({ "action": "superseded" }));
    let notice = &answer["notices"][0];
    assert_eq!((&answer["known"], &notice["original"]), (&json!(1), &late));
    let words = text(&answer);
    assert!(words.contains("is older than that of") && words.contains("Assigned late"), "{words}");
    assert!(notice["reasons"][0].as_str().unwrap().contains("svc-etl: the change of"), "{notice}");

    let now = office.ports.world().now.to_string();
    let again = sent(&notice["entry"], |detail| {
        detail["eventId"] = json!("late-again");
        detail["occurredAt"] = json!(now);
    });
    assert_eq!(office.comes(&again).outcome, Outcome::Applied);
    let history = office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
    assert_eq!(history["history"][0]["change"]["role"], json!(role("train")));
}

#[test]
fn everything_that_is_kept_is_reached_day_by_day_back() {
    let mut office = Office::registered();
    office.settings.notice_retention = Duration::from_hours(90 * 24);
    for day in 0..90 {
        assert_eq!(office.comes(&format!("not JSON {day}")).outcome, Outcome::Rejected);
        office.advance(24 * 60 * 60);
    }
    let (mut seen, mut questions, mut before) = (0, 0, Value::Null);
    loop {
        let days = json!({ "action": "rejected", "days": 31, "before": before, "limit": 100 });
        let answer = office.planned(days);
        seen += answer["notices"].as_array().unwrap().len();
        questions += 1;
        before = answer["next"].clone();
        let Some(next) = before.as_str() else { break };
        let words = text(&answer);
        assert!(words.contains("kept for 90 days"), "{words}");
        assert!(words.contains(&format!("\"before\": \"{next}\"")), "{words}");
    }
    assert_eq!((seen, questions), (90, 3));
    let one = office.planned(json!({ "action": "rejected", "days": 1, "before": "2026-11-21" }));
    assert_eq!((&one["from"], &one["to"]), (&json!("2026-11-20"), &json!("2026-11-20")));
    assert_eq!(one["notices"][0]["original"], "not JSON 0");
    let few = office.planned(json!({ "action": "rejected", "days": 31, "limit": 2 }));
    assert!(text(&few).contains("The newest 2 are shown; raise limit"), "{}", text(&few));
    let wrong = office.refused(json!({ "action": "superseded", "before": "last week" }));
    assert!(
        wrong.contains("before is a date such as ") && wrong.contains("`last week`"),
        "{wrong}"
    );
}

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use pod_identity_core::{ClusterArn, Pattern, ServiceAccountRef};
use pod_identity_engine::{DominoCheck, Reconciled, Scope};
use pod_identity_events::samples;
use serde_json::{Value, json};

use crate::metrics::{self, metrics};
use crate::request::{ReconcileRequest, read};

fn cluster() -> ClusterArn {
    "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap()
}

fn own() -> Vec<Pattern> {
    vec![Pattern::new("arn:aws:iam::111122223333:role/domino-pod-identity-*")]
}

/// A call as CloudTrail records it and EventBridge delivers it, with other fields in its detail.
fn trail(name: &str, changes: &Value) -> Value {
    let sample = samples::trail().iter().find(|sample| sample.name == name).unwrap();
    let mut event: Value = serde_json::from_str(sample.json).unwrap();
    for (field, value) in changes.as_object().unwrap() {
        event["detail"][field] = value.clone();
    }
    event
}

fn asked(event: &Value) -> ReconcileRequest {
    read(&event.to_string(), &own()).unwrap()
}

#[test]
fn a_call_by_hand_asks_for_its_place_and_names_who_made_it() {
    let admin = "arn:aws:sts::111122223333:assumed-role/platform-admin/jo.meier";
    let user = "arn:aws:iam::111122223333:user/kim.lee";
    for (name, actor) in [("create", admin), ("update", admin), ("delete", user)] {
        // By the name that the path has, by the reference's, and by the answer's alone.
        let by_reference = json!({ "requestParameters": { "clusterName": "blue" } });
        let by_answer = json!({ "requestParameters": null });
        for changes in [json!({}), by_reference, by_answer] {
            let ReconcileRequest::One { scope, .. } = asked(&trail(name, &changes)) else {
                panic!("nothing asked")
            };
            assert_eq!(scope.cluster, cluster());
            let place = ServiceAccountRef::new("domino-compute", "svc-etl-sa").unwrap();
            assert_eq!(scope.places.into_iter().collect::<Vec<_>>(), [place]);
            assert_eq!(scope.actor.as_deref(), Some(actor));
        }
    }
}

#[test]
fn a_call_that_names_no_place_asks_for_the_whole_cluster() {
    let arn = "arn:aws:eks:eu-west-1:111122223333:podidentityassociation/blue/a-1";
    let plain = json!({ "requestParameters": { "resourceArn": arn } });
    let silent = json!({ "responseElements": null });
    for event in [
        trail("tag", &json!({})),
        trail("untag", &json!({})),
        trail("untag", &plain),
        trail("delete", &silent),
    ] {
        let ReconcileRequest::One { scope, .. } = asked(&event) else {
            panic!("nothing asked: {event}")
        };
        assert_eq!((scope.cluster, scope.places.len()), (cluster(), 0));
    }
}

#[test]
fn a_call_of_a_service_is_of_the_partition_of_its_association_or_region() {
    let of = |region: &str, response: Value| {
        let changes = json!({
            "userIdentity": { "type": "AWSService", "invokedBy": "eks.amazonaws.com" },
            "awsRegion": region, "responseElements": response,
        });
        let ReconcileRequest::One { scope, .. } = asked(&trail("create", &changes)) else {
            panic!("nothing asked")
        };
        assert_eq!(scope.actor.as_deref(), Some("AWSService eks.amazonaws.com"));
        scope.cluster.to_string()
    };
    for (region, partition) in
        [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
    {
        let cluster = format!("arn:{partition}:eks:{region}:111122223333:cluster/blue");
        assert_eq!(of(region, Value::Null), cluster);
    }
    let arn = "arn:aws-eusc:eks:eusc-de-east-1:111122223333:podidentityassociation/blue/a-1";
    let response = json!({ "association": { "associationArn": arn } });
    let cluster = "arn:aws-eusc:eks:eusc-de-east-1:111122223333:cluster/blue";
    assert_eq!(of("eusc-de-east-1", response), cluster);
}

#[test]
fn an_identity_without_an_arn_names_its_actor() {
    for (identity, actor) in [
        (
            json!({ "type": "AWSService", "invokedBy": "eks.amazonaws.com" }),
            "AWSService eks.amazonaws.com",
        ),
        (
            json!({ "type": "IdentityCenterUser", "onBehalfOf": { "userId": "u-1", "identityStoreArn": "a" } }),
            "IdentityCenterUser u-1",
        ),
        (
            json!({ "type": "WebIdentityUser", "userName": "ada", "principalId": "p" }),
            "WebIdentityUser ada",
        ),
        (json!({ "type": "Unknown", "principalId": "p-1" }), "Unknown p-1"),
    ] {
        let event = trail("create", &json!({ "userIdentity": identity }));
        let ReconcileRequest::One { scope, .. } = asked(&event) else { panic!("nothing asked") };
        assert_eq!(scope.actor.as_deref(), Some(actor));
    }
}

#[test]
fn own_calls_failed_calls_and_those_on_other_resources_ask_for_nothing() {
    let nodegroup = "arn:aws:eks:eu-west-1:111122223333:nodegroup/blue/n/1";
    for event in [
        trail("own", &json!({})),
        trail("denied", &json!({})),
        trail("tag", &json!({ "requestParameters": { "resourceArn": nodegroup } })),
        trail("update", &json!({ "eventName": "UpdateClusterConfig" })),
        trail("create", &json!({ "eventSource": "iam.amazonaws.com" })),
    ] {
        assert!(matches!(asked(&event), ReconcileRequest::Nothing(_)), "{event}");
    }
    // It is the role that makes a call one's own, not what was called.
    let somebody = read(&trail("own", &json!({})).to_string(), &[]).unwrap();
    assert!(matches!(somebody, ReconcileRequest::One { .. }));
}

#[test]
fn a_schedule_and_a_request_without_a_cluster_ask_for_all() {
    let schedule =
        json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
    let request = json!({ "detail-type": "Reconciliation Requested", "detail": { "reason": "x" } });
    for event in [schedule, request, json!({})] {
        assert_eq!(asked(&event), ReconcileRequest::All);
    }
}

#[test]
fn a_request_goes_on_where_the_last_one_stopped_and_not_for_ever() {
    let request = |continuation: u32| {
        json!({ "detail-type": "Reconciliation Requested", "detail": {
            "clusterArn": cluster(), "after": "domino-compute/svc-7-sa", "continuation": continuation,
        }})
    };
    let ReconcileRequest::One { scope, continuation, plan_only } = asked(&request(3)) else {
        panic!("all")
    };
    assert_eq!(scope.after.unwrap().to_string(), "domino-compute/svc-7-sa");
    assert_eq!((continuation, plan_only), (3, false));
    let error = read(&request(101).to_string(), &[]).unwrap_err();
    assert!(error.0.contains("raise the function's time-out"), "{error}");
}

#[test]
fn somebody_in_the_console_may_ask_for_a_plan() {
    let ReconcileRequest::One { plan_only, scope, .. } =
        asked(&json!({ "clusterArn": cluster(), "planOnly": true }))
    else {
        panic!("all")
    };
    assert!(plan_only && scope == Scope::of(cluster()));
}

#[test]
fn what_is_no_request_is_told_the_rule() {
    for (text, rule) in [
        ("{", "not JSON"),
        (r#"{"planOnly":true,"planOnly":false}"#, "key `planOnly` occurs twice"),
        (
            r#"{"detail-type":"Cluster Registered","detail":{}}"#,
            "it takes `Reconciliation Requested`",
        ),
        (r#"{"clusterArn":"blue"}"#, "the ARN of an EKS cluster"),
    ] {
        let error = read(text, &[]).unwrap_err();
        assert!(error.0.contains(rule), "{error}");
    }
}

#[test]
fn metrics_of_a_cluster_are_embedded_metric_format() {
    let done = Reconciled { places: 3, steps: 2, names: Some(41), ..Reconciled::default() };
    let (took, now) = (Duration::from_secs(1), Duration::from_secs(9));
    let line = metrics("acme", 50, &cluster(), &done, took, now);
    assert_eq!(line["NamesUsed"], 82);
    assert_eq!(
        (&line["Cluster"], &line["PlacesLookedAt"], &line["Steps"]),
        (&json!("blue"), &json!(3), &json!(2))
    );
    assert_eq!(line["_aws"]["Timestamp"], 9_000);
    for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap() {
        assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
    }
}

#[test]
fn a_look_at_domino_that_failed_is_not_counted_as_one_that_found_nothing() {
    let now = Duration::from_secs(9);
    let failed = metrics::domino("acme", &Err("no connection".into()), now);
    assert_eq!((&failed["DominoFailed"], failed.get("DominoDeactivated")), (&json!(1), None));
    let found = metrics::domino("acme", &Ok(DominoCheck::default()), now);
    for metric in
        ["DominoFailed", "DominoDeactivated", "DominoGone", "DominoUnbound", "DominoHalted"]
    {
        assert_eq!(found[metric], json!(0), "{metric}");
    }
    assert_eq!(found["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Deployment"]]));
}

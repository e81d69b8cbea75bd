//! Files of bindings over S3, by the real admin function.

use local::InvocationResult;
use local::scene::{self, EXCHANGE_BUCKET};
use pod_identity_world::{Object, S3};
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned, unassigned};

async fn ask(scenario: &Scenario, payload: Value) -> Value {
    let admin = scenario.stage.admin();
    match admin.invoke(payload.to_string()).await.unwrap() {
        InvocationResult::Answer(answer) => answer,
        other => panic!("{payload}: {other:?}\n{}", admin.log().lines().join("\n")),
    }
}

/// Calls of S3 so far: operation, bucket and key, and error.
fn calls_of_s3(scenario: &Scenario) -> Vec<(String, String, Option<String>)> {
    let calls = scenario.stage.wire().log();
    let of_s3 = calls.into_iter().filter(|call| call.service == "s3");
    of_s3.map(|call| (call.operation, call.object, call.error)).collect()
}

#[tokio::test]
async fn what_is_exported_to_s3_is_imported_from_there_unchanged() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-etl", "etl", 3)]).await;
    for key in ["dir/all bindings.csv", "all.json"] {
        let format = if key.ends_with("csv") { "csv" } else { "json" };
        let to = json!({ "key": key });
        let mut export = json!({ "action": "export", "format": format, "to": to });
        let planned = ask(&scenario, export.clone()).await;
        assert!(planned["text"].as_str().unwrap().contains("would be written"), "{planned:#}");
        assert!(scenario.stage.world().s3.object(EXCHANGE_BUCKET, key).is_none());
        export["mode"] = json!("apply");
        let applied = ask(&scenario, export).await;
        assert_eq!(
            (&applied["ok"], &applied["bindings"]),
            (&json!(true), &json!(2)),
            "{applied:#}"
        );
        let from = json!({ "bucket": EXCHANGE_BUCKET, "key": key });
        let import = ask(&scenario, json!({ "action": "import", "from": from })).await;
        assert_eq!(import["counts"]["unchanged"], 2, "{import:#}");
    }
    let line = |operation: &str, key: &str| {
        (operation.to_owned(), format!("{EXCHANGE_BUCKET}/{key}"), None)
    };
    let expected = [
        line("PutObject", "dir/all bindings.csv"),
        line("GetObject", "dir/all bindings.csv"),
        line("PutObject", "all.json"),
        line("GetObject", "all.json"),
    ];
    assert_eq!(calls_of_s3(&scenario), expected);
}

#[tokio::test]
async fn a_file_is_imported_by_the_digest_that_its_plan_told_and_not_once_it_was_changed() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-etl", "etl", 3)]).await;
    let to = json!({ "key": "all.json" });
    let export = json!({ "action": "export", "mode": "apply", "to": to });
    assert_eq!(ask(&scenario, export).await["ok"], true);
    scenario.deliver(&[unassigned("svc-etl", 4)]).await;
    assert!(scenario.association("blue", "svc-etl-sa").is_none());

    let planned = ask(&scenario, json!({ "action": "import", "from": to })).await;
    let apply = &planned["apply"];
    assert!(apply["from"]["sha256"].is_string(), "{planned:#}");
    let file = scenario.stage.world().s3.object(EXCHANGE_BUCKET, "all.json").unwrap().clone();
    let put = |file: &Object| {
        scenario.stage.world().put_object(EXCHANGE_BUCKET, "all.json", file.clone()).unwrap();
    };
    put(&Object { body: b"[]".to_vec(), ..file.clone() });
    let refused = ask(&scenario, apply.clone()).await;
    assert_eq!(refused["ok"], false, "{refused:#}");
    let words = refused["text"].as_str().unwrap();
    assert!(words.contains("is not the file that was planned"), "{words}");
    put(&file);
    let applied = ask(&scenario, apply.clone()).await;
    assert_eq!(applied["counts"]["new"], 1, "{applied:#}");

    let blue = json!({ "clusterArn": scene::cluster("blue").unwrap() });
    let reconciled = scenario.stage.reconcile().invoke(blue.to_string()).await.unwrap();
    assert!(matches!(reconciled, InvocationResult::Answer(_)), "{reconciled:?}");
    assert!(scenario.association("blue", "svc-etl-sa").is_some());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_said_and_a_foreign_bucket_is_never_asked() {
    let scenario = Scenario::with(&[]).await;
    let from = |bucket: &str| json!({ "action": "import", "from": { "bucket": bucket, "key": "none.csv" } });
    let foreign = ask(&scenario, from("theirs")).await;
    let words = foreign["text"].as_str().unwrap();
    assert!(words.contains("bucket theirs") && words.contains(EXCHANGE_BUCKET), "{words}");
    assert_eq!(calls_of_s3(&scenario), []);
    let missing = ask(&scenario, from(EXCHANGE_BUCKET)).await;
    let words = missing["text"].as_str().unwrap();
    assert_eq!(missing["ok"], false);
    let file = format!("failed to read s3://{EXCHANGE_BUCKET}/none.csv: there is no such file");
    assert!(words.contains(&file), "{words}");
    let called = (
        "GetObject".to_owned(),
        format!("{EXCHANGE_BUCKET}/none.csv"),
        Some("NoSuchKey".to_owned()),
    );
    assert_eq!(calls_of_s3(&scenario), [called]);
}

#[tokio::test]
async fn a_bucket_that_is_gone_and_a_deployment_without_one_are_said() {
    let export = json!({ "action": "export", "mode": "apply", "to": { "key": "all.csv" } });
    let scenario = Scenario::with(&[]).await;
    scenario.stage.world().s3 = S3::default();
    let refused = ask(&scenario, export.clone()).await;
    let words = refused["text"].as_str().unwrap();
    assert!(
        words.contains(&format!(
            "failed to write s3://{EXCHANGE_BUCKET}/all.csv: there is no such bucket"
        )),
        "{words}"
    );
    let scenario = Scenario::with(&[("EXCHANGE_BUCKET", "")]).await;
    let refused = ask(&scenario, export).await;
    let words = refused["text"].as_str().unwrap();
    assert!(words.contains("exchanges no files over S3"), "{words}");
    assert_eq!(calls_of_s3(&scenario), []);
}

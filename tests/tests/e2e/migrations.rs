//! From blue to green by the real admin and reconcile functions.

use local::{Function, InvocationResult, scene};
use pod_identity_events::detail_type;
use serde_json::{Value, json};

use crate::scenario::Scenario;

async fn ask(function: &Function, payload: Value) -> Value {
    match function.invoke(payload.to_string()).await.unwrap() {
        InvocationResult::Answer(answer) => answer,
        other => panic!("{payload}: {other:?}\n{}", function.log().lines().join("\n")),
    }
}

#[tokio::test]
async fn a_migration_is_planned_applied_and_carried_out_by_reconcile() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let green = scene::cluster("green").unwrap();
    let node_role = scene::role("green-eks-nodes").unwrap();
    let to = json!({ "clusterArn": green, "nodeRoleArns": [node_role] });
    let migrate = json!({ "action": "migrate", "from": "blue", "to": to });

    let planned = ask(scenario.stage.admin(), migrate).await;
    let said = &planned["preflight"]["verdicts"][0];
    assert_eq!(said["serviceAccount"], "svc-first", "{planned:#}");
    assert_ne!(said["verdict"], "willBreak", "{planned:#}");
    assert!(scenario.news(detail_type::RECONCILIATION_REQUESTED).is_empty());

    let applied = ask(scenario.stage.admin(), planned["apply"].clone()).await;
    assert_eq!(applied["ok"], true, "{applied:#}");
    assert_eq!(applied["progress"]["pending"], 1, "{applied:#}");
    let requests = scenario.news(detail_type::RECONCILIATION_REQUESTED);
    assert_eq!(requests.len(), 1, "{requests:?}");
    let request = json!({ "clusterArn": requests[0].detail["clusterArn"] });
    ask(scenario.stage.reconcile(), request).await;
    assert!(scenario.association("green", "svc-first-sa").is_some());

    let again = json!({ "action": "migrate", "from": "blue", "to": "green" });
    let done = ask(scenario.stage.admin(), again).await;
    assert_eq!(done["progress"]["readyPercent"], 100, "{done:#}");
}

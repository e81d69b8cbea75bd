//! Export and import of bindings, by the real admin function.

use local::InvocationResult;
use local::scene;
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned, unassigned};

async fn ask(scenario: &Scenario, payload: Value) -> Value {
    let admin = scenario.stage.admin();
    match admin.invoke(payload.to_string()).await.unwrap() {
        InvocationResult::Answer(answer) => answer,
        other => panic!("{payload}: {other:?}\n{}", admin.log().lines().join("\n")),
    }
}

#[tokio::test]
async fn an_export_is_imported_unchanged_and_restores_a_binding() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-etl", "etl", 3)]).await;
    let csv = ask(&scenario, json!({ "action": "export", "format": "csv" })).await["csv"].clone();
    let rows = ask(&scenario, json!({ "action": "export" })).await["rows"].clone();
    let imports =
        [json!({ "action": "import", "csv": csv }), json!({ "action": "import", "rows": rows })];
    for import in &imports {
        let planned = ask(&scenario, import.clone()).await;
        assert_eq!(planned["counts"]["unchanged"], 2, "{planned:#}");
    }
    scenario.deliver(&[unassigned("svc-etl", 4)]).await;
    assert!(scenario.association("blue", "svc-etl-sa").is_none());

    let planned = ask(&scenario, imports[0].clone()).await;
    let applied = ask(&scenario, planned["apply"].clone()).await;
    assert_eq!(applied["counts"]["new"], 1, "{applied:#}");
    let blue = json!({ "clusterArn": scene::cluster("blue").unwrap() });
    let reconciled = scenario.stage.reconcile().invoke(blue.to_string()).await.unwrap();
    assert!(matches!(reconciled, InvocationResult::Answer(_)), "{reconciled:?}");
    assert!(scenario.association("blue", "svc-etl-sa").is_some());
}

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::script::Script;

#[tokio::test]
async fn the_bus_answers_one_result_an_entry_in_order() {
    let script = Script::always(
        200,
        r#"{"FailedEntryCount":1,"Entries":[{"EventId":"1"},
            {"ErrorCode":"ThrottlingException","ErrorMessage":"slow down"}]}"#,
    );
    let entry = |detail: &str| BusEntry {
        detail_type: "Drift Corrected".to_owned(),
        detail: detail.to_owned(),
    };
    let writer = script.aws().writer();
    assert_eq!(writer.put(&[]).await.unwrap(), []);
    let results = writer.put(&[entry("{}"), entry("{}")]).await.unwrap();
    assert_eq!(results[0], Ok(()));
    assert_eq!(results[1].as_ref().unwrap_err().code, "ThrottlingException");
    let sent = &script.json()["Entries"][1];
    assert_eq!(sent["Source"], "domino.pod-identity");
    assert_eq!(sent["EventBusName"], "domino-pod-identity");
    let error = writer.put(&[entry("{}")]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
}

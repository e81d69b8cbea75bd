//! The bus, and roles of other accounts.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_iam::error::ProvideErrorMetadata;
use pod_identity_core::ClusterArn;

use crate::{TARGET, config, wire};

#[tokio::test]
async fn put_events_can_fail_for_some_entries() {
    let wire = wire().await;
    wire.world().bus.refusals.push_back(1);
    let events = aws_sdk_eventbridge::Client::new(&config(&wire, 0).await);
    let entry = |n: usize| {
        PutEventsRequestEntry::builder()
            .event_bus_name("domino-pod-identity")
            .source("domino.pod-identity")
            .detail_type("T")
            .detail(format!(r#"{{"n":{n}}}"#))
            .build()
    };
    let answer = events.put_events().entries(entry(1)).entries(entry(2)).send().await.unwrap();
    assert_eq!(answer.failed_entry_count(), 1);
    assert!(answer.entries()[0].event_id().is_some());
    assert_eq!(answer.entries()[1].error_code(), Some("InternalFailure"));
    assert_eq!(wire.world().bus.events[0].detail["n"], 1);
    let many = (0..11).map(entry).collect();
    let refused = events.put_events().set_entries(Some(many)).send().await.unwrap_err();
    assert_eq!(refused.into_service_error().code(), Some("ValidationException"));
}

#[tokio::test]
async fn assumed_role_reaches_its_account_and_the_log_names_who_assumed_it() {
    let wire = wire().await;
    let far: ClusterArn = "arn:aws:eks:eu-west-1:444455556666:cluster/far".parse().unwrap();
    wire.world().add_cluster(&far, &[]);
    let config = config(&wire, 0).await;
    let provider = aws_config::sts::AssumeRoleProvider::builder(TARGET)
        .session_name("s")
        .configure(&config)
        .build()
        .await;
    let assumed = config
        .to_builder()
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
            provider,
        ))
        .build();
    let describe =
        |config: &SdkConfig| aws_sdk_eks::Client::new(config).describe_cluster().name("far").send();
    let hidden = describe(&config).await.unwrap_err().into_service_error();
    assert!(hidden.is_resource_not_found_exception());
    let found = describe(&assumed).await.unwrap().cluster.unwrap();
    assert_eq!(found.arn(), Some(far.as_str()));
    let operations: Vec<_> =
        wire.log().into_iter().map(|call| (call.caller, call.operation, call.object)).collect();
    let line = |operation: &str, object: &str| {
        ("association".to_owned(), operation.to_owned(), object.to_owned())
    };
    assert_eq!(
        operations,
        [
            line("DescribeCluster", "cluster far"),
            line("AssumeRole", TARGET),
            line("DescribeCluster", "cluster far"),
        ]
    );
}

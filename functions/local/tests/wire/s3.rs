//! Files in buckets.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use local::wire::{Fault, FaultKind};

use crate::{config, wire};

#[tokio::test]
async fn a_file_comes_back_with_its_type_and_a_checksum_that_the_sdk_checks() {
    let wire = wire().await;
    wire.world().s3.add_bucket("files");
    let s3 = aws_sdk_s3::Client::new(&config(&wire, 0).await);
    let key = "a b/\u{e9}+%2F.csv";
    let put = s3.put_object().bucket("files").key(key).content_type("text/csv");
    put.body(ByteStream::from_static(b"a,b\n")).send().await.unwrap();
    let found = s3.get_object().bucket("files").key(key).send().await.unwrap();
    assert_eq!(found.content_type(), Some("text/csv"));
    assert!(found.checksum_crc32().is_some());
    assert_eq!(found.body.collect().await.unwrap().into_bytes().as_ref(), b"a,b\n");
    let calls: Vec<_> = wire.log().into_iter().map(|call| (call.operation, call.object)).collect();
    let line = |operation: &str| (operation.to_owned(), format!("files/{key}"));
    assert_eq!(calls, [line("PutObject"), line("GetObject")]);
}

#[tokio::test]
async fn what_is_not_there_and_what_is_broken_is_said_in_the_words_of_s3() {
    let wire = wire().await;
    wire.world().s3.add_bucket("files");
    let s3 = aws_sdk_s3::Client::new(&config(&wire, 0).await);
    let code = async |bucket: &str| {
        let failed = s3.get_object().bucket(bucket).key("k").send().await.unwrap_err();
        failed.into_service_error().code().unwrap_or_default().to_owned()
    };
    assert_eq!(code("files").await, "NoSuchKey");
    assert_eq!(code("others").await, "NoSuchBucket");
    wire.fault(Fault::new("GetObject", 1, FaultKind::Throttle));
    assert_eq!(code("files").await, "SlowDown");
    wire.fault(Fault::new("GetObject", 1, FaultKind::Denied));
    assert_eq!(code("files").await, "AccessDenied");
    let put = s3.put_object().bucket("files").key("k").checksum_crc32("AAAAAA==");
    let failed = put.body(ByteStream::from_static(b"a")).send().await.unwrap_err();
    assert_eq!(failed.into_service_error().code(), Some("BadDigest"));
    let listed = s3.list_objects_v2().bucket("files").send().await.unwrap_err();
    assert_eq!(listed.into_service_error().code(), Some("NotImplemented"));
}

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use pod_identity_engine::chain;

use super::*;
use crate::script::Script;

fn place(key: &str) -> ObjectPlace {
    ObjectPlace { bucket: "files".to_owned(), key: key.to_owned() }
}

fn error(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>words of S3</Message><RequestId>r</RequestId></Error>"
    )
}

async fn get(script: &Script) -> Result<Vec<u8>, PortError> {
    script.aws().objects().get_object(&place("all.csv")).await
}

async fn put(script: &Script, place: &ObjectPlace) -> Result<(), PortError> {
    script.aws().writer().put_object(place, "text/csv", b"a,b\n".to_vec()).await
}

#[tokio::test]
async fn a_file_is_asked_for_by_its_key_and_the_call_is_signed_for_s3() {
    let script = Script::always(200, "a,b\n");
    let objects = script.aws().objects();
    assert!(script.asked().is_empty(), "nothing is called before it is needed");
    assert_eq!(objects.get_object(&place("a b/\u{e9}+.csv")).await.unwrap(), b"a,b\n");
    let asked = &script.asked()[0];
    let (uri, _) = asked.uri.split_once('?').unwrap();
    assert_eq!(uri, "https://files.s3.eu-west-1.amazonaws.com/a%20b/%C3%A9%2B.csv");
    assert_eq!(asked.method, "GET");
    assert!(asked.authorization.contains("/eu-west-1/s3/aws4_request"), "{}", asked.authorization);
    assert_eq!(asked.headers["x-amz-checksum-mode"], "ENABLED");
}

#[tokio::test]
async fn a_bucket_with_dots_is_in_the_path_since_no_certificate_has_its_name() {
    let script = Script::always(200, "");
    let place = ObjectPlace { bucket: "files.example.com".to_owned(), key: "k".to_owned() };
    assert_eq!(script.aws().objects().get_object(&place).await.unwrap(), b"");
    let uri = script.asked()[0].uri.clone();
    assert!(uri.starts_with("https://s3.eu-west-1.amazonaws.com/files.example.com/k"), "{uri}");
}

#[tokio::test]
async fn a_file_is_written_with_its_type_and_checksum_as_it_is() {
    let script = Script::always(200, "");
    put(&script, &place("dir/all.csv")).await.unwrap();
    let asked = &script.asked()[0];
    assert_eq!((asked.method.as_str(), asked.body.as_str()), ("PUT", "a,b\n"));
    assert!(asked.uri.starts_with("https://files.s3.eu-west-1.amazonaws.com/dir/all.csv"));
    assert!(asked.authorization.contains("/eu-west-1/s3/aws4_request"), "{}", asked.authorization);
    assert_eq!(asked.headers["content-type"], "text/csv");
    assert!(asked.headers.contains_key("x-amz-checksum-crc32"), "{:?}", asked.headers);
    assert!(!asked.headers.contains_key("content-encoding"), "{:?}", asked.headers);
}

#[tokio::test]
async fn what_s3_refuses_is_said_with_the_file_and_the_way_out() {
    let table = [
        ("NoSuchKey", 404, ErrorKind::NotFound, "there is no such file"),
        ("NoSuchBucket", 404, ErrorKind::NotFound, "check EXCHANGE_BUCKET"),
        ("AccessDenied", 403, ErrorKind::Denied, "it is not there, or the role may not read it"),
        ("PermanentRedirect", 301, ErrorKind::Invalid, "in another region than this function"),
        ("AuthorizationHeaderMalformed", 400, ErrorKind::Invalid, "in another region"),
        ("InvalidObjectState", 403, ErrorKind::Invalid, "archived; restore it first"),
        ("KMS.DisabledException", 400, ErrorKind::Invalid, "words of S3"),
        ("SlowDown", 503, ErrorKind::Passing, "words of S3"),
    ];
    for (code, status, kind, words) in table {
        let failed = get(&Script::always(status, &error(code))).await.unwrap_err();
        let said = chain(&failed);
        assert_eq!((failed.kind, failed.code.as_deref()), (kind, Some(code)), "{said}");
        assert!(said.starts_with("failed to read s3://files/all.csv: "), "{said}");
        assert!(said.contains(words) && said.contains(code), "{said}");
    }
}

#[tokio::test]
async fn what_may_not_be_written_is_said_with_the_rights_that_it_takes() {
    let table = [
        ("NoSuchBucket", 404, ErrorKind::NotFound, "check EXCHANGE_BUCKET"),
        ("AccessDenied", 403, ErrorKind::Denied, "s3:PutObject"),
        ("PermanentRedirect", 301, ErrorKind::Invalid, "in another region"),
        ("KeyTooLongError", 400, ErrorKind::Invalid, "words of S3"),
        ("OperationAborted", 409, ErrorKind::Passing, "words of S3"),
    ];
    for (code, status, kind, words) in table {
        let script = Script::always(status, &error(code));
        let failed = put(&script, &place("all.csv")).await.unwrap_err();
        let said = chain(&failed);
        assert_eq!(failed.kind, kind, "{said}");
        assert!(said.starts_with("failed to write s3://files/all.csv: "), "{said}");
        assert!(said.contains(words) && !said.contains("not there"), "{said}");
    }
}

#[tokio::test]
async fn a_file_of_the_cap_is_read_and_one_byte_more_is_not_whatever_its_length_is_said_to_be() {
    let most = "x".repeat(MAX_OBJECT_BYTES);
    assert_eq!(get(&Script::always(200, &most)).await.unwrap().len(), MAX_OBJECT_BYTES);
    let more = format!("{most}x");
    let of = |script: Script| async move {
        let failed = get(&script).await.unwrap_err();
        assert_eq!(failed.kind, ErrorKind::Invalid);
        chain(&failed)
    };
    // Without a length.
    let said = of(Script::always(200, &more)).await;
    assert!(said.contains("s3://files/all.csv: it has more than"), "{said}");
    // With one that is too short.
    let said = of(Script::always(200, &more).saying("content-length", 3)).await;
    assert!(said.contains("it has more than"), "{said}");
    // With the right one, nothing is read.
    let said = of(Script::always(200, "").saying("content-length", MAX_OBJECT_BYTES + 1)).await;
    assert!(said.contains(&format!("it has {} bytes", MAX_OBJECT_BYTES + 1)), "{said}");
    assert!(said.contains(&format!("at most {MAX_OBJECT_BYTES} are read")), "{said}");
}

/// A body without an end, which counts its parts.
struct Endless(Arc<AtomicUsize>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])))))
    }
}

#[tokio::test]
async fn a_body_without_an_end_is_read_up_to_the_cap() {
    let parts = Arc::new(AtomicUsize::new(0));
    let body = ByteStream::from_body_1_x(Endless(Arc::clone(&parts)));
    let failed = whole(&place("endless"), body).await.unwrap_err();
    assert!(chain(&failed).contains("s3://files/endless: it has more than"), "{failed:?}");
    assert_eq!(parts.load(Ordering::Relaxed), MAX_OBJECT_BYTES / 1024 + 1);
}

#[tokio::test]
async fn a_body_that_is_not_what_its_checksum_says_may_be_asked_for_again() {
    let script = Script::always(200, "a,b\n").saying("x-amz-checksum-crc32", "AAAAAA==");
    let failed = get(&script).await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Passing, "{}", chain(&failed));
}

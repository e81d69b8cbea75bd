#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::*;
use crate::script::credentials;

/// 2026-11-23T12:00:00Z.
const NOW: u64 = 1_795_435_200;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn blue() -> ClusterArn {
    "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap()
}

/// The URL in a token.
fn url(token: &Token) -> String {
    let text = token.authorization().to_str().unwrap().to_owned();
    let text = text.strip_prefix("Bearer k8s-aws-v1.").unwrap();
    assert!(!text.contains('='), "base64url without padding: {text}");
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn query(url: &str) -> BTreeMap<String, String> {
    let (_, query) = url.split_once('?').unwrap();
    let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |byte: u8| block.map(|one| one ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_signature_is_that_of_the_canonical_request_by_hand() {
    let token = Token::sign(&blue(), credentials(None), at(NOW)).unwrap();
    let url = url(&token);
    let (host_and_path, _) = url.split_once('?').unwrap();
    assert_eq!(host_and_path, "https://sts.eu-west-1.amazonaws.com/");

    let canonical = "GET\n/\n\
        Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&\
        X-Amz-Credential=AKIDEXAMPLE%2F20261123%2Feu-west-1%2Fsts%2Faws4_request&\
        X-Amz-Date=20261123T120000Z&X-Amz-Expires=60&\
        X-Amz-Security-Token=session%2Btoken%2F%3D&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\n\
        host:sts.eu-west-1.amazonaws.com\nx-k8s-aws-id:blue\n\n\
        host;x-k8s-aws-id\n\
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let scope = "20261123/eu-west-1/sts/aws4_request";
    let hash = hex(&Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n20261123T120000Z\n{scope}\n{hash}");
    let secret = b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let key = scope.split('/').fold(secret.to_vec(), |key, part| hmac(&key, part));
    let signature = &query(&url)["X-Amz-Signature"];
    assert_eq!(*signature, hex(&hmac(&key, &text)));
    // What botocore, which the AWS CLI signs its tokens with, comes to for the same request.
    assert_eq!(signature, "8f99d987badc5538fb81082778ae4d012493bb43e085e4e32cf334a7db298b83");
}

#[test]
fn the_url_holds_what_a_cluster_accepts_and_nothing_else() {
    let token = Token::sign(&blue(), credentials(None), at(NOW)).unwrap();
    let query = query(&url(&token));
    let names: Vec<_> = query.keys().map(String::as_str).collect();
    let expected = [
        "Action",
        "Version",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    ];
    assert_eq!(names, expected);
    assert_eq!(query["X-Amz-Expires"], "60");
    assert_eq!(query["X-Amz-SignedHeaders"], "host;x-k8s-aws-id");
    assert_eq!(query["X-Amz-Security-Token"], "session+token/=");
}

#[test]
fn a_token_is_for_one_cluster_in_the_domain_of_its_partition() {
    let green = "arn:aws:eks:eu-west-1:111122223333:cluster/green".parse().unwrap();
    let signature = |cluster: &ClusterArn| {
        let token = Token::sign(cluster, credentials(None), at(NOW)).unwrap();
        query(&url(&token))["X-Amz-Signature"].clone()
    };
    assert_ne!(signature(&blue()), signature(&green));

    for (arn, host) in [
        ("arn:aws-cn:eks:cn-north-1:111122223333:cluster/blue", "sts.cn-north-1.amazonaws.com.cn"),
        (
            "arn:aws-us-gov:eks:us-gov-west-1:111122223333:cluster/b",
            "sts.us-gov-west-1.amazonaws.com",
        ),
        ("arn:aws-iso:eks:us-iso-east-1:111122223333:cluster/b", "sts.us-iso-east-1.c2s.ic.gov"),
    ] {
        let token = Token::sign(&arn.parse().unwrap(), credentials(None), at(NOW)).unwrap();
        let url = url(&token);
        assert!(url.starts_with(&format!("https://{host}/?")), "{url}");
    }
}

#[test]
fn a_token_is_renewed_after_ten_minutes() {
    let token = Token::sign(&blue(), credentials(None), at(NOW)).unwrap();
    assert!(token.is_fresh(at(NOW)));
    assert!(token.is_fresh(at(NOW + 599)));
    assert!(!token.is_fresh(at(NOW + 600)));
    assert!(!token.is_fresh(at(NOW - 1)), "the clock was set back");
}

#[test]
fn a_token_is_renewed_before_its_credentials_end() {
    let sign = |end| Token::sign(&blue(), credentials(Some(at(end))), at(NOW)).unwrap();
    let token = sign(NOW + 120);
    assert!(token.is_fresh(at(NOW + 59)));
    assert!(!token.is_fresh(at(NOW + 60)));
    assert!(sign(NOW + 3600).is_fresh(at(NOW + 599)));
    assert!(!sign(NOW + 3600).is_fresh(at(NOW + 600)));
}

#[test]
fn a_token_that_clusters_refuse_by_its_length_is_an_error_that_says_why() {
    let long = |length| {
        let session = Some("x".repeat(length));
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", session, None, "test");
        Token::sign(&blue(), credentials, at(NOW))
    };
    assert!(long(2600).is_ok());
    let error = long(3000).unwrap_err();
    assert!(error.to_string().contains("a cluster takes 4096"), "{error}");
}

#[test]
fn a_token_is_not_shown() {
    let token = Token::sign(&blue(), credentials(None), at(NOW)).unwrap();
    let shown = format!("{token:?}");
    assert!(!shown.contains("k8s-aws-v1"), "{shown}");
    assert!(token.authorization().is_sensitive());
}

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../tests/wire/sign.rs"]
mod sign;

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::json;
use sign::{Token, encode};

use super::table;
use super::token::verify;

fn now(token: &Token<'_>) -> Timestamp {
    let since = token.time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_second(i64::try_from(since.as_secs()).unwrap()).unwrap()
}

fn why(token: &Token<'_>) -> &'static str {
    verify(&token.text(), "blue", now(token)).unwrap_err().0
}

#[test]
fn a_token_signed_as_the_sdk_signs_stands_for_its_access_key() {
    let token = Token { session_token: Some("a/b+c=="), ..Token::new("blue", "LOCALWORKLOADS") };
    let signed = verify(&token.text(), "blue", now(&token)).unwrap();
    assert_eq!(signed.access_key, "LOCALWORKLOADS");
    assert_eq!(signed.session_token.as_deref(), Some("a/b+c=="));
    let everywhere = Token {
        region: "us-east-1",
        url: "https://sts.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        ..Token::new("blue", "k")
    };
    verify(&everywhere.text(), "blue", now(&everywhere)).unwrap();
}

#[test]
fn a_token_of_another_cluster_or_secret_or_header_is_refused() {
    let signature = "its signature is not of this cluster's name and a known key";
    assert_eq!(why(&Token::new("green", "k")), signature);
    assert_eq!(why(&Token { secret: "other", ..Token::new("blue", "k") }), signature);
    assert_eq!(why(&Token { method: "POST", ..Token::new("blue", "k") }), signature);
    let header = Token { header: "x-other", ..Token::new("blue", "k") };
    assert_eq!(why(&header), "x-k8s-aws-id is not among its signed headers");
    let token = Token::new("blue", "k");
    let renamed = token.sign().replace("Credential=k", "Credential=other");
    let refused = verify(&encode(&renamed), "blue", now(&token)).unwrap_err();
    assert_eq!(refused.0, signature);
}

#[test]
fn a_token_is_good_for_fifteen_minutes_whatever_it_says() {
    let token = Token { expires: 1, ..Token::new("blue", "k") };
    let at = |seconds: i64| {
        let now = now(&token).as_second() + seconds;
        verify(&token.text(), "blue", Timestamp::from_second(now).unwrap())
    };
    assert!(at(0).is_ok() && at(900).is_ok() && at(-300).is_ok());
    assert!(at(901).is_err() && at(-301).is_err());
    let long = Token { expires: 901, ..Token::new("blue", "k") };
    assert_eq!(why(&long), "X-Amz-Expires is not between 0 and 900");
    let longest = Token { expires: 900, ..Token::new("blue", "k") };
    assert!(verify(&longest.text(), "blue", now(&longest)).is_ok());
}

#[test]
fn a_token_asks_sts_for_nothing_else() {
    let of = |url| Token { url, ..Token::new("blue", "k") };
    for (url, expected) in [
        (
            "https://sts.eu-west-1.amazonaws.com/?Action=AssumeRole&Version=2011-06-15",
            "its action is not GetCallerIdentity of 2011-06-15",
        ),
        (
            "https://sts.eu-west-1.amazonaws.com.evil.example/?Action=GetCallerIdentity&Version=2011-06-15",
            "its host is not STS in the region of its credential",
        ),
        (
            "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "its host is not STS in the region of its credential",
        ),
        (
            "http://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "it is no https URL with the path /",
        ),
        (
            "https://sts.eu-west-1.amazonaws.com/a?Action=GetCallerIdentity&Version=2011-06-15",
            "it is no https URL with the path /",
        ),
        (
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&Version=2011-06-15",
            "it has a parameter twice",
        ),
        (
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X=1",
            "it has a parameter that is not GetCallerIdentity's",
        ),
    ] {
        assert_eq!(why(&of(url)), expected, "{url}");
    }
}

#[test]
fn a_token_has_a_prefix_an_alphabet_and_a_size() {
    let token = Token::new("blue", "k");
    let text = token.text();
    let refused = |text: &str| verify(text, "blue", now(&token)).unwrap_err().0;
    assert_eq!(refused(&text["k8s-".len()..]), "it does not begin with k8s-aws-v1.");
    assert_eq!(refused(&format!("{text}=")), "it is no unpadded base64url");
    let session = "s".repeat(4_096);
    let large = Token { session_token: Some(&session), ..Token::new("blue", "k") };
    assert_eq!(why(&large), "it has more than 4,096 bytes");
    let padded =
        Token { time: token.time + Duration::from_secs(86_400), ..Token::new("blue", "k") };
    assert_eq!(refused(&padded.text()), "it is older than 15 minutes, or from the future");
}

#[test]
fn pods_in_columns_say_how_they_stand() {
    let pod = |phase: &str, more: serde_json::Value| {
        let mut metadata = json!({ "name": phase, "creationTimestamp": "2026-11-20T12:00:00Z" });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({
            "metadata": metadata, "spec": { "containers": [{}, {}] }, "status": { "phase": phase },
        })
    };
    let going = json!({ "deletionTimestamp": "2026-11-20T12:01:00Z" });
    let list = json!({ "metadata": { "continue": "c" }, "items": [
        pod("Running", json!({})), pod("Pending", json!({})), pod("Succeeded", json!({})),
        pod("Running", going),
    ] });
    let shown = table::pods(&list, "2026-11-20T12:02:30Z".parse().unwrap());
    assert_eq!(shown["metadata"]["continue"], "c");
    let cells: Vec<_> = shown["rows"].as_array().unwrap().iter().map(|row| &row["cells"]).collect();
    assert_eq!(*cells[0], json!(["Running", "2/2", "Running", "0", "2m"]));
    assert_eq!(*cells[1], json!(["Pending", "0/2", "Pending", "0", "2m"]));
    assert_eq!(*cells[2], json!(["Succeeded", "0/2", "Completed", "0", "2m"]));
    assert_eq!(*cells[3], json!(["Running", "2/2", "Terminating", "0", "2m"]));
    let one = table::pods(&pod("Failed", json!({})), "2026-11-20T15:00:00Z".parse().unwrap());
    assert_eq!(one["rows"][0]["cells"], json!(["Failed", "0/2", "Error", "0", "3h"]));
}

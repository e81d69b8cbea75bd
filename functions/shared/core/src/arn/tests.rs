#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_role_arn_has_an_account_and_a_name_after_any_path() {
    for (text, name) in [
        ("arn:aws:iam::111122223333:role/etl", "etl"),
        ("arn:aws:iam::111122223333:role/domino/eu/etl", "etl"),
        ("arn:aws-cn:iam::111122223333:role/a+b=c,d.e@f_g-h", "a+b=c,d.e@f_g-h"),
    ] {
        let role: RoleArn = text.parse().unwrap();
        assert_eq!((role.account(), role.name()), ("111122223333", name));
        assert_eq!(role.to_string(), text);
    }
}

#[test]
fn what_is_no_role_arn_is_refused_with_the_rule() {
    for text in [
        "",
        "etl",
        "arn:aws:iam::111122223333:user/etl",
        "arn:aws:iam::111122223333:role/",
        "arn:aws:iam::111122223333:role",
        "arn:aws:iam::111122223333:roles/etl",
        "arn:aws:iam::11112222333:role/etl",
        "arn:aws:iam::11112222333x:role/etl",
        "arn:aws:iam:eu-west-1:111122223333:role/etl",
        "arn:aws:eks::111122223333:role/etl",
        "arn:gcp:iam::111122223333:role/etl",
        "arn:aws:iam::111122223333:role/e tl",
        "arn:aws:iam::111122223333:role/\u{e4}",
        &format!("arn:aws:iam::111122223333:role/{}", "x".repeat(65)),
        &format!("arn:aws:iam::111122223333:role/{}/x", "p".repeat(511)),
    ] {
        let error = text.parse::<RoleArn>().unwrap_err().to_string();
        assert!(error.contains("arn:aws:iam::ACCOUNT:role/"), "{text}: {error}");
    }
}

#[test]
fn a_role_arn_that_a_policy_would_read_as_several_roles_is_refused() {
    for path in ["a*", "a?", "${aws:PrincipalTag/x}", "a\"b", "a\\b"] {
        let text = format!("arn:aws:iam::111122223333:role/{path}/etl");
        let error = text.parse::<RoleArn>().unwrap_err().to_string();
        assert!(error.contains("the ARN of one IAM role"), "{error}");
    }
}

#[test]
fn a_partition_is_one_of_awss() {
    for partition in ["aws", "aws-cn", "aws-us-gov", "aws-iso-b", "aws-eusc"] {
        assert!(format!("arn:{partition}:iam::111122223333:role/etl").parse::<RoleArn>().is_ok());
    }
    for partition in ["", "gcp", "awsx", "aws-\"", "aws-*", "aws- "] {
        assert!(format!("arn:{partition}:iam::111122223333:role/etl").parse::<RoleArn>().is_err());
    }
}

#[test]
fn a_cluster_arn_has_region_account_and_name() {
    let cluster = ClusterArn::new("aws", "eu-west-1", "111122223333", "blue_1-x").unwrap();
    assert_eq!(cluster.as_str(), "arn:aws:eks:eu-west-1:111122223333:cluster/blue_1-x");
    assert_eq!(
        (cluster.partition(), cluster.region(), cluster.account(), cluster.name()),
        ("aws", "eu-west-1", "111122223333", "blue_1-x")
    );
}

#[test]
fn what_is_no_cluster_arn_is_refused() {
    for text in [
        "blue",
        "arn:aws:eks::111122223333:cluster/blue",
        "arn:aws:eks:eu-west-1:111122223333:cluster/",
        "arn:aws:eks:eu-west-1:111122223333:cluster/-blue",
        "arn:aws:eks:eu-west-1:111122223333:cluster/blue/x",
        "arn:aws:eks:eu-west-1:111122223333:nodegroup/blue",
        &format!("arn:aws:eks:eu-west-1:111122223333:cluster/{}", "x".repeat(101)),
    ] {
        assert!(text.parse::<ClusterArn>().is_err(), "{text}");
    }
}

#[test]
fn arns_are_strings_in_json_and_are_checked_there_too() {
    let role: RoleArn = serde_json::from_str("\"arn:aws:iam::111122223333:role/etl\"").unwrap();
    assert_eq!(serde_json::to_string(&role).unwrap(), "\"arn:aws:iam::111122223333:role/etl\"");
    assert!(serde_json::from_str::<RoleArn>("\"etl\"").is_err());
}

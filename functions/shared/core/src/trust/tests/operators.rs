//! Every operator, one case a row. Each row is asked as the condition of an `Allow`,
//! and of a `Deny` beside an `Allow` without conditions.

use serde_json::{Value, json};

use super::{ask, policy, statement};
use pod_identity_events::TrustVerdict::{self, Trusted, Unknown, Untrusted};

/// Whether the condition holds.
#[derive(Debug, Clone, Copy)]
enum Holds {
    Yes,
    No,
    /// Unknown.
    Open,
}
use Holds::{No, Open, Yes};

const ACCOUNT: &str = "aws:SourceAccount";
const CLUSTER: &str = "aws:RequestTag/eks-cluster-name";
const NAMESPACE: &str = "aws:RequestTag/kubernetes-namespace";
const POD: &str = "aws:RequestTag/kubernetes-pod-name";
const SOURCE: &str = "aws:SourceArn";
const TAG_KEYS: &str = "aws:TagKeys";
const TEAM: &str = "aws:RequestTag/team";
const ORG: &str = "aws:SourceOrgID";
const TAGS: bool = true;
const NO_TAGS: bool = false;

type Row = (&'static str, &'static str, Value, bool, Holds);

fn check(rows: impl IntoIterator<Item = Row>) {
    for (operator, key, values, session_tags, holds) in rows {
        let condition = json!({ "Condition": { operator: { key: values } } });
        let row = format!("{condition} session tags {session_tags}");
        let allow = statement(condition.clone());
        let mut deny = statement(condition);
        deny["Effect"] = json!("Deny");
        let verdict = |statements| ask(&policy(statements), session_tags).verdict;
        let (allowed, denied): (TrustVerdict, TrustVerdict) = match holds {
            Yes => (Trusted, Untrusted),
            No => (Untrusted, Trusted),
            Open => (Unknown, Unknown),
        };
        assert_eq!(verdict(vec![allow]), allowed, "allow {row}");
        assert_eq!(verdict(vec![deny, statement(json!({}))]), denied, "deny {row}");
    }
}

#[test]
fn string_equals() {
    check([
        ("StringEquals", NAMESPACE, json!("domino-compute"), TAGS, Yes),
        ("StringEquals", NAMESPACE, json!(["other", "domino-compute"]), TAGS, Yes),
        ("StringEquals", NAMESPACE, json!("other"), TAGS, No),
        ("StringEquals", NAMESPACE, json!("Domino-Compute"), TAGS, No),
        ("StringEquals", NAMESPACE, json!("domino-*"), TAGS, No),
        ("StringEquals", NAMESPACE, json!("domino-comput?"), TAGS, No),
        ("StringEquals", NAMESPACE, json!("domino-compute"), NO_TAGS, No),
        ("StringEquals", ACCOUNT, json!("111122223333"), NO_TAGS, Yes),
        ("StringEquals", ACCOUNT, json!(111_122_223_333_u64), NO_TAGS, Yes),
        ("StringEquals", TEAM, json!("x"), TAGS, No),
        ("StringEquals", POD, json!("x"), TAGS, Open),
        ("StringEquals", POD, json!("x"), NO_TAGS, No),
        ("StringEquals", ORG, json!("o-1"), TAGS, Open),
        ("StringEquals", TAG_KEYS, json!("kubernetes-namespace"), TAGS, Open),
        ("StringEquals", TAG_KEYS, json!("kubernetes-namespace"), NO_TAGS, No),
        ("StringEquals", NAMESPACE, json!([]), TAGS, Open),
        ("StringEqualsIfExists", NAMESPACE, json!("domino-compute"), TAGS, Yes),
        ("StringEqualsIfExists", NAMESPACE, json!("other"), TAGS, No),
        ("StringEqualsIfExists", NAMESPACE, json!("other"), NO_TAGS, Yes),
        ("StringEqualsIfExists", TEAM, json!("x"), TAGS, Yes),
        ("StringEqualsIfExists", POD, json!("x"), TAGS, Open),
        ("StringEqualsIfExists", POD, json!("x"), NO_TAGS, Yes),
        ("StringEqualsIfExists", ORG, json!("o-1"), TAGS, Open),
    ]);
}

#[test]
fn string_not_equals() {
    check([
        ("StringNotEquals", NAMESPACE, json!("domino-compute"), TAGS, No),
        ("StringNotEquals", NAMESPACE, json!("other"), TAGS, Yes),
        ("StringNotEquals", NAMESPACE, json!(["other", "more"]), TAGS, Yes),
        ("StringNotEquals", NAMESPACE, json!(["other", "domino-compute"]), TAGS, No),
        ("StringNotEquals", NAMESPACE, json!("Domino-Compute"), TAGS, Yes),
        ("StringNotEquals", NAMESPACE, json!("*"), TAGS, Yes),
        ("StringNotEquals", NAMESPACE, json!("domino-compute"), NO_TAGS, Yes),
        ("StringNotEquals", TEAM, json!("x"), TAGS, Yes),
        ("StringNotEquals", POD, json!("x"), TAGS, Open),
        ("StringNotEquals", POD, json!("x"), NO_TAGS, Yes),
        ("StringNotEquals", ORG, json!("o-1"), TAGS, Open),
        ("StringNotEquals", TAG_KEYS, json!("team"), TAGS, Open),
        ("StringNotEquals", NAMESPACE, json!([]), TAGS, Open),
        ("StringNotEqualsIfExists", NAMESPACE, json!("domino-compute"), TAGS, No),
        ("StringNotEqualsIfExists", NAMESPACE, json!("domino-compute"), NO_TAGS, Yes),
        ("StringNotEqualsIfExists", NAMESPACE, json!("other"), TAGS, Yes),
        ("StringNotEqualsIfExists", ORG, json!("o-1"), TAGS, Open),
    ]);
}

#[test]
fn string_equals_ignore_case() {
    check([
        ("StringEqualsIgnoreCase", NAMESPACE, json!("Domino-COMPUTE"), TAGS, Yes),
        ("StringEqualsIgnoreCase", NAMESPACE, json!("Domino"), TAGS, No),
        ("StringEqualsIgnoreCase", NAMESPACE, json!("DOMINO-*"), TAGS, No),
        ("StringEqualsIgnoreCase", NAMESPACE, json!("domino-compute"), NO_TAGS, No),
        // The Kelvin sign is a capital k to some.
        ("StringEqualsIgnoreCase", NAMESPACE, json!("\u{212a}"), TAGS, Open),
        ("StringEqualsIgnoreCaseIfExists", NAMESPACE, json!("x"), NO_TAGS, Yes),
        ("StringEqualsIgnoreCaseIfExists", NAMESPACE, json!("x"), TAGS, No),
        ("StringNotEqualsIgnoreCase", NAMESPACE, json!("Domino-COMPUTE"), TAGS, No),
        ("StringNotEqualsIgnoreCase", NAMESPACE, json!(["x", "DOMINO-COMPUTE"]), TAGS, No),
        ("StringNotEqualsIgnoreCase", NAMESPACE, json!("Domino"), TAGS, Yes),
        ("StringNotEqualsIgnoreCase", NAMESPACE, json!("Domino-COMPUTE"), NO_TAGS, Yes),
        ("StringNotEqualsIgnoreCase", NAMESPACE, json!("\u{212a}"), TAGS, Open),
        ("StringNotEqualsIgnoreCaseIfExists", NAMESPACE, json!("Domino-COMPUTE"), TAGS, No),
        ("StringNotEqualsIgnoreCaseIfExists", NAMESPACE, json!("Domino-COMPUTE"), NO_TAGS, Yes),
    ]);
}

#[test]
fn string_like() {
    check([
        ("StringLike", NAMESPACE, json!("domino-*"), TAGS, Yes),
        ("StringLike", NAMESPACE, json!("*-comput?"), TAGS, Yes),
        ("StringLike", NAMESPACE, json!("*"), TAGS, Yes),
        ("StringLike", NAMESPACE, json!("domino-compute"), TAGS, Yes),
        ("StringLike", NAMESPACE, json!("domino"), TAGS, No),
        ("StringLike", NAMESPACE, json!("Domino-*"), TAGS, No),
        ("StringLike", NAMESPACE, json!("domino-compute?"), TAGS, No),
        ("StringLike", NAMESPACE, json!("*"), NO_TAGS, No),
        ("StringLike", SOURCE, json!("arn:aws:eks:*/blue"), TAGS, Yes),
        ("StringLike", POD, json!("*"), TAGS, Yes),
        ("StringLike", POD, json!("run-*"), TAGS, Open),
        ("StringLike", POD, json!(""), TAGS, Open),
        ("StringLike", POD, json!("*"), NO_TAGS, No),
        ("StringLike", TEAM, json!("*"), TAGS, No),
        ("StringLike", ORG, json!("*"), TAGS, Open),
        ("StringLikeIfExists", NAMESPACE, json!("x*"), NO_TAGS, Yes),
        ("StringLikeIfExists", NAMESPACE, json!("x*"), TAGS, No),
        ("StringLikeIfExists", POD, json!("*"), TAGS, Yes),
        ("StringNotLike", NAMESPACE, json!("domino-*"), TAGS, No),
        ("StringNotLike", NAMESPACE, json!("kube-*"), TAGS, Yes),
        ("StringNotLike", NAMESPACE, json!(["kube-*", "*-compute"]), TAGS, No),
        ("StringNotLike", NAMESPACE, json!("*"), NO_TAGS, Yes),
        ("StringNotLike", POD, json!("*"), TAGS, No),
        ("StringNotLike", POD, json!("run-*"), TAGS, Open),
        ("StringNotLikeIfExists", NAMESPACE, json!("domino-*"), TAGS, No),
        ("StringNotLikeIfExists", NAMESPACE, json!("domino-*"), NO_TAGS, Yes),
    ]);
}

#[test]
fn arn_operators_compare_each_of_the_six_parts() {
    const BLUE: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/blue";
    for (equals, not) in [("ArnEquals", "ArnNotEquals"), ("ArnLike", "ArnNotLike")] {
        for (values, fits) in [
            (json!(BLUE), Yes),
            (json!("arn:aws:eks:*:111122223333:cluster/*"), Yes),
            (json!("arn:*:*:*:*:*"), Yes),
            (json!("arn:aws:eks:eu-west-?:111122223333:cluster/blu?"), Yes),
            (json!(["arn:aws:eks:*:444455556666:cluster/*", BLUE]), Yes),
            (json!("arn:aws:eks:eu-west-1:111122223333:cluster/green"), No),
            (json!("arn:aws:eks:eu-west-1:111122223333:cluster/Blue"), No),
            (json!("arn:aws:eks:eu-west-1:444455556666:cluster/*"), No),
            // One star cannot stand for more than one part.
            (json!("arn:aws:eks:eu*:*:x:cluster/blue"), No),
            (json!("arn:aws:*:cluster/blue"), Open),
            (json!("*"), Open),
            (json!("arn:aws:eks:eu-west-1:111122223333:cluster/${aws:x}"), Open),
        ] {
            let opposite = match fits {
                Yes => No,
                No => Yes,
                Open => Open,
            };
            check([
                (equals, SOURCE, values.clone(), TAGS, fits),
                (equals, "aws:RequestTag/eks-cluster-arn", values.clone(), TAGS, fits),
                (not, SOURCE, values.clone(), NO_TAGS, opposite),
            ]);
        }
    }
    check([
        ("ArnLike", NAMESPACE, json!("arn:*:*:*:*:*"), TAGS, Open),
        ("ArnLike", POD, json!("arn:*:*:*:*:*"), TAGS, Open),
        ("ArnLike", "aws:RequestTag/eks-cluster-arn", json!("arn:*:*:*:*:*"), NO_TAGS, No),
        ("ArnLikeIfExists", "aws:RequestTag/eks-cluster-arn", json!("a:b:c:d:e:f"), NO_TAGS, Yes),
        ("ArnEqualsIfExists", SOURCE, json!("a:b:c:d:e:f"), TAGS, No),
        ("ArnNotLike", "aws:RequestTag/eks-cluster-arn", json!("arn:*:*:*:*:*"), NO_TAGS, Yes),
        ("ArnNotEqualsIfExists", SOURCE, json!(BLUE), TAGS, No),
        ("ArnNotLikeIfExists", SOURCE, json!("a:b:c:d:e:f"), TAGS, Yes),
    ]);
}

#[test]
fn null() {
    check([
        ("Null", NAMESPACE, json!("false"), TAGS, Yes),
        ("Null", NAMESPACE, json!(false), TAGS, Yes),
        ("Null", NAMESPACE, json!("true"), TAGS, No),
        ("Null", NAMESPACE, json!("true"), NO_TAGS, Yes),
        ("Null", NAMESPACE, json!("false"), NO_TAGS, No),
        ("Null", NAMESPACE, json!(["true", "false"]), NO_TAGS, Yes),
        ("Null", NAMESPACE, json!("maybe"), TAGS, Open),
        ("Null", POD, json!("false"), TAGS, Yes),
        ("Null", POD, json!("true"), NO_TAGS, Yes),
        ("Null", TEAM, json!("true"), TAGS, Yes),
        ("Null", TAG_KEYS, json!("false"), TAGS, Yes),
        ("Null", TAG_KEYS, json!("false"), NO_TAGS, No),
        ("Null", ORG, json!("true"), TAGS, Open),
        ("Null", ORG, json!("false"), TAGS, Open),
        // Null has no other forms.
        ("NullIfExists", NAMESPACE, json!("false"), TAGS, Open),
        ("ForAnyValue:Null", TAG_KEYS, json!("false"), TAGS, Open),
    ]);
}

#[test]
fn bool() {
    const SERVICE: &str = "aws:PrincipalIsAWSService";
    check([
        ("Bool", SERVICE, json!("true"), TAGS, Yes),
        ("Bool", SERVICE, json!(true), TAGS, Yes),
        ("Bool", SERVICE, json!("false"), TAGS, No),
        ("Bool", SERVICE, json!(["false", "true"]), TAGS, Yes),
        ("Bool", SERVICE, json!("yes"), TAGS, Open),
        ("BoolIfExists", SERVICE, json!("false"), TAGS, No),
        ("BoolIfExists", TEAM, json!("true"), TAGS, Yes),
        ("Bool", TEAM, json!("true"), TAGS, No),
        ("Bool", NAMESPACE, json!("true"), TAGS, Open),
        ("Bool", "aws:SecureTransport", json!("true"), TAGS, Open),
        ("BoolIfExists", "aws:SecureTransport", json!("false"), TAGS, Open),
        ("ForAllValues:Bool", SERVICE, json!("true"), TAGS, Yes),
    ]);
}

#[test]
fn for_all_values() {
    let six = json!([
        "eks-cluster-arn",
        "eks-cluster-name",
        "kubernetes-namespace",
        "kubernetes-service-account",
        "kubernetes-pod-name",
        "kubernetes-pod-uid",
    ]);
    for tag in six.as_array().unwrap() {
        let none = json!({ "ForAllValues:StringNotEquals": { TAG_KEYS: tag } });
        let allow = statement(json!({ "Condition": none }));
        assert_eq!(ask(&policy(vec![allow]), TAGS).verdict, Untrusted, "{tag}");
    }
    let like = json!(["eks-*", "kubernetes-*"]);
    check([
        ("ForAllValues:StringEquals", TAG_KEYS, six.clone(), TAGS, Yes),
        ("ForAllValues:StringEquals", TAG_KEYS, json!("kubernetes-namespace"), TAGS, No),
        ("ForAllValues:StringEquals", TAG_KEYS, json!("kubernetes-namespace"), NO_TAGS, Yes),
        ("ForAllValues:StringLike", TAG_KEYS, like, TAGS, Yes),
        ("ForAllValues:StringLike", TAG_KEYS, json!("Eks-*"), TAGS, No),
        ("ForAllValues:StringNotEquals", TAG_KEYS, json!("team"), TAGS, Yes),
        ("ForAllValues:StringNotEquals", TAG_KEYS, json!(["team", "eks-cluster-arn"]), TAGS, No),
        ("ForAllValues:StringNotEquals", TAG_KEYS, json!("team"), NO_TAGS, Yes),
        ("ForAllValues:StringEqualsIfExists", TAG_KEYS, json!("team"), NO_TAGS, Yes),
        ("ForAllValues:StringEqualsIfExists", TAG_KEYS, json!("team"), TAGS, No),
        ("ForAllValues:StringEquals", NAMESPACE, json!("domino-compute"), TAGS, Yes),
        ("ForAllValues:StringEquals", NAMESPACE, json!("other"), TAGS, No),
        ("ForAllValues:StringEquals", NAMESPACE, json!("other"), NO_TAGS, Yes),
        ("ForAllValues:StringEquals", POD, json!("other"), TAGS, Open),
        ("ForAllValues:StringEquals", ORG, json!("o-1"), TAGS, Open),
        ("ForAllValues:StringEquals", "sts:TransitiveTagKeys", six, TAGS, Yes),
    ]);
}

#[test]
fn for_any_value() {
    check([
        ("ForAnyValue:StringEquals", TAG_KEYS, json!(["team", "kubernetes-namespace"]), TAGS, Yes),
        ("ForAnyValue:StringEquals", TAG_KEYS, json!("team"), TAGS, No),
        ("ForAnyValue:StringEquals", TAG_KEYS, json!("Kubernetes-Namespace"), TAGS, No),
        ("ForAnyValue:StringEqualsIgnoreCase", TAG_KEYS, json!("Eks-Cluster-Arn"), TAGS, Yes),
        ("ForAnyValue:StringEquals", TAG_KEYS, json!("kubernetes-namespace"), NO_TAGS, No),
        ("ForAnyValue:StringLike", TAG_KEYS, json!("eks-*"), TAGS, Yes),
        ("ForAnyValue:StringNotLike", TAG_KEYS, json!("eks-*"), TAGS, Yes),
        ("ForAnyValue:StringNotLike", TAG_KEYS, json!(["eks-*", "kubernetes-*"]), TAGS, No),
        ("ForAnyValue:StringNotEquals", TAG_KEYS, json!("team"), NO_TAGS, No),
        // AWS's pages disagree.
        ("ForAnyValue:StringEqualsIfExists", TAG_KEYS, json!("team"), NO_TAGS, Open),
        ("ForAnyValue:StringEqualsIfExists", TAG_KEYS, json!("team"), TAGS, No),
        ("ForAnyValue:StringEquals", NAMESPACE, json!("domino-compute"), TAGS, Yes),
        ("ForAnyValue:StringEquals", NAMESPACE, json!("domino-compute"), NO_TAGS, No),
        ("ForAnyValue:StringNotEquals", NAMESPACE, json!("domino-compute"), TAGS, No),
        ("ForAnyValue:StringEquals", ORG, json!("o-1"), TAGS, Open),
        ("ForAnyValue:ArnLike", SOURCE, json!("arn:aws:eks:*:*:cluster/blue"), TAGS, Yes),
        ("ForSomeValues:StringEquals", TAG_KEYS, json!("team"), TAGS, Open),
    ]);
}

#[test]
fn other_operators_and_spellings_are_not_guessed() {
    check([
        ("null", NAMESPACE, json!("false"), TAGS, Open),
        ("stringequals", NAMESPACE, json!("domino-compute"), TAGS, Open),
        ("STRINGNOTEQUALS", NAMESPACE, json!("other"), NO_TAGS, Open),
        ("forallvalues:StringEquals", TAG_KEYS, json!("team"), NO_TAGS, Open),
        ("StringEqualsIfexists", NAMESPACE, json!("other"), NO_TAGS, Open),
        ("StringEqualsIfExistsIfExists", NAMESPACE, json!("other"), NO_TAGS, Open),
        ("BoolNot", "aws:PrincipalIsAWSService", json!("true"), TAGS, Open),
        ("NumericEquals", ACCOUNT, json!("111122223333"), TAGS, Open),
        ("DateLessThan", "aws:CurrentTime", json!("2999-01-01T00:00:00Z"), TAGS, Open),
        ("IpAddress", "aws:SourceIp", json!("0.0.0.0/0"), TAGS, Open),
        ("BinaryEquals", NAMESPACE, json!("eA=="), NO_TAGS, Open),
    ]);
}

#[test]
fn policy_variables_leave_only_what_the_text_before_them_excludes() {
    check([
        ("StringEquals", NAMESPACE, json!("${aws:PrincipalTag/ns}"), TAGS, Open),
        ("StringEquals", NAMESPACE, json!("domino-${aws:x}"), TAGS, Open),
        ("StringEquals", NAMESPACE, json!("other-${aws:x}"), TAGS, No),
        ("StringEquals", NAMESPACE, json!("other-${aws:x, '}domino-compute'}"), TAGS, No),
        ("StringEqualsIgnoreCase", NAMESPACE, json!("DOMINO-${aws:x}"), TAGS, Open),
        ("StringEqualsIgnoreCase", NAMESPACE, json!("OTHER-${aws:x}"), TAGS, No),
        ("StringLike", NAMESPACE, json!("*-compute${*}"), TAGS, Open),
        ("StringLike", NAMESPACE, json!("kube-?*${*}"), TAGS, No),
        // A variable that cannot be resolved may make the statement invalid.
        ("StringEquals", NAMESPACE, json!(["domino-compute", "${aws:x}"]), TAGS, Open),
        ("StringNotEquals", NAMESPACE, json!("other-${aws:x}"), TAGS, Open),
        ("StringNotEquals", NAMESPACE, json!(["domino-compute", "${aws:x}"]), TAGS, No),
        ("StringEqualsIfExists", NAMESPACE, json!("${aws:x}"), NO_TAGS, Open),
        ("StringEquals", NAMESPACE, json!("${aws:x}"), NO_TAGS, No),
        ("StringEquals", CLUSTER, json!("blue$"), TAGS, No),
    ]);
}

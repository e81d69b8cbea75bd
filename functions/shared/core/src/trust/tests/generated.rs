//! Generated policies, against the reference evaluation.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::reference::in_all_worlds;
use super::*;

/// Keys and what policies say of them.
fn subjects() -> Vec<(&'static str, Vec<Value>)> {
    let blue = "arn:aws:eks:eu-west-1:111122223333:cluster/blue";
    let arns = || {
        json!([
            blue,
            "arn:aws:eks:*:111122223333:cluster/*",
            "arn:aws:eks:*:4*:cluster/*",
            "*",
            "arn:aws:*:cluster/blue",
            "arn:*:*:*:*:*e",
            "arn:aws:eks:eu-west-1:111122223333:${aws:x}"
        ])
    };
    let tags = json!([
        "eks-*",
        "kubernetes-*",
        "team",
        "Kubernetes-Namespace",
        "*",
        "kubernetes-namespace",
        "eks-cluster-arn"
    ]);
    let names = json!([
        "domino-compute",
        "domino-compute",
        "Domino-Compute",
        "domino-*",
        "other",
        "*",
        "domino-comput?",
        "domino-compute?",
        "${aws:x}",
        "domino-${aws:x}",
        "other-${*}",
        true
    ]);
    [
        ("aws:RequestTag/kubernetes-namespace", names),
        ("aws:RequestTag/kubernetes-service-account", json!(["svc-etl-sa", "svc-*", "svc", ""])),
        ("aws:RequestTag/eks-cluster-name", json!(["blue", "BLUE", "gr*", "${aws:x}"])),
        ("aws:RequestTag/eks-cluster-arn", arns()),
        ("aws:RequestTag/kubernetes-pod-name", json!(["run-abc", "run-*", "*", "o-1"])),
        ("aws:RequestTag/kubernetes-pod-uid", json!(["run-abc", "**", "true"])),
        ("aws:RequestTag/team", json!(["x", "*"])),
        ("aws:PrincipalTag/kubernetes-namespace", json!(["domino-compute", "*"])),
        ("aws:SourceArn", arns()),
        ("aws:SourceAccount", json!(["111122223333", 111_122_223_333_u64, "4*", "1111*"])),
        ("aws:TagKeys", tags.clone()),
        ("sts:TransitiveTagKeys", tags),
        ("sts:ExternalId", json!(["x", "*"])),
        ("aws:PrincipalIsAWSService", json!([true, "true", "false", "yes"])),
        ("aws:PrincipalServiceName", json!(["pods.eks.amazonaws.com", "ec2.amazonaws.com"])),
        ("aws:SourceOrgID", json!(["o-1", "o-2", "o-*", "*", "true"])),
        ("aws:PrincipalOrgPaths", json!(["o-1", "o-*"])),
    ]
    .map(|(key, values)| (key, values.as_array().cloned().unwrap()))
    .to_vec()
}

fn operators() -> Vec<String> {
    let bases = "StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase \
                 StringLike StringNotLike ArnEquals ArnNotEquals ArnLike ArnNotLike Bool";
    let mut operators = Vec::new();
    for base in bases.split_whitespace() {
        for (prefix, times) in [("", 6), ("ForAllValues:", 2), ("ForAnyValue:", 2)] {
            for suffix in ["", "", "IfExists"] {
                operators.extend(vec![format!("{prefix}{base}{suffix}"); times]);
            }
        }
    }
    operators.extend(vec!["Null".to_owned(); 12]);
    let odd = ["stringequals", "NumericEquals", "NullIfExists", "ForAnyValue:Null", "ArnNotequals"];
    operators.extend(odd.map(str::to_owned));
    operators
}

/// A list of one may be written without the brackets.
fn listed(values: Vec<Value>, bare: bool) -> Value {
    if bare && values.len() == 1 { values[0].clone() } else { Value::Array(values) }
}

fn any_condition() -> impl Strategy<Value = (String, String, Value)> {
    let subject = prop::sample::select(subjects()).prop_flat_map(|(key, values)| {
        let values = prop::collection::vec(prop::sample::select(values), 1..4);
        let spellings = vec![key.to_owned(), key.to_uppercase(), key.to_lowercase()];
        (prop::sample::select(spellings), values, any::<bool>())
    });
    let truths =
        prop::collection::vec(prop::sample::select(vec![json!("true"), json!(false)]), 1..3);
    (prop::sample::select(operators()), subject, truths).prop_map(
        |(operator, (key, values, bare), truths)| {
            let values = if operator == "Null" { truths } else { values };
            (operator, key, listed(values, bare))
        },
    )
}

fn any_statement() -> impl Strategy<Value = Value> {
    let pods = "pods.eks.amazonaws.com";
    let principals = vec![
        (8, json!({ "Principal": { "Service": pods } })),
        (2, json!({ "Principal": { "Service": ["ec2.amazonaws.com", pods], "AWS": "1" } })),
        (1, json!({ "Principal": { "Service": "ec2.amazonaws.com" } })),
        (1, json!({ "Principal": "*" })),
        (1, json!({ "Principal": { "AWS": ["*"] } })),
        (1, json!({ "NotPrincipal": { "AWS": "111122223333" } })),
    ];
    let actions = vec![
        (6, json!({ "Action": ["sts:AssumeRole", "sts:TagSession"] })),
        (2, json!({ "Action": "STS:*" })),
        (2, json!({ "Action": "sts:AssumeRole" })),
        (2, json!({ "Action": ["sts:tagsession"] })),
        (1, json!({ "Action": "s3:Get*" })),
        (1, json!({ "NotAction": "sts:GetFederationToken" })),
    ];
    let pick = |options: Vec<(u32, Value)>| {
        prop::strategy::Union::new_weighted(
            options.into_iter().map(|(weight, value)| (weight, Just(value))).collect(),
        )
    };
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let conditions = prop::collection::vec(any_condition(), 0..4);
    (effect, pick(principals), pick(actions), conditions).prop_map(
        |(effect, principal, action, conditions)| {
            let mut statement = principal;
            let fields = statement.as_object_mut().unwrap();
            fields.insert("Effect".to_owned(), json!(effect));
            fields.extend(action.as_object().cloned().unwrap());
            let mut block: Map<String, Value> = Map::new();
            for (operator, key, values) in conditions {
                let keys = block.entry(operator).or_insert_with(|| json!({}));
                // The same key in another case would not be understood.
                if keys.as_object().unwrap().keys().all(|other| !other.eq_ignore_ascii_case(&key)) {
                    keys[key] = values;
                }
            }
            if !block.is_empty() {
                fields.insert("Condition".to_owned(), Value::Object(block));
            }
            statement
        },
    )
}

fn any_policy() -> impl Strategy<Value = Value> {
    let version =
        prop_oneof![4 => Just(Some("2012-10-17")), 1 => Just(Some("2008-10-17")), 1 => Just(None)];
    (version, prop::collection::vec(any_statement(), 1..5), any::<bool>()).prop_map(
        |(version, statements, bare)| {
            let mut policy = json!({ "Statement": listed(statements, bare) });
            if let Some(version) = version {
                policy["Version"] = json!(version);
            }
            policy
        },
    )
}

fn denied(policy: &Value, session_tags: bool) -> bool {
    with_question(session_tags, |question| is_denied(&policy.to_string(), question))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn the_verdict_is_what_all_worlds_say(policy in any_policy(), session_tags in any::<bool>()) {
        let trust = ask(&policy, session_tags);
        let worlds = in_all_worlds(&policy, session_tags);
        match trust.verdict {
            Trusted => prop_assert!(!worlds.refused_in_some, "{trust:?} {worlds:?}"),
            Untrusted => prop_assert!(!worlds.allowed_in_some, "{trust:?} {worlds:?}"),
            Unknown => prop_assert!(worlds.unknown_met, "{trust:?} {worlds:?}"),
        }
    }

    #[test]
    fn the_required_statement_helps_unless_a_deny_decides(
        policy in any_policy(),
        session_tags in any::<bool>(),
    ) {
        let required = with_question(session_tags, required_policy);
        let mut helped = policy.clone();
        let mut statements = match &policy["Statement"] {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        let denies = statements.iter().any(|statement| statement["Effect"] == "Deny");
        statements.push(required["Statement"][0].clone());
        helped["Statement"] = Value::Array(statements);
        let verdict = ask(&helped, session_tags).verdict;
        prop_assert_eq!(verdict == Untrusted, denied(&policy, session_tags));
        if !denies {
            prop_assert_eq!(verdict, Trusted);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn no_text_in_a_condition_stops_the_evaluation(
        operator in prop::sample::select(operators()),
        key in prop_oneof![
            prop::sample::select(subjects()).prop_map(|(key, _)| key.to_owned()),
            "aws:(RequestTag|PrincipalTag)/?\\PC{0,4}",
            "\\PC{0,12}",
        ],
        values in prop::collection::vec("(d|s|o|\\*|\\?|:|\\$\\{|\\}|\u{212a}|\\PC){0,12}", 0..3),
    ) {
        let condition = json!({ "Condition": { operator: { key: values } } });
        for session_tags in [true, false] {
            let trust = ask(&policy(vec![statement(condition.clone())]), session_tags);
            prop_assert!(!trust.reason.is_empty());
        }
    }
}

/// Properties over policies that are all unknown, or all alike, would prove nothing.
#[test]
fn generated_policies_reach_every_verdict_with_and_without_the_unknown() {
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for number in 0..2_000 {
        let policy = any_policy().new_tree(&mut runner).unwrap().current();
        let session_tags = number % 2 == 0;
        let worlds = in_all_worlds(&policy, session_tags);
        let verdict = format!("{:?}", ask(&policy, session_tags).verdict);
        *seen.entry((verdict, worlds.unknown_met)).or_insert(0) += 1;
    }
    for (verdict, unknown_met) in [
        ("Trusted", false),
        ("Trusted", true),
        ("Untrusted", false),
        ("Untrusted", true),
        ("Unknown", true),
    ] {
        let times = seen.get(&(verdict.to_owned(), unknown_met)).copied().unwrap_or(0);
        assert!(times >= 50, "{seen:?}");
    }
}

//! Target roles: what EKS asks them for when it goes on from the role of a binding, whether their
//! trust policy takes it, and the statements that they need.
//! <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html>

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{Binding, ClusterArn, DominoName, Pattern, RoleArn, ServiceAccountRef};
use pod_identity_events::{Trust, TrustVerdict};
use serde_json::{Value, json};

use super::trust_policy::document::{alike, free, several, values};

const SID: &str = "AllowEksPodIdentityToGoOn";

/// A binding on one cluster that goes on to a target role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hop {
    pub(super) name: DominoName,
    /// The role from which it goes on.
    pub(super) role: RoleArn,
    pub(super) kubernetes: ServiceAccountRef,
    pub(super) cluster: ClusterArn,
    pub(super) session_tags: bool,
}

impl Hop {
    pub(super) fn of(binding: &Binding, cluster: &ClusterArn) -> Self {
        Self {
            name: binding.service_account.clone(),
            role: binding.desired.role.clone(),
            kubernetes: binding.kubernetes.clone(),
            cluster: cluster.clone(),
            session_tags: !binding.desired.disable_session_tags,
        }
    }

    /// What EKS sends as `sts:ExternalId` where session tags are disabled. With them AWS's guide promises none, and
    /// an author of EKS says that none is sent (awsdocs/amazon-eks-user-guide, pull request 1059).
    pub(super) fn external_id(&self) -> String {
        let (cluster, place) = (&self.cluster, &self.kubernetes);
        let (region, account, name) = (cluster.region(), cluster.account(), cluster.name());
        format!("{region}/{account}/{name}/{}/{}", place.namespace(), place.service_account())
    }

    /// The same in words, for who writes a condition on it.
    pub(super) fn sends(&self) -> String {
        if self.session_tags {
            "nobody promises that EKS sends any while session tags are enabled".to_owned()
        } else {
            format!("EKS sends `{}`", self.external_id())
        }
    }

    /// EKS's session tags are transitive, so the second role has to let them in as well.
    fn needs(&self) -> &'static [&'static str] {
        if self.session_tags { &["sts:AssumeRole", "sts:TagSession"] } else { &["sts:AssumeRole"] }
    }

    /// What a condition key holds, as far as AWS says.
    fn sent(&self, key: &str) -> Option<String> {
        let tag = key.strip_prefix("aws:requesttag/").filter(|_| self.session_tags);
        Some(match (key, tag) {
            ("sts:externalid", _) if !self.session_tags => self.external_id(),
            ("aws:principalarn", _) => self.role.to_string(),
            ("aws:principalaccount", _) => self.role.account().to_owned(),
            (_, Some("eks-cluster-arn")) => self.cluster.to_string(),
            (_, Some("eks-cluster-name")) => self.cluster.name().to_owned(),
            (_, Some("kubernetes-namespace")) => self.kubernetes.namespace().to_owned(),
            (_, Some("kubernetes-service-account")) => self.kubernetes.service_account().to_owned(),
            _ => return None,
        })
    }
}

/// Whether a statement, or a condition of it, fits.
enum Fits {
    Yes,
    No(String),
    Unknown(String),
}

/// Whether a target role's trust policy, a JSON document, lets a binding go on to the role.
pub(super) fn evaluate(document: &str, hop: &Hop) -> Trust {
    let trust = |verdict, reason| Trust { verdict, reason };
    let document: Value = match serde_json::from_str(document) {
        Ok(document) => document,
        Err(error) => {
            let why = format!("the trust policy cannot be read: {error}");
            return trust(TrustVerdict::Unknown, why);
        }
    };
    let mut labels = Vec::new();
    let mut unknown = None;
    for action in hop.needs() {
        match allowed(several(&document["Statement"]), action, hop) {
            (Fits::Yes, label) => labels.push(format!("{label} allows {action}")),
            (Fits::No(why), _) => return trust(TrustVerdict::Untrusted, why),
            (Fits::Unknown(why), _) => unknown = unknown.or(Some(why)),
        }
    }
    match unknown {
        Some(why) => trust(TrustVerdict::Unknown, why),
        None => trust(TrustVerdict::Trusted, format!("{} to {}", labels.join(", "), hop.role)),
    }
}

/// Whether an action is allowed, and by which statement.
fn allowed(statements: &[Value], action: &str, hop: &Hop) -> (Fits, String) {
    let (mut by, mut unknown, mut denied, mut misses) = (None, None, None, Vec::new());
    for (at, statement) in statements.iter().enumerate() {
        let label = match statement["Sid"].as_str() {
            Some(sid) if !sid.is_empty() => format!("statement `{sid}`"),
            _ => format!("statement {}", at + 1),
        };
        match (statement["Effect"].as_str(), fits(statement, action, hop)) {
            (Some("Deny"), Fits::No(_)) => {}
            (Some("Deny"), Fits::Yes) => {
                return (Fits::No(format!("{label} denies {action} to {}", hop.role)), label);
            }
            (Some("Deny"), Fits::Unknown(why)) => {
                denied = Some(format!("{label} may deny {action}: {why}"));
            }
            (Some("Allow"), Fits::Yes) => by = by.or(Some(label)),
            (Some("Allow"), Fits::No(why)) => misses.push(format!("{label}: {why}")),
            (_, Fits::Unknown(why)) => unknown = Some(format!("{label} may allow {action}: {why}")),
            _ => unknown = Some(format!("{label} has no Effect")),
        }
    }
    match (by, denied, unknown) {
        (_, Some(why), _) | (None, None, Some(why)) => (Fits::Unknown(why), String::new()),
        (Some(label), None, _) => (Fits::Yes, label),
        (None, None, None) => {
            let misses = if misses.is_empty() {
                misses.concat()
            } else {
                format!(" ({})", misses.join("; "))
            };
            (
                Fits::No(format!("no statement allows {action} to {}{misses}", hop.role)),
                String::new(),
            )
        }
    }
}

fn fits(statement: &Value, action: &str, hop: &Hop) -> Fits {
    for element in ["NotAction", "NotPrincipal"] {
        if !statement[element].is_null() {
            return Fits::Unknown(format!("it uses {element}"));
        }
    }
    let names = |pattern: &Value| {
        let pattern = pattern.as_str().unwrap_or_default().to_ascii_lowercase();
        Pattern::new(pattern).matches(&action.to_ascii_lowercase())
    };
    if !several(&statement["Action"]).iter().any(names) {
        return Fits::No(format!("its Action does not name {action}"));
    }
    let mut result = principal(&statement["Principal"], &hop.role);
    let operators = statement["Condition"].as_object().into_iter().flatten();
    for (operator, keys) in operators {
        for (key, values) in keys.as_object().into_iter().flatten() {
            match (&result, condition(operator, key, values, hop)) {
                (Fits::No(_), _) | (_, Fits::Yes) => {}
                (_, other) => result = other,
            }
        }
    }
    result
}

/// Role sessions act as their role, and every role as its account.
fn principal(principal: &Value, role: &RoleArn) -> Fits {
    let account = role.account();
    let root = format!("arn:{}:iam::{account}:root", role.partition());
    let named = match principal {
        Value::String(_) => several(principal),
        named => several(&named["AWS"]),
    };
    let named: Vec<&str> = named.iter().filter_map(Value::as_str).collect();
    if named.iter().any(|one| [role.as_str(), &root, account, "*"].contains(one)) {
        return Fits::Yes;
    }
    // Sessions, and ids of what was deleted.
    let is_account = |one: &str| one.bytes().all(|byte| byte.is_ascii_digit());
    let is_open =
        |one: &&&str| one.contains(":assumed-role/") || !(one.contains(':') || is_account(one));
    match named.iter().find(is_open) {
        Some(one) => Fits::Unknown(format!("its principal is {one}")),
        None => Fits::No("its principal is another".to_owned()),
    }
}

fn condition(operator: &str, key: &str, values: &Value, hop: &Hop) -> Fits {
    let lower = operator.to_ascii_lowercase();
    let plain = lower.strip_suffix("ifexists").unwrap_or(&lower);
    let Some(found) = hop.sent(&key.to_ascii_lowercase()) else {
        return Fits::Unknown(format!("condition {operator} on {key} cannot be known beforehand"));
    };
    let values: Vec<&str> =
        several(values).iter().map(|value| value.as_str().unwrap_or_default()).collect();
    // The parts of an ARN are compared one by one.
    let parts = |value: &str| value.matches(':').count() == found.matches(':').count();
    let is_met = |value: &&str| match plain {
        "stringequals" => *value == found,
        "stringequalsignorecase" => value.eq_ignore_ascii_case(&found),
        "stringlike" => Pattern::new(*value).matches(&found),
        "arnequals" | "arnlike" => parts(value) && Pattern::new(*value).matches(&found),
        _ => false,
    };
    let is_known = ["stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike"];
    if values.iter().any(is_met) {
        return Fits::Yes;
    }
    let wanted = format!("`{}`", values.join("`, `"));
    // A policy variable, or a wildcard for one character, may still fit; and what IAM makes of an ARN
    // that is none, nobody says. It takes `ArnEquals` for `ArnLike`.
    let wildcards = plain.contains("like") || plain.starts_with("arn");
    let is_open = |value: &&str| {
        let no_arn = plain.starts_with("arn") && value.matches(':').count() < 5;
        value.contains("${") || (wildcards && value.contains('?')) || no_arn
    };
    if !is_known.contains(&plain) || values.iter().any(is_open) {
        return Fits::Unknown(format!(
            "condition {operator} on {key} compares with {wanted} what EKS sends, `{found}`, and whether it holds is not judged here"
        ));
    }
    Fits::No(format!("condition {operator} on {key} wants {wanted} but EKS sends `{found}`"))
}

/// The statements that a target role needs, the least for all of these, called by ids that are not
/// taken.
///
/// Session tags name the place on any cluster. Without them only the external id tells it, which
/// names the cluster.
pub(super) fn statements(hops: &BTreeSet<Hop>, sids_taken: &BTreeSet<String>) -> Vec<Value> {
    let mut tagged: BTreeMap<(&RoleArn, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut untagged: BTreeMap<&RoleArn, BTreeSet<String>> = BTreeMap::new();
    for hop in hops {
        if hop.session_tags {
            let place = &hop.kubernetes;
            let names = tagged.entry((&hop.role, place.namespace())).or_default();
            names.insert(place.service_account());
        } else {
            untagged.entry(&hop.role).or_default().insert(hop.external_id());
        }
    }
    let (mut all, mut sids) = (Vec::new(), sids_taken.clone());
    let mut statement = |role: &RoleArn, actions: Value, condition: Value| {
        let sid = free(SID, &mut sids);
        all.push(json!({
            "Sid": sid,
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:{}:iam::{}:root", role.partition(), role.account()) },
            "Action": actions,
            "Condition": {
                "ArnEquals": { "aws:PrincipalArn": role },
                "StringEquals": condition,
            },
        }));
    };
    for ((role, names), namespaces) in alike(tagged) {
        let condition = json!({
            "aws:RequestTag/kubernetes-namespace": values(&namespaces),
            "aws:RequestTag/kubernetes-service-account": values(&names),
        });
        statement(role, json!(["sts:AssumeRole", "sts:TagSession"]), condition);
    }
    for (role, ids) in untagged {
        let ids = ids.iter().map(String::as_str).collect();
        // AWS's own sample allows the tags although they are disabled.
        let actions = json!(["sts:AssumeRole", "sts:TagSession"]);
        statement(role, actions, json!({ "sts:ExternalId": values(&ids) }));
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hop(cluster: &str, session_tags: bool) -> Hop {
        Hop {
            name: "svc-etl".parse().unwrap(),
            role: "arn:aws:iam::111122223333:role/domino/etl".parse().unwrap(),
            kubernetes: ServiceAccountRef::new("domino-compute", "svc-etl-sa").unwrap(),
            cluster: ClusterArn::new("aws", "eu-west-1", "111122223333", cluster).unwrap(),
            session_tags,
        }
    }

    fn document(statements: &[Value]) -> String {
        json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    }

    fn verdict(statements: &[Value], session_tags: bool) -> TrustVerdict {
        evaluate(&document(statements), &hop("green", session_tags)).verdict
    }

    fn allow(principal: Value, condition: Value) -> Value {
        json!({
            "Effect": "Allow", "Principal": principal,
            "Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": condition,
        })
    }

    const ID: &str = "eu-west-1/111122223333/green/domino-compute/svc-etl-sa";

    #[test]
    fn the_external_id_is_made_of_cluster_and_place() {
        assert_eq!(hop("green", true).external_id(), ID);
    }

    #[test]
    fn role_account_and_everybody_are_principals_that_a_role_is() {
        use TrustVerdict::{Trusted, Unknown, Untrusted};
        for (principal, expected) in [
            (json!({ "AWS": "arn:aws:iam::111122223333:role/domino/etl" }), Trusted),
            (json!({ "AWS": ["x:y", "arn:aws:iam::111122223333:root"] }), Trusted),
            (json!({ "AWS": "111122223333" }), Trusted),
            (json!("*"), Trusted),
            (json!({ "AWS": "arn:aws:iam::111122223333:role/domino/other" }), Untrusted),
            (json!({ "Service": "pods.eks.amazonaws.com" }), Untrusted),
            (json!({ "AWS": "AROAEXAMPLE" }), Unknown),
            (json!({ "AWS": "arn:aws:sts::111122223333:assumed-role/etl/x" }), Unknown),
        ] {
            let statement = allow(principal, json!({}));
            assert_eq!(verdict(std::slice::from_ref(&statement), true), expected, "{statement}");
        }
    }

    #[test]
    fn conditions_are_held_to_what_eks_sends_on_the_cluster() {
        use TrustVerdict::{Trusted, Unknown, Untrusted};
        let blue = "eu-west-1/111122223333/blue/domino-compute/svc-etl-sa";
        for (condition, expected) in [
            (
                json!({ "ArnEquals": { "aws:PrincipalArn": "arn:aws:iam::*:role/domino/*" } }),
                Trusted,
            ),
            (json!({ "ArnEquals": { "aws:PrincipalArn": "arn:*:role/domino/etl" } }), Unknown),
            (json!({ "StringEquals": { "aws:RequestTag/eks-cluster-name": "blue" } }), Untrusted),
            (json!({ "StringEquals": { "aws:RequestTag/team": "x" } }), Unknown),
            (json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } }), Unknown),
        ] {
            let statement = allow(json!("*"), condition);
            assert_eq!(verdict(std::slice::from_ref(&statement), true), expected, "{statement}");
        }
        // With session tags nobody knows whether there is an external id.
        for (condition, expected) in [
            (json!({ "StringEquals": { "STS:externalId": [blue, ID] } }), Trusted),
            (json!({ "StringEquals": { "sts:ExternalId": blue } }), Untrusted),
            (json!({ "StringLike": { "sts:ExternalId": "eu-west-1/*/svc-etl-sa" } }), Trusted),
            (json!({ "StringLike": { "sts:ExternalId": "*/blu?/*" } }), Unknown),
            (json!({ "StringNotEquals": { "sts:ExternalId": blue } }), Unknown),
        ] {
            let statement = [allow(json!("*"), condition)];
            assert_eq!(verdict(&statement, false), expected, "{statement:?}");
            assert_eq!(verdict(&statement, true), Unknown, "{statement:?}");
        }
        let tags =
            json!({ "StringEquals": { "aws:RequestTag/kubernetes-namespace": "domino-compute" } });
        let by_tag = [allow(json!("*"), tags)];
        assert_eq!((verdict(&by_tag, true), verdict(&by_tag, false)), (Trusted, Unknown));
    }

    #[test]
    fn a_pattern_of_an_arn_that_may_fit_is_unknown() {
        use TrustVerdict::{Trusted, Unknown, Untrusted};
        let of = |operator: &str, value: &str| {
            let condition = json!({ operator: { "aws:PrincipalArn": value } });
            evaluate(&document(&[allow(json!("*"), condition)]), &hop("green", true)).verdict
        };
        for operator in ["ArnEquals", "ArnLike"] {
            assert_eq!(of(operator, "arn:aws:iam::111122223333:role/domino/et?"), Unknown);
            assert_eq!(of(operator, "*"), Unknown);
            assert_eq!(of(operator, "arn:aws:iam::111122223333:role/domino/*"), Trusted);
            assert_eq!(of(operator, "arn:aws:iam::111122223333:role/other"), Untrusted);
        }
    }

    #[test]
    fn a_condition_that_is_not_judged_tells_both_sides_and_no_wish() {
        let condition = json!({ "StringNotEquals": { "sts:ExternalId": ID } });
        let policy = document(&[allow(json!("*"), condition)]);
        let reason = evaluate(&policy, &hop("green", false)).reason;
        let both = format!("compares with `{ID}` what EKS sends, `{ID}`, and whether it holds");
        assert!(reason.contains(&both) && !reason.contains("wants"), "{reason}");
    }

    #[test]
    fn a_deny_and_a_missing_tag_session_keep_a_binding_out() {
        use TrustVerdict::{Trusted, Unknown, Untrusted};
        let all = allow(json!("*"), json!({}));
        let mut deny = allow(json!("*"), json!({}));
        deny["Effect"] = json!("Deny");
        assert_eq!(verdict(&[all.clone(), deny.clone()], true), Untrusted);
        deny["Condition"] = json!({ "Bool": { "aws:SecureTransport": "false" } });
        assert_eq!(verdict(&[all.clone(), deny], true), Unknown);
        let mut untagged = all;
        untagged["Action"] = json!("sts:AssumeRole");
        assert_eq!(
            (verdict(&[untagged.clone()], true), verdict(&[untagged], false)),
            (Untrusted, Trusted)
        );
        assert_eq!(verdict(&[], true), Untrusted);
        assert_eq!(evaluate("nothing", &hop("green", true)).verdict, Unknown);
    }

    #[test]
    fn the_statements_admit_whom_they_are_for_and_nobody_else() {
        for session_tags in [true, false] {
            let hop_on = |cluster| hop(cluster, session_tags);
            let hops = BTreeSet::from([hop_on("blue"), hop_on("green")]);
            let document = document(&statements(&hops, &BTreeSet::new()));
            for hop in &hops {
                assert_eq!(evaluate(&document, hop).verdict, TrustVerdict::Trusted, "{document}");
                let kubernetes = ServiceAccountRef::new("domino-compute", "other").unwrap();
                let other = Hop { kubernetes, ..hop.clone() };
                assert_eq!(evaluate(&document, &other).verdict, TrustVerdict::Untrusted);
                let role = "arn:aws:iam::111122223333:role/domino/train".parse().unwrap();
                let other = Hop { role, ..hop.clone() };
                assert_eq!(evaluate(&document, &other).verdict, TrustVerdict::Untrusted);
            }
        }
    }
}

//! Trust policies for whole sets of bindings: written, laid over what is there, and held to core's
//! own evaluator.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::node_policy::characters;
use pod_identity_core::trust::{POD_IDENTITY_PRINCIPAL, TrustPolicy, TrustQuestion};
use pod_identity_core::{ClusterArn, DominoName, ServiceAccountRef};
use pod_identity_events::{Trust, TrustVerdict};
use serde::Serialize;
use serde_json::{Value, json};

use crate::actions::target::{self, Hop};
use pod_identity_engine::Error;

/// IAM's default limit for a trust policy, in characters without white space; adjustable to 4,096.
pub(super) const MAX_CHARACTERS: usize = 2_048;

const SID: &str = "AllowEksAuthToAssumeRoleForPodIdentity";

/// A binding that has to be able to work as the role, on one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct User {
    pub(super) name: DominoName,
    pub(super) kubernetes: ServiceAccountRef,
    pub(super) cluster: ClusterArn,
    pub(super) session_tags: bool,
}

impl User {
    fn question(&self) -> TrustQuestion<'_> {
        let Self { cluster, kubernetes, session_tags, .. } = self;
        TrustQuestion { cluster, kubernetes, session_tags: *session_tags }
    }
}

/// What a trust policy says to one binding on one cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    pub(super) service_account: DominoName,
    pub(super) kubernetes: ServiceAccountRef,
    pub(super) cluster_arn: ClusterArn,
    pub(super) verdict: TrustVerdict,
    pub(super) reason: String,
}

impl Check {
    pub(super) fn trusts(&self) -> bool {
        self.verdict == TrustVerdict::Trusted
    }
}

/// Everything that a role has to let in.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    /// Who works as it.
    pub(super) users: BTreeSet<User>,
    /// What goes on to it as a target role.
    pub(super) hops: BTreeSet<Hop>,
}

impl Needs {
    pub(super) fn names(&self) -> BTreeSet<&DominoName> {
        let hops = self.hops.iter().map(|hop| &hop.name);
        self.users.iter().map(|user| &user.name).chain(hops).collect()
    }

    /// The least that lets all of it in.
    pub(super) fn statements(&self, sids_taken: &BTreeSet<String>) -> Vec<Value> {
        let mut all = statements(&self.users, sids_taken);
        all.extend(target::statements(&self.hops, sids_taken));
        all
    }

    /// What a trust policy says to all of it: users, then hops.
    pub(super) fn check(&self, document: &str) -> Vec<Check> {
        let mut checks = check(&TrustPolicy::read(document), &self.users);
        checks.extend(check_hops(document, &self.hops));
        checks
    }

    /// Those that the checks did not find trusted.
    fn lacking(&self, checks: &[Check]) -> Self {
        let (users, hops) = checks.split_at(self.users.len().min(checks.len()));
        Self { users: untrusted(&self.users, users), hops: untrusted(&self.hops, hops) }
    }
}

fn untrusted<T: Ord + Clone>(all: &BTreeSet<T>, checks: &[Check]) -> BTreeSet<T> {
    let untrusted = all.iter().zip(checks).filter(|(_, check)| !check.trusts());
    untrusted.map(|(one, _)| one.clone()).collect()
}

/// Asks a target role's trust policy for everything that goes on to it.
pub(super) fn check_hops(document: &str, hops: &BTreeSet<Hop>) -> Vec<Check> {
    let one = |hop: &Hop| {
        let Trust { verdict, reason } = target::evaluate(document, hop);
        Check {
            service_account: hop.name.clone(),
            kubernetes: hop.kubernetes.clone(),
            cluster_arn: hop.cluster.clone(),
            verdict,
            reason,
        }
    };
    hops.iter().map(one).collect()
}

/// Asks a trust policy for all that are bound to the role.
pub(super) fn check(policy: &TrustPolicy, users: &BTreeSet<User>) -> Vec<Check> {
    let one = |user: &User| {
        let Trust { verdict, reason } = policy.evaluate(user.question());
        Check {
            service_account: user.name.clone(),
            kubernetes: user.kubernetes.clone(),
            cluster_arn: user.cluster.clone(),
            verdict,
            reason,
        }
    };
    users.iter().map(one).collect()
}

/// The least that lets everybody work as the role, on clusters that are still to come as well: no
/// statement names a cluster.
///
/// A list of namespaces beside a list of service accounts admits every pair of them. So namespaces
/// share a statement only if they want the very same service accounts.
pub(super) fn statements(users: &BTreeSet<User>, sids_taken: &BTreeSet<String>) -> Vec<Value> {
    // By account and namespace.
    let mut wanted: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut untagged: BTreeSet<&str> = BTreeSet::new();
    for user in users {
        let account = user.cluster.account();
        if user.session_tags {
            let place = &user.kubernetes;
            let names = wanted.entry((account, place.namespace())).or_default();
            names.insert(place.service_account());
        } else {
            untagged.insert(account);
        }
    }
    let mut sids = sids_taken.clone();
    let mut statement = |actions: Value, condition: Value| {
        let sid = free(SID, &mut sids);
        json!({
            "Sid": sid,
            "Effect": "Allow",
            "Principal": { "Service": POD_IDENTITY_PRINCIPAL },
            "Action": actions,
            "Condition": { "StringEquals": condition },
        })
    };
    let mut all = Vec::new();
    for ((account, names), namespaces) in alike(wanted) {
        let condition = json!({
            "aws:SourceAccount": account,
            "aws:RequestTag/kubernetes-namespace": values(&namespaces),
            "aws:RequestTag/kubernetes-service-account": values(&names),
        });
        all.push(statement(json!(["sts:AssumeRole", "sts:TagSession"]), condition));
    }
    if !untagged.is_empty() {
        // Without session tags EKS sends nothing of the pod.
        let condition = json!({ "aws:SourceAccount": values(&untagged) });
        all.push(statement(json!("sts:AssumeRole"), condition));
    }
    all
}

/// A statement's id that is not taken yet, and is from now on.
pub(in crate::actions) fn free(sid: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{sid}{number}"));
    let mut all = std::iter::once(sid.to_owned()).chain(numbered);
    let free = all.find(|sid| !taken.contains(sid)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

/// Who wants what by namespace, with the namespaces together that want the very same names.
pub(in crate::actions) fn alike<'a, K: Ord>(
    wanted: BTreeMap<(K, &'a str), BTreeSet<&'a str>>,
) -> BTreeMap<(K, BTreeSet<&'a str>), BTreeSet<&'a str>> {
    let mut alike: BTreeMap<(K, BTreeSet<&str>), BTreeSet<&str>> = BTreeMap::new();
    for ((who, namespace), names) in wanted {
        alike.entry((who, names)).or_default().insert(namespace);
    }
    alike
}

/// What IAM takes as one value or as a list.
pub(in crate::actions) fn several(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// One value, or a list.
pub(in crate::actions) fn values(all: &BTreeSet<&str>) -> Value {
    match all.first() {
        Some(one) if all.len() == 1 => json!(one),
        _ => json!(all),
    }
}

pub(super) fn document(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What the role has now, beside what it needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Difference {
    /// What it has now says to everybody.
    pub(super) now: Vec<Check>,
    /// Statements to add.
    pub(super) missing: Vec<Value>,
    /// Statements that are there and that the least document does not have.
    pub(super) lost: Vec<Value>,
    /// All that is there, and what is missing.
    pub(super) merged: Value,
    /// What the merged document says to everybody.
    pub(super) checks: Vec<Check>,
    /// Whether what is there lets any Kubernetes service account of the account work as the role.
    pub(super) open: bool,
}

/// Lays the least document over the present one. An error where that one is not understood.
pub(super) fn compare(present: &str, needs: &Needs) -> Result<Difference, Error> {
    let mut merged: Value =
        serde_json::from_str(present).map_err(|error| format!("it is not JSON: {error}"))?;
    let there: Vec<Value> = match merged.get("Statement") {
        Some(Value::Array(all)) => all.clone(),
        Some(one @ Value::Object(_)) => vec![one.clone()],
        _ => return Err("it has no Statement".into()),
    };
    let now = needs.check(present);
    let sid = |statement: &Value| statement["Sid"].as_str().map(str::to_owned);
    let taken: BTreeSet<String> = there.iter().filter_map(sid).collect();
    let missing = needs.lacking(&now).statements(&taken);
    let least = needs.statements(&BTreeSet::new());
    let lost =
        there.iter().filter(|one| !least.iter().any(|ours| same(ours, one))).cloned().collect();
    if !missing.is_empty() {
        merged["Statement"] = json!([there, missing.clone()].concat());
    }
    let checks = needs.check(&merged.to_string());
    let open = is_open(&TrustPolicy::read(present), &needs.users);
    Ok(Difference { now, missing, lost, merged, checks, open })
}

/// Whether two statements say the same, whatever they are called.
fn same(one: &Value, other: &Value) -> bool {
    let said = |statement: &Value| {
        let mut statement = statement.clone();
        statement.as_object_mut().into_iter().for_each(|it| _ = it.remove("Sid"));
        // One value and a list of one are the same.
        if let Some(action) = statement["Action"].as_str().map(str::to_owned) {
            statement["Action"] = json!([action]);
        }
        statement
    };
    said(one) == said(other)
}

/// Asks for somebody whom no sensible policy names.
fn is_open(policy: &TrustPolicy, users: &BTreeSet<User>) -> bool {
    let Ok(kubernetes) = ServiceAccountRef::new("nobody", "of-domino-pod-identity") else {
        return false;
    };
    let question =
        |user: &User| policy.evaluate(TrustQuestion { kubernetes: &kubernetes, ..user.question() });
    users.iter().any(|user| question(user).verdict == TrustVerdict::Trusted)
}

/// Characters as IAM counts them.
pub(super) fn length(document: &Value) -> usize {
    characters(&document.to_string())
}

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use pod_identity_core::trust::{TrustPolicy, TrustQuestion};
use pod_identity_core::{ClusterArn, ServiceAccountRef};
use pod_identity_events::TrustVerdict;

use super::{User, check, document, statements};

fn user(namespace: &str, name: &str, cluster: &str, session_tags: bool) -> User {
    User {
        name: name.parse().unwrap(),
        kubernetes: ServiceAccountRef::new(namespace, name).unwrap(),
        cluster: ClusterArn::new("aws", "eu-west-1", "111122223333", cluster).unwrap(),
        session_tags,
    }
}

fn all() -> Vec<User> {
    let mut all = Vec::new();
    for namespace in ["compute", "apps"] {
        for name in ["svc-a", "svc-b", "svc-c"] {
            all.push(user(namespace, name, "blue", true));
        }
    }
    all
}

#[test]
fn every_set_of_bindings_gets_exactly_what_it_wants() {
    let all = all();
    for chosen in 1..1_u32 << all.len() {
        let is_chosen = |at: usize| chosen & (1 << at) != 0;
        let wanted: BTreeSet<User> = all
            .iter()
            .enumerate()
            .filter(|(at, _)| is_chosen(*at))
            .map(|(_, it)| it.clone())
            .collect();
        let statements = statements(&wanted, &BTreeSet::new());
        assert!(statements.len() <= 2, "one a namespace at most");
        let document = document(&statements);
        let policy = TrustPolicy::read(&document.to_string());
        for (at, user) in all.iter().enumerate() {
            // On a cluster that nobody thought of as well.
            let green = ClusterArn::new("aws", "eu-west-1", "111122223333", "green").unwrap();
            for cluster in [&user.cluster, &green] {
                let question = TrustQuestion { cluster, ..user.question() };
                let trusted = policy.evaluate(question).verdict == TrustVerdict::Trusted;
                assert_eq!(trusted, is_chosen(at), "{user:?}: {document:#}");
            }
        }
    }
}

#[test]
fn another_account_is_not_trusted() {
    let wanted = BTreeSet::from([user("compute", "svc-a", "blue", true)]);
    let policy = document(&statements(&wanted, &BTreeSet::new())).to_string();
    let mut foreign = user("compute", "svc-a", "blue", true);
    foreign.cluster = ClusterArn::new("aws", "eu-west-1", "444455556666", "blue").unwrap();
    let checks = check(&TrustPolicy::read(&policy), &BTreeSet::from([foreign]));
    assert!(!checks[0].trusts());
}

#[test]
fn a_sid_that_is_taken_is_not_used_again() {
    let wanted = BTreeSet::from([
        user("compute", "svc-a", "blue", true),
        user("apps", "svc-b", "blue", true),
        user("apps", "svc-c", "blue", false),
    ]);
    let taken = BTreeSet::from(["AllowEksAuthToAssumeRoleForPodIdentity2".to_owned()]);
    let statements = statements(&wanted, &taken);
    let sids: BTreeSet<&str> = statements.iter().filter_map(|one| one["Sid"].as_str()).collect();
    assert_eq!(sids.len(), 3);
    assert!(sids.iter().all(|sid| !taken.contains(*sid)), "{sids:?}");
}

//! What tests of functions over a world share: a small deployment's settings, and what runs a future.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pod_identity_core::{Pattern, Rules, plan};
use pod_identity_engine::Settings;

/// Polls after which a future is taken for one that never ends.
const MOST_POLLS: u64 = 10_000_000;

/// Settings of a deployment called `acme` in one account of eu-west-1: roles below `domino/`,
/// target roles of account 444455556666, executions in `domino-compute`.
#[must_use]
pub fn deployment_settings(account: &str) -> Settings {
    let patterns = |pattern: String| vec![Pattern::new(pattern)];
    Settings {
        rules: Rules {
            region: "eu-west-1".to_owned(),
            clusters: patterns(format!("arn:aws:eks:eu-west-1:{account}:cluster/*")),
            roles: patterns(format!("arn:aws:iam::{account}:role/domino/*")),
            target_roles: patterns("arn:aws:iam::444455556666:role/*".to_owned()),
            namespaces: vec!["domino-compute".to_owned()],
            node_roles: patterns(format!("arn:aws:iam::{account}:role/*-eks-nodes")),
            assume_roles: Vec::new(),
            service_account_template: "{name}-sa".to_owned(),
        },
        plan: plan::Options {
            deployment: "acme".to_owned(),
            trust: plan::TrustMode::Enforce,
            strict: false,
            cluster_statement: true,
            max_deletions: 50,
            max_recreations: 10,
        },
        policy_slots: 10,
        concurrency: 4,
        lease: Duration::from_secs(60),
        longest_call: Duration::from_secs(5),
        notice_retention: Duration::from_secs(86_400),
        max_names: 20_000,
        trim_after: None,
    }
}

/// Runs a future over a world, which only ever yields to itself, and looks at the world after every
/// poll: no call acts more than once in between. None for one that never ends.
pub fn drive<F: Future>(future: F, mut look: impl FnMut()) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..MOST_POLLS {
        let polled = future.as_mut().poll(&mut context);
        look();
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
    }
    None
}

//! Configuration from the environment, read and checked once at start.
//!
//! | variable | default | rule |
//! |---|---|---|
//! | `DEPLOYMENT_ID` | | 1 to 32 of `a-z`, `0-9` and `-`, a letter first |
//! | `LEDGER_TABLE` | | name or ARN of the DynamoDB table |
//! | `AWS_REGION` | | the region of the function; Lambda sets it |
//! | `CLUSTERS` | | patterns of cluster ARNs |
//! | `ROLES` | | patterns of role ARNs that may be assigned |
//! | `NODE_ROLES` | | patterns of node role ARNs |
//! | `TARGET_ROLES` | none | patterns of role ARNs that may be targets |
//! | `ASSUME_ROLES` | none | patterns of role ARNs that may be assumed to reach a cluster |
//! | `ASSUME_ROLE_EXTERNAL_ID` | none | 2 to 1224 letters, digits and `_+=,.@:/-` |
//! | `NAMESPACES` | `domino-compute` | Kubernetes namespaces, the first is the default |
//! | `SERVICE_ACCOUNT_NAME` | `{name}-sa` | holds `{name}` once |
//! | `EVENT_BUS` | `domino-pod-identity` | name or ARN of the bus |
//! | `TRUST` | `enforce` | `enforce` or `warn` |
//! | `NODE_POLICY` | `record` | `record` or `strict`: whether a full node policy blocks |
//! | `CLUSTER_STATEMENT` | `true` | `true` or `false`; `false` with `strict` |
//! | `NODE_ROLE_POLICY_SLOTS` | 10 | 1 to 20, IAM's quota of managed policies per role |
//! | `MAX_DELETIONS` | 50 | most associations that one run deletes |
//! | `CONCURRENCY` | 8 | 1 to 64 calls at a time |
//! | `LEASE_SECONDS` | 60 | 1 to 900, at least twice the longest call |
//! | `CALL_TIMEOUT_MS` | 5000 | 100 to 60000, of one attempt |
//! | `CALL_ATTEMPTS` | 3 | 1 to 10 |
//! | `CALL_BACKOFF_MS` | 200 | 1 to 60000, before the first repetition |
//! | `CALL_BACKOFF_MAX_MS` | 2000 | `CALL_BACKOFF_MS` to 60000 |
//! | `DEADLINE_MARGIN_MS` | 3000 | 0 to 900000, no step starts later before the deadline |
//! | `RECONCILE` | `apply` | `apply` or `plan`: whether reconcile writes, or only says what it would do |
//! | `ADMIN` | `apply` | `apply` or `read`: whether the admin function may change anything |
//! | `OWN_ROLES` | none | patterns of role ARNs whose EKS calls are this deployment's own |
//! | `TRIM` | `on` | `on` or `off`: whether reconcile takes roles that no binding uses out of the node policies |
//! | `TRIM_AFTER_MINUTES` | 60 | 1 to 43200 that a role has to be unused before |
//! | `NOTICE_DAYS` | 90 | 1 to 3650 that rejections and superseded notices are kept |
//!
//! Lists are separated by commas or white space. In a pattern `*` stands for
//! any text. A variable that is empty counts as absent. Others are ignored.

mod domino;
mod read;
#[cfg(test)]
mod tests;
mod workloads;

use std::fmt;
use std::time::Duration;

pub use pod_identity_core::plan::TrustMode;
use pod_identity_core::{Pattern, Rules, plan};

pub use domino::{DominoSettings, TokenHeader};
pub use pod_identity_engine::Calls;
pub use workloads::WorkloadSettings;

/// The configuration of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Value of our ownership tag, and part of the names of node policies.
    pub deployment_id: String,
    /// Name or ARN of the ledger's table.
    pub ledger_table: String,
    /// Name or ARN of the bus.
    pub event_bus: String,
    /// External id with which roles are assumed; none when their trust policies ask for none.
    pub external_id: Option<String>,
    /// The region of the function, its table and its bus.
    pub region: String,
    /// What events may ask for.
    pub rules: Rules,
    /// What an untrusted role means.
    pub trust: TrustMode,
    /// Whether a full node policy blocks, and is not only reported.
    pub strict: bool,
    /// Whether the node policy has a statement with the cluster's ARN beside the role list.
    pub cluster_statement: bool,
    /// Managed policies that a node role takes.
    pub policy_slots: u32,
    /// Most associations that one run deletes.
    pub max_deletions: usize,
    /// Most associations that are gone which one run makes again on one cluster.
    pub max_recreations: usize,
    /// Most service accounts that the ledger ever knows, unbound ones included.
    pub max_names: usize,
    /// Most calls at a time on one cluster; a batch works on up to four side by side.
    pub concurrency: usize,
    /// How long a cluster's lease lasts.
    pub lease: Duration,
    /// Time-outs and repetition of calls.
    pub calls: Calls,
    /// No new step starts later than this before the deadline.
    pub deadline_margin: Duration,
    /// How long rejections and superseded notices are kept.
    pub notice_retention: Duration,
    /// How long a role has to be unused before reconcile takes it out of the node policies; none
    /// when it never does.
    pub trim_after: Option<Duration>,
    /// Whether reconcile only says what it would do.
    pub plan_only: bool,
    /// Whether the admin function only answers.
    pub read_only: bool,
    /// Roles whose EKS calls are this deployment's own, and no change by hand.
    pub own_roles: Vec<Pattern>,
}

/// The settings are wrong: every problem, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    /// What is wrong, at least one, in the order of reading.
    pub problems: Vec<SettingProblem>,
}

/// What is wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// Name of the variable.
    pub variable: &'static str,
    /// What it must be.
    pub rule: String,
    /// What it is; none when it is absent.
    pub value: Option<String>,
}

impl SettingsError {
    /// Logs each problem by itself, so that it can be found by its variable.
    pub fn log(&self) {
        for problem in &self.problems {
            tracing::error!(variable = problem.variable, "{problem}");
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are wrong:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, rule, value } = self;
        match value {
            Some(value) => write!(f, "{variable} must be {rule}, not `{value}`"),
            None => write!(f, "{variable} is missing: it must be {rule}"),
        }
    }
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The part of the settings that the engine needs.
    #[must_use]
    pub fn engine(&self) -> pod_identity_engine::Settings {
        pod_identity_engine::Settings {
            rules: self.rules.clone(),
            plan: plan::Options {
                deployment: self.deployment_id.clone(),
                trust: self.trust,
                strict: self.strict,
                cluster_statement: self.cluster_statement,
                max_deletions: self.max_deletions,
                max_recreations: self.max_recreations,
            },
            policy_slots: self.policy_slots,
            concurrency: self.concurrency,
            lease: self.lease,
            longest_call: self.calls.longest(),
            notice_retention: self.notice_retention,
            max_names: self.max_names,
            trim_after: self.trim_after,
        }
    }
}

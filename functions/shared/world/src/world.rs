//! The world as a whole: its time, its settings, its log, and how tests set it up.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::{ClusterArn, RoleArn};
use pod_identity_engine::ports::Association;

use crate::error::AwsError;
use crate::random::Random;
use crate::{Bus, Cluster, CreateAssociation, Eks, Iam, KubernetesCluster, Ledger};

/// Who calls, and where the call goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name for the log: a function, or an access key.
    pub name: String,
    /// The twelve digits of the account whose credentials sign the call.
    pub account: String,
    /// The region that is called; IAM ignores it.
    pub region: String,
}

/// One call, as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it was made.
    pub began: Timestamp,
    /// When it had its effect.
    pub at: Timestamp,
    /// Name of the caller.
    pub caller: String,
    /// The account whose credentials signed it.
    pub account: String,
    /// The service: `eks`, `iam`, `events`, `sts`, `dynamodb` or `kubernetes`.
    pub service: String,
    /// The operation, as AWS names it; of Kubernetes verb and resource, as RBAC names them.
    pub operation: String,
    /// On what; of Kubernetes the cluster, and path and query.
    pub object: String,
    /// HTTP status of the answer; 0 when none was given.
    pub status: u16,
    /// The error code of the answer.
    pub error: Option<String>,
}

/// Limits and habits of the world, which tests may change at any time.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most entries of a page, whatever the caller asks for. AWS: 100.
    pub page_size: usize,
    /// Most associations of a cluster. AWS: 5,000.
    pub associations_per_cluster: usize,
    /// Most managed policies of a role. AWS: 10, adjustable.
    pub policies_per_role: usize,
    /// Most bytes of one `PutEvents` call. AWS: 1 MiB.
    pub put_events_bytes: usize,
    /// How long reads do not see a change of an association or a policy.
    pub visible_after: SignedDuration,
    /// How much later than IAM's reads EKS sees a role and its trust policy.
    pub eks_sees_roles_after: SignedDuration,
    /// Whether EKS remembers the client token of an association that was
    /// deleted since, and answers with it instead of making another. AWS does
    /// not say; true is the harder case.
    pub tokens_outlive_associations: bool,
    /// Whether EKS refuses a role that does not trust `pods.eks.amazonaws.com`.
    /// AWS does, without evaluating the statement's conditions as far as known.
    pub checks_trust: bool,
    /// Whether an update with an empty target role clears it. EKS is known to, and does not document it.
    pub clears_empty_values: bool,
    /// How much time a call through [`crate::WorldPorts`] takes.
    pub call_takes: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page_size: 100,
            associations_per_cluster: 5_000,
            policies_per_role: 10,
            put_events_bytes: 1024 * 1024,
            visible_after: SignedDuration::ZERO,
            eks_sees_roles_after: SignedDuration::ZERO,
            tokens_outlive_associations: true,
            checks_trust: true,
            clears_empty_values: true,
            call_takes: Duration::ZERO,
        }
    }
}

/// EKS, IAM, the bus, the ledger and Kubernetes. The same seed and the same calls give the
/// same answers. AWS's operations are methods; what only tests can do is on the parts.
#[derive(Debug, Clone)]
pub struct World {
    /// The time; nothing here reads a clock.
    pub now: Timestamp,
    /// The account whose credentials a caller has unless it assumed a role.
    pub account: String,
    /// Limits and habits.
    pub settings: Settings,
    /// The clusters.
    pub eks: Eks,
    /// Roles and policies.
    pub iam: Iam,
    /// Everything that was put on the bus.
    pub bus: Bus,
    /// The items of the ledger.
    pub ledger: Ledger,
    /// Bytes of all items that were read of the ledger so far, as DynamoDB counts them.
    pub ledger_bytes_read: usize,
    /// Every call, oldest first.
    pub calls: Vec<Call>,
    pub(crate) kubernetes: BTreeMap<ClusterArn, KubernetesCluster>,
    pub(crate) random: Random,
    seed: u64,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64, account: &str, now: Timestamp) -> Self {
        Self {
            now,
            account: account.to_owned(),
            settings: Settings::default(),
            eks: Eks::default(),
            iam: Iam::new(now),
            bus: Bus::default(),
            ledger: Ledger::default(),
            ledger_bytes_read: 0,
            calls: Vec::new(),
            kubernetes: BTreeMap::new(),
            random: Random::new(seed),
            seed,
        }
    }

    /// Adds a cluster, with the role of each of its node groups by their names.
    /// Its Kubernetes has the namespaces `default` and `kube-system`. Replaces a cluster of the same
    /// ARN, associations and all.
    pub fn add_cluster(&mut self, arn: &ClusterArn, node_groups: &[(&str, &RoleArn)]) {
        let node_groups =
            node_groups.iter().map(|(name, role)| ((*name).to_owned(), role.to_string())).collect();
        self.eks.clusters.insert(arn.clone(), Cluster::new(arn, self.now, node_groups));
        let kubernetes = KubernetesCluster::new(self.seed, arn, self.now);
        self.kubernetes.insert(arn.clone(), kubernetes);
    }

    /// Takes a cluster away, with its associations and its Kubernetes. IAM keeps what was made for it.
    pub fn remove_cluster(&mut self, arn: &ClusterArn) {
        self.eks.clusters.remove(arn);
        self.kubernetes.remove(arn);
    }

    /// Adds a role, or replaces one of the same ARN. The trust policy is not
    /// checked: what is on an account may be anything.
    pub fn add_role(&mut self, arn: &RoleArn, trust_policy: &str) {
        let id = self.random.iam_id("AROA");
        self.iam.put_role(arn, id, trust_policy, self.now, Timestamp::MIN);
    }

    /// Changes the trust policy of a role, if there is such a role.
    pub fn set_trust(&mut self, role: &RoleArn, trust_policy: &str) {
        self.iam.set_trust(role, trust_policy, self.now, SignedDuration::ZERO);
    }

    /// Makes an association as another caller would: no tag of ours. Its role
    /// need not exist.
    ///
    /// # Errors
    /// As [`World::create_pod_identity_association`], but for the role.
    pub fn add_foreign_association(
        &mut self,
        cluster: &ClusterArn,
        namespace: &str,
        service_account: &str,
        role: &str,
    ) -> Result<Association, AwsError> {
        self.insert_association(cluster, foreign(cluster, namespace, service_account, role), None)
    }

    /// Makes an association older than it is.
    pub fn age_association(&mut self, cluster: &ClusterArn, id: &str, by: SignedDuration) {
        let found = self.eks.clusters.get(cluster).and_then(|one| one.associations.get(id));
        let Some(mut association) = found.and_then(|one| one.latest().cloned()) else { return };
        association.created_at = association.created_at.and_then(|at| at.checked_sub(by).ok());
        self.store_association(cluster, id, Some(association));
    }

    /// Gives an association the tags of a CloudFormation stack, which no caller may write.
    pub fn add_stack_tags(&mut self, cluster: &ClusterArn, id: &str, stack: &str) {
        let found = self.eks.clusters.get(cluster).and_then(|one| one.associations.get(id));
        let Some(mut association) = found.and_then(|one| one.latest().cloned()) else { return };
        association.tags.insert("aws:cloudformation:stack-name".to_owned(), stack.to_owned());
        self.store_association(cluster, id, Some(association));
    }

    /// Makes an association as an add-on would, with the add-on's ARN as its owner.
    ///
    /// # Errors
    /// As [`World::create_pod_identity_association`], but for the role.
    pub fn add_addon_association(
        &mut self,
        cluster: &ClusterArn,
        namespace: &str,
        service_account: &str,
        role: &str,
        owner_arn: &str,
    ) -> Result<Association, AwsError> {
        let input = foreign(cluster, namespace, service_account, role);
        self.insert_association(cluster, input, Some(owner_arn.to_owned()))
    }

    /// Writes a line of the log: who called, as which account.
    pub fn record(
        &mut self,
        (caller, account): (&str, &str),
        service: &str,
        operation: &str,
        object: &str,
        outcome: Result<u16, &AwsError>,
    ) {
        self.calls.push(Call {
            began: self.now,
            at: self.now,
            caller: caller.to_owned(),
            account: account.to_owned(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            object: object.to_owned(),
            status: outcome.unwrap_or_else(|error| error.status),
            error: outcome.err().map(|error| error.code.clone()),
        });
    }

    /// How often an operation was called.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.calls.iter().filter(|call| call.operation == operation).count()
    }
}

fn foreign(
    cluster: &ClusterArn,
    namespace: &str,
    service_account: &str,
    role: &str,
) -> CreateAssociation {
    CreateAssociation {
        cluster: cluster.name().to_owned(),
        namespace: namespace.to_owned(),
        service_account: service_account.to_owned(),
        role_arn: role.to_owned(),
        tags: BTreeMap::new(),
        ..CreateAssociation::default()
    }
}

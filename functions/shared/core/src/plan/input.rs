//! What planning looks at: the desired state and what was observed.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::{Problem, RemovalReason};

use crate::node_policy::{PolicyState, Projection, Shard};
use crate::trust::TrustPolicy;
use crate::{
    Association, Binding, ClusterArn, DominoName, Evidence, HeldAssociation, Intent, RoleArn,
    ServiceAccountRef, Verdict, Version,
};

/// What an untrusted role does to its binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrustMode {
    /// The binding is blocked.
    #[default]
    Enforce,
    /// The binding goes ahead and carries a warning.
    Warn,
}

/// Settings of a deployment that planning needs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Id of the deployment, the value of its tag.
    pub deployment: String,
    /// What an untrusted role does.
    pub trust: TrustMode,
    /// Whether the role list is the only grant, so that a full policy blocks instead of warns.
    pub strict: bool,
    /// Whether the node policy has the second statement with the cluster's ARN.
    pub cluster_statement: bool,
    /// Most associations that one run deletes on one cluster.
    pub max_deletions: usize,
    /// Most associations that are gone which one run makes again on one cluster.
    pub max_recreations: usize,
}

/// A binding that wants a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The binding.
    pub binding: Binding,
    /// Its version.
    pub version: Version,
    /// Its number in the order in which the ledger recorded claims on the Kubernetes service
    /// account for this cluster: the smallest holds it. None for one that is not queued.
    pub number: Option<u64>,
    /// Why the deployment's allow-lists no longer admit it.
    pub refused: Option<String>,
    /// The association, not managed yet, that it may take over on an administrator's word, by id.
    pub adopts: Option<String>,
    /// Whether an earlier run held its association back because too many were gone. Only an
    /// administrator's word ends that.
    pub held_back: bool,
}

/// One Kubernetes service account of the cluster, everyone who wants it, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The Kubernetes service account.
    pub kubernetes: ServiceAccountRef,
    /// The bindings that want it on this cluster.
    pub claims: Vec<Claim>,
    /// Those whom the ledger remembers to have given it up, and why.
    pub leaving: BTreeMap<DominoName, RemovalReason>,
    /// Those of them whose association a retirement has to leave for now, and why.
    pub retirement_blocked: BTreeMap<DominoName, Problem>,
    /// The association that EKS has for it.
    pub association: Option<Association>,
    /// The association that the ledger remembers to be ours.
    pub held: Option<HeldAssociation>,
    /// Id of the association that was last held here: making another asks with another token.
    pub last_id: Option<String>,
    /// What the ledger lets a creation make here, with the Domino service account that it is for.
    pub intents: Vec<(DominoName, Intent)>,
}

impl Place {
    /// The claim that holds it: the one that the ledger recorded first. One that is refused holds
    /// it too: no allow-list hands an identity to another binding.
    #[must_use]
    pub fn holder(&self) -> Option<&Claim> {
        let queued = self.claims.iter().filter(|claim| claim.number.is_some());
        queued.min_by_key(|claim| claim.number)
    }

    /// Whose its association is, if it has one.
    #[must_use]
    pub fn verdict<'a>(&'a self, deployment: &'a str) -> Option<Verdict<'a>> {
        let holder = self.holder().filter(|claim| claim.refused.is_none());
        let evidence = Evidence {
            deployment,
            held: self.held.as_ref(),
            intents: &self.intents,
            adopts: holder.and_then(|claim| claim.adopts.as_deref()),
        };
        Some(Verdict::of(self.association.as_ref()?, &evidence))
    }
}

/// What IAM says of a role.
#[derive(Debug, Clone)]
pub enum RoleState {
    /// It exists, with this trust policy, read once for all places that want the role.
    Found(TrustPolicy),
    /// It does not exist.
    Missing {
        /// ARN of a role of the same name and another path, which is there.
        namesake: Option<String>,
    },
    /// It could not be read.
    Unread {
        /// In words.
        reason: String,
    },
}

/// The policies of the cluster's node roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodePolicies {
    /// What they are to list, and how far IAM has that.
    pub projection: Projection,
    /// The node roles of the cluster.
    pub node_roles: BTreeSet<RoleArn>,
    /// Which policies, by number, are attached to each node role.
    pub attached: BTreeMap<RoleArn, BTreeSet<u32>>,
    /// Most policies that the node roles' attachment slots admit.
    pub max_shards: u32,
    /// Whether a managed policy of the node roles allows the action on everything.
    pub broad_grant: bool,
    /// Roles of associations that are not ours, which the list names as well.
    pub other_roles: BTreeSet<RoleArn>,
    /// What keeps new roles out.
    pub problem: Option<Problem>,
}

impl NodePolicies {
    /// Whether every policy is attached to every node role.
    #[must_use]
    pub fn are_attached(&self) -> bool {
        self.projection.staying().all(|(number, _)| self.is_attached(*number))
    }

    /// Whether a policy is being removed.
    #[must_use]
    pub fn are_being_removed(&self) -> bool {
        self.projection.policies.values().any(|one| one.state == PolicyState::Removing)
    }

    /// Whether a policy is attached to every node role. What another lists grants nothing on
    /// the nodes that have it not.
    pub(super) fn is_attached(&self, number: u32) -> bool {
        let has = |role| self.attached.get(role).is_some_and(|on| on.contains(&number));
        self.node_roles.iter().all(has)
    }

    /// The roles that every node role may use by these policies.
    #[must_use]
    pub fn granted(&self) -> BTreeSet<RoleArn> {
        let attached = self.projection.staying().filter(|(number, _)| self.is_attached(**number));
        attached.flat_map(|(number, _)| self.projection.confirmed(*number)).collect()
    }

    /// The roles that any of these policies lists, attached or not.
    #[must_use]
    pub fn listed(&self) -> BTreeSet<RoleArn> {
        self.projection.staying().flat_map(|(_, one)| one.roles.iter().cloned()).collect()
    }

    /// The policies that are attached to every node role or can be. One that
    /// was made before somebody else took its slot can not.
    pub(super) fn attachable(&self) -> Vec<Shard> {
        let nothing = BTreeSet::new();
        let mut shards = self.projection.shards();
        for role in &self.node_roles {
            let attached = self.attached.get(role).unwrap_or(&nothing);
            let mut in_use = u32::try_from(attached.len()).unwrap_or(u32::MAX);
            shards.retain(|shard| {
                if attached.contains(&shard.number) {
                    return true;
                }
                in_use = in_use.saturating_add(1);
                in_use <= self.max_shards
            });
        }
        shards
    }
}

/// What keeps a restored ledger from giving back what was revoked since.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestoreGuard {
    /// Why nothing is made again or corrected on the cluster, where its ledger is older than it.
    pub halted: Option<Problem>,
    /// Associations that are gone and that an administrator lets the functions make again, by the
    /// id that the ledger remembers: no ceiling counts them.
    pub resumed: BTreeSet<String>,
}

/// Everything that planning one cluster looks at.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The cluster.
    pub cluster: ClusterArn,
    /// The places to plan, in order.
    pub places: Vec<Place>,
    /// The roles that claims name.
    pub roles: BTreeMap<RoleArn, RoleState>,
    /// The node policies.
    pub policies: NodePolicies,
    /// What keeps associations from being made again.
    pub guard: RestoreGuard,
}

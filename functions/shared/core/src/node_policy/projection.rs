//! The node policies as the ledger has them, of which IAM has the projection.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::document::Shard;
use crate::RoleArn;

/// How far IAM has a policy as the ledger says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PolicyState {
    /// The version that the ledger knows lists what is assigned.
    Clean,
    /// It was assigned, and IAM may not have it: whoever works on the cluster next writes it.
    #[default]
    Pending,
    /// It is being detached and deleted: what it lists counts as not listed.
    Removing,
    /// Somebody has made it say more than a list, or it is another owner's: it is left alone, and what it
    /// was to list counts as not listed.
    Foreign,
}

/// One node policy: what it is to list, written down before IAM is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedPolicy {
    /// The roles that it is to list.
    pub roles: BTreeSet<RoleArn>,
    /// Whether it is to have the cluster's statement as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub statement: bool,
    /// The version, such as `v3`, up to which whatever anybody listed is in `roles`, or was taken out on
    /// purpose. None before the policy is known to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How far IAM has it.
    pub state: PolicyState,
    /// The version that lists `roles`, where it is not known yet what those between `version` and this one
    /// have listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmerged: Option<String>,
    /// Roles that it lists newly and that are not published yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub added: BTreeSet<RoleArn>,
    /// Roles that it lists no longer and that are not published yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<RoleArn>,
}

impl AssignedPolicy {
    /// Changes what it is to list.
    pub fn assign(&mut self, roles: BTreeSet<RoleArn>, statement: bool) {
        // What was about to leave may have left, and what was about to come may be there.
        for role in roles.difference(&self.roles) {
            self.removed.remove(role);
            self.added.insert(role.clone());
        }
        for role in self.roles.difference(&roles) {
            self.added.remove(role);
            self.removed.insert(role.clone());
        }
        if (&self.roles, self.statement) != (&roles, statement) {
            self.unmerged = None;
        }
        (self.roles, self.statement, self.state) = (roles, statement, PolicyState::Pending);
    }

    /// Takes in what others have listed.
    pub fn merge_in(&mut self, theirs: &BTreeSet<RoleArn>) {
        if !theirs.is_subset(&self.roles) {
            self.assign(self.roles.union(theirs).cloned().collect(), self.statement);
        }
    }

    /// It is written no more; another policy lists what it lists, and what others have listed in it.
    pub fn leave_alone(&mut self, theirs: &BTreeSet<RoleArn>) {
        self.merge_in(theirs);
        self.state = PolicyState::Foreign;
    }

    /// IAM has it, by that version.
    pub fn is_written(&mut self, version: String) {
        (self.version, self.unmerged, self.state) = (Some(version), None, PolicyState::Clean);
    }

    /// The number of the version up to which all is known; 0 before it is made.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.version.as_deref().and_then(version_number).unwrap_or_default()
    }

    /// Whether something of it is not published yet.
    #[must_use]
    pub fn is_unpublished(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty())
    }
}

/// The number in `v12`.
#[must_use]
pub fn version_number(version: &str) -> Option<u64> {
    version.strip_prefix('v')?.parse().ok()
}

/// The node policies of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Projection {
    /// By number.
    pub policies: BTreeMap<u32, AssignedPolicy>,
    /// The number of the next policy. None is used twice, so that a policy that was deleted and that IAM
    /// shows for a while is never taken for another.
    pub next_number: u32,
}

impl Default for Projection {
    fn default() -> Self {
        Self { policies: BTreeMap::new(), next_number: 1 }
    }
}

impl Projection {
    /// What the policies list that stay, by number.
    #[must_use]
    pub fn shards(&self) -> Vec<Shard> {
        let shard = |(number, one): (&u32, &AssignedPolicy)| Shard {
            number: *number,
            roles: one.roles.clone(),
            statement: one.statement,
        };
        self.staying().map(shard).collect()
    }

    /// The policies that stay, and are ours to write.
    pub fn staying(&self) -> impl Iterator<Item = (&u32, &AssignedPolicy)> {
        let stays =
            |one: &AssignedPolicy| matches!(one.state, PolicyState::Clean | PolicyState::Pending);
        self.policies.iter().filter(move |(_, one)| stays(one))
    }

    /// The policies that are left alone.
    pub fn foreign(&self) -> impl Iterator<Item = (&u32, &AssignedPolicy)> {
        self.policies.iter().filter(|(_, one)| one.state == PolicyState::Foreign)
    }

    /// The roles that a policy that stays lists, as far as IAM is known to have it.
    #[must_use]
    pub fn confirmed(&self, number: u32) -> BTreeSet<RoleArn> {
        let Some(one) = self.policies.get(&number) else { return BTreeSet::new() };
        match (one.state, &one.version) {
            (PolicyState::Clean, _) => one.roles.clone(),
            (PolicyState::Pending, Some(_)) => one.roles.difference(&one.added).cloned().collect(),
            (PolicyState::Pending, None) | (PolicyState::Removing | PolicyState::Foreign, _) => {
                BTreeSet::new()
            }
        }
    }

    /// Whether IAM has all of it, as far as it is ours to write, and the bus was told.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let is_settled = |one: &AssignedPolicy| match one.state {
            PolicyState::Clean => !one.is_unpublished(),
            PolicyState::Pending | PolicyState::Removing => false,
            PolicyState::Foreign => true,
        };
        self.policies.values().all(is_settled)
    }

    /// Sets what a policy is to list; a new one takes its number.
    pub fn assign(&mut self, number: u32, roles: BTreeSet<RoleArn>, statement: bool) {
        self.next_number = self.next_number.max(number + 1);
        self.policies.entry(number).or_default().assign(roles, statement);
    }

    /// A policy that somebody deleted: another is to list what it listed.
    pub fn replace(&mut self, number: u32) {
        let Some(gone) = self.policies.remove(&number) else { return };
        if gone.state != PolicyState::Removing {
            self.assign(self.next_number, gone.roles, gone.statement);
        }
    }
}

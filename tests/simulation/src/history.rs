//! What happens in one history. Everything is explicit, so that a history that
//! was found once means the same for as long as its actions do.

use serde::{Deserialize, Serialize};

/// Domino service accounts that events name: `svc-0` and on.
pub const NAMES: u8 = 5;

/// The deployment, its circumstances, and what happens to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What stays the same all the time.
    pub setup: Setup,
    /// One event each, and what happens until the next one is sent.
    pub turns: Vec<Turn>,
}

/// Circumstances of a history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Which of the three clusters are registered before it begins, a bit each.
    pub registered: u8,
    /// Most entries of a page.
    pub page_size: usize,
    /// Seconds until a change can be read.
    pub visible_after: i64,
    /// IAM's quota of managed policies of a role.
    pub slots: usize,
    /// Whether EKS answers a token whose association is gone with that association.
    pub tokens_outlive: bool,
    /// Milliseconds that a call takes.
    pub call_takes: u64,
    /// Calls that a runner makes at once.
    pub concurrency: usize,
    /// Whether the list of roles is all that grants.
    pub strict: bool,
    /// Whether somebody's hands change AWS meanwhile.
    pub hands: bool,
    /// Whether the ledger is lost, restored or confused with another's.
    pub ledger: bool,
    /// Whether a runner may be paused for longer than a lease is good for.
    pub stalls: bool,
    /// Whether reconciliations take roles out of the node policies that no binding uses.
    #[serde(default)]
    pub trims: bool,
    /// Whether senders flood the queue with old events.
    #[serde(default)]
    pub floods: bool,
    /// Most associations that a run makes again on a cluster.
    #[serde(default = "usual_ceiling")]
    pub recreations: usize,
}

/// The ceiling of a deployment that sets none.
fn usual_ceiling() -> usize {
    10
}

impl Setup {
    /// Nothing is registered, and nothing gets in the way.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            registered: 0,
            page_size: 100,
            visible_after: 0,
            slots: 10,
            tokens_outlive: true,
            call_takes: 0,
            concurrency: 1,
            strict: false,
            hands: false,
            ledger: false,
            stalls: false,
            trims: false,
            floods: false,
            recreations: usual_ceiling(),
        }
    }
}

/// An event, and what happens after it was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// What is sent.
    pub event: Event,
    /// What happens then.
    pub then: Vec<Action>,
}

/// An event of Domino's automation or of an administrator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Seconds of its time; often the same as another's.
    pub at: u8,
    /// Comes first in its id and so decides between equal times.
    pub tie: u8,
    /// What it asks for.
    pub asks: Asks,
}

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Asks {
    /// `Service Account Role Assigned`.
    Assigned {
        /// Which service account.
        name: u8,
        /// Which role, see [`crate::stage::role`].
        role: u8,
        /// Which Kubernetes service account: its own, or one that others may want as well.
        place: Option<u8>,
        /// Whether with a target role.
        target: bool,
        /// Whether with a session policy.
        policy: bool,
        /// Which clusters, a bit each; all when none.
        clusters: Option<u8>,
    },
    /// `Service Account Role Unassigned`.
    Unassigned {
        /// Which service account.
        name: u8,
    },
    /// `Service Account Deactivated`.
    Deactivated {
        /// Which service account.
        name: u8,
    },
    /// `Cluster Registered`.
    Registered {
        /// Which cluster.
        cluster: u8,
        /// Whether with a second node role, which it shares with the others.
        shared: bool,
    },
    /// `Cluster Retired`.
    Retired {
        /// Which cluster.
        cluster: u8,
    },
    /// An event that breaks a rule.
    Broken {
        /// Which service account.
        name: u8,
        /// Which rule.
        rule: u8,
    },
}

impl Asks {
    /// The service account that it is about, if it is about one.
    pub(crate) fn name(&self) -> Option<u8> {
        match self {
            Self::Assigned { name, .. }
            | Self::Unassigned { name }
            | Self::Deactivated { name } => Some(*name),
            _ => None,
        }
    }
}

/// What happens between two events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// The queue delivers an event once more, taken from those sent.
    Again {
        /// Which, counted from the newest.
        event: usize,
    },
    /// Somebody assigns one service account many times, all before the first event of any other sender.
    Flood {
        /// Which service account.
        name: u8,
        /// Which role.
        role: u8,
        /// How many events.
        size: usize,
    },
    /// A runner that does nothing takes messages off the queue.
    Start {
        /// Which runner.
        runner: u8,
        /// From where in the queue.
        from: usize,
        /// How many.
        size: usize,
    },
    /// A runner that does nothing begins to reconcile a cluster.
    Reconcile {
        /// Which runner.
        runner: u8,
        /// Which cluster.
        cluster: u8,
    },
    /// A runner goes on for some calls.
    Step {
        /// Which runner.
        runner: u8,
        /// How many.
        calls: usize,
    },
    /// A runner goes on to its end.
    Finish {
        /// Which runner.
        runner: u8,
    },
    /// A runner dies; the queue delivers its messages again.
    Crash {
        /// Which runner.
        runner: u8,
    },
    /// One of a runner's next calls fails.
    Fault {
        /// Which runner.
        runner: u8,
        /// Which of its next calls.
        nth: usize,
        /// Whether the call has its effect.
        effect: bool,
        /// Whether AWS denies it; otherwise it fails for a passing reason.
        denied: bool,
    },
    /// Time passes.
    Wait {
        /// Seconds.
        seconds: i64,
    },
    /// Somebody changes AWS by hand.
    Hand(Hand),
    /// Something happens to the ledger.
    Ledger(Ledger),
}

/// What somebody does by hand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Hand {
    /// Makes an association at a place of a cluster.
    Create {
        /// The cluster.
        cluster: u8,
        /// The place.
        place: u8,
        /// Its role.
        role: u8,
    },
    /// Deletes an association of a cluster, whoever made it.
    Delete {
        /// The cluster.
        cluster: u8,
        /// Which of its associations.
        nth: u8,
    },
    /// Gives an association another role.
    Change {
        /// The cluster.
        cluster: u8,
        /// Which of its associations.
        nth: u8,
        /// The role.
        role: u8,
    },
    /// Takes the tags off an association.
    Untag {
        /// The cluster.
        cluster: u8,
        /// Which of its associations.
        nth: u8,
    },
    /// Gives an association our tags for a service account.
    Tag {
        /// The cluster.
        cluster: u8,
        /// Which of its associations.
        nth: u8,
        /// The service account.
        name: u8,
    },
    /// Writes a node policy that lists another role, or one role less.
    Policy {
        /// Which of all policies.
        nth: u8,
        /// The role to add; the first is taken out when none.
        role: Option<u8>,
    },
    /// Writes a node policy that says more than a list of roles.
    Garble {
        /// Which of all policies.
        nth: u8,
    },
    /// Detaches a node policy.
    Detach {
        /// Which of all policies.
        nth: u8,
    },
    /// Attaches a policy of another's to a cluster's node role.
    Attach {
        /// The cluster.
        cluster: u8,
    },
    /// Changes whether a role trusts EKS Pod Identity.
    Trust {
        /// The role.
        role: u8,
        /// Whether it does.
        trusts: bool,
    },
    /// Deletes a cluster in EKS.
    DeleteCluster {
        /// The cluster.
        cluster: u8,
    },
    /// Makes it again, empty.
    CreateCluster {
        /// The cluster.
        cluster: u8,
    },
}

/// What happens to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Ledger {
    /// A backup is made.
    Backup,
    /// The backup is restored; without one nothing happens.
    Restore,
    /// The table is new.
    Lose,
    /// The table is that of another deployment on the same clusters.
    Swap,
}

impl Hand {
    /// Whether it changes node policies, or where they are attached.
    pub(crate) fn changes_policies(self) -> bool {
        matches!(self, Self::Policy { .. } | Self::Garble { .. } | Self::Detach { .. })
    }
}

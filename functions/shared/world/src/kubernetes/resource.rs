//! The resources that this API server knows.

/// A resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Namespaces.
    Namespaces,
    /// Pods.
    Pods,
    /// Kubernetes service accounts.
    ServiceAccounts,
    /// Budgets of `policy/v1`.
    PodDisruptionBudgets,
    /// Domino's Mutations; a cluster may be without them.
    Mutations,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Namespaces,
        Self::Pods,
        Self::ServiceAccounts,
        Self::PodDisruptionBudgets,
        Self::Mutations,
    ];

    /// API group; empty for the core.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Namespaces | Self::Pods | Self::ServiceAccounts => "",
            Self::PodDisruptionBudgets => "policy",
            Self::Mutations => "apps.dominodatalab.com",
        }
    }

    /// Version in the group.
    #[must_use]
    pub fn version(self) -> &'static str {
        if self == Self::Mutations { "v1alpha1" } else { "v1" }
    }

    /// `apiVersion` of an object.
    #[must_use]
    pub fn api_version(self) -> String {
        match self.group() {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }

    /// `kind` of an object.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Namespaces => "Namespace",
            Self::Pods => "Pod",
            Self::ServiceAccounts => "ServiceAccount",
            Self::PodDisruptionBudgets => "PodDisruptionBudget",
            Self::Mutations => "Mutation",
        }
    }

    /// Name in paths and in RBAC.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Pods => "pods",
            Self::ServiceAccounts => "serviceaccounts",
            Self::PodDisruptionBudgets => "poddisruptionbudgets",
            Self::Mutations => "mutations",
        }
    }

    /// Name in messages.
    pub(super) fn qualified(self) -> String {
        match self.group() {
            "" => self.plural().to_owned(),
            group => format!("{}.{group}", self.plural()),
        }
    }

    /// Whether its objects are in a namespace.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        self != Self::Namespaces
    }

    /// Names that kubectl takes instead.
    pub(super) fn short_names(self) -> &'static [&'static str] {
        match self {
            Self::Namespaces => &["ns"],
            Self::Pods => &["po"],
            Self::ServiceAccounts => &["sa"],
            Self::PodDisruptionBudgets => &["pdb"],
            Self::Mutations => &[],
        }
    }
}

//! What the actions look things up with.

use std::collections::BTreeMap;
use std::ops::Deref;

use pod_identity_core::{ClusterArn, DominoName, RoleArn, sweep};
use pod_identity_engine::ledger::{
    BindingRecord, Condition, Registry, View, bindings_partition, condition_key, registry,
    registry_key,
};
use pod_identity_engine::ports::{
    Bus, ClusterAccess, KubernetesReader, LedgerReader, LedgerWriter, PortError,
};
use pod_identity_engine::{Cloud, Context, Error, InsideSettings, Workloads};

/// What is set of the deployment that the function belongs to, beside itself.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'a> {
    /// Name or ARN of the bus.
    pub bus: &'a str,
    /// Whether reconcile writes nothing and says what it would do.
    pub reconcile_plans: bool,
    /// Whether the workloads function does so.
    pub workloads_plans: bool,
}

/// What a change is made with: the ledger is written, and others are asked to go on.
pub trait AdminWriter: LedgerWriter + Bus {}
impl<T: LedgerWriter + Bus> AdminWriter for T {}

/// Why nothing more is looked at, and the remediation.
pub(crate) const OVER: &str =
    "the invocation's time is nearly over; raise the function's time-out and ask again";

/// What one invocation looks things up with. It holds nothing that writes.
#[derive(Clone, Copy)]
pub(crate) struct AdminContext<'a> {
    pub(crate) cloud: Cloud<'a>,
    pub(crate) kubernetes: &'a dyn KubernetesReader,
    pub(crate) inside: &'a InsideSettings,
    pub(crate) deployment: Deployment<'a>,
}

/// It reads EKS and IAM, and is passed on as what does.
impl<'a> Deref for AdminContext<'a> {
    type Target = Cloud<'a>;

    fn deref(&self) -> &Self::Target {
        &self.cloud
    }
}

impl<'a> AdminContext<'a> {
    /// The same over another ledger, such as one that is only thought of.
    pub(crate) fn over<'b>(&self, ledger: &'b dyn LedgerReader) -> AdminContext<'b>
    where
        'a: 'b,
    {
        let cloud = self.cloud;
        let context = Context { ledger, ..cloud.context };
        AdminContext { cloud: Cloud { context, ..cloud }, ..*self }
    }

    /// What the engine reads the inside of clusters with.
    pub(crate) fn workloads(&self) -> Workloads<'a> {
        let Cloud { context, eks, clusters, .. } = self.cloud;
        Workloads { context, eks, clusters, kubernetes: self.kubernetes, inside: self.inside }
    }

    /// An error when no time is left for another call.
    pub(crate) fn check_deadline(&self) -> Result<(), Error> {
        if self.deadline_reached() { Err(OVER.into()) } else { Ok(()) }
    }

    /// What a call answers that starts only where there is time for it.
    pub(crate) async fn before_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, Error> {
        self.check_deadline()?;
        call.await.map_err(Error::from)
    }

    /// The registered clusters; an error when the ledger is another deployment's.
    pub(crate) async fn registry(&self) -> Result<Registry, Error> {
        let mut view = View::default();
        view.read(self.ledger, &[registry_key()]).await?;
        registry(&view, &self.settings.plan.deployment).map_err(Error::from)
    }

    /// Every binding and tombstone: one query.
    pub(crate) async fn bindings(&self) -> Result<BTreeMap<DominoName, BindingRecord>, Error> {
        let mut view = View::default();
        view.query(self.ledger, bindings_partition(), "").await?;
        let all = view.all_keyed_from::<BindingRecord>(bindings_partition(), "")?;
        Ok(all.into_iter().filter_map(|(name, it)| Some((name.parse().ok()?, it))).collect())
    }

    /// Conditions of bindings on clusters: one call for each hundred.
    pub(crate) async fn conditions<'c>(
        &self,
        of: impl IntoIterator<Item = (&'c DominoName, &'c ClusterArn)>,
    ) -> Result<BTreeMap<(DominoName, ClusterArn), Condition>, Error> {
        let keys: Vec<_> = of.into_iter().map(|(name, at)| condition_key(name, at)).collect();
        let mut view = View::default();
        view.read(self.ledger, &keys).await?;
        let mut found = BTreeMap::new();
        for key in &keys {
            let stored = view.get::<Condition>(key)?;
            if let Some(condition) = stored {
                found.insert(
                    (condition.service_account.clone(), condition.cluster.clone()),
                    condition,
                );
            }
        }
        Ok(found)
    }

    /// A role's trust policy, read by way of a registered cluster in its account: none when there is
    /// no such role, an error when that is not known.
    pub(crate) async fn trust_policy(
        &self,
        registry: &Registry,
        role: &RoleArn,
    ) -> Result<Option<String>, Error> {
        let of_account = |cluster: &&ClusterArn| cluster.account() == role.account();
        let Some(cluster) = registry.clusters.keys().find(of_account) else {
            return Err(format!("no cluster is registered in account {}", role.account()).into());
        };
        let access = self.access(registry, cluster);
        let found = self.before_deadline(self.iam.role(&access, role)).await?;
        // Names are unique in an account, so GetRole finds a role by another path.
        Ok(found.filter(|found| found.arn == role.as_str()).map(|found| found.trust_policy))
    }

    /// How pods are judged, also where the sweep is switched off.
    pub(crate) fn sweep_rules(&self) -> sweep::Settings {
        match &self.inside.sweep {
            Some(sweep) => sweep.rules.clone(),
            None => sweep::Settings::new(self.inside.namespaces.clone()),
        }
    }

    /// How a registered cluster is reached.
    pub(crate) fn access(&self, registry: &Registry, cluster: &ClusterArn) -> ClusterAccess {
        let record = registry.clusters.get(cluster);
        ClusterAccess {
            cluster: cluster.clone(),
            assume_role: record.and_then(|record| record.registration.assume_role.clone()),
        }
    }

    /// A cluster as somebody in the console names it: an ARN, or the name of a registered one.
    pub(crate) fn named(&self, registry: &Registry, name: &str) -> Result<ClusterArn, Error> {
        if name.contains(':') {
            return name.parse().map_err(|error| format!("cluster: {error}").into());
        }
        let found: Vec<&ClusterArn> =
            registry.clusters.keys().filter(|cluster| cluster.name() == name).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(format!(
                "no registered cluster is called `{name}`: name it by its ARN, or see the registered ones with {{\"action\": \"clusters\"}}"
            ).into()),
            _ => Err(format!(
                "{} registered clusters are called `{name}`: name the one that you mean by its ARN",
                found.len()
            ).into()),
        }
    }
}

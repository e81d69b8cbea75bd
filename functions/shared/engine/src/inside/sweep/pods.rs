//! The pods of the namespaces, page by page. Of each page only what can matter is kept.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{ClusterArn, Pod, SKIP_LABEL, ServiceAccountRef};

use crate::inside::{Inside, InsideError};
use crate::ports::{ErrorKind, PodQuery, PortError};
use crate::workload_settings::SweepSettings;

/// How often the list of a namespace is begun again because the token of a page was too old.
const BEGINNINGS: usize = 4;

/// What Domino's own service accounts, one for each run, begin with.
const OF_A_RUN: &str = "run-";

/// Which pods can matter.
pub(super) struct Wanted<'a> {
    pub(super) settings: &'a SweepSettings,
    /// Service accounts that have an association, or that the ledger knows.
    pub(super) places: BTreeSet<ServiceAccountRef>,
    /// Domino names that are mapped.
    pub(super) mapped: BTreeSet<&'a str>,
    /// Only pods of these service accounts.
    pub(super) only: Option<&'a BTreeSet<ServiceAccountRef>>,
    /// Uids of pods of which it is asked whether they still run, whosever they are.
    pub(super) sought: BTreeSet<&'a str>,
}

/// The pods that can matter, and how many others there are.
#[derive(Default)]
pub(super) struct Pods {
    pub(super) kept: Vec<Pod>,
    /// By namespace.
    pub(super) passed_over: BTreeMap<String, usize>,
    /// Namespaces that were seen as a whole.
    pub(super) seen: BTreeSet<String>,
    /// Uids of those that were sought and run.
    pub(super) standing: BTreeSet<String>,
    /// Namespaces into which nobody may look, and why.
    pub(super) closed: BTreeMap<String, String>,
    /// What could not be read.
    pub(super) incomplete: Option<String>,
}

/// Why the pods of one namespace are not known.
enum Unread {
    Call(PortError),
    Other(String),
}

/// The pods of one namespace.
#[derive(Default)]
struct NamespacePods {
    kept: Vec<Pod>,
    passed_over: usize,
    standing: BTreeSet<String>,
}

/// Lists the pods of all namespaces.
pub(super) async fn list(context: &Inside<'_>, wanted: &Wanted<'_>) -> Result<Pods, InsideError> {
    let cluster = &context.access.cluster;
    let mut pods = Pods::default();
    let namespaces = &wanted.settings.rules.namespaces;
    let mut first_closed = None;
    for namespace in namespaces {
        match list_one(context, wanted, namespace).await {
            Ok(listed) => {
                pods.kept.extend(listed.kept);
                pods.passed_over.insert(namespace.clone(), listed.passed_over);
                pods.standing.extend(listed.standing);
                pods.seen.insert(namespace.clone());
            }
            Err(Unread::Call(error)) if error.kind == ErrorKind::Denied => {
                pods.closed.insert(namespace.clone(), words(&error, cluster));
                first_closed.get_or_insert_with(|| InsideError::of(&error, cluster));
            }
            Err(Unread::Call(error)) if error.kind == ErrorKind::Unreachable => {
                return Err(InsideError::of(&error, cluster));
            }
            Err(unread) => {
                let what = unread.words(cluster);
                pods.incomplete = Some(format!("pods of namespace {namespace}: {what}"));
                break;
            }
        }
    }
    match first_closed {
        Some(closed) if pods.closed.len() == namespaces.len() => Err(closed),
        _ => Ok(pods),
    }
}

async fn list_one(
    context: &Inside<'_>,
    wanted: &Wanted<'_>,
    namespace: &str,
) -> Result<NamespacePods, Unread> {
    let query = PodQuery {
        namespace: namespace.to_owned(),
        selector: wanted.settings.selector.clone(),
        name: None,
        limit: context.inside.page,
    };
    for _ in 0..BEGINNINGS {
        let (mut listed, mut token) = (NamespacePods::default(), None::<String>);
        loop {
            if context.deadline_reached() {
                return Err(Unread::Other("the invocation's time was nearly over".to_owned()));
            }
            let page = context.kubernetes.pods(context.access, &query, token.as_deref()).await;
            let page = match page {
                Ok(page) => page,
                Err(error) if error.kind == ErrorKind::Expired => break,
                Err(error) => return Err(Unread::Call(error)),
            };
            for pod in page.items {
                if !wanted.settings.rules.looks_at(&pod) {
                    continue;
                }
                if wanted.sought.contains(pod.uid.as_str()) {
                    listed.standing.insert(pod.uid.clone());
                }
                if wanted.keeps(&pod) {
                    listed.kept.push(wanted.boiled_down(pod));
                } else {
                    listed.passed_over += 1;
                }
            }
            match page.next {
                Some(next) => token = Some(next),
                None => return Ok(listed),
            }
        }
    }
    Err(Unread::Other(format!("the list expired {BEGINNINGS} times before it was read to its end")))
}

impl Unread {
    fn words(&self, cluster: &ClusterArn) -> String {
        match self {
            Self::Call(error) => words(error, cluster),
            Self::Other(words) => words.clone(),
        }
    }
}

impl Wanted<'_> {
    fn keeps(&self, pod: &Pod) -> bool {
        let place = ServiceAccountRef::new(&pod.namespace, &pod.service_account).ok();
        if let Some(only) = self.only {
            return place.is_some_and(|place| only.contains(&place));
        }
        let user = || pod.labels.get(&self.settings.rules.user_label);
        pod.credentials.can_get
            || place.is_some_and(|place| self.places.contains(&place))
            || (pod.service_account.starts_with(OF_A_RUN)
                && user().is_some_and(|user| self.mapped.contains(user.as_str())))
    }

    /// Only what a sweep reads, so that thousands of pods stay small.
    fn boiled_down(&self, mut pod: Pod) -> Pod {
        let rules = &self.settings.rules;
        pod.judge(&rules.workload_containers);
        let labels = [rules.workload_label.as_str(), rules.user_label.as_str(), SKIP_LABEL];
        pod.labels.retain(|name, _| labels.contains(&name.as_str()));
        pod.annotations.retain(|name, _| *name == rules.keep_annotation);
        pod
    }
}

/// What a failed call means, in words.
pub(super) fn words(error: &PortError, cluster: &ClusterArn) -> String {
    match InsideError::of(error, cluster) {
        InsideError::Unreachable(words)
        | InsideError::Closed(words)
        | InsideError::Passing(words) => words,
    }
}

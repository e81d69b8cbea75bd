//! Lists of AWS and Kubernetes, page by page.

use std::collections::BTreeSet;

use pod_identity_core::{Pod, ServiceAccountRef};
use pod_identity_engine::ports::{ClusterAccess, ErrorKind, Page, PodQuery, PortError};

use crate::context::AdminContext;

/// Most pages of pods of one namespace that one question reads.
const MOST_PAGES: usize = 20;
/// How often a list begins again whose page token became too old.
const BEGINNINGS: usize = 3;

/// Follows the pages of a list.
pub(crate) async fn pages<T>(
    page: impl AsyncFn(Option<String>) -> Result<Page<T>, PortError>,
) -> Result<Vec<T>, PortError> {
    let (mut all, mut token, mut begun) = (Vec::new(), None, 1);
    loop {
        match page(token.take()).await {
            Ok(Page { items, next }) => {
                all.extend(items);
                match next {
                    Some(next) => token = Some(next),
                    None => return Ok(all),
                }
            }
            Err(error) if error.kind == ErrorKind::Expired && begun < BEGINNINGS => {
                all.clear();
                begun += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Pods of a namespace that were asked for.
#[derive(Debug, Default)]
pub(crate) struct PodList {
    pub(crate) found: Vec<Pod>,
    /// Whether some pods of the namespace were not looked at, because there are too many.
    pub(crate) cut: bool,
}

/// The pods of a namespace that are wanted. Of all others nothing is kept.
pub(crate) async fn pods(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    namespace: &str,
    wanted: impl Fn(&Pod) -> bool,
) -> Result<PodList, PortError> {
    let query = PodQuery {
        namespace: namespace.to_owned(),
        selector: String::new(),
        name: None,
        limit: admin.inside.page,
    };
    let (mut pods, mut token, mut begun, mut read) = (PodList::default(), None::<String>, 1, 0);
    loop {
        match admin.kubernetes.pods(access, &query, token.as_deref()).await {
            Ok(page) => {
                let judged = page.items.into_iter().map(|mut pod| {
                    if let Some(sweep) = &admin.inside.sweep {
                        pod.judge(&sweep.rules.workload_containers);
                    }
                    pod
                });
                pods.found.extend(judged.filter(&wanted));
                read += 1;
                token = page.next;
            }
            Err(error) if error.kind == ErrorKind::Expired && begun < BEGINNINGS => {
                (pods, token, begun) = (PodList::default(), None, begun + 1);
                continue;
            }
            Err(error) => return Err(error),
        }
        if token.is_none() || read >= MOST_PAGES || admin.deadline_reached() {
            pods.cut = token.is_some();
            pods.found.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
            return Ok(pods);
        }
    }
}

/// The place of an association or a pod, unless Kubernetes would not take its name.
pub(crate) fn place(namespace: &str, service_account: &str) -> Option<ServiceAccountRef> {
    ServiceAccountRef::new(namespace, service_account).ok()
}

/// The first few of some words, and how many there are beside them.
pub(crate) fn some<'a>(words: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let words: BTreeSet<&str> = words.into_iter().collect();
    let shown: Vec<&str> = words.iter().take(most).copied().collect();
    let more = words.len() - shown.len();
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

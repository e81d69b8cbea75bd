//! Ways out that several links share: what goes on by itself, and who has to be let in.

pub(super) const LATER: &str = "it is made as soon as nothing stands in its way any more";

pub(super) const RECONCILE: &str =
    "reconcile puts it right: wait for its next run, or bind it again to have it run now";

pub(super) const UNBLOCK: &str =
    "reconcile puts it right once what blocks it is out of the way: see the line condition";

pub(super) const GOES_ON: &str =
    "reconcile goes on by itself; if it stays so, look at its log and at {\"action\": \"status\"}";

pub(super) const MAPPED_NEXT: &str =
    "the workloads function maps it on its next run; if it stays so, look at its log";

pub(super) const LET_IN: &str = "ask again; if it stays so, let this function into the cluster: infra/kubernetes/readers.yaml and an access entry";

pub(super) const MAY_LOOK: &str =
    "ask again; if it stays so, see that this function's role may make that call";

#![allow(clippy::unwrap_used, clippy::panic)]

mod cases;
mod ceilings;
mod edges;
mod plans;
mod policies;
mod right;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::*;

const NAMESPACE: &str = "domino-compute";

/// A time, in seconds of a day.
fn at(seconds: f64) -> Timestamp {
    let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    noon + SignedDuration::from_secs_f64(seconds)
}

const HOUR: f64 = 3_600.0;

fn account(name: &str) -> ServiceAccountRef {
    ServiceAccountRef::new(NAMESPACE, name).unwrap()
}

fn desired(role: &str) -> Desired {
    Desired {
        role: format!("arn:aws:iam::111122223333:role/domino/{role}").parse().unwrap(),
        target_role: None,
        disable_session_tags: false,
        session_policy: None,
    }
}

fn worked(role: &str, since: f64) -> Option<Worked> {
    Some(Worked { desired: desired(role), since: Some(at(since)) })
}

fn association(role: &str, made: f64, modified: f64) -> Option<Association> {
    Some(Association {
        id: "a-1".to_owned(),
        arn: "arn:aws:eks:eu-west-1:111122223333:podidentityassociation/blue/a-1".to_owned(),
        namespace: NAMESPACE.to_owned(),
        service_account: "svc-etl-sa".to_owned(),
        role_arn: desired(role).role.to_string(),
        target_role_arn: None,
        disable_session_tags: false,
        policy: None,
        external_id: None,
        owner_arn: None,
        tags: BTreeMap::new(),
        created_at: Some(at(made)),
        modified_at: Some(at(modified)),
    })
}

/// `svc-etl` is bound to `svc-etl-sa` since -100,000 s.
fn bound(role: &str) -> SweepBound {
    SweepBound {
        service_account: "svc-etl".parse().unwrap(),
        desired: desired(role),
        changed_at: Some(at(-1e5)),
        before: None,
        associated: true,
        mapped_since: Some(at(-1e5)),
    }
}

fn removal(name: &str, when: f64, before: Option<Worked>) -> Removal {
    Removal { service_account: name.parse().unwrap(), at: at(when), before }
}

/// Bound and as it should be.
fn steady(role: &str) -> SweepPlace {
    SweepPlace {
        bound: Some(bound(role)),
        association: association(role, -1e5, -1e5),
        ..SweepPlace::default()
    }
}

/// The role was `old` for long, and is `new` since noon, by an update.
fn updated() -> SweepPlace {
    let changed =
        SweepBound { changed_at: Some(at(0.0)), before: worked("old", -1e5), ..bound("new") };
    SweepPlace {
        bound: Some(changed),
        association: association("new", -1e5, 0.0),
        ..SweepPlace::default()
    }
}

/// Nobody is bound any more since noon.
fn removed() -> SweepPlace {
    SweepPlace {
        removals: vec![removal("svc-etl", 0.0, worked("old", -1e5))],
        ..SweepPlace::default()
    }
}

const INJECTED: Credentials = Credentials {
    can_get: true,
    pod_identity: true,
    web_identity: false,
    static_keys: false,
    left_out: false,
};

/// A Workspace on `svc-etl-sa` that a ReplicaSet owns, injected.
fn pod(name: &str, created: f64) -> Pod {
    Pod {
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        service_account: "svc-etl-sa".to_owned(),
        created_at: Timestamp::from_second(at(created).as_second()).unwrap(),
        phase: Phase::Running,
        terminating: false,
        owner: Some(Owner { kind: "ReplicaSet".to_owned(), name: "workspace".to_owned() }),
        labels: BTreeMap::from([(
            "dominodatalab.com/workload-type".to_owned(),
            "Workspace".to_owned(),
        )]),
        annotations: BTreeMap::new(),
        containers: Vec::new(),
        has_token: true,
        credentials: INJECTED,
        obstacles: BTreeSet::new(),
    }
}

fn settings(policy: &str) -> Settings {
    let mut settings = Settings::new([NAMESPACE.to_owned()]);
    settings.policy = policy.parse().unwrap();
    settings
}

/// Sweeps one place, `svc-etl-sa`, beside another that is as it should be.
fn swept(place: SweepPlace, pods: &[Pod], now: f64, settings: &Settings) -> Sweep {
    let other = SweepBound { service_account: "svc-other".parse().unwrap(), ..bound("other") };
    let other = SweepPlace { bound: Some(other), ..steady("other") };
    let places = Places::from([(account("svc-etl-sa"), place), (account("svc-other-sa"), other)]);
    let mut survey = Survey::new(&places, settings, at(now));
    pods.iter().for_each(|pod| survey.look_at(pod));
    survey.plan(None)
}

/// Case, doubt and what is done about a single pod.
fn judged_by(policy: &str, place: SweepPlace, pod: Pod, now: f64) -> String {
    let sweep = swept(place, &[pod], now, &settings(policy));
    let Sweep { evictions, reports, held_back, .. } = &sweep;
    assert!(evictions.len() + reports.len() + held_back.len() <= 1);
    if let Some(finding) = evictions.first() {
        return format!("{} evict", finding.case);
    }
    if let Some(Reported { finding, because }) = reports.first() {
        return format!("{} report {because:?}", finding.case);
    }
    held_back.first().map_or("right".to_owned(), |HeldBack { finding, because }| match because {
        WhyHeldBack::Unsettled(_) => format!("{} wait", finding.case),
        because => format!("{} {because:?}", finding.case),
    })
}

/// By the defaults, an hour after noon.
fn judged(place: SweepPlace, pod: Pod) -> String {
    judged_by("", place, pod, HOUR)
}

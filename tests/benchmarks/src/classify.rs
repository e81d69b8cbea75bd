//! Which pods are stale: core's classification alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use local::table;
use pod_identity_core::sweep::{Places, Removal, Settings, Survey, SweepBound, SweepPlace, Worked};
use pod_identity_core::{Association, Credentials, Desired, Owner, Phase, Pod, ServiceAccountRef};

use crate::Failure;
use crate::figures::{cell, time, verdict};

const PODS: usize = 100_000;
const PLACES: usize = 1_000;
const NAMESPACE: &str = "domino-compute";

pub(crate) fn run(rounds: usize) -> Result<String, Failure> {
    let now: Timestamp = "2026-11-20T12:00:00Z".parse()?;
    let before = now.checked_sub(SignedDuration::from_hours(2))?;
    let change = now.checked_sub(SignedDuration::from_hours(1))?;
    let pods = pods(before);
    let settings = Settings::new([NAMESPACE.to_owned()]);
    let cases = [
        ("all as they should be", places(|_| Stale::Not, before, change)?),
        (
            "one in a hundred changed",
            places(|n| if n % 100 == 0 { Stale::Changed } else { Stale::Not }, before, change)?,
        ),
        ("all changed", places(|_| Stale::Changed, before, change)?),
        ("all revoked", places(|_| Stale::Revoked, before, change)?),
    ];
    let mut rows = Vec::new();
    for (name, places) in &cases {
        let mut stale = 0;
        let figures = time(rounds, || {
            let mut survey = Survey::new(places, &settings, now);
            pods.iter().for_each(|pod| survey.look_at(pod));
            let sweep = survey.plan(None);
            stale = sweep.evictions.len() + sweep.reports.len() + sweep.held_back.len();
            sweep
        });
        let median = figures.median();
        rows.push([
            (*name).to_owned(),
            stale.to_string(),
            cell(figures.least()),
            cell(median),
            cell(figures.p95()),
            cell(1_000.0),
            verdict(median, 1_000.0),
        ]);
    }
    let headings = ["case", "stale", "least ms", "median ms", "p95 ms", "goal ms", ""];
    Ok(format!(
        "{PODS} pods on {PLACES} service accounts, classified and planned, {rounds} rounds\n{}",
        table(headings, &rows)
    ))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stale {
    Not,
    Changed,
    Revoked,
}

fn desired(name: &str) -> Result<Desired, Failure> {
    Ok(Desired {
        role: format!("arn:aws:iam::111122223333:role/domino/{name}").parse()?,
        target_role: None,
        disable_session_tags: false,
        session_policy: None,
    })
}

fn places(
    stale: impl Fn(usize) -> Stale,
    before: Timestamp,
    change: Timestamp,
) -> Result<Places, Failure> {
    let long_ago = before.checked_sub(SignedDuration::from_hours(240))?;
    let mut places = Places::new();
    for number in 0..PLACES {
        let case = stale(number);
        let name: pod_identity_core::DominoName = format!("svc-{number}").parse()?;
        let worked = Worked { desired: desired("before")?, since: Some(long_ago) };
        let place = if case == Stale::Revoked {
            let removal = Removal { service_account: name, at: change, before: Some(worked) };
            SweepPlace { removals: vec![removal], ..SweepPlace::default() }
        } else {
            let changed = case == Stale::Changed;
            let desired = desired("now")?;
            let association = Association {
                id: format!("a-{number}"),
                arn: String::new(),
                namespace: NAMESPACE.to_owned(),
                service_account: format!("svc-{number}-sa"),
                role_arn: desired.role.to_string(),
                target_role_arn: None,
                disable_session_tags: false,
                policy: None,
                external_id: None,
                owner_arn: None,
                tags: BTreeMap::new(),
                created_at: Some(long_ago),
                modified_at: Some(if changed { change } else { long_ago }),
            };
            let bound = SweepBound {
                service_account: name,
                desired,
                changed_at: Some(if changed { change } else { long_ago }),
                before: changed.then_some(worked),
                associated: true,
                mapped_since: Some(long_ago),
            };
            SweepPlace {
                bound: Some(bound),
                association: Some(association),
                ..SweepPlace::default()
            }
        };
        places.insert(ServiceAccountRef::new(NAMESPACE, &format!("svc-{number}-sa"))?, place);
    }
    Ok(places)
}

fn pods(admitted: Timestamp) -> Vec<Pod> {
    let pod = |number: usize| Pod {
        namespace: NAMESPACE.to_owned(),
        name: format!("run-{number:024x}-abcde"),
        uid: format!("00000000-0000-4000-8000-{number:012x}"),
        service_account: format!("svc-{}-sa", number % PLACES),
        created_at: admitted,
        phase: Phase::Running,
        terminating: false,
        owner: Some(Owner { kind: "ReplicaSet".to_owned(), name: format!("run-{number:024x}") }),
        labels: BTreeMap::from(
            [
                ("workload-type", "App".to_owned()),
                ("starting-user-username", format!("svc-{}", number % PLACES)),
            ]
            .map(|(name, value)| (format!("dominodatalab.com/{name}"), value)),
        ),
        annotations: BTreeMap::new(),
        containers: Vec::new(),
        has_token: true,
        credentials: Credentials { can_get: true, pod_identity: true, ..Credentials::default() },
        obstacles: BTreeSet::new(),
    };
    (0..PODS).map(pod).collect()
}

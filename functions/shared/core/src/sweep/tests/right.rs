//! Histories in which it is known what every pod really holds.
//!
//! The truth is made up first: calls to EKS, when each took effect, when the ledger wrote it down,
//! and when each pod was admitted and asked for credentials. What the sweep is shown is derived
//! from that. The grace period covers a call's way, a pod's start and a late note together.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const ROLES: [&str; 3] = ["r0", "r1", "r2"];
const GRACE: f64 = 30.0;

/// One call: after how long, what to (nothing: it is deleted), when it took effect and when it
/// was written down after that, and whether the run died, so that it was written much later.
type Call = (f64, Option<usize>, f64, f64, bool);

#[derive(Debug, Clone)]
struct Change {
    called: f64,
    took_effect: f64,
    written: f64,
    role: Option<usize>,
}

#[derive(Debug, Clone)]
struct History {
    changes: Vec<Change>,
    tagged: Option<f64>,
    now: f64,
}

impl History {
    fn new(calls: Vec<Call>, tagged: Option<f64>, rest: f64) -> Self {
        let mut changes =
            vec![Change { called: -1e5, took_effect: -1e5, written: -1e5, role: None }];
        let mut died = false;
        for (after, role, way, late, dies) in calls {
            let last = changes.last().unwrap();
            if last.role == role {
                continue;
            }
            let called = last.written.max(last.called) + after;
            // Only an update's own time tells when it was really made.
            let dies = dies && role.is_some() && last.role.is_some();
            died |= dies;
            let took_effect = (called + way).max(last.took_effect);
            let written = called + late + if dies { 2_000.0 } else { 0.0 };
            changes.push(Change { called, took_effect, written, role });
        }
        let last = changes.last().unwrap();
        let now = last.written + rest;
        let tagged = tagged.filter(|_| !died).map(|part| last.called + part * (now - last.called));
        Self { changes, tagged, now }
    }

    /// What EKS gives at a time.
    fn gives(&self, when: f64) -> Option<usize> {
        let before = self.changes.iter().rev().find(|change| change.took_effect <= when);
        before.and_then(|change| change.role)
    }

    fn now_gives(&self) -> Option<usize> {
        self.changes.last().unwrap().role
    }

    /// What is shown of it.
    fn place(&self) -> SweepPlace {
        let (mut place, mut made) = (SweepPlace::default(), 0.0);
        let mut before: Option<Worked> = None;
        for pair in self.changes.windows(2) {
            let (was, is) = (&pair[0], &pair[1]);
            match is.role {
                None => {
                    let before = before.take();
                    place.removals.push(removal("svc-etl", is.written, before));
                    (place.bound, place.association) = (None, None);
                }
                Some(role) => {
                    if was.role.is_none() {
                        made = is.called;
                    }
                    place.bound = Some(SweepBound {
                        changed_at: Some(at(is.written)),
                        before: before.take(),
                        ..bound(ROLES[role])
                    });
                    let modified = self.tagged.unwrap_or(is.called);
                    place.association = association(ROLES[role], made, modified);
                    before = worked(ROLES[role], is.written);
                }
            }
        }
        // Somebody else's removals explain as well as one's own, unless he is bound again.
        for (number, removal) in place.removals.iter_mut().enumerate() {
            removal.service_account = format!("svc-{number}").parse().unwrap();
        }
        place
    }

    /// A pod, and whether it is right, or may be although its role changed.
    fn pod(&self, name: &str, admitted: f64, start: f64) -> (Pod, bool) {
        let injected = self.gives(admitted).is_some();
        let credentials =
            Credentials { can_get: injected, pod_identity: injected, ..Credentials::default() };
        let pod = Pod { credentials, ..pod(name, admitted.floor()) };
        let wanted = self.now_gives();
        if !injected {
            return (pod, wanted.is_none());
        }
        let asked = admitted + start;
        // It may have renewed its credentials at any time, and holds none that are older than
        // six hours. One that got nothing asks again until it gets something.
        let oldest = asked.max(self.now - 6.0 * HOUR - 2.0 * GRACE);
        let later = self.changes.iter().filter(|change| change.took_effect > oldest);
        let may_hold: Vec<_> =
            later.map(|change| change.role).chain([self.gives(oldest)]).flatten().collect();
        let surely = may_hold.iter().all(|role| wanted == Some(*role));
        // A role that was taken away and given back: the first credentials may still serve.
        let first = self.gives(asked) == wanted && self.now < asked + 6.0 * HOUR;
        (pod, wanted.is_some() && (surely || first))
    }
}

prop_compose! {
    fn history()(
        calls in prop::collection::vec((
            prop_oneof![1.0..60.0, 60.0..3_000.0, 3_000.0..30_000.0],
            prop::option::weighted(0.7, 0..ROLES.len()),
            0.0..10.0,
            0.0..8.0,
            prop::bool::weighted(0.2),
        ), 1..6),
        tagged in prop::option::weighted(0.3, 0.0..1.0),
        rest in prop_oneof![0.0..60.0, 60.0..30_000.0],
    ) -> History {
        History::new(calls, tagged, rest)
    }
}

/// Pods admitted around the changes, or anywhere.
fn admissions() -> impl Strategy<Value = Vec<(Index, f64, f64, f64)>> {
    let near = prop_oneof![3 => -60.0..60.0, 1 => -30_000.0..30_000.0];
    prop::collection::vec((any::<Index>(), near, 0.0..10.0, 0.0..1.0), 1..12)
}

fn pods(history: &History, admissions: &[(Index, f64, f64, f64)]) -> Vec<(Pod, bool)> {
    let made = |(number, (near, by, start, _)): (usize, &(Index, f64, f64, f64))| {
        let around = near.get(&history.changes).called;
        let admitted = (around + by).min(history.now);
        history.pod(&format!("p{number}"), admitted, *start)
    };
    admissions.iter().enumerate().map(made).collect()
}

fn everything_evicts() -> Settings {
    let mut settings = settings("*=evict");
    settings.ceilings = Ceilings {
        per_sweep: usize::MAX,
        per_namespace: usize::MAX,
        share_percent: 100,
        share_from: 0,
    };
    settings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn a_pod_that_is_right_is_never_evicted_in_whatever_order_pods_are_seen(
        history in history(),
        admissions in admissions(),
        reverse in any::<bool>(),
    ) {
        let pods = pods(&history, &admissions);
        let mut seen: Vec<Pod> = pods.iter().map(|(pod, _)| pod.clone()).collect();
        let sweep = swept(history.place(), &seen, history.now, &everything_evicts());
        for finding in &sweep.evictions {
            let (pod, right) = pods.iter().find(|(pod, _)| pod.uid == finding.pod.uid).unwrap();
            prop_assert!(!right, "{} was evicted: {}\n{:#?}", pod.name, finding.reason, history);
        }
        seen.sort_by(|a, b| a.created_at.cmp(&b.created_at).then(a.uid.cmp(&b.uid)));
        if reverse {
            seen.reverse();
        }
        let settings = everything_evicts();
        prop_assert_eq!(&swept(history.place(), &seen, history.now, &settings), &sweep);
        // Once they are gone, nobody else is.
        seen.retain(|pod| !sweep.evictions.iter().any(|one| one.pod.uid == pod.uid));
        prop_assert_eq!(swept(history.place(), &seen, history.now, &settings).evictions, vec![]);
    }

    #[test]
    fn ceilings_are_never_exceeded(
        history in history(),
        admissions in admissions(),
        per_sweep in 0..6_usize,
        per_namespace in 0..6_usize,
        share_percent in 0..=100_u8,
        share_from in 0..4_usize,
        spread in 1..4_usize,
    ) {
        let pods = pods(&history, &admissions);
        let spaces: Vec<String> = (0..spread).map(|number| format!("space-{number}")).collect();
        let mut settings = settings("*=evict");
        settings.namespaces = spaces.iter().cloned().collect();
        settings.ceilings = Ceilings { per_sweep, per_namespace, share_percent, share_from };
        let named = |space: &String| ServiceAccountRef::new(space, "svc-etl-sa").unwrap();
        let places: Places = spaces.iter().map(|space| (named(space), history.place())).collect();
        let mut survey = Survey::new(&places, &settings, at(history.now));
        let mut counts = BTreeMap::new();
        for (number, (pod, _)) in pods.into_iter().enumerate() {
            let space = &spaces[number % spread];
            *counts.entry(space.clone()).or_insert(0) += 1;
            survey.look_at(&Pod { namespace: space.clone(), ..pod });
        }
        let sweep = survey.plan(None);
        prop_assert!(sweep.evictions.len() <= per_sweep);
        for space in &spaces {
            let evicted = sweep.evictions.iter().filter(|one| one.pod.namespace == *space).count();
            prop_assert!(evicted <= per_namespace);
            let share = counts.get(space).copied().unwrap_or(0) * usize::from(share_percent) / 100;
            let remembered = |one: &&Finding| one.case == Case::Revoked && one.remembered;
            let here = sweep.evictions.iter().filter(|one| one.pod.namespace == *space);
            let others = evicted - here.filter(remembered).count();
            prop_assert!(others <= share.max(share_from));
        }
        let waiting: usize = sweep.ceilings.iter().map(|hit| hit.waiting).sum();
        let because = |one: &&HeldBack| matches!(one.because, WhyHeldBack::Ceiling(_));
        prop_assert_eq!(waiting, sweep.held_back.iter().filter(because).count());
    }
}

/// The property above would hold of a sweep that evicts nobody.
#[test]
fn the_histories_hold_pods_that_are_evicted_and_pods_that_are_right() {
    let calls = vec![
        (60.0, Some(0), 1.0, 1.0, false),
        (9_000.0, Some(1), 1.0, 1.0, false),
        (9_000.0, None, 1.0, 1.0, false),
    ];
    let judged = |calls: &[Call], before_the_end: f64| {
        let history = History::new(calls.to_vec(), None, 600.0);
        let (pod, right) = history.pod("p", history.now - before_the_end, 1.0);
        let sweep = swept(history.place(), &[pod], history.now, &everything_evicts());
        (right, sweep.evictions.first().map(|finding| finding.case))
    };
    assert_eq!(judged(&calls, 1_000.0), (false, Some(Case::Revoked)));
    assert_eq!(judged(&calls[..2], 1_000.0), (false, Some(Case::Changed)));
    assert_eq!(judged(&calls[..2], 300.0), (true, None));
    let again = [&calls[..], &[(60.0, Some(2), 1.0, 1.0, false)]].concat();
    assert_eq!(judged(&again, 2_000.0), (false, Some(Case::Recreated)));
    let same = [&calls[..], &[(60.0, Some(1), 1.0, 1.0, false)]].concat();
    assert_eq!(judged(&same, 2_000.0), (true, None));
}

//! How many are evicted at most.

use super::*;

fn revoked(count: usize) -> Vec<Pod> {
    (0..count).map(|number| pod(&format!("revoked-{number:03}"), -60.0)).collect()
}

/// Pods that are right, so that the revoked are a small share.
fn right(count: usize) -> Vec<Pod> {
    let right = (0..count).map(|number| pod(&format!("right-{number:03}"), -60.0));
    right
        .map(|pod| Pod {
            service_account: "default".to_owned(),
            credentials: Credentials::default(),
            ..pod
        })
        .collect()
}

fn numbers(sweep: &Sweep) -> (usize, usize) {
    (sweep.evictions.len(), sweep.held_back.len())
}

#[test]
fn beyond_a_number_the_rest_waits_and_the_sweep_says_so() {
    let mut settings = settings("");
    settings.ceilings.per_sweep = 3;
    let pods = [revoked(5), right(20)].concat();
    let sweep = swept(removed(), &pods, HOUR, &settings);
    assert_eq!(numbers(&sweep), (3, 2));
    insta::assert_snapshot!(sweep.ceilings[0], @"2 wait: one sweep evicts at most 3 pods; the next sweep goes on; raise the ceiling to go faster");
    settings.ceilings.per_namespace = 2;
    let sweep = swept(removed(), &pods, HOUR, &settings);
    assert_eq!(numbers(&sweep), (2, 3));
    insta::assert_snapshot!(sweep.ceilings[0], @"3 wait: one sweep evicts at most 2 pods of namespace domino-compute; the next sweep goes on; raise the ceiling to go faster");
    // The next sweep goes on with those that waited.
    let first = &sweep.evictions;
    let gone = |pod: &&Pod| !first.iter().any(|one| one.pod.uid == pod.uid);
    let left: Vec<Pod> = pods.iter().filter(gone).cloned().collect();
    assert_eq!(numbers(&swept(removed(), &left, HOUR, &settings)), (2, 1));
}

/// Pods that hold the role that was there before, and that the policy evicts.
fn changed(count: usize) -> Vec<Pod> {
    (0..count).map(|number| pod(&format!("changed-{number:03}"), -60.0)).collect()
}

const EVICT: &str = "changed=evict";

#[test]
fn an_implausible_share_evicts_none_of_the_namespace() {
    let settings = settings(EVICT);
    let sweep = swept(updated(), &[changed(11), right(10)].concat(), HOUR, &settings);
    assert_eq!(numbers(&sweep), (0, 11));
    insta::assert_snapshot!(sweep.ceilings[0], @"11 pods of namespace domino-compute would be evicted, those aside whose removal the ledger remembers: more than the 10 that are a plausible share, so none of them is; check that so many were meant, then raise the share, or end them in Domino");
    let sweep = swept(updated(), &[changed(10), right(10)].concat(), HOUR, &settings);
    assert_eq!(numbers(&sweep), (10, 0));
    assert!(sweep.ceilings.is_empty());
}

#[test]
fn a_few_pods_are_no_implausible_share() {
    assert_eq!(numbers(&swept(updated(), &changed(5), HOUR, &settings(EVICT))), (5, 0));
    assert_eq!(numbers(&swept(updated(), &changed(6), HOUR, &settings(EVICT))), (0, 6));
}

#[test]
fn the_share_holds_up_no_removal_that_the_ledger_remembers() {
    // Whoever has most of the pods of a namespace would shield what was taken away from others.
    assert_eq!(numbers(&swept(removed(), &revoked(20), HOUR, &settings(""))), (20, 0));
    let other = ServiceAccountRef::new("domino-compute", "svc-other-sa").unwrap();
    let places = Places::from([(account("svc-etl-sa"), updated()), (other, removed())]);
    let settings = settings(EVICT);
    let mut survey = Survey::new(&places, &settings, at(HOUR));
    changed(20).iter().for_each(|pod| survey.look_at(pod));
    let revoked = Pod { service_account: "svc-other-sa".to_owned(), ..pod("revoked", -60.0) };
    survey.look_at(&revoked);
    let sweep = survey.plan(None);
    assert_eq!(numbers(&sweep), (1, 20));
    assert_eq!(sweep.evictions[0].pod.name, "revoked");
}

#[test]
fn what_a_budget_blocked_before_takes_no_place_of_others() {
    let mut settings = settings("");
    settings.ceilings.per_sweep = 3;
    let places = Places::from([(account("svc-etl-sa"), removed())]);
    let pods = revoked(5);
    let blocked = |pod: &Pod| (pod.uid.clone(), (Case::Revoked, at(60.0)));
    let mut survey = Survey::new(&places, &settings, at(HOUR))
        .blocked_before(pods.iter().take(3).map(blocked).collect());
    pods.iter().for_each(|pod| survey.look_at(pod));
    let sweep = survey.plan(None);
    let names = sweep.evictions.iter().map(|one| one.pod.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["revoked-003", "revoked-004", "revoked-000"]);
    assert_eq!(sweep.evictions[2].blocked_since, Some(at(60.0)));
}

#[test]
fn one_namespace_that_is_implausible_holds_up_no_other() {
    let mut settings = settings(EVICT);
    settings.namespaces.insert("other".to_owned());
    let other = ServiceAccountRef::new("other", "svc-etl-sa").unwrap();
    let places = Places::from([(account("svc-etl-sa"), updated()), (other, updated())]);
    let mut survey = Survey::new(&places, &settings, at(HOUR));
    changed(20).iter().for_each(|pod| survey.look_at(pod));
    let elsewhere = Pod { namespace: "other".to_owned(), ..pod("elsewhere", -60.0) };
    survey.look_at(&elsewhere);
    let sweep = survey.plan(None);
    assert_eq!(numbers(&sweep), (1, 20));
    assert_eq!(sweep.evictions[0].pod.namespace, "other");
}

#[test]
fn reports_count_against_no_ceiling() {
    let pods: Vec<Pod> = (0..100).map(|n| pod(&n.to_string(), -60.0)).collect();
    let sweep = swept(SweepPlace::default(), &pods, HOUR, &settings(""));
    assert_eq!((sweep.reports.len(), sweep.ceilings.len()), (100, 0));
}

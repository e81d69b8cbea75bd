//! What each case is, and what it is not.

use super::*;

const NOTHING: Credentials = Credentials { can_get: false, pod_identity: false, ..INJECTED };

fn without(pod: Pod) -> Pod {
    Pod { credentials: NOTHING, ..pod }
}

#[test]
fn a_pod_that_works_as_its_association_says_is_right() {
    assert_eq!(judged(steady("old"), pod("p", -60.0)), "right");
    assert_eq!(judged(SweepPlace::default(), without(pod("p", -60.0))), "right");
}

#[test]
fn revoked_is_evicted_whoever_owns_the_pod_if_the_ledger_remembers_the_removal() {
    assert_eq!(judged(removed(), pod("p", -60.0)), "revoked evict");
    let job = Some(Owner { kind: "Job".to_owned(), name: "j".to_owned() });
    assert_eq!(judged(removed(), Pod { owner: job, ..pod("p", -60.0) }), "revoked evict");
    assert_eq!(judged(removed(), Pod { owner: None, ..pod("p", -60.0) }), "revoked evict");
}

#[test]
fn no_policy_evicts_after_a_removal_that_the_ledger_does_not_remember() {
    let unremembered = "revoked report Doubt(NotRemembered)";
    for policy in ["", "revoked=evict", "*=evict", "revoked:Workspace=evict"] {
        let nobody = SweepPlace::default();
        assert_eq!(judged_by(policy, nobody, pod("p", -60.0), HOUR), unremembered);
    }
    // Bound, and the association is gone by somebody's hand, or not listed.
    let gone = SweepPlace { association: None, ..steady("old") };
    let lost = "revoked report Doubt(StillBound)";
    assert_eq!(judged_by("*=evict", gone, pod("p", -60.0), HOUR), lost);
    // A pod of a place that nobody knows at all.
    let stranger = Pod { service_account: "stranger".to_owned(), ..pod("p", -60.0) };
    assert_eq!(judged_by("*=evict", steady("old"), stranger, HOUR), unremembered);
}

#[test]
fn revoked_of_one_who_is_bound_again_or_whose_place_should_have_an_association_is_reported() {
    let still = "revoked report Doubt(StillBound)";
    let again = SweepBound { associated: false, ..bound("old") };
    let place = SweepPlace { bound: Some(again), ..removed() };
    assert_eq!(judged(place, pod("p", -60.0)), still);
    let next = SweepBound { service_account: "svc-next".parse().unwrap(), ..bound("old") };
    let place = SweepPlace { bound: Some(next.clone()), ..removed() };
    assert_eq!(judged(place, pod("p", -60.0)), still);
    // Somebody else who has no association yet: what the pod holds was taken away all the same.
    let waits = SweepBound { associated: false, ..next };
    let place = SweepPlace { bound: Some(waits), ..removed() };
    assert_eq!(judged(place, pod("p", -60.0)), "revoked evict");
}

#[test]
fn the_first_removal_after_admission_counts() {
    let removals = [100.0, 50.0, -50.0].map(|when| removal("svc-etl", when, None)).to_vec();
    let place = SweepPlace { removals, ..SweepPlace::default() };
    let sweep = swept(place, &[pod("p", 0.0)], HOUR, &settings(""));
    assert_eq!(sweep.evictions.first().unwrap().since, Some(at(50.0)));
}

#[test]
fn changed_is_evicted_only_if_a_controller_starts_the_pod_again() {
    for kind in ["ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"] {
        let owner = Some(Owner { kind: kind.to_owned(), name: "o".to_owned() });
        assert_eq!(judged(updated(), Pod { owner, ..pod("p", -60.0) }), "changed evict");
    }
    let kept = "changed report NothingRestartsIt";
    for kind in ["Job", "Execution"] {
        let owner = Some(Owner { kind: kind.to_owned(), name: "o".to_owned() });
        assert_eq!(judged(updated(), Pod { owner, ..pod("p", -60.0) }), kept);
    }
    assert_eq!(judged(updated(), Pod { owner: None, ..pod("p", -60.0) }), kept);
}

#[test]
fn target_role_session_policy_and_session_tags_count_as_a_change_as_well() {
    let target = Desired { target_role: Some(desired("target").role), ..desired("new") };
    let untagged = Desired { disable_session_tags: true, ..desired("new") };
    let narrowed = Desired { session_policy: Some("{}".to_owned()), ..untagged.clone() };
    for (before, expected) in [
        (target, "changed evict"),
        (untagged, "changed evict"),
        (narrowed, "changed evict"),
        (desired("new"), "right"),
    ] {
        let before = Some(Worked { desired: before, since: Some(at(-1e5)) });
        let changed = SweepBound { before, changed_at: Some(at(0.0)), ..bound("new") };
        let place = SweepPlace { bound: Some(changed), ..updated() };
        assert_eq!(judged(place, pod("p", -60.0)), expected);
    }
}

#[test]
fn modified_at_alone_changes_nothing() {
    let tagged = || SweepPlace { association: association("old", -1e5, 0.0), ..steady("old") };
    assert_eq!(judged(tagged(), pod("p", -60.0)), "right");
    // Neither does a change of which the ledger does not know what was before: an adoption.
    let adopted = SweepBound { changed_at: Some(at(0.0)), ..bound("old") };
    let place = SweepPlace { bound: Some(adopted), ..tagged() };
    assert_eq!(judged(place, pod("p", -60.0)), "right");
}

#[test]
fn recreated_with_the_same_role_is_harmless() {
    // By hand, or because EKS would not clear a value: the desired state is older than the pod.
    let again = SweepPlace { association: association("old", 0.0, 0.0), ..steady("old") };
    assert_eq!(judged(again, pod("p", -60.0)), "right");
    // Removed and assigned again: the ledger wrote a change down.
    let again = |before: &str| SweepPlace {
        bound: Some(SweepBound { changed_at: Some(at(10.0)), ..bound("old") }),
        removals: vec![removal("svc-etl", 0.0, worked(before, -1e5))],
        association: association("old", 9.0, 9.0),
        irsa_role: None,
    };
    assert_eq!(judged(again("old"), pod("p", -60.0)), "right");
    assert_eq!(judged(again("other"), pod("p", -60.0)), "recreated evict");
}

#[test]
fn recreated_is_reported_if_nobody_knows_what_was_before_or_what_should_be() {
    let unknown = "recreated report Doubt(BeforeUnknown)";
    let foreign = SweepPlace { association: association("x", 0.0, 0.0), ..SweepPlace::default() };
    assert_eq!(judged_by("*=evict", foreign, pod("p", -60.0), HOUR), unknown);
    let first = SweepBound { changed_at: Some(at(1.0)), ..bound("old") };
    let first = SweepPlace {
        bound: Some(first),
        association: association("old", 0.0, 0.0),
        ..SweepPlace::default()
    };
    assert_eq!(judged_by("*=evict", first, pod("p", -60.0), HOUR), unknown);
    // Made again by hand with a role that the ledger does not want.
    let drifted = SweepPlace { association: association("x", 0.0, 0.0), ..steady("old") };
    let drift = "recreated report Doubt(NotAsBound)";
    assert_eq!(judged_by("*=evict", drifted, pod("p", -60.0), HOUR), drift);
}

#[test]
fn a_role_that_was_changed_twice_in_a_pods_life_may_be_back_and_is_reported() {
    // old until -600, other until 0, new since.
    let changed = SweepBound { before: worked("other", -600.0), ..updated().bound.unwrap() };
    let place = SweepPlace { bound: Some(changed), ..updated() };
    let unknown = "changed report Doubt(BeforeUnknown)";
    assert_eq!(judged_by("*=evict", place.clone(), pod("p", -900.0), HOUR), unknown);
    assert_eq!(judged(place.clone(), pod("p", -300.0)), "changed evict");
    // Long enough between the two: it had come to hold the second.
    let long = SweepBound { before: worked("other", -7.0 * HOUR), ..place.bound.clone().unwrap() };
    let place = SweepPlace { bound: Some(long), ..place };
    assert_eq!(judged(place, pod("p", -8.0 * HOUR)), "changed evict");
}

#[test]
fn missing_is_reported_whichever_came_first() {
    assert_eq!(judged(steady("old"), without(pod("p", -60.0))), "missing report Policy");
    let late = SweepPlace { association: association("old", 0.0, 0.0), ..steady("old") };
    assert_eq!(judged(late.clone(), without(pod("p", -60.0))), "missing report Policy");
    assert_eq!(judged_by("missing=evict", late, without(pod("p", -60.0)), HOUR), "missing evict");
}

#[test]
fn a_pod_that_opted_out_is_reported_as_that_and_never_evicted() {
    let left_out = Credentials { left_out: true, static_keys: true, ..NOTHING };
    let opted_out = || Pod { credentials: left_out, ..pod("p", -60.0) };
    assert_eq!(judged(steady("old"), opted_out()), "excluded report Policy");
    let evicting = "excluded=evict,*=evict";
    assert_eq!(judged_by(evicting, steady("old"), opted_out(), HOUR), "excluded report Policy");
    assert_eq!(judged(SweepPlace::default(), opted_out()), "right");
    // With a token of its own it held what was taken away.
    let own = Credentials { can_get: true, ..left_out };
    let own = Pod { credentials: own, ..pod("p", -60.0) };
    assert_eq!(judged(removed(), own.clone()), "revoked evict");
    assert_eq!(judged(updated(), own), "changed evict");
}

#[test]
fn shadowed_is_a_pod_with_another_identity_beside_its_association() {
    let web = Credentials { web_identity: true, ..INJECTED };
    let keys = Credentials { static_keys: true, ..NOTHING };
    for credentials in [web, keys] {
        let pod = || Pod { credentials, ..pod("p", -60.0) };
        assert_eq!(judged(steady("old"), pod()), "shadowed report Policy");
        assert_eq!(judged_by("shadowed=evict", steady("old"), pod(), HOUR), "shadowed evict");
    }
    let keys = Pod { credentials: keys, ..pod("p", -60.0) };
    assert_eq!(judged(SweepPlace::default(), keys), "right");
}

#[test]
fn an_annotation_on_the_service_account_alone_is_reported_at_most() {
    let annotated = || SweepPlace { irsa_role: Some("irsa".to_owned()), ..steady("old") };
    let doubt = "shadowed report Doubt(OnlyAnnotated)";
    assert_eq!(judged_by("*=evict", annotated(), pod("p", -60.0), HOUR), doubt);
    // Without any credentials it is missing, annotated or not.
    assert_eq!(judged(annotated(), without(pod("p", -60.0))), "missing report Policy");
}

#[test]
fn an_association_that_the_ledger_does_not_want_evicts_nobody() {
    let foreign =
        || SweepPlace { association: association("x", -1e5, -1e5), ..SweepPlace::default() };
    let doubt = "missing report Doubt(NotAsBound)";
    assert_eq!(judged_by("*=evict", foreign(), without(pod("p", -60.0)), HOUR), doubt);
    let keys = Credentials { static_keys: true, ..NOTHING };
    let keys = Pod { credentials: keys, ..pod("p", -60.0) };
    let doubt = "shadowed report Doubt(NotAsBound)";
    assert_eq!(judged_by("*=evict", foreign(), keys, HOUR), doubt);
}

#[test]
fn unmapped_is_a_mapped_name_on_a_service_account_of_a_run() {
    let started = |by: &str, on: &str, created: f64| {
        let mut pod = without(pod("p", created));
        pod.service_account = on.to_owned();
        pod.labels.insert("dominodatalab.com/starting-user-username".to_owned(), by.to_owned());
        pod
    };
    let run = "run-0123456789abcdef01234567";
    let judged = |policy: &str, pod: Pod| judged_by(policy, steady("old"), pod, HOUR);
    assert_eq!(judged("", started("svc-etl", run, -60.0)), "unmapped report Policy");
    assert_eq!(judged("unmapped=evict", started("svc-etl", run, -60.0)), "unmapped evict");
    // Somebody else, another static service account, the right one.
    assert_eq!(judged("", started("svc-another", run, -60.0)), "right");
    assert_eq!(judged("", started("svc-etl", "default", -60.0)), "right");
    assert_eq!(judged("", started("svc-etl", "svc-etl-sa", -60.0)), "missing report Policy");
    let early = started("svc-etl", run, -1e5 - 60.0);
    assert_eq!(judged("unmapped=evict", early), "unmapped report Doubt(BeforeMapping)");
    let mapped = SweepBound { mapped_since: None, ..bound("old") };
    let unmapped = SweepPlace { bound: Some(mapped), ..steady("old") };
    assert_eq!(judged_by("", unmapped, started("svc-etl", run, -60.0), HOUR), "right");
    // Another namespace has other bindings.
    let elsewhere = Pod { namespace: "other".to_owned(), ..started("svc-etl", run, -60.0) };
    let mut both = settings("");
    both.namespaces.insert("other".to_owned());
    assert!(swept(steady("old"), &[elsewhere], HOUR, &both).is_empty());
}

#[test]
fn what_was_taken_away_comes_before_what_hides_it_and_that_before_what_is_lacking() {
    let web = Credentials { web_identity: true, ..INJECTED };
    let run = "run-0123456789abcdef01234567";
    let mut pod = Pod { credentials: web, ..pod("p", -60.0) };
    assert_eq!(judged(updated(), pod.clone()), "changed evict");
    assert_eq!(judged(removed(), pod.clone()), "revoked evict");
    pod.labels.insert("dominodatalab.com/starting-user-username".to_owned(), "svc-etl".to_owned());
    pod.service_account = run.to_owned();
    assert_eq!(judged(steady("old"), pod), "revoked report Doubt(NotRemembered)");
    let mut order = Case::ALL;
    order.sort();
    assert_eq!(order, Case::ALL);
}

#[test]
fn pods_out_of_scope_are_no_case() {
    let over = Pod { phase: Phase::Over, ..pod("a", -60.0) };
    let terminating = Pod { terminating: true, ..pod("b", -60.0) };
    let elsewhere = Pod { namespace: "kube-system".to_owned(), ..pod("c", -60.0) };
    let sweep = swept(removed(), &[over, terminating, elsewhere], HOUR, &settings(""));
    assert!(sweep.is_empty());
    assert_eq!(sweep.pods, 0);
    let pending = Pod { phase: Phase::Pending, ..pod("d", -60.0) };
    assert_eq!(judged(removed(), pending), "revoked evict");
}

#[test]
fn names_of_cases_read_as_they_are_written_everywhere() {
    for case in Case::ALL {
        assert_eq!(case.to_string().parse(), Ok(case));
        assert_eq!(serde_json::to_value(case).unwrap(), case.as_str());
        let event = pod_identity_events::StalePodCase::from(case);
        assert_eq!(serde_json::to_value(event).unwrap(), case.as_str());
    }
    insta::assert_snapshot!(
        "Revoked".parse::<Case>().unwrap_err(),
        @"`Revoked` is not a case of stale pods: revoked, changed, recreated, excluded, shadowed, missing or unmapped"
    );
}

//! Times around a change. The grace period is 30 s, and admission is cut to whole seconds.

use super::*;

#[test]
fn around_a_change_of_role_a_pod_is_reported_and_not_evicted() {
    for (created, expected) in [
        (-60.0, "changed evict"),
        (-31.0, "changed evict"),
        // Admitted up to a second later than it says, and asked for credentials later still.
        (-30.0, "changed report Doubt(NearTheChange)"),
        (0.0, "changed report Doubt(NearTheChange)"),
        (29.0, "changed report Doubt(NearTheChange)"),
        (30.0, "right"),
    ] {
        assert_eq!(judged(updated(), pod("p", created)), expected, "{created}");
    }
}

#[test]
fn without_a_grace_period_only_the_second_of_the_change_is_in_doubt() {
    let mut settings = settings("");
    settings.grace = SignedDuration::ZERO;
    let changed = |written: f64| {
        let changed = SweepBound { changed_at: Some(at(written)), ..updated().bound.unwrap() };
        SweepPlace { bound: Some(changed), association: association("new", -1e5, 9.0), ..updated() }
    };
    let done = |written: f64, created: f64| {
        let sweep = swept(changed(written), &[pod("p", created)], HOUR, &settings);
        (sweep.evictions.len(), sweep.reports.len())
    };
    assert_eq!(done(5.5, 4.0), (1, 0));
    assert_eq!(done(5.5, 5.0), (0, 1));
    assert_eq!(done(5.0, 4.0), (1, 0));
    assert_eq!(done(5.0, 5.0), (0, 0));
    assert_eq!(done(5.5, 6.0), (0, 0));
}

#[test]
fn a_change_that_was_written_down_late_counts_from_when_the_association_was_modified() {
    // The run died, and the next one wrote the change down after ten minutes.
    let late = SweepBound { changed_at: Some(at(600.0)), ..updated().bound.unwrap() };
    let place = SweepPlace { bound: Some(late), ..updated() };
    assert_eq!(judged(place.clone(), pod("p", 300.0)), "right");
    assert_eq!(judged(place.clone(), pod("p", -60.0)), "changed evict");
    // A tag that was edited later makes nothing older than the ledger says.
    let tagged = SweepPlace { association: association("new", -1e5, 1200.0), ..updated() };
    assert_eq!(judged(tagged, pod("p", 300.0)), "right");
}

#[test]
fn after_six_hours_a_pod_holds_the_new_role() {
    let last = 6.0 * HOUR + 30.0;
    let pod = || pod("p", -60.0);
    assert_eq!(judged_by("", updated(), pod(), last - 1.0), "changed evict");
    assert_eq!(judged_by("", updated(), pod(), last), "right");
    // One that lost its association goes on being another's in waiting.
    assert_eq!(judged_by("", removed(), pod(), 100.0 * HOUR), "revoked evict");
}

#[test]
fn an_eviction_waits_until_what_comes_instead_is_admitted_late_enough() {
    let pod = || pod("p", -60.0);
    assert_eq!(judged_by("", updated(), pod(), 29.0), "changed wait");
    assert_eq!(judged_by("", updated(), pod(), 30.0), "changed evict");
    let sweep = swept(updated(), &[pod()], 5.0, &settings(""));
    assert_eq!(sweep.again_at, Some(at(30.0)));
    // The change counts from when it was written down, if that is later.
    let late = SweepBound { changed_at: Some(at(10.0)), ..updated().bound.unwrap() };
    let place = SweepPlace { bound: Some(late), ..updated() };
    assert_eq!(judged_by("", place, pod(), 39.0), "changed wait");
    // What is taken away does not wait for anything.
    assert_eq!(judged_by("", removed(), pod(), 0.0), "revoked evict");
    // Neither does a report.
    let nothing = Credentials { can_get: false, pod_identity: false, ..INJECTED };
    let bare = || Pod { credentials: nothing, ..pod() };
    let late = || SweepPlace { association: association("old", 0.0, 0.0), ..steady("old") };
    assert_eq!(judged_by("", late(), bare(), 1.0), "missing report Policy");
    assert_eq!(judged_by("missing=evict", late(), bare(), 29.0), "missing wait");
    assert_eq!(judged_by("missing=evict", late(), bare(), 30.0), "missing evict");
}

#[test]
fn an_injected_pod_after_a_removal_is_explained_by_it_only_within_the_grace_period() {
    let unremembered = "revoked report Doubt(NotRemembered)";
    assert_eq!(judged(removed(), pod("p", 29.0)), "revoked evict");
    assert_eq!(judged(removed(), pod("p", 30.0)), unremembered);
    // While somebody else waits to be bound, it can be his already.
    let waits = SweepBound {
        service_account: "svc-next".parse().unwrap(),
        associated: false,
        ..bound("next")
    };
    let place = || SweepPlace { bound: Some(waits.clone()), ..removed() };
    assert_eq!(judged(place(), pod("p", -1.0)), "revoked evict");
    assert_eq!(judged(place(), pod("p", 0.0)), unremembered);
}

#[test]
fn a_pod_that_was_injected_between_a_removal_and_the_next_binding_is_not_evicted() {
    // It got nothing then, and gets the new role when it asks again.
    let place = SweepPlace {
        removals: vec![removal("svc-etl", 0.0, worked("old", -1e5))],
        bound: Some(SweepBound { changed_at: Some(at(601.0)), ..bound("new") }),
        association: association("new", 600.0, 600.0),
        irsa_role: None,
    };
    let unknown = "recreated report Doubt(BeforeUnknown)";
    assert_eq!(judged_by("*=evict", place.clone(), pod("p", 5.0), HOUR), unknown);
    assert_eq!(judged_by("*=evict", place.clone(), pod("p", -60.0), HOUR), "recreated evict");
    assert_eq!(judged_by("*=evict", place, pod("p", 605.0), HOUR), "right");
}

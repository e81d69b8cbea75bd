//! The ledger's memory decides whose an association is; each verdict of the table, in the plan.

use super::*;

fn retagged(mut association: Association, tags: &[(&str, &str)]) -> Association {
    association.tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    association
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn intent(role_name: &str, second: i64) -> Intent {
    Intent {
        kubernetes: kubernetes("sa"),
        version: version(1),
        desired: claim("svc-etl", role_name, 1).binding.desired,
        recorded_at: at(second),
        expires_at: None,
    }
}

/// An association that was made by a run that died before it recorded the id.
fn unconfirmed(role_name: &str, intended: Intent, created: i64, claims: Vec<Claim>) -> Place {
    let mut there = managed(role_name, "svc-etl");
    there.created_at = Some(at(created));
    let leaving: &[&str] = if claims.is_empty() { &["svc-etl"] } else { &[] };
    let mut place = place(claims, leaving, Some(there));
    place.held = None;
    place.intents = vec![("svc-etl".parse().unwrap(), intended)];
    place
}

#[test]
fn what_the_ledger_remembers_is_ours_whatever_its_tags_say() {
    let tags: [&[(&str, &str)]; 4] = [
        &[],
        &[("team", "x")],
        &[(DEPLOYMENT_TAG, "other"), (SERVICE_ACCOUNT_TAG, "svc-other")],
        &[(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-other")],
    ];
    for tags in tags {
        let mut wanted =
            place(vec![claim("svc-etl", "etl", 1)], &[], Some(managed("etl", "svc-etl")));
        wanted.association = wanted.association.map(|one| retagged(one, tags));
        let plan = planned(vec![wanted]);
        // The tags are restored, and nothing else is changed.
        assert!(matches!(
            &plan.places[0].step,
            Some(AssociationStep::UpdateAssociation { desired: None, tags: Some(_), .. })
        ));
    }
}

#[test]
fn a_removal_deletes_what_was_untagged_and_restores_the_tag_first() {
    let mut untagged = place(vec![], &["svc-etl"], Some(managed("etl", "svc-etl")));
    untagged.association = untagged.association.map(|one| retagged(one, &[]));
    let plan = planned(vec![untagged]);
    let Some(AssociationStep::DeleteAssociation { id, tags: Some(tags), .. }) =
        &plan.places[0].step
    else {
        panic!("{plan}");
    };
    assert_eq!((id.as_str(), tags[DEPLOYMENT_TAG].as_str()), ("a-1", "acme"));
    assert_eq!(plan.places[0].removed.len(), 1);
}

#[test]
fn an_open_intent_accounts_for_what_its_run_could_not_record() {
    let wanted = unconfirmed("etl", intent("etl", 0), 5, vec![claim("svc-etl", "etl", 1)]);
    let plan = planned(vec![wanted]);
    assert!(plan.places[0].bound.as_ref().unwrap().unchanged.is_some(), "{plan}");
    let removed = unconfirmed("etl", intent("etl", 0), 5, Vec::new());
    let plan = planned(vec![removed]);
    assert!(matches!(plan.places[0].step, Some(AssociationStep::DeleteAssociation { .. })));
}

#[test]
fn an_intent_accounts_for_nothing_older_of_other_values_or_of_another_place() {
    let claims = || vec![claim("svc-etl", "etl", 1)];
    let older = unconfirmed("etl", intent("etl", 100), 39, claims());
    let other_values = unconfirmed("etl-2", intent("etl", 0), 5, claims());
    let elsewhere = unconfirmed(
        "etl",
        Intent { kubernetes: kubernetes("sb"), ..intent("etl", 0) },
        5,
        claims(),
    );
    let mut untagged = unconfirmed("etl", intent("etl", 0), 5, claims());
    untagged.association = untagged.association.map(|one| retagged(one, &[]));
    let mut for_another = unconfirmed("etl", intent("etl", 0), 5, claims());
    for_another.intents[0].0 = "svc-other".parse().unwrap();
    for place in [older, other_values, elsewhere, untagged, for_another] {
        let plan = planned(vec![place]);
        assert!(plan.is_empty(), "{plan}");
        assert_eq!(plan.places[0].blocked.len(), 1);
    }
    // EKS's clock may be a minute behind.
    let just_in_time = unconfirmed("etl", intent("etl", 100), 40, claims());
    assert!(planned(vec![just_in_time]).places[0].bound.is_some());
}

#[test]
fn a_removal_that_cannot_be_proven_is_blocked() {
    // Our tag, and an id that the ledger does not remember.
    let mut copied = place(vec![], &["svc-etl"], Some(managed("etl", "svc-etl")));
    copied.held = None;
    let plan = planned(vec![copied]);
    assert!(plan.is_empty() && plan.places[0].removed.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::OrphanAssociation]);
    // Ours became an add-on's, by EKS's word.
    let mut owned = place(vec![], &["svc-etl"], Some(managed("etl", "svc-etl")));
    let addon = "arn:aws:eks:eu-west-1:111122223333:addon/blue/x/1";
    owned.association.as_mut().unwrap().owner_arn = Some(addon.to_owned());
    let plan = planned(vec![owned]);
    assert!(plan.is_empty() && plan.places[0].removed.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::AddOnOwnedAssociation]);
}

#[test]
fn what_is_not_shown_is_deleted_by_its_id_before_its_removal_is_said() {
    let mut hidden = place(vec![], &["svc-etl"], Some(managed("etl", "svc-etl")));
    hidden.association = None;
    // Another association has come since: ours is gone, and the other one is left alone.
    let mut replaced = hidden.clone();
    replaced.association = Some(Association { id: "a-2".to_owned(), ..association("x", &[]) });
    for place in [hidden, replaced] {
        let plan = planned(vec![place]);
        let Some(AssociationStep::DeleteAssociation { id, .. }) = &plan.places[0].step else {
            panic!("{plan}");
        };
        assert_eq!(id, "a-1");
        assert_eq!(plan.places[0].removed[0].association_id.as_deref(), Some("a-1"));
    }
}

#[test]
fn a_replaced_association_blocks_and_says_that_pods_may_get_another_role() {
    let mut replaced =
        place(vec![claim("svc-etl", "etl", 1)], &[], Some(managed("etl", "svc-etl")));
    replaced.association = Some(Association { id: "a-2".to_owned(), ..association("x", &[]) });
    let plan = planned(vec![replaced]);
    assert!(plan.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::ReplacedAssociation]);
    assert!(plan.places[0].blocked[0].problem.message().contains("pods may get that role"));
}

#[test]
fn tags_change_no_step_but_the_tags_that_are_written() {
    let names = ["svc-etl", "svc-other", "no name", ""];
    let deployments = ["acme", "other", ""];
    let steps = |tags: &[(&str, &str)], claims: Vec<Claim>, leaving: &[&str]| {
        let mut place = place(claims, leaving, Some(managed("old", "svc-etl")));
        place.association = place.association.map(|one| retagged(one, tags));
        let mut step = plan(&observation(vec![place]), &options()).places.remove(0).step.unwrap();
        match &mut step {
            AssociationStep::UpdateAssociation { tags, .. }
            | AssociationStep::DeleteAssociation { tags, .. } => *tags = None,
            AssociationStep::CreateAssociation { .. } => {}
        }
        step
    };
    let ours = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-etl")];
    for deployment in deployments {
        for name in names {
            let tags = [(DEPLOYMENT_TAG, deployment), (SERVICE_ACCOUNT_TAG, name)];
            let wanted = || vec![claim("svc-etl", "etl", 1)];
            assert_eq!(steps(&tags, wanted(), &[]), steps(&ours, wanted(), &[]));
            assert_eq!(steps(&tags, vec![], &["svc-etl"]), steps(&ours, vec![], &["svc-etl"]));
        }
    }
}

#[test]
fn a_claim_without_a_number_holds_nothing() {
    let unqueued = Claim { number: None, ..claim("svc-etl", "etl", 1) };
    let plan = planned(vec![place(vec![unqueued], &[], None)]);
    assert!(plan.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::Conflict]);
}

use super::*;

/// A claim to whose name an administrator gave the word for an association.
fn adopting(name: &str, role_name: &str, id: &str) -> Claim {
    Claim { adopts: Some(id.to_owned()), ..claim(name, role_name, 1) }
}

fn foreign(role_name: &str) -> Association {
    association(role_name, &[("team", "x")])
}

#[test]
fn an_adopted_association_is_tagged_and_kept() {
    let mut observation = observation(vec![place(
        vec![adopting("svc-etl", "etl", "a-1")],
        &[],
        Some(foreign("theirs")),
    )]);
    observation.policies.other_roles = BTreeSet::from([role("theirs")]);
    let plan = planned_with(observation, &options());
    insta::assert_snapshot!(plan, @r"
    cluster blue (eu-west-1, 111122223333)
      + policy acme-eu-west-1-blue-1 lists role/domino/etl, role/domino/theirs
      + policy acme-eu-west-1-blue-1 attached to role/domino/blue-eks-nodes
      ~ association domino-compute/sa (a-1): role/domino/theirs -> role/domino/etl for svc-etl, adopted
    ");
    let name = "svc-etl".parse().unwrap();
    let step = plan.places[0].step.as_ref();
    let Some(AssociationStep::UpdateAssociation { id, tags, adopts: true, .. }) = step else {
        panic!("{plan}");
    };
    assert_eq!((id.as_str(), tags), ("a-1", &Some(association_tags("acme", &name))));
}

#[test]
fn one_that_works_as_it_should_is_adopted_by_its_tags_alone() {
    let plan =
        planned(vec![place(vec![adopting("svc-etl", "etl", "a-1")], &[], Some(foreign("etl")))]);
    assert!(matches!(
        plan.places[0].step,
        Some(AssociationStep::UpdateAssociation { desired: None, tags: Some(_), .. })
    ));
}

#[test]
fn an_orphan_is_adopted_by_the_same_word() {
    let plan = planned(vec![place(
        vec![adopting("svc-etl", "etl", "a-1")],
        &[],
        Some(managed("etl", "svc-gone")),
    )]);
    assert!(matches!(
        plan.places[0].step,
        Some(AssociationStep::UpdateAssociation { tags: Some(_), adopts: true, .. })
    ));
    assert_eq!(plan.places[0].kept, None);
}

#[test]
fn an_add_on_owned_association_is_never_adopted() {
    let mut owned = foreign("etl");
    owned.owner_arn = Some("arn:aws:eks:eu-west-1:111122223333:addon/blue/x/1".to_owned());
    let plan = planned(vec![place(vec![adopting("svc-etl", "etl", "a-1")], &[], Some(owned))]);
    assert!(plan.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::AddOnOwnedAssociation]);
}

#[test]
fn another_id_than_the_one_named_is_not_adopted() {
    let plan = planned(vec![
        place(vec![adopting("svc-etl", "etl", "a-0")], &[], Some(foreign("etl"))),
        place(vec![adopting("svc-etl", "etl", "a-0")], &[], Some(managed("etl", "svc-gone"))),
    ]);
    assert!(plan.is_empty());
    let expected = [BlockedCode::ForeignAssociation, BlockedCode::OrphanAssociation];
    assert_eq!(codes(&plan), expected);
    for place in &plan.places {
        let reason = &place.blocked[0].problem.message();
        assert!(reason.ends_with("what may be adopted is association a-0"), "{reason}");
    }
}

#[test]
fn untrusted_role_keeps_an_association_from_being_adopted() {
    let plan = planned(vec![place(
        vec![adopting("svc-etl", "untrusted", "a-1")],
        &[],
        Some(foreign("theirs")),
    )]);
    assert!(plan.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::UntrustedRole]);
    assert!(plan.places[0].kept.as_deref().unwrap().contains("did not make"));
}

#[test]
fn a_word_for_one_who_does_not_hold_the_place_adopts_nothing() {
    let mut refused = adopting("svc-etl", "etl", "a-1");
    refused.refused = Some("role etl is not admitted by ROLES".to_owned());
    let younger = Claim { number: Some(2), ..adopting("svc-next", "report", "a-1") };
    let plan = planned(vec![
        place(vec![refused, younger.clone()], &[], Some(foreign("theirs"))),
        place(vec![claim("svc-etl", "etl", 1), younger], &[], Some(foreign("theirs"))),
    ]);
    assert!(plan.is_empty());
    let expected = [
        BlockedCode::NotAllowed,
        BlockedCode::Conflict,
        BlockedCode::ForeignAssociation,
        BlockedCode::Conflict,
    ];
    assert_eq!(codes(&plan), expected);
}

#[test]
fn whoever_gave_the_place_up_before_the_adoption_takes_nothing_with_him() {
    let plan = planned(vec![
        place(vec![], &["svc-etl"], Some(foreign("theirs"))),
        place(vec![adopting("svc-etl", "etl", "a-1")], &["svc-old"], Some(foreign("theirs"))),
    ]);
    assert_eq!(plan.places[0].step, None);
    assert_eq!(plan.places[1].removed[0].association_id, None);
    assert!(matches!(plan.places[1].step, Some(AssociationStep::UpdateAssociation { .. })));
}

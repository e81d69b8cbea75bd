use super::*;

fn deleted(plan: &Plan) -> Vec<&str> {
    plan.deletes.iter().map(|one| one.kubernetes.service_account()).collect()
}

/// Something that the ledger remembers, besides what a test is about.
fn others() -> (DominoName, Claim) {
    tombstone("svc-other")
}

#[test]
fn a_service_account_is_made_before_its_name_is_mapped_to_it() {
    let plan = planned(observed([holder("svc-etl")]));
    assert_eq!(
        plan.to_string(),
        "cluster blue (eu-west-1, 111122223333)\n  \
         + service account domino-compute/svc-etl-sa for svc-etl\n  \
         + Mutation domino-platform/pod-identity\n  \
         + mapping svc-etl -> svc-etl-sa\n"
    );
}

#[test]
fn one_that_exists_is_never_changed_whoever_made_it() {
    for there in [account("svc-etl-sa"), ours("svc-etl-sa")] {
        let plan = planned(observed([holder("svc-etl")]).with_accounts([there]));
        assert!(plan.creates.is_empty() && plan.deletes.is_empty(), "{plan}");
        assert!(plan.mapping.unwrap().names().contains(&name("svc-etl")));
    }
}

#[test]
fn none_is_made_where_nobody_holds_an_association() {
    let (of, mut waits) = holder("svc-etl");
    waits.holds = false;
    assert!(planned(observed([(of, waits)])).is_empty());
}

#[test]
fn none_is_made_and_nobody_mapped_outside_the_namespaces_of_executions() {
    let at = ServiceAccountRef::new("elsewhere", "svc-etl-sa").unwrap();
    let claim = Claim { wanted: Some(at.clone()), holds: true, uses: BTreeSet::from([at]) };
    let plan = planned(observed([(name("svc-etl"), claim)]));
    assert!(plan.is_empty());
    assert!(plan.kept[0].starts_with("svc-etl is bound at elsewhere/svc-etl-sa"), "{plan}");
}

#[test]
fn none_is_made_and_no_name_newly_mapped_where_they_could_not_be_read() {
    let there = our_mutation(&[("svc-etl", "svc-etl-sa"), ("svc-old", "another")]);
    let mut unread =
        observed(["svc-etl", "svc-new", "svc-old"].map(holder)).with_mutations([there]);
    unread.service_accounts.clear();
    let plan = plan(&unread, &options());
    assert!(plan.creates.is_empty());
    assert_eq!(plan.mapping.unwrap().names(), BTreeSet::from([name("svc-etl")]));
}

#[test]
fn one_that_is_being_deleted_is_not_there_and_not_deleted_again() {
    let going = |of: &str| ServiceAccount { terminating: true, ..ours(of) };
    let observation =
        observed([holder("svc-etl"), tombstone("svc-old")]).with_lost(&["svc-old-sa"]);
    let plan = planned(observation.with_accounts([going("svc-etl-sa"), going("svc-old-sa")]));
    assert!(plan.creates.is_empty() && plan.deletes.is_empty(), "{plan}");
    assert!(plan.mapping.unwrap().names().is_empty());
    let problem = &plan.blocked[&name("svc-etl")];
    assert_eq!(problem.code(), pod_identity_events::BlockedCode::ServiceAccountTerminating);
    assert!(problem.message().contains("is being deleted"), "{}", problem.message());
}

#[test]
fn with_service_accounts_off_a_missing_one_blocks_its_mapping_and_says_how_to_make_it() {
    let off = Options { service_accounts: false, ..options() };
    let plan = planned_with(observed([holder("svc-etl")]), &off);
    assert!(plan.is_empty(), "{plan}");
    let problem = &plan.blocked[&name("svc-etl")];
    assert_eq!(problem.code(), pod_identity_events::BlockedCode::ServiceAccountMissing);
    assert!(
        problem
            .remediation()
            .contains("kubectl -n domino-compute create serviceaccount svc-etl-sa"),
        "{problem:?}"
    );
    let made = observed([holder("svc-etl")]).with_accounts([account("svc-etl-sa")]);
    let plan = planned_with(made, &off);
    assert!(plan.blocked.is_empty() && !plan.is_empty(), "{plan}");
}

#[test]
fn one_of_ours_that_was_lost_and_nobody_uses_is_deleted() {
    let plan = planned(
        observed([others()]).with_accounts([ours("svc-etl-sa")]).with_lost(&["svc-etl-sa"]),
    );
    assert_eq!(deleted(&plan), ["svc-etl-sa"]);
    assert_eq!(plan.deletes[0].uid, "uid-svc-etl-sa");
    assert_eq!(plan.steps(), ["- service account domino-compute/svc-etl-sa"]);
}

#[test]
fn one_that_is_not_ours_is_never_deleted() {
    let mut of_another = ours("svc-etl-sa");
    of_another.labels.insert(DEPLOYMENT_LABEL.to_owned(), "emca".to_owned());
    let mut half = ours("svc-etl-sa");
    half.labels.remove(MANAGED_BY_LABEL);
    for there in [account("svc-etl-sa"), of_another, half] {
        let plan = planned(observed([others()]).with_accounts([there]).with_lost(&["svc-etl-sa"]));
        assert!(plan.is_empty() && plan.kept.is_empty(), "{plan}");
    }
}

#[test]
fn one_that_somebody_wants_leaves_or_still_has_an_association_at_is_kept() {
    let used = Claim { uses: BTreeSet::from([place("svc-etl-sa")]), ..Claim::default() };
    let plan = planned(
        observed([(name("svc-new"), used)])
            .with_accounts([ours("svc-etl-sa")])
            .with_lost(&["svc-etl-sa"]),
    );
    assert!(plan.is_empty() && plan.kept.is_empty(), "{plan}");
}

#[test]
fn one_that_somebody_made_theirs_is_kept_and_reported() {
    let mut annotated = ours("svc-etl-sa");
    annotated.annotations.insert(IRSA_ANNOTATION.to_owned(), "arn:aws:iam::1:role/r".to_owned());
    let mut labelled = ours("svc-etl-sa");
    labelled.labels.insert("team".to_owned(), "data".to_owned());
    let mut with_secret = ours("svc-etl-sa");
    with_secret.secrets.insert("registry".to_owned());
    let cases = [
        (annotated, "annotation eks.amazonaws.com/role-arn"),
        (labelled, "label team"),
        (with_secret, "secret registry"),
    ];
    for (theirs, words) in cases {
        let plan = planned(observed([others()]).with_accounts([theirs]).with_lost(&["svc-etl-sa"]));
        assert!(plan.deletes.is_empty());
        assert!(plan.kept[0].contains(words), "{plan}");
    }
}

#[test]
fn one_that_the_ledger_does_not_remember_is_kept_and_reported() {
    let plan = planned(observed([others()]).with_accounts([ours("svc-etl-sa")]));
    assert!(plan.deletes.is_empty());
    assert!(plan.kept[0].contains("the ledger does not remember"), "{plan}");
}

#[test]
fn an_empty_ledger_deletes_no_service_account() {
    let plan =
        planned(observed([]).with_accounts([ours("a-sa"), ours("b-sa")]).with_lost(&["a-sa"]));
    assert!(plan.is_empty());
    assert!(plan.kept[0].contains("2 service accounts of ours are kept"), "{plan}");
}

#[test]
fn one_to_which_a_mutation_of_somebody_else_leads_is_kept() {
    let theirs = mutation("theirs", "", &[("someone", "svc-etl-sa")]);
    let mut default = mutation("default", "aws", &[]);
    default.rules[0].cloud_workload_identity.as_mut().unwrap().default_sa = "svc-etl-sa".to_owned();
    for other in [theirs, default] {
        let plan = planned(
            observed([others()])
                .with_accounts([ours("svc-etl-sa")])
                .with_mutations([other])
                .with_lost(&["svc-etl-sa"]),
        );
        assert!(plan.deletes.is_empty());
        assert!(plan.kept[0].contains("leads to it"), "{plan}");
    }
    let mut unseen =
        observed([others()]).with_accounts([ours("svc-etl-sa")]).with_lost(&["svc-etl-sa"]);
    unseen.mutations = Mutations::Unseen;
    assert!(plan(&unseen, &options()).deletes.is_empty());
    unseen.mutations = Mutations::NotInstalled;
    assert_eq!(deleted(&plan(&unseen, &options())), ["svc-etl-sa"]);
}

#[test]
fn a_run_deletes_no_more_than_its_ceiling() {
    let names = ["a-sa", "b-sa", "c-sa"];
    let observation = observed([others()]).with_accounts(names.map(ours)).with_lost(&names);
    let first = plan(&observation, &options());
    assert_eq!(deleted(&first), ["a-sa", "b-sa"]);
    assert!(first.kept[0].starts_with("1 more service accounts"), "{first}");
    assert_eq!(deleted(&plan(&observation.after(&first), &options())), ["c-sa"]);
}

#[test]
fn with_service_accounts_off_none_is_deleted() {
    let observation =
        observed([others()]).with_accounts([ours("svc-etl-sa")]).with_lost(&["svc-etl-sa"]);
    let off = Options { service_accounts: false, ..options() };
    assert!(planned_with(observation, &off).is_empty());
}

#[test]
fn irsa_annotations_are_told_of_places_that_the_ledger_knows() {
    let annotate = |mut one: ServiceAccount| {
        one.annotations.insert(IRSA_ANNOTATION.to_owned(), "arn:aws:iam::1:role/r".to_owned());
        one
    };
    let observation = observed([holder("svc-etl")])
        .with_accounts([annotate(account("svc-etl-sa")), annotate(account("run-1"))]);
    let plan = planned(observation);
    assert_eq!(
        plan.annotated,
        BTreeMap::from([(place("svc-etl-sa"), "arn:aws:iam::1:role/r".to_owned())])
    );
}

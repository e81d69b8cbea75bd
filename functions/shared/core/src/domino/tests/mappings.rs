use pod_identity_events::BlockedCode;

use super::*;

/// Holders with their service accounts.
fn settled(names: &[&str]) -> Observation {
    let accounts: Vec<_> = names.iter().map(|of| account(&format!("{of}-sa"))).collect();
    observed(names.iter().map(|of| holder(of))).with_accounts(accounts)
}

fn mapped(plan: &Plan) -> BTreeMap<String, String> {
    let mutation = plan.mapping.as_ref().and_then(Mapping::change);
    let rules = mutation.map(|mutation| mutation.rules).unwrap_or_default();
    rules.into_iter().flat_map(|rule| rule.cloud_workload_identity.unwrap().user_mappings).collect()
}

#[test]
fn the_mutation_holds_exactly_the_holders() {
    let (of, mut rival) = holder("svc-rival");
    // Wants the place of another, who has the association.
    (rival.wanted, rival.holds) = (Some(place("svc-a-sa")), false);
    let mut observation = settled(&["svc-a", "svc-b"]);
    observation.claims.insert(of, rival);
    observation.claims.extend([tombstone("svc-gone")]);
    let before = our_mutation(&[("svc-b", "old"), ("svc-gone", "svc-gone-sa")]);
    let plan = planned(observation.with_mutations([before]));
    assert_eq!(
        plan.steps(),
        [
            "~ Mutation domino-platform/pod-identity",
            "+ mapping svc-a -> svc-a-sa",
            "~ mapping svc-b: old -> svc-b-sa",
            "- mapping svc-gone -> svc-gone-sa",
        ]
    );
    let expected = [("svc-a", "svc-a-sa"), ("svc-b", "svc-b-sa")];
    assert_eq!(plan.mapping.unwrap().change(), Some(our_mutation(&expected)));
}

#[test]
fn nothing_is_applied_when_it_is_so_already() {
    let there = our_mutation(&[("svc-a", "svc-a-sa")]);
    let plan = planned(settled(&["svc-a"]).with_mutations([there]));
    assert!(plan.is_empty());
    assert_eq!(plan.mapping.unwrap().in_force(), BTreeSet::from([name("svc-a")]));
}

#[test]
fn whatever_differs_of_ours_is_put_back() {
    let cases: [fn(&mut Mutation); 6] = [
        |one| one.rules.clear(),
        |one| one.rules[0].enabled = false,
        |one| one.rules[0].label_selectors.clear(),
        |one| one.rules[0].cloud_workload_identity = None,
        |one| one.rules.push(one.rules[0].clone()),
        |one| {
            let identity = one.rules[0].cloud_workload_identity.as_mut().unwrap();
            identity.assume_sa_mapping = true;
        },
    ];
    for change in cases {
        let mut there = our_mutation(&[("svc-a", "svc-a-sa")]);
        change(&mut there);
        let plan = planned(settled(&["svc-a"]).with_mutations([there]));
        let mapping = plan.mapping.unwrap();
        assert_eq!(mapping.change(), Some(our_mutation(&[("svc-a", "svc-a-sa")])));
        assert!(mapping.in_force().is_empty());
    }
}

#[test]
fn with_nobody_to_map_none_is_made_and_one_that_is_there_is_emptied() {
    let nobody = || observed([tombstone("svc-a")]);
    assert!(planned(nobody()).is_empty());
    let there = our_mutation(&[("svc-a", "svc-a-sa")]);
    let plan = planned(nobody().with_mutations([there]));
    assert_eq!(plan.mapping.unwrap().change(), Some(our_mutation(&[])));
}

#[test]
fn an_empty_ledger_empties_no_mapping() {
    let there = our_mutation(&[("svc-a", "svc-a-sa")]);
    let plan = planned(observed([]).with_mutations([there]));
    assert!(plan.is_empty() && plan.mapping.is_none());
    assert!(plan.kept[0].contains("keeps its 1 entries"), "{plan}");
}

#[test]
fn a_mutation_that_maps_the_name_elsewhere_blocks_it_alone() {
    for cloud in ["aws", "AWS", ""] {
        let theirs = mutation("theirs", cloud, &[("svc-a", "other"), ("svc-c", "x")]);
        let plan = planned(settled(&["svc-a", "svc-b"]).with_mutations([theirs]));
        assert_eq!(mapped(&plan), BTreeMap::from([("svc-b".to_owned(), "svc-b-sa".to_owned())]));
        let problem = &plan.blocked[&name("svc-a")];
        assert_eq!(problem.code(), BlockedCode::MappingConflict);
        assert!(problem.message().contains("Mutation domino-platform/theirs maps it to `other`"));
        assert!(
            problem.remediation().contains("take svc-a out of Mutation domino-platform/theirs")
        );
        assert_eq!(plan.blocked.len(), 1);
    }
}

#[test]
fn a_mutation_that_agrees_is_off_or_is_of_another_cloud_is_no_conflict() {
    let mut off = mutation("theirs", "aws", &[("svc-a", "other")]);
    off.rules[0].enabled = false;
    for theirs in [
        off,
        mutation("theirs", "aws", &[("svc-a", "svc-a-sa")]),
        mutation("theirs", "azure", &[("svc-a", "other")]),
        mutation("theirs", "aws", &[("svc-A", "other")]),
    ] {
        let plan = planned(settled(&["svc-a"]).with_mutations([theirs]));
        assert!(plan.blocked.is_empty(), "{plan}");
        assert_eq!(mapped(&plan).len(), 1);
    }
}

fn elsewhere(account: &str) -> ServiceAccountRef {
    ServiceAccountRef::new("domino-batch", account).unwrap()
}

/// Bound at an account of the other namespace, with the association there.
fn holder_elsewhere(of: &str, account: &str) -> (DominoName, Claim) {
    let at = elsewhere(account);
    let claim = Claim { wanted: Some(at.clone()), holds: true, uses: BTreeSet::from([at]) };
    (name(of), claim)
}

impl Observation {
    /// The other namespace was read, and has this account.
    fn with_elsewhere(mut self, of: &str) -> Self {
        let there = ServiceAccount { namespace: "domino-batch".to_owned(), ..account(of) };
        self.service_accounts.insert("domino-batch".to_owned(), vec![there]);
        self
    }
}

fn two_namespaces() -> Options {
    Options {
        namespaces: vec![NAMESPACE.to_owned(), "domino-batch".to_owned()],
        service_accounts: false,
        ..options()
    }
}

#[test]
fn accounts_of_one_name_in_two_namespaces_are_not_mapped() {
    let mut observation = settled(&["svc-a", "svc-b"]).with_elsewhere("svc-a-sa");
    observation.claims.extend([holder_elsewhere("svc-c", "svc-a-sa")]);
    // An entry from before the second binding goes.
    let there = our_mutation(&[("svc-a", "svc-a-sa"), ("svc-b", "svc-b-sa")]);
    let plan = planned_with(observation.with_mutations([there]), &two_namespaces());
    assert_eq!(mapped(&plan), BTreeMap::from([("svc-b".to_owned(), "svc-b-sa".to_owned())]));
    assert_eq!(plan.blocked.keys().map(DominoName::as_str).collect::<Vec<_>>(), ["svc-a", "svc-c"]);
    let a = &plan.blocked[&name("svc-a")];
    assert_eq!(a.code(), BlockedCode::AmbiguousMapping);
    assert_eq!(
        a.message(),
        "svc-a is bound to domino-compute/svc-a-sa, and svc-c uses domino-batch/svc-a-sa: a mapping to `svc-a-sa` names no namespace, so pods of svc-a in namespace domino-batch would run as the account of svc-c"
    );
    assert!(
        a.remediation().starts_with("assign the role of svc-a or svc-c again with"),
        "{}",
        a.remediation()
    );
    let c = &plan.blocked[&name("svc-c")];
    assert!(c.message().contains("pods of svc-c in namespace domino-compute"), "{}", c.message());
}

#[test]
fn an_account_that_another_name_wants_or_leaves_crosses_too() {
    let waiting = Claim {
        wanted: Some(elsewhere("svc-a-sa")),
        uses: BTreeSet::from([elsewhere("svc-a-sa")]),
        ..Claim::default()
    };
    let leaving = Claim { uses: BTreeSet::from([elsewhere("svc-a-sa")]), ..Claim::default() };
    // Its namespace may have left the settings, and its pods may run there all the same.
    for options in [two_namespaces(), Options { service_accounts: false, ..options() }] {
        for claim in [&waiting, &leaving] {
            let mut observation = settled(&["svc-a"]);
            observation.claims.insert(name("svc-c"), claim.clone());
            let plan = planned_with(observation, &options);
            assert!(mapped(&plan).is_empty(), "{plan}");
            assert_eq!(plan.blocked.len(), 1);
        }
    }
}

#[test]
fn accounts_in_several_namespaces_under_different_names_are_mapped() {
    let mut observation = settled(&["svc-a", "svc-b"]).with_elsewhere("svc-c-sa");
    // A name that moves from one namespace to the other crosses with no other name.
    let moving = observation.claims.get_mut(&name("svc-b")).unwrap();
    moving.uses.insert(elsewhere("svc-b-sa"));
    observation.claims.extend([holder_elsewhere("svc-c", "svc-c-sa")]);
    let plan = planned_with(observation, &two_namespaces());
    assert!(plan.blocked.is_empty(), "{plan}");
    assert_eq!(mapped(&plan).len(), 3);
}

#[test]
fn a_conflict_takes_the_name_out_of_ours() {
    let ours = our_mutation(&[("svc-a", "svc-a-sa")]);
    let theirs = mutation("theirs", "aws", &[("svc-a", "other")]);
    let plan = planned(settled(&["svc-a"]).with_mutations([ours, theirs]));
    assert_eq!(plan.mapping.unwrap().change(), Some(our_mutation(&[])));
}

#[test]
fn who_got_no_service_account_is_left_out_unless_mapped_to_it_already() {
    let failed = BTreeSet::from([place("svc-a-sa"), place("svc-b-sa")]);
    let there = our_mutation(&[("svc-b", "svc-b-sa")]);
    let claims = ["svc-a", "svc-b", "svc-c"].map(holder);
    let plan = planned(observed(claims).with_mutations([there]));
    let mapping = plan.mapping.unwrap().without(&failed);
    assert_eq!(mapping.names(), BTreeSet::from([name("svc-b"), name("svc-c")]));
}

#[test]
fn five_thousand_entries_fit_and_too_many_leave_the_mutation_as_it_is() {
    let long = "x".repeat(100);
    let many = |count: usize, long: &str| {
        let names: Vec<String> = (0..count).map(|n| format!("svc-{n:05}{long}")).collect();
        let observation = observed(names.iter().map(|name| holder(name)))
            .with_accounts(names.iter().map(|name| account(&format!("{name}-sa"))));
        plan(&observation, &Options { service_accounts: false, ..options() })
    };
    let fits = many(5_000, "");
    let change = fits.mapping.as_ref().and_then(Mapping::change).unwrap();
    let bytes = serde_json::to_string(&change.rules).unwrap().len();
    assert!(bytes < MAX_MUTATION_BYTES / 5, "{bytes}");
    assert_eq!(mapped(&fits).len(), 5_000);
    let large = many(10_000, &long);
    assert!(large.mapping.is_none());
    assert!(large.failures[0].contains("would have 10000 entries"), "{:?}", large.failures);
}

#[test]
fn with_the_mapping_off_or_unseen_no_mutation_is_planned() {
    let off = Options { mapping: None, ..options() };
    let theirs = mutation("theirs", "aws", &[("svc-a", "other")]);
    let plan_off = planned_with(settled(&["svc-a"]).with_mutations([theirs]), &off);
    assert!(plan_off.mapping.is_none() && plan_off.blocked.is_empty());
    for unseen in [Mutations::Unseen, Mutations::NotInstalled] {
        let mut observation = settled(&["svc-a"]);
        observation.mutations = unseen;
        assert!(planned(observation).mapping.is_none());
    }
}

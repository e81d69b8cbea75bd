//! Roles leave the node policies.

use super::*;

/// A role whose ARN is so long that ten fill a policy.
fn long(n: usize) -> RoleArn {
    format!("arn:aws:iam::111122223333:role/{}/role-{n}", "x".repeat(500)).parse().unwrap()
}

/// Policies that list these roles, attached to the node role.
fn listing(lists: &[Vec<RoleArn>]) -> Observation {
    let mut observation = observation(Vec::new());
    let found = &mut observation.policies;
    found.projection = Projection::default();
    for (number, roles) in (1..).zip(lists) {
        found.projection.assign(number, roles.iter().cloned().collect(), number == 1);
        let policy = found.projection.policies.get_mut(&number).unwrap();
        policy.is_written("v7".to_owned());
        policy.added.clear();
        for node_role in found.node_roles.clone() {
            found.attached.entry(node_role).or_default().insert(number);
        }
    }
    observation
}

/// Trims, both phases, and holds every step to what it promises, whatever became of those before it.
fn trimmed(observation: Observation, keep: &BTreeSet<RoleArn>) -> (Plan, Observation) {
    let cluster = observation.cluster.clone();
    let trim = |now: &Observation| super::super::trim(&cluster, &now.policies, keep, &options());
    let kept: BTreeSet<RoleArn> =
        observation.policies.granted().intersection(keep).cloned().collect();
    let (mut all, mut after) = (trim(&observation), observation);
    let mut phase = all.clone();
    for _ in 0..2 {
        for step in &phase.policy_steps {
            let one = Plan { policy_steps: vec![step.clone()], ..phase.clone() };
            let alone = applied(after.clone(), &one);
            assert!(kept.is_subset(&alone.policies.granted()), "after {step}");
        }
        after = applied(after, &phase);
        phase = trim(&after);
        all.policy_steps.extend(phase.policy_steps.iter().cloned());
    }
    assert!(phase.is_empty(), "planning after applying is not empty:\n{phase}");
    (all, after)
}

#[test]
fn a_role_that_is_not_kept_leaves_its_policy() {
    let observation = listing(&[vec![role("etl"), role("old")]]);
    let (plan, after) = trimmed(observation, &BTreeSet::from([role("etl"), role("unlisted")]));
    assert_eq!(after.policies.listed(), BTreeSet::from([role("etl")]));
    let said = plan.to_string();
    assert!(
        said.contains("- policy acme-eu-west-1-blue-1 lists role/domino/old no longer"),
        "{said}"
    );
    assert_eq!((plan.capacity.policies, plan.capacity.roles), (1, 1));
}

#[test]
fn a_policy_that_is_not_needed_is_given_up_once_another_lists_its_roles() {
    let full: Vec<RoleArn> = (0..10).map(long).collect();
    let observation = listing(&[full.clone(), vec![long(10), long(11)]]);
    let keep: BTreeSet<RoleArn> = full[3..].iter().cloned().chain([long(11)]).collect();
    let (plan, after) = trimmed(observation, &keep);
    let deletes = |step: &PolicyStep| matches!(step, PolicyStep::DeletePolicy { number: 2, .. });
    assert_eq!(plan.policy_steps.iter().map(deletes).collect::<Vec<_>>(), [false, true], "{plan}");
    assert_eq!(after.policies.listed(), keep);
    assert!(plan.to_string().contains("- policy acme-eu-west-1-blue-2, which lists"), "{plan}");
}

#[test]
fn what_stays_is_attached_before_anything_is_taken() {
    let mut observation = listing(&[vec![role("etl"), role("old")]]);
    let found = &mut observation.policies;
    found.node_roles.insert(role("green-eks-nodes"));
    let (plan, _) = trimmed(observation, &BTreeSet::from([role("etl")]));
    assert!(matches!(plan.policy_steps[0], PolicyStep::AttachPolicy { .. }), "{plan}");
    assert_eq!(plan.policy_steps.len(), 2);
}

#[test]
fn a_policy_that_finds_no_slot_keeps_every_role_listed() {
    let mut observation = listing(&[vec![role("etl"), role("old")]]);
    let found = &mut observation.policies;
    found.node_roles.insert(role("green-eks-nodes"));
    found.max_shards = 0;
    let (plan, _) = trimmed(observation, &BTreeSet::from([role("etl")]));
    assert!(plan.is_empty() && plan.warnings[0].contains("cannot be attached"), "{plan}");
}

#[test]
fn nothing_is_taken_from_policies_that_are_not_understood() {
    let mut observation = listing(&[vec![role("old")]]);
    observation.policies.problem = Some(denied());
    assert!(trimmed(observation, &BTreeSet::new()).0.is_empty());
}

#[test]
fn what_a_run_that_died_assigned_is_written_before_anything_is_bound() {
    let mut observation = listing(&[vec![role("etl"), role("old")]]);
    observation.places = vec![place(vec![claim("svc-etl", "etl", 1)], &[], None)];
    let trust = TrustPolicy::read(TRUSTED);
    observation.roles = BTreeMap::from([(role("etl"), RoleState::Found(trust))]);
    assert!(planned_with(observation.clone(), &options()).policy_steps.is_empty());
    // It was about to list `new` as well, and `old` no longer.
    let roles = BTreeSet::from([role("etl"), role("new")]);
    observation.policies.projection.assign(1, roles, true);
    assert_eq!(observation.policies.granted(), BTreeSet::from([role("etl")]));
    let plan = planned_with(observation, &options());
    let [step @ PolicyStep::RewritePolicy { .. }] = plan.policy_steps.as_slice() else {
        panic!("{plan}");
    };
    assert_eq!(step.grants(), &BTreeSet::from([role("new")]));
    assert_eq!(step.takes(), &BTreeSet::from([role("old")]));
}

#[test]
fn a_policy_whose_removal_was_begun_is_removed_and_what_it_lists_counts_as_not_listed() {
    let mut observation = listing(&[vec![role("etl")], vec![role("old")]]);
    let policy = observation.policies.projection.policies.get_mut(&2).unwrap();
    policy.state = PolicyState::Removing;
    assert_eq!(observation.policies.listed(), BTreeSet::from([role("etl")]));
    let (plan, _) = trimmed(observation, &BTreeSet::from([role("etl"), role("old")]));
    assert!(matches!(plan.policy_steps.as_slice(), [PolicyStep::DeletePolicy { number: 2, .. }]));
}

#![allow(clippy::unwrap_used, clippy::panic)]

mod adopt;
mod guard;
mod ownership;
mod trim;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_events::{BlockedCode, CallPurpose, FailedCall, Problem, RemovalReason};

use super::*;
use crate::node_policy::{PolicyState, Projection};
use crate::trust::TrustPolicy;
use crate::*;

const TRUSTED: &str = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
const UNTRUSTED: &str = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

fn role(name: &str) -> RoleArn {
    format!("arn:aws:iam::111122223333:role/domino/{name}").parse().unwrap()
}

fn kubernetes(name: &str) -> ServiceAccountRef {
    ServiceAccountRef::new("domino-compute", name).unwrap()
}

fn version(second: i64) -> Version {
    Version::new(Timestamp::from_second(1_700_000_000 + second).unwrap(), format!("e-{second}"))
}

fn options() -> Options {
    Options {
        deployment: "acme".to_owned(),
        trust: TrustMode::Enforce,
        strict: false,
        cluster_statement: true,
        max_deletions: 10,
        max_recreations: 10,
    }
}

fn claim(name: &str, role_name: &str, second: i64) -> Claim {
    Claim {
        binding: Binding {
            service_account: name.parse().unwrap(),
            kubernetes: kubernetes("sa"),
            desired: Desired {
                role: role(role_name),
                target_role: None,
                disable_session_tags: false,
                session_policy: None,
            },
            clusters: Clusters::All,
        },
        version: version(second),
        number: Some(u64::try_from(second).unwrap()),
        refused: None,
        adopts: None,
        held_back: false,
    }
}

fn association(role_name: &str, tags: &[(&str, &str)]) -> Association {
    Association {
        id: "a-1".to_owned(),
        arn: "arn:aws:eks:eu-west-1:111122223333:podidentityassociation/blue/a-1".to_owned(),
        namespace: "domino-compute".to_owned(),
        service_account: "sa".to_owned(),
        role_arn: role(role_name).to_string(),
        target_role_arn: None,
        disable_session_tags: false,
        policy: None,
        external_id: None,
        owner_arn: None,
        tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        created_at: None,
        modified_at: None,
    }
}

fn managed(role_name: &str, by: &str) -> Association {
    association(role_name, &[(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, by)])
}

/// A place where the ledger remembers what is tagged for one who claims it or leaves it.
fn place(claims: Vec<Claim>, leaving: &[&str], association: Option<Association>) -> Place {
    let tag = association.as_ref().and_then(|one| one.tagged_by("acme")).flatten();
    let claiming = claims.iter().map(|claim| claim.binding.service_account.as_str());
    let known = claiming.chain(leaving.iter().copied()).find(|name| Some(*name) == tag);
    let held = association.as_ref().zip(known).map(|(one, name)| held(one, name));
    Place {
        kubernetes: kubernetes("sa"),
        claims,
        leaving: leaving
            .iter()
            .map(|name| (name.parse().unwrap(), RemovalReason::Unassigned))
            .collect(),
        retirement_blocked: BTreeMap::new(),
        association,
        held,
        last_id: None,
        intents: Vec::new(),
    }
}

fn held(association: &Association, name: &str) -> HeldAssociation {
    HeldAssociation {
        id: association.id.clone(),
        arn: association.arn.clone(),
        service_account: name.parse().unwrap(),
        version: version(0),
        desired: Desired {
            role: association.role_arn.parse().unwrap(),
            target_role: None,
            disable_session_tags: false,
            session_policy: None,
        },
    }
}

fn observation(places: Vec<Place>) -> Observation {
    let roles = places
        .iter()
        .flat_map(|place| &place.claims)
        .map(|claim| claim.binding.desired.role.clone())
        .map(|role| {
            let trust_policy = match role.name() {
                "untrusted" => UNTRUSTED,
                _ => TRUSTED,
            };
            (role, RoleState::Found(TrustPolicy::read(trust_policy)))
        })
        .collect();
    Observation {
        cluster: cluster(),
        places,
        roles,
        policies: NodePolicies {
            node_roles: BTreeSet::from([role("blue-eks-nodes")]),
            max_shards: 2,
            ..NodePolicies::default()
        },
        guard: RestoreGuard::default(),
    }
}

/// One policy that lists these roles.
fn lists(roles: &[RoleArn]) -> Projection {
    let mut projection = Projection::default();
    projection.assign(1, roles.iter().cloned().collect(), true);
    let policy = projection.policies.get_mut(&1).unwrap();
    policy.is_written("v1".to_owned());
    policy.added.clear();
    projection
}

/// What the world looks like once the plan was carried out.
fn applied(mut observation: Observation, plan: &Plan) -> Observation {
    let policies = &mut observation.policies;
    for step in &plan.policy_steps {
        step.assign(&mut policies.projection);
        let written = policies.projection.policies.values_mut();
        for one in written.filter(|one| one.state == PolicyState::Pending) {
            one.is_written("v2".to_owned());
            (one.added, one.removed) = (BTreeSet::new(), BTreeSet::new());
        }
        match step {
            PolicyStep::AttachPolicy { number, node_role, .. } => {
                policies.attached.entry(node_role.clone()).or_default().insert(*number);
            }
            PolicyStep::DeletePolicy { number, .. } => {
                policies.projection.replace(*number);
                policies.attached.values_mut().for_each(|on| _ = on.remove(number));
            }
            PolicyStep::CreatePolicy { .. } | PolicyStep::RewritePolicy { .. } => {}
        }
    }
    for (place, planned) in observation.places.iter_mut().zip(&plan.places) {
        match &planned.step {
            Some(AssociationStep::CreateAssociation { desired, tags, .. }) => {
                let mut new = association("none", &[]);
                new.role_arn = desired.role.to_string();
                new.tags = tags.clone();
                place.held = Some(held(&new, &new.tags[SERVICE_ACCOUNT_TAG]));
                place.association = Some(new);
            }
            Some(AssociationStep::UpdateAssociation { desired, tags, .. }) => {
                let association = place.association.as_mut().unwrap();
                if let Some(desired) = desired {
                    association.role_arn = desired.role.to_string();
                }
                association.tags.extend(tags.clone().into_iter().flatten());
                place.held = Some(held(association, &association.tags[SERVICE_ACCOUNT_TAG]));
            }
            Some(AssociationStep::DeleteAssociation { id, .. }) => {
                place.association.take_if(|one| one.id == *id);
                place.held = None;
            }
            None => {}
        }
        for removed in &planned.removed {
            place.leaving.remove(&removed.service_account);
        }
    }
    observation
}

fn planned_with(observation: Observation, options: &Options) -> Plan {
    let plan = plan(&observation, options);
    let after = super::plan(&applied(observation, &plan), options);
    assert!(after.is_empty(), "planning after applying is not empty:\n{after}");
    plan
}

fn planned(places: Vec<Place>) -> Plan {
    planned_with(observation(places), &options())
}

fn cluster() -> ClusterArn {
    "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap()
}

/// Node policies that cannot be read.
fn denied() -> Problem {
    let call = FailedCall {
        operation: "read policy".to_owned(),
        object: "x".to_owned(),
        assumed_role_arn: None,
        error: "AccessDenied".to_owned(),
    };
    Problem::AccessDenied { purpose: CallPurpose::NodePolicy, call }
}

fn codes(plan: &Plan) -> Vec<BlockedCode> {
    plan.places
        .iter()
        .flat_map(|place| &place.blocked)
        .map(|blocked| blocked.problem.code())
        .collect()
}

#[test]
fn a_new_binding_lists_its_role_and_makes_its_association() {
    let plan = planned(vec![place(vec![claim("svc-etl", "etl", 1)], &[], None)]);
    insta::assert_snapshot!(plan, @r"
    cluster blue (eu-west-1, 111122223333)
      + policy acme-eu-west-1-blue-1 lists role/domino/etl
      + policy acme-eu-west-1-blue-1 attached to role/domino/blue-eks-nodes
      + association domino-compute/sa -> role/domino/etl for svc-etl
    ");
}

#[test]
fn a_changed_role_is_listed_first_and_then_the_association_is_changed() {
    let mut observation = observation(vec![place(
        vec![claim("svc-etl", "etl-2", 2)],
        &[],
        Some(managed("etl", "svc-etl")),
    )]);
    observation.policies.projection = lists(&[role("etl")]);
    observation.policies.attached = BTreeMap::from([(role("blue-eks-nodes"), BTreeSet::from([1]))]);
    let plan = planned_with(observation, &options());
    insta::assert_snapshot!(plan, @r"
    cluster blue (eu-west-1, 111122223333)
      ~ policy acme-eu-west-1-blue-1 lists role/domino/etl-2 as well
      ~ association domino-compute/sa (a-1): role/domino/etl -> role/domino/etl-2 for svc-etl
    ");
}

#[test]
fn a_tombstone_deletes_the_association_and_writes_no_policy() {
    let plan = planned(vec![place(vec![], &["svc-etl"], Some(managed("etl", "svc-etl")))]);
    insta::assert_snapshot!(plan, @r"
    cluster blue (eu-west-1, 111122223333)
      - association domino-compute/sa (a-1) -> role/domino/etl
    ");
    assert_eq!(plan.places[0].removed[0].association_id.as_deref(), Some("a-1"));
}

#[test]
fn foreign_association_is_never_deleted_nor_changed() {
    let foreign = Some(association("other", &[("team", "x")]));
    let plan = planned(vec![
        place(vec![claim("svc-etl", "etl", 1)], &[], foreign.clone()),
        place(vec![], &["svc-etl"], foreign),
    ]);
    assert!(plan.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::ForeignAssociation]);
    assert!(plan.places[0].blocked[0].problem.remediation().contains("adopt"));
}

#[test]
fn another_deployments_association_is_foreign() {
    let theirs = association("etl", &[(DEPLOYMENT_TAG, "other"), (SERVICE_ACCOUNT_TAG, "svc-etl")]);
    let plan = planned(vec![place(vec![claim("svc-etl", "etl", 1)], &[], Some(theirs))]);
    assert_eq!(codes(&plan), [BlockedCode::ForeignAssociation]);
}

#[test]
fn add_on_owned_association_is_never_touched_whatever_its_tags_say() {
    let mut owned = managed("etl", "svc-etl");
    owned.owner_arn = Some("arn:aws:eks:eu-west-1:111122223333:addon/blue/x/1".to_owned());
    let mut places = vec![
        place(vec![claim("svc-etl", "etl-2", 1)], &[], Some(owned.clone())),
        place(vec![], &["svc-etl"], Some(owned)),
    ];
    places.iter_mut().for_each(|place| place.held = None);
    let plan = planned(places);
    assert!(plan.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::AddOnOwnedAssociation]);
}

#[test]
fn an_orphan_is_kept_and_said() {
    let plan = planned(vec![
        place(vec![], &[], Some(managed("etl", "svc-gone"))),
        place(vec![claim("svc-etl", "etl", 1)], &[], Some(managed("etl", "svc-gone"))),
    ]);
    assert!(plan.is_empty());
    assert!(plan.places[0].kept.as_deref().unwrap().contains("the ledger does not account for it"));
    assert_eq!(codes(&plan), [BlockedCode::OrphanAssociation]);
}

#[test]
fn an_untrusted_role_blocks_and_hands_its_owner_the_policy() {
    let plan = planned(vec![place(vec![claim("svc-etl", "untrusted", 1)], &[], None)]);
    assert!(plan.is_empty());
    let blocked = &plan.places[0].blocked[0];
    assert_eq!(blocked.problem.code(), BlockedCode::UntrustedRole);
    let Problem::UntrustedRole { trust_policy, .. } = &blocked.problem else {
        panic!("{blocked:?}")
    };
    assert!(
        trust_policy.to_string().contains("svc") || blocked.problem.remediation().contains("sa")
    );
    assert!(blocked.problem.remediation().contains("must add this statement"));
}

#[test]
fn an_untrusted_role_goes_ahead_with_a_warning_when_only_warned_about() {
    let options = Options { trust: TrustMode::Warn, ..options() };
    let plan = planned_with(
        observation(vec![place(vec![claim("svc-etl", "untrusted", 1)], &[], None)]),
        &options,
    );
    assert_eq!(plan.steps(), 3);
    assert!(plan.places[0].bound.as_ref().unwrap().warnings[0].contains("does not trust"));
}

#[test]
fn an_unreadable_role_goes_ahead_and_is_shown() {
    let mut observation = observation(vec![place(vec![claim("svc-etl", "etl", 1)], &[], None)]);
    observation
        .roles
        .insert(role("etl"), RoleState::Unread { reason: "iam:GetRole was denied".to_owned() });
    let plan = planned_with(observation, &options());
    assert!(plan.places[0].step.is_some());
    assert!(plan.places[0].bound.as_ref().unwrap().warnings[0].contains("iam:GetRole was denied"));
}

#[test]
fn a_missing_role_blocks() {
    let mut observation = observation(vec![place(vec![claim("svc-etl", "etl", 1)], &[], None)]);
    observation.roles.insert(role("etl"), RoleState::Missing { namesake: None });
    assert_eq!(codes(&planned_with(observation, &options())), [BlockedCode::RoleNotFound]);
}

#[test]
fn the_claim_that_was_recorded_first_holds_whatever_the_order() {
    let claims = vec![claim("svc-b", "b", 2), claim("svc-a", "a", 1)];
    let mut reversed = claims.clone();
    reversed.reverse();
    for claims in [claims, reversed] {
        let plan = planned(vec![place(claims, &[], Some(managed("b", "svc-b")))]);
        assert_eq!(plan.places[0].bound.as_ref().unwrap().service_account.as_str(), "svc-a");
        assert_eq!(codes(&plan), [BlockedCode::Conflict]);
        assert!(matches!(
            plan.places[0].step,
            Some(AssociationStep::UpdateAssociation { tags: Some(_), .. })
        ));
    }
}

#[test]
fn who_waited_takes_over_what_the_holder_gave_up() {
    let plan =
        planned(vec![place(vec![claim("svc-b", "b", 2)], &["svc-a"], Some(managed("a", "svc-a")))]);
    assert!(matches!(plan.places[0].step, Some(AssociationStep::UpdateAssociation { .. })));
    assert_eq!(plan.places[0].removed[0].service_account.as_str(), "svc-a");
}

#[test]
fn what_passes_to_another_is_tagged_whatever_tags_are_shown() {
    let mut place = place(vec![claim("svc-b", "b", 2)], &["svc-a"], Some(managed("b", "svc-b")));
    place.held = Some(held(&managed("b", "svc-a"), "svc-a"));
    let plan = planned(vec![place]);
    let Some(AssociationStep::UpdateAssociation { desired: None, tags: Some(tags), .. }) =
        &plan.places[0].step
    else {
        panic!("{:?}", plan.places[0].step)
    };
    assert_eq!(tags[SERVICE_ACCOUNT_TAG], "svc-b");
}

#[test]
fn what_a_run_that_died_passed_on_goes_with_whom_it_was_passed_to() {
    let given = |by_whom: &str, changed_at: i64| {
        let mut there = managed("b", by_whom);
        there.modified_at = Some(Timestamp::from_second(changed_at).unwrap());
        let mut place = place(vec![claim("svc-a", "untrusted", 2)], &["svc-b"], Some(there));
        // Written down as svc-a's, with the role that it had.
        place.held = Some(held(&managed("a", "svc-a"), "svc-a"));
        let intent = Intent {
            kubernetes: kubernetes("sa"),
            version: version(1),
            desired: claim("svc-b", "b", 1).binding.desired,
            recorded_at: Timestamp::from_second(1_000).unwrap(),
            expires_at: None,
        };
        place.intents.push(("svc-b".parse().unwrap(), intent));
        planned(vec![place]).places.remove(0).step
    };
    let deleted = |step| matches!(step, Some(AssociationStep::DeleteAssociation { .. }));
    assert!(deleted(given("svc-b", 1_010)));
    // What it was before the intent, or is by another hand, stays with whom the ledger remembers.
    assert!(!deleted(given("svc-b", 500)));
    assert!(!deleted(given("svc-a", 1_010)));
}

#[test]
fn what_was_given_up_goes_away_even_when_the_next_in_line_is_blocked() {
    let plan = planned(vec![place(
        vec![claim("svc-b", "untrusted", 2)],
        &["svc-a"],
        Some(managed("a", "svc-a")),
    )]);
    assert!(matches!(plan.places[0].step, Some(AssociationStep::DeleteAssociation { .. })));
}

#[test]
fn a_blocked_change_keeps_what_is_there() {
    let plan = planned(vec![place(
        vec![claim("svc-a", "untrusted", 2)],
        &[],
        Some(managed("a", "svc-a")),
    )]);
    assert!(plan.is_empty());
}

#[test]
fn a_refused_binding_is_blocked_and_hands_its_place_to_nobody() {
    let mut refused = claim("svc-a", "a", 1);
    refused.refused = Some("role a is not admitted by ROLES".to_owned());
    let claims = vec![refused, claim("svc-b", "b", 2)];
    let plan = planned(vec![place(claims, &[], Some(managed("a", "svc-a")))]);
    assert!(plan.is_empty());
    assert_eq!(codes(&plan), [BlockedCode::NotAllowed, BlockedCode::Conflict]);
}

#[test]
fn against_a_deny_the_remediation_is_not_one_more_statement() {
    let mut observation = observation(vec![place(vec![claim("svc-etl", "etl", 1)], &[], None)]);
    let deny = TRUSTED.replace("[{", r#"[{"Sid":"No","Effect":"Deny","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"*"},{"#);
    observation.roles.insert(role("etl"), RoleState::Found(TrustPolicy::read(&deny)));
    let plan = planned_with(observation, &options());
    let blocked = &plan.places[0].blocked[0];
    assert!(
        blocked.problem.message().contains("statement `No` denies"),
        "{}",
        blocked.problem.message()
    );
    assert!(
        blocked.problem.remediation().contains("take that Deny out"),
        "{}",
        blocked.problem.remediation()
    );
}

#[test]
fn deletions_stop_at_the_ceiling_and_say_so() {
    let options = Options { max_deletions: 1, ..options() };
    let leaving = |name| place(vec![], &[name], Some(managed("etl", name)));
    let plan = plan(&observation(vec![leaving("svc-a"), leaving("svc-b")]), &options);
    assert_eq!(plan.steps(), 1);
    assert_eq!(codes(&plan), [BlockedCode::DeletionCeiling]);
    assert!(plan.places[1].removed.is_empty());
}

#[test]
fn a_full_policy_warns_and_blocks_only_in_strict_mode() {
    let mut observation = observation(vec![place(vec![claim("svc-etl", "etl", 1)], &[], None)]);
    observation.policies.max_shards = 0;
    // Nothing grants then: neither the list, nor the cluster statement, nor AWS's policy.
    assert_eq!(
        codes(&planned_with(observation.clone(), &options())),
        [BlockedCode::NodePolicyFull]
    );
    observation.policies.broad_grant = true;
    let warned = planned_with(observation.clone(), &options());
    assert!(warned.places[0].step.is_some());
    assert!(warned.warnings[0].contains("no room"), "{warned}");
    let strict = Options { strict: true, cluster_statement: false, ..options() };
    let blocked = planned_with(observation, &strict);
    assert!(blocked.is_empty());
    assert_eq!(codes(&blocked), [BlockedCode::NodePolicyFull]);
}

#[test]
fn a_problem_of_the_node_policy_blocks_roles_that_it_does_not_list_for_every_node_role() {
    let mut other = place(vec![claim("svc-b", "b", 1)], &[], None);
    other.kubernetes = kubernetes("sb");
    let mut observation = observation(vec![place(vec![claim("svc-a", "a", 1)], &[], None), other]);
    observation.policies.projection = lists(&[role("a")]);
    observation.policies.problem = Some(denied());
    let unattached = planned_with(observation.clone(), &options());
    assert_eq!(codes(&unattached), [BlockedCode::AccessDenied; 2]);
    observation.policies.attached.insert(role("blue-eks-nodes"), BTreeSet::from([1]));
    let plan = planned_with(observation.clone(), &options());
    assert_eq!(codes(&plan), [BlockedCode::AccessDenied]);
    assert!(plan.places[0].step.is_some() && plan.places[1].step.is_none());
    observation.policies.node_roles.insert(role("green-eks-nodes"));
    assert!(planned_with(observation, &options()).is_empty());
}

#[test]
fn roles_of_foreign_associations_are_listed_as_well() {
    let mut observation = observation(vec![place(vec![claim("svc-etl", "etl", 1)], &[], None)]);
    observation.policies.other_roles = BTreeSet::from([role("karpenter")]);
    let plan = planned_with(observation, &options());
    let Some(PolicyStep::CreatePolicy { added, .. }) = plan.policy_steps.first() else {
        panic!("{plan}");
    };
    assert_eq!(*added, BTreeSet::from([role("etl"), role("karpenter")]));
}

#[test]
fn the_client_token_changes_with_deployment_version_values_and_lost_association() {
    let token_of =
        |place: Place, options: &Options| match planned_with(observation(vec![place]), options)
            .places[0]
            .step
            .clone()
        {
            Some(AssociationStep::CreateAssociation { client_token, .. }) => client_token,
            step => panic!("{step:?}"),
        };
    let token = |claim: Claim| token_of(place(vec![claim], &[], None), &options());
    let first = token(claim("svc-etl", "etl", 1));
    assert_eq!(first, token(claim("svc-etl", "etl", 1)));
    assert_ne!(first, token(claim("svc-etl", "etl", 2)));
    assert_ne!(first, token(claim("svc-etl", "etl-2", 1)));
    let mut lost = place(vec![claim("svc-etl", "etl", 1)], &[], None);
    lost.last_id = Some("a-1".to_owned());
    assert_ne!(first, token_of(lost.clone(), &options()));
    let mut gone = place(vec![claim("svc-etl", "etl", 1)], &[], None);
    gone.held = Some(held(&managed("etl", "svc-etl"), "svc-etl"));
    assert_eq!(token_of(lost, &options()), token_of(gone, &options()));
    let other = Options { deployment: "other".to_owned(), ..options() };
    assert_ne!(first, token_of(place(vec![claim("svc-etl", "etl", 1)], &[], None), &other));
}

#[test]
fn a_change_beside_the_role_is_named() {
    let mut claim = claim("svc-etl", "etl", 1);
    claim.binding.desired.target_role =
        Some("arn:aws:iam::444455556666:role/domino-target-etl".parse().unwrap());
    let observation = observation(vec![place(vec![claim], &[], Some(managed("etl", "svc-etl")))]);
    let plan = plan(&observation, &options());
    let line = plan.to_string().lines().last().unwrap().trim().to_owned();
    assert_eq!(
        line,
        "~ association domino-compute/sa (a-1): role/domino/etl for svc-etl, target role changed"
    );
}

#[test]
fn a_session_policy_is_compared_as_json() {
    let mut claim = claim("svc-etl", "etl", 1);
    claim.binding.desired.disable_session_tags = true;
    claim.binding.desired.session_policy = Some("{ \"Version\": \"2012-10-17\" }".to_owned());
    let mut there = managed("etl", "svc-etl");
    there.disable_session_tags = true;
    there.target_role_arn = Some(String::new());
    there.policy = Some("{\"Version\":\"2012-10-17\"}".to_owned());
    let plan = planned(vec![place(vec![claim], &[], Some(there))]);
    assert!(plan.places[0].bound.as_ref().unwrap().unchanged.is_some());
}

#[test]
fn whoever_is_held_keeps_the_association_and_a_ceiling_does_not_count_it() {
    let problem = Problem::NotReadyElsewhere { cluster_arn: cluster().to_string() };
    let mut place = place(Vec::new(), &["svc-a", "svc-b"], Some(managed("etl", "svc-a")));
    place.retirement_blocked.insert("svc-a".parse().unwrap(), problem);
    let kept = plan(&observation(vec![place.clone()]), &options());
    assert!(kept.is_empty());
    assert_eq!(codes(&kept), [BlockedCode::NotReadyElsewhere]);
    // Who only wanted the place has left it.
    let [removed] = kept.places[0].removed.as_slice() else { panic!("{kept}") };
    assert_eq!((removed.service_account.as_str(), &removed.association_id), ("svc-b", &None));
    // Another service account's retirement keeps nothing.
    place.association = Some(managed("etl", "svc-b"));
    place.held = Some(held(&managed("etl", "svc-b"), "svc-b"));
    assert_eq!(plan(&observation(vec![place.clone()]), &options()).steps(), 1);
    // What is gone is gone.
    (place.association, place.held) = (None, None);
    assert_eq!(plan(&observation(vec![place]), &options()).places[0].removed.len(), 2);
}

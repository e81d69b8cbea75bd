//! One plan for 5,000 bindings.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use local::table;
use pod_identity_core::node_policy::Projection;
use pod_identity_core::plan::{
    Claim, NodePolicies, Observation, Options, Place, Plan, RestoreGuard, RoleState, TrustMode,
    plan,
};
use pod_identity_core::trust::TrustPolicy;
use pod_identity_core::{
    Association, Binding, ClusterArn, Clusters, Desired, HeldAssociation, RoleArn,
    ServiceAccountRef, Version, association_tags, node_policy,
};
use pod_identity_events::RemovalReason;

use crate::Failure;
use crate::figures::{cell, time, verdict};

const BINDINGS: usize = 5_000;

/// As many as ten policies hold with some room left.
const ROLES: usize = 1_000;

const GOAL_MS: f64 = 10.0;

const DEPLOYMENT: &str = "acme";

/// Two statements, and the conditions that the documentation recommends.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Ec2","Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"},{"Sid":"Pods","Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:SourceAccount":"111122223333","aws:RequestTag/kubernetes-namespace":"domino-compute"},"StringLike":{"aws:RequestTag/kubernetes-service-account":"svc-*"}}}]}"#;

/// What is found at a place.
#[derive(Clone, Copy)]
enum Found {
    /// What should be there.
    Right,
    /// Nothing.
    Nothing,
    /// Our association with another role.
    OtherRole,
    /// Our association, which nobody wants any more.
    Unwanted,
    /// An association that others made.
    Foreign,
    /// What should be there, and a second binding that wants the place.
    Contested,
}

pub(crate) fn run(rounds: usize) -> Result<String, Failure> {
    use Found::{Contested, Foreign, Nothing, OtherRole, Right, Unwanted};
    // What is found, in turn, and how many of the roles are listed already.
    let cases: [(&str, &[Found], usize); 5] = [
        ("nothing to do", &[Right], ROLES),
        ("everything to create", &[Nothing], 0),
        ("everything to change", &[OtherRole], ROLES),
        ("some of each", &[Right, Nothing, OtherRole, Unwanted, Foreign], ROLES / 2),
        ("two bindings want each place", &[Contested], ROLES),
    ];
    let options = Options {
        deployment: DEPLOYMENT.to_owned(),
        trust: TrustMode::Enforce,
        strict: false,
        cluster_statement: true,
        max_deletions: BINDINGS,
        max_recreations: 10,
    };
    let mut rows = Vec::new();
    for (name, found, listed) in cases {
        let observation = observation(found, listed)?;
        let figures = time(rounds, || plan(&observation, &options));
        let plan = plan(&observation, &options);
        rows.push([
            name.to_owned(),
            plan.steps().to_string(),
            blocked(&plan).to_string(),
            cell(figures.least()),
            cell(figures.median()),
            cell(figures.p95()),
            cell(GOAL_MS),
            verdict(figures.median(), GOAL_MS),
        ]);
    }
    let headings = ["case", "steps", "blocked", "least ms", "median ms", "p95 ms", "goal ms", ""];
    Ok(format!(
        "One plan for {BINDINGS} bindings and {ROLES} roles, {rounds} rounds\n{}",
        table(headings, &rows)
    ))
}

fn blocked(plan: &Plan) -> usize {
    plan.places.iter().map(|place| place.blocked.len()).sum()
}

fn role(number: usize) -> Result<RoleArn, Failure> {
    Ok(format!("arn:aws:iam::111122223333:role/domino/project-role-{:04}", number % ROLES)
        .parse()?)
}

fn observation(found: &[Found], listed: usize) -> Result<Observation, Failure> {
    let cluster: ClusterArn = "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse()?;
    let node_role: RoleArn = "arn:aws:iam::111122223333:role/blue-eks-nodes".parse()?;
    let claims = if let [Found::Contested] = found { 2 } else { 1 };
    let numbers = found.iter().cycle().take(BINDINGS / claims).enumerate();
    let places = numbers.map(|(number, found)| place(number, *found)).collect::<Result<_, _>>()?;
    // No two are the same text.
    let trust = |number| TRUST.replace("Pods", &format!("Pods{number}"));
    let roles = (0..ROLES)
        .map(|number| Ok((role(number)?, RoleState::Found(TrustPolicy::read(&trust(number))))));
    let roles = roles.collect::<Result<BTreeMap<_, _>, Failure>>()?;
    let listed = roles.keys().take(listed).cloned().collect();
    let mut projection = Projection::default();
    for shard in node_policy::extend(&[], &listed, Some(&cluster), 10, 1).shards {
        projection.assign(shard.number, shard.roles, shard.statement);
    }
    for policy in projection.policies.values_mut() {
        policy.is_written("v1".to_owned());
        policy.added.clear();
    }
    let numbers: BTreeSet<u32> = projection.policies.keys().copied().collect();
    Ok(Observation {
        cluster,
        places,
        roles,
        policies: NodePolicies {
            projection,
            node_roles: BTreeSet::from([node_role.clone()]),
            attached: BTreeMap::from([(node_role, numbers)]),
            max_shards: 10,
            ..NodePolicies::default()
        },
        guard: RestoreGuard::default(),
    })
}

fn place(number: usize, found: Found) -> Result<Place, Failure> {
    let kubernetes = ServiceAccountRef::new("domino-compute", &format!("svc-{number:04}-sa"))?;
    let name = format!("svc-{number:04}").parse()?;
    let mut claims = vec![claim(&kubernetes, &format!("svc-{number:04}"), number, 1)?];
    if let Found::Contested = found {
        claims.push(claim(&kubernetes, &format!("svc-{number:04}-late"), number + BINDINGS, 2)?);
    }
    let mut leaving = BTreeMap::new();
    if let Found::Unwanted = found {
        claims.clear();
        leaving.insert(name, RemovalReason::Unassigned);
    }
    let of = match found {
        Found::OtherRole => number + 1,
        _ => number,
    };
    let association = match found {
        Found::Nothing => None,
        _ => Some(association(number, &role(of)?, !matches!(found, Found::Foreign))?),
    };
    let held = match (&association, found) {
        (Some(there), Found::Foreign) if there.owner_arn.is_none() => None,
        (Some(there), _) => Some(HeldAssociation {
            id: there.id.clone(),
            arn: there.arn.clone(),
            service_account: format!("svc-{number:04}").parse()?,
            version: Version::new(Timestamp::UNIX_EPOCH, "event-0"),
            desired: desired(of)?,
        }),
        (None, _) => None,
    };
    Ok(Place {
        kubernetes,
        claims,
        leaving,
        retirement_blocked: BTreeMap::new(),
        association,
        held,
        last_id: None,
        intents: Vec::new(),
    })
}

fn claim(
    kubernetes: &ServiceAccountRef,
    name: &str,
    number: usize,
    queued: u64,
) -> Result<Claim, Failure> {
    let second = 1_767_225_600 + i64::try_from(number)?;
    let version = Version::new(Timestamp::from_second(second)?, format!("event-{number}"));
    let desired = desired(number)?;
    Ok(Claim {
        binding: Binding {
            service_account: name.parse()?,
            kubernetes: kubernetes.clone(),
            desired,
            clusters: Clusters::All,
        },
        version,
        number: Some(queued),
        refused: None,
        adopts: None,
        held_back: false,
    })
}

fn desired(number: usize) -> Result<Desired, Failure> {
    Ok(Desired {
        role: role(number)?,
        target_role: None,
        disable_session_tags: false,
        session_policy: None,
    })
}

fn association(number: usize, role: &RoleArn, ours: bool) -> Result<Association, Failure> {
    let id = format!("a-{number:016}");
    let name = format!("svc-{number:04}").parse()?;
    Ok(Association {
        arn: format!("arn:aws:eks:eu-west-1:111122223333:podidentityassociation/blue/{id}"),
        id,
        namespace: "domino-compute".to_owned(),
        service_account: format!("svc-{number:04}-sa"),
        role_arn: role.to_string(),
        target_role_arn: None,
        disable_session_tags: false,
        policy: None,
        external_id: None,
        owner_arn: None,
        tags: if ours { association_tags(DEPLOYMENT, &name) } else { BTreeMap::new() },
        created_at: Some(Timestamp::from_second(1_767_225_600)?),
        modified_at: Some(Timestamp::from_second(1_767_225_600)?),
    })
}

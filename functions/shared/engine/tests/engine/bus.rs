//! Pages, outcome events, and what they carry.

use async_trait::async_trait;
use std::collections::BTreeMap;

use pod_identity_core::{PolicyArn, RoleArn};
use pod_identity_engine::ports::{
    Association, AssociationUpdate, Bus, BusEntry, ClusterAccess, EksWriter, ErrorKind, IamWriter,
    LedgerWriter, ManagedPolicy, NewAssociation, NewPolicy, PortError, PutFailure, Write,
    WriteError,
};
use pod_identity_engine::{Outcome, Writers, process};
use pod_identity_world::{PortFault, When, WorldPorts};
use serde_json::{Value, json};

use crate::check::settled;
use crate::scenario::{Scenario, cluster, drive, records};

const READY: &str = "Pod Identity Association Ready";

fn bound(scenario: &mut Scenario, count: usize) -> Vec<Value> {
    (0..count).map(|n| scenario.assigned(&format!("svc-{n:02}"), "etl")).collect()
}

#[test]
fn pages_of_any_size_are_followed() {
    for page_size in 1..=3 {
        let mut scenario = Scenario::registered();
        scenario.ports.world().settings.page_size = page_size;
        let first = bound(&mut scenario, 12);
        for event in &first {
            Scenario::assert_outcome(&scenario.send(event), Outcome::Applied);
        }
        let more: Vec<Value> =
            (0..14).map(|n| scenario.assigned(&format!("svc-{n:02}"), "report")).collect();
        for record in scenario.batch(&more).records {
            Scenario::assert_outcome(&record, Outcome::Applied);
        }
        assert_eq!(scenario.associations("blue").len(), 14);
        assert!(scenario.associations("blue").iter().all(|(_, role)| role == "report"));
        let removals: Vec<Value> =
            (0..14).map(|n| scenario.unassigned(&format!("svc-{n:02}"))).collect();
        scenario.batch(&removals);
        assert!(scenario.associations("green").is_empty());
        settled(&mut scenario);
    }
}

#[test]
fn more_than_ten_outcomes_go_in_several_calls() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    scenario.ports.world().calls.clear();
    let events = bound(&mut scenario, 25);
    scenario.batch(&events);
    assert_eq!(scenario.outcomes(READY).len(), 25);
    // 25 ready and one policy.
    assert_eq!(scenario.ports.world().count("PutEvents"), 3);
    settled(&mut scenario);
}

#[test]
fn entries_that_the_bus_refuses_are_sent_again_beside_those_it_took() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    scenario.ports.world().bus.refusals = [4, 10, 0, 3].into();
    let events = bound(&mut scenario, 25);
    for record in scenario.batch(&events).records {
        Scenario::assert_outcome(&record, Outcome::Applied);
    }
    let mut ids: Vec<Value> =
        scenario.outcomes(READY).iter().map(|event| event["eventId"].clone()).collect();
    assert_eq!(ids.len(), 25);
    ids.sort_by_key(ToString::to_string);
    ids.dedup();
    assert_eq!(ids.len(), 25, "each was taken once");
    settled(&mut scenario);
}

#[test]
fn what_the_bus_refuses_for_good_fails_its_own_record() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "etl");
    scenario.send(&first);
    scenario.ports.world().bus.refusals = [1, 1, 1].into();
    let events = bound(&mut scenario, 3);
    let report = scenario.batch(&events);
    assert_eq!(report.failed().collect::<Vec<_>>(), ["m-2"]);
    assert_eq!(scenario.outcomes(READY).len(), 3);
    Scenario::assert_outcome(&scenario.send(&events[2]), Outcome::Applied);
    assert_eq!(scenario.outcomes(READY).len(), 4);
    settled(&mut scenario);
}

#[test]
fn while_the_bus_is_down_records_fail_and_are_told_later() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let down = PortFault {
        operation: Some("PutEvents".to_owned()),
        nth: 1,
        lasting: true,
        when: When::Before,
        kind: ErrorKind::Passing,
    };
    scenario.ports.fault(down);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
    assert_eq!(scenario.associations("blue").len(), 1);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
    scenario.ports.clear_faults();
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let ready = scenario.outcomes(READY);
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0]["cause"]["eventId"], event["detail"]["eventId"]);
    settled(&mut scenario);
}

const TARGET: &str = "arn:aws:iam::444455556666:role/lake";

#[test]
fn ready_carries_the_external_id_that_the_target_role_has_to_ask_for() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned_with("svc-etl", "etl", json!({ "targetRoleArn": TARGET }));
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let ready = scenario.outcomes(READY);
    assert_eq!(ready[0]["targetRoleArn"], TARGET);
    let expected = "eu-west-1/111122223333/blue/domino-compute/svc-etl-sa";
    assert_eq!(ready[0]["externalId"], expected);
    let condition = scenario.condition("svc-etl", "blue").unwrap();
    assert_eq!(condition.association.unwrap().external_id.as_deref(), Some(expected));
    settled(&mut scenario);
}

#[test]
fn a_session_policy_comes_and_goes_with_disabled_tags() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
    let with = json!({ "disableSessionTags": true, "sessionPolicy": policy });
    let events =
        [scenario.assigned_with("svc-etl", "etl", with), scenario.assigned("svc-etl", "etl")];
    let found = |scenario: &Scenario| {
        let world = scenario.ports.world();
        let one = world.eks.associations(&cluster("blue"))[0].clone();
        (one.disable_session_tags, one.policy)
    };
    Scenario::assert_outcome(&scenario.send(&events[0]), Outcome::Applied);
    assert_eq!(found(&scenario), (true, Some(policy.to_owned())));
    Scenario::assert_outcome(&scenario.send(&events[1]), Outcome::Applied);
    assert_eq!(found(&scenario), (false, None));
    settled(&mut scenario);
}

#[test]
fn a_target_role_is_cleared() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let with = scenario.assigned_with("svc-etl", "etl", json!({ "targetRoleArn": TARGET }));
    let without = scenario.assigned("svc-etl", "etl");
    scenario.send(&with);
    Scenario::assert_outcome(&scenario.send(&without), Outcome::Applied);
    assert_eq!(target(&scenario), None);
    assert_eq!(scenario.ports.world().count("DeletePodIdentityAssociation"), 0);
    settled(&mut scenario);
}

fn target(scenario: &Scenario) -> Option<String> {
    let world = scenario.ports.world();
    let found = world.eks.associations(&cluster("blue"));
    assert_eq!(found.len(), 1);
    found[0].target_role_arn.clone()
}

/// An EKS that takes an empty target role as "leave it as it is".
struct Unhearing<'a>(&'a WorldPorts);

#[async_trait(?Send)]
impl EksWriter for Unhearing<'_> {
    async fn create_association(
        &self,
        access: &ClusterAccess,
        new: &NewAssociation,
    ) -> Result<Association, PortError> {
        self.0.create_association(access, new).await
    }

    async fn update_association(
        &self,
        access: &ClusterAccess,
        update: &AssociationUpdate,
    ) -> Result<Association, PortError> {
        let before = self
            .0
            .world()
            .eks
            .find(
                &access.cluster,
                update.kubernetes.namespace(),
                update.kubernetes.service_account(),
            )
            .cloned();
        let mut update = update.clone();
        let kept = before.and_then(|one| one.target_role_arn);
        let desired = &mut update.desired;
        desired.target_role = desired.target_role.take().or(kept.and_then(|arn| arn.parse().ok()));
        self.0.update_association(access, &update).await
    }

    async fn tag_association(
        &self,
        access: &ClusterAccess,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), PortError> {
        self.0.tag_association(access, arn, tags).await
    }

    async fn delete_association(&self, access: &ClusterAccess, id: &str) -> Result<(), PortError> {
        self.0.delete_association(access, id).await
    }
}

#[async_trait(?Send)]
impl IamWriter for Unhearing<'_> {
    async fn create_policy(
        &self,
        access: &ClusterAccess,
        new: &NewPolicy,
    ) -> Result<ManagedPolicy, PortError> {
        self.0.create_policy(access, new).await
    }

    async fn create_policy_version(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        document: &str,
    ) -> Result<String, PortError> {
        self.0.create_policy_version(access, policy, document).await
    }

    async fn delete_policy_version(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        version: &str,
    ) -> Result<(), PortError> {
        self.0.delete_policy_version(access, policy, version).await
    }

    async fn attach_policy(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        self.0.attach_policy(access, role, policy).await
    }

    async fn detach_policy(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        self.0.detach_policy(access, role, policy).await
    }

    async fn delete_policy(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        self.0.delete_policy(access, policy).await
    }
}

#[async_trait(?Send)]
impl LedgerWriter for Unhearing<'_> {
    async fn write(&self, writes: &[Write]) -> Result<(), WriteError> {
        self.0.write(writes).await
    }
}

#[async_trait(?Send)]
impl Bus for Unhearing<'_> {
    async fn put(&self, entries: &[BusEntry]) -> Result<Vec<Result<(), PutFailure>>, PortError> {
        self.0.put(entries).await
    }
}

#[test]
fn a_target_role_that_eks_does_not_clear_is_gone_with_a_new_association() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let with = scenario.assigned_with("svc-etl", "etl", json!({ "targetRoleArn": TARGET }));
    let without = scenario.assigned("svc-etl", "etl-2");
    scenario.send(&with);
    scenario.sent.push(without.clone());
    let (records, run) = (records(&[without.to_string()]), scenario.next_run());
    let (ports, deadline) = (&scenario.ports, scenario.in_seconds(60));
    let writer = Unhearing(ports);
    let report = drive(
        process(ports.cloud(&run, &scenario.settings, deadline), Writers::of(&writer), &records),
        || (),
    );
    Scenario::assert_outcome(&report.records[0], Outcome::Applied);
    assert_eq!(target(&scenario), None);
    assert_eq!(scenario.associations("blue")[0].1, "etl-2");
    let published = scenario.outcomes("Pod Identity Association Ready");
    assert_eq!(published.last().unwrap()["change"], "created", "it has a new id");
    settled(&mut scenario);
}

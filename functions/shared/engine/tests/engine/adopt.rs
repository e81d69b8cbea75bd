//! An administrator lets bindings take over associations that this deployment did not make.

use std::collections::BTreeSet;

use futures::join;
use pod_identity_core::{ClusterArn, DEPLOYMENT_TAG, DominoName, SERVICE_ACCOUNT_TAG};
use pod_identity_engine::ledger::{
    ConditionState, HistoryOutcome, HistoryRecord, history_partition,
};
use pod_identity_engine::ports::{Association, ErrorKind};
use pod_identity_engine::{
    Adoption, AuditEntry, Outcome, Reconciled, Scope, permit_adoption, reconcile,
};
use pod_identity_events::BlockedCode;
use pod_identity_world::{PortFault, When};
use serde_json::json;

use crate::check::{End, listed, nothing_is_bound_before_it_is_granted, settled};
use crate::ownership::{foreign, somebody};
use crate::policies::blue_nodes;
use crate::scenario::{Scenario, TRUSTED, cluster, drive, role};

pub(crate) fn permit(scenario: &mut Scenario, name: &str, id: &str) -> Result<(), String> {
    let run = scenario.next_run();
    let ports = &scenario.ports;
    let (name, blue) = (name.parse().unwrap(), cluster("blue"));
    drive(
        permit_adoption(
            ports.context(&run, &scenario.settings, scenario.in_seconds(60)),
            ports.writers().ledger,
            &word(&name, &blue, id),
        ),
        || {},
    )
    .map_err(|error| error.to_string())
}

fn word<'a>(name: &'a DominoName, cluster: &'a ClusterArn, id: &'a str) -> Adoption<'a> {
    let change = json!({ "adopts": id, "clusterArn": cluster });
    let (actor, reason) = (Some("ada"), Some("ticket 4711"));
    let act = AuditEntry { what: "Association Adoption Permitted", change, actor, reason };
    Adoption { name, cluster, association_id: id, act }
}

/// Reconciles blue; what is bound is granted after every call.
fn run(scenario: &mut Scenario) -> Result<Reconciled, String> {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, node_roles) = (&scenario.ports, &scenario.node_roles);
    let scope = Scope::of(cluster("blue"));
    let mut seen = ports.world().calls.len();
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    drive(future, || {
        let world = ports.world();
        nothing_is_bound_before_it_is_granted(&world, node_roles, seen);
        seen = world.calls.len();
    })
    .map_err(|error| error.to_string())
}

/// svc-etl is blocked by another's association, whose role is `theirs`.
fn blocked() -> (Scenario, Association) {
    blocked_as("etl")
}

/// The same for another role than `etl`.
fn blocked_as(role_name: &str) -> (Scenario, Association) {
    let mut scenario = Scenario::new();
    scenario.ports.world().add_role(&role("theirs"), TRUSTED);
    scenario.register("blue");
    // The first contact with the cluster lists what is there.
    let other = scenario.assigned("svc-other", "report");
    let theirs = foreign(&scenario, "svc-etl-sa");
    let event = scenario.assigned("svc-etl", role_name);
    scenario.batch(&[other, event]);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::ForeignAssociation));
    scenario.advance(300);
    (scenario, theirs)
}

fn there(scenario: &Scenario) -> Option<Association> {
    let world = scenario.ports.world();
    world.eks.find(&cluster("blue"), "domino-compute", "svc-etl-sa").cloned()
}

fn granted(scenario: &Scenario) -> BTreeSet<String> {
    listed(&scenario.ports.world(), &blue_nodes())
}

fn assert_adopted(scenario: &Scenario, theirs: &Association) {
    let ours = there(scenario).unwrap();
    assert_eq!(ours.id, theirs.id);
    assert_eq!(ours.tags[DEPLOYMENT_TAG], "acme");
    assert_eq!(ours.tags[SERVICE_ACCOUNT_TAG], "svc-etl");
    let condition = scenario.condition("svc-etl", "blue").unwrap();
    assert_eq!((condition.state, condition.adopts), (ConditionState::Ready, None));
    let association = condition.association.unwrap();
    let wanted = association.desired.role.as_str();
    assert_eq!((association.id, ours.role_arn.as_str()), (ours.id, wanted));
}

#[test]
fn a_reconciliation_adopts_what_an_administrator_permits_and_is_steady_after_it() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    let condition = scenario.condition("svc-etl", "blue").unwrap();
    assert_eq!((condition.state, condition.blocked), (ConditionState::Pending, None));
    assert_eq!(there(&scenario), Some(theirs.clone()));
    let done = run(&mut scenario).unwrap();
    assert_eq!(done.needed, BTreeSet::from(["svc-etl".parse().unwrap()]));
    assert!(done.plans[0].to_string().contains("for svc-etl, adopted"), "{}", done.plans[0]);
    assert_adopted(&scenario, &theirs);
    let published = scenario.outcomes("Pod Identity Association Ready");
    assert_eq!(published.last().unwrap()["change"], "updated");
    scenario.advance(300);
    let done = run(&mut scenario).unwrap();
    assert!(done.needed.is_empty() && done.plans.is_empty(), "{done:?}");
    settled(&mut scenario);
}

#[test]
fn the_event_sent_again_adopts_as_well() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    let event = scenario.sent.last().unwrap().clone();
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_adopted(&scenario, &theirs);
    settled(&mut scenario);
}

#[test]
fn the_role_of_a_foreign_association_stays_listed_while_it_is_adopted() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    // It is ours, and works as its old role still.
    scenario.ports.fault(PortFault {
        lasting: true,
        ..PortFault::nth("UpdatePodIdentityAssociation", 1, When::Before, ErrorKind::Passing)
    });
    assert_eq!(run(&mut scenario).unwrap().failures.len(), 1);
    let between = there(&scenario).unwrap();
    assert_eq!(between.tags[SERVICE_ACCOUNT_TAG], "svc-etl");
    assert_eq!(between.role_arn, theirs.role_arn);
    let of = |names: [&str; 3]| BTreeSet::from(names.map(|name| role(name).to_string()));
    assert_eq!(granted(&scenario), of(["etl", "report", "theirs"]));
    scenario.ports.clear_faults();
    run(&mut scenario).unwrap();
    assert_adopted(&scenario, &theirs);
    assert_eq!(granted(&scenario), of(["etl", "report", "theirs"]));
}

#[test]
fn an_adoption_that_is_broken_at_any_call_is_made_good_by_the_next_reconciliation() {
    // One that changes the role, and one that only tags.
    ["etl", "theirs"].into_iter().for_each(break_every_call);
}

fn break_every_call(role_name: &str) {
    let (mut scenario, theirs) = blocked_as(role_name);
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    run(&mut scenario).unwrap();
    let expected = End::of(&scenario);
    for (lasting, when, late) in [
        (true, When::Before, 0),
        (true, When::After, 0),
        (false, When::Before, 0),
        (false, When::After, 0),
        (false, When::After, 8),
    ] {
        for n in 1.. {
            let (mut scenario, theirs) = blocked_as(role_name);
            scenario.ports.world().settings.visible_after = jiff::SignedDuration::from_secs(late);
            scenario.ports.fault(PortFault { lasting, ..PortFault::dead_from(n, when) });
            let began = scenario.ports.world().calls.len();
            let permitted = permit(&mut scenario, "svc-etl", &theirs.id);
            let _ = run(&mut scenario);
            let struck = scenario.ports.world().calls[began..].iter().any(|c| c.status == 503);
            if !struck {
                assert!(n > 12, "an adoption makes only {n} calls");
                break;
            }
            scenario.ports.clear_faults();
            if permitted.is_err() {
                permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
            }
            let is_done = (0..10).any(|_| {
                scenario.advance(61);
                let done = run(&mut scenario);
                done.is_ok_and(|done| done.failures.is_empty() && done.needed.is_empty())
            });
            let call = &scenario.ports.world().calls[began + n - 1].operation.clone();
            assert!(is_done, "{role_name}, call {n}, {call}: it never succeeds");
            assert_adopted(&scenario, &theirs);
            assert_eq!(End::of(&scenario), expected, "{role_name}, call {n}, {call}");
        }
    }
}

#[test]
fn an_unbinding_before_the_adoption_leaves_the_association_alone() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    let removal = scenario.unassigned("svc-etl");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    run(&mut scenario).unwrap();
    assert_eq!(there(&scenario), Some(theirs.clone()));
    // What was said of the binding before is not said of the next one.
    let again = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&again), Outcome::Blocked);
    assert_eq!(there(&scenario), Some(theirs));
    settled(&mut scenario);
}

#[test]
fn an_unbinding_after_the_adoption_deletes_the_association() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    run(&mut scenario).unwrap();
    assert_adopted(&scenario, &theirs);
    scenario.advance(300);
    let removal = scenario.unassigned("svc-etl");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(there(&scenario), None);
    let published = scenario.outcomes("Pod Identity Association Removed");
    assert_eq!(published[0]["associationId"], json!(theirs.id));
    settled(&mut scenario);
}

#[test]
fn an_untrusted_role_keeps_the_association_foreign_until_it_is_trusted() {
    let (mut scenario, theirs) = blocked();
    let event = scenario.assigned("svc-etl", "untrusted");
    scenario.send(&event);
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    scenario.advance(300);
    run(&mut scenario).unwrap();
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::UntrustedRole));
    assert_eq!(there(&scenario), Some(theirs.clone()));
    scenario.ports.world().set_trust(&role("untrusted"), TRUSTED);
    run(&mut scenario).unwrap();
    let adopted = there(&scenario).unwrap();
    assert_eq!((adopted.id, adopted.role_arn), (theirs.id, role("untrusted").to_string()));
}

#[test]
fn a_newer_binding_keeps_the_word_and_one_that_moves_drops_it() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    let elsewhere = json!({ "kubernetes": { "serviceAccount": "elsewhere" } });
    let moved =
        [scenario.assigned_with("svc-etl", "etl", elsewhere), scenario.assigned("svc-etl", "etl")];
    moved.iter().for_each(|event| _ = scenario.send(event));
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::ForeignAssociation));
    assert_eq!(there(&scenario), Some(theirs.clone()));
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    // Two events of one batch: nothing is worked on in between.
    let changed = [scenario.assigned("svc-etl", "etl-2"), scenario.assigned("svc-etl", "etl")];
    scenario.batch(&changed);
    assert_adopted(&scenario, &theirs);
    settled(&mut scenario);
}

#[test]
fn an_association_that_was_made_again_since_is_not_adopted() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    let deleted =
        scenario.ports.world().delete_pod_identity_association(&somebody(), "blue", &theirs.id);
    deleted.unwrap();
    let again = foreign(&scenario, "svc-etl-sa");
    run(&mut scenario).unwrap();
    assert_eq!(there(&scenario), Some(again));
    let reason = scenario.condition("svc-etl", "blue").unwrap().blocked.unwrap().message();
    assert!(reason.ends_with(&format!("may be adopted is association {}", theirs.id)), "{reason}");
}

#[test]
fn a_word_for_an_association_that_is_gone_by_now_is_forgotten_with_the_one_that_is_made() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    let deleted =
        scenario.ports.world().delete_pod_identity_association(&somebody(), "blue", &theirs.id);
    deleted.unwrap();
    run(&mut scenario).unwrap();
    assert_ne!(there(&scenario).unwrap().id, theirs.id);
    let condition = scenario.condition("svc-etl", "blue").unwrap();
    assert_eq!((condition.state, condition.adopts), (ConditionState::Ready, None));
}

#[test]
fn an_orphan_is_adopted_by_the_same_word() {
    let (mut scenario, theirs) = blocked();
    let tags = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-forgotten")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    scenario.ports.world().tag_resource(&somebody(), &theirs.arn, &tags).unwrap();
    run(&mut scenario).unwrap();
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::OrphanAssociation));
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    run(&mut scenario).unwrap();
    assert_adopted(&scenario, &theirs);
    settled(&mut scenario);
}

#[test]
fn the_same_word_again_writes_nothing() {
    let (mut scenario, theirs) = blocked();
    let again = |scenario: &mut Scenario| {
        permit(scenario, "svc-etl", &theirs.id).unwrap();
        let before = scenario.ports.world().count("TransactWriteItems");
        permit(scenario, "svc-etl", &theirs.id).unwrap();
        assert_eq!(scenario.ports.world().count("TransactWriteItems"), before);
    };
    again(&mut scenario);
    run(&mut scenario).unwrap();
    again(&mut scenario);
    assert_adopted(&scenario, &theirs);
}

#[test]
fn of_two_words_at_once_none_is_lost_unseen() {
    let (mut scenario, theirs) = blocked();
    let runs = [scenario.next_run(), scenario.next_run()];
    let (ports, blue) = (&scenario.ports, cluster("blue"));
    let name = "svc-etl".parse().unwrap();
    let words = [word(&name, &blue, "a-other"), word(&name, &blue, &theirs.id)];
    let permit = |at: usize| {
        permit_adoption(
            ports.context(&runs[at], &scenario.settings, scenario.in_seconds(60)),
            ports.writers().ledger,
            &words[at],
        )
    };
    let both = async { join!(permit(0), permit(1)) };
    let began = ports.world().count("TransactWriteItems");
    assert_eq!(drive(both, || {}), (Ok(()), Ok(())));
    assert_eq!(ports.world().count("TransactWriteItems") - began, 3, "one met the other");
    assert_eq!(scenario.condition("svc-etl", "blue").unwrap().adopts, Some(theirs.id));
}

#[test]
fn a_word_is_in_the_history_with_who_gave_it_once() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    let history = history(&scenario, "svc-etl");
    let [bound, word] = history.as_slice() else { panic!("{history:?}") };
    assert_eq!((bound.outcome, word.outcome), (HistoryOutcome::Accepted, HistoryOutcome::Noted));
    assert_eq!((word.actor.as_deref(), word.reason.as_deref()), (Some("ada"), Some("ticket 4711")));
    assert_eq!(word.change["adopts"], theirs.id);
    assert_eq!(word.request_id, scenario.condition("svc-etl", "blue").unwrap().request_id);
}

#[test]
fn a_word_makes_no_binding_younger_than_another_that_wants_its_place() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    scenario.advance(60);
    let place = json!({ "kubernetes": { "serviceAccount": "svc-etl-sa" } });
    let rival = scenario.assigned_with("svc-rival", "etl", place);
    scenario.send(&rival);
    scenario.advance(60);
    let again = scenario.assigned("svc-etl", "etl");
    scenario.send(&again);
    permit(&mut scenario, "svc-etl", "a-other").unwrap();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    run(&mut scenario).unwrap();
    assert_adopted(&scenario, &theirs);
    assert_eq!(scenario.code("svc-rival", "blue"), Some(BlockedCode::Conflict));
}

fn history(scenario: &Scenario, name: &str) -> Vec<HistoryRecord> {
    let partition = history_partition(name);
    let world = scenario.ports.world();
    let items = world.ledger.items().filter(|item| item.key.partition == partition);
    items.map(|item| serde_json::from_value(item.body.clone()).unwrap()).collect()
}

#[test]
fn a_word_for_what_the_ledger_does_not_know_is_refused_by_name() {
    let (mut scenario, theirs) = blocked();
    let unknown = permit(&mut scenario, "svc-unknown", &theirs.id).unwrap_err();
    let expected = "the ledger has no condition of svc-unknown on cluster \
                    arn:aws:eks:eu-west-1:111122223333:cluster/blue: ";
    assert!(unknown.starts_with(expected), "{unknown}");
    let removal = scenario.unassigned("svc-etl");
    scenario.send(&removal);
    let unbound = permit(&mut scenario, "svc-etl", &theirs.id).unwrap_err();
    assert!(unbound.starts_with("svc-etl wants no Kubernetes service account"), "{unbound}");
    scenario.ports.fault(PortFault::nth("BatchGetItem", 1, When::Before, ErrorKind::Denied));
    let unread = permit(&mut scenario, "svc-etl", "a-1").unwrap_err();
    assert!(unread.starts_with("failed to let svc-etl adopt association a-1 in cluster blue: "));
}

/// svc-etl has adopted what a CloudFormation stack made, with a target role that is to go, and that EKS
/// keeps in spite of an update.
fn of_a_stack() -> (Scenario, Association) {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let theirs = foreign(&scenario, "svc-etl-sa");
    let blue = cluster("blue");
    scenario.ports.world().add_stack_tags(&blue, &theirs.id, "data-platform");
    let target = "arn:aws:iam::111122223333:role/domino-target/etl";
    let targeted = json!({ "targetRoleArn": target });
    scenario.settings.rules.target_roles = vec![pod_identity_core::Pattern::new("*")];
    let event = scenario.assigned_with("svc-etl", "etl", targeted);
    scenario.send(&event);
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    assert!(run(&mut scenario).unwrap().failures.is_empty());
    assert_eq!(there(&scenario).unwrap().target_role_arn.as_deref(), Some(target));
    scenario.ports.world().settings.clears_empty_values = false;
    scenario.advance(300);
    (scenario, theirs)
}

#[test]
fn an_adopted_association_of_a_stack_is_replaced_without_reserved_tags() {
    let (mut scenario, theirs) = of_a_stack();
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let ours = there(&scenario).unwrap();
    assert_ne!(ours.id, theirs.id);
    assert_eq!(ours.target_role_arn, None);
    assert!(ours.tags.keys().all(|key| !key.starts_with("aws:")), "{ours:?}");
    settled(&mut scenario);
}

#[test]
fn a_replacement_that_cannot_be_made_is_tried_again_whatever_the_reason() {
    for kind in [ErrorKind::Invalid, ErrorKind::Denied, ErrorKind::LimitReached] {
        let (mut scenario, _) = of_a_stack();
        let create = "CreatePodIdentityAssociation";
        scenario.ports.fault(PortFault::nth(create, 1, When::Before, kind));
        let event = scenario.assigned("svc-etl", "etl");
        let report = scenario.send(&event);
        Scenario::assert_outcome(&report, Outcome::Failed);
        assert!(report.lines[0].contains("was deleted to be made again"), "{report:?}");
        assert_eq!(there(&scenario), None);
        Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
        assert_eq!(there(&scenario).unwrap().target_role_arn, None);
        settled(&mut scenario);
    }
}

#[test]
fn an_adoption_that_was_not_recorded_in_the_end_can_be_taken_back() {
    let (mut scenario, theirs) = blocked();
    permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
    // It is changed, and the run dies before it can say so.
    let update = "UpdatePodIdentityAssociation";
    scenario.ports.fault(PortFault::nth(update, 1, When::After, ErrorKind::Passing));
    assert_eq!(run(&mut scenario).unwrap().failures.len(), 1);
    scenario.ports.clear_faults();
    assert_eq!(there(&scenario).unwrap().role_arn, role("etl").as_str());
    scenario.advance(300);
    let removal = scenario.unassigned("svc-etl");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(there(&scenario), None);
    settled(&mut scenario);
}

//! Each verdict about the association that is at a binding's place, in a reconciliation and in a retirement.

use std::collections::BTreeMap;

use pod_identity_core::{DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG};
use pod_identity_engine::ledger::ConditionState::{Blocked, Ready, Removed};
use pod_identity_engine::ports::{Association, ErrorKind};
use pod_identity_engine::{Reconciled, Retirement, Scope, reconcile};
use pod_identity_events::BlockedCode;
use pod_identity_world::{Call, CreateAssociation, PortFault, UpdateAssociation, When};
use serde_json::json;

use crate::adopt::permit;
use crate::ownership::{foreign, somebody, tag, untag};
use crate::scenario::{Scenario, TRUSTED, cluster, drive, role};

/// What is at the place of svc-etl, which works as `etl`.
#[derive(Debug, Clone, Copy)]
enum There {
    OfAnAddOn,
    Managed,
    Unconfirmed,
    Adoptable,
    Orphan,
    Foreign,
    Replaced,
    Gone,
}

/// svc-etl is bound, and its place is as a verdict has it.
fn with(there: There) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.ports.world().add_role(&role("theirs"), TRUSTED);
    scenario.register("blue");
    let other = scenario.assigned("svc-other", "report");
    let event = scenario.assigned("svc-etl", "etl");
    match there {
        There::OfAnAddOn => {
            let mut world = scenario.ports.world();
            let (blue, theirs) = (cluster("blue"), role("theirs").to_string());
            let place = ("domino-compute", "svc-etl-sa");
            world.add_addon_association(&blue, place.0, place.1, &theirs, "csi").unwrap();
        }
        There::Adoptable | There::Orphan | There::Foreign => _ = foreign(&scenario, "svc-etl-sa"),
        There::Unconfirmed => {
            let lasting = |operation, nth, when| PortFault {
                lasting: true,
                ..PortFault::nth(operation, nth, when, ErrorKind::Passing)
            };
            let create = "CreatePodIdentityAssociation";
            scenario.ports.fault(lasting(create, 1, When::After));
            scenario.ports.fault(lasting("TransactWriteItems", 3, When::Before));
        }
        There::Managed | There::Replaced | There::Gone => {}
    }
    scenario.batch(&[other, event]);
    scenario.ports.clear_faults();
    scenario.advance(300);
    if let There::Managed | There::Replaced | There::Gone = there {
        by_hand(&scenario, there);
    }
    match there {
        There::Adoptable => {
            let theirs = at_place(&scenario).unwrap();
            permit(&mut scenario, "svc-etl", &theirs.id).unwrap();
        }
        There::Orphan => {
            let tags = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-etl")];
            tag(&scenario, &at_place(&scenario).unwrap().arn, &tags);
        }
        _ => {}
    }
    scenario.advance(300);
    scenario
}

/// Takes the tags off and changes the role, or deletes it and perhaps makes another.
fn by_hand(scenario: &Scenario, there: There) {
    let ours = at_place(scenario).unwrap();
    if let There::Managed = there {
        untag(scenario, &ours.arn);
    }
    let mut world = scenario.ports.world();
    let (cluster, theirs) = ("blue".to_owned(), role("theirs").to_string());
    if let There::Managed = there {
        let update = UpdateAssociation {
            cluster,
            association_id: ours.id,
            role_arn: Some(theirs),
            ..UpdateAssociation::default()
        };
        world.update_pod_identity_association(&somebody(), &update).unwrap();
        return;
    }
    world.delete_pod_identity_association(&somebody(), "blue", &ours.id).unwrap();
    if let There::Replaced = there {
        let input = CreateAssociation {
            cluster,
            namespace: "domino-compute".to_owned(),
            service_account: "svc-etl-sa".to_owned(),
            role_arn: theirs,
            ..CreateAssociation::default()
        };
        world.create_pod_identity_association(&somebody(), input).unwrap();
    }
}

fn at_place(scenario: &Scenario) -> Option<Association> {
    let world = scenario.ports.world();
    world.eks.find(&cluster("blue"), "domino-compute", "svc-etl-sa").cloned()
}

fn role_there(scenario: &Scenario) -> Option<String> {
    Some(at_place(scenario)?.role_arn.rsplit('/').next().unwrap().to_owned())
}

fn run(scenario: &mut Scenario) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, scope) = (&scenario.ports, Scope::of(cluster("blue")));
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    drive(future, || {}).unwrap()
}

#[test]
fn a_reconciliation_does_at_each_place_what_its_verdict_allows() {
    let expected = [
        (There::OfAnAddOn, Some("theirs"), Some(BlockedCode::AddOnOwnedAssociation)),
        (There::Managed, Some("etl"), None),
        (There::Unconfirmed, Some("etl"), None),
        (There::Adoptable, Some("etl"), None),
        (There::Orphan, Some("theirs"), Some(BlockedCode::OrphanAssociation)),
        (There::Foreign, Some("theirs"), Some(BlockedCode::ForeignAssociation)),
        (There::Replaced, Some("theirs"), Some(BlockedCode::ReplacedAssociation)),
        (There::Gone, Some("etl"), None),
    ];
    for (there, as_role, code) in expected {
        let mut scenario = with(there);
        let before = at_place(&scenario);
        run(&mut scenario);
        assert_eq!(role_there(&scenario).as_deref(), as_role, "{there:?}");
        assert_eq!(scenario.code("svc-etl", "blue"), code, "{there:?}");
        let state = scenario.condition("svc-etl", "blue").unwrap().state;
        assert_eq!(state, if code.is_some() { Blocked } else { Ready }, "{there:?}");
        let after = at_place(&scenario);
        if code.is_some() {
            assert_eq!(after, before, "{there:?}");
            continue;
        }
        let after = after.unwrap();
        assert_eq!(after.tags[DEPLOYMENT_TAG], "acme", "{there:?}");
        assert!(before.is_none_or(|before| before.id == after.id), "{there:?}");
    }
}

#[test]
fn a_retirement_takes_from_each_place_what_its_verdict_allows() {
    let expected = [
        (There::OfAnAddOn, true),
        (There::Managed, false),
        (There::Unconfirmed, false),
        (There::Adoptable, true),
        (There::Orphan, true),
        (There::Foreign, true),
        (There::Replaced, true),
        (There::Gone, false),
    ];
    for (there, stays) in expected {
        let mut scenario = with(there);
        let before = at_place(&scenario).filter(|_| stays);
        let retired = json!({ "clusterArn": cluster("blue"), "exemptServiceAccounts": ["svc-etl", "svc-other"] });
        let event = scenario.event("domino.administration", "Cluster Retired", retired);
        scenario.send(&event);
        let retirement = run(&mut scenario).retirement;
        assert_eq!(at_place(&scenario), before, "{there:?}");
        let state = scenario.condition("svc-etl", "blue").unwrap().state;
        match there {
            // What may be ours keeps its removal from being said.
            There::Orphan => {
                assert_eq!(state, Blocked, "{retirement:?}");
                assert_eq!(retirement, Some(Retirement::UnderWay { goes_on: false }));
            }
            _ if stays => {
                assert_eq!(state, Removed, "{there:?}");
                assert!(matches!(retirement, Some(Retirement::NotAlone(_))), "{retirement:?}");
            }
            _ => {
                assert_eq!(state, Removed, "{there:?}");
                assert_eq!(retirement, Some(Retirement::Drained), "{there:?}");
            }
        }
    }
}

#[test]
fn what_eks_does_not_show_yet_is_neither_made_again_nor_said_to_be_removed() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    scenario.ports.world().settings.visible_after = jiff::SignedDuration::from_secs(3_600);
    let event = scenario.assigned("svc-etl", "etl");
    scenario.send(&event);
    let id = at_place(&scenario).unwrap().id;
    // A creation meets what is there.
    let made = |scenario: &Scenario| {
        let world = scenario.ports.world();
        let creations = world.calls.iter().filter(|c| c.operation.starts_with("CreatePodIdentity"));
        creations.filter(|call| call.error.is_none()).count()
    };
    let before = made(&scenario);
    let done = run(&mut scenario);
    assert_eq!(done.failures.len() + done.corrected.len(), done.failures.len(), "{done:?}");
    let removal = scenario.unassigned("svc-etl");
    scenario.send(&removal);
    assert_eq!(scenario.outcomes("Pod Identity Association Removed"), [] as [serde_json::Value; 0]);
    assert_eq!(made(&scenario), before);
    assert_eq!(at_place(&scenario).unwrap().id, id);
}

/// The changes of EKS and IAM in a history, while a hand writes or takes off any tags between two events.
fn changes(seed: u64, tags: bool) -> Vec<String> {
    let mut scenario = Scenario::new();
    scenario.ports.world().add_role(&role("theirs"), TRUSTED);
    let _ = foreign(&scenario, "wanted");
    scenario.advance(3_600);
    scenario.register("blue");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let names = ["svc-a", "svc-b", "svc-c"];
    let mut all = Vec::new();
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..12 {
        let name = names[next(3)];
        let place = [name, "shared", "wanted", name][next(4)];
        let account = json!({ "kubernetes": { "serviceAccount": place } });
        let event = match next(3) {
            0 => scenario.unassigned(name),
            _ => scenario.assigned_with(name, ["etl", "report", "train"][next(3)], account),
        };
        let (one, other, nobody) = (next(8), names[next(3)], next(3) == 0);
        let arns: Vec<String> = {
            let world = scenario.ports.world();
            let there = world.eks.associations(&cluster("blue"));
            places.extend(there.iter().map(|one| (one.id.clone(), one.service_account.clone())));
            there.iter().map(|found| found.arn.clone()).collect()
        };
        if let Some(arn) = arns.get(one % arns.len().max(1)).filter(|_| tags) {
            match next(3) {
                0 => untag(&scenario, arn),
                _ => {
                    let deployment = if nobody { "another" } else { "acme" };
                    let tags = [(DEPLOYMENT_TAG, deployment), (SERVICE_ACCOUNT_TAG, other)];
                    tag(&scenario, arn, &tags);
                }
            }
        } else {
            next(3);
        }
        let begin = scenario.ports.world().calls.len();
        scenario.send(&event);
        scenario.advance(300);
        let done = run(&mut scenario);
        assert_eq!(done.halted, None);
        scenario.advance(300);
        all.extend(changed(&scenario, begin, &places));
    }
    all
}

/// The calls that changed EKS or IAM since then, but for tags. What is done side by side is in no order.
fn changed(scenario: &Scenario, since: usize, places: &BTreeMap<String, String>) -> Vec<String> {
    let world = scenario.ports.world();
    let reads_or_tags = |call: &&Call| {
        let verbs = ["Get", "List", "Describe", "Tag", "Untag"];
        verbs.iter().any(|verb| call.operation.starts_with(verb))
    };
    let of_aws = |call: &&Call| ["eks", "iam"].contains(&call.service.as_str());
    let calls = world.calls[since..].iter().filter(of_aws).filter(|call| !reads_or_tags(call));
    // Ids are as the world's dice fall.
    let object = |call: &Call| {
        let id = call.object.split(' ').next().unwrap_or_default();
        places.get(id).cloned().unwrap_or_else(|| call.object.clone())
    };
    let mut changed: Vec<String> =
        calls.map(|call| format!("{} {}", call.operation, object(call))).collect();
    changed.sort();
    changed
}

#[test]
fn tags_change_no_call_but_those_that_write_tags() {
    for seed in 0..150 {
        let plain = changes(seed, false);
        assert_eq!(changes(seed, true), plain, "seed {seed}");
        assert!(plain.len() > 3, "{plain:?}");
    }
}

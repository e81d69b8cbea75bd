//! That an end which is not as the events ask is told.

use pod_identity_core::{DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG};
use pod_identity_world::{Caller, CreateAssociation};

use super::*;
use crate::hands;
use crate::history::{Event, Hand, Setup};

fn setup() -> Setup {
    Setup { registered: 1, ..Setup::plain() }
}

fn event(asks: Asks) -> Event {
    Event { at: 1, tie: 0, asks }
}

/// svc-1 works as role 1 on blue; then something happens that the engine does not see.
fn after(meddle: impl FnOnce(&mut World)) -> Result<(), &'static str> {
    let setup = setup();
    let mut play = Play::new(&setup).unwrap();
    let clusters = None;
    let (name, role, place, target, policy) = (1, 1, None, false, false);
    play.send(&event(Asks::Assigned { name, role, place, target, policy, clusters }));
    play.quiet_down().unwrap();
    meddle(&mut play.world.lock().unwrap());
    check(&play).map_err(|violation: Violation| violation.rule)
}

/// Changes every condition of the ledger.
fn rewrite(world: &mut World, change: impl Fn(&mut Value)) {
    use pod_identity_engine::ports::{Expect, Write};
    let conditions: Vec<_> =
        world.ledger.items().filter(|i| i.key.sort.starts_with("CONDITION#")).cloned().collect();
    for mut item in conditions {
        change(&mut item.body);
        let write = Write::Put { item, expires_at: None, expect: Expect::Anything };
        world.ledger_write(&[write]).unwrap();
    }
}

/// blue has one foreign association from the beginning; the one made last is another.
fn made(world: &World) -> u8 {
    let all = world.eks.associations(&stage::cluster(0));
    u8::try_from(all.iter().position(|one| is_ours(one)).unwrap()).unwrap()
}

#[test]
fn an_end_as_the_events_ask_is_right() {
    assert_eq!(after(|_| {}), Ok(()));
}

#[test]
fn a_ready_condition_without_its_association_is_told() {
    let deleted = after(|world| {
        let nth = made(world);
        hands::act(world, Hand::Delete { cluster: 0, nth });
    });
    assert_eq!(deleted, Err("ready means that it is so"));
}

#[test]
fn a_ready_condition_with_another_role_is_told() {
    let changed = after(|world| {
        let nth = made(world);
        hands::act(world, Hand::Change { cluster: 0, nth, role: 2 });
    });
    assert_eq!(changed, Err("ready means that it is so"));
}

#[test]
fn a_role_that_is_not_granted_is_told() {
    let unlisted = after(|world| hands::act(world, Hand::Policy { nth: 0, role: None }));
    assert_eq!(unlisted, Err("what is ready is granted"));
    let detached = after(|world| hands::act(world, Hand::Detach { nth: 0 }));
    assert_eq!(detached, Err("what is ready is granted"));
}

#[test]
fn an_association_that_nobody_wants_is_told() {
    let left = after(|world| {
        let caller = Caller {
            name: "x".to_owned(),
            account: stage::ACCOUNT.to_owned(),
            region: "eu-west-1".to_owned(),
        };
        let tags = [
            (DEPLOYMENT_TAG.to_owned(), stage::DEPLOYMENT.to_owned()),
            (SERVICE_ACCOUNT_TAG.to_owned(), "svc-1".to_owned()),
        ];
        let input = CreateAssociation {
            cluster: "blue".to_owned(),
            namespace: stage::NAMESPACE.to_owned(),
            service_account: "left".to_owned(),
            role_arn: stage::role(1).to_string(),
            tags: tags.into(),
            ..CreateAssociation::default()
        };
        world.create_pod_identity_association(&caller, input).unwrap();
    });
    assert_eq!(left, Err("what is given up is removed"));
}

#[test]
fn a_condition_of_an_older_version_or_for_no_reason_is_told() {
    let older = after(|world| {
        rewrite(world, |condition| condition["version"] = "000000000000001#e".into());
    });
    assert_eq!(older, Err("the latest version wins"));
    let pending = after(|world| rewrite(world, |condition| condition["state"] = "pending".into()));
    assert_eq!(pending, Err("what is asked for is ready or blocked"));
    let blocked = after(|world| {
        rewrite(world, |condition| {
            condition["state"] = "blocked".into();
            condition["blocked"] =
                serde_json::json!({ "code": "untrustedRole", "reason": "", "remediation": "" });
        });
    });
    assert_eq!(blocked, Err("every reason to block is one"));
}

#[test]
fn a_bus_that_was_not_told_is_told() {
    assert_eq!(after(|world| world.bus.events.clear()), Err("the bus is told of what is ready"));
}

#[test]
fn a_history_that_keeps_a_flood_is_told() {
    let flood = |size: usize| {
        after(|world| {
            use pod_identity_engine::ports::{Expect, Item, Write};
            for index in 0..size {
                let version = format!("000000000000000#{index}");
                let body = serde_json::json!({
                    "version": version, "outcome": "superseded", "detailType": "t", "change": null,
                    "actor": "a", "requestId": "r", "recordedAt": "2026-11-20T12:00:00Z",
                });
                let key = pod_identity_engine::ports::Key {
                    partition: history_partition("svc-2"),
                    sort: version,
                };
                let item = Item { key, revision: "r".to_owned(), body };
                let write = Write::Put { item, expires_at: None, expect: Expect::Anything };
                world.ledger_write(&[write]).unwrap();
            }
        })
    };
    assert_eq!(flood(100), Ok(()));
    assert_eq!(flood(101), Err("a flood is bounded"));
}

//! The ledger of the world.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use pod_identity_world::{World, WorldPorts};
use tests::ledger_suite::suite;
use tests::rules_suite;

async fn with_pages_of(page_size: usize) {
    let mut world = World::new(1, "111122223333", Timestamp::UNIX_EPOCH);
    world.settings.page_size = page_size;
    let ports = WorldPorts::new(Arc::new(Mutex::new(world)), "test");
    suite(&ports, &ports).await;
}

#[tokio::test]
async fn the_ledgers_rules_hold_over_the_world() {
    let world = World::new(1, "111122223333", Timestamp::UNIX_EPOCH);
    let ports = WorldPorts::new(Arc::new(Mutex::new(world)), "test");
    rules_suite::suite(&ports, &ports).await;
}

#[tokio::test]
async fn the_ledger_of_the_world_keeps_the_rules_of_the_store() {
    with_pages_of(100).await;
}

#[tokio::test]
async fn the_ledger_of_the_world_keeps_them_over_small_pages() {
    with_pages_of(1).await;
    with_pages_of(3).await;
}

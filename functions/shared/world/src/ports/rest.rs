//! The bus, the ledger and time through the ports.

use async_trait::async_trait;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pod_identity_engine::ports::{
    Bus, BusEntry, Clock, Item, Key, LedgerReader, LedgerWriter, Page, PortError, PutFailure,
    Write, WriteError,
};

use super::WorldPorts;
use crate::bus::PutEventsEntry;
use crate::ledger::LedgerRefusal;
use crate::settling::after;
use crate::world::Caller;

#[async_trait(?Send)]
impl Bus for WorldPorts {
    async fn put(&self, entries: &[BusEntry]) -> Result<Vec<Result<(), PutFailure>>, PortError> {
        let object = format!("{} events on bus {}", entries.len(), self.bus);
        let answers = self
            .call(("events", "PutEvents"), "put", object, |world| {
                let caller = Caller {
                    name: self.caller.clone(),
                    account: world.account.clone(),
                    region: String::new(),
                };
                let entries: Vec<PutEventsEntry> = entries
                    .iter()
                    .map(|entry| PutEventsEntry {
                        bus: Some(self.bus.clone()),
                        source: "domino.pod-identity".to_owned(),
                        detail_type: entry.detail_type.clone(),
                        detail: entry.detail.clone(),
                        resources: Vec::new(),
                    })
                    .collect();
                world.put_events(&caller, &entries)
            })
            .await?;
        let failure = |refusal: crate::EntryRefusal| PutFailure {
            code: refusal.code,
            message: refusal.message,
        };
        Ok(answers.into_iter().map(|answer| answer.map(drop).map_err(failure)).collect())
    }
}

#[async_trait(?Send)]
impl LedgerReader for WorldPorts {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Item>, PortError> {
        let object = format!("{} items of the ledger", keys.len());
        let call = ("dynamodb", "BatchGetItem");
        self.call(call, "read", object, |world| {
            let items = world.ledger_read(keys)?;
            world.count_read(&items);
            Ok(items)
        })
        .await
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        page: Option<&str>,
    ) -> Result<Page<Item>, PortError> {
        let object = format!("{partition} {prefix}* in the ledger");
        let call = ("dynamodb", "Query");
        self.call(call, "query", object, |world| {
            let page = world.ledger_query(partition, prefix, page)?;
            world.count_read(&page.items);
            Ok(page)
        })
        .await
    }
}

#[async_trait(?Send)]
impl LedgerWriter for WorldPorts {
    async fn write(&self, writes: &[Write]) -> Result<(), WriteError> {
        let object = format!("{} items of the ledger", writes.len());
        let call = ("dynamodb", "TransactWriteItems");
        let taken = self
            .call(call, "write", object, |world| match world.ledger_write(writes) {
                Ok(()) => Ok(true),
                Err(LedgerRefusal::Conflict(_)) => Ok(false),
                Err(LedgerRefusal::Error(error)) => Err(error),
            })
            .await?;
        if taken { Ok(()) } else { Err(WriteError::Conflict) }
    }
}

#[async_trait(?Send)]
impl Clock for WorldPorts {
    fn now(&self) -> Timestamp {
        self.world().now
    }

    async fn sleep(&self, duration: Duration) {
        let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let awake = after(self.now(), duration);
        self.give_way().await;
        // Those who sleep at once sleep together, not one after the other.
        let mut world = self.world();
        world.now = world.now.max(awake);
    }
}

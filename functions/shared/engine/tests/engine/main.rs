//! The engine over `world`, without HTTP: what a batch of events makes true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopt;
mod bounds;
mod bus;
mod calls;
mod check;
mod checks;
mod conflicts;
mod directory;
mod domino;
mod faults;
mod house;
mod leases;
mod ledger;
mod limits;
mod moves;
mod note;
mod ownership;
mod policies;
mod reconcile;
mod record;
mod registrations;
mod rejections;
mod restored;
mod retire;
mod scenario;
mod slots;
mod sweep;
mod trim;
mod trust;
mod verdicts;
mod versions;
mod visibility;

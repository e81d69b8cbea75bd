//! The functions of domino-pod-identity on this machine, against an embedded AWS.
//!
//! [`Stage`] holds everything that plays together: end-to-end tests drive the
//! real functions with it, as the command line does.

// The functions' futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod child;
mod cli;
mod client;
mod commands;
mod domino;
pub mod expected;
mod front;
mod function;
mod ledger;
mod page;
mod queue;
mod running;
mod runtime_api;
pub mod scene;
mod show;
mod stage;
mod story;
mod table;
pub mod wire;

pub use child::{FUNCTION_ARGUMENT, Log, Program, child_main};
pub use commands::run;
pub use domino::{Domino, DominoState};
pub use front::Front;
pub use function::{Configuration, Function, FunctionError, Ready};
pub use queue::{Batch, Message, Queue};
pub use runtime_api::{InvocationResult, InvokeError};
pub use stage::{MAX_RECEIVES, Stage, Turn};
pub use table::table;

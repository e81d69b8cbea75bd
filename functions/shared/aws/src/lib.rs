//! The engine's ports over EKS, IAM, EventBridge and DynamoDB, and over
//! Domino's API, whose key is in Secrets Manager; configuration from the
//! environment.
//!
//! [`Settings`] is read once at start. [`Aws`] holds the clients and builds
//! each on first use. [`AwsReader`] and [`AwsWriter`] are the ports, apart
//! from each other, so that a mode that must not write is given no writer.

mod bus;
mod clients;
mod clock;
mod domino;
mod eks;
mod errors;
mod http;
mod iam;
mod ledger;
#[cfg(test)]
mod script;
mod settings;

pub use clients::{Aws, AwsReader, AwsWriter};
pub use clock::SystemClock;
pub use domino::Domino;
pub use settings::{
    Calls, DominoSettings, SettingProblem, Settings, SettingsError, TokenHeader, TrustMode,
    WorkloadSettings,
};

//! Types, validation, trust policy evaluation, planning, node policy sharding
//! and the choice of stale pods of domino-pod-identity. Everything here is pure and synchronous:
//! no clock, no environment, no I/O.

mod arn;
mod association;
mod binding;
mod command;
pub mod directory;
pub mod domino;
mod json;
mod malformed;
mod mutation;
mod names;
pub mod node_policy;
mod ownership;
mod partition;
mod pattern;
pub mod plan;
mod pod;
mod rules;
pub mod sweep;
mod text;
pub mod trust;
mod version;

pub use arn::{ArnError, ClusterArn, PolicyArn, RoleArn};
pub use association::{Association, DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG, association_tags};
pub use binding::{Binding, Clusters, Desired};
pub use command::{Change, Command, Exemptions, ExemptionsError, Registration};
pub use json::{DuplicateKey, Json, JsonError, parse_unique};
pub use malformed::Malformed;
pub use mutation::{CloudWorkloadIdentity, MUTATION_API_VERSION, Mutation, MutationRule};
pub use names::{DominoName, NameError, ServiceAccountRef};
pub use ownership::{
    CLOCK_DIFFERENCE, Evidence, HeldAssociation, INTENT_KEPT, Intent, MAX_INTENTS, Verdict,
};
pub use partition::Partition;
pub use pattern::Pattern;
pub use pod::{
    ContainerIdentity, Credentials, IRSA_ANNOTATION, Obstacle, Owner, Phase, Pod,
    SKIP_CONTAINERS_ANNOTATION, SKIP_LABEL, ServiceAccount, WORKLOAD_CONTAINER,
};
pub use rules::{MAX_MINUTES_AHEAD, Rules};
pub use text::{is_plain, plain};
pub use version::{Version, VersionError};

use sha2::Digest;

/// Bytes as lower case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// A name that the same parts always have, and others never: 40 hexadecimal digits.
#[must_use]
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        // A separator that no part holds, or `ab`, `c` were `a`, `bc`.
        hash.update([0]);
    }
    hex(&hash.finalize()[..20])
}

/// SHA-256 of bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

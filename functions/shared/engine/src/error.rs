//! Errors as the logs and conditions have them.

use std::error::Error;

use pod_identity_core::plain;

use crate::apply::Failure;
use crate::lease::LeaseError;
use crate::ledger::LedgerError;
use crate::ports::{PortError, WriteError};

/// The whole chain of an error in one line, for logs and answers. Services repeat what others wrote, such as an
/// admission webhook of a cluster: line ends, and what is not seen, do not come through.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Wrappers of the SDKs repeat what they wrap.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    plain(&text)
}

/// A failed call or a ledger that cannot be read ends in words for a person: the whole chain of it.
macro_rules! in_words {
    ($($error:ty),+) => {$(
        impl From<$error> for String {
            fn from(error: $error) -> Self {
                chain(&error)
            }
        }

        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Passing(chain(&error))
            }
        }
    )+};
}

in_words!(PortError, LedgerError, WriteError, LeaseError);

//! Calls that fail on demand.

use pod_identity_engine::ports::ErrorKind;

use crate::error::AwsError;

/// Whether a broken call has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It has not.
    Before,
    /// It has, but its caller does not learn of it.
    After,
}

/// Breaks a call to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFault {
    /// The operation, as AWS names it (`CreatePodIdentityAssociation`, `TransactWriteItems`) or RBAC
    /// (`list pods`, `create pods/eviction`); any when absent.
    pub operation: Option<String>,
    /// Which of the calls from now on: 1 is the next one.
    pub nth: usize,
    /// Whether all later calls of the operation break too, as if the caller had died.
    pub lasting: bool,
    /// Whether the call has its effect.
    pub when: When,
    /// What the caller gets.
    pub kind: ErrorKind,
}

impl PortFault {
    /// The nth call of an operation fails once.
    #[must_use]
    pub fn nth(operation: &str, nth: usize, when: When, kind: ErrorKind) -> Self {
        Self { operation: Some(operation.to_owned()), nth, lasting: false, when, kind }
    }

    /// From the nth call of whatever operation on, nothing works: the caller is dead.
    #[must_use]
    pub fn dead_from(nth: usize, when: When) -> Self {
        Self { operation: None, nth, lasting: true, when, kind: ErrorKind::Passing }
    }
}

/// Counts a call down and answers the fault that it meets.
pub(super) fn strike(faults: &mut Vec<PortFault>, operation: &str) -> Option<(When, AwsError)> {
    let mut struck = None;
    for fault in faults.iter_mut() {
        if fault.operation.as_ref().is_some_and(|wanted| wanted != operation) {
            continue;
        }
        if fault.nth > 1 {
            fault.nth -= 1;
            continue;
        }
        struck.get_or_insert((fault.when, error(fault.kind)));
        fault.nth = 0;
        if fault.lasting {
            // Whoever died after its effect has none later.
            fault.nth = 1;
            fault.when = When::Before;
        }
    }
    faults.retain(|fault| fault.nth > 0);
    struck
}

fn error(kind: ErrorKind) -> AwsError {
    let (status, code) = match kind {
        ErrorKind::NotFound => (404, "ResourceNotFoundException"),
        ErrorKind::InUse => (409, "ResourceInUseException"),
        ErrorKind::LimitReached => (400, "ResourceLimitExceededException"),
        ErrorKind::Denied => (403, "AccessDeniedException"),
        ErrorKind::Invalid => (400, "InvalidParameterException"),
        ErrorKind::Expired => (410, "Expired"),
        ErrorKind::Unreachable => (0, "Unreachable"),
        ErrorKind::Passing => (503, "ServiceUnavailableException"),
    };
    AwsError::new(status, code, "injected fault")
}

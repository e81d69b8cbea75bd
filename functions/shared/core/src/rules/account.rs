//! Kubernetes service accounts that no deployment can bind.

use super::broken::BrokenRules;
use crate::ServiceAccountRef;

/// Refuses a Kubernetes service account that belongs to more pods than the Domino service account
/// starts, or to fewer.
pub(super) fn dedicated(account: &ServiceAccountRef, broken: &mut BrokenRules) {
    let why = if account.is_default() {
        "every pod of its namespace that names no service account runs as it and would get the \
         role; name another one in detail.kubernetes.serviceAccount"
    } else if account.is_of_one_run() {
        "Domino makes an account `run-` with 24 hexadecimal digits for one run only, and no later \
         run gets the role; name one that stays in detail.kubernetes.serviceAccount"
    } else {
        return;
    };
    let name = account.service_account();
    broken.rule(format!("Kubernetes service account `{name}` cannot be bound to a role: {why}"));
}

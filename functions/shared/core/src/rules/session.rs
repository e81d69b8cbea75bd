//! What AWS asks of a session policy.

use pod_identity_events::{MAX_SESSION_POLICY_CHARS, ServiceAccountRoleAssigned};
use serde_json::Value;

use super::broken::BrokenRules;
use crate::{JsonError, parse_unique};

pub(super) fn policy(event: &ServiceAccountRoleAssigned, broken: &mut BrokenRules) {
    let Some(policy) = &event.session_policy else {
        return;
    };
    match parse_unique(policy) {
        Ok(Value::Object(_)) => {}
        Ok(_) => broken.rule("detail.sessionPolicy must be a JSON object"),
        Err(JsonError::Duplicate(key)) => broken.rule(format!("detail.sessionPolicy: {key}")),
        Err(error @ JsonError::Syntax(_)) => {
            broken.rule(format!("detail.sessionPolicy is not JSON: {error}"))
        }
    }
    if !event.disable_session_tags {
        broken.rule(
            "detail.sessionPolicy needs detail.disableSessionTags true: EKS takes no session \
             policy beside session tags",
        );
    }
    let length = policy.chars().count();
    if length > MAX_SESSION_POLICY_CHARS {
        broken.rule(format!(
            "detail.sessionPolicy has {length} characters; STS takes at most {MAX_SESSION_POLICY_CHARS}"
        ));
    }
    if let Some(odd) = policy.chars().find(|&char| !is_policy_char(char)) {
        broken.rule(format!(
            "detail.sessionPolicy has `{odd}`; STS takes U+0020 to U+00FF, tab and line ends only"
        ));
    }
}

/// The pattern of `Policy` in STS's `AssumeRole`.
fn is_policy_char(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}')
}

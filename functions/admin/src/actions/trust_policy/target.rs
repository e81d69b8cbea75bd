//! The trust policy of a role that is only a target role.

use std::collections::BTreeSet;

use pod_identity_core::{DominoName, RoleArn};
use serde_json::{Value, json};

use super::document::{self, Check, Difference, MAX_CHARACTERS, Needs};
use super::words::{beside, proof, too_long};
use crate::actions::target::Hop;
use crate::answer::Answer;
use pod_identity_engine::Error;

/// What is told of it. `present` is its trust policy now: none when there is no such role, an error
/// when that is not known.
pub(super) fn answer(
    role: &RoleArn,
    hops: &BTreeSet<Hop>,
    present: &Result<Option<String>, Error>,
) -> Answer {
    let needs = Needs { users: BTreeSet::new(), hops: hops.clone() };
    let least = document::document(&needs.statements(&BTreeSet::new()));
    let checks = needs.check(&least.to_string());
    let names = needs.names();
    let compared = present.as_ref().ok().and_then(Option::as_ref);
    let compared = compared.map(|present| document::compare(present, &needs));
    let mut text = headline(role, names.len(), present, compared.as_ref());
    text += &format!("\nThe least that it needs as a target role:\n\n{least:#}\n\n");
    text += &proof("It", &checks);
    let length = document::length(&least);
    text += &format!("{length} of {MAX_CHARACTERS} characters that IAM admits by default.\n");
    let mut warnings = warnings(role, hops);
    warnings.extend(too_long("the document", length));
    let difference = compared.and_then(Result::ok);
    if let Some(difference) = &difference {
        text += &beside(difference);
        warnings.extend(of_merged(difference, &least));
    }
    for warning in &warnings {
        text += &format!("! {warning}\n");
    }
    Answer::of(text)
        .with("role", json!(role))
        .with("serviceAccounts", json!(names))
        .with("length", json!(length))
        .with("document", least)
        .with("checks", json!(checks))
        .with("now", json!(difference.as_ref().map(|it| &it.now)))
        .with("missing", json!(difference.as_ref().map(|it| &it.missing)))
        .with("lost", json!(difference.as_ref().map(|it| &it.lost)))
        .with("merged", json!(difference.as_ref().map(|it| &it.merged)))
        .with("mergedChecks", json!(difference.as_ref().map(|it| &it.checks)))
        .with("warnings", json!(warnings))
}

fn headline(
    role: &RoleArn,
    names: usize,
    present: &Result<Option<String>, Error>,
    compared: Option<&Result<Difference, Error>>,
) -> String {
    let difference = match (present, compared) {
        (Err(why), _) => {
            return format!("What trust policy {role} has now is not known: {why}\n");
        }
        (Ok(_), Some(Ok(difference))) => difference,
        (Ok(_), Some(Err(why))) => {
            return format!("The trust policy of {role} is not understood: {why}\n");
        }
        (Ok(_), None) => {
            return format!("{role} does not exist: have it made with this trust policy.\n");
        }
    };
    let missed: Vec<&Check> = difference.now.iter().filter(|check| !check.trusts()).collect();
    let Some(first) = missed.first() else {
        return format!("{role} already trusts all {names} bindings that go on to it.\n");
    };
    let lacks: BTreeSet<&DominoName> = missed.iter().map(|one| &one.service_account).collect();
    format!(
        "{role} does not surely trust {} of {names} bindings that go on to it, such as {} on {}: {}\n",
        lacks.len(),
        first.service_account,
        first.cluster_arn.name(),
        first.reason
    )
}

/// What there is to say of what the role has now and what it lacks, laid together.
fn of_merged(difference: &Difference, least: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if difference.merged != *least {
        warnings.extend(too_long("the merged document", document::length(&difference.merged)));
    }
    let kept_out = difference.checks.iter().find(|check| !check.trusts());
    warnings.extend(kept_out.map(|check| {
        format!(
            "added statements do not help {} on cluster {}: {}; that statement has to be changed",
            check.service_account,
            check.cluster_arn.name(),
            check.reason
        )
    }));
    warnings
}

/// What there is to say of what goes on to a role.
pub(super) fn warnings(role: &RoleArn, hops: &BTreeSet<Hop>) -> Vec<String> {
    let sources: BTreeSet<&str> = hops.iter().map(|hop| hop.role.as_str()).collect();
    let mut warnings = vec![format!(
        "that is one half: a policy of {} has to allow sts:AssumeRole and sts:TagSession on {role}, which is not looked at",
        Vec::from_iter(sources).join(", ")
    )];
    let untagged = hops.iter().filter(|hop| !hop.session_tags).map(|hop| hop.name.as_str());
    let untagged: BTreeSet<&str> = untagged.collect();
    if !untagged.is_empty() {
        warnings.push(format!(
            "{} has disableSessionTags, so that only sts:ExternalId tells it, which names the cluster: ask again as soon as another cluster is registered",
            Vec::from_iter(untagged).join(", ")
        ));
    }
    warnings
}

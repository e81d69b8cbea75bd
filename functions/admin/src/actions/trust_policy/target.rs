//! The trust policy of a role that is only a target role.

use std::collections::BTreeSet;

use pod_identity_core::{DominoName, RoleArn};
use serde_json::json;

use super::document::{self, Check, MAX_CHARACTERS, check_hops};
use super::words::{proof, too_long};
use crate::actions::target::{Hop, statements};
use crate::answer::Answer;

/// What is told of it. `present` is its trust policy now: none when there is no such role, an error
/// when nobody can say.
pub(super) fn answer(
    role: &RoleArn,
    hops: &BTreeSet<Hop>,
    present: &Result<Option<String>, String>,
) -> Answer {
    let least = document::document(&statements(hops, &BTreeSet::new()));
    let checks = check_hops(&least.to_string(), hops);
    let names: BTreeSet<&DominoName> = hops.iter().map(|hop| &hop.name).collect();
    let now = present.as_ref().ok().and_then(Option::as_ref).map(|now| check_hops(now, hops));
    let mut text = headline(role, names.len(), present, now.as_deref());
    text += &format!("\nThe least that it needs as a target role:\n\n{least:#}\n\n");
    text += &proof("It", &checks);
    let length = document::length(&least);
    text += &format!("{length} of {MAX_CHARACTERS} characters that IAM admits by default.\n");
    let mut warnings = warnings(role, hops);
    warnings.extend(too_long("the document", length));
    for warning in &warnings {
        text += &format!("! {warning}\n");
    }
    Answer::of(text)
        .with("role", json!(role))
        .with("serviceAccounts", json!(names))
        .with("document", least)
        .with("length", json!(length))
        .with("checks", json!(checks))
        .with("now", json!(now))
        .with("warnings", json!(warnings))
}

fn headline(
    role: &RoleArn,
    names: usize,
    present: &Result<Option<String>, String>,
    now: Option<&[Check]>,
) -> String {
    let missed = || now.into_iter().flatten().filter(|check| !check.trusts());
    match (present, missed().next()) {
        (Err(why), _) => format!("What trust policy {role} has now is not known: {why}\n"),
        (Ok(None), _) => format!("{role} does not exist: have it made with this trust policy.\n"),
        (Ok(Some(_)), None) => {
            format!("{role} already trusts all {names} bindings that go on to it.\n")
        }
        (Ok(Some(_)), Some(first)) => {
            let lacks: BTreeSet<&DominoName> = missed().map(|one| &one.service_account).collect();
            format!(
                "{role} does not surely trust {} of {names} bindings that go on to it, such as {} on {}: {}\n",
                lacks.len(),
                first.service_account,
                first.cluster_arn.name(),
                first.because
            )
        }
    }
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

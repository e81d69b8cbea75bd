//! What is told of a trust policy.

use std::collections::BTreeSet;

use pod_identity_core::{DominoName, RoleArn};
use serde_json::{Value, json};

use super::document::{self, Check, Difference, MAX_CHARACTERS, Needs};
use super::target;
use crate::answer::Answer;
use pod_identity_engine::Error;

/// What there is to say.
pub(super) struct Rendered<'a> {
    pub(super) role: &'a RoleArn,
    pub(super) needs: &'a Needs,
    /// Its trust policy now: none when there is no such role, an error when that is not known.
    pub(super) present: Result<Option<String>, Error>,
}

impl Rendered<'_> {
    pub(super) fn answer(&self) -> Answer {
        let least = document::document(&self.needs.statements(&BTreeSet::new()));
        let checks = self.needs.check(&least.to_string());
        let compared = self.present.as_ref().ok().and_then(Option::as_ref);
        let compared = compared.map(|present| document::compare(present, self.needs));
        let warnings = self.warnings(&least, compared.as_ref());
        let mut text = self.headline(compared.as_ref());
        text +=
            &format!("\nThe least that it needs, on any cluster of the account:\n\n{least:#}\n\n");
        text += &proof("It", &checks);
        let length = document::length(&least);
        text += &format!("{length} of {MAX_CHARACTERS} characters that IAM admits by default.\n");
        if let Some(Ok(difference)) = &compared {
            text += &beside(difference);
        }
        for warning in &warnings {
            text += &format!("! {warning}\n");
        }
        let names = self.needs.names();
        let difference = compared.and_then(Result::ok);
        Answer::of(text)
            .with("role", json!(self.role))
            .with("serviceAccounts", json!(names))
            .with("document", least)
            .with("length", json!(length))
            .with("checks", json!(checks))
            .with("now", json!(difference.as_ref().map(|it| &it.now)))
            .with("missing", json!(difference.as_ref().map(|it| &it.missing)))
            .with("lost", json!(difference.as_ref().map(|it| &it.lost)))
            .with("merged", json!(difference.as_ref().map(|it| &it.merged)))
            .with("mergedChecks", json!(difference.as_ref().map(|it| &it.checks)))
            .with("warnings", json!(warnings))
    }

    /// How the role is now.
    fn headline(&self, compared: Option<&Result<Difference, Error>>) -> String {
        let role = self.role;
        match (&self.present, compared) {
            (Err(why), _) => format!("What trust policy {role} has now is not known: {why}\n"),
            (Ok(None), _) => {
                format!("{role} does not exist: have it made with this trust policy.\n")
            }
            (Ok(Some(_)), Some(Err(why))) => {
                format!("The trust policy of {role} is not understood: {why}\n")
            }
            (Ok(Some(_)), Some(Ok(difference))) => {
                let lacks = difference.now.iter().filter(|check| !check.trusts());
                let lacks: BTreeSet<&str> =
                    lacks.map(|check| check.service_account.as_str()).collect();
                if lacks.is_empty() {
                    format!(
                        "{role} already trusts all {} bindings that name it.\n",
                        self.needs.names().len()
                    )
                } else {
                    format!(
                        "{role} does not surely trust {} of {} bindings that name it: {}\n",
                        lacks.len(),
                        self.needs.names().len(),
                        Vec::from_iter(lacks).join(", ")
                    )
                }
            }
            (Ok(Some(_)), None) => String::new(),
        }
    }

    fn warnings(&self, least: &Value, compared: Option<&Result<Difference, Error>>) -> Vec<String> {
        let mut warnings = Vec::new();
        let untagged: BTreeSet<&str> = self
            .needs
            .users
            .iter()
            .filter(|user| !user.session_tags)
            .map(|user| user.name.as_str())
            .collect();
        if !untagged.is_empty() {
            let names = Vec::from_iter(untagged).join(", ");
            warnings.push(format!(
                "{names} has disableSessionTags: EKS then sends nothing of the pod, so the statement admits any Kubernetes service account of the account's clusters for which somebody makes an association with this role; only iam:PassRole on the role limits who can"
            ));
        }
        warnings.extend(too_long("the document", document::length(least)));
        if let Some(Ok(difference)) = compared {
            if difference.merged != *least {
                let length = document::length(&difference.merged);
                warnings.extend(too_long("the merged document", length));
            }
            if difference.open {
                warnings.push(
                    "what the role has now lets any Kubernetes service account of the account's clusters work as it: put the document in its place to narrow it".to_owned(),
                );
            }
            if let Some(check) = difference.checks.iter().find(|check| !check.trusts()) {
                warnings.push(format!(
                    "added statements do not help {} on cluster {}: {}; that statement has to be changed",
                    check.service_account,
                    check.cluster_arn.name(),
                    check.reason
                ));
            }
        }
        let hops = &self.needs.hops;
        if !hops.is_empty() {
            let names: BTreeSet<&str> = hops.iter().map(|hop| hop.name.as_str()).collect();
            warnings.push(format!(
                "it is a target role as well, to which {} go on: the document has the statements for that",
                Vec::from_iter(names).join(", ")
            ));
            warnings.extend(target::warnings(self.role, hops));
        }
        warnings
    }
}

/// What there is to say of a document that is too long.
pub(super) fn too_long(what: &str, length: usize) -> Option<String> {
    (length > MAX_CHARACTERS).then(|| {
        format!(
            "{what} has {length} characters, and IAM takes {MAX_CHARACTERS} by default: have the quota for trust policies raised (4,096 at most), or use several roles"
        )
    })
}

/// Whether the evaluator agrees.
pub(super) fn proof(what: &str, checks: &[Check]) -> String {
    match checks.iter().find(|check| !check.trusts()) {
        None => {
            let clusters: BTreeSet<&str> =
                checks.iter().map(|check| check.cluster_arn.name()).collect();
            let names: BTreeSet<&DominoName> =
                checks.iter().map(|check| &check.service_account).collect();
            format!(
                "{what} was evaluated: it trusts {} bindings on {}.\n",
                names.len(),
                Vec::from_iter(clusters).join(", ")
            )
        }
        Some(check) => format!(
            "{what} was evaluated and does NOT trust {} on {}: {}\n",
            check.service_account,
            check.cluster_arn.name(),
            check.reason
        ),
    }
}

/// What is there now, beside it.
pub(super) fn beside(difference: &Difference) -> String {
    let list = |statements: &[Value]| {
        statements.iter().map(|one| format!("  {one}\n")).collect::<String>()
    };
    let mut text = String::new();
    if difference.missing.is_empty() {
        text += "\nNothing is missing in what the role has now.\n";
    } else {
        text += &format!(
            "\nStatements to add to what the role has now:\n{}",
            list(&difference.missing)
        );
        text += &format!("\nBoth together, nothing lost:\n\n{:#}\n\n", difference.merged);
        text += &proof("Together it", &difference.checks);
    }
    if !difference.lost.is_empty() {
        text += &format!(
            "\nPut in the place of what the role has now, the document above takes these statements away:\n{}",
            list(&difference.lost)
        );
    }
    text
}

//! The plan as people read it.

use std::fmt;

use super::step::{AssociationStep, Plan, PolicyStep};
use crate::RoleArn;

fn names<'a>(roles: impl IntoIterator<Item = &'a RoleArn>) -> String {
    roles.into_iter().map(short).collect::<Vec<_>>().join(", ")
}

/// `role/PATH/NAME`: the account is in the plan's first line.
fn short(role: &RoleArn) -> &str {
    short_text(role.as_str())
}

fn short_text(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = &self.cluster;
        writeln!(f, "cluster {} ({}, {})", cluster.name(), cluster.region(), cluster.account())?;
        for step in &self.policy_steps {
            writeln!(f, "  {step}")?;
        }
        for place in &self.places {
            let kubernetes = &place.kubernetes;
            match (&place.step, &place.bound) {
                (Some(AssociationStep::CreateAssociation { desired, .. }), Some(bound)) => {
                    let name = &bound.service_account;
                    writeln!(
                        f,
                        "  + association {kubernetes} -> {} for {name}",
                        short(&desired.role)
                    )?;
                }
                (
                    Some(AssociationStep::UpdateAssociation {
                        id, from_role, changes, adopts, ..
                    }),
                    Some(bound),
                ) => {
                    let (from, to) = (short_text(from_role), short(&bound.desired.role));
                    let name = &bound.service_account;
                    write!(f, "  ~ association {kubernetes} ({id}): ")?;
                    if from != to {
                        write!(f, "{from} -> ")?;
                    }
                    write!(f, "{to} for {name}")?;
                    if *adopts {
                        write!(f, ", adopted")?;
                    }
                    let others: Vec<&str> =
                        changes.iter().copied().filter(|change| *change != "role").collect();
                    match others.as_slice() {
                        [] => writeln!(f)?,
                        others => writeln!(f, ", {} changed", others.join(" and "))?,
                    }
                }
                (Some(AssociationStep::DeleteAssociation { id, role, .. }), _) => {
                    writeln!(f, "  - association {kubernetes} ({id}) -> {}", short_text(role))?;
                }
                (_, Some(bound)) => {
                    let (name, role) = (&bound.service_account, short(&bound.desired.role));
                    writeln!(f, "  = association {kubernetes} -> {role} for {name}")?;
                }
                (_, None) => {}
            }
            if let Some(kept) = &place.kept {
                writeln!(f, "  . kept: {kept}")?;
            }
            for blocked in &place.blocked {
                let name = &blocked.service_account;
                writeln!(f, "  ! {name} blocked: {}", blocked.problem)?;
            }
            for warning in place.bound.iter().flat_map(|bound| &bound.warnings) {
                writeln!(f, "  ! {warning}")?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "  ! {warning}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PolicyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatePolicy { policy, added, .. } => {
                write!(f, "+ policy {} lists {}", policy.name(), names(added))
            }
            Self::RewritePolicy { policy, added, removed, .. } => {
                let policy = policy.name();
                match (added.is_empty(), removed.is_empty()) {
                    (true, true) => write!(f, "~ policy {policy} is written as usual"),
                    (false, true) => write!(f, "~ policy {policy} lists {} as well", names(added)),
                    (true, false) => {
                        write!(f, "- policy {policy} lists {} no longer", names(removed))
                    }
                    (false, false) => write!(
                        f,
                        "~ policy {policy} lists {} as well and {} no longer",
                        names(added),
                        names(removed)
                    ),
                }
            }
            Self::DeletePolicy { policy, removed, .. } if removed.is_empty() => {
                write!(f, "- policy {}", policy.name())
            }
            Self::DeletePolicy { policy, removed, .. } => {
                write!(f, "- policy {}, which lists {}", policy.name(), names(removed))
            }
            Self::AttachPolicy { policy, node_role, .. } => {
                write!(f, "+ policy {} attached to {}", policy.name(), short(node_role))
            }
        }
    }
}

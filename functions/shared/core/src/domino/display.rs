//! The plan as people read it.

use std::fmt;

use super::mapping::{Mapping, entries};
use super::step::{AccountDeletion, Plan};

impl Mapping {
    /// The change of our Mutation in words; nothing when there is none.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        if self.change().is_none() {
            return Vec::new();
        }
        let sign = if self.before.is_some() { '~' } else { '+' };
        let mut lines = vec![format!("{sign} Mutation {}/{}", self.namespace(), self.name())];
        let before = self.before.as_ref().map(entries).unwrap_or_default();
        for (name, place) in &self.entries {
            let to = place.service_account();
            match before.get(name.as_str()) {
                None => lines.push(format!("+ mapping {name} -> {to}")),
                Some(was) if *was != to => lines.push(format!("~ mapping {name}: {was} -> {to}")),
                Some(_) => {}
            }
        }
        let here = |name: &str| self.entries.keys().any(|one| one.as_str() == name);
        let gone = before.iter().filter(|(name, _)| !here(name));
        lines.extend(gone.map(|(name, was)| format!("- mapping {name} -> {was}")));
        lines
    }
}

impl fmt::Display for AccountDeletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "- service account {}", self.kubernetes)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = &self.cluster;
        writeln!(f, "cluster {} ({}, {})", cluster.name(), cluster.region(), cluster.account())?;
        for step in self.steps() {
            writeln!(f, "  {step}")?;
        }
        for (name, problem) in &self.blocked {
            writeln!(f, "  ! {name} blocked: {problem}")?;
        }
        for (place, role) in &self.annotated {
            writeln!(f, "  ! service account {place} is annotated with role {role} (IRSA)")?;
        }
        for kept in &self.kept {
            writeln!(f, "  . {kept}")?;
        }
        for failure in &self.failures {
            writeln!(f, "  ! {failure}")?;
        }
        Ok(())
    }
}

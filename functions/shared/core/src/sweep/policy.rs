//! What is done about which pods, as a compact text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Case, CaseError, Finding};

/// What is done about a stale pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It is reported and left alone.
    Report,
    /// It is evicted if a controller starts it again, and reported otherwise.
    Restart,
    /// It is evicted, whoever owns it.
    Evict,
}

impl Action {
    const ALL: [Self; 3] = [Self::Report, Self::Restart, Self::Evict];

    fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Restart => "restart",
            Self::Evict => "evict",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text is not a policy. States the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A rule has another form.
    #[error(
        "`{0}` is not a rule for stale pods, `CASE[:WORKLOAD-TYPE]=report|restart|evict`, with `*` for every case or type"
    )]
    Form(String),
    /// A rule names no case.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// Two rules are for the same pods.
    #[error("`{0}` is ruled on twice: give each case and workload type one rule")]
    Twice(String),
}

/// What is done about which pods. Reads from rules with commas between them:
///
/// ```text
/// revoked=evict,changed:Batch=report,*:Workspace=report
/// ```
///
/// A rule is `CASE=ACTION` or `CASE:WORKLOAD-TYPE=ACTION`; the type is the value of the pod's
/// label, as it is written there; `*` stands for every case or for every type, also for none.
/// White space around names is passed over, and a text without rules means the defaults.
///
/// A rule that names both case and type wins over one that names either, and that over one that
/// names neither. Of `changed=evict` and `*:Workspace=report`, which name one each, the one that
/// does less wins. What no rule fits is done by default: `revoked=evict`, `changed=restart`,
/// `recreated=restart`, `*=report`.
///
/// What is excluded is reported, whatever a rule says. No rule makes an eviction of a finding that carries a doubt, such as a removal that the
/// ledger does not remember.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    rules: BTreeMap<(Option<Case>, Option<String>), Action>,
}

impl Policy {
    /// What is to be done about a case of a workload type, whatever its doubt.
    #[must_use]
    pub fn action(&self, case: Case, workload_type: Option<&str>) -> Action {
        // What opted out would do so again.
        if case == Case::Excluded {
            return Action::Report;
        }
        let rule =
            |case, kind: Option<&str>| self.rules.get(&(case, kind.map(str::to_owned))).copied();
        let typed = |case| workload_type.and_then(|kind| rule(case, Some(kind)));
        let either = rule(Some(case), None).into_iter().chain(typed(None)).min();
        typed(Some(case)).or(either).or_else(|| rule(None, None)).unwrap_or(match case {
            Case::Revoked => Action::Evict,
            Case::Changed | Case::Recreated => Action::Restart,
            Case::Excluded | Case::Shadowed | Case::Missing | Case::Unmapped => Action::Report,
        })
    }

    pub(super) fn of(&self, finding: &Finding) -> Action {
        self.action(finding.case, finding.workload_type.as_deref())
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut rules = BTreeMap::new();
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let form = || PolicyError::Form(rule.to_owned());
            let (pods, action) = rule.split_once('=').ok_or_else(form)?;
            let mut actions = Action::ALL.into_iter();
            let action = actions.find(|one| one.as_str() == action.trim()).ok_or_else(form)?;
            let (case, kind) = pods.split_once(':').unwrap_or((pods, "*"));
            let case = match case.trim() {
                "*" => None,
                name => Some(name.parse()?),
            };
            let kind = match kind.trim() {
                "" => return Err(form()),
                "*" => None,
                kind => Some(kind.to_owned()),
            };
            if rules.insert((case, kind), action).is_some() {
                return Err(PolicyError::Twice(pods.trim().to_owned()));
            }
        }
        Ok(Self { rules })
    }
}

//! Whether a role's trust policy lets EKS Pod Identity assume the role for a
//! Kubernetes service account.
//!
//! The answer is three-valued: what cannot be known before the call is made is
//! *unknown*, never guessed.

mod condition;
mod context;
mod document;
mod operator;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::OnceCell;

use pod_identity_events::{Trust, TrustVerdict};
use serde_json::{Value, json};

use crate::malformed::Malformed;
use crate::{ClusterArn, ServiceAccountRef};
use document::{Statement, StatementEffect, StsAction};

/// The service principal that assumes roles for pods.
pub const POD_IDENTITY_PRINCIPAL: &str = "pods.eks.amazonaws.com";

/// For whom, and how, EKS would assume the role.
#[derive(Debug, Clone, Copy)]
pub struct TrustQuestion<'a> {
    /// The cluster whose pods want the role.
    pub cluster: &'a ClusterArn,
    /// Their Kubernetes service account.
    pub kubernetes: &'a ServiceAccountRef,
    /// Whether EKS adds its session tags, which needs `sts:TagSession` as well.
    pub session_tags: bool,
}

/// Yes, no, or what makes it unknowable.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tri {
    Yes,
    No(Cow<'static, str>),
    Unknown(Cow<'static, str>),
}

impl Tri {
    /// Both must hold. The first `No` decides, then the first `Unknown`.
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No(_) => self,
            Self::Yes => other(),
            Self::Unknown(_) => match other() {
                no @ Self::No(_) => no,
                _ => self,
            },
        }
    }
}

/// A trust policy that was read once, for any number of questions.
#[derive(Debug, Clone)]
pub struct TrustPolicy(Result<Vec<Statement>, Malformed>);

impl TrustPolicy {
    /// Reads a JSON document. One that cannot be read answers every question with *unknown*.
    #[must_use]
    pub fn read(document: &str) -> Self {
        Self(document::parse(document))
    }

    /// Whether it lets EKS assume the role.
    #[must_use]
    pub fn evaluate(&self, question: TrustQuestion<'_>) -> Trust {
        let statements = match &self.0 {
            Ok(statements) => statements,
            Err(problem) => {
                return Trust {
                    verdict: TrustVerdict::Unknown,
                    reason: format!("the trust policy cannot be read: {problem}"),
                };
            }
        };
        let asked: Vec<StatementQuestion> = statements
            .iter()
            .map(|statement| StatementQuestion::new(statement, question))
            .collect();
        if let Some(reason) = denied(&asked, question) {
            return Trust { verdict: TrustVerdict::Untrusted, reason };
        }
        let mut grants: Vec<(&Statement, Vec<&str>)> = Vec::new();
        let mut unknown = None;
        for action in needed_actions(question) {
            match evaluate_action(&asked, *action) {
                Ok(by) => match grants.iter_mut().find(|(one, _)| std::ptr::eq(*one, by)) {
                    Some((_, actions)) => actions.push(action.name()),
                    None => grants.push((by, vec![action.name()])),
                },
                Err(trust) if trust.verdict == TrustVerdict::Untrusted => return trust,
                Err(trust) => unknown = unknown.or(Some(trust)),
            }
        }
        let trusted = || Trust { verdict: TrustVerdict::Trusted, reason: granted(&grants) };
        unknown.unwrap_or_else(trusted)
    }

    /// Whether a `Deny` might decide, which nobody can say before the call is made.
    #[must_use]
    pub fn may_be_denied(&self, question: TrustQuestion<'_>) -> bool {
        let denies = |statement: &&Statement| statement.effect == StatementEffect::Deny;
        let unknown = |statement: &Statement| {
            let asked = StatementQuestion::new(statement, question);
            let mut actions = needed_actions(question).iter();
            actions.any(|action| matches!(asked.applies(*action), Tri::Unknown(_)))
        };
        self.0.as_deref().is_ok_and(|all| all.iter().filter(denies).any(unknown))
    }

    /// Whether a `Deny` decides, against which no further statement helps.
    #[must_use]
    pub fn is_denied(&self, question: TrustQuestion<'_>) -> bool {
        self.0.as_deref().is_ok_and(|statements| {
            let asked: Vec<StatementQuestion> = statements
                .iter()
                .map(|statement| StatementQuestion::new(statement, question))
                .collect();
            denied(&asked, question).is_some()
        })
    }
}

/// Evaluates a trust policy, a JSON document, for one question.
#[must_use]
pub fn evaluate(document: &str, question: TrustQuestion<'_>) -> Trust {
    TrustPolicy::read(document).evaluate(question)
}

/// Whether a `Deny` of a trust policy, a JSON document, decides.
#[must_use]
pub fn is_denied(document: &str, question: TrustQuestion<'_>) -> bool {
    TrustPolicy::read(document).is_denied(question)
}

/// The first `Deny` that applies for sure.
fn denied(statements: &[StatementQuestion<'_>], question: TrustQuestion<'_>) -> Option<String> {
    let denies =
        || statements.iter().filter(|asked| asked.statement.effect == StatementEffect::Deny);
    needed_actions(question).iter().find_map(|action| {
        let deny = denies().find(|deny| deny.applies(*action) == Tri::Yes)?;
        let (label, action) = (&deny.statement.label, action.name());
        Some(format!("{label} denies {action} to {POD_IDENTITY_PRINCIPAL}"))
    })
}

/// Which statement allows what, and under which conditions.
fn granted(grants: &[(&Statement, Vec<&str>)]) -> String {
    let words = grants.iter().map(|(by, actions)| {
        let conditions: Vec<String> =
            by.conditions.iter().map(|one| format!("{} on {}", one.operator, one.key)).collect();
        let under = if conditions.is_empty() { "" } else { ", if " };
        let (label, actions, conditions) =
            (&by.label, actions.join(" and "), conditions.join(" and "));
        format!("{label} allows {actions} to {POD_IDENTITY_PRINCIPAL}{under}{conditions}")
    });
    words.collect::<Vec<String>>().join("; ")
}

/// EKS assumes the role, and tags the session unless that is disabled.
fn needed_actions(question: TrustQuestion<'_>) -> &'static [StsAction] {
    if question.session_tags {
        &[StsAction::AssumeRole, StsAction::TagSession]
    } else {
        &[StsAction::AssumeRole]
    }
}

/// One action, when no `Deny` applies for sure: the statement that allows it, or what
/// comes of it otherwise.
fn evaluate_action<'a>(
    statements: &[StatementQuestion<'a>],
    action: StsAction,
) -> Result<&'a Statement, Trust> {
    let name = action.name();
    let verdict = |verdict, reason| Err(Trust { verdict, reason });
    let mut deny_unknown = None;
    let mut allowed_by = None;
    let mut allow_unknown = None;
    let mut nearest_miss = None;
    for asked in statements {
        let (statement, answer) = (asked.statement, asked.applies(action));
        match (statement.effect, answer) {
            (StatementEffect::Deny, Tri::Unknown(why)) => {
                deny_unknown =
                    deny_unknown.or(Some(format!("{} may deny {name}: {why}", statement.label)));
            }
            (StatementEffect::Deny, Tri::Yes | Tri::No(_)) => {}
            (StatementEffect::Allow, Tri::Yes) => {
                allowed_by = allowed_by.or(Some(statement));
            }
            (StatementEffect::Allow, Tri::Unknown(why)) => {
                allow_unknown =
                    allow_unknown.or(Some(format!("{} may allow {name}: {why}", statement.label)));
            }
            (StatementEffect::Allow, Tri::No(why)) => {
                // A statement for this very principal that fails elsewhere tells more than none.
                if statement.names_pod_identity {
                    nearest_miss = nearest_miss.or(Some(format!("{}: {why}", statement.label)));
                }
            }
        }
    }
    match (allowed_by, allow_unknown, deny_unknown) {
        (Some(_), _, Some(why)) | (None, Some(why), _) => verdict(TrustVerdict::Unknown, why),
        (Some(by), _, None) => Ok(by),
        (None, None, _) => {
            let miss = nearest_miss.map(|why| format!(" ({why})")).unwrap_or_default();
            verdict(
                TrustVerdict::Untrusted,
                format!("no statement allows {name} to {POD_IDENTITY_PRINCIPAL}{miss}"),
            )
        }
    }
}

/// A statement and one question. Its conditions are the same for every action.
struct StatementQuestion<'a> {
    statement: &'a Statement,
    question: TrustQuestion<'a>,
    conditions: OnceCell<Tri>,
}

impl<'a> StatementQuestion<'a> {
    fn new(statement: &'a Statement, question: TrustQuestion<'a>) -> Self {
        Self { statement, question, conditions: OnceCell::new() }
    }

    fn applies(&self, action: StsAction) -> Tri {
        let Self { statement, question, conditions } = self;
        let holds = || condition::holds(&statement.conditions, *question);
        statement.covers(action).clone().and(|| conditions.get_or_init(holds).clone())
    }
}

/// The statement that a role's owner has to add so that exactly this service
/// account can work as the role, on every cluster of the account.
///
/// Conditions stand on namespace and service account, which survive the move
/// to another cluster, unlike cluster names and ARNs. Without session tags no
/// condition on them can hold, so only the account is asked for.
#[must_use]
pub fn required_policy(question: TrustQuestion<'_>) -> Value {
    let account = question.cluster.account();
    let actions: Vec<_> = needed_actions(question).iter().map(|action| action.name()).collect();
    let condition = if question.session_tags {
        json!({ "StringEquals": {
            "aws:SourceAccount": account,
            "aws:RequestTag/kubernetes-namespace": question.kubernetes.namespace(),
            "aws:RequestTag/kubernetes-service-account": question.kubernetes.service_account(),
        }})
    } else {
        json!({ "StringEquals": { "aws:SourceAccount": account } })
    };
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "AllowEksAuthToAssumeRoleForPodIdentity",
            "Effect": "Allow",
            "Principal": { "Service": POD_IDENTITY_PRINCIPAL },
            "Action": actions,
            "Condition": condition,
        }]
    })
}

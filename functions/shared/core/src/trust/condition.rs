//! Conditions of a statement.

use super::context::{Sent, sent};
use super::document::PolicyCondition;
use super::operator::{Operator, OperatorComparison, Set, Why, all, any, null};
use super::{Tri, TrustQuestion};

/// All conditions of a statement must hold.
pub(super) fn holds(conditions: &[PolicyCondition], question: TrustQuestion<'_>) -> Tri {
    conditions.iter().fold(Tri::Yes, |answer, condition| {
        answer.and(|| {
            let sent = match &condition.folded {
                Some(key) => sent(key, question),
                None => Sent::Unknown,
            };
            let PolicyCondition { operator, key, .. } = condition;
            match outcome(condition, sent) {
                Ok(true) => Tri::Yes,
                Ok(false) => Tri::No(
                    format!("condition {operator} on {key} {}", refusal(condition, sent)).into(),
                ),
                Err(why) => Tri::Unknown(format!("condition {operator} on {key} {why}").into()),
            }
        })
    })
}

fn outcome(condition: &PolicyCondition, sent: Sent<'_>) -> Result<bool, Why> {
    let operator = condition.meaning.ok_or("is not evaluated")?;
    if condition.values.is_empty() {
        return Err("has no values");
    }
    let holds = match (operator, sent) {
        (_, Sent::Unknown) => return Err("cannot be known beforehand"),
        (Operator::Null, Sent::Absent) => null(true, &condition.values)?,
        (Operator::Null, _) => null(false, &condition.values)?,
        (Operator::Compare(comparison), _) => compare(comparison, condition, sent)?,
    };
    // AWS: a variable that cannot be resolved might make the whole statement invalid.
    // So nothing holds for sure beside one.
    if holds && condition.variables {
        return Err("uses a policy variable");
    }
    Ok(holds)
}

/// Values of one key are alternatives, and none of them may fit a negated operator.
fn compare(
    comparison: OperatorComparison,
    condition: &PolicyCondition,
    sent: Sent<'_>,
) -> Result<bool, Why> {
    let OperatorComparison { relation, negated, if_exists, set } = comparison;
    let one = |found: Option<&str>| {
        let fits =
            condition.values.iter().map(|value| relation.fits(found, value, condition.variables));
        Ok(any(fits)? != negated)
    };
    match (sent, set) {
        (Sent::Value(found), _) => one(Some(found)),
        (Sent::Hidden, _) => one(None),
        (Sent::Values(found), Set::All) => all(found.iter().map(|found| one(Some(found)))),
        (Sent::Values(found), Set::Any) => any(found.iter().map(|found| one(Some(found)))),
        (Sent::Values(_), Set::Single) => {
            Err("compares a list of values without ForAllValues or ForAnyValue")
        }
        (Sent::Absent, Set::Single) => Ok(negated || if_exists),
        (Sent::Absent, Set::All) => Ok(true),
        // One page says that IfExists holds for an absent key, another that ForAnyValue does not.
        (Sent::Absent, Set::Any) if if_exists => Err("is on a key that EKS does not send here"),
        (Sent::Absent, Set::Any) => Ok(false),
        (Sent::Unknown, _) => Err("cannot be known beforehand"),
    }
}

/// Why a condition does not hold; completes "condition X on Y ...".
fn refusal(condition: &PolicyCondition, sent: Sent<'_>) -> String {
    let negated = condition.operator.contains("Not");
    let wants = format!(
        "wants {}`{}`",
        if negated { "none of " } else { "" },
        condition.values.join("`, `")
    );
    match sent {
        Sent::Absent => "cannot hold, EKS does not send that key here".to_owned(),
        _ if condition.operator == "Null" => "wants it absent but EKS sends that key".to_owned(),
        Sent::Value(found) => format!("{wants} but EKS sends `{found}`"),
        Sent::Values(found) => format!("{wants} but EKS sends `{}`", found.join("`, `")),
        Sent::Hidden | Sent::Unknown => format!("{wants} but EKS sends some value"),
    }
}

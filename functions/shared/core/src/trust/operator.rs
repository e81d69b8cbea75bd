//! Condition operators.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use crate::pattern::glob;

/// What makes an outcome unknown; completes "condition X on Y ...".
pub(super) type Why = &'static str;

const VARIABLE: Why = "uses a policy variable";

#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    Null,
    Compare(OperatorComparison),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OperatorComparison {
    pub(super) relation: Relation,
    pub(super) negated: bool,
    pub(super) if_exists: bool,
    pub(super) set: Set,
}

/// What the operator's prefix says of the values in the request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Set {
    /// No prefix: there is one value.
    Single,
    All,
    Any,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Relation {
    Equals,
    EqualsIgnoringCase,
    Like,
    Arn,
    Bool,
}

impl Operator {
    /// None for operators of other types. IAM documents these spellings only, so
    /// another case is another operator.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name == "Null" {
            return Some(Self::Null);
        }
        let (set, name) = match name.split_once(':') {
            None => (Set::Single, name),
            Some(("ForAllValues", name)) => (Set::All, name),
            Some(("ForAnyValue", name)) => (Set::Any, name),
            Some(_) => return None,
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (relation, negated) = match name {
            "StringEquals" => (Relation::Equals, false),
            "StringNotEquals" => (Relation::Equals, true),
            "StringEqualsIgnoreCase" => (Relation::EqualsIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Relation::EqualsIgnoringCase, true),
            "StringLike" => (Relation::Like, false),
            "StringNotLike" => (Relation::Like, true),
            // AWS: ArnEquals and ArnLike behave identically.
            "ArnEquals" | "ArnLike" => (Relation::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Relation::Arn, true),
            "Bool" => (Relation::Bool, false),
            _ => return None,
        };
        Some(Self::Compare(OperatorComparison { relation, negated, if_exists, set }))
    }
}

impl Relation {
    /// Whether a value of the request fits one of the policy's values; `None` is a
    /// value that only the call shows.
    pub(super) fn fits(
        self,
        found: Option<&str>,
        wanted: &str,
        variables: bool,
    ) -> Result<bool, Why> {
        if variables && let Some((before, _)) = wanted.split_once("${") {
            return self.fits_variable(found, before);
        }
        let Some(found) = found else {
            let anything = !wanted.is_empty() && wanted.bytes().all(|byte| byte == b'*');
            return match self {
                Self::Like if anything => Ok(true),
                _ => Err("is on a value that only the call shows"),
            };
        };
        match self {
            Self::Equals => Ok(wanted == found),
            Self::EqualsIgnoringCase if wanted.is_ascii() => Ok(wanted.eq_ignore_ascii_case(found)),
            Self::EqualsIgnoringCase => Err("folds the case of letters that are not ASCII"),
            Self::Like => Ok(glob(wanted.as_bytes(), found.as_bytes(), b'?')),
            Self::Arn => fits_arn(found, wanted),
            Self::Bool => match (truth(found), truth(wanted)) {
                (Some(found), Some(wanted)) => Ok(found == wanted),
                _ => Err("is on something that is neither `true` nor `false`"),
            },
        }
    }

    /// Whatever the variable becomes, the text before it stays.
    fn fits_variable(self, found: Option<&str>, before: &str) -> Result<bool, Why> {
        let excluded = found.is_some_and(|found| match self {
            Self::Equals => !found.starts_with(before),
            Self::EqualsIgnoringCase => {
                let start = found.get(..before.len());
                before.is_ascii() && !start.is_some_and(|start| start.eq_ignore_ascii_case(before))
            }
            Self::Like => !glob(format!("{before}*").as_bytes(), found.as_bytes(), b'?'),
            Self::Arn | Self::Bool => false,
        });
        if excluded { Ok(false) } else { Err(VARIABLE) }
    }
}

fn truth(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// Each of the six parts of an ARN is compared by itself.
fn fits_arn(found: &str, wanted: &str) -> Result<bool, Why> {
    let is_arn = |text: &str| text.split(':').count() >= 6;
    if !is_arn(found) || !is_arn(wanted) {
        return Err("is on something that is not an ARN");
    }
    let mut pairs = found.splitn(6, ':').zip(wanted.splitn(6, ':'));
    Ok(pairs.all(|(found, wanted)| glob(wanted.as_bytes(), found.as_bytes(), b'?')))
}

/// `Null`: whether one of the values says what is: `true` for a key that is absent.
pub(super) fn null(absent: bool, values: &[String]) -> Result<bool, Why> {
    any(values.iter().map(|value| match truth(value) {
        Some(wanted) => Ok(wanted == absent),
        None => Err("has a value that is neither `true` nor `false`"),
    }))
}

/// Whether one holds. The first that does decides, then the first unknown.
pub(super) fn any(outcomes: impl Iterator<Item = Result<bool, Why>>) -> Result<bool, Why> {
    let mut doubt = None;
    for outcome in outcomes {
        match outcome {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(why) => doubt = doubt.or(Some(why)),
        }
    }
    doubt.map_or(Ok(false), Err)
}

/// Whether all hold. The first that does not decides, then the first unknown.
pub(super) fn all(outcomes: impl Iterator<Item = Result<bool, Why>>) -> Result<bool, Why> {
    Ok(!any(outcomes.map(|outcome| Ok(!outcome?)))?)
}

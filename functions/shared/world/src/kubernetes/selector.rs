//! Label selectors, in the words of a query and in those of an object.

use serde_json::Value;

/// What one label must be. All requirements of a selector must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    /// Holds for an absent label too.
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A label selector; the empty one fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Selector(Vec<Requirement>);

impl Selector {
    /// Reads `a=b,c in (d, e),!f`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |part: &str| format!("unable to parse requirement: \"{part}\" in \"{text}\"");
        let mut requirements = Vec::new();
        for part in split(text) {
            let part = part.trim();
            let list = |rest: &str| -> Option<Vec<String>> {
                let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
                Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
            };
            let requirement = if let Some((key, values)) = word(part, "notin") {
                Requirement::NotIn(key, list(values).ok_or_else(|| wrong(part))?)
            } else if let Some((key, values)) = word(part, "in") {
                Requirement::In(key, list(values).ok_or_else(|| wrong(part))?)
            } else if let Some((key, value)) = part.split_once("!=") {
                Requirement::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()])
            } else if let Some((key, value)) = part.split_once("==").or(part.split_once('=')) {
                Requirement::In(key.trim().to_owned(), vec![value.trim().to_owned()])
            } else if let Some(key) = part.strip_prefix('!') {
                Requirement::Absent(key.trim().to_owned())
            } else {
                Requirement::Exists(part.to_owned())
            };
            if !requirement.is_well_formed() {
                return Err(wrong(part));
            }
            requirements.push(requirement);
        }
        Ok(Self(requirements))
    }

    /// Reads `matchLabels` and `matchExpressions`; an absent selector fits nothing.
    pub(super) fn of_object(selector: &Value) -> Option<Self> {
        let selector = selector.as_object()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        let mut requirements: Vec<Requirement> = labels
            .into_iter()
            .flatten()
            .map(|(key, value)| Requirement::In(key.clone(), vec![text(value)]))
            .collect();
        let expressions = selector.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            let key = text(&expression["key"]);
            let values = expression["values"].as_array();
            let values = values.into_iter().flatten().map(text).collect();
            requirements.push(match expression["operator"].as_str()? {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::Absent(key),
                _ => return None,
            });
        }
        Some(Self(requirements))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn fits(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                labels[key].as_str().is_some_and(|label| values.iter().any(|one| one == label))
            }
            Requirement::NotIn(key, values) => {
                !labels[key].as_str().is_some_and(|label| values.iter().any(|one| one == label))
            }
            Requirement::Exists(key) => labels[key].is_string(),
            Requirement::Absent(key) => !labels[key].is_string(),
        })
    }
}

impl Requirement {
    fn is_well_formed(&self) -> bool {
        let (key, values) = match self {
            Self::In(key, values) | Self::NotIn(key, values) => (key, values.as_slice()),
            Self::Exists(key) | Self::Absent(key) => (key, &[][..]),
        };
        let plain = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        };
        let fits = |value: &String| plain(value) && !value.contains('/') && value.len() <= 63;
        !key.is_empty() && plain(key) && values.iter().all(fits)
    }
}

/// Parts at commas that stand in no parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[from..index]);
                from = index + 1;
            }
            _ => {}
        }
    }
    if !text.trim().is_empty() {
        parts.push(&text[from..]);
    }
    parts
}

/// Key and values around an operator that is a word.
fn word<'a>(part: &'a str, operator: &str) -> Option<(String, &'a str)> {
    let (key, rest) = part.split_once(char::is_whitespace)?;
    let values = rest.trim_start().strip_prefix(operator)?;
    values.trim_start().starts_with('(').then(|| (key.to_owned(), values))
}

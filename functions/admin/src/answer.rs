//! What an administrator is told.

use pod_identity_core::plain;
use pod_identity_engine::ledger::LedgerError;
use pod_identity_engine::{Error, chain};
use serde_json::{Map, Value, json};

use crate::request::{Action, Mode, Request, help};

/// Longest answer: Lambda takes 6 MB from a function, and adds a little.
pub(crate) const MOST_BYTES: usize = 5_500_000;
/// Most characters of the words of one that is longer: each may take several bytes.
const MOST_CHARS: usize = 500_000;
/// Longest payload that is handed back: a longer one is a file, and whoever asked has it.
const MOST_ECHO: usize = 4_096;

/// An answer: words that a person can read in the console, and the same as data.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Tables and plan lines.
    pub(crate) text: String,
    data: Map<String, Value>,
}

impl Answer {
    pub(crate) fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), data: Map::new() }
    }

    /// Adds data beside the text.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.data.insert(name.to_owned(), value);
        self
    }

    /// Hands over the payload that does what this plan shows, ready to be sent. `pins` are what only
    /// the plan knew. The last thing that is said.
    pub(crate) fn applied_by(mut self, request: &Request, pins: &[(&str, Value)]) -> Self {
        if request.mode == Mode::Apply {
            return self;
        }
        let pins: Map<String, Value> =
            pins.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let payload = request.to_apply(pins.clone());
        let shown = payload.to_string();
        if shown.len() <= MOST_ECHO {
            self.text += &format!("\nTo have this done, invoke again with:\n{shown}\n");
            return self.with("apply", payload);
        }
        let mut added = pins;
        added.insert("mode".to_owned(), json!("apply"));
        let added: Vec<String> =
            added.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        self.text += &format!(
            "\nTo have this done, invoke again with the same payload and {}.\n",
            added.join(", ")
        );
        self
    }

    /// What Lambda hands to the caller.
    pub(crate) fn into_value(self, action: &str) -> Value {
        let mut answer = self.data;
        answer.insert("action".to_owned(), json!(action));
        answer.insert("ok".to_owned(), json!(true));
        answer.insert("text".to_owned(), json!(lines(&self.text)));
        // What was asked for is done by then.
        let rest = "its data is left out, and its words are cut. Ask for less; what was asked for with mode apply is done.";
        fitting(Value::Object(answer), &["action", "ok"], rest)
    }
}

/// Words as a terminal may show them, whatever others wrote into the ledger or into tags.
fn lines(text: &str) -> String {
    // A table as comma-separated values ends its lines with both.
    let line = |line: &str| match line.strip_suffix('\r') {
        Some(line) => plain(line) + "\r",
        None => plain(line),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// An answer that is longer than Lambda answers keeps some fields, and its words or the beginning of
/// them. `rest` says the outcome of the others.
fn fitting(answer: Value, kept: &[&str], rest: &str) -> Value {
    let bytes = answer.to_string().len();
    if bytes <= MOST_BYTES {
        return answer;
    }
    let text = answer["text"].as_str().unwrap_or_default();
    let mut text: String = text.chars().take(MOST_CHARS).collect();
    text += &format!("\n\nThis answer would have {bytes} bytes, more than Lambda answers: {rest}");
    let mut short: Map<String, Value> =
        kept.iter().map(|name| ((*name).to_owned(), answer[*name].clone())).collect();
    short.insert("cut".to_owned(), json!(true));
    short.insert("text".to_owned(), json!(text));
    Value::Object(short)
}

/// Why something was not answered or not done; names the object and the remediation.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    /// What Lambda hands to the caller. Whatever the reason, what the action takes is beside it.
    pub(crate) fn into_value(self, action: &Action) -> Value {
        let mut answer = help(&[action], lines(&self.0));
        answer["action"] = json!(action.name);
        let rest = "its words are cut. What is wrong, and what was done, is said where they begin. Ask for less.";
        fitting(answer, &["action", "ok", "actions"], rest)
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        Self(chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_lambda_would_not_take_keeps_its_words_and_says_so() {
        let short = Answer::of("fine").with("rows", json!([1])).into_value("export");
        assert_eq!((&short["rows"], &short["cut"]), (&json!([1]), &Value::Null));
        let rows = vec!["x".repeat(1_000); MOST_BYTES / 1_000];
        let long = Answer::of("ü".repeat(2 * MOST_CHARS)).with("rows", json!(rows));
        let long = long.into_value("export");
        assert_eq!(
            (&long["ok"], &long["cut"], &long["rows"]),
            (&json!(true), &json!(true), &Value::Null)
        );
        assert!(long.to_string().len() < MOST_BYTES);
        assert!(long["text"].as_str().unwrap_or_default().ends_with("mode apply is done."));
    }

    #[test]
    fn a_refusal_that_lambda_would_not_take_keeps_the_beginning_and_what_the_action_takes() {
        let action = &Action {
            name: "status",
            what: "what is there",
            fields: &[("name", "whose")],
            changes: false,
            example: "{}",
        };
        let short = Refusal("no".to_owned()).into_value(action);
        assert_eq!((&short["text"], &short["cut"]), (&json!("no"), &Value::Null));
        let long = Refusal("no".repeat(MOST_BYTES)).into_value(action);
        assert!(long.to_string().len() < MOST_BYTES, "{}", long.to_string().len());
        assert_eq!(
            (&long["ok"], &long["cut"], &long["action"]),
            (&json!(false), &json!(true), &json!(action.name))
        );
        assert_eq!(long["actions"], short["actions"]);
        let words = long["text"].as_str().unwrap_or_default();
        assert!(words.starts_with("nono") && words.ends_with("Ask for less."), "{}", words.len());
    }
}

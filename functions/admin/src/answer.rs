//! What an administrator is told.

use serde_json::{Map, Value, json};

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

    /// What Lambda hands to the caller.
    pub(crate) fn into_value(self, action: &str) -> Value {
        let mut answer = self.data;
        answer.insert("action".to_owned(), json!(action));
        answer.insert("ok".to_owned(), json!(true));
        answer.insert("text".to_owned(), json!(self.text));
        Value::Object(answer)
    }
}

/// Why something was not answered or not done; names the object and the way out.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    pub(crate) fn into_value(self, action: &str) -> Value {
        json!({ "action": action, "ok": false, "text": self.0 })
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self(text)
    }
}

//! What an administrator asks for.

use std::fmt::Display;

use pod_identity_core::{DuplicateKey, plain};
use pod_identity_engine::{AuditEntry, Error};
use pod_identity_events::MAX_REMARK_CHARS;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::answer::Refusal;

/// Something that can be asked for.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    /// What comes of it.
    pub(crate) what: &'static str,
    /// Its fields and what they mean, beside `action`.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// Whether it can change something: `mode`, `actor` and `reason` mean something to it.
    pub(crate) changes: bool,
    /// A payload, as JSON.
    pub(crate) example: &'static str,
}

/// Whether something is done, or only said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Mode {
    /// What would be done.
    #[default]
    Plan,
    /// Do it.
    Apply,
}

impl Mode {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }
}

/// A payload whose action is known.
pub(crate) struct Request {
    pub(crate) action: &'static Action,
    pub(crate) mode: Mode,
    /// Who asks, as the payload claims.
    pub(crate) actor: Option<String>,
    pub(crate) reason: Option<String>,
    /// Whether mode apply was asked of an action that only answers.
    pub(crate) idle: bool,
    fields: Map<String, Value>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("action", &self.action.name).finish_non_exhaustive()
    }
}

/// Reads a payload. One that is wrong is answered with what can be asked.
pub(crate) fn read(payload: &Value, actions: &'static [Action]) -> Result<Request, Value> {
    let Some(fields) = payload.as_object() else {
        return Err(unknown("a payload is a JSON object", actions));
    };
    let Some(name) = fields.get("action").and_then(Value::as_str) else {
        return Err(unknown("a payload has an `action`", actions));
    };
    let Some(action) = actions.iter().find(|action| action.name == name) else {
        return Err(unknown(&format!("there is no action `{name}`"), actions));
    };
    let mut fields = fields.clone();
    fields.remove("action");
    let (actor, reason) = (None, None);
    let mut request = Request { action, mode: Mode::Plan, actor, reason, idle: false, fields };
    request.common().map_err(|why| request.wrong(why).into_value(action))?;
    // Who edits one payload from action to action need not take the mode out for a question.
    if !action.changes {
        request.idle = request.mode == Mode::Apply;
        request.mode = Mode::Plan;
    }
    Ok(request)
}

impl Request {
    /// Takes out what every action may have.
    fn common(&mut self) -> Result<(), Error> {
        if let Some(mode) = self.fields.remove("mode") {
            self.mode = Mode::deserialize(&mode)
                .map_err(|_| format!("mode is `plan` or `apply`, not {mode}"))?;
        }
        let mut remark = |name: &str| match self.fields.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= MAX_REMARK_CHARS => {
                Ok(Some(plain(&text)))
            }
            Some(_) => Err(format!("{name} is a text of at most {MAX_REMARK_CHARS} characters")),
        };
        self.actor = remark("actor")?;
        self.reason = remark("reason")?;
        Ok(())
    }

    /// The fields of the action.
    pub(crate) fn fields<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        T::deserialize(Value::Object(self.fields.clone())).map_err(|error| self.wrong(error))
    }

    /// Refuses what the payload says, with what the action takes.
    pub(crate) fn wrong(&self, why: impl Display) -> Refusal {
        let action = self.action;
        let why = why.to_string();
        Refusal(format!("{}: {}\n\n{}", action.name, why.trim_end(), usage(action)))
    }

    /// What the history has of something that is no event, with who asks.
    pub(crate) fn act<'a>(&'a self, what: &'a str, change: Value) -> AuditEntry<'a> {
        AuditEntry { what, change, actor: self.actor.as_deref(), reason: self.reason.as_deref() }
    }

    /// The payload that asks for the same in mode apply, with some fields as a plan fixes them.
    pub(crate) fn to_apply(&self, pins: Map<String, Value>) -> Value {
        let mut payload = self.fields.clone();
        payload.extend(pins);
        payload.insert("action".to_owned(), json!(self.action.name));
        payload.insert("mode".to_owned(), json!(Mode::Apply.word()));
        for (name, value) in [("actor", &self.actor), ("reason", &self.reason)] {
            payload.extend(value.iter().map(|value| (name.to_owned(), json!(value))));
        }
        Value::Object(payload)
    }

    /// The fields as they came.
    pub(crate) fn as_given(&self) -> &Map<String, Value> {
        &self.fields
    }
}

/// What is answered to a payload that has a key twice: which of the two is meant is not known.
pub(crate) fn refused(key: &DuplicateKey) -> Value {
    json!({ "ok": false, "text": format!("{key}; send a payload that has it once\n") })
}

/// What is wrong with a payload whose action is not known, and all that can be asked.
fn unknown(why: &str, actions: &[Action]) -> Value {
    let mut text =
        format!("{why}\n\nAn invocation takes one JSON object with one of these actions:\n\n");
    for action in actions {
        text += &usage(action);
        text += "\n";
    }
    help(&actions.iter().collect::<Vec<_>>(), text)
}

/// What is wrong, and what can be asked: some actions with their fields and an example.
pub(crate) fn help(actions: &[&Action], text: String) -> Value {
    let actions: Vec<Value> = actions
        .iter()
        .map(|one| {
            let example: Value = serde_json::from_str(one.example).unwrap_or_default();
            let fields: Map<String, Value> =
                fields_of(one).map(|(name, what)| (name.to_owned(), json!(what))).collect();
            json!({ "action": one.name, "what": one.what, "fields": fields, "example": example })
        })
        .collect();
    json!({ "ok": false, "text": text, "actions": actions })
}

const COMMON: [(&str, &str); 3] = [
    ("mode", "`plan` (the default): says what would be done; `apply`: does it"),
    ("actor", "who asks; goes into the history as claimed"),
    ("reason", "why; goes into the history"),
];

fn fields_of(action: &Action) -> impl Iterator<Item = (&'static str, &'static str)> {
    let common = COMMON.iter().filter(|_| action.changes);
    action.fields.iter().chain(common).copied()
}

fn usage(action: &Action) -> String {
    let mut text = format!("{}: {}\n", action.name, action.what);
    for (name, what) in fields_of(action) {
        text += &format!("    {name}: {what}\n");
    }
    let example: Value = serde_json::from_str(action.example).unwrap_or_default();
    text + &format!("    example: {example}\n")
}

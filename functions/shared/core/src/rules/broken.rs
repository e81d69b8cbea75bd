//! The broken rules of one event.

use std::fmt;

/// Most lines of one refusal: it travels on the bus and lies in the ledger.
const MAX_LINES: usize = 20;

/// Most characters of one line.
const MAX_LINE_CHARS: usize = 1_000;

/// Collects broken rules.
#[derive(Debug, Default)]
pub(super) struct BrokenRules(Vec<String>);

impl BrokenRules {
    pub(super) fn only(line: &str) -> Self {
        Self(vec![line.to_owned()])
    }

    pub(super) fn rule(&mut self, line: impl Into<String>) {
        self.0.push(line.into());
    }

    /// The value, or a line that names the field and the rule.
    pub(super) fn keep<T, E: fmt::Display>(
        &mut self,
        field: &str,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.rule(format!("{field}: {error}"))).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn none(self) -> Result<(), Vec<String>> {
        if self.is_empty() { Ok(()) } else { Err(self.into_lines()) }
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        let more = self.0.len().saturating_sub(MAX_LINES);
        let mut lines: Vec<_> = self.0.iter().take(MAX_LINES).map(|line| one_line(line)).collect();
        if more > 0 {
            lines.push(format!("and {more} more broken rules"));
        }
        lines
    }
}

/// Values come from outside: control characters are escaped, and the middle of
/// a long line is left out, since the rule may stand at either end.
fn one_line(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for char in line.chars() {
        if char.is_control() {
            text.extend(char.escape_default());
        } else {
            text.push(char);
        }
    }
    let length = text.chars().count();
    if length <= MAX_LINE_CHARS {
        return text;
    }
    let half = MAX_LINE_CHARS / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(length - half).collect();
    format!("{head} [{} characters left out] {tail}", length - 2 * half)
}

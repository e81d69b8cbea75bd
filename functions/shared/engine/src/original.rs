//! How much of a refused or superseded event is kept.

use serde_json::Value;

/// Most bytes of an original's text in the ledger, whose items take 400 KB.
const MAX_TEXT_BYTES: usize = 100 * 1024;

/// Most bytes of an original as JSON on the bus. An entry takes 256 KiB at least,
/// and reasons and header need room as well. JSON grows by its escapes, up to
/// sixfold, and a number can become longer than it was written.
const MAX_JSON_BYTES: usize = 160 * 1024;

/// Deepest nesting of an original as JSON on the bus. Parsers have limits, often
/// 128, and ours must not be the event that a listener's parser refuses.
const MAX_DEPTH: usize = 64;

/// As much of the text as is kept; it begins with this.
pub(crate) fn kept(text: &str) -> &str {
    let mut bytes = 2;
    let end = text.char_indices().find(|(at, char)| {
        bytes += json_bytes(*char);
        at + char.len_utf8() > MAX_TEXT_BYTES || bytes > MAX_JSON_BYTES
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// How the bus is shown the original: as the JSON that it is, or else as its
/// text as far as that is kept.
pub(crate) fn shown(text: &str, parsed: Option<Value>) -> Value {
    let kept = kept(text);
    let fits =
        |value: &Value| depth(value) <= MAX_DEPTH && value.to_string().len() <= MAX_JSON_BYTES;
    parsed
        .filter(|value| kept.len() == text.len() && fits(value))
        .unwrap_or_else(|| Value::from(kept))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Bytes of a character in a JSON string, as `serde_json` writes it.
fn json_bytes(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => char.len_utf8(),
    }
}

//! Pages with opaque tokens.

use std::fmt::Write;

/// Cuts one page from entries in the order of their keys. The token holds the
/// last key of a page, so entries that come or go in between shift nothing.
/// Answers none for a token that no page gave out.
pub(crate) fn cut<T>(
    entries: impl Iterator<Item = (String, T)>,
    token: Option<&str>,
    size: usize,
) -> Option<(Vec<T>, Option<String>)> {
    let after = token.map(decode);
    if let Some(None) = after {
        return None;
    }
    let after = after.flatten();
    let mut rest = entries.filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let mut last = None;
    let mut items = Vec::new();
    for (key, item) in rest.by_ref().take(size.max(1)) {
        last = Some(key);
        items.push(item);
    }
    let next = rest.next().and(last).map(|key| encode(&key));
    Some((items, next))
}

pub(crate) fn encode(key: &str) -> String {
    let mut token = String::from("p");
    for byte in key.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(token, "{:02x}", byte ^ 0x5a);
    }
    token
}

pub(crate) fn decode(token: &str) -> Option<String> {
    let hex = token.strip_prefix('p')?;
    if !hex.is_ascii() || hex.len() % 2 != 0 {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok().map(|byte| byte ^ 0x5a))
        .collect();
    String::from_utf8(bytes?).ok()
}

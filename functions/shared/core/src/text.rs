//! Text of others, such as tags and what senders say of themselves.

/// Whether a character stands for itself in a line of text. Those that move the cursor, end the line,
/// turn the direction of the text or are not seen do not: a name with them passes for another, and a
/// log line for two.
#[must_use]
pub fn is_plain(one: char) -> bool {
    !one.is_control()
        && !matches!(
            one,
            '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fffe}'
                | '\u{ffff}'
        )
}

/// A text of others as one line in which every character stands for itself.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|one| if is_plain(one) { one } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_or_moves_the_cursor_is_replaced() {
        assert_eq!(plain("svc-é 中"), "svc-é 中");
        let hostile =
            "a\nb\rc\u{1b}[2Jd\u{202e}e\0f\u{9b}g\u{85}h\u{2028}i\u{feff}j\u{200b}k\u{7f}l\tm";
        let cleaned = plain(hostile);
        assert!(cleaned.chars().all(is_plain), "{cleaned:?}");
        assert_eq!(cleaned.matches('\u{fffd}').count(), 12);
    }
}

//! Times for people.

use jiff::Timestamp;

/// How long ago something was, in one word and a number.
pub(crate) fn age(now: Timestamp, at: Timestamp) -> String {
    let minutes = now.duration_since(at).as_secs().div_euclid(60);
    match minutes {
        ..1 => "just now".to_owned(),
        1..120 => format!("{minutes} min ago"),
        120..2_880 => format!("{} h ago", minutes / 60),
        2_880.. => format!("{} days ago", minutes / 1_440),
    }
}

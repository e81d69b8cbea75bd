//! Structured logs: one JSON object a line on standard output.

use std::fmt::Write as _;
use std::io::{self, Write};

use pod_identity_core::is_plain;
use tracing::level_filters::LevelFilter;

/// Starts logging, at the level that Lambda's logging configuration asks for.
pub fn start() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_max_level(level)
        .with_writer(|| Escaping(io::stdout()))
        .finish();
    // Two starts in one process: the first one's subscriber stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes JSON lines in which what JSON leaves as it is, but a terminal does not, is escaped: C1
/// controls, and characters that turn the direction of text or are not seen. Senders and taggers choose
/// some of the text.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The formatter writes whole lines.
        let Ok(line) = std::str::from_utf8(bytes) else { return self.0.write(bytes) };
        if line.chars().all(|one| one == '\n' || is_plain(one)) {
            return self.0.write(bytes);
        }
        let mut escaped = String::with_capacity(line.len());
        for one in line.chars() {
            match one {
                '\n' => escaped.push(one),
                _ if is_plain(one) => escaped.push(one),
                // Writing into a string cannot fail.
                _ => _ = write!(escaped, "\\u{:04x}", u32::from(one)),
            }
        }
        self.0.write_all(escaped.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn log_lines_are_the_same_json_without_what_a_terminal_would_act_on() {
        let said = "a\u{9b}2J\u{202e}b\u{85}\u{7f}\u{2028}é中";
        let line = format!("{}\n", json!({ "message": said }));
        let mut written = Vec::new();
        let length = Escaping(&mut written).write(line.as_bytes()).unwrap();
        let text = String::from_utf8(written).unwrap();
        assert_eq!(length, line.len());
        assert!(text.ends_with('\n') && text.trim_end().chars().all(pod_identity_core::is_plain));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["message"], said);
    }
}

//! Structured logs: one JSON object a line on standard output.

use std::fmt::Write as _;
use std::io::{self, Write};

use pod_identity_core::is_plain;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

/// Starts logging, at the level that Lambda's logging configuration asks for: DEBUG at the lowest, since
/// at TRACE libraries write requests with their credentials.
pub fn start() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    // Two starts in one process: the first one's subscriber stays.
    let _ = tracing::subscriber::set_global_default(subscriber(level, || Escaping(io::stdout())));
}

fn subscriber(
    level: LevelFilter,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::DEBUG))
        // The signer has session tokens in its hands.
        .with_target("aws_sigv4", level.min(LevelFilter::INFO))
        // It makes an error of each connection that fails, and does not say to which cluster: we do, once.
        .with_target("kube_client", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer);
    tracing_subscriber::registry().with(targets).with(lines)
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

    use std::fs::File;
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn no_level_brings_a_session_token_into_the_log() {
        let path = std::env::temp_dir().join(format!("log-{}.json", std::process::id()));
        let subscriber = subscriber(LevelFilter::TRACE, Arc::new(File::create(&path).unwrap()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "aws_sigv4::http_request::sign", "token of the signer");
            tracing::debug!(target: "aws_sigv4::http_request::sign", "token of the signer");
            tracing::trace!(target: "hyper::proto", "token of a library");
            tracing::debug!(target: "hyper::proto", "connected");
            tracing::error!(target: "kube_client::client::builder", "failed with error token");
            tracing::info!("applied");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!text.contains("token"), "{text}");
        assert!(text.contains("connected") && text.contains("applied"), "{text}");
    }

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

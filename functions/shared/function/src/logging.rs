//! Structured logs: one JSON object a line on standard output.

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
        .finish();
    // Two starts in one process: the first one's subscriber stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

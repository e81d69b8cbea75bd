//! The command line.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

use crate::child::FUNCTIONS;

/// The functions of domino-pod-identity on this machine, against an embedded AWS. Nothing here needs an AWS
/// account, and nothing leaves 127.0.0.1.
///
/// Without a command: starts the embedded AWS and the functions, sends the sample events to the association
/// function, prints the outcome of each, changes an association by hand and has the reconcile function correct
/// it. Exits with 1 when an outcome is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(bin_name = "cargo run --", disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What to do; the samples without one.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Also print the log lines of the functions, on standard error
    #[arg(long, global = true)]
    pub(crate) logs: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Keep it running, and print how to look at it with the AWS CLI or in a browser, and how to send an event;
    /// Ctrl-C ends it
    Serve {
        /// Port of 127.0.0.1; a free one without it
        #[arg(long, value_name = "N")]
        port: Option<u16>,
    },
    /// Invoke a function once and print its answer: on the `serve` that runs, or else on a fresh embedded AWS
    /// with the sample clusters registered
    Invoke {
        /// The function
        #[arg(value_parser = PossibleValuesParser::new(FUNCTIONS))]
        function: String,
        /// File with the JSON payload, or `-` for standard input: an EventBridge envelope or an SQS batch, for
        /// reconcile {"clusterArn": ...}, for admin {"action": "status"}
        file: PathBuf,
        /// URL of the `serve` to send to, such as http://127.0.0.1:4566
        #[arg(long, value_name = "URL", value_parser = http_url)]
        endpoint: Option<String>,
    },
}

fn http_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") {
        return Ok(text.to_owned());
    }
    Err("it is not an http:// URL".to_owned())
}

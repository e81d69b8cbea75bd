//! The command line.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::child::FUNCTIONS;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
The functions of domino-pod-identity on this machine, against an embedded AWS.
Nothing here needs an AWS account, and nothing leaves 127.0.0.1.

  cargo run
      Brings up the embedded AWS and the functions, feeds the sample events to
      the association function, prints what came of each of them, changes an
      association by hand and lets the reconcile function put it back. Exits
      with 1 when something else than expected happens.

  cargo run -- serve [--port N]
      Keeps it up, and prints how to look at it with the AWS CLI or in a
      browser, and how to send an event. Ctrl-C ends it.

  cargo run -- invoke FUNCTION FILE [--endpoint URL]
      Invokes a function, association, reconcile, workloads or admin, with the
      JSON in FILE (one EventBridge envelope, an SQS batch, for reconcile
      `{\"clusterArn\": ...}`, for admin `{\"action\": \"status\"}`) and prints its
      answer, the words of it for admin; `-` reads standard input. It goes to the
      `serve` that runs, if one does, or else to a fresh embedded AWS in which
      the sample clusters are registered.

Options
  --logs          also print the log lines of the function, on standard error
  --port N        port of `serve`; a free one without it
  --endpoint URL  which `serve` to send to, such as http://127.0.0.1:4566
  --help          this text
";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Feed the samples and print what came of them.
    Demo,
    /// Stay up on a port of 127.0.0.1, or on a free one.
    Serve {
        /// The port.
        port: Option<u16>,
    },
    /// Invoke a function once.
    Invoke {
        /// Name of the function.
        function: String,
        /// File with the payload; `-` for standard input.
        file: PathBuf,
        /// URL of a running `serve`.
        endpoint: Option<String>,
    },
    /// Print the help.
    Help,
}

/// The arguments, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// What to do.
    pub(crate) command: Command,
    /// Whether the function's log lines are printed as they come.
    pub(crate) logs: bool,
}

/// An argument that cannot be used. Says how it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; `cargo run -- --help` tells what can be given")]
pub(crate) struct UsageError(String);

fn wrong<T>(message: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(message.into()))
}

/// Reads the arguments, without the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Arguments, UsageError> {
    let mut words = Vec::new();
    let (mut logs, mut help) = (false, false);
    let (mut port, mut endpoint) = (None, None);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--logs" => logs = true,
            "--help" | "-h" | "help" => help = true,
            "--port" => {
                let text = arguments.next().unwrap_or_default();
                match text.parse::<u16>() {
                    Ok(number) => port = Some(number),
                    Err(_) => return wrong(format!("`--port {text}` is not a port, 0 to 65535")),
                }
            }
            "--endpoint" => match arguments.next() {
                Some(url) if url.starts_with("http://") => endpoint = Some(url),
                other => {
                    let text = other.unwrap_or_default();
                    return wrong(format!("`--endpoint {text}` is not an http:// URL"));
                }
            },
            option if option.starts_with("--") => {
                return wrong(format!("unknown option `{option}`"));
            }
            _ => words.push(argument),
        }
    }
    if help {
        return Ok(Arguments { command: Command::Help, logs });
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if port.is_some() && words.first() != Some(&"serve") {
        return wrong("`--port` belongs to `serve`");
    }
    if endpoint.is_some() && words.first() != Some(&"invoke") {
        return wrong("`--endpoint` belongs to `invoke`");
    }
    let command = match words.as_slice() {
        [] => Command::Demo,
        ["serve"] => Command::Serve { port },
        ["invoke", function, file] if FUNCTIONS.contains(function) => Command::Invoke {
            function: (*function).to_owned(),
            file: PathBuf::from(file),
            endpoint,
        },
        ["invoke", function] if FUNCTIONS.contains(function) => {
            return wrong(format!("`invoke {function}` needs a FILE"));
        }
        ["invoke"] => return wrong("`invoke` needs a function and a FILE"),
        ["invoke", function, ..] if !FUNCTIONS.contains(function) => {
            let known = FUNCTIONS.join("` and `");
            return wrong(format!("there is no function `{function}` here, only `{known}`"));
        }
        ["serve" | "invoke", .., last] => {
            return wrong(format!("`{last}` is one argument too many"));
        }
        [other, ..] => return wrong(format!("unknown command `{other}`")),
    };
    Ok(Arguments { command, logs })
}

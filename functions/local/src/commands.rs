//! What the command line starts.

mod demo;
mod invoke;
mod pods;
mod serve;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use jiff::Timestamp;
use serde_json::Value;

use crate::child::{Log, Program};
use crate::cli::{Arguments, Command};
use crate::function::Function;
use crate::runtime_api::InvocationResult;
use crate::scene::{self, SceneError};
use crate::stage::{Stage, Turn};
use crate::story::{self, Record};

/// Log lines of the function that a failure shows.
const LAST_LINES: usize = 20;

/// A command could not do its work.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("failed to bring up the embedded AWS")]
    Start(#[source] io::Error),
    #[error("failed to bring up the embedded AWS")]
    Scene(#[from] SceneError),
    #[error("failed to read the ledger")]
    Ledger(#[source] io::Error),
    #[error("{0}")]
    Input(String),
    #[error("failed to reach `serve` at {endpoint}")]
    Unreachable {
        endpoint: String,
        #[source]
        source: io::Error,
    },
    #[error("port {port} cannot be had; leave out `--port` to get a free one")]
    Port {
        port: u16,
        #[source]
        source: io::Error,
    },
}

/// Does what the program's arguments say.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CommandError::Start(error)),
    };
    match runtime.block_on(command(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

async fn command(Arguments { command, logs }: Arguments) -> Result<bool, CommandError> {
    let log = Log::new(logs);
    match command {
        None => demo::run(log).await,
        Some(Command::Serve { port }) => serve::run(port, log).await.map(|()| true),
        Some(Command::Invoke { function, file, endpoint }) => {
            invoke::run(&function, &file, endpoint, log).await
        }
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprint!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
    ExitCode::FAILURE
}

/// Prints text and ends the line. Whoever reads it may have gone (`| head`): that is no error.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// The scene, served, with the function ready to start.
async fn stage(log: Log) -> Result<Stage, CommandError> {
    let world = scene::world(Timestamp::now())?;
    let program = Program::myself("association").map_err(CommandError::Start)?;
    let mut settings = scene::settings();
    settings.insert("DOMINO_TOKEN_SECRET".to_owned(), scene::DOMINO_SECRET.to_owned());
    let stage = Stage::start(world, settings, program, log).await.map_err(CommandError::Start)?;
    if let Some(domino) = stage.domino() {
        domino.state().accounts = scene::service_accounts();
    }
    Ok(stage)
}

fn story() -> Result<Vec<Vec<Record>>, CommandError> {
    story::batches().map_err(CommandError::Input)
}

/// Sends a batch of samples and prints what comes of them; answers what
/// should not have happened.
async fn play(stage: &mut Stage, batch: &[Record]) -> Vec<String> {
    let dead = stage.queue().dead_letters().len();
    for record in batch {
        stage.send(record.json);
    }
    let turns = stage.drain().await;
    let mut problems: Vec<String> = turns.iter().filter_map(problem).collect();
    let letters = &stage.queue().dead_letters()[dead..];
    let lost =
        batch.iter().filter(|record| letters.iter().any(|letter| letter.body == record.json));
    let lost: Vec<String> =
        lost.map(|record| format!("sample `{}` is a dead letter", record.name)).collect();
    let report = story::report(batch, &stage.new_events());
    if lost.is_empty() {
        say(&report.lines.join("\n"));
        problems.extend(report.problems);
    }
    // The outcome of the others cannot be told when some were never processed.
    problems.extend(lost);
    problems.dedup();
    problems
}

/// Invokes a function; answers its answer, and what went wrong.
async fn invoke(function: &Function, payload: &Value) -> (Value, Option<String>) {
    match function.invoke(payload.to_string()).await {
        Ok(InvocationResult::Answer(answer)) => (answer, None),
        Ok(other) => (Value::Null, Some(failure(&other))),
        Err(error) => (Value::Null, Some(error.to_string())),
    }
}

/// Invokes a function; answers what it says, and what went wrong.
async fn ask(function: &Function, payload: &Value) -> (String, Option<String>) {
    let (answer, problem) = invoke(function, payload).await;
    let said = answer.get("text").and_then(Value::as_str);
    (said.map_or_else(|| answer.to_string(), str::to_owned), problem)
}

/// Why a turn did not go as it should.
fn problem(turn: &Turn) -> Option<String> {
    match &turn.result {
        Ok(InvocationResult::Answer(_)) if turn.failed.is_empty() => None,
        Ok(InvocationResult::Answer(_)) => {
            Some(format!("{} records came back to the queue", turn.failed.len()))
        }
        Ok(other) => Some(failure(other)),
        Err(error) => Some(error.to_string()),
    }
}

/// An end that is no answer, in words.
fn failure(result: &InvocationResult) -> String {
    match result {
        InvocationResult::Answer(answer) => format!("the function answered: {answer}"),
        InvocationResult::Error(error) => format!("the function failed: {error}"),
        InvocationResult::InitError(error) => format!("the function did not start: {error}"),
        InvocationResult::ChildDied(how) => format!("the function's process died: {how}"),
    }
}

/// The last lines that the function wrote, which often tell why.
fn last_words(stage: &Stage) -> String {
    let lines = stage.association().log().lines();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    if last.is_empty() {
        return "The function has written no log.".to_owned();
    }
    format!("Last lines of the function's log\n  {}", last.join("\n  "))
}

/// Registers the scene's clusters by the samples that do so; answers what
/// should not have happened.
async fn register(stage: &mut Stage) -> Result<Vec<String>, CommandError> {
    let registrations: Vec<Record> =
        story()?.into_iter().flatten().filter(Record::registers_a_cluster).collect();
    Ok(play(stage, &registrations).await)
}

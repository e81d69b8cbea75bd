//! A function as a child process.
//!
//! `lambda_runtime` takes its endpoint and the AWS SDK its settings from the
//! environment alone, and a process's own environment cannot be set safely
//! once threads run: so each function gets a process, with an environment
//! that holds nothing of the user's AWS set-up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::runtime_api::RuntimeApi;

/// The functions that this program can be.
pub(crate) const FUNCTIONS: [&str; 4] = ["association", "reconcile", "workloads", "admin"];

/// The argument that makes this program a function; its name follows.
pub const FUNCTION_ARGUMENT: &str = "--function";

/// Of the parent's environment a child keeps what the operating system or a
/// coverage run needs. `HOME` is not among it: it would lead to `~/.aws`.
const KEPT: [&str; 9] = [
    "PATH",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LLVM_PROFILE_FILE",
    "RUST_BACKTRACE",
];

/// The program that a child runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// An executable that calls [`child_main`], as one function.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>, function: &str) -> Self {
        Self { path: path.into(), arguments: vec![FUNCTION_ARGUMENT.into(), function.into()] }
    }

    /// The executable that runs now, as one function.
    ///
    /// # Errors
    /// When the operating system does not tell where it is.
    pub fn myself(function: &str) -> io::Result<Self> {
        Ok(Self::at(std::env::current_exe()?, function))
    }

    /// The same executable as another function.
    #[must_use]
    pub fn running(&self, function: &str) -> Self {
        Self::at(&self.path, function)
    }
}

/// What the children of a function wrote, line by line.
#[derive(Debug, Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    echo: bool,
}

impl Log {
    /// An empty log; with `echo` every line goes to standard error too.
    #[must_use]
    pub fn new(echo: bool) -> Self {
        Self { lines: Arc::default(), echo }
    }

    /// Everything written so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, line: String) {
        if self.echo {
            eprintln!("{line}");
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// A running child. Dropping it kills the process.
pub(crate) struct Child {
    pub(crate) process_id: u32,
    pub(crate) started: Instant,
    doomed: AtomicBool,
    kill: Arc<Notify>,
    watch: JoinHandle<()>,
}

impl Drop for Child {
    fn drop(&mut self) {
        // The watching task owns the process, which dies with it.
        self.watch.abort();
    }
}

impl Child {
    /// Starts a program with `environment` and nothing else (see `KEPT`), its
    /// output going to `log`, its end reported to `api`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn start(
        program: &Program,
        environment: &BTreeMap<String, String>,
        api: &RuntimeApi,
        log: &Log,
    ) -> io::Result<Self> {
        let kept = KEPT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let started = Instant::now();
        let mut process = Command::new(&program.path)
            .args(&program.arguments)
            .env_clear()
            .envs(kept)
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let process_id = process.id().unwrap_or_default();
        let stdout = follow(process.stdout.take(), log.clone());
        let stderr = follow(process.stderr.take(), log.clone());
        let kill = Arc::new(Notify::new());
        let killed = Arc::clone(&kill);
        let report = api.obituary();
        let watch = tokio::spawn(async move {
            tokio::select! {
                _ = process.wait() => {}
                () = killed.notified() => { let _ = process.start_kill(); }
            }
            let how = match process.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => format!("unknown end: {error}"),
            };
            // The last lines often say why: they come before the report.
            let _ = tokio::join!(stdout, stderr);
            report(how);
        });
        Ok(Self { process_id, started, doomed: AtomicBool::new(false), kill, watch })
    }

    /// Kills the process, as a crash would, without waiting for its end.
    pub(crate) fn kill(&self) {
        self.doomed.store(true, Ordering::Relaxed);
        self.kill.notify_one();
    }

    /// Whether the process has ended or is being killed.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        self.doomed.load(Ordering::Relaxed) || self.watch.is_finished()
    }
}

fn follow(output: Option<impl AsyncRead + Unpin + Send + 'static>, log: Log) -> JoinHandle<()> {
    tokio::spawn(async move {
        let Some(output) = output else { return };
        let mut lines = BufReader::new(output).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            log.push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}

/// Runs the function that the arguments name (`--function NAME`) until its
/// Runtime API goes away, which is an error for `lambda_runtime` and the
/// normal end here.
#[must_use]
pub fn child_main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let function = match (arguments.next().as_deref(), arguments.next()) {
        (Some(FUNCTION_ARGUMENT), Some(function)) if FUNCTIONS.contains(&function.as_str()) => {
            function
        }
        _ => {
            eprintln!("expected `{FUNCTION_ARGUMENT}` and one of {}", FUNCTIONS.join(", "));
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("failed to start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match function.as_str() {
            "reconcile" => reconcile::run().await,
            "workloads" => workloads::run().await,
            "admin" => admin::run().await,
            _ => association::run().await,
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

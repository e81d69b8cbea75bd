//! A Lambda function: its settings, and an execution environment when it needs one.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::child::{Child, Log, Program};
use crate::runtime_api::{InvocationResult, InvokeError, RuntimeApi};
use crate::wire::SECRET_ACCESS_KEY;

/// Time-out of a function here.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Memory that a function is told it has, in MiB.
const MEMORY_MIB: u32 = 256;

/// What a function is and gets.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Name of the function.
    pub name: String,
    /// AWS account that it is in.
    pub account: String,
    /// AWS region that it is in.
    pub region: String,
    /// URL of the AWS that it talks to.
    pub endpoint: String,
    /// The program.
    pub program: Program,
    /// Settings of its own, by variable.
    pub settings: BTreeMap<String, String>,
    /// Its time-out.
    pub timeout: Duration,
}

impl Configuration {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)
    }

    /// The access key that its calls to AWS carry, which tells them from
    /// all others'.
    #[must_use]
    pub fn access_key(&self) -> String {
        access_key(&self.name)
    }

    /// The variables that Lambda sets, and the function's own.
    fn environment(&self) -> BTreeMap<String, String> {
        let lambda = [
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MIB.to_string()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "local".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.access_key()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("TZ", ":UTC".to_owned()),
        ];
        let mut environment = self.settings.clone();
        environment.extend(lambda.map(|(name, value)| (name.to_owned(), value)));
        environment
    }
}

/// The access key of a function.
#[must_use]
pub(crate) fn access_key(function: &str) -> String {
    format!("LOCAL{}", function.to_ascii_uppercase())
}

struct Environment {
    api: RuntimeApi,
    child: Arc<Child>,
}

/// A child that waits for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Its process.
    pub process_id: u32,
    /// When it was started.
    pub started: Instant,
    /// Since when it waits for work.
    pub since: Instant,
}

/// A function has no result to show.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// Its process could not be started.
    #[error("failed to start function `{function}` as {program}")]
    Start {
        /// Name of the function.
        function: String,
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It gave no answer.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
}

/// A Lambda function with at most one execution environment: invocations wait
/// for each other. An environment is made when an invocation needs one and
/// is given up when its child ends, as Lambda does.
pub struct Function {
    configuration: Configuration,
    log: Log,
    environment: Mutex<Option<Environment>>,
    /// Beside the environment's lock, which an invocation holds to its end.
    child: SyncMutex<Option<Arc<Child>>>,
}

impl Function {
    /// Takes a configuration; starts nothing yet.
    #[must_use]
    pub fn new(configuration: Configuration, log: Log) -> Self {
        Self { configuration, log, environment: Mutex::default(), child: SyncMutex::default() }
    }

    /// What the function is and gets.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// What its children wrote.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Invokes the function with a payload and waits for the end.
    ///
    /// # Errors
    /// When its process cannot be started, or gives no answer in time; a
    /// child that did not answer is killed.
    pub async fn invoke(
        &self,
        payload: impl Into<Bytes>,
    ) -> Result<InvocationResult, FunctionError> {
        let mut slot = self.environment.lock().await;
        let environment = self.ensure(&mut slot).await?;
        let result = environment.api.invoke(payload.into(), self.configuration.timeout).await;
        if !matches!(result, Ok(InvocationResult::Answer(_) | InvocationResult::Error(_))) {
            *slot = None;
            *self.current() = None;
        }
        Ok(result?)
    }

    /// Starts the function's process unless it runs, and waits until it asks for work.
    ///
    /// # Errors
    /// When it cannot be started or does not ask in time.
    pub async fn ready(&self) -> Result<Ready, FunctionError> {
        let mut slot = self.environment.lock().await;
        let Environment { api, child } = self.ensure(&mut slot).await?;
        let since = api.idle().await.ok_or_else(|| InvokeError::NeverStarted {
            function: self.configuration.name.clone(),
        })?;
        Ok(Ready { process_id: child.process_id, started: child.started, since })
    }

    /// Kills the child, if there is one: what a crash looks like. It does not
    /// wait, so that it can be called while an invocation runs, which then
    /// ends with [`InvocationResult::ChildDied`].
    pub fn kill(&self) {
        if let Some(child) = self.current().as_ref() {
            child.kill();
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<Child>>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ensure<'a>(
        &self,
        slot: &'a mut Option<Environment>,
    ) -> Result<&'a Environment, FunctionError> {
        let running = slot.take().filter(|environment| !environment.child.has_ended());
        let environment = match running {
            Some(environment) => environment,
            None => self.start().await.map_err(|source| FunctionError::Start {
                function: self.configuration.name.clone(),
                program: self.configuration.program.path.display().to_string(),
                source,
            })?,
        };
        Ok(slot.insert(environment))
    }

    async fn start(&self) -> io::Result<Environment> {
        let configuration = &self.configuration;
        let api = RuntimeApi::start(&configuration.name, &configuration.arn()).await?;
        let environment = configuration.environment();
        let child = Child::start(&configuration.program, &environment, &api, &self.log)?;
        let child = Arc::new(child);
        *self.current() = Some(Arc::clone(&child));
        Ok(Environment { api, child })
    }
}

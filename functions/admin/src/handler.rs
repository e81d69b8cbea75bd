//! Parses an invocation, asks the action, answers.

use std::time::{Duration, SystemTime};

use pod_identity_core::Json;
use pod_identity_engine::ports::{Clock, KubernetesReader, Reads};
use pod_identity_engine::{Cloud, InsideSettings, Run, Settings};
use serde_json::Value;

use crate::actions::{self, ACTIONS, Other};
use crate::answer::{Answer, Refusal};
use crate::context::{AdminContext, AdminWriter, Deployment, OVER};
use crate::request::{self, Mode, Request};
use crate::widget;

/// What Lambda tells of an invocation beside its payload.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// The ARN that the function was invoked by.
    pub arn: &'a str,
    /// When Lambda ends it.
    pub deadline: SystemTime,
}

/// What the caller of an action has to know of the function that goes on with it.
fn caveat(deployment: &Deployment<'_>, action: &str) -> Option<&'static str> {
    match actions::goes_on(action)? {
            Other::Reconcile => deployment.reconcile_plans.then_some(
                "! Reconcile runs in plan mode (ReconcileMode=plan): it only logs what it would do, until that is set to apply.\n",
            ),
            Other::Workloads => deployment.workloads_plans.then_some(
                "! The workloads function runs in plan mode (WorkloadsMode=plan): it evicts nobody and only logs what it would do, until that is set to apply.\n",
            ),
        }
}

/// The function and everything that it works with.
pub struct Function<'a> {
    /// Reads AWS and the ledger.
    pub reader: &'a dyn Reads,
    /// Reads the clusters' Kubernetes APIs.
    pub kubernetes: &'a dyn KubernetesReader,
    /// Makes what writes the ledger and puts requests on the bus: only asked for when something is
    /// to be done. None where the function is deployed to be read only.
    pub writer: Option<&'a dyn Fn() -> Box<dyn AdminWriter>>,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Settings of the deployment.
    pub settings: &'a Settings,
    /// Settings of what is done inside clusters.
    pub inside: &'a InsideSettings,
    /// What is set of the others.
    pub deployment: Deployment<'a>,
    /// No step starts that might end later than this before the deadline.
    pub deadline_margin: Duration,
}

/// What is answered where an answer does not come in time; none where something may be done, which
/// looks at the time itself and must not be torn off between two steps.
pub(crate) fn too_late(payload: &Value) -> Option<Value> {
    if let Some(widget_request) = widget::read(payload) {
        return Some(widget::too_late(widget_request));
    }
    let request =
        request::read(payload, ACTIONS).ok().filter(|request| request.mode == Mode::Plan)?;
    let action = request.action;
    Some(Refusal(format!("{}: {OVER}", action.name)).into_value(action))
}

impl std::fmt::Debug for Function<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("writes", &self.writer.is_some()).finish_non_exhaustive()
    }
}

impl Function<'_> {
    /// Answers one invocation, whatever was sent, until its deadline at the latest. A request that
    /// is wrong, or cannot be answered, is answered with why and the remediation: `ok` tells. A
    /// dashboard's widget gets HTML.
    pub async fn invoke(&self, payload: impl Into<Json>, invocation: Invocation<'_>) -> Value {
        let payload = match payload.into().unique() {
            Ok(payload) => payload,
            Err(key) => return request::refused(&key),
        };
        let deadline = pod_identity_function::deadline(invocation.deadline, self.deadline_margin);
        let run = Run::new(invocation.request_id, self.clock.now());
        let admin = AdminContext {
            cloud: Cloud::of(self.reader, self.clock, &run, self.settings, deadline),
            kubernetes: self.kubernetes,
            inside: self.inside,
            deployment: self.deployment,
        };
        if let Some(widget_request) = widget::read(&payload) {
            return widget::answer(admin, widget_request, invocation.arn).await;
        }
        let request = match request::read(&payload, ACTIONS) {
            Ok(request) => request,
            Err(help) => return help,
        };
        let action = request.action.name;
        match self.answer(admin, &request).await {
            Ok(mut answer) => {
                if request.mode == Mode::Apply {
                    answer.text += caveat(&self.deployment, action).unwrap_or_default();
                }
                if request.idle {
                    answer.text += &format!(
                        "\n{action} only answers: \"mode\": \"apply\" changes nothing here, and nothing was changed.\n"
                    );
                }
                tracing::info!(action, mode = ?request.mode, actor = request.actor, "answered");
                answer.into_value(action)
            }
            Err(refusal) => {
                tracing::warn!(action, mode = ?request.mode, why = refusal.0, "refused");
                refusal.into_value(request.action)
            }
        }
    }

    async fn answer(&self, admin: AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
        // Made here and nowhere else.
        let writer = match (request.mode, self.writer) {
            (Mode::Plan, _) => None,
            (Mode::Apply, Some(make)) => Some(make()),
            (Mode::Apply, None) => {
                return Err(Refusal(format!(
                    "{}: this deployment of the admin function only answers: invoke the one that may change things",
                    request.action.name
                )));
            }
        };
        actions::answer(admin, writer.as_deref(), request).await
    }
}

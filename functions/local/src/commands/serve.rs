//! `cargo run -- serve`: stays up, and delivers what is put on the bus.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_events::{Envelope, detail_type, source};
use serde_json::json;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::{CommandError, ask, problem, register, say, stage};
use crate::child::Log;
use crate::front::Front;
use crate::page::Page;
use crate::running::{self, Running};
use crate::scene::{EVENT_BUS, LEDGER_TABLE, REGION, cluster};
use crate::show;
use crate::stage::Stage;

/// How often the bus is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Runs until Ctrl-C or SIGTERM.
pub(super) async fn run(port: Option<u16>, log: Log) -> Result<(), CommandError> {
    let mut stage = stage(log).await?;
    let port = port.unwrap_or(0);
    let front = Front::start(port, stage.functions())
        .await
        .map_err(|source| CommandError::Port { port, source })?;
    for problem in register(&mut stage).await? {
        say(&format!("! {problem}"));
    }
    let stop = stop().map_err(CommandError::Start)?;
    tokio::pin!(stop);
    let endpoint = front.endpoint();
    say(&help(&endpoint));
    let page = Page::start(Arc::clone(stage.admin())).await.map_err(CommandError::Start)?;
    say(&format!("The page for administrators\n  {url}\n  {url}?theme=dark\n", url = page.url()));
    let blue = cluster("blue").ok();
    let text = blue.and_then(|blue| stage.wire().kubeconfig(&blue, "me")).unwrap_or_default();
    // Goes with this process.
    let running = running::place().and_then(|place| Running::leave(&place, &endpoint, &text));
    match &running {
        Ok(running) => say(&kubectl(&running.kubeconfig(), &text)),
        Err(error) => say(&format!(
            "! `invoke` needs `--endpoint {endpoint}`, and there is no kubeconfig: no folder for them can be made: {error}"
        )),
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = tick.tick() => deliver(&mut stage).await,
        }
    }
    say("\nEnded.");
    Ok(())
}

/// Comes when somebody asks this process to end. It listens from the call on,
/// so that nothing is missed while an event is delivered.
#[cfg(unix)]
fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// What the bus's rules and the queues do: our senders' events go to the
/// association function, requests for reconciliation to the reconcile
/// function, outcomes and requests for sweeps to the workloads function.
/// Everything is printed.
async fn deliver(stage: &mut Stage) {
    for event in stage.new_events() {
        if !is_for_the_function(&event) {
            if let (true, Ok(text)) = (is_for_workloads(&event), serde_json::to_string(&event)) {
                stage.send_to_workloads(text);
            }
            say(&show::outcome(&event).join("\n"));
            if event.detail_type == detail_type::RECONCILIATION_REQUESTED {
                let cluster = event.detail.get("clusterArn").cloned();
                let (said, problem) =
                    ask(stage.reconcile(), &json!({ "clusterArn": cluster })).await;
                say(&said);
                problem.iter().for_each(|problem| say(&format!("! {problem}")));
            }
            continue;
        }
        say(&show::heading(&event));
        match serde_json::to_string(&event) {
            Ok(text) => {
                stage.send(text);
            }
            Err(error) => say(&format!("! the event cannot be sent: {error}")),
        }
    }
    let mut turns = stage.drain().await;
    turns.extend(stage.workloads_turn().await);
    for problem in turns.iter().filter_map(problem) {
        say(&format!("! {problem}"));
    }
}

fn is_for_workloads(event: &Envelope) -> bool {
    let asks = [
        detail_type::ASSOCIATION_READY,
        detail_type::ASSOCIATION_REMOVED,
        detail_type::SWEEP_REQUESTED,
    ];
    asks.contains(&event.detail_type.as_str())
}

fn is_for_the_function(event: &Envelope) -> bool {
    event.source == source::AUTOMATION || event.source == source::ADMINISTRATION
}

fn help(endpoint: &str) -> String {
    let now = Timestamp::now();
    let at = now.strftime("%Y-%m-%dT%H:%M:%S.000Z");
    format!(
        "
AWS and the functions are at {endpoint}. In another terminal:

  export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={REGION} AWS_ACCESS_KEY_ID=me AWS_SECRET_ACCESS_KEY=local

Look
  aws eks list-pod-identity-associations --cluster-name blue
  aws iam list-attached-role-policies --role-name blue-eks-nodes
  aws dynamodb scan --table-name {LEDGER_TABLE}

Make a role, and change whom it trusts
  aws iam create-role --role-name new --path /domino/ --assume-role-policy-document file://trust.json
  aws iam update-assume-role-policy --role-name new --policy-document file://trust.json

Invoke the function with an event
  cargo run -- invoke association events/samples/accepted/04-assigned-minimal.json
  aws lambda invoke --function-name association --cli-binary-format raw-in-base64-out \\
    --payload file://events/samples/accepted/04-assigned-minimal.json /dev/stdout

Change an association by hand, and let the cluster be reconciled
  echo '{{\"clusterArn\":\"arn:aws:eks:{REGION}:111122223333:cluster/blue\"}}' | cargo run -- invoke reconcile -

Sweep the pods of a cluster
  echo '{{\"clusterArn\":\"arn:aws:eks:{REGION}:111122223333:cluster/blue\"}}' | cargo run -- invoke workloads -

Ask as an administrator
  echo '{{\"action\":\"status\"}}' | cargo run -- invoke admin -
  cargo run -- invoke admin events/samples/admin/domino.json

Put an event on the bus, which brings it to the function
  aws events put-events --entries '[{{\"EventBusName\":\"{EVENT_BUS}\",\"Source\":\"domino.automation\",\
\"DetailType\":\"Service Account Role Assigned\",\"Detail\":\"{{\\\"schemaVersion\\\":1,\\\"eventId\\\":\\\"svc-new-1\\\",\
\\\"occurredAt\\\":\\\"{at}\\\",\\\"serviceAccount\\\":\\\"svc-new\\\",\
\\\"roleArn\\\":\\\"arn:aws:iam::111122223333:role/domino/new\\\"}}\"}}]'

Ctrl-C ends it.
"
    )
}

/// How kubectl reaches blue; the file goes when `serve` ends.
fn kubectl(path: &Path, text: &str) -> String {
    format!(
        "The Kubernetes API of blue\n  kubectl --kubeconfig {} get pods\n\n{text}",
        path.display()
    )
}

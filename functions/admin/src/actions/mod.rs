//! What can be asked for, one module each.

mod adopt;
mod bind;
mod clusters;
mod domino;
mod explain;
mod export;
mod history;
mod import;
mod migrate;
mod notices;
mod resume;
mod retire;
mod rows;
pub(crate) mod status;
mod sweep;
mod target;
mod trust_policy;
mod who;

use crate::answer::{Answer, Refusal};
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Request};

/// Everything that can be asked for, in the order of the help.
pub(crate) const ACTIONS: &[Action] = &[
    status::ACTION,
    bind::BIND,
    bind::UNBIND,
    history::ACTION,
    clusters::ACTION,
    migrate::ACTION,
    retire::ACTION,
    adopt::ACTION,
    resume::ACTION,
    export::ACTION,
    import::ACTION,
    sweep::ACTION,
    explain::ACTION,
    who::ACTION,
    trust_policy::ACTION,
    domino::ACTION,
    notices::REJECTED,
    notices::SUPERSEDED,
];

/// Who carries out what an action has written down.
pub(crate) enum Other {
    Reconcile,
    Workloads,
}

/// Who goes on with what an action did; nobody where all is done by then.
pub(crate) fn goes_on(action: &str) -> Option<Other> {
    match action {
        "bind" | "unbind" | "clusters" | "migrate" | "retire" | "adopt" | "resume" | "import" => {
            Some(Other::Reconcile)
        }
        "sweep" => Some(Other::Workloads),
        _ => None,
    }
}

/// Answers a request, and does what it asks for if it is given something to write with.
pub(crate) async fn answer(
    desk: AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let desk = &desk;
    match request.action.name {
        "status" => status::answer(desk, request).await,
        "bind" => bind::bind(desk, writer, request).await,
        "unbind" => bind::unbind(desk, writer, request).await,
        "history" => history::answer(desk, request).await,
        "clusters" => clusters::answer(desk, writer, request).await,
        "migrate" => migrate::answer(desk, writer, request).await,
        "retire" => retire::answer(desk, writer, request).await,
        "adopt" => adopt::answer(desk, writer, request).await,
        "resume" => resume::answer(desk, writer, request).await,
        "export" => export::answer(desk, request).await,
        "import" => import::answer(desk, writer, request).await,
        "sweep" => sweep::answer(desk, writer, request).await,
        "explain" => explain::answer(desk, request).await,
        "who" => who::answer(desk, request).await,
        "trust-policy" => trust_policy::answer(desk, request).await,
        "domino" => domino::answer(desk, request).await,
        "rejected" | "superseded" => notices::answer(desk, request).await,
        other => Err(Refusal(format!("there is no action `{other}`"))),
    }
}

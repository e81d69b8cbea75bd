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
    admin: AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let admin = &admin;
    match request.action.name {
        "status" => status::answer(admin, request).await,
        "bind" => bind::bind(admin, writer, request).await,
        "unbind" => bind::unbind(admin, writer, request).await,
        "history" => history::answer(admin, request).await,
        "clusters" => clusters::answer(admin, writer, request).await,
        "migrate" => migrate::answer(admin, writer, request).await,
        "retire" => retire::answer(admin, writer, request).await,
        "adopt" => adopt::answer(admin, writer, request).await,
        "resume" => resume::answer(admin, writer, request).await,
        "export" => export::answer(admin, request).await,
        "import" => import::answer(admin, writer, request).await,
        "sweep" => sweep::answer(admin, writer, request).await,
        "explain" => explain::answer(admin, request).await,
        "who" => who::answer(admin, request).await,
        "trust-policy" => trust_policy::answer(admin, request).await,
        "domino" => domino::answer(admin, request).await,
        "rejected" | "superseded" => notices::answer(admin, request).await,
        other => Err(Refusal(format!("there is no action `{other}`"))),
    }
}

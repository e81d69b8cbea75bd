//! Associations that others made become bindings of the ledger, as they are.

mod candidate;
mod claims;
mod doubles;

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use pod_identity_core::ClusterArn;
use pod_identity_engine::ledger::View;
use pod_identity_engine::{
    Adoption, DryRunLedger, Error, Reconciled, Scope, permit_adoption, request_clusters,
};
use serde::Deserialize;
use serde_json::{Value, json};

use self::candidate::{AcceptedAdoption, AdoptContext, AdoptDecision, Candidate};
use self::claims::Claims;
use crate::answer::{Answer, Refusal};
use crate::associations;
use crate::change::{ChangeRequest, judge, note, preview_scope, preview_words, undone};
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Mode, Request};
use crate::table::Table;

/// What the history calls the word that a binding may take an association over.
const PERMITTED: &str = "Association Adoption Permitted";

/// Most rows in a refusal.
const ROWS: usize = 200;

pub(super) const ACTION: Action = Action {
    name: "adopt",
    what: "takes associations that this deployment did not make into the ledger as they are; never those of add-ons",
    fields: &[
        ("cluster", "name or ARN"),
        (
            "associations",
            "a list of { namespace, serviceAccount (Kubernetes), as (name of the Domino service account) }, or",
        ),
        (
            "all",
            "true: every foreign one, named by its Kubernetes service account without what SERVICE_ACCOUNT_NAME adds, or",
        ),
        (
            "orphans",
            "true: every association with this deployment's tag that the ledger does not account for, as after a restore, for the service account that its tag names",
        ),
        (
            "plan",
            "with mode apply: the digest that the plan told; what has changed since is not adopted",
        ),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/adopt.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdoptParams {
    cluster: String,
    #[serde(default)]
    associations: Vec<NamedAssociation>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    orphans: bool,
    plan: Option<String>,
}

/// An association, and for whom it is from now on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NamedAssociation {
    namespace: String,
    service_account: String,
    #[serde(rename = "as")]
    name: String,
}

pub(super) async fn answer(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let params: AdoptParams = request.fields()?;
    let ways = [params.all, params.orphans, !params.associations.is_empty()];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        return Err(request.wrong(
            "say which associations: `\"associations\": [{\"namespace\": ..., \"serviceAccount\": ..., \"as\": ...}]`, or `\"all\": true`, or `\"orphans\": true`; one of the three",
        ));
    }
    let registry = admin.registry().await?;
    let cluster = admin.named(&registry, &params.cluster)?;
    let Some(record) = registry.clusters.get(&cluster).filter(|one| one.retired.is_none()) else {
        return Err(Refusal(format!(
            "adopt: cluster {cluster} is not registered, or its retirement was asked for; register it first (action clusters). What keeps a retirement from its end is deleted by hand"
        )));
    };
    let bindings = admin.bindings().await?;
    let others = associations::unknown(admin, &registry, &cluster, &bindings).await?;
    let claims = Claims::of(&bindings, record);
    let mut view = View::default();
    view.read(admin.ledger, &claims.keys()).await?;
    let known = AdoptContext {
        bindings: &bindings,
        others: &others,
        record,
        claims: claims.held_by(&view)?,
        deployment: &admin.settings.plan.deployment,
        template: &admin.settings.rules.service_account_template,
    };
    let mut candidates = match (params.all, params.orphans) {
        (true, _) => known.all(),
        (_, true) => known.orphans(),
        _ => known.named(&params.associations),
    };
    for candidate in &mut candidates {
        candidate.hold_to(|change_request| judge(admin, request, change_request));
    }
    let digest = candidate::digest(&cluster, &candidates);
    if let Some(why) = unplanned(request.mode, params.plan.as_deref(), &digest) {
        return Err(Refusal(format!(
            "adopt: {why}, so nothing was done. As it is now:\n\n{}\nPlan again (mode plan), and send the `apply` that its answer tells.\n",
            beginning(&candidates, "would be")
        )));
    }
    let unasked = match writer {
        Some(writer) => carry_out(admin, writer, request, &cluster, &mut candidates).await?,
        None => {
            let dry_run = DryRunLedger::of(admin.ledger);
            let ahead = admin.over(&dry_run);
            carry_out(&ahead, &dry_run, request, &cluster, &mut candidates).await?;
            let places: BTreeSet<_> =
                candidates.iter().filter_map(Candidate::accepted).map(|one| one.place).collect();
            if !places.is_empty() {
                let scope = Scope { places, ..Scope::of(cluster.clone()) };
                let preview = preview_scope(&ahead, &scope).await?;
                let plan = preview_words(&cluster, &preview);
                let ahead = Some((&preview, plan.as_str()));
                let mut answer = render(request, &cluster, &candidates, ahead, None);
                // What was thought through is less than what was asked for, for want of time.
                if candidate::digest(&cluster, &candidates) != digest {
                    answer.text += "\nThis is not all that was asked for, so there is nothing to apply yet: name fewer associations, or raise the function's time-out, and plan again.\n";
                    return Ok(answer);
                }
                let plan = json!(digest);
                return Ok(answer
                    .with("plan", plan.clone())
                    .applied_by(request, &[("plan", plan)]));
            }
            None
        }
    };
    let answer = render(request, &cluster, &candidates, None, unasked);
    Ok(answer.with("plan", json!(digest)))
}

/// Why what there is now is not what was planned.
fn unplanned(mode: Mode, planned: Option<&str>, digest: &str) -> Option<String> {
    match (mode, planned) {
        (_, Some(planned)) if planned != digest => Some(format!(
            "what would be adopted is not what `plan` {planned} has shown: an association, its role or its binding changed since"
        )),
        (Mode::Apply, None) => {
            Some("mode apply adopts what a plan has shown, and `plan` is not given".to_owned())
        }
        _ => None,
    }
}

/// Binds what is accepted, lets each binding take its association over, and asks reconcile for it;
/// answers why that could not be asked for.
async fn carry_out(
    admin: &AdminContext<'_>,
    writer: &dyn AdminWriter,
    request: &Request,
    cluster: &ClusterArn,
    candidates: &mut [Candidate],
) -> Result<Option<String>, Error> {
    let (at, change_requests): (Vec<usize>, Vec<ChangeRequest>) = candidates
        .iter()
        .enumerate()
        .filter_map(|(at, one)| match &one.decision {
            AdoptDecision::Bind(change_request) => Some((at, (**change_request).clone())),
            _ => None,
        })
        .unzip();
    let mut clusters = BTreeSet::new();
    if !change_requests.is_empty() {
        let changed = note(admin, writer, request, &change_requests).await?;
        clusters.extend(changed.clusters);
        for (at, result) in at.into_iter().zip(changed.results) {
            match result {
                Err(reasons) => candidates[at].refuse(reasons.join("; ")),
                Ok(report) => {
                    if let Some(why) = undone(&report) {
                        candidates[at].refuse(why);
                    }
                }
            }
        }
    }
    let permits: Vec<(usize, AcceptedAdoption, Value)> = candidates
        .iter()
        .enumerate()
        .filter_map(|(at, one)| Some((at, one.accepted()?, one.change(cluster))))
        .collect();
    clusters.extend(permits.first().map(|_| cluster.clone()));
    let permit = |(at, AcceptedAdoption { name, id, .. }, change): (
        usize,
        AcceptedAdoption,
        Value,
    )| async move {
        let act = request.act(PERMITTED, change);
        let word = Adoption { name: &name, cluster, association_id: &id, act };
        let permitted = async {
            admin.check_deadline()?;
            permit_adoption(admin.context, writer, &word).await
        };
        (at, permitted.await)
    };
    let permitted: Vec<(usize, Result<(), Error>)> =
        stream::iter(permits).map(permit).buffered(admin.settings.concurrency).collect().await;
    for (at, result) in permitted {
        if let Err(why) = result {
            candidates[at].refuse(format!("it is bound, and may not take it over yet: {why}"));
        }
    }
    // The last of all: a reconciliation that ran before the permission would not take it over.
    let why = "an administrator let bindings adopt associations";
    let unasked = request_clusters(admin.context, writer, &clusters, why).await;
    let first = unasked.into_iter().next();
    Ok(first.map(|(cluster, why)| format!("cluster {}: {why}", cluster.name())))
}

fn table(all: &[Candidate], would: &str) -> Table {
    let mut table = Table::new(&["kubernetes", "association", "as", "what"]);
    for one in all {
        table.row([
            one.place.clone(),
            one.association.as_ref().map(|one| one.id.clone()).unwrap_or_default(),
            one.name.clone(),
            one.words(would),
        ]);
    }
    table
}

/// The first rows, for words that have no data beside them.
fn beginning(all: &[Candidate], would: &str) -> String {
    let (shown, behind) = all.split_at(all.len().min(ROWS));
    let more = match behind.len() {
        0 => String::new(),
        more => format!("and {more} more, which the plan tells\n"),
    };
    format!("{}{more}", table(shown, would))
}

/// How many of those that are accepted a reconciliation would not take over.
fn kept_from(all: &[Candidate], preview: &Reconciled) -> usize {
    let accepted: Vec<AcceptedAdoption> = all.iter().filter_map(Candidate::accepted).collect();
    if preview.skipped.is_some() || preview.halted.is_some() {
        return accepted.len();
    }
    let places = preview.plans.iter().flat_map(|plan| &plan.places);
    let blocked: BTreeSet<_> = places
        .flat_map(|place| {
            let here = place.blocked.iter();
            here.map(|blocked| (&place.kubernetes, &blocked.service_account))
        })
        .collect();
    accepted.iter().filter(|one| blocked.contains(&(&one.place, &one.name))).count()
}

fn render(
    request: &Request,
    cluster: &ClusterArn,
    all: &[Candidate],
    ahead: Option<(&Reconciled, &str)>,
    unasked: Option<String>,
) -> Answer {
    let accepted = all.iter().filter(|one| one.accepted().is_some()).count();
    let kept = ahead.map_or(0, |(preview, _)| kept_from(all, preview));
    let (adopted, plan) = (accepted - kept, ahead.map_or("", |(_, plan)| plan));
    let is_plan = request.mode == Mode::Plan;
    let (would, is_done) = match is_plan {
        true => ("would be", " (mode is plan, nothing was done)"),
        false => ("is", ""),
    };
    let mut text = format!(
        "Cluster {}: {adopted} of {} associations {would} adopted{is_done}.\n",
        cluster.name(),
        all.len()
    );
    if kept > 0 {
        text += &format!(
            "{kept} more would be bound, and reconcile would leave their associations as they are: the plan below says what stands in the way.\n"
        );
    }
    if !all.is_empty() {
        text += &format!("\n{}", table(all, would));
    }
    if is_plan && !plan.is_empty() {
        text += &format!("\nWhat reconcile would do then:\n{plan}");
    }
    if !is_plan && accepted > 0 {
        let goes_on = unasked.map_or_else(
            || "reconcile was asked to take them over".to_owned(),
            |why| format!("that reconcile takes them over could not be asked for: {why}; the next scheduled one goes on"),
        );
        text += &format!("\nThe ledger has it; {goes_on}. How far it is: action status.\n");
    }
    let rows = all.iter().map(|one| {
        json!({
            "kubernetes": one.place,
            "associationId": one.association.as_ref().map(|one| &one.id),
            "serviceAccount": one.name,
            "accepted": one.accepted().is_some(),
            "words": one.words(would),
        })
    });
    Answer::of(text)
        .with("mode", json!(request.mode.word()))
        .with("clusterArn", json!(cluster))
        .with("accepted", json!(accepted))
        .with("adopted", json!(adopted))
        .with("associations", json!(rows.collect::<Vec<_>>()))
}

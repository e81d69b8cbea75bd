//! Parses an invocation, calls the engine, answers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use pod_identity_core::{ClusterArn, Json, Malformed, Pattern, RoleArn};
use pod_identity_engine::ports::{Clock, Reads, Writes};
use pod_identity_engine::{
    Cloud, Context, DominoCheck, DominoSource, Error, Reconciled, Retirement, Run, Scope, Settings,
    Writers, check_domino, note_reconciled, preview, reconcile, record_domino_check, request_again,
    request_all, request_rest,
};
use pod_identity_function::{Answers, NotFinished};
use serde_json::{Value, json};

use crate::domino;
use crate::request::{self, ReconcileRequest};

/// The function and everything that it works with.
pub struct Function<'a> {
    /// Reads AWS and the ledger.
    pub reader: &'a dyn Reads,
    /// Changes AWS and the ledger, and puts events on the bus; none in plan mode.
    pub writer: Option<&'a dyn Writes>,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Settings of the deployment.
    pub settings: &'a Settings,
    /// Roles whose EKS calls are this deployment's own.
    pub own_roles: &'a [Pattern],
    /// Domino as a source; none where it is not asked.
    pub domino: Option<DominoSource<'a>>,
    /// No step starts that might end later than this before the deadline.
    pub deadline_margin: Duration,
}

/// What came of an invocation.
#[derive(Debug)]
pub struct Invocation {
    /// What Lambda gets. An error makes it deliver a single event again.
    pub answer: Result<Value, NotFinished>,
    /// What was done, by cluster.
    pub clusters: BTreeMap<ClusterArn, Reconciled>,
    /// What Domino said, or why it did not; none where it was not asked.
    pub domino: Option<Result<DominoCheck, Error>>,
    /// How many records wait for what ends by itself.
    pub waiting: usize,
}

impl Function<'_> {
    /// Handles one invocation, whatever was sent, until `deadline` at the latest.
    pub async fn invoke(
        &self,
        payload: impl Into<Json>,
        request_id: &str,
        deadline: SystemTime,
    ) -> Invocation {
        let deadline = pod_identity_function::deadline(deadline, self.deadline_margin);
        let run = Run::new(request_id, self.clock.now());
        let payload = pod_identity_function::read(&payload.into());
        let mut clusters = BTreeMap::new();
        let mut domino = None;
        let mut answers = Answers::default();
        for record in payload.records() {
            let asked = request::read(&record.text, self.own_roles);
            let cluster = match &asked {
                Ok(ReconcileRequest::One { scope, .. }) => Some(scope.cluster.clone()),
                _ => None,
            };
            let said = self.handle(asked, &run, deadline, &mut clusters, &mut domino).await;
            answers.note(record, cluster.as_ref(), said);
        }
        let waiting = answers.waiting();
        let answer = answers.answer(&payload, |said| single_answer(&said, &clusters));
        Invocation { answer, clusters, domino, waiting }
    }

    /// What the engine is given to look.
    fn cloud<'b>(&'b self, run: &'b Run, deadline: Timestamp) -> Cloud<'b> {
        let Self { reader, clock, settings, .. } = *self;
        Cloud::of(reader, clock, run, settings, deadline)
    }

    /// What is no request will be none later either: it is answered, not delivered again.
    async fn handle(
        &self,
        asked: Result<ReconcileRequest, Malformed>,
        run: &Run,
        deadline: Timestamp,
        clusters: &mut BTreeMap<ClusterArn, Reconciled>,
        domino: &mut Option<Result<DominoCheck, Error>>,
    ) -> Result<String, Error> {
        match asked {
            Err(why) => Ok(format!("left alone: {why}")),
            Ok(ReconcileRequest::Nothing(why)) => Ok(format!("nothing to do: {why}")),
            Ok(ReconcileRequest::All) => self.fan_out(run, deadline, domino).await,
            Ok(ReconcileRequest::One { scope, continuation, plan_only }) => {
                // One batch may hold many changes of one cluster; the whole was looked at then.
                if scope.places.is_empty()
                    && scope.after.is_none()
                    && clusters
                        .get(&scope.cluster)
                        .is_some_and(|done| done.left.is_none() && done.failures.is_empty())
                {
                    return Ok(format!("{} was just reconciled", scope.cluster));
                }
                let done = self.one(&scope, continuation, plan_only, run, deadline).await?;
                let said = words(&scope, &done);
                let failures = done.failures.clone();
                if scope.places.is_empty() {
                    clusters.insert(scope.cluster.clone(), done);
                }
                // What is an error is said before what ends by itself.
                match failures.into_iter().min_by_key(|(_, why)| why.waits_until().is_some()) {
                    None => Ok(said),
                    Some((name, why)) => Err(why.worded(|why| format!("{said}; {name}: {why}"))),
                }
            }
        }
    }

    async fn one(
        &self,
        scope: &Scope,
        continuation: u32,
        plan_only: bool,
        run: &Run,
        deadline: Timestamp,
    ) -> Result<Reconciled, Error> {
        let cloud = self.cloud(run, deadline);
        let (Some(writer), false) = (self.writer, plan_only) else {
            return preview(cloud, scope).await;
        };
        let writers = Writers::of(writer);
        let done = reconcile(cloud, writers, scope).await?;
        let context = cloud.context;
        if let Err(why) = note_reconciled(context, writers.ledger, scope, &done).await {
            tracing::warn!(cluster = scope.cluster.name(), "not noted for status: {why}");
        }
        if let Some(left) = &done.left {
            request_rest(context, writers.bus, scope, left, continuation + 1).await?;
        }
        if done.retirement == Some(Retirement::UnderWay { goes_on: true }) {
            request_again(context, writers.bus, scope, continuation + 1).await?;
        }
        Ok(done)
    }

    async fn fan_out(
        &self,
        run: &Run,
        deadline: Timestamp,
        domino: &mut Option<Result<DominoCheck, Error>>,
    ) -> Result<String, Error> {
        let Some(writer) = self.writer else {
            return Ok("plan mode looks at one cluster: name it as clusterArn".to_owned());
        };
        let (context, Writers { ledger, bus, .. }) =
            (self.cloud(run, deadline).context, Writers::of(writer));
        // Before the clusters, which then find its deactivations in the ledger. Whatever comes of
        // it, they are asked for; once is enough for a batch.
        if let (Some(source), None) = (&self.domino, &domino) {
            let asked_at = self.clock.now();
            let end = domino::half_way(asked_at, deadline);
            let half = Context { deadline: end, ..context };
            let check = check_domino(half, ledger, bus, source).await;
            domino::log(&check);
            if let Err(why) = record_domino_check(context, ledger, &check, asked_at).await {
                tracing::warn!(%why, "the comparison with Domino was not recorded");
            }
            *domino = Some(check);
        }
        let asked = request_all(context, bus).await?;
        let said = domino.as_ref().map(domino::words).unwrap_or_default();
        Ok(format!("asked for {} clusters{said}", asked.len()))
    }
}

/// What came of one cluster, for people.
fn words(scope: &Scope, done: &Reconciled) -> String {
    let cluster = scope.cluster.name();
    if let Some(why) = &done.skipped {
        return format!("{cluster} was skipped: {why}");
    }
    let mut said = format!(
        "{cluster}: looked at {} places, {} service accounts needed something, {} steps done",
        done.places,
        done.needed.len(),
        done.steps
    );
    if let Some(why) = &done.halted {
        said += &format!("; halted: {why}");
    }
    for orphan in &done.orphans {
        said += &format!(
            "; association {} of {} is an orphan (tag {}) and kept: adopt it or delete it",
            orphan.id,
            orphan.place,
            orphan.tag.as_deref().unwrap_or("none")
        );
    }
    for corrected in &done.corrected {
        said += &format!("; corrected {corrected}");
    }
    if !done.trimmed.is_empty() {
        let roles: Vec<&str> = done.trimmed.iter().map(RoleArn::as_str).collect();
        said += &format!(
            "; took out of the node policies, since nobody uses them: {}",
            roles.join(", ")
        );
    }
    for policy in &done.deleted_policies {
        said += &format!("; gave up policy {}", policy.name());
    }
    if let Some(why) = &done.trim_skipped {
        said += &format!("; took no role out of the node policies, or not all: {why}");
    }
    if let Some(retirement) = &done.retirement {
        said += &format!("; {retirement}");
    }
    if let Some(left) = &done.left {
        said += &format!("; goes on behind {left}");
    }
    said
}

fn single_answer(said: &str, clusters: &BTreeMap<ClusterArn, Reconciled>) -> Value {
    let plans: Vec<Value> = clusters
        .iter()
        .flat_map(|(cluster, done)| done.plans.iter().map(move |plan| (cluster, plan)))
        .map(|(cluster, plan)| json!({ "cluster": cluster, "text": plan.to_string() }))
        .collect();
    json!({ "text": said, "plans": plans })
}

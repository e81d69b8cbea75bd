//! Parses an invocation, calls the engine, answers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lambda_runtime::Error;
use pod_identity_core::{ClusterArn, Json};
use pod_identity_engine::ports::{Clock, KubernetesReader, KubernetesWriter};
use pod_identity_engine::{
    Context, InsideReport, InsideSettings, OutsideReads, OutsideWrites, Record, Run, Settings,
    is_covered, preview_inside, request_sweep_rest, request_sweeps, work_inside,
};
use pod_identity_function::Answers;
use serde_json::{Value, json};

use crate::request::{self, Asked, Request};
use crate::words::words;

/// The function and everything that it works with.
#[derive(Debug)]
pub struct Function<'a, A, K, B, W, C> {
    /// Reads AWS and the ledger.
    pub aws: &'a A,
    /// Reads the clusters' Kubernetes APIs.
    pub kubernetes: &'a K,
    /// What it changes things with; none in plan mode.
    pub hands: Option<Hands<'a, B, W>>,
    /// Tells the time.
    pub clock: &'a C,
    /// Settings of the deployment.
    pub settings: &'a Settings,
    /// Its settings of what is done inside clusters.
    pub inside: &'a InsideSettings,
    /// No step starts that might end later than this before the deadline.
    pub deadline_margin: Duration,
}

/// What the function changes things with.
#[derive(Debug)]
pub struct Hands<'a, B, W> {
    /// The ledger and the bus.
    pub outside: &'a B,
    /// The clusters' Kubernetes APIs.
    pub kubernetes: &'a W,
}

/// What came of an invocation.
#[derive(Debug)]
pub struct Invocation {
    /// What Lambda is told. An error makes it deliver a single event again.
    pub answer: Result<Value, Error>,
    /// What was found and done, by cluster.
    pub clusters: BTreeMap<ClusterArn, InsideReport>,
}

impl<A, K, B, W, C> Function<'_, A, K, B, W, C>
where
    A: OutsideReads,
    K: KubernetesReader,
    B: OutsideWrites,
    W: KubernetesWriter,
    C: Clock,
{
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
        let mut looked_after = BTreeMap::new();
        let mut answers = Answers::default();
        for record in payload.records() {
            let said = self.handle(record, &run, deadline, &mut clusters, &mut looked_after).await;
            answers.note(record, said);
        }
        let answer = answers.answer(&payload, |said| single_answer(&said, &clusters));
        let answer = answer.map_err(Error::from);
        Invocation { answer, clusters }
    }

    /// What is no request will be none later either: it is answered, not delivered again. A
    /// cluster is looked after once for all that one batch asks of it.
    async fn handle(
        &self,
        record: &Record,
        run: &Run,
        deadline: Timestamp,
        clusters: &mut BTreeMap<ClusterArn, InsideReport>,
        looked_after: &mut BTreeMap<ClusterArn, Result<(), String>>,
    ) -> Result<String, String> {
        let asked = match request::read(&record.text) {
            Err(why) => return Ok(format!("left alone: {why}")),
            Ok(Request::All) => return self.fan_out(run, deadline).await,
            Ok(Request::One(asked)) => asked,
        };
        let cluster = asked.scope.cluster.clone();
        let whole = asked.scope.service_account.is_none();
        if let (Some(done), true) = (looked_after.get(&cluster), whole) {
            return done.clone().map(|()| format!("{cluster} was just looked after"));
        }
        let done = self.one(&asked, run, deadline).await;
        if whole {
            looked_after.insert(cluster.clone(), done.as_ref().map(|_| ()).map_err(Clone::clone));
        }
        let Some(report) = done? else {
            return Ok(format!("{cluster} was looked after since"));
        };
        let said = words(&cluster, &report);
        let failed = report.failures.first().cloned();
        clusters.insert(cluster, report);
        match failed {
            None => Ok(said),
            Some(why) => Err(format!("{said}; {why}")),
        }
    }

    /// What the engine is given to look.
    fn context<'b>(&'b self, run: &'b Run, deadline: Timestamp) -> Context<'b, A, (), C> {
        let Self { aws: reader, clock, settings, .. } = *self;
        Context { reader, writer: &(), clock, run, settings, deadline }
    }

    /// Looks after one cluster; none when somebody has seen already what there was to see.
    async fn one(
        &self,
        asked: &Asked,
        run: &Run,
        deadline: Timestamp,
    ) -> Result<Option<InsideReport>, String> {
        let Self { aws, kubernetes, settings, inside, .. } = *self;
        let (scope, context) = (&asked.scope, self.context(run, deadline));
        let (Some(hands), false) = (&self.hands, asked.plan_only) else {
            return preview_inside(context, kubernetes, scope, inside).await.map(Some);
        };
        if let Some(since) = asked.since
            && is_covered(&scope.cluster, since, aws, settings, inside).await?
        {
            return Ok(None);
        }
        let Hands { outside, kubernetes: changes } = *hands;
        let context = context.with(outside);
        let report = work_inside(context, kubernetes, changes, scope, inside).await?;
        let sweep = report.sweep.as_ref();
        let is_left = report.domino.as_ref().is_some_and(|domino| domino.left)
            || sweep.is_some_and(|sweep| sweep.left);
        if is_left {
            let mut rest = scope.clone();
            rest.evicted += sweep.map_or(0, |done| done.evicted.len() + done.deleted.len());
            request_sweep_rest(context, &rest, asked.handed_on + 1).await?;
        }
        Ok(Some(report))
    }

    async fn fan_out(&self, run: &Run, deadline: Timestamp) -> Result<String, String> {
        let Some(hands) = &self.hands else {
            return Ok("plan mode looks at one cluster: name it as clusterArn".to_owned());
        };
        let context = self.context(run, deadline).with(hands.outside);
        let asked = request_sweeps(context).await?;
        Ok(format!("asked for {} clusters", asked.len()))
    }
}

fn single_answer(said: &str, clusters: &BTreeMap<ClusterArn, InsideReport>) -> Value {
    let plans: Vec<Value> = clusters
        .iter()
        .filter_map(|(cluster, report)| {
            let sweep = &report.sweep.as_ref()?.sweep;
            Some(json!({ "cluster": cluster, "text": sweep.to_string(), "sweep": sweep }))
        })
        .collect();
    json!({ "text": said, "sweeps": plans })
}

//! Parses an invocation, calls the engine, answers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use pod_identity_core::{ClusterArn, Json};
use pod_identity_engine::ports::{Clock, ClusterReader, EksReader, KubernetesReader, LedgerReader};
use pod_identity_engine::{
    Context, Error, InsideReport, InsideSettings, Record, Run, Settings, Workloads,
    WorkloadsWriters, is_covered, preview_workloads, reconcile_workloads, request_sweep_rest,
    request_sweeps,
};
use pod_identity_function::{Answers, NotFinished};
use serde_json::{Value, json};

use crate::request::{self, SweepRequest, WorkloadsRequest};
use crate::words::words;

/// Most clusters that one invocation works on at once: each holds the pods of its cluster that matter.
const SIDE_BY_SIDE: usize = 4;

/// Most pods that an answer shows of those that are evicted, reported or held back: Lambda takes 6 MB.
const SHOWN: usize = 100;

/// The function and everything that it works with.
pub struct Function<'a> {
    /// Reads the ledger.
    pub ledger: &'a dyn LedgerReader,
    /// Reads associations.
    pub eks: &'a dyn EksReader,
    /// Reads what EKS tells of a cluster itself.
    pub clusters: &'a dyn ClusterReader,
    /// Reads the clusters' Kubernetes APIs.
    pub kubernetes: &'a dyn KubernetesReader,
    /// What it changes things with; none in plan mode.
    pub writers: Option<WorkloadsWriters<'a>>,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Settings of the deployment.
    pub settings: &'a Settings,
    /// Its settings of what is done inside clusters.
    pub inside: &'a InsideSettings,
    /// No step starts that might end later than this before the deadline.
    pub deadline_margin: Duration,
}

/// What came of an invocation.
#[derive(Debug)]
pub struct Invocation {
    /// What Lambda gets. An error makes it deliver a single event again.
    pub answer: Result<Value, NotFinished>,
    /// What was found and done, by cluster.
    pub clusters: BTreeMap<ClusterArn, InsideReport>,
    /// How many records wait for what ends by itself.
    pub waiting: usize,
}

impl Function<'_> {
    /// Handles one invocation, whatever was sent, until `deadline` at the latest. Clusters are worked on side by
    /// side: one whose API hangs, or whose budgets block, delays no other.
    pub async fn invoke(
        &self,
        payload: impl Into<Json>,
        request_id: &str,
        deadline: SystemTime,
    ) -> Invocation {
        let deadline = pod_identity_function::deadline(deadline, self.deadline_margin);
        let run = Run::new(request_id, self.clock.now());
        let payload = pod_identity_function::read(&payload.into());
        let records: Vec<&Record> = payload.records().iter().collect();
        let mut said: Vec<Option<Result<String, Error>>> = Vec::with_capacity(records.len());
        let mut by_cluster: BTreeMap<ClusterArn, Vec<(usize, SweepRequest)>> = BTreeMap::new();
        let mut of: Vec<Option<ClusterArn>> = vec![None; records.len()];
        for (at, record) in records.iter().enumerate() {
            said.push(match request::read(&record.text) {
                // What is no request will be none later either: it is answered, not delivered again.
                Err(why) => Some(Ok(format!("left alone: {why}"))),
                Ok(WorkloadsRequest::All) => Some(self.fan_out(&run, deadline).await),
                Ok(WorkloadsRequest::One(asked)) => {
                    of[at] = Some(asked.scope.cluster.clone());
                    let of_cluster = by_cluster.entry(asked.scope.cluster.clone()).or_default();
                    of_cluster.push((at, asked));
                    None
                }
            });
        }
        let mut waiting = by_cluster.len();
        let shares = by_cluster.into_iter().map(|(cluster, asked)| {
            // Whoever comes later has what those before leave, and each of the rest as much.
            let turns = waiting.div_ceil(SIDE_BY_SIDE);
            waiting -= 1;
            (cluster, asked, turns)
        });
        let done: Vec<_> = stream::iter(shares)
            .map(|(cluster, asked, turns)| self.cluster(cluster, asked, &run, deadline, turns))
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        let mut clusters = BTreeMap::new();
        for (cluster, answers, report) in done {
            for (at, answer) in answers {
                said[at] = Some(answer);
            }
            clusters.extend(report.map(|report| (cluster, report)));
        }
        let mut answers = Answers::default();
        for ((record, said), cluster) in records.into_iter().zip(said).zip(&of) {
            answers.note(record, cluster.as_ref(), said.unwrap_or_else(|| Ok(String::new())));
        }
        let waiting = answers.waiting();
        let answer = answers.answer(&payload, |said| single_answer(&said, &clusters));
        Invocation { answer, clusters, waiting }
    }

    /// All that one batch asks of a cluster, one after the other; the whole of it is looked after once. It has as
    /// much of the time as each of so many turns.
    async fn cluster(
        &self,
        cluster: ClusterArn,
        asked: Vec<(usize, SweepRequest)>,
        run: &Run,
        deadline: Timestamp,
        turns: usize,
    ) -> (ClusterArn, Vec<(usize, Result<String, Error>)>, Option<InsideReport>) {
        let now = self.clock.now();
        let share = deadline.duration_since(now) / i32::try_from(turns).unwrap_or(i32::MAX);
        let deadline = now.checked_add(share).unwrap_or(deadline);
        let (mut answers, mut last, mut whole) = (Vec::new(), None, None);
        for (at, asked) in asked {
            let is_whole = asked.scope.service_account.is_none();
            if let (Some(done), true) = (whole.clone(), is_whole) {
                let done: Result<(), Error> = done;
                answers.push((at, done.map(|()| format!("{cluster} was just looked after"))));
                continue;
            }
            let done = self.one(&asked, run, deadline).await;
            if is_whole {
                whole = Some(done.as_ref().map(|_| ()).map_err(Clone::clone));
            }
            answers.push((at, self.said(&asked, done, &mut last)));
        }
        (cluster, answers, last)
    }

    /// What is answered to one that asked, and the report for the metrics.
    fn said(
        &self,
        asked: &SweepRequest,
        done: Result<Option<InsideReport>, Error>,
        last: &mut Option<InsideReport>,
    ) -> Result<String, Error> {
        let cluster = &asked.scope.cluster;
        let Some(report) = done? else {
            return Ok(format!("{cluster} was looked after since"));
        };
        let said = words(cluster, &report, self.is_plan(asked));
        let failed = report.failures.first().cloned();
        *last = Some(report);
        match failed {
            None => Ok(said),
            Some(why) => Err(format!("{said}; {why}").into()),
        }
    }

    /// Whether nothing is written.
    fn is_plan(&self, asked: &SweepRequest) -> bool {
        self.writers.is_none() || asked.plan_only
    }

    /// What the engine is given to look.
    fn workloads<'b>(&'b self, run: &'b Run, deadline: Timestamp) -> Workloads<'b> {
        let Self { ledger, eks, clusters, kubernetes, clock, settings, inside, .. } = *self;
        let context = Context { ledger, clock, run, settings, deadline };
        Workloads { context, eks, clusters, kubernetes, inside }
    }

    /// Looks after one cluster; none when somebody has seen already what there was to see.
    async fn one(
        &self,
        asked: &SweepRequest,
        run: &Run,
        deadline: Timestamp,
    ) -> Result<Option<InsideReport>, Error> {
        let (scope, workloads) = (&asked.scope, self.workloads(run, deadline));
        let (Some(writers), false) = (self.writers, self.is_plan(asked)) else {
            return preview_workloads(workloads, scope).await.map(Some);
        };
        if let Some(since) = asked.since
            && is_covered(&workloads, &scope.cluster, since).await?
        {
            return Ok(None);
        }
        let report = reconcile_workloads(workloads, writers, scope).await?;
        let sweep = report.sweep.as_ref();
        let is_left = report.domino.as_ref().is_some_and(|domino| domino.left)
            || sweep.is_some_and(|sweep| sweep.left);
        if is_left {
            let mut rest = scope.clone();
            rest.evicted += sweep.map_or(0, |done| done.evicted.len() + done.deleted.len());
            request_sweep_rest(workloads.context, writers.bus, &rest, asked.continuation + 1)
                .await?;
        }
        Ok(Some(report))
    }

    async fn fan_out(&self, run: &Run, deadline: Timestamp) -> Result<String, Error> {
        let Some(writers) = self.writers else {
            return Ok("plan mode looks at one cluster: name it as clusterArn".to_owned());
        };
        let context = self.workloads(run, deadline).context;
        let asked = request_sweeps(context, writers.bus).await?;
        Ok(format!("asked for {} clusters", asked.len()))
    }
}

fn single_answer(said: &str, clusters: &BTreeMap<ClusterArn, InsideReport>) -> Value {
    let plans: Vec<Value> = clusters
        .iter()
        .filter_map(|(cluster, report)| {
            let done = report.sweep.as_ref()?;
            let sweep = done.sweep.shown(SHOWN);
            let text = sweep.to_string();
            Some(json!({ "cluster": cluster, "text": text, "stale": done.stale, "sweep": sweep }))
        })
        .collect();
    json!({ "text": said, "sweeps": plans })
}

//! Plays a history: the queue, the two runners, and what else happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::{ClusterArn, RoleArn, Version};
use pod_identity_engine::ledger::{Registry, history_key};
use pod_identity_engine::ports::ErrorKind;
use pod_identity_engine::{
    BatchReport, Outcome, Record, RecordReport, Run, Scope, Settings, process, reconcile,
};
use pod_identity_world::{Call, Ledger as Items, PortFault, When, World, WorldPorts};

use crate::hands;
use crate::history::{Action, Asks, Event, Hand, History, Ledger, Setup};
use crate::report::{Played, Violation};
use crate::stage::{self, DEPLOYMENT, LONGEST_CALL, OTHER};
use crate::verdict;
use crate::watch::{self, Step, Watch};

/// Longest wait while a runner is at work, unless the history stalls: shorter than a call may take.
const SHORT: i64 = 3;
/// Calls after which a run that does not end counts as one that never will.
const ENDLESS: usize = 100_000;
/// Rounds of the queue after which what still fails counts as failing for ever.
const ROUNDS: usize = 12;
/// When the events of a flood say that they happened.
const BEFORE_ALL: i64 = -50;
/// Most records of a batch at the end.
const BATCH: usize = 10;

/// An event that was sent.
pub(crate) struct Sent {
    pub(crate) event: Event,
    pub(crate) id: String,
    pub(crate) at: i64,
    text: String,
    /// How often it was taken off the queue.
    deliveries: u32,
}

impl Sent {
    pub(crate) fn version(&self) -> Version {
        Version::new(stage::time(self.at), self.id.clone())
    }
}

/// How a run ended.
enum Ended {
    Batch(BatchReport),
    /// What was left alone or failed is found again in the end.
    Reconciled,
}

struct Runner {
    future: Pin<Box<dyn Future<Output = Ended>>>,
    ports: WorldPorts,
    request: String,
    messages: Vec<usize>,
    polled: Timestamp,
    /// Every registry that the ledger has had since the run began.
    registries: Vec<Registry>,
    /// The roles that bindings named when the run began; none when it takes none out.
    named: Option<BTreeSet<RoleArn>>,
    disturbed: bool,
    /// Whether the ledger was exchanged for another since the run began.
    replaced: bool,
    /// Whether the ledger was another deployment's when the run began.
    elsewhere: bool,
}

pub(crate) struct Play<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) sent: Vec<Sent>,
    /// Associations that the ledger cannot be expected to know: they were there
    /// when it, or their tags, changed.
    pub(crate) unknown: BTreeSet<String>,
    /// Whether AWS or the ledger was changed behind the engine's back, or a run was late.
    pub(crate) troubled: bool,
    /// Roles that somebody has listed in a node policy by hand.
    pub(crate) by_hand: BTreeSet<(ClusterArn, RoleArn)>,
    queue: VecDeque<usize>,
    runners: [Option<Runner>; 2],
    pub(crate) watch: Watch,
    backup: Option<(Items, bool)>,
    /// The other deployment's ledger, or ours while theirs is in its place.
    other: (Items, bool),
    /// Whether the ledger in place is the other deployment's.
    is_other: bool,
    beyond: bool,
    meddled: bool,
    /// How many runs were begun while another was under way.
    pub(crate) side_by_side: usize,
    /// Until when reads may not show what somebody did by hand.
    unseen_until: Timestamp,
    played: Played,
}

/// Plays a history to its end.
///
/// # Errors
/// The first invariant that does not hold.
pub fn play(history: &History) -> Result<Played, Violation> {
    Play::new(&history.setup)?.through(history)
}

/// Plays a history, and tells every call of AWS as well.
pub fn trace(history: &History) -> (Vec<Call>, Result<Played, Violation>) {
    let play = match Play::new(&history.setup) {
        Ok(play) => play,
        Err(violation) => return (Vec::new(), Err(violation)),
    };
    let world = Arc::clone(&play.world);
    let played = play.through(history);
    let calls = world.lock().unwrap_or_else(PoisonError::into_inner).calls.clone();
    (calls, played)
}

impl Play<'_> {
    fn through(mut self, history: &History) -> Result<Played, Violation> {
        for turn in &history.turns {
            self.send(&turn.event);
            for action in &turn.then {
                self.act(action)?;
            }
        }
        self.quiet_down()?;
        verdict::check(&self)?;
        self.settled()?;
        let world = self.world.lock().unwrap();
        let all = watch::associations(&world);
        let ours = all.values().flat_map(BTreeMap::values).filter(|one| watch::is_ours(one));
        let (bound, blocked) = (ours.count(), verdict::blocked(&world));
        Ok(Played { calls: world.calls.len(), bound, blocked, ..self.played })
    }
}

impl<'a> Play<'a> {
    pub(crate) fn new(setup: &'a Setup) -> Result<Self, Violation> {
        let world = stage::world(setup);
        let mut play = Self {
            setup,
            watch: Watch::default(),
            world,
            sent: Vec::new(),
            unknown: BTreeSet::new(),
            troubled: false,
            by_hand: BTreeSet::new(),
            queue: VecDeque::new(),
            runners: [None, None],
            backup: None,
            other: (Items::default(), true),
            is_other: false,
            beyond: false,
            meddled: false,
            side_by_side: 0,
            unseen_until: Timestamp::MIN,
            played: Played::default(),
        };
        if setup.ledger {
            play.another_deployment();
        }
        play.watch = Watch::new(&play.world.lock().unwrap());
        for cluster in (0..stage::CLUSTERS).filter(|index| setup.registered & (1 << index) != 0) {
            play.send(&Event { at: 0, tie: 0, asks: Asks::Registered { cluster, shared: false } });
        }
        if !play.sent.is_empty() {
            play.start(0, 0, play.sent.len());
            play.finish(0)?;
        }
        Ok(play)
    }

    /// Another deployment has bound something on the same clusters, with a ledger of its own.
    fn another_deployment(&mut self) {
        let mut texts = Vec::new();
        let registered = Asks::Registered { cluster: 0, shared: false };
        let assigned = |name, place| Asks::Assigned {
            name,
            role: name % 4,
            place,
            target: false,
            policy: false,
            clusters: None,
        };
        let asks =
            [registered, assigned(0, Some(2)), assigned(1, None), Asks::Unassigned { name: 2 }];
        for (index, asks) in asks.into_iter().enumerate() {
            let event = Event { at: 0, tie: 0, asks };
            texts.push(stage::envelope(&event, -100, &format!("other-{index}")));
        }
        let settings = stage::settings(self.setup, OTHER);
        let ports = WorldPorts::new(Arc::clone(&self.world), "other");
        let run = Run::new("other", self.now());
        let records = records(texts.iter().map(|text| (text.as_str(), 1)));
        let deadline = later(self.now(), 60);
        let future = process(ports.cloud(&run, &settings, deadline), ports.writers(), &records);
        let mut future = Box::pin(future);
        while poll(future.as_mut()).is_pending() {}
        let mut world = self.world.lock().unwrap();
        self.other.0 = std::mem::take(&mut world.ledger);
        world.now = later(world.now, 60);
    }

    fn now(&self) -> Timestamp {
        self.world.lock().unwrap().now
    }

    pub(crate) fn send(&mut self, event: &Event) {
        self.send_at(event, i64::from(event.at));
    }

    fn send_at(&mut self, event: &Event, at: i64) {
        let index = self.sent.len();
        let id = format!("e-{}-{index}", event.tie);
        let text = stage::envelope(event, at, &id);
        self.sent.push(Sent { event: event.clone(), id, at, text, deliveries: 0 });
        self.queue.push_back(index);
    }

    fn act(&mut self, action: &Action) -> Result<(), Violation> {
        match *action {
            Action::Again { event } => {
                let newest = self.sent.len() - 1;
                self.queue.push_back(newest - event % self.sent.len());
            }
            Action::Flood { name, role, size } if self.setup.floods => {
                let (target, policy, clusters) = (false, false, None);
                let place = Some(0);
                let asks = Asks::Assigned { name, role, place, target, policy, clusters };
                for _ in 0..size {
                    self.send_at(&Event { at: 0, tie: 0, asks: asks.clone() }, BEFORE_ALL);
                }
            }
            Action::Start { runner, from, size } => {
                self.start(usize::from(runner % 2), from, size);
            }
            Action::Reconcile { runner, cluster } => {
                self.reconcile(usize::from(runner % 2), cluster);
            }
            Action::Step { runner, calls } => {
                for _ in 0..calls {
                    if !self.step(usize::from(runner % 2))? {
                        break;
                    }
                }
            }
            Action::Finish { runner } => self.finish(usize::from(runner % 2))?,
            Action::Crash { runner } => {
                if let Some(runner) = self.runners[usize::from(runner % 2)].take() {
                    self.played.crashes += 1;
                    self.queue.extend(runner.messages);
                }
            }
            Action::Fault { runner, nth, effect, denied } => {
                if let Some(runner) = &self.runners[usize::from(runner % 2)] {
                    self.played.faults += 1;
                    let when = if effect { When::After } else { When::Before };
                    // Nobody is denied what was done.
                    let denied = denied && !effect;
                    let kind = if denied { ErrorKind::Denied } else { ErrorKind::Passing };
                    runner.ports.fault(PortFault {
                        operation: None,
                        nth: nth.max(1),
                        lasting: false,
                        when,
                        kind,
                    });
                }
            }
            Action::Wait { seconds } => self.wait(seconds),
            Action::Hand(hand) if self.setup.hands => {
                self.act_by_hand(hand);
                self.meddled |= hand.changes_policies();
                self.trouble();
            }
            Action::Ledger(trouble) if self.setup.ledger => self.ledger(trouble),
            Action::Flood { .. } | Action::Hand(_) | Action::Ledger(_) => {}
        }
        Ok(())
    }

    /// What somebody lists by hand stays listed until somebody takes it out by hand.
    fn act_by_hand(&mut self, hand: Hand) {
        let mut world = self.world.lock().unwrap();
        let lists = |world: &World| -> BTreeSet<(ClusterArn, RoleArn)> {
            let of = |c: ClusterArn| {
                watch::listed_anywhere(world, &c).into_iter().map(move |role| (c.clone(), role))
            };
            stage::clusters().flat_map(of).collect()
        };
        let before = lists(&world);
        hands::act(&mut world, hand);
        let after = lists(&world);
        self.by_hand.extend(after.difference(&before).cloned());
        self.by_hand.retain(|listed| after.contains(listed));
    }

    fn wait(&mut self, seconds: i64) {
        let at_work = self.runners.iter().any(Option::is_some);
        let seconds = if at_work && !self.setup.stalls { seconds.min(SHORT) } else { seconds };
        let mut world = self.world.lock().unwrap();
        world.now = later(world.now, seconds);
    }

    fn ledger(&mut self, trouble: Ledger) {
        {
            let mut world = self.world.lock().unwrap();
            match trouble {
                Ledger::Backup => {
                    self.backup = Some((world.ledger.clone(), self.is_other));
                    return;
                }
                Ledger::Restore => match &self.backup {
                    Some(backup) => (world.ledger, self.is_other) = backup.clone(),
                    None => return,
                },
                Ledger::Lose => (world.ledger, self.is_other) = (Items::default(), false),
                Ledger::Swap => {
                    std::mem::swap(&mut world.ledger, &mut self.other.0);
                    std::mem::swap(&mut self.is_other, &mut self.other.1);
                }
            }
        }
        self.watch.queues.lost = true;
        self.runners.iter_mut().flatten().for_each(|runner| runner.replaced = true);
        self.meddled = true;
        self.trouble();
    }

    /// From now on nobody can expect the ledger and AWS to fit.
    fn trouble(&mut self) {
        self.troubled = true;
        let world = self.world.lock().unwrap();
        self.unseen_until = later(world.now, self.setup.visible_after);
        self.watch.merge_in(&world);
        let all = watch::associations(&world);
        self.unknown.extend(all.into_values().flat_map(BTreeMap::into_keys));
        for runner in self.runners.iter_mut().flatten() {
            (runner.disturbed, runner.elsewhere) = (true, false);
        }
    }

    /// Takes messages off the queue; nothing when the runner is at work or there are none.
    fn start(&mut self, index: usize, from: usize, size: usize) {
        if self.runners[index].is_some() || self.queue.is_empty() {
            return;
        }
        let from = from % self.queue.len();
        self.queue.rotate_left(from);
        let messages: Vec<usize> = self.queue.drain(..size.min(self.queue.len())).collect();
        self.queue.rotate_right(from.min(self.queue.len()));
        for at in &messages {
            self.sent[*at].deliveries += 1;
        }
        let sent = messages.iter().map(|at| &self.sent[*at]);
        let records = records(sent.map(|sent| (sent.text.as_str(), sent.deliveries)));
        let came = messages.iter().filter_map(|at| self.sent[*at].event.asks.name());
        let came = came.map(stage::name).collect();
        self.watch.queues.came.insert(self.next_request(), came);
        self.begin(index, messages, None, async move |ports, run, settings, deadline| {
            Ended::Batch(
                process(ports.cloud(run, settings, deadline), ports.writers(), &records).await,
            )
        });
    }

    /// Brings a cluster to the desired state, unless the runner is at work.
    fn reconcile(&mut self, index: usize, cluster: u8) {
        if self.runners[index].is_some() {
            return;
        }
        let scope = Scope::of(stage::cluster(cluster));
        let named = self.setup.trims.then(|| watch::named(&self.world.lock().unwrap()));
        self.begin(index, Vec::new(), named, async move |ports, run, settings, deadline| {
            let done =
                reconcile(ports.cloud(run, settings, deadline), ports.writers(), &scope).await;
            drop(done);
            Ended::Reconciled
        });
    }

    fn next_request(&self) -> String {
        format!("request-{}", self.played.runs + 1)
    }

    fn begin<F>(
        &mut self,
        index: usize,
        messages: Vec<usize>,
        named: Option<BTreeSet<RoleArn>>,
        work: F,
    ) where
        F: AsyncFnOnce(&WorldPorts, &Run, &Settings, Timestamp) -> Ended + 'static,
    {
        let request = self.next_request();
        self.played.runs += 1;
        self.side_by_side += self.runners.iter().flatten().count();
        let ports = WorldPorts::new(Arc::clone(&self.world), &request);
        let (run, now) = (Run::new(request.clone(), self.now()), self.now());
        let settings = stage::settings(self.setup, DEPLOYMENT);
        let hands = ports.clone();
        let deadline = later(now, 60);
        let future = Box::pin(async move { work(&hands, &run, &settings, deadline).await });
        let registry = watch::registry(&self.world.lock().unwrap());
        self.runners[index] = Some(Runner {
            future,
            ports,
            request,
            messages,
            polled: now,
            registries: vec![registry],
            named,
            disturbed: now < self.unseen_until,
            replaced: false,
            elsewhere: self.is_other,
        });
    }

    /// Lets a runner go on to its next call; says whether it is still at work. The other
    /// one is not left behind for longer than a call may take, unless the history stalls.
    fn step(&mut self, index: usize) -> Result<bool, Violation> {
        let (now, other) = (self.now(), 1 - index);
        let behind = |runner: &Runner| now.duration_since(runner.polled).as_secs() >= 2;
        if !self.setup.stalls && self.runners[other].as_ref().is_some_and(behind) {
            self.step_alone(other)?;
        }
        self.step_alone(index)
    }

    fn step_alone(&mut self, index: usize) -> Result<bool, Violation> {
        let Some(runner) = &mut self.runners[index] else { return Ok(false) };
        let before = self.world.lock().unwrap().calls.len();
        runner.ports.allow(1);
        let polled = catch_unwind(AssertUnwindSafe(|| poll(runner.future.as_mut())));
        let Ok(polled) = polled else {
            return Err(Violation::new("the engine does not panic", runner.request.clone()));
        };
        let world = self.world.lock().unwrap();
        runner.polled = world.now;
        let late = world.calls[before..].iter().any(is_late);
        let disturbed = runner.disturbed;
        let step = Step {
            request: &runner.request,
            late,
            disturbed: runner.disturbed,
            replaced: runner.replaced,
            elsewhere: runner.elsewhere,
            beyond: self.beyond,
            may_be_full: !self.setup.strict && self.setup.slots < 10,
            meddled: self.meddled,
            registries: &runner.registries,
            named: runner.named.as_ref(),
            ceiling: self.setup.recreations,
        };
        self.watch.look(&world, &step)?;
        let registry = watch::registry(&world);
        drop(world);
        for runner in self.runners.iter_mut().flatten() {
            if runner.registries.last() != Some(&registry) {
                runner.registries.push(registry.clone());
            }
        }
        if late {
            self.beyond = true;
            self.troubled = true;
        }
        if disturbed {
            let all = watch::associations(&self.world.lock().unwrap());
            self.unknown.extend(all.into_values().flat_map(BTreeMap::into_keys));
        }
        let Poll::Ready(ended) = polled else { return Ok(true) };
        let Some(runner) = self.runners[index].take() else { return Ok(false) };
        if let Ended::Batch(report) = ended {
            self.ended(&runner, &report)?;
        }
        Ok(false)
    }

    fn finish(&mut self, index: usize) -> Result<(), Violation> {
        for _ in 0..ENDLESS {
            if !self.step(index)? {
                return Ok(());
            }
        }
        Err(Violation::new("every run ends", format!("{ENDLESS} calls and no end")))
    }

    /// What failed comes back; everything else must be known to the ledger or refused for a reason.
    fn ended(&mut self, runner: &Runner, report: &BatchReport) -> Result<(), Violation> {
        let same_length = report.records.len() == runner.messages.len();
        if !same_length {
            let what = format!("{} of {}", report.records.len(), runner.messages.len());
            return Err(Violation::new("every record gets a report", what));
        }
        let world = self.world.lock().unwrap();
        for (message, record) in runner.messages.iter().zip(&report.records) {
            if record.outcome == Outcome::Failed {
                self.queue.push_back(*message);
                continue;
            }
            is_kept(&world, &self.sent[*message], record, runner.disturbed)?;
        }
        Ok(())
    }

    /// No more hands, no more faults: everything is delivered until nothing fails.
    pub(crate) fn quiet_down(&mut self) -> Result<(), Violation> {
        for index in 0..2 {
            if let Some(runner) = &self.runners[index] {
                runner.ports.clear_faults();
            }
            self.finish(index)?;
        }
        if self.is_other {
            self.ledger(if self.other.1 { Ledger::Lose } else { Ledger::Swap });
        }
        // Leases expire, and IAM shows what was written.
        self.wait(200);
        self.drain()?;
        // What waited for a cluster goes on.
        self.queue.extend(0..self.sent.len());
        self.drain()?;
        let asked = verdict::retirement_asked(&self.sent);
        if self.troubled || asked || verdict::node_roles_changed(&self.sent) {
            // What passing failures and a retirement leave, the next reconciliation finds.
            for round in 0..3 {
                for cluster in 0..stage::CLUSTERS {
                    self.reconcile(0, cluster);
                    self.finish(0)?;
                }
                if round < 2 {
                    self.wait(200);
                }
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Violation> {
        for _ in 0..ROUNDS {
            let waiting = self.queue.len();
            for _ in 0..waiting.div_ceil(BATCH) {
                self.start(0, 0, BATCH);
                self.finish(0)?;
            }
            if self.queue.is_empty() {
                return Ok(());
            }
            self.wait(30);
        }
        let what: Vec<&str> = self.queue.iter().map(|at| self.sent[*at].id.as_str()).collect();
        Err(Violation::new("nothing fails for ever", what.join(", ")))
    }

    /// Invariant 10: all of it once more changes nothing.
    fn settled(&mut self) -> Result<(), Violation> {
        self.wait(200);
        let before = watch::associations(&self.world.lock().unwrap());
        let calls = self.world.lock().unwrap().calls.len();
        self.queue.extend((0..self.sent.len()).rev());
        self.drain()?;
        let world = self.world.lock().unwrap();
        let changing = world.calls[calls..]
            .iter()
            .find(|call| watch::changes(&call.operation) && call.error.is_none());
        if let Some(call) = changing {
            return Err(Violation::new("planning after applying is empty", format!("{call:?}")));
        }
        if watch::associations(&world) != before {
            let what = "another delivery changed associations".to_owned();
            return Err(Violation::new("planning after applying is empty", what));
        }
        // One that died and whose cluster nobody worked on since has left one that is over.
        let held = |item: &&pod_identity_engine::ports::Item| {
            let until = item.body["expiresAt"].as_str().unwrap_or_default().parse::<Timestamp>();
            item.key.sort == "LEASE" && until.is_ok_and(|until| until > world.now)
        };
        if let Some(lease) = world.ledger.items().find(held) {
            return Err(Violation::new("leases are given back", format!("{lease:?}")));
        }
        Ok(())
    }
}

/// Invariant 7.
fn is_kept(
    world: &World,
    sent: &Sent,
    record: &RecordReport,
    disturbed: bool,
) -> Result<(), Violation> {
    let of = match &sent.event.asks {
        Asks::Broken { .. } => {
            let refused = world.bus.events.iter().any(|event| {
                event.detail_type == "Service Account Event Rejected"
                    && event.detail["original"]["detail"]["eventId"] == sent.id.as_str()
            });
            return if record.outcome == Outcome::Rejected && refused {
                Ok(())
            } else {
                Err(Violation::new("what breaks a rule is rejected", format!("{record:?}")))
            };
        }
        Asks::Assigned { name, .. } | Asks::Unassigned { name } | Asks::Deactivated { name } => {
            stage::name(*name)
        }
        Asks::Registered { cluster, .. } | Asks::Retired { cluster } => {
            stage::cluster(*cluster).to_string()
        }
    };
    let known = world.ledger.get(&history_key(&of, &sent.version())).is_some();
    let kept = known || verdict::is_only_counted(world, &of);
    if record.outcome == Outcome::Rejected || !(kept || disturbed) {
        return Err(Violation::new("nothing is lost", format!("{}: {record:?}", sent.id)));
    }
    Ok(())
}

/// Whether a change was under way for longer than a call may take.
fn is_late(call: &Call) -> bool {
    let longest = SignedDuration::try_from(LONGEST_CALL).unwrap();
    watch::changes(&call.operation) && call.at.duration_since(call.began) > longest
}

/// Messages, each with how often it was delivered.
fn records<'a>(delivered: impl Iterator<Item = (&'a str, u32)>) -> Vec<Record> {
    let record = |(at, (text, deliveries)): (usize, (&str, u32))| Record {
        id: format!("m-{at}"),
        text: text.to_owned(),
        deliveries,
    };
    delivered.enumerate().map(record).collect()
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

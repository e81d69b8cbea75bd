//! Random histories: whatever happens between two calls of a sweep, a pod that is right is never
//! evicted, and what was taken away is evicted in the end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::ServiceAccountRef;
use pod_identity_core::sweep::Ceilings;
use pod_identity_engine::ledger::{Condition, ConditionState};
use pod_identity_engine::ports::{AssociationUpdate, ClusterAccess, EksWriter};
use pod_identity_world::DominoPod;

use super::*;
use crate::scenario::role;

const NAMES: [&str; 3] = ["svc-etl", "svc-train", "svc-report"];
const ROLES: [&str; 4] = ["etl", "etl-2", "report", "train"];

/// Credentials that were given longer ago are not valid any more, grace included.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(6 * 3_600 + 60);

struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_003).unwrap() % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

/// What a place gives, to whoever writes and to whoever reads.
type Given = (Option<String>, Option<String>);

/// What really happened.
#[derive(Default)]
struct Truth {
    /// By service account: since when it gives what.
    given: BTreeMap<String, Vec<(Timestamp, Given)>>,
    /// Pods that are there: their service accounts, when they were admitted, whether injected.
    pods: BTreeMap<String, (String, Timestamp, bool)>,
    evicted: usize,
    /// Evictions that happened while a pod of the same service account was right.
    beside_right_ones: usize,
}

impl Truth {
    fn look(&mut self, world: &mut World) {
        let (now, blue) = (world.now, cluster("blue"));
        let gives = |one: &pod_identity_engine::ports::Association| {
            format!("{} {:?}", one.role_arn, one.target_role_arn)
        };
        for name in NAMES {
            let account = format!("{name}-sa");
            let latest = world.eks.find(&blue, NAMESPACE, &account).map(gives);
            let shown = world.eks.shown(&blue, NAMESPACE, &account, now).map(gives);
            let line = self.given.entry(account).or_default();
            if line.last().is_none_or(|(_, last)| *last != (latest.clone(), shown.clone())) {
                line.push((now, (latest, shown)));
            }
        }
        let api = world.kubernetes(&blue).unwrap();
        let mut there = BTreeMap::new();
        for pod in api.all(Resource::Pods, NAMESPACE) {
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let injected = pod["spec"].to_string().contains("AWS_CONTAINER_CREDENTIALS_FULL_URI");
            let created: Timestamp = text(&pod["metadata"]["creationTimestamp"]).parse().unwrap();
            let account = text(&pod["spec"]["serviceAccountName"]);
            there.insert(text(&pod["metadata"]["uid"]), (account, created, injected));
        }
        for (uid, pod) in &self.pods {
            if !there.contains_key(uid) {
                assert!(!self.is_right(pod, now), "{pod:?} was evicted at {now}: {:?}", self.given);
                self.evicted += 1;
                let beside = there.values().filter(|one| one.0 == pod.0);
                self.beside_right_ones +=
                    usize::from(beside.clone().any(|one| self.is_right(one, now)));
            }
        }
        self.pods = there;
    }

    /// Whether a pod holds what its place gives, and nothing else that is still valid.
    fn is_right(
        &self,
        (account, created, injected): &(String, Timestamp, bool),
        now: Timestamp,
    ) -> bool {
        let Some(line) = self.given.get(account) else { return false };
        let since = (*created).max(now.checked_sub(REMEMBERED).unwrap());
        let Some((last_changed, (Some(latest), Some(shown)))) = line.last() else { return false };
        *injected && latest == shown && *last_changed <= since
    }
}

struct History {
    stage: Stage,
    truth: Truth,
    dice: Dice,
    /// Events that failed and are delivered again.
    pending: Vec<Value>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut stage = Stage::new();
        let all = Ceilings {
            per_sweep: 1_000,
            per_namespace: 1_000,
            share_percent: 100,
            share_from: 1_000,
        };
        stage.settings().rules.ceilings = all;
        if dice.one_in(2) {
            stage.policy("*=evict");
        }
        stage.inside.page = 3;
        stage.scenario.settings.concurrency = 1 + dice.roll(3);
        {
            let mut world = stage.ports.world();
            let hidden = dice.of(&[0, 0, 5, 20]);
            world.settings.visible_after = SignedDuration::from_secs(hidden);
            world.settings.call_takes = std::time::Duration::from_millis(dice.of(&[0, 100, 700]));
        }
        // Hands past the ledger grant nothing.
        stage.scenario.grants_before_binding = false;
        // There is always an association, so that the observation is plausible.
        stage.bind("svc-keep", "etl");
        stage.scenario.advance(100);
        Self { stage, truth: Truth::default(), dice, pending: Vec::new() }
    }

    fn look(&mut self) {
        self.truth.look(&mut self.stage.ports.world());
    }

    fn step(&mut self) {
        match self.dice.roll(12) {
            0..=5 => {
                let Self { stage, dice, pending, .. } = self;
                happen(dice, &mut stage.scenario, &stage.ports, pending);
            }
            6 | 7 => self.stage.scenario.advance(self.dice.of(&[1, 3, 29, 31, 100, 400])),
            8 if self.dice.one_in(3) => self.stage.scenario.advance(7 * 3_600),
            _ => self.sweep(),
        }
        self.look();
    }

    fn sweep(&mut self) {
        let Self { stage, dice, pending, truth } = self;
        let scope = match dice.roll(4) {
            0 => Stage::scope_of(dice.of(&NAMES)),
            _ => Stage::scope(),
        };
        let mut meddles = dice.roll(4);
        let result = stage.work_while(&scope, 300, |scenario, ports| {
            truth.look(&mut ports.world());
            if meddles > 0 && dice.one_in(12) {
                meddles -= 1;
                happen(dice, scenario, ports, pending);
                truth.look(&mut ports.world());
            }
        });
        // A run can find its lease gone, no more.
        drop(result);
    }

    /// Everything is delivered, has settled, and is swept.
    fn end(&mut self) {
        for _ in 0..10 {
            self.stage.scenario.advance(61);
            self.pending.retain(|event| self.stage.scenario.send(event).outcome == Outcome::Failed);
        }
        assert!(self.pending.is_empty());
        self.stage.scenario.advance(100);
        self.look();
        let scope = Stage::scope();
        let Self { stage, truth, .. } = self;
        let swept = stage.work_while(&scope, 300, |_, ports| truth.look(&mut ports.world()));
        let swept = swept.unwrap().sweep.unwrap();
        assert_eq!(swept.sweep.halted, None);
        let conditions: Vec<Condition> =
            NAMES.iter().filter_map(|name| stage.scenario.condition(name, "blue")).collect();
        for (uid, (account, created, injected)) in &truth.pods {
            let place = ServiceAccountRef::new(NAMESPACE, account).unwrap();
            let is_wanted = |one: &Condition| one.wanted.as_ref() == Some(&place);
            let nobody = !conditions.iter().any(is_wanted);
            let given = truth.given[account].last().unwrap();
            let admitted = created.checked_add(SignedDuration::from_secs(1)).unwrap();
            let lost = |one: &Condition| {
                one.removals.get(&place).is_some_and(|removal| admitted <= removal.at)
            };
            let taken =
                *injected && nobody && given.1 == (None, None) && conditions.iter().any(lost);
            assert!(!taken, "{uid} of {account} still holds what was taken away\n{}", swept.sweep);
        }
    }
}

/// Something that anybody does at any time.
fn happen(dice: &mut Dice, scenario: &mut Scenario, ports: &WorldPorts, pending: &mut Vec<Value>) {
    let name = dice.of(&NAMES);
    match dice.roll(10) {
        0..=2 => {
            let place = if dice.one_in(4) { dice.of(&NAMES) } else { name };
            let place = json!({ "kubernetes": { "serviceAccount": format!("{place}-sa") } });
            let event = scenario.assigned_with(name, dice.of(&ROLES), place);
            deliver(scenario, event, pending);
        }
        3 | 4 => {
            let event = scenario.unassigned(name);
            deliver(scenario, event, pending);
        }
        5 if dice.one_in(4) => by_hand(dice, ports, name),
        5 => pending.retain(|event| scenario.send(event).outcome == Outcome::Failed),
        6 => scenario.advance(dice.of(&[1, 2, 10])),
        _ => {
            let pod = DominoPod::new(&format!("{name}-sa"), name);
            let pod = if dice.one_in(2) { pod.owned_by("ReplicaSet") } else { pod };
            ports.world().add_domino_pod(&cluster("blue"), &pod).unwrap();
        }
    }
}

fn deliver(scenario: &mut Scenario, event: Value, pending: &mut Vec<Value>) {
    if scenario.send(&event).outcome == Outcome::Failed {
        pending.push(event);
    }
}

/// Somebody changes an association past the ledger.
fn by_hand(dice: &mut Dice, ports: &WorldPorts, name: &str) {
    let account = format!("{name}-sa");
    let found = ports.world().eks.find(&cluster("blue"), NAMESPACE, &account).cloned();
    let Some(found) = found else { return };
    let update = AssociationUpdate {
        id: found.id,
        kubernetes: ServiceAccountRef::new(NAMESPACE, &account).unwrap(),
        desired: pod_identity_core::Desired {
            role: role(dice.of(&ROLES)),
            target_role: None,
            disable_session_tags: false,
            session_policy: None,
        },
        client_token: format!("hand-{}", dice.0),
    };
    let access = ClusterAccess { cluster: cluster("blue"), assume_role: None };
    let _ = drive(ports.update_association(&access, &update), || {});
}

#[test]
fn a_pod_that_is_right_is_never_evicted_and_what_was_taken_away_always_is() {
    let (mut evicted, mut beside, mut states) = (0, 0, BTreeSet::new());
    for seed in 1..=150 {
        let mut history = History::new(seed);
        for _ in 0..30 {
            history.step();
        }
        history.end();
        evicted += history.truth.evicted;
        beside += history.truth.beside_right_ones;
        for name in NAMES {
            let condition = history.stage.scenario.condition(name, "blue");
            states.extend(condition.map(|one| format!("{:?}", one.state)));
        }
    }
    // The histories hold what they are about.
    assert!(evicted > 300 && beside > 30, "{evicted} {beside}");
    assert!(states.contains(&format!("{:?}", ConditionState::Ready)), "{states:?}");
    assert!(states.contains(&format!("{:?}", ConditionState::Removed)), "{states:?}");
}

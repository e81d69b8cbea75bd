//! Domino as a source: its lists against the ledger, and what is unbound after them.

use async_trait::async_trait;
use std::cell::RefCell;

use jiff::Timestamp;
use pod_identity_core::directory::{Ceilings, DirectoryDoubt};
use pod_identity_engine::ledger::{DominoRecord, MAX_DOMINO_NAMES, View, domino_key};
use pod_identity_engine::ports::{
    DominoAccount, DominoPage, DominoQuery, DominoReader, ErrorKind, PortError,
};
use pod_identity_engine::{DominoCheck, DominoSource, Outcome, check_domino, record_domino_check};

use crate::scenario::{Scenario, drive};

/// A Domino whose accounts are named, with those that are active.
#[derive(Default)]
struct Domino {
    accounts: Vec<(&'static str, bool)>,
    /// Most accounts of a part, whatever is asked for.
    most: Option<usize>,
    /// Whether it says how many it takes, and how many there are.
    says: bool,
    /// Somebody whom the first list of active ones leaves out.
    lost_once: RefCell<Option<&'static str>>,
    /// Answers with the first part whatever is asked for.
    stuck: bool,
    fails: bool,
    asked: RefCell<Vec<DominoQuery>>,
}

impl Domino {
    fn of(accounts: &[(&'static str, bool)]) -> Self {
        Self { accounts: accounts.to_vec(), says: true, ..Self::default() }
    }

    fn page(&self, query: DominoQuery) -> Result<DominoPage, PortError> {
        self.asked.borrow_mut().push(query);
        if self.fails {
            return Err(PortError {
                operation: "list",
                object: "service accounts of Domino".to_owned(),
                kind: ErrorKind::Passing,
                code: Some("503".to_owned()),
                message: None,
                source: "it answered 503".into(),
            });
        }
        let lost = if query.include_deactivated { None } else { self.lost_once.take() };
        let listed = self.accounts.iter().enumerate().filter(|(_, (name, active))| {
            (*active || query.include_deactivated) && Some(*name) != lost
        });
        let all: Vec<DominoAccount> = listed
            .map(|(at, (name, _))| DominoAccount {
                id: format!("id-{at}"),
                username: (*name).to_owned(),
                email: None,
            })
            .collect();
        let limit = self.most.unwrap_or(query.limit).min(query.limit);
        let total = self.says.then_some(all.len());
        let skipped = if self.stuck { 0 } else { query.offset };
        let accounts = all.into_iter().skip(skipped).take(limit).collect();
        Ok(DominoPage { accounts, limit: self.says.then_some(limit), total })
    }
}

#[async_trait(?Send)]
impl DominoReader for Domino {
    async fn service_accounts(&self, query: DominoQuery) -> Result<DominoPage, PortError> {
        self.page(query)
    }
}

/// svc-1 to svc-5 are bound on blue and green.
fn bound() -> Scenario {
    let mut scenario = Scenario::registered();
    let events: Vec<_> = (1..=5).map(|at| scenario.assigned(&format!("svc-{at}"), "etl")).collect();
    scenario.batch(&events);
    scenario.advance(300);
    scenario
}

fn source(domino: &Domino) -> DominoSource<'_> {
    DominoSource { reader: domino, unbinds: true, ceilings: Ceilings::default() }
}

fn check_until(
    scenario: &mut Scenario,
    source: &DominoSource<'_>,
    deadline: Timestamp,
) -> Result<DominoCheck, String> {
    let run = scenario.next_run();
    let ports = &scenario.ports;
    let future = check_domino(
        ports.context(&run, &scenario.settings, deadline),
        ports.writers().ledger,
        ports.writers().bus,
        source,
    );
    drive(future, || {}).map_err(|error| error.to_string())
}

fn check(scenario: &mut Scenario, source: &DominoSource<'_>) -> Result<DominoCheck, String> {
    let deadline = scenario.in_seconds(60);
    check_until(scenario, source, deadline)
}

fn fleet(deactivated: &[&str]) -> Vec<(&'static str, bool)> {
    ["svc-1", "svc-2", "svc-3", "svc-4", "svc-5", "svc-free"]
        .map(|name| (name, !deactivated.contains(&name)))
        .to_vec()
}

fn names(names: &[pod_identity_core::DominoName]) -> Vec<&str> {
    names.iter().map(|name| name.as_str()).collect()
}

#[test]
fn who_is_deactivated_in_domino_is_unbound_once_and_reconcile_is_asked() {
    let mut scenario = bound();
    let domino = Domino::of(&fleet(&["svc-2"]));
    let requests = scenario.outcomes("Reconciliation Requested").len();
    let done = check(&mut scenario, &source(&domino)).unwrap();
    assert_eq!(names(&done.unbound), ["svc-2"], "{done:?}");
    assert_eq!(done.found.unassigned, ["svc-free"]);
    assert!(done.failures.is_empty());
    assert_eq!(scenario.outcomes("Reconciliation Requested").len(), requests + 2);

    let writes = |scenario: &Scenario| {
        let world = scenario.ports.world();
        world.calls.iter().filter(|call| call.operation.contains("Write")).count()
    };
    let before = writes(&scenario);
    let again = check(&mut scenario, &source(&domino)).unwrap();
    assert!(again.unbound.is_empty() && again.found.deactivated.is_empty(), "{again:?}");
    assert_eq!(again.found.bound, 4);
    assert_eq!(writes(&scenario), before);

    // Somebody who is assigned again later is bound again.
    scenario.advance(60);
    let at = scenario.now();
    let mut event = scenario.assigned("svc-2", "report");
    event["detail"]["occurredAt"] = serde_json::json!(at.to_string());
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
}

#[test]
fn nothing_is_written_where_it_is_only_to_be_reported() {
    let mut scenario = bound();
    let domino = Domino::of(&fleet(&["svc-2"]));
    let source = DominoSource { unbinds: false, ..source(&domino) };
    let before = scenario.ports.world().ledger.items().count();
    let done = check(&mut scenario, &source).unwrap();
    assert_eq!((names(&done.found.deactivated), done.unbound.len()), (vec!["svc-2"], 0));
    assert_eq!(scenario.ports.world().ledger.items().count(), before);
    assert!(scenario.condition("svc-2", "blue").unwrap().wanted.is_some());
}

#[test]
fn beyond_a_ceiling_nobody_is_unbound() {
    let mut scenario = bound();
    // A fifth of five bindings is one.
    let domino = Domino::of(&fleet(&["svc-2", "svc-3"]));
    let before = scenario.ports.world().ledger.items().count();
    let done = check(&mut scenario, &source(&domino)).unwrap();
    assert!(done.unbound.is_empty() && done.failures.is_empty());
    let doubt = done.found.doubt.unwrap();
    assert_eq!(doubt, DirectoryDoubt::TooMany { deactivated: 2, bound: 5, limit: 1 });
    assert_eq!(scenario.ports.world().ledger.items().count(), before);

    let wider = Ceilings { percent: 40, ..Ceilings::default() };
    let source = DominoSource { ceilings: wider, ..source(&domino) };
    assert_eq!(names(&check(&mut scenario, &source).unwrap().unbound), ["svc-2", "svc-3"]);
}

#[test]
fn empty_lists_and_unknown_names_unbind_nobody() {
    let mut scenario = bound();
    for accounts in [vec![], vec![("svc-1", false)], vec![("somebody", true)]] {
        let domino = Domino::of(&accounts);
        let done = check(&mut scenario, &source(&domino)).unwrap();
        assert!(done.unbound.is_empty(), "{done:?}");
        assert_eq!(done.found.doubt.is_some(), accounts != [("somebody", true)]);
    }
}

#[test]
fn lists_are_read_to_their_end_also_where_domino_takes_fewer_than_are_asked_for() {
    let mut scenario = bound();
    for (most, says, asked) in [(Some(2), true, 3), (None, true, 1), (None, false, 1)] {
        let domino = Domino { most, says, ..Domino::of(&fleet(&[])) };
        let done = check(&mut scenario, &source(&domino)).unwrap();
        assert!(done.found.gone.is_empty() && done.found.deactivated.is_empty(), "{done:?}");
        assert_eq!(domino.asked.borrow().len(), 2 * asked, "{:?}", domino.asked.borrow());
    }
}

#[test]
fn somebody_whom_one_list_has_lost_between_two_parts_is_not_unbound() {
    let mut scenario = bound();
    let domino = Domino::of(&fleet(&[]));
    domino.lost_once.replace(Some("svc-4"));
    let done = check(&mut scenario, &source(&domino)).unwrap();
    assert!(done.unbound.is_empty() && done.found.deactivated.is_empty(), "{done:?}");
    assert_eq!(domino.asked.borrow().len(), 3, "who seems deactivated is looked for again");
}

#[test]
fn a_list_that_is_not_complete_is_an_error_and_unbinds_nobody() {
    let mut scenario = bound();
    let numbered: Vec<(&'static str, bool)> = (0..250).map(|_| ("svc-1", true)).collect();
    let stuck = Domino { stuck: true, says: false, ..Domino::of(&numbered) };
    let why = check(&mut scenario, &source(&stuck)).unwrap_err();
    assert!(why.contains("does not go on"), "{why}");
    let failing = Domino { fails: true, ..Domino::default() };
    let why = check(&mut scenario, &source(&failing)).unwrap_err();
    assert!(why.contains("failed to list service accounts of Domino: it answered 503"), "{why}");
    let good = Domino::of(&fleet(&["svc-2"]));
    let soon = scenario.in_seconds(5);
    let why = check_until(&mut scenario, &source(&good), soon).unwrap_err();
    assert!(why.contains("time was over") && good.asked.borrow().is_empty(), "{why}");
}

#[test]
fn a_binding_that_is_made_while_domino_is_read_stays() {
    let mut scenario = bound();
    let domino = Domino::of(&fleet(&["svc-2"]));
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    // Read before, as an invocation does that is slow to write; the clock of its look is older.
    let slow = scenario.ports.clone();
    let looked_at = scenario.now();
    scenario.advance(10);
    let at = scenario.now();
    let mut event = scenario.assigned("svc-2", "report");
    event["detail"]["occurredAt"] = serde_json::json!(at.to_string());
    let mut sent = Some(event);
    scenario.ports.world().now = looked_at;
    // The assignment arrives between the look at the bindings and the write.
    let settings = scenario.settings.clone();
    let source = source(&domino);
    let mut future = std::pin::pin!(check_domino(
        slow.context(&run, &settings, deadline),
        slow.writers().ledger,
        slow.writers().bus,
        &source
    ));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let done = loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            break done.unwrap();
        }
        if domino.asked.borrow().len() == 3
            && let Some(event) = sent.take()
        {
            scenario.advance(10);
            Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
        }
    };
    assert!(done.unbound.is_empty(), "{done:?}");
    assert!(
        done.failures["svc-2".parse::<pod_identity_core::DominoName>().as_ref().unwrap()]
            .to_string()
            .contains("Superseded")
    );
    assert!(scenario.condition("svc-2", "blue").unwrap().wanted.is_some());
}

fn record(scenario: &mut Scenario, check: &Result<DominoCheck, String>) -> Result<(), String> {
    let check = &check.clone().map_err(Into::into);
    let (run, asked_at) = (scenario.next_run(), scenario.now());
    let ports = &scenario.ports;
    let future = record_domino_check(
        ports.context(&run, &scenario.settings, scenario.in_seconds(60)),
        ports.writers().ledger,
        check,
        asked_at,
    );
    drive(future, || {}).map_err(|error| error.to_string())
}

fn recorded(scenario: &Scenario) -> Option<DominoRecord> {
    let mut view = View::default();
    drive(view.read(&scenario.ports, &[domino_key()]), || {}).unwrap();
    view.get(&domino_key()).unwrap()
}

#[test]
fn a_comparison_is_recorded_and_kept_when_the_next_attempt_fails() {
    let mut scenario = bound();
    let good = check(&mut scenario, &source(&Domino::of(&fleet(&["svc-2"]))));
    let asked_at = scenario.now();
    record(&mut scenario, &good).unwrap();
    let first = recorded(&scenario).unwrap();
    let comparison = first.comparison.clone().unwrap();
    assert_eq!((comparison.asked_at, comparison.bound, &first.failure), (asked_at, 5, &None));
    assert_eq!((comparison.deactivated.total, comparison.unbound.total), (1, 1));
    assert_eq!(comparison.unassigned.names, ["svc-free"]);

    scenario.advance(60);
    let failing = Domino { fails: true, ..Domino::default() };
    let bad = check(&mut scenario, &source(&failing));
    record(&mut scenario, &bad).unwrap();
    let second = recorded(&scenario).unwrap();
    assert_eq!(second.comparison, first.comparison);
    let failure = second.failure.unwrap();
    assert!(failure.asked_at > asked_at && failure.cause.contains("503"), "{failure:?}");

    record(&mut scenario, &good).unwrap();
    assert_eq!(recorded(&scenario).unwrap().failure, None);
}

#[test]
fn a_record_keeps_the_first_names_and_the_total() {
    let mut scenario = bound();
    let mut done = DominoCheck::default();
    done.found.unassigned = (0..5_000).map(|at| format!("{at:0>200}")).collect();
    record(&mut scenario, &Ok(done)).unwrap();
    let unassigned = recorded(&scenario).unwrap().comparison.unwrap().unassigned;
    assert_eq!((unassigned.total, unassigned.names.len()), (5_000, MAX_DOMINO_NAMES));
    assert!(unassigned.names.iter().all(|name| name.len() == 128));
    record(&mut scenario, &Err("x".repeat(5_000))).unwrap();
    assert_eq!(recorded(&scenario).unwrap().failure.unwrap().cause.len(), 1_000);
}

#[test]
fn the_ledger_of_another_deployment_is_neither_compared_nor_written() {
    let mut scenario = bound();
    scenario.settings.plan.deployment = "other".to_owned();
    let domino = Domino::of(&fleet(&["svc-2"]));
    let done = check(&mut scenario, &source(&domino));
    let why = done.as_ref().unwrap_err();
    assert!(why.contains("LEDGER_TABLE"), "{why}");
    assert!(domino.asked.borrow().is_empty());
    assert!(record(&mut scenario, &done).unwrap_err().contains("LEDGER_TABLE"));
    assert_eq!(recorded(&scenario), None);
}

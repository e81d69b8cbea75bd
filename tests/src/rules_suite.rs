//! What the ledger's rules answer, whatever store is beneath them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::Timestamp;
use pod_identity_core::{
    Binding, Change, Clusters, Command, Desired, DominoName, ServiceAccountRef, Version,
};
use pod_identity_engine::ledger::{
    Acceptance, BindingRecord, BindingState, ClaimsRecord, Condition, ConditionState, Decision,
    HistoryOutcome, HistoryRecord, View, WriteSet, accept, binding_key, claims_key,
    condition_prefix, history_key, history_partition, registry_key, service_account_partition,
};
use pod_identity_engine::ports::{LedgerReader, LedgerWriter, WriteError};
use pod_identity_events::RemovalReason;
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + second).unwrap()
}

fn name() -> DominoName {
    "svc-etl".parse().unwrap()
}

fn kubernetes(service_account: &str) -> ServiceAccountRef {
    ServiceAccountRef::new("domino-compute", service_account).unwrap()
}

fn command(second: i64, change: Change) -> Command {
    Command {
        version: Version::new(at(second), format!("e-{second}")),
        detail_type: "test".to_owned(),
        actor: None,
        reason: None,
        change,
    }
}

fn bind(second: i64, service_account: &str) -> Command {
    let cluster = "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap();
    let binding = Binding {
        service_account: name(),
        kubernetes: kubernetes(service_account),
        desired: Desired {
            role: "arn:aws:iam::111122223333:role/etl".parse().unwrap(),
            target_role: None,
            disable_session_tags: false,
            session_policy: None,
        },
        clusters: Clusters::Named([cluster].into()),
    };
    command(second, Change::Bind(binding))
}

fn unbind(second: i64) -> Command {
    let reason = RemovalReason::Unassigned;
    command(second, Change::Unbind { service_account: name(), reason })
}

/// Everything that a decision about [`name`] looks at.
async fn read(reader: &impl LedgerReader, command: &Command) -> View {
    let mut view = View::default();
    let keys = [
        registry_key(),
        binding_key(&name()),
        history_key(name().as_str(), &command.version),
        claims_key(&kubernetes("sa-1")),
        claims_key(&kubernetes("sa-2")),
    ];
    view.read(reader, &keys).await.unwrap();
    let partition = service_account_partition(&name());
    view.query(reader, &partition, condition_prefix()).await.unwrap();
    view
}

fn decide(command: &Command, revision: &str, view: &mut View) -> (Decision, WriteSet) {
    let mut writes = WriteSet::default();
    let original = json!({ "id": revision });
    let acceptance = Acceptance {
        command,
        deployment: "acme",
        original: &original,
        request_id: "request",
        revision,
        now: at(1_000),
        notice_expires_at: at(2_000).as_second(),
        max_names: 20_000,
    };
    let decision = accept(acceptance, view, &mut writes).unwrap();
    (decision, writes)
}

async fn send<R: LedgerReader, W: LedgerWriter>(
    reader: &R,
    writer: &W,
    command: &Command,
    revision: &str,
) -> Decision {
    let mut view = read(reader, command).await;
    let (decision, writes) = decide(command, revision, &mut view);
    writes.commit(reader, writer).await.unwrap();
    decision
}

/// Runs the rules over an empty store.
///
/// # Panics
/// When the store answers otherwise than the rules need.
pub async fn suite<R: LedgerReader, W: LedgerWriter>(reader: &R, writer: &W) {
    // The newest wins and moves the claim; what it leaves is remembered.
    assert_eq!(send(reader, writer, &bind(10, "sa-1"), "r1").await, Decision::Accepted);
    assert_eq!(send(reader, writer, &bind(20, "sa-2"), "r2").await, Decision::Accepted);
    let view = read(reader, &bind(20, "sa-2")).await;
    let claims = |view: &View, service_account: &str| {
        let claims = view.get::<ClaimsRecord>(&claims_key(&kubernetes(service_account)));
        claims.unwrap().unwrap().queue.len()
    };
    assert_eq!((claims(&view, "sa-1"), claims(&view, "sa-2")), (0, 1));
    // The cluster is not registered, so nothing was made at the first place.
    let condition = condition(&view);
    assert_eq!(condition.state, ConditionState::Waiting);
    assert_eq!(condition.wanted, Some(kubernetes("sa-2")));
    assert!(condition.leaving.is_empty());

    // The same again, an older one, and one that was replaced.
    assert_eq!(send(reader, writer, &bind(20, "sa-2"), "r3").await, Decision::Repeated);
    assert_eq!(send(reader, writer, &bind(10, "sa-1"), "r4").await, Decision::AlreadySuperseded);
    let late = send(reader, writer, &unbind(15), "r5").await;
    assert!(matches!(late, Decision::Superseded { ref event_id, .. } if event_id == "e-20"));
    let other = send(reader, writer, &bind(20, "sa-1"), "r6").await;
    assert!(
        matches!(other, Decision::Refused(ref why) if why.contains("something else")),
        "{other:?}"
    );

    // A tombstone stands like a binding, and frees the place.
    assert_eq!(send(reader, writer, &unbind(30), "r7").await, Decision::Accepted);
    let old = send(reader, writer, &bind(25, "sa-1"), "r8").await;
    assert!(matches!(old, Decision::Superseded { .. }));
    let view = read(reader, &unbind(30)).await;
    let binding = view.get::<BindingRecord>(&binding_key(&name())).unwrap().unwrap();
    assert_eq!(binding.state, BindingState::Unbound { reason: RemovalReason::Unassigned });
    assert_eq!((claims(&view, "sa-1"), claims(&view, "sa-2")), (0, 0));

    // The history has all of them, in order of their versions.
    let mut history = View::default();
    let partition = history_partition(name().as_str());
    history.query(reader, &partition, "").await.unwrap();
    let history: Vec<(i64, HistoryOutcome)> = history
        .all::<HistoryRecord>(&partition, "")
        .unwrap()
        .into_iter()
        .map(|stored| {
            let at = stored.version.occurred_at().as_second() - 1_760_000_000;
            (at, stored.outcome)
        })
        .collect();
    let (accepted, superseded) = (HistoryOutcome::Accepted, HistoryOutcome::Superseded);
    let expected =
        [(10, accepted), (15, superseded), (20, accepted), (25, superseded), (30, accepted)];
    assert_eq!(history, expected);

    two_writers(reader, writer).await;
}

fn condition(view: &View) -> Condition {
    let partition = service_account_partition(&name());
    let mut all = view.all::<Condition>(&partition, condition_prefix()).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Of two writers that read the same, one fails and decides again; a write that
/// is repeated because its answer was lost counts as done.
async fn two_writers<R: LedgerReader, W: LedgerWriter>(reader: &R, writer: &W) {
    let (first, second) = (bind(40, "sa-1"), bind(50, "sa-2"));
    let (mut a, mut b) = (read(reader, &first).await, read(reader, &second).await);
    let (_, first_writes) = decide(&first, "r9", &mut a);
    let (_, second_writes) = decide(&second, "r10", &mut b);
    second_writes.commit(reader, writer).await.unwrap();
    let conflict = first_writes.commit(reader, writer).await;
    assert!(matches!(conflict, Err(WriteError::Conflict)), "{conflict:?}");
    second_writes.commit(reader, writer).await.unwrap();
    let again = send(reader, writer, &first, "r11").await;
    assert!(matches!(again, Decision::Superseded { .. }));
}

//! Events that break a rule: on the bus and in the ledger, with their original.

use pod_identity_core::{Json, fingerprint, plain, sha256};
use pod_identity_events::{
    Cause, Outgoing, SCHEMA_VERSION, ServiceAccountEventRejected, detail_type,
};
use serde_json::Value;

use super::Record;
use super::report::{Outcome, RecordReport};
use crate::context::Context;
use crate::error::{Error, chain};
use crate::ledger::{
    CountRecord, LedgerError, MAX_REJECTED, NoticeKind, NoticeRecord, View, WriteSet,
    notice_count_key, notice_key,
};
use crate::original;
use crate::outcome::time;
use crate::ports::{Bus, LedgerWriter, WriteError};
use crate::publish::publish;

/// Longest reason. A parser quotes the value that it stumbles over, however
/// long that is, and a rejection that does not fit its event is refused for ever.
const MAX_REASON_BYTES: usize = 2 * 1024;

/// One refused record.
pub(super) struct Rejection {
    at: usize,
    reasons: Vec<String>,
    event_id: Option<String>,
    /// For the bus, where JSON is JSON.
    original: Value,
    /// For the ledger.
    text: String,
    cut: bool,
    bytes: usize,
    sha256: String,
}

impl Rejection {
    /// `parsed` is what the text holds, when it is JSON.
    pub(super) fn new(at: usize, text: &str, parsed: Option<Json>, reasons: Vec<String>) -> Self {
        let event_id = parsed
            .as_ref()
            .and_then(|json| json.value.pointer("/detail/eventId")?.as_str())
            .filter(|id| id.len() <= 128)
            .map(str::to_owned);
        let kept = original::kept(text);
        Self {
            at,
            reasons: reasons.into_iter().map(short).collect(),
            event_id,
            // As JSON it would show one of two members with the same key only.
            original: original::shown(text, parsed.and_then(|json| json.unique().ok())),
            text: kept.to_owned(),
            cut: kept.len() < text.len(),
            bytes: text.len(),
            sha256: sha256(text.as_bytes()),
        }
    }
}

fn short(reason: String) -> String {
    let reason = plain(&reason);
    if reason.len() <= MAX_REASON_BYTES {
        return reason;
    }
    let beginning = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
    format!("{beginning}... ({} bytes)", reason.len())
}

/// Records rejections. One that could not be recorded fails, so that it is
/// delivered again: it is never silently lost.
pub(super) async fn reject(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    bus: &dyn Bus,
    records: &[Record],
    rejections: Vec<Rejection>,
) -> Vec<(usize, RecordReport)> {
    let events: Vec<Outgoing> = rejections.iter().map(|one| event(context, one)).collect();
    let sent = publish(bus, context.clock, &events).await;
    let mut day = View::default();
    let counted = notice_count_key(NoticeKind::Rejected, context.clock.now(), "ALL");
    let read = match rejections.is_empty() {
        true => Ok(()),
        false => day.read(context.ledger, &[counted]).await,
    };
    let read = read.map_err(Error::from);
    let mut reports = Vec::new();
    for (rejection, sent) in rejections.into_iter().zip(sent) {
        let kept = match sent {
            Ok(()) if context.deadline_reached() => Err(context.deadline_error()),
            Ok(()) => match &read {
                Ok(()) => keep(context, writer, &rejection, &mut day).await,
                Err(why) => Err(why.clone()),
            },
            Err(why) => {
                Err(format!("event {} was not sent: {why}", detail_type::EVENT_REJECTED).into())
            }
        };
        let (outcome, lines) = match kept {
            Ok(()) => (Outcome::Rejected, rejection.reasons),
            Err(why) => (Outcome::Failed, vec![why.to_string()]),
        };
        let report = RecordReport {
            id: records[rejection.at].id.clone(),
            event_id: rejection.event_id,
            detail_type: None,
            service_account: None,
            outcome,
            lines,
            waits_until: None,
        };
        reports.push((rejection.at, report));
    }
    reports
}

fn event(context: &Context<'_>, rejection: &Rejection) -> Outgoing {
    ServiceAccountEventRejected {
        schema_version: SCHEMA_VERSION,
        event_id: fingerprint([detail_type::EVENT_REJECTED, &rejection.sha256]),
        occurred_at: time(context.clock.now()),
        cause: Cause {
            event_id: rejection.event_id.clone(),
            request_id: context.run.request_id().to_owned(),
        },
        reasons: rejection.reasons.clone(),
        original_bytes: u64::try_from(rejection.bytes).unwrap_or(u64::MAX),
        original_sha256: rejection.sha256.clone(),
        original: rejection.original.clone(),
        original_truncated: rejection.cut,
    }
    .into()
}

async fn keep(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    rejection: &Rejection,
    day: &mut View,
) -> Result<(), Error> {
    let now = context.clock.now();
    let failed = |error: LedgerError| chain(&error);
    let counted = notice_count_key(NoticeKind::Rejected, now, "ALL");
    let count = day.get::<CountRecord>(&counted).map_err(failed)?;
    let count = count.map_or(0, |stored| stored.count);
    // They cost nothing to send. The bus has each of them whole.
    let original = match count < MAX_REJECTED {
        true => rejection.text.clone(),
        false => format!("sha256 {} of {} bytes", rejection.sha256, rejection.bytes),
    };
    let notice = NoticeRecord {
        kind: NoticeKind::Rejected,
        reasons: rejection.reasons.clone(),
        original,
        recorded_at: now,
        request_id: context.run.request_id().to_owned(),
    };
    let mut writes = WriteSet::default();
    let key = notice_key(NoticeKind::Rejected, now, &rejection.sha256);
    let expires_at = Some(context.settings.notice_expires_at(now));
    let revision = context.run.revision();
    writes.put_anyway(&mut View::default(), key, &notice, &revision, expires_at).map_err(failed)?;
    let next = CountRecord { count: count.saturating_add(1) };
    writes.put_anyway(day, counted, &next, &revision, expires_at).map_err(failed)?;
    match writes.commit(context.ledger, writer).await {
        Ok(()) => Ok(()),
        Err(WriteError::Conflict) => Err("the rejection is being written by somebody else".into()),
        Err(WriteError::Port(error)) => Err(error.into()),
    }
}

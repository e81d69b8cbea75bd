//! What was refused or overtaken, with reasons and the original event.

use jiff::{SignedDuration, Timestamp};
use pod_identity_engine::chain;
use pod_identity_engine::ledger::{NoticeKind, NoticeRecord, View, notice_partition};
use pod_identity_engine::ports::{Clock, KubernetesReader};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::desk::{Desk, Looks};
use crate::request::{Action, Request};
use crate::table::Table;

/// Most days of one question: one query each.
const MOST_DAYS: u32 = 31;

pub(super) const REJECTED: Action = Action {
    name: "rejected",
    what: "events that broke a rule, with the rules and the event to correct and send again",
    fields: FIELDS,
    changes: false,
    example: include_str!("../../../../events/samples/admin/rejected.json"),
};

pub(super) const SUPERSEDED: Action = Action {
    name: "superseded",
    what: "events that a newer one preceded, with the event as it came",
    fields: FIELDS,
    changes: false,
    example: include_str!("../../../../events/samples/admin/superseded.json"),
};

const FIELDS: &[(&str, &str)] = &[
    ("days", "optional: how many days back, today included; 7 by default, 31 at most"),
    ("limit", "optional: most entries, 20 by default; the newest are shown"),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    days: Option<u32>,
    limit: Option<usize>,
}

pub(super) async fn answer(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let asked: Asked = request.fields()?;
    let days = asked.days.unwrap_or(7);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(request.wrong(format!("days is 1 to {MOST_DAYS}, not {days}")));
    }
    let kind = match request.action.name {
        "rejected" => NoticeKind::Rejected,
        _ => NoticeKind::Superseded,
    };
    let mut found: Vec<NoticeRecord> = Vec::new();
    for back in 0..days {
        let partition = notice_partition(kind, day(desk.clock.now(), back));
        let mut view = View::default();
        view.query(desk.reader, &partition, "").await.map_err(|error| chain(&error))?;
        let all = view.all::<NoticeRecord>(&partition, "").map_err(|error| chain(&error))?;
        found.extend(all.into_iter().map(|stored| stored.record));
    }
    let known = found.len();
    found.sort_by(|a, b| b.recorded_at.cmp(&a.recorded_at).then(a.original.cmp(&b.original)));
    found.truncate(asked.limit.unwrap_or(20));
    let mut table = Table::new(&["recorded", "why", "request"]);
    for notice in &found {
        table.row([
            notice.recorded_at.to_string(),
            notice.reasons.join("; "),
            notice.request_id.clone(),
        ]);
    }
    let (word, way_out) = match kind {
        NoticeKind::Rejected => (
            "rejected",
            "Correct `original` by its reasons, and send it with a new eventId and the present time.",
        ),
        NoticeKind::Superseded => (
            "superseded",
            "If one was to have its effect, send `original` again with a new eventId and the present time.",
        ),
    };
    let mut text = format!("{known} events {word} within {days} days.\n");
    if known > 0 {
        text += &format!("{way_out}\n\n{table}");
    }
    let notices: Vec<Value> = found
        .iter()
        .map(|notice| {
            // As it was sent, where it was JSON: ready to be corrected.
            let original: Value =
                serde_json::from_str(&notice.original).unwrap_or_else(|_| json!(notice.original));
            json!({
                "recordedAt": notice.recorded_at,
                "reasons": notice.reasons,
                "requestId": notice.request_id,
                "original": original,
            })
        })
        .collect();
    Ok(Answer::of(text).with("notices", json!(notices)).with("known", json!(known)))
}

fn day(now: Timestamp, back: u32) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * i64::from(back))).unwrap_or(now)
}

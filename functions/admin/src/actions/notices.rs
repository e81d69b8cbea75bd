//! What was refused or overtaken, with reasons and the original event, ready to be sent again.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use pod_identity_core::parse_unique;
use pod_identity_engine::ledger::{NoticeKind, NoticeRecord, View, notice_partition};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::context::AdminContext;
use crate::request::{Action, Request};
use crate::table::Table;

/// Most days of one question: one query each.
const MOST_DAYS: i32 = 31;

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
    ("days", "optional: how many days back; 7 by default, 31 at most"),
    (
        "before",
        "optional: only days before this date, such as 2026-11-01 (UTC); today is the last by default",
    ),
    ("limit", "optional: most entries, 20 by default; the newest are shown"),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NoticesParams {
    days: Option<i32>,
    before: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn answer(admin: &AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
    let params: NoticesParams = request.fields()?;
    let days = params.days.unwrap_or(7);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(request.wrong(format!("days is 1 to {MOST_DAYS}, not {days}")));
    }
    let now = admin.clock.now();
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    let last = match params.before {
        Some(before) => match before.parse() {
            Ok(before) => back(before, 1),
            Err(_) => {
                let why = format!("before is a date such as {today}, not `{before}`");
                return Err(request.wrong(why));
            }
        },
        None => today,
    };
    let first = back(last, days - 1);
    let kind = match request.action.name {
        "rejected" => NoticeKind::Rejected,
        _ => NoticeKind::Superseded,
    };
    let mut found: Vec<NoticeRecord> = Vec::new();
    for day in (0..days).map(|days| back(last, days)) {
        admin.check_deadline()?;
        let partition = notice_partition(kind, midnight(day));
        let mut view = View::default();
        view.query(admin.ledger, &partition, "").await?;
        let all = view.all::<NoticeRecord>(&partition, "")?;
        found.extend(all);
    }
    let known = found.len();
    found.sort_by(|a, b| b.recorded_at.cmp(&a.recorded_at).then(a.original.cmp(&b.original)));
    found.truncate(params.limit.unwrap_or(20));
    let notices: Vec<Notice> =
        found.into_iter().map(|record| Notice::of(record, admin.deployment.bus)).collect();

    let word = match kind {
        NoticeKind::Rejected => "rejected",
        NoticeKind::Superseded => "superseded",
    };
    let mut text = format!("{known} events were {word} from {first} to {last} (UTC).\n");
    if known > notices.len() {
        text += &format!("The newest {} are shown; raise limit.\n", notices.len());
    }
    let kept = admin.settings.notice_retention;
    let oldest =
        now.checked_sub(kept).unwrap_or(Timestamp::MIN).to_zoned_datetime(TimeZone::UTC).date();
    let next = (oldest < first).then_some(first);
    if let Some(next) = next {
        let days = kept.as_secs() / (24 * 60 * 60);
        text += &format!(
            "They are kept for {days} days. Those before: ask again with \"before\": \"{next}\".\n"
        );
    }
    if !notices.is_empty() {
        text += &format!("\n{}\n{}", table(&notices), remediation(kind));
    }
    let notices: Vec<Value> = notices.into_iter().map(Notice::data).collect();
    Ok(Answer::of(text)
        .with("notices", json!(notices))
        .with("known", json!(known))
        .with("from", json!(first))
        .with("to", json!(last))
        .with("next", json!(next)))
}

/// An event that changed nothing, as it was and as it can be sent again.
struct Notice {
    record: NoticeRecord,
    /// JSON, where it was JSON.
    original: Value,
    /// For PutEvents; none where the original is no whole event.
    entry: Option<Value>,
}

impl Notice {
    fn of(record: NoticeRecord, bus: &str) -> Self {
        // One with a key twice is shown as its text: as JSON it would show one of the two only.
        let parsed = parse_unique(&record.original).ok();
        let entry = parsed.as_ref().and_then(|event| entry(event, bus));
        let original = parsed.unwrap_or_else(|| json!(record.original));
        Self { record, original, entry }
    }

    /// Which event it was, as far as that can be told.
    fn event(&self) -> String {
        let text = |at: &str| self.original.pointer(at).and_then(Value::as_str);
        let of = [text("/detail-type"), text("/detail/eventId")];
        of.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn data(self) -> Value {
        let Self { record, original, entry } = self;
        json!({
            "recordedAt": record.recorded_at,
            "reasons": record.reasons,
            "requestId": record.request_id,
            "original": original,
            "entry": entry,
        })
    }
}

/// What a sender puts on the bus for an event to come once more: EventBridge makes the rest of the
/// envelope.
fn entry(event: &Value, bus: &str) -> Option<Value> {
    let (source, kind) = (event.get("source")?.as_str()?, event.get("detail-type")?.as_str()?);
    let detail = event.get("detail")?.as_object()?;
    Some(json!({
        "EventBusName": bus,
        "Source": source,
        "DetailType": kind,
        "Detail": json!(detail).to_string(),
    }))
}

fn table(notices: &[Notice]) -> Table {
    let mut table = Table::new(&["notice", "recorded", "event", "why", "request"]);
    for (at, notice) in notices.iter().enumerate() {
        table.row([
            at.to_string(),
            notice.record.recorded_at.to_string(),
            notice.event(),
            notice.record.reasons.join("; "),
            notice.record.request_id.clone(),
        ]);
    }
    table
}

fn remediation(kind: NoticeKind) -> String {
    let what = match kind {
        NoticeKind::Rejected => {
            "To send one again, correct it by its reasons: `original` is the event as it came, `entry` the same for PutEvents."
        }
        NoticeKind::Superseded => {
            "If one was to have its effect, send it again: `original` is the event as it came, `entry` the same for PutEvents."
        }
    };
    // The version of a change is its time and its id, and the latest wins.
    format!(
        "{what} With this answer in answer.json, notice 0 is sent with a new eventId and the present time by:\n\n  \
         jq '[.notices[0].entry | .Detail |= (fromjson | .eventId = .eventId[:122] + \"-again\" | .occurredAt = (now | todate) | tojson)]' answer.json > entries.json\n  \
         aws events put-events --entries file://entries.json\n\n\
         That is for whoever may send as its source (parameters AutomationSenders and AdministrationSenders). PutEvents answers\n  \
         with success even where it refuses: FailedEntryCount has to be 0.\n"
    )
}

fn back(day: Date, days: i32) -> Date {
    day.saturating_sub(Span::new().days(days))
}

fn midnight(day: Date) -> Timestamp {
    day.to_zoned_datetime(TimeZone::UTC).map_or(Timestamp::MIN, |day| day.timestamp())
}

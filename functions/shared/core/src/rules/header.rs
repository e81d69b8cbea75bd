//! What every incoming event says: id, time, who and why.

use jiff::{SignedDuration, Timestamp};
use pod_identity_events::{Incoming, MAX_EVENT_ID_CHARS, MAX_REMARK_CHARS};

use super::broken::BrokenRules;
use crate::Version;

/// How far a sender's clock may be ahead, in minutes. A time that lies further
/// ahead would shut out every later change until then.
pub const MAX_MINUTES_AHEAD: i64 = 5;

pub(super) fn version(
    incoming: &Incoming,
    now: Timestamp,
    broken: &mut BrokenRules,
) -> Option<Version> {
    let id = incoming.event_id();
    let id_fits = (1..=MAX_EVENT_ID_CHARS).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !id_fits {
        broken.rule(format!(
            "detail.eventId `{id}` is not 1 to {MAX_EVENT_ID_CHARS} visible ASCII characters without `#`"
        ));
    }
    let text = incoming.occurred_at();
    let Some(at) = rfc3339(text) else {
        broken.rule(format!(
            "detail.occurredAt `{text}` is not an RFC 3339 time such as `2026-11-02T09:00:00.000Z`"
        ));
        return None;
    };
    if at < Timestamp::UNIX_EPOCH {
        broken.rule(format!("detail.occurredAt `{text}` is before 1970-01-01T00:00:00Z"));
    }
    if at.duration_since(now) > SignedDuration::from_mins(MAX_MINUTES_AHEAD) {
        broken.rule(format!(
            "detail.occurredAt `{text}` is in the future by more than {MAX_MINUTES_AHEAD} minutes"
        ));
    }
    Some(Version::new(at, id))
}

pub(super) fn remark(field: &str, text: Option<&str>, broken: &mut BrokenRules) {
    let length = text.map_or(0, |text| text.chars().count());
    if length > MAX_REMARK_CHARS {
        broken.rule(format!(
            "detail.{field} has {length} characters; at most {MAX_REMARK_CHARS} are taken"
        ));
    }
}

/// jiff also takes times that RFC 3339 does not know, such as `2026-11-02T09Z` or one with `[Zone]`.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|char: char| char.is_ascii_digit());
            (offset.len() < fraction.len()).then_some(offset)?
        }
        None => rest,
    };
    let fits = is_like(date_time, "0000-00-00T00:00:00")
        && (is_like(offset, "Z") || is_like(offset, "+00:00") || is_like(offset, "-00:00"));
    // An hour of 24 and a minute of 60 are no offset, though a lenient reader takes them.
    let (hours, minutes) =
        offset.get(1..).and_then(|at| at.split_once(':')).unwrap_or(("00", "00"));
    if fits && hours < "24" && minutes < "60" { text.parse().ok() } else { None }
}

/// Whether a text has a digit wherever the model has `0`, and else the model's own characters.
fn is_like(text: &str, model: &str) -> bool {
    text.len() == model.len()
        && text.bytes().zip(model.bytes()).all(|(byte, model)| match model {
            b'0' => byte.is_ascii_digit(),
            _ => byte.eq_ignore_ascii_case(&model),
        })
}

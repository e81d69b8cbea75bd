//! A preflight as people read it, and as data.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use pod_identity_core::DominoName;
use serde_json::{Value, json};

use super::look::BothClusters;
use super::progress::Progress;
use super::reason::Reason;
use super::verdict::MigrationVerdict;
use crate::table::Table;

/// Most rows of one table; all are in the data.
const ROWS: usize = 200;
/// Most bytes of the words on verdicts, so that every verdict fits what Lambda answers: a cluster has
/// at most 5,000 associations.
const MOST_BYTES: usize = 2_000_000;

/// What a preflight found.
pub(super) struct Preflight {
    pub(super) seen: BothClusters,
    pub(super) verdicts: BTreeMap<DominoName, MigrationVerdict>,
    pub(super) findings: Vec<Reason>,
    pub(super) staying: BTreeMap<DominoName, Reason>,
    /// Whether green is not registered like that yet.
    pub(super) is_new: bool,
}

impl Reason {
    fn line(&self) -> String {
        match self.remediation.as_str() {
            "" => self.why.clone(),
            remediation => format!("{}; {remediation}", self.why),
        }
    }
}

impl Preflight {
    fn count(&self, fits: impl Fn(&MigrationVerdict) -> bool) -> usize {
        self.verdicts.values().filter(|verdict| fits(verdict)).count()
    }

    fn counts(&self) -> (usize, usize, usize) {
        (
            self.count(|verdict| *verdict == MigrationVerdict::Ready),
            self.count(|verdict| matches!(verdict, MigrationVerdict::Breaks(_))),
            self.count(|verdict| matches!(verdict, MigrationVerdict::Unknown(_))),
        )
    }

    pub(super) fn words(&self, progress: &Progress) -> String {
        let (blue, green) = (self.seen.blue.name(), self.seen.green.name());
        let (ready, breaks, unknown) = self.counts();
        let registered = if self.is_new { "would be registered" } else { "is registered" };
        let mut text = format!(
            "Migration from cluster {blue} to {green}, which {registered} (mode is plan, nothing was done).\n\n{} service accounts work on {blue} and are meant for {green}: {ready} ready, {breaks} will break, {unknown} unknown.\n",
            self.verdicts.len()
        );
        text += &progress.words(green);
        text += &self.not_ready();
        let (_, left_out) = verdicts_data(&self.verdicts, MOST_BYTES);
        if left_out > 0 {
            text += &format!(
                "! Of {left_out} verdicts the data of this answer says neither why nor the remediation: it would be longer than Lambda answers. Repair the others and ask again, or ask explain.\n"
            );
        }
        for finding in &self.findings {
            text += &format!("! {}\n", finding.line());
        }
        text += &self.left_behind();
        text + &self.next_steps()
    }

    fn not_ready(&self) -> String {
        let not_ready = self.verdicts.iter().filter_map(|(name, verdict)| {
            let word = match verdict {
                MigrationVerdict::Ready => return None,
                MigrationVerdict::Breaks(_) => "will break",
                MigrationVerdict::Unknown(_) => "unknown",
            };
            Some([name.to_string(), word.to_owned(), verdict.words()?.line()])
        });
        match rows(&["service account", "verdict", "reason"], not_ready) {
            table if table.is_empty() => table,
            table => format!("\n{table}\n"),
        }
    }

    fn left_behind(&self) -> String {
        let (blue, green) = (self.seen.blue.name(), self.seen.green.name());
        let mut text = String::new();
        if !self.staying.is_empty() {
            text +=
                &format!("\nWork on {blue} and are not meant for {green}: they will not follow.\n");
            let staying = self.staying.iter().map(|(name, it)| [name.to_string(), it.line()]);
            text += &rows(&["service account", "because it"], staying);
        }
        match &self.seen.left_on_blue {
            Err(why) => {
                text += &format!("\nWhat others have on {blue} is unknown: {why}\n");
            }
            Ok(left) if left.is_empty() => {}
            Ok(left) => {
                text += &format!(
                    "\nAssociations on {blue} that are not this deployment's stay behind. Whoever made them makes them on {green}; or take them over first with action adopt, except those of add-ons.\n"
                );
                let left = left.iter();
                let left = left.map(|one| [one.place.clone(), one.whose.clone(), one.role.clone()]);
                text += &rows(&["kubernetes", "whose", "role"], left);
            }
        }
        text
    }

    fn next_steps(&self) -> String {
        let (blue, green) = (self.seen.blue.name(), self.seen.green.name());
        let (_, breaks, unknown) = self.counts();
        let mut steps = Vec::new();
        if breaks > 0 {
            steps.push(format!("repair what will break, then ask again: whoever is not repaired is blocked on {green} and keeps no other waiting"));
        }
        if unknown > 0 {
            steps.push("find out about what is unknown".to_owned());
        }
        if !self.staying.is_empty() {
            steps.push(format!("bind those that do not follow for {green} as well"));
        }
        steps.push("invoke this again with mode apply".to_owned());
        steps.push(format!("ask again with mode plan until all is ready on {green}"));
        steps.push(format!(
            "move the workloads, then {{\"action\": \"retire\", \"cluster\": \"{blue}\", \"mode\": \"apply\"}}"
        ));
        let lines = steps.iter().enumerate().map(|(at, step)| format!("  {}. {step}\n", at + 1));
        format!("\nNext:\n{}", lines.collect::<String>())
    }

    pub(super) fn data(&self) -> Value {
        let (ready, breaks, unknown) = self.counts();
        let words =
            |words: &Reason| json!({ "reason": words.why, "remediation": words.remediation });
        let (verdicts, left_out) = verdicts_data(&self.verdicts, MOST_BYTES);
        let (left, unknown_left) = match &self.seen.left_on_blue {
            Ok(left) => (Some(left), None),
            Err(why) => (None, Some(why)),
        };
        let left = left.map(|left| {
            let one = |one: &super::look::Left| {
                json!({ "kubernetes": one.place, "roleArn": one.role, "whose": one.whose })
            };
            left.iter().map(one).collect::<Vec<_>>()
        });
        let staying = self.staying.iter().map(|(name, Reason { why, remediation })| {
            json!({ "serviceAccount": name, "reason": why, "remediation": remediation })
        });
        json!({
            "from": self.seen.blue,
            "to": self.seen.green,
            "counts": { "ready": ready, "willBreak": breaks, "unknown": unknown },
            "verdicts": verdicts,
            "verdictsWithoutWords": left_out,
            "findings": self.findings.iter().map(words).collect::<Vec<_>>(),
            "staying": staying.collect::<Vec<_>>(),
            "leftBehind": left,
            "leftBehindUnknown": unknown_left,
        })
    }
}

/// The verdict of every binding, and of how many there was no room for the words.
fn verdicts_data(
    verdicts: &BTreeMap<DominoName, MigrationVerdict>,
    mut bytes: usize,
) -> (Vec<Value>, usize) {
    let mut left_out = 0;
    let one = |(name, verdict): (&DominoName, &MigrationVerdict)| {
        let word = match verdict {
            MigrationVerdict::Ready => "ready",
            MigrationVerdict::Breaks(_) => "willBreak",
            MigrationVerdict::Unknown(_) => "unknown",
        };
        let mut row = json!({ "serviceAccount": name, "verdict": word });
        if let Some(Reason { why, remediation }) = verdict.words() {
            match bytes.checked_sub(why.len() + remediation.len()) {
                None => left_out += 1,
                Some(rest) => {
                    bytes = rest;
                    row["reason"] = json!(why);
                    row["remediation"] = json!(remediation);
                }
            }
        }
        row
    };
    let all = verdicts.iter().map(one).collect();
    (all, left_out)
}

/// A table of the first rows, and how many there are beside them; nothing where there is none.
fn rows<const N: usize>(header: &[&str], all: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new(header);
    let mut more = 0;
    for row in all {
        if table.len() < ROWS {
            table.row(row);
        } else {
            more += 1;
        }
    }
    match (table.len(), more) {
        (0, _) => String::new(),
        (_, 0) => table.to_string(),
        (_, more) => format!("{table}and {more} more, see the data of this answer\n"),
    }
}

//! Lines of a checklist, and the sentence that sums them up.

use pod_identity_core::ClusterArn;
use serde::Serialize;
use serde_json::{Value, json};

/// How a link of the chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum LinkState {
    Ok,
    Broken,
    /// Nobody can say.
    Unknown,
}

impl LinkState {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }
}

/// What a broken link does to pods; what explains most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LinkEffect {
    /// They have credentials still, and should have none.
    Left,
    /// They get no credentials.
    None,
    /// They get other credentials than they should.
    Other,
    /// They get none, because nothing was done yet or something is in the way.
    Waits,
    /// They get none, which follows from that.
    Follows,
    /// Some of them are not as they should be, or it will not stay as it is.
    Some,
    /// It only tells what another link does.
    Told,
    /// Nothing is wrong, and it was not seen to work.
    Unproven,
}

/// One link of the chain.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) check: String,
    pub(super) verdict: LinkState,
    pub(super) effect: LinkEffect,
    pub(super) evidence: String,
    pub(super) remediation: Option<String>,
}

impl Link {
    pub(super) fn ok(check: impl Into<String>, evidence: impl Into<String>) -> Self {
        let (verdict, effect) = (LinkState::Ok, LinkEffect::Told);
        let (check, evidence) = (check.into(), evidence.into());
        Self { check, verdict, effect, evidence, remediation: None }
    }

    pub(super) fn broken(
        check: impl Into<String>,
        effect: LinkEffect,
        evidence: impl Into<String>,
        remediation: impl Into<String>,
    ) -> Self {
        let remediation = Some(remediation.into());
        Self { verdict: LinkState::Broken, effect, remediation, ..Self::ok(check, evidence) }
    }

    pub(super) fn unknown(check: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { verdict: LinkState::Unknown, ..Self::ok(check, evidence) }
    }

    /// Nothing is wrong with it, and nothing shows that it works.
    pub(super) fn unproven(check: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { effect: LinkEffect::Unproven, ..Self::unknown(check, evidence) }
    }

    pub(super) fn remediation(self, remediation: impl Into<String>) -> Self {
        Self { remediation: Some(remediation.into()), ..self }
    }

    fn data(&self, cluster: &ClusterArn) -> Value {
        json!({
            "cluster": cluster,
            "check": self.check,
            "verdict": self.verdict,
            "evidence": self.evidence,
            "remediation": self.remediation,
        })
    }
}

/// All links of one subject on one cluster.
#[derive(Debug)]
pub(super) struct Checklist {
    pub(super) cluster: ClusterArn,
    pub(super) lines: Vec<Link>,
}

impl Checklist {
    /// Whether all of it works; none when that is not known.
    pub(super) fn works(&self) -> Option<bool> {
        let is = |verdict: LinkState| self.lines.iter().any(|line| line.verdict == verdict);
        match () {
            () if is(LinkState::Broken) => Some(false),
            () if is(LinkState::Unknown) => None,
            () => Some(true),
        }
    }

    /// Whether nothing is wrong, and it was not seen to work.
    pub(super) fn is_unproven(&self) -> bool {
        let unproven =
            |line: &Link| line.verdict == LinkState::Ok || line.effect == LinkEffect::Unproven;
        self.works().is_none() && self.lines.iter().all(unproven)
    }

    /// The answer in one sentence, without a full stop.
    pub(super) fn headline(&self, subject: &str) -> String {
        let cluster = self.cluster.name();
        let wrong = || self.lines.iter().filter(|line| line.verdict != LinkState::Ok);
        let broken = || wrong().filter(|line| line.verdict == LinkState::Broken);
        let unknown = || wrong().min_by_key(|line| line.effect);
        let Some(line) = broken().min_by_key(|line| line.effect).or_else(unknown) else {
            return format!("{subject} works on {cluster}");
        };
        let Link { evidence, verdict, effect, .. } = line;
        // What keeps the right ones away is the cause, also where pods have others meanwhile.
        let other = broken().any(|line| line.effect == LinkEffect::Other);
        let how = match (verdict, effect) {
            (LinkState::Unknown, _) => {
                format!("whether {subject} works on {cluster} is not known: {evidence}")
            }
            (_, LinkEffect::Left) => {
                format!("{subject} still has credentials on {cluster}: {evidence} (broken)")
            }
            (_, LinkEffect::None | LinkEffect::Waits | LinkEffect::Follows) if !other => {
                format!("{subject} has no credentials on {cluster}: {evidence} (broken)")
            }
            (_, LinkEffect::None | LinkEffect::Waits | LinkEffect::Follows | LinkEffect::Other) => {
                format!(
                    "{subject} has other credentials than it should on {cluster}: {evidence} (broken)"
                )
            }
            (_, LinkEffect::Some) => {
                format!("{subject} works on {cluster}, but not all is well: {evidence} (broken)")
            }
            (_, LinkEffect::Told | LinkEffect::Unproven) => {
                format!("{subject} is not ready on {cluster}: {evidence} (broken)")
            }
        };
        match wrong().count() - 1 {
            0 => how,
            1 => format!("{how}; 1 more line"),
            others => format!("{how}; {others} more lines"),
        }
    }

    pub(super) fn text(&self) -> String {
        let width =
            self.lines.iter().map(|line| line.check.chars().count()).max().unwrap_or_default();
        let mut text = format!("cluster {}\n", self.cluster.name());
        for line in &self.lines {
            let Link { check, verdict, evidence, remediation, .. } = line;
            let word = verdict.word();
            text += &format!("  {word:7}  {check:width$}  {}\n", one_line(evidence));
            if let Some(remediation) = remediation {
                text += &format!("  {:7}  {:width$}  -> {}\n", "", "", one_line(remediation));
            }
        }
        text
    }

    pub(super) fn data(&self) -> impl Iterator<Item = Value> {
        self.lines.iter().map(|line| line.data(&self.cluster))
    }
}

/// A line feed would break the checklist.
fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

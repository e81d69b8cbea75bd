//! The variables, one after the other, with their rules.

use std::ops::RangeInclusive;
use std::time::Duration;

use pod_identity_core::{Pattern, Rules, ServiceAccountRef};

use super::{Calls, SettingProblem, Settings, SettingsError, TrustMode};

const DAY: u64 = 24 * 60 * 60;

impl Settings {
    /// Reads variables from anywhere. An empty variable counts as absent.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut vars = Variables { get, problems: Vec::new() };
        let deployment_id = vars.required(
            "DEPLOYMENT_ID",
            "1 to 32 lower case letters, digits and `-`, beginning with a letter and not ending with `-`",
            is_deployment_id,
        );
        let ledger_table = vars.required(
            "LEDGER_TABLE",
            "the name of a DynamoDB table, 3 to 255 letters, digits and `_.-`, or its ARN",
            |text| is_arn(text) || is_name(text, 3..=255, b"_.-"),
        );
        let event_bus = vars.text(
            "EVENT_BUS",
            "domino-pod-identity",
            "the name of an event bus, 1 to 256 letters, digits and `_.-/`, or its ARN",
            |text| is_arn(text) || is_name(text, 1..=256, b"_.-/"),
        );
        let region = vars.required(
            "AWS_REGION",
            "the name of an AWS region, such as `eu-west-1`",
            is_region,
        );
        let rules = vars.rules(&region);
        let external_id = vars.value("ASSUME_ROLE_EXTERNAL_ID");
        if let Some(id) = external_id.as_deref().filter(|id| !is_name(id, 2..=1224, b"_+=,.@:/-")) {
            vars.problem(
                "ASSUME_ROLE_EXTERNAL_ID",
                "an external id, 2 to 1224 letters, digits and `_+=,.@:/-`",
                Some(id),
            );
        }
        let trust =
            vars.choice("TRUST", &[("enforce", TrustMode::Enforce), ("warn", TrustMode::Warn)]);
        let strict = vars.choice("NODE_POLICY", &[("record", false), ("strict", true)]);
        let cluster_statement =
            vars.choice("CLUSTER_STATEMENT", &[("true", true), ("false", false)]);
        if strict && cluster_statement {
            vars.problem(
                "NODE_POLICY",
                "`record` (strict needs CLUSTER_STATEMENT=false, because the cluster statement \
                 admits every association)",
                Some("strict"),
            );
        }
        let policy_slots = vars.number("NODE_ROLE_POLICY_SLOTS", 10, 1..=20);
        let max_deletions = vars.number("MAX_DELETIONS", 50, 0..=u32::MAX);
        let max_recreations = vars.number("MAX_RECREATIONS", 10, 0..=u32::MAX);
        let max_names = vars.number("MAX_NAMES", 20_000, 1..=100_000);
        let concurrency = vars.number("CONCURRENCY", 8, 1..=64);
        let (calls, lease) = vars.calls_and_lease();
        let deadline_margin = vars.millis("DEADLINE_MARGIN_MS", 3000, 0..=900_000);
        let notice_days = vars.number("NOTICE_DAYS", 90, 1..=3650);
        let trims = vars.choice("TRIM", &[("on", true), ("off", false)]);
        let trim_minutes = vars.number("TRIM_AFTER_MINUTES", 60, 1..=43_200);
        let plan_only = vars.choice("RECONCILE", &[("apply", false), ("plan", true)]);
        let read_only = vars.choice("ADMIN", &[("apply", false), ("read", true)]);
        let own_roles = vars.patterns("OWN_ROLES", "role", false);
        if !vars.problems.is_empty() {
            return Err(SettingsError { problems: vars.problems });
        }
        Ok(Self {
            deployment_id,
            ledger_table,
            event_bus,
            external_id,
            region,
            rules,
            trust,
            strict,
            cluster_statement,
            policy_slots,
            max_deletions: usize::try_from(max_deletions).unwrap_or(usize::MAX),
            max_recreations: usize::try_from(max_recreations).unwrap_or(usize::MAX),
            max_names: usize::try_from(max_names).unwrap_or(usize::MAX),
            concurrency: usize::try_from(concurrency).unwrap_or(1),
            lease,
            calls,
            deadline_margin,
            notice_retention: Duration::from_secs(u64::from(notice_days) * DAY),
            trim_after: trims.then(|| Duration::from_secs(u64::from(trim_minutes) * 60)),
            plan_only,
            read_only,
            own_roles,
        })
    }
}

/// Reads variables and remembers what is wrong. Where something is, what is
/// returned keeps the rule or is empty, so that reading can go on.
pub(super) struct Variables<G> {
    pub(super) get: G,
    pub(super) problems: Vec<SettingProblem>,
}

impl<G: Fn(&str) -> Option<String>> Variables<G> {
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let value = (self.get)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    pub(super) fn problem(
        &mut self,
        variable: &'static str,
        rule: impl Into<String>,
        value: Option<&str>,
    ) {
        self.problems.push(SettingProblem {
            variable,
            rule: rule.into(),
            value: value.map(str::to_owned),
        });
    }

    pub(super) fn required(
        &mut self,
        name: &'static str,
        rule: &str,
        fits: impl Fn(&str) -> bool,
    ) -> String {
        if self.value(name).is_none() {
            self.problem(name, rule, None);
        }
        self.text(name, "", rule, fits)
    }

    pub(super) fn text(
        &mut self,
        name: &'static str,
        default: &str,
        rule: &str,
        fits: impl Fn(&str) -> bool,
    ) -> String {
        match self.value(name) {
            Some(value) if fits(&value) => return value,
            Some(value) => self.problem(name, rule, Some(&value)),
            None => {}
        }
        default.to_owned()
    }

    /// One of some words, the first by default.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T); 2]) -> T {
        let [(first, default), (second, other)] = *choices;
        match self.value(name) {
            Some(value) if value == second => other,
            Some(value) if value != first => {
                self.problem(name, format!("`{first}` or `{second}`"), Some(&value));
                default
            }
            _ => default,
        }
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> u32 {
        let Some(value) = self.value(name) else {
            return default;
        };
        match value.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = range.into_inner();
                let rule = format!("a whole number from {least} to {most}");
                self.problem(name, rule, Some(&value));
                default
            }
        }
    }

    fn millis(&mut self, name: &'static str, default: u32, range: RangeInclusive<u32>) -> Duration {
        Duration::from_millis(self.number(name, default, range).into())
    }

    /// Words separated by commas or white space.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let value = self.value(name).unwrap_or_default();
        let words = value.split(|c: char| c == ',' || c.is_whitespace());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// Reports those words of a list that do not fit, all in one problem.
    fn words(
        &mut self,
        name: &'static str,
        rule: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let words = self.list(name);
        let wrong: Vec<_> = words.iter().filter(|word| !fits(word)).map(String::as_str).collect();
        if !wrong.is_empty() {
            self.problem(name, rule, Some(&wrong.join("`, `")));
        }
        words
    }

    fn patterns(&mut self, name: &'static str, of: &str, required: bool) -> Vec<Pattern> {
        let rule = format!("patterns of {of} ARNs, each beginning with `arn:`");
        let words = self.words(name, &rule, is_arn);
        if required && words.is_empty() {
            let value = self.value(name);
            self.problem(name, rule, value.as_deref());
        }
        words.into_iter().map(Pattern::new).collect()
    }

    fn rules(&mut self, region: &str) -> Rules {
        let clusters = self.patterns("CLUSTERS", "cluster", true);
        let roles = self.patterns("ROLES", "role", true);
        let target_roles = self.patterns("TARGET_ROLES", "role", false);
        let mut namespaces = self.words(
            "NAMESPACES",
            "Kubernetes namespaces, RFC 1123 labels of 1 to 63 lower case letters, digits and `-`",
            |word| ServiceAccountRef::new(word, "any").is_ok(),
        );
        if namespaces.is_empty() {
            namespaces.push("domino-compute".to_owned());
        }
        let node_roles = self.patterns("NODE_ROLES", "role", true);
        let assume_roles = self.patterns("ASSUME_ROLES", "role", false);
        let service_account_template = self.text(
            "SERVICE_ACCOUNT_NAME",
            "{name}-sa",
            "the name of a Kubernetes service account (RFC 1123) that holds `{name}` once",
            is_template,
        );
        Rules {
            region: region.to_owned(),
            clusters,
            roles,
            target_roles,
            namespaces,
            node_roles,
            assume_roles,
            service_account_template,
        }
    }

    fn calls_and_lease(&mut self) -> (Calls, Duration) {
        let problems_before = self.problems.len();
        let timeout = self.millis("CALL_TIMEOUT_MS", 5000, 100..=60_000);
        let attempts = self.number("CALL_ATTEMPTS", 3, 1..=10);
        let backoff = self.number("CALL_BACKOFF_MS", 200, 1..=60_000);
        let backoff_max = self.number("CALL_BACKOFF_MAX_MS", backoff.max(2000), backoff..=60_000);
        let calls = Calls {
            timeout,
            attempts,
            backoff: Duration::from_millis(backoff.into()),
            backoff_max: Duration::from_millis(backoff_max.into()),
        };
        let seconds = self.number("LEASE_SECONDS", 60, 1..=900);
        let lease = Duration::from_secs(seconds.into());
        // Whoever holds a lease begins a call only while the call ends before the lease does.
        let least = calls.longest() * 2;
        if self.problems.len() == problems_before && lease < least {
            let rule = format!(
                "at least {}, twice the {} ms that one call may take by CALL_TIMEOUT_MS, \
                 CALL_ATTEMPTS, CALL_BACKOFF_MS and CALL_BACKOFF_MAX_MS",
                least.as_millis().div_ceil(1000),
                calls.longest().as_millis(),
            );
            self.problem("LEASE_SECONDS", rule, Some(&seconds.to_string()));
        }
        (calls, lease)
    }
}

fn is_arn(text: &str) -> bool {
    text.starts_with("arn:")
}

fn is_name(text: &str, length: RangeInclusive<usize>, punctuation: &[u8]) -> bool {
    length.contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || punctuation.contains(&b))
}

fn is_deployment_id(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.as_bytes()[0].is_ascii_lowercase()
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_region(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_template(text: &str) -> bool {
    text.matches("{name}").count() == 1
        && ServiceAccountRef::new("any", &text.replace("{name}", "x")).is_ok()
}

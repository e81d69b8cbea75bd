#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use super::*;

const REQUIRED: [(&str, &str); 6] = [
    ("DEPLOYMENT_ID", "prod-1"),
    ("LEDGER_TABLE", "pod-identity"),
    ("AWS_REGION", "eu-west-1"),
    ("CLUSTERS", "arn:aws:eks:eu-west-1:111122223333:cluster/*"),
    ("ROLES", "arn:aws:iam::111122223333:role/domino/*"),
    ("NODE_ROLES", "arn:aws:iam::111122223333:role/*-eks-nodes"),
];

fn read(changes: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let mut variables = BTreeMap::from(REQUIRED);
    variables.extend(changes.iter().copied());
    Settings::read(|name| variables.get(name).map(ToString::to_string))
}

fn problems(changes: &[(&str, &str)]) -> Vec<String> {
    let error = read(changes).unwrap_err();
    error.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.deployment_id, "prod-1");
    assert_eq!(settings.ledger_table, "pod-identity");
    assert_eq!(settings.event_bus, "domino-pod-identity");
    assert_eq!(settings.region, "eu-west-1");
    assert_eq!(settings.rules.region, "eu-west-1");
    assert_eq!(settings.rules.clusters.len(), 1);
    assert!(settings.rules.target_roles.is_empty());
    assert!(settings.rules.assume_roles.is_empty());
    assert_eq!(settings.external_id, None);
    assert_eq!(settings.rules.namespaces, ["domino-compute"]);
    assert_eq!(settings.rules.service_account_template, "{name}-sa");
    assert_eq!(settings.trust, TrustMode::Enforce);
    assert!(!settings.strict);
    assert!(settings.cluster_statement);
    assert_eq!(settings.policy_slots, 10);
    assert_eq!(settings.max_deletions, 50);
    assert_eq!(settings.concurrency, 8);
    assert_eq!(settings.lease, Duration::from_secs(60));
    assert_eq!(settings.calls.timeout, Duration::from_secs(5));
    assert_eq!(settings.calls.attempts, 3);
    assert_eq!(settings.calls.backoff, Duration::from_millis(200));
    assert_eq!(settings.calls.backoff_max, Duration::from_secs(2));
    assert_eq!(settings.deadline_margin, Duration::from_secs(3));
    assert_eq!(settings.notice_retention, Duration::from_secs(90 * 24 * 60 * 60));
    assert_eq!(settings.trim_after, Some(Duration::from_secs(60 * 60)));
}

#[test]
fn every_variable_is_read() {
    let settings = read(&[
        ("EVENT_BUS", "arn:aws:events:eu-west-1:111122223333:event-bus/other"),
        ("ROLES", "arn:aws:iam::*:role/a, arn:aws:iam::*:role/b\n\tarn:aws:iam::*:role/c,"),
        ("TARGET_ROLES", "arn:aws:iam::444455556666:role/*"),
        ("ASSUME_ROLES", "arn:aws:iam::444455556666:role/pod-identity"),
        ("ASSUME_ROLE_EXTERNAL_ID", "acme:7"),
        ("NAMESPACES", "first second"),
        ("SERVICE_ACCOUNT_NAME", "sa-{name}.x"),
        ("TRUST", "warn"),
        ("NODE_POLICY", "strict"),
        ("CLUSTER_STATEMENT", "false"),
        ("NODE_ROLE_POLICY_SLOTS", "20"),
        ("MAX_DELETIONS", "0"),
        ("CONCURRENCY", "64"),
        ("LEASE_SECONDS", "30"),
        ("CALL_TIMEOUT_MS", "1000"),
        ("CALL_ATTEMPTS", "4"),
        ("CALL_BACKOFF_MS", "100"),
        ("CALL_BACKOFF_MAX_MS", "300"),
        ("DEADLINE_MARGIN_MS", "0"),
        ("NOTICE_DAYS", "1"),
        ("TRIM_AFTER_MINUTES", "43200"),
        ("SOMETHING_ELSE", "is ignored"),
    ])
    .unwrap();
    assert!(settings.event_bus.ends_with("event-bus/other"));
    assert_eq!(settings.rules.roles.len(), 3);
    assert_eq!(settings.rules.target_roles.len(), 1);
    assert_eq!(settings.rules.assume_roles.len(), 1);
    assert_eq!(settings.rules.namespaces, ["first", "second"]);
    assert_eq!(settings.rules.service_account_template, "sa-{name}.x");
    assert_eq!(settings.external_id.as_deref(), Some("acme:7"));
    assert_eq!(settings.trust, TrustMode::Warn);
    assert!(settings.strict);
    assert!(!settings.cluster_statement);
    assert_eq!(settings.policy_slots, 20);
    assert_eq!(settings.max_deletions, 0);
    assert_eq!(settings.concurrency, 64);
    assert_eq!(settings.lease, Duration::from_secs(30));
    assert_eq!(settings.deadline_margin, Duration::ZERO);
    assert_eq!(settings.notice_retention, Duration::from_secs(24 * 60 * 60));
    assert_eq!(settings.trim_after, Some(Duration::from_secs(30 * 24 * 60 * 60)));
    // Four attempts of 1000 ms, with pauses of 100, 200 and 300.
    assert_eq!(settings.calls.longest(), Duration::from_millis(4600));
}

#[test]
fn trimming_can_be_switched_off() {
    assert_eq!(read(&[("TRIM", "off")]).unwrap().trim_after, None);
    assert_eq!(problems(&[("TRIM", "no"), ("TRIM_AFTER_MINUTES", "0")]).len(), 2);
}

#[test]
fn an_empty_variable_counts_as_absent() {
    let settings = read(&[("TARGET_ROLES", ""), ("CONCURRENCY", " "), ("TRUST", "")]).unwrap();
    assert_eq!(settings, read(&[]).unwrap());
    assert_eq!(
        problems(&[("LEDGER_TABLE", " ")]),
        ["LEDGER_TABLE is missing: it must be the name of a DynamoDB table, 3 to 255 letters, \
          digits and `_.-`, or its ARN"]
    );
}

#[test]
fn everything_missing_is_listed_at_once() {
    let error = Settings::read(|_| None).unwrap_err();
    let names: Vec<_> = error.problems.iter().map(|problem| problem.variable).collect();
    let required =
        ["DEPLOYMENT_ID", "LEDGER_TABLE", "AWS_REGION", "CLUSTERS", "ROLES", "NODE_ROLES"];
    assert_eq!(names, required);
    assert_eq!(error.to_string().lines().count(), 1 + required.len());
}

#[test]
fn everything_wrong_is_listed_at_once_with_rule_and_value() {
    let wrong = [
        ("DEPLOYMENT_ID", "1prod", "not ending with `-`, not `1prod`"),
        ("LEDGER_TABLE", "a b", "or its ARN, not `a b`"),
        ("EVENT_BUS", "bus!", "or its ARN, not `bus!`"),
        ("AWS_REGION", "EU", "such as `eu-west-1`, not `EU`"),
        ("CLUSTERS", "blue, arn:aws:eks:*, *", "beginning with `arn:`, not `blue`, `*`"),
        ("ROLES", "role/x", "patterns of role ARNs, each beginning with `arn:`, not `role/x`"),
        ("TARGET_ROLES", "x", "not `x`"),
        ("NAMESPACES", "ok Not_ok -no", "not `Not_ok`, `-no`"),
        ("NODE_ROLES", ",", "not `,`"),
        ("ASSUME_ROLES", "*", "not `*`"),
        ("SERVICE_ACCOUNT_NAME", "{name}-{name}", "that holds `{name}` once, not `{name}-{name}`"),
        (
            "ASSUME_ROLE_EXTERNAL_ID",
            "a b",
            "an external id, 2 to 1224 letters, digits and `_+=,.@:/-`, not `a b`",
        ),
        ("TRUST", "maybe", "must be `enforce` or `warn`, not `maybe`"),
        ("NODE_POLICY", "Strict", "must be `record` or `strict`, not `Strict`"),
        ("CLUSTER_STATEMENT", "yes", "must be `true` or `false`, not `yes`"),
        ("NODE_ROLE_POLICY_SLOTS", "21", "a whole number from 1 to 20, not `21`"),
        ("MAX_DELETIONS", "-1", "a whole number from 0 to 4294967295, not `-1`"),
        ("CONCURRENCY", "0", "a whole number from 1 to 64, not `0`"),
        ("CALL_TIMEOUT_MS", "5s", "a whole number from 100 to 60000, not `5s`"),
        ("CALL_ATTEMPTS", "0", "a whole number from 1 to 10, not `0`"),
        ("CALL_BACKOFF_MS", "0", "a whole number from 1 to 60000, not `0`"),
        ("CALL_BACKOFF_MAX_MS", "100", "a whole number from 200 to 60000, not `100`"),
        ("LEASE_SECONDS", "901", "a whole number from 1 to 900, not `901`"),
        ("DEADLINE_MARGIN_MS", "1.5", "a whole number from 0 to 900000, not `1.5`"),
        ("NOTICE_DAYS", "0", "a whole number from 1 to 3650, not `0`"),
    ];
    let changes: Vec<_> = wrong.iter().map(|(name, value, _)| (*name, *value)).collect();
    let problems = problems(&changes);
    assert_eq!(problems.len(), wrong.len(), "{problems:#?}");
    for ((name, _, words), problem) in wrong.iter().zip(&problems) {
        assert!(problem.starts_with(&format!("{name} must be ")), "{problem}");
        assert!(problem.ends_with(words), "{problem}");
    }
}

#[test]
fn the_deployment_id_fits_a_tag_a_policy_name_and_a_kubernetes_label() {
    for id in ["a", "prod", "a-1", &"a".repeat(32)] {
        assert!(read(&[("DEPLOYMENT_ID", id)]).is_ok(), "{id}");
    }
    for id in ["-a", "a-", "1a", "A", "a_b", "é", &"a".repeat(33)] {
        assert!(read(&[("DEPLOYMENT_ID", id)]).is_err(), "{id}");
    }
}

#[test]
fn the_name_of_a_service_account_is_a_kubernetes_name_around_the_domino_name() {
    for template in ["{name}", "a.{name}", "x-{name}-y"] {
        assert!(read(&[("SERVICE_ACCOUNT_NAME", template)]).is_ok(), "{template}");
    }
    for template in ["sa", "{Name}-sa", "{name}_sa", "-{name}", "{name}/x"] {
        assert!(read(&[("SERVICE_ACCOUNT_NAME", template)]).is_err(), "{template}");
    }
}

#[test]
fn strict_is_refused_while_the_cluster_statement_admits_every_association() {
    let expected = "NODE_POLICY must be `record` (strict needs CLUSTER_STATEMENT=false, because \
                    the cluster statement admits every association), not `strict`";
    assert_eq!(problems(&[("NODE_POLICY", "strict")]), [expected]);
    assert_eq!(problems(&[("NODE_POLICY", "strict"), ("CLUSTER_STATEMENT", "true")]), [expected]);
}

fn domino(variables: &[(&str, &str)]) -> Result<Option<DominoSettings>, SettingsError> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    DominoSettings::read(|name| variables.get(name).map(ToString::to_string))
}

fn domino_problems(variables: &[(&str, &str)]) -> Vec<String> {
    let error = domino(variables).unwrap_err();
    error.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn domino_is_not_asked_unless_its_url_is_set() {
    assert_eq!(domino(&[]).unwrap(), None);
    let rest = [("DOMINO_TOKEN_SECRET", "domino-key"), ("DOMINO_UNBIND", "unbind")];
    assert_eq!(domino(&rest).unwrap(), None);
}

#[test]
fn domino_is_read_with_its_defaults_and_with_everything() {
    let url = ("DOMINO_URL", "https://domino.example.com/");
    let settings = domino(&[url, ("DOMINO_TOKEN_SECRET", "domino/key")]).unwrap().unwrap();
    let expected = DominoSettings {
        url: "https://domino.example.com".to_owned(),
        secret: "domino/key".to_owned(),
        header: TokenHeader::ApiKey,
        unbinds: false,
        ceilings: pod_identity_core::directory::Ceilings { most: 10, percent: 20 },
    };
    assert_eq!(settings, expected);
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:domino-AbCdEf";
    let settings = domino(&[
        url,
        ("DOMINO_TOKEN_SECRET", arn),
        ("DOMINO_TOKEN_HEADER", "Authorization"),
        ("DOMINO_UNBIND", "unbind"),
        ("DOMINO_UNBIND_MAX", "3"),
        ("DOMINO_UNBIND_PERCENT", "5"),
    ]);
    let settings = settings.unwrap().unwrap();
    assert_eq!((settings.secret.as_str(), settings.header), (arn, TokenHeader::Bearer));
    assert!(settings.unbinds);
    assert_eq!((settings.ceilings.most, settings.ceilings.percent), (3, 5));
}

#[test]
fn a_key_is_sent_over_https_or_to_this_machine_only() {
    let secret = ("DOMINO_TOKEN_SECRET", "key");
    for url in [
        "https://domino.example.com",
        "https://domino.example.com:8443/base/",
        "https://10.0.0.7",
        "https://[2001:db8::1]:8443",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:80",
    ] {
        assert!(domino(&[("DOMINO_URL", url), secret]).is_ok(), "{url}");
    }
    for url in [
        "http://domino.example.com",
        "http://10.0.0.7",
        "http://localhost.example.com",
        "domino.example.com",
        "https://",
        "https:///x",
        "ftp://localhost",
        "https://domino.example.com?x=1",
        "https://domino.example.com#x",
        "https://domino.example.com:port",
        "https://a b",
        "https://[::1",
    ] {
        let problems = domino_problems(&[("DOMINO_URL", url), secret]);
        assert!(problems[0].starts_with("DOMINO_URL must be an https URL"), "{problems:?}");
    }
    let problems =
        domino_problems(&[("DOMINO_URL", "https://user:word@domino.example.com"), secret]);
    assert!(!problems[0].contains("word@") && problems[0].contains("...@domino"), "{problems:?}");
}

#[test]
fn a_domino_without_a_key_is_refused_with_everything_else_that_is_wrong() {
    let problems = domino_problems(&[
        ("DOMINO_URL", "https://domino.example.com"),
        ("DOMINO_UNBIND", "yes"),
        ("DOMINO_UNBIND_MAX", "0"),
        ("DOMINO_UNBIND_PERCENT", "101"),
        ("DOMINO_TOKEN_HEADER", "Cookie"),
    ]);
    let variables: Vec<_> = problems.iter().map(|it| it.split(' ').next().unwrap()).collect();
    let expected = [
        "DOMINO_TOKEN_SECRET",
        "DOMINO_TOKEN_HEADER",
        "DOMINO_UNBIND",
        "DOMINO_UNBIND_MAX",
        "DOMINO_UNBIND_PERCENT",
    ];
    assert_eq!(variables, expected, "{problems:#?}");
}

#[test]
fn a_lease_outlasts_the_longest_call_twice() {
    // Three attempts of 5000 ms, pauses of 200 and 400.
    assert_eq!(read(&[]).unwrap().calls.longest(), Duration::from_millis(15_600));
    assert_eq!(
        problems(&[("LEASE_SECONDS", "31")]),
        ["LEASE_SECONDS must be at least 32, twice the 15600 ms that one call may take by \
          CALL_TIMEOUT_MS, CALL_ATTEMPTS, CALL_BACKOFF_MS and CALL_BACKOFF_MAX_MS, not `31`"]
    );
    assert!(read(&[("LEASE_SECONDS", "32")]).is_ok());
    assert_eq!(problems(&[("CALL_ATTEMPTS", "10")])[0].split(' ').next(), Some("LEASE_SECONDS"));
}

#[test]
fn one_attempt_has_no_pause() {
    let settings = read(&[("CALL_ATTEMPTS", "1")]).unwrap();
    assert_eq!(settings.calls.longest(), settings.calls.timeout);
}

#[test]
fn a_longer_first_pause_raises_the_default_of_the_longest() {
    let settings = read(&[("CALL_BACKOFF_MS", "3000")]).unwrap();
    assert_eq!(settings.calls.backoff_max, Duration::from_secs(3));
}

mod workloads {
    use std::time::Duration;

    use crate::WorkloadSettings;

    fn read(variables: &[(&str, &str)]) -> Result<WorkloadSettings, String> {
        let of = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        WorkloadSettings::read(of).map_err(|error| error.to_string())
    }

    #[test]
    fn inside_settings_are_complete_without_any_variable() {
        let settings = read(&[]).unwrap();
        assert!(!settings.plan_only && settings.service_accounts && !settings.dry_run);
        let inside = settings.inside(&["domino-compute".to_owned()]);
        let mapping = inside.mapping.unwrap();
        assert_eq!(
            (mapping.namespace.as_str(), mapping.name.as_str()),
            ("domino-platform", "domino-pod-identity")
        );
        assert_eq!(mapping.label_selectors.len(), 1);
        let sweep = inside.sweep.unwrap();
        assert_eq!(sweep.rules.namespaces.len(), 1);
        assert_eq!(sweep.delete_after, Some(Duration::from_secs(3600)));
        assert_eq!(sweep.grace_seconds, None);
    }

    #[test]
    fn every_part_can_be_switched_off() {
        let off =
            read(&[("SERVICE_ACCOUNTS", "off"), ("MAPPING", "off"), ("SWEEP", "off")]).unwrap();
        assert!(!off.service_accounts && off.mapping.is_none() && off.sweep.is_none());
        let never = read(&[("BLOCKED_DELETE_MINUTES", "0")]).unwrap();
        assert_eq!(never.sweep.unwrap().delete_after, None);
    }

    #[test]
    fn selectors_and_rules_are_read() {
        let settings = read(&[
            ("MAPPING_SELECTORS", "a in (B,C) ; d=e"),
            ("SWEEP_POLICY", "changed=report"),
            ("EVICTION_GRACE_SECONDS", "0"),
            ("WORKLOAD_CONTAINERS", "run app"),
            ("RESTARTING_KINDS", "ReplicaSet Rollout"),
        ])
        .unwrap();
        assert_eq!(settings.mapping.unwrap().label_selectors, ["a in (B,C)", "d=e"]);
        let sweep = settings.sweep.unwrap();
        assert_eq!(sweep.grace_seconds, Some(0));
        assert!(sweep.rules.restarting.contains("Rollout") && sweep.rules.restarting.len() == 2);
        assert_ne!(sweep.rules.policy, Default::default());
    }

    #[test]
    fn what_is_wrong_states_its_rule() {
        for (variable, value, rule) in [
            ("SWEEP_POLICY", "everything=evict", "is not a case"),
            ("SWEEP_MAX_PERCENT", "0", "1 to 100"),
            ("MAPPING_NAMESPACE", "Platform", "namespace"),
            ("USER_LABEL", "a b", "label key"),
            ("DRY_RUN", "yes", "`off` or `on`"),
        ] {
            let error = read(&[(variable, value)]).unwrap_err();
            assert!(error.contains(variable) && error.contains(rule), "{error}");
        }
    }
}

//! The plan as a whole.

use super::*;

/// Several places and pods, one of each kind.
fn everything() -> (Places, Vec<Pod>) {
    let removed_of = |name: &str, when| SweepPlace {
        removals: vec![removal(name, when, worked(name, -1e5))],
        ..SweepPlace::default()
    };
    let places = Places::from([
        (account("svc-a-sa"), removed_of("svc-a", 100.0)),
        (account("svc-b-sa"), removed_of("svc-b", 50.0)),
        (account("svc-etl-sa"), updated()),
        (account("svc-old-sa"), SweepPlace::default()),
    ]);
    let on =
        |name: &str, account: &str| Pod { service_account: account.to_owned(), ..pod(name, -60.0) };
    let batch = |mut pod: Pod| {
        let kind = ("dominodatalab.com/workload-type".to_owned(), "Batch".to_owned());
        pod.labels.extend([kind]);
        pod.owner = Some(Owner { kind: "Job".to_owned(), name: "run-1".to_owned() });
        pod
    };
    let missing = Pod { credentials: Credentials::default(), ..pod("run-6", 200.0) };
    let pods = vec![
        on("run-1", "svc-a-sa"),
        batch(on("run-2", "svc-b-sa")),
        pod("run-3", -60.0),
        batch(pod("run-4", -60.0)),
        on("run-5", "svc-old-sa"),
        Pod { labels: BTreeMap::new(), ..missing },
        pod("run-7", 300.0),
    ];
    (places, pods)
}

fn sweep(places: &Places, pods: &[Pod], now: f64, incomplete: Option<&str>) -> Sweep {
    let settings = settings("");
    let mut survey = Survey::new(places, &settings, at(now));
    pods.iter().for_each(|pod| survey.look_at(pod));
    survey.plan(incomplete)
}

#[test]
fn reads_as_a_table_and_evicts_what_was_taken_away_longest_ago_first() {
    let (places, pods) = everything();
    insta::assert_snapshot!(sweep(&places, &pods, HOUR, None), @r#"
    7 pods looked at: 3 to evict, 3 to report, 0 held back
      pod                   workload   case       action  since
      domino-compute/run-2  Batch      revoked    evict   2026-11-20T12:00:50.000Z
          pod domino-compute/run-2 of service account svc-b-sa holds credentials that svc-b lost at 2026-11-20T12:00:50.000Z (role arn:aws:iam::111122223333:role/domino/svc-b); they stay valid for up to 6h after that
      domino-compute/run-1  Workspace  revoked    evict   2026-11-20T12:01:40.000Z
          pod domino-compute/run-1 of service account svc-a-sa holds credentials that svc-a lost at 2026-11-20T12:01:40.000Z (role arn:aws:iam::111122223333:role/domino/svc-a); they stay valid for up to 6h after that
      domino-compute/run-3  Workspace  changed    evict   2026-11-20T12:00:00.000Z
          pod domino-compute/run-3 of service account svc-etl-sa was admitted at 2026-11-20T11:59:00Z with role arn:aws:iam::111122223333:role/domino/old; its association gives role arn:aws:iam::111122223333:role/domino/new since 2026-11-20T12:00:00.000Z
      domino-compute/run-5  Workspace  revoked    report  -
          pod domino-compute/run-5 of service account svc-old-sa holds credentials, and there is no association; the ledger does not remember that it was taken away
      domino-compute/run-4  Batch      changed    report  2026-11-20T12:00:00.000Z
          pod domino-compute/run-4 of service account svc-etl-sa was admitted at 2026-11-20T11:59:00Z with role arn:aws:iam::111122223333:role/domino/old; its association gives role arn:aws:iam::111122223333:role/domino/new since 2026-11-20T12:00:00.000Z; nothing would start it again
      domino-compute/run-6  -          missing    report  2026-11-20T12:03:20.000Z
          pod domino-compute/run-6 of service account svc-etl-sa was admitted at 2026-11-20T12:03:20Z without credentials although its association gives role arn:aws:iam::111122223333:role/domino/new; the policy is to report it
    "#);
}

#[test]
fn json_names_pod_case_and_reason() {
    let (places, pods) = everything();
    let sweep = sweep(&places, &pods[1..5], 10.0, None);
    insta::assert_json_snapshot!(sweep, @r#"
    {
      "pods": 4,
      "evictions": [
        {
          "pod": {
            "namespace": "domino-compute",
            "name": "run-2",
            "uid": "uid-run-2",
            "serviceAccount": "svc-b-sa"
          },
          "owner": {
            "kind": "Job",
            "name": "run-1"
          },
          "workloadType": "Batch",
          "case": "revoked",
          "since": "2026-11-20T12:00:50Z",
          "remembered": true,
          "asksToBeKept": false,
          "reason": "pod domino-compute/run-2 of service account svc-b-sa holds credentials that svc-b lost at 2026-11-20T12:00:50.000Z (role arn:aws:iam::111122223333:role/domino/svc-b); they stay valid for up to 6h after that",
          "remediation": "stop the run in Domino, or bind the service account again; against what was copied out of the pod, deny the role's older sessions (aws:TokenIssueTime)"
        }
      ],
      "reports": [
        {
          "finding": {
            "pod": {
              "namespace": "domino-compute",
              "name": "run-5",
              "uid": "uid-run-5",
              "serviceAccount": "svc-old-sa"
            },
            "owner": {
              "kind": "ReplicaSet",
              "name": "workspace"
            },
            "workloadType": "Workspace",
            "case": "revoked",
            "remembered": false,
            "doubt": "notRemembered",
            "asksToBeKept": false,
            "reason": "pod domino-compute/run-5 of service account svc-old-sa holds credentials, and there is no association; the ledger does not remember that it was taken away",
            "remediation": "delete the pod, or bind the service account again; against what was copied out of the pod, deny the role's older sessions (aws:TokenIssueTime)"
          },
          "because": {
            "doubt": "notRemembered"
          }
        },
        {
          "finding": {
            "pod": {
              "namespace": "domino-compute",
              "name": "run-4",
              "uid": "uid-run-4",
              "serviceAccount": "svc-etl-sa"
            },
            "owner": {
              "kind": "Job",
              "name": "run-1"
            },
            "workloadType": "Batch",
            "case": "changed",
            "since": "2026-11-20T12:00:00Z",
            "remembered": true,
            "asksToBeKept": false,
            "settlesAt": "2026-11-20T12:00:30Z",
            "reason": "pod domino-compute/run-4 of service account svc-etl-sa was admitted at 2026-11-20T11:59:00Z with role arn:aws:iam::111122223333:role/domino/old; its association gives role arn:aws:iam::111122223333:role/domino/new since 2026-11-20T12:00:00.000Z",
            "remediation": "stop the run in Domino and start it again"
          },
          "because": "nothingRestartsIt"
        }
      ],
      "heldBack": [
        {
          "finding": {
            "pod": {
              "namespace": "domino-compute",
              "name": "run-3",
              "uid": "uid-run-3",
              "serviceAccount": "svc-etl-sa"
            },
            "owner": {
              "kind": "ReplicaSet",
              "name": "workspace"
            },
            "workloadType": "Workspace",
            "case": "changed",
            "since": "2026-11-20T12:00:00Z",
            "remembered": true,
            "asksToBeKept": false,
            "settlesAt": "2026-11-20T12:00:30Z",
            "reason": "pod domino-compute/run-3 of service account svc-etl-sa was admitted at 2026-11-20T11:59:00Z with role arn:aws:iam::111122223333:role/domino/old; its association gives role arn:aws:iam::111122223333:role/domino/new since 2026-11-20T12:00:00.000Z",
            "remediation": "delete the pod; ReplicaSet workspace starts another"
          },
          "because": {
            "unsettled": "2026-11-20T12:00:30Z"
          }
        }
      ],
      "ceilings": [],
      "againAt": "2026-11-20T12:00:30Z"
    }
    "#);
}

#[test]
fn an_incomplete_observation_evicts_and_reports_nobody() {
    let (places, pods) = everything();
    let sweep = sweep(&places, &pods, HOUR, Some("EKS would not list the associations"));
    assert_eq!((sweep.evictions.len(), sweep.reports.len(), sweep.held_back.len()), (0, 0, 6));
    assert!(sweep.held_back.iter().all(|one| one.because == WhyHeldBack::Halted));
    let text = sweep.to_string();
    assert!(text.ends_with(
        "  ! nobody is evicted: the observation is incomplete: EKS would not list the associations\n"
    ));
    // Also when there is nothing to hold back it says so.
    let places = Places::new();
    let right = super::plans::sweep(&places, &[], HOUR, Some("no access"));
    assert!(!right.is_empty());
}

#[test]
fn no_association_at_all_where_the_ledger_knows_some_evicts_nobody() {
    let (mut places, pods) = everything();
    places.get_mut(&account("svc-etl-sa")).unwrap().association = None;
    let sweep = sweep(&places, &pods, HOUR, None);
    assert_eq!((sweep.evictions.len(), sweep.reports.len()), (0, 0));
    insta::assert_snapshot!(sweep.halted.unwrap(), @"EKS shows no association at all, and the ledger knows 1: look whether the cluster is the right one, then reconcile it");
    // Where the ledger knows none, that is how it should be.
    places.get_mut(&account("svc-etl-sa")).unwrap().bound = None;
    assert_eq!(super::plans::sweep(&places, &pods, HOUR, None).evictions.len(), 2);
}

#[test]
fn a_pod_that_is_looked_at_twice_is_one_finding() {
    let (places, pods) = everything();
    let once = sweep(&places, &pods, HOUR, None);
    let twice = sweep(&places, &[pods.clone(), pods].concat(), HOUR, None);
    assert_eq!((once.evictions, once.reports), (twice.evictions, twice.reports));
}

#[test]
fn nothing_stale_is_an_empty_plan() {
    let right = swept(steady("old"), &[pod("p", -60.0)], HOUR, &settings(""));
    assert!(right.is_empty());
    insta::assert_snapshot!(right, @"1 pods looked at: 0 to evict, 0 to report, 0 held back");
}

#[test]
fn words_name_the_pod_its_service_account_and_the_roles() {
    let nothing = Credentials::default();
    let mut unmapped = Pod { credentials: nothing, ..pod("p", -60.0) };
    unmapped.service_account = "run-0123456789abcdef01234567".to_owned();
    unmapped
        .labels
        .insert("dominodatalab.com/starting-user-username".to_owned(), "svc-etl".to_owned());
    let recreated = SweepPlace { association: association("new", -1.0, 0.0), ..updated() };
    let late = SweepPlace { association: association("old", 0.0, 0.0), ..steady("old") };
    let annotated = SweepPlace {
        irsa_role: Some("arn:aws:iam::111122223333:role/irsa".to_owned()),
        ..steady("old")
    };
    let gone = SweepPlace { association: None, ..steady("old") };
    let web = Credentials { web_identity: true, static_keys: true, ..INJECTED };
    let run = |others: &[&'static str]| {
        vec![ContainerIdentity {
            name: "run".to_owned(),
            is_init: false,
            has_token: true,
            is_pointed: true,
            is_skipped: others.is_empty(),
            others: others.iter().copied().collect(),
        }]
    };
    let (skipped, left_out) = (run(&[]), Credentials { left_out: true, ..INJECTED });
    let published: Vec<String> = [
        (removed(), pod("p", -60.0)),
        (gone, pod("p", -60.0)),
        (updated(), pod("p", -60.0)),
        (updated(), Pod { owner: None, ..pod("p", -10.0) }),
        (recreated, pod("p", -60.0)),
        (
            steady("old"),
            Pod {
                credentials: web,
                containers: run(&[crate::pod::STATIC_KEY, crate::pod::WEB_IDENTITY]),
                ..pod("p", -60.0)
            },
        ),
        (steady("old"), Pod { credentials: left_out, containers: skipped, ..pod("p", -60.0) }),
        (annotated, pod("p", -60.0)),
        (steady("old"), Pod { credentials: nothing, ..pod("p", -60.0) }),
        (late, Pod { credentials: nothing, ..pod("p", -60.0) }),
        (steady("old"), unmapped),
    ]
    .into_iter()
    .map(|(place, pod)| {
        let places =
            Places::from([(account("other"), steady("old")), (account("svc-etl-sa"), place)]);
        let Sweep { evictions, reports, .. } = sweep(&places, &[pod], HOUR, None);
        let reports = reports.into_iter().map(|one| one.finding);
        let finding = evictions.into_iter().chain(reports).next().unwrap();
        format!("{}\n    {}", finding.reason, finding.remediation)
    })
    .collect();
    insta::assert_snapshot!(published.join("\n"), @r#"
    pod domino-compute/p of service account svc-etl-sa holds credentials that svc-etl lost at 2026-11-20T12:00:00.000Z (role arn:aws:iam::111122223333:role/domino/old); they stay valid for up to 6h after that
        delete the pod, or bind the service account again; against what was copied out of the pod, deny the role's older sessions (aws:TokenIssueTime)
    pod domino-compute/p of service account svc-etl-sa holds credentials, and there is no association (the ledger has svc-etl bound as role arn:aws:iam::111122223333:role/domino/old); the ledger says that the service account is bound
        delete the pod, or bind the service account again; against what was copied out of the pod, deny the role's older sessions (aws:TokenIssueTime)
    pod domino-compute/p of service account svc-etl-sa was admitted at 2026-11-20T11:59:00Z with role arn:aws:iam::111122223333:role/domino/old; its association gives role arn:aws:iam::111122223333:role/domino/new since 2026-11-20T12:00:00.000Z
        delete the pod; ReplicaSet workspace starts another
    pod domino-compute/p of service account svc-etl-sa was admitted at 2026-11-20T11:59:50Z with role arn:aws:iam::111122223333:role/domino/old; its association gives role arn:aws:iam::111122223333:role/domino/new since 2026-11-20T12:00:00.000Z; it was admitted around the time of the change
        stop the run in Domino and start it again
    pod domino-compute/p of service account svc-etl-sa was admitted at 2026-11-20T11:59:00Z with role arn:aws:iam::111122223333:role/domino/old; its association was made again and gives role arn:aws:iam::111122223333:role/domino/new since 2026-11-20T12:00:00.000Z
        delete the pod; ReplicaSet workspace starts another
    pod domino-compute/p of service account svc-etl-sa has another identity by AWS_ACCESS_KEY_ID of container run and AWS_WEB_IDENTITY_TOKEN_FILE of container run, which hides role arn:aws:iam::111122223333:role/domino/old
        take out AWS_ACCESS_KEY_ID of container run and AWS_WEB_IDENTITY_TOKEN_FILE of container run: see the workload and its environment in Domino; or bind it to no role
    pod domino-compute/p of service account svc-etl-sa is left out of role arn:aws:iam::111122223333:role/domino/old: annotation eks.amazonaws.com/skip-containers leaves container run out
        if the workload is to work as that role, take that off; then delete the pod; ReplicaSet workspace starts another
    pod domino-compute/p of service account svc-etl-sa, which is annotated with role arn:aws:iam::111122223333:role/irsa: a pod that is admitted while EKS does not show the association gets that instead of role arn:aws:iam::111122223333:role/domino/old; its own environment shows nothing of it
        take the annotation eks.amazonaws.com/role-arn off the service account
    pod domino-compute/p of service account svc-etl-sa was admitted at 2026-11-20T11:59:00Z without credentials although its association gives role arn:aws:iam::111122223333:role/domino/old
        delete the pod; ReplicaSet workspace starts another
    pod domino-compute/p of service account svc-etl-sa was admitted at 2026-11-20T11:59:00Z, before its association was made at 2026-11-20T12:00:00.000Z, and never gets role arn:aws:iam::111122223333:role/domino/old
        delete the pod; ReplicaSet workspace starts another
    pod domino-compute/p of service account run-0123456789abcdef01234567 was started by svc-etl, whose pods belong to service account svc-etl-sa and work as role arn:aws:iam::111122223333:role/domino/old
        check that domsed is up and its label selectors admit the pod; then delete the pod; ReplicaSet workspace starts another
    "#);
}

#[test]
fn associations_elsewhere_make_an_observation_that_shows_none_here_plausible() {
    let gone = SweepPlace { association: None, ..steady("etl") };
    let places = Places::from([(account("svc-etl-sa"), gone)]);
    let settings = settings("");
    let plan = |listed| Survey::new(&places, &settings, at(HOUR)).listed(listed).plan(None);
    assert!(plan(0).halted.unwrap().contains("no association at all"));
    assert_eq!(plan(1).halted, None);
}

#[test]
fn pods_that_were_passed_over_are_part_of_the_share() {
    let places = Places::from([(account("svc-etl-sa"), updated())]);
    let settings = settings("changed=evict");
    let plan = |passed_over| {
        let mut survey = Survey::new(&places, &settings, at(HOUR));
        (0..6).for_each(|n| survey.look_at(&pod(&format!("run-{n}"), -60.0)));
        survey.pass_over(NAMESPACE, passed_over);
        survey.plan(None)
    };
    assert_eq!((plan(5).pods, plan(5).evictions.len()), (11, 0));
    assert_eq!((plan(6).pods, plan(6).evictions.len()), (12, 6));
}

#[test]
fn what_was_evicted_before_counts_for_the_ceiling_of_the_sweep() {
    let places = Places::from([(account("svc-etl-sa"), removed())]);
    let settings = settings("");
    let plan = |before| {
        let mut survey = Survey::new(&places, &settings, at(HOUR)).evicted_before(before);
        (0..4).for_each(|n| survey.look_at(&pod(&format!("run-{n}"), -60.0)));
        survey.plan(None)
    };
    assert_eq!(plan(46).evictions.len(), 4);
    let plan = plan(48);
    assert_eq!(
        (plan.evictions.len(), plan.ceilings[0].limit, plan.ceilings[0].waiting),
        (2, 50, 2)
    );
}

#[test]
fn the_remediation_of_a_shadowed_pod_names_the_mutation_that_puts_the_variable_there() {
    let settings = settings("");
    let places = Places::from([(account("svc-etl-sa"), steady("old"))]);
    let object = serde_json::json!({
        "name": "irsa",
        "rules": [{ "modifyEnv": { "containerSelector": ["run"], "env": [
            { "name": "AWS_ACCESS_KEY_ID", "value": "x" }, { "value": 7 },
        ]}}, { "modifyEnv": null }, { "enabled": false, "modifyEnv": { "env": [{ "name": "OFF" }] } }],
    });
    let mutations = crate::domino::Mutations::Seen(vec![serde_json::from_value(object).unwrap()]);
    let injected = mutations.injected("domino-platform");
    assert_eq!(injected.keys().collect::<Vec<_>>(), ["AWS_ACCESS_KEY_ID"]);
    let mut survey = Survey::new(&places, &settings, at(HOUR)).injected_by(injected);
    let mut shadowed = pod("p", -60.0);
    shadowed.containers = vec![ContainerIdentity {
        name: "run".to_owned(),
        is_init: false,
        has_token: true,
        is_pointed: true,
        is_skipped: false,
        others: BTreeSet::from(["AWS_ACCESS_KEY_ID"]),
    }];
    shadowed.judge(&settings.workload_containers);
    survey.look_at(&shadowed);
    let sweep = survey.plan(None);
    assert_eq!(
        sweep.reports[0].finding.remediation,
        "take out AWS_ACCESS_KEY_ID of container run: modifyEnv of Mutation domino-platform/irsa puts AWS_ACCESS_KEY_ID there; or bind it to no role"
    );
}

#[test]
fn a_sweep_of_thousands_shows_a_part_and_says_how_many_it_leaves_out() {
    let pods: Vec<Pod> = (0..10_000).map(|n| pod(&format!("pod-{n:05}"), -60.0)).collect();
    let sweep = swept(SweepPlace::default(), &pods, HOUR, &settings(""));
    let shown = sweep.shown(100);
    assert_eq!((shown.reports.len(), shown.omitted.reports), (100, 9_900));
    let (text, json) = (shown.to_string(), serde_json::to_string(&shown).unwrap());
    assert!(text.starts_with("10000 pods looked at: 0 to evict, 10000 to report"), "{text}");
    assert!(text.contains("9900 more are not shown"));
    assert!(text.len() + json.len() < 200_000, "{} {}", text.len(), json.len());
    assert_eq!(sweep.shown(10_000), sweep);
}

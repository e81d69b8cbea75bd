//! The roles of `infra` against the calls that the functions really make, both ways: whatever a
//! scenario ends with, every call was allowed; and no role allows what nobody needs.

mod demands;
mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use local::scene::{self, ACCOUNT, DEPLOYMENT, DOMINO_SECRET, REGION};
use pod_identity_aws::{DominoSettings, Settings, WorkloadSettings};
use pod_identity_core::sweep::Ceilings;
use pod_identity_core::{DEPLOYMENT_TAG, node_policy};
use pod_identity_world::Call;
use serde_json::{Value, json};

use self::demands::{OUR_REQUEST, OUR_RESOURCE, PARTITIONS, demand, demands};
use self::judge::{Role, allowed, role, with_partitions};
use crate::accounts;
use crate::domino;
use crate::restored;
use crate::table::flow;
use crate::template::Template;
use crate::workloads;

const FUNCTIONS: [&str; 4] = ["Association", "Reconcile", "Workloads", "Admin"];

/// The admin function's second deployment, whose role may do of all that only what reads.
const READS: &str = "AdminRead";

/// What no call of a function needs: Lambda itself does it with the function's role.
const OF_LAMBDA: [&str; 14] = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

/// What calls need that no flow here makes: a run that writes to the ledger before its end, such as
/// after an update of a policy that met another writer's, checks that it still has its lease.
const OF_RARE_CALLS: [&str; 1] = ["dynamodb:ConditionCheckItem"];

/// Partitions that no flow here writes: a change that an administrator asks for, or that Domino's list
/// asks for, may be refused or superseded by what was accepted in between.
const OF_RARE_WRITES: [(&str, [&str; 2]); 2] =
    [("admin", ["REJECTED#*", "SUPERSEDED#*"]), ("reconcile", ["REJECTED#*", "SUPERSEDED#*"])];

/// What reads the ledger, and what writes it.
const LEDGER: [(&str, &[&str]); 2] = [
    ("reads", &["dynamodb:BatchGetItem", "dynamodb:Query"]),
    ("writes", &["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"]),
];

/// Lambda sends what an asynchronous invocation failed on to its destination.
const OF_DESTINATIONS: &str = "sqs:SendMessage";

fn hub() -> Template {
    hub_with(&all_options())
}

/// With all that a deployment may have.
fn all_options() -> Vec<(&'static str, Value)> {
    vec![
        ("DominoUrl", json!("https://domino.example.com")),
        ("DominoKeyName", json!(DOMINO_SECRET)),
    ]
}

fn hub_with(more: &[(&str, Value)]) -> Template {
    let other = accounts::settings();
    let own = scene::settings();
    let lists: BTreeMap<String, String> = own.into_iter().chain(other).collect();
    let list = |name: &str| Value::from(lists[name].clone());
    let sender = json!(format!("arn:aws:iam::{ACCOUNT}:role/senders/*"));
    let mut given = vec![
        ("DeploymentId", json!(DEPLOYMENT)),
        ("Clusters", list("CLUSTERS")),
        ("Roles", list("ROLES")),
        ("NodeRoles", list("NODE_ROLES")),
        ("TargetRoles", list("TARGET_ROLES")),
        ("AssumeRoles", list("ASSUME_ROLES")),
        ("AutomationSenders", sender.clone()),
        ("AdministrationSenders", sender),
        ("SubnetIds", json!("subnet-0a")),
        ("AdminInVpc", json!("true")),
    ];
    given.extend_from_slice(more);
    Template::read("template.yaml", &given)
        .with("AWS::Partition", "aws")
        .with("AWS::Region", REGION)
        .with("AWS::AccountId", ACCOUNT)
}

fn spoke() -> Template {
    let lists: BTreeMap<String, String> = accounts::settings().into_iter().collect();
    let theirs = |name: &str| {
        let mine = lists[name].split(',').filter(|arn| arn.contains(accounts::OTHER));
        Value::from(mine.collect::<Vec<_>>().join(","))
    };
    spoke_with(theirs).with("AWS::Region", "eu-central-1").with("AWS::AccountId", accounts::OTHER)
}

fn spoke_with(list: impl Fn(&str) -> Value) -> Template {
    Template::read(
        "cluster-account.yaml",
        &[
            ("DeploymentId", json!(DEPLOYMENT)),
            ("HubAccount", json!(ACCOUNT)),
            ("HubRoles", json!(format!("arn:aws:iam::{ACCOUNT}:role/any"))),
            ("Clusters", list("CLUSTERS")),
            ("Roles", list("ROLES")),
            ("NodeRoles", list("NODE_ROLES")),
        ],
    )
    .with("AWS::Partition", "aws")
}

/// The roles by whose calls they judge: the functions' access keys, and the other account's role.
fn roles() -> &'static BTreeMap<String, Role> {
    static ROLES: OnceLock<BTreeMap<String, Role>> = OnceLock::new();
    ROLES.get_or_init(|| {
        let hub = hub();
        let mut roles: BTreeMap<String, Role> = FUNCTIONS
            .iter()
            .chain([&READS])
            .map(|name| (name.to_lowercase(), role(&hub, &format!("{name}Role"))))
            .collect();
        roles.insert(accounts::OTHER.to_owned(), role(&spoke(), "ClustersRole"));
        roles
    })
}

/// The name under `roles()` of who made a call; none for the test's own hand.
fn caller(call: &Call) -> Option<String> {
    if call.account != ACCOUNT {
        return Some(call.account.clone());
    }
    let function = call.caller.strip_prefix("LOCAL")?.to_lowercase();
    roles().contains_key(&function).then_some(function)
}

/// What was asked that no role allows.
fn missing(calls: &[Call]) -> BTreeSet<String> {
    let mut missing = BTreeSet::new();
    for call in calls {
        let Some(name) = caller(call) else { continue };
        for demand in demands(call) {
            if !allowed(&roles()[&name], &demand) {
                missing.insert(format!("{name}: {demand:?}"));
            }
        }
    }
    missing
}

/// Called with the log of every scenario when it ends.
pub(crate) fn hold(calls: &[Call]) {
    let missing = missing(calls);
    assert!(missing.is_empty(), "infra allows no such call: {missing:#?}");
}

/// The actions that calls need, by the role that makes them.
fn used(calls: &[Call], used: &mut BTreeMap<String, BTreeSet<String>>) {
    for call in calls {
        let Some(name) = caller(call) else { continue };
        let actions = used.entry(name).or_default();
        actions.extend(demands(call).into_iter().map(|demand| demand.action.to_owned()));
    }
}

fn granted(role: &Role) -> BTreeSet<String> {
    role.values().flatten().flat_map(|statement| statement.actions.clone()).collect()
}

/// Everything that the functions do, in one place: every flow of the fault table, and sweeps here
/// and in the other account.
async fn everything() -> Vec<Call> {
    let mut calls = Vec::new();
    for mut flow in flow::all() {
        let mut scenario = flow.patient_stage().await;
        flow.begin(&mut scenario).await;
        calls.extend(scenario.stage.world().calls.clone());
        match &flow.question {
            Some(question) => {
                let function = scenario.stage.function(question.function).unwrap();
                function.invoke(question.payload.to_string()).await.unwrap();
            }
            None => scenario.deliver(&flow.batch).await,
        }
        calls.extend(scenario.stage.world().calls.clone());
    }
    let stale = workloads::with_stale_pods(&[], 1).await;
    let right = workloads::with_pods(&[], 1).await;
    for (scenario, _) in [stale, right] {
        workloads::sweep(&scenario).await;
        calls.extend(scenario.stage.world().calls.clone());
    }
    calls.extend(asked_by_an_administrator().await);
    calls.extend(restored::restored_and_resumed().await.stage.world().calls.clone());
    calls.extend(restored::built_again().await.stage.world().calls.clone());
    for changes in [&[][..], &[domino::UNBIND]] {
        let scenario = domino::scenario(changes).await;
        domino::scheduled(&scenario).await;
        domino::shown(&scenario).await;
        calls.extend(scenario.stage.world().calls.clone());
    }
    let scenario = accounts::scenario().await;
    for function in [scenario.stage.workloads(), scenario.stage.reconcile()] {
        let request = json!({ "clusterArn": accounts::their_blue() });
        function.invoke(request.to_string()).await.unwrap();
    }
    let who = json!({ "action": "who", "cluster": accounts::their_blue() });
    scenario.stage.admin().invoke(who.to_string()).await.unwrap();
    calls.extend(scenario.stage.world().calls.clone());
    calls
}

/// Every question, and changes in both modes.
async fn asked_by_an_administrator() -> Vec<Call> {
    let (scenario, pods) = workloads::with_pods(&[], 1).await;
    let admin = scenario.stage.admin();
    let role = format!("arn:aws:iam::{ACCOUNT}:role/domino/report");
    let bind = |mode: &str| json!({ "action": "bind", "serviceAccount": "svc-more", "roleArn": role, "mode": mode });
    let green = json!({ "clusterArn": scene::cluster("green").unwrap() });
    for payload in [
        json!({ "action": "status" }),
        json!({ "action": "explain", "serviceAccount": "svc-first" }),
        json!({ "action": "explain", "pod": pods[0], "cluster": "blue" }),
        json!({ "action": "who", "role": role }),
        json!({ "action": "who", "cluster": "blue" }),
        json!({ "action": "trust-policy", "role": role }),
        json!({ "action": "history", "serviceAccount": "svc-first" }),
        json!({ "action": "migrate", "from": "blue", "to": green }),
        json!({ "action": "retire", "cluster": "blue" }),
        json!({ "action": "adopt", "cluster": "blue", "all": true }),
        json!({ "action": "export" }),
        json!({ "action": "import", "rows": [{ "serviceAccount": "svc-first", "roleArn": role }] }),
        json!({ "action": "sweep", "cluster": "blue" }),
        json!({ "action": "rejected" }),
        json!({ "action": "superseded" }),
        json!({ "widgetContext": { "theme": "light" } }),
        bind("plan"),
        bind("apply"),
        json!({ "action": "sweep", "cluster": "blue", "mode": "apply" }),
    ] {
        let answer = admin.invoke(payload.to_string()).await.unwrap();
        let local::InvocationResult::Answer(answer) = answer else {
            panic!("{payload}: {answer:?}\n{}", admin.log().lines().join("\n"));
        };
        assert!(answer.is_string() || answer["ok"] == true, "{payload}: {answer:#}");
    }
    scenario.stage.world().calls.clone()
}

#[tokio::test]
async fn the_roles_allow_what_is_called_and_nothing_else() {
    let calls = everything().await;
    hold(&calls);
    let mut by_role = BTreeMap::new();
    used(&calls, &mut by_role);
    // Reconcile carries out whatever the association function left unfinished: the same engine,
    // so what the one needs to bind the other may need. In another account all are one role.
    let bind = by_role["association"].clone();
    by_role.get_mut("reconcile").unwrap().extend(bind);
    let all: BTreeSet<String> = by_role.values().flatten().cloned().collect();
    let reads = |action: &&String| {
        let (_, verb) = action.split_once(':').unwrap();
        ["Get", "List", "Describe", "BatchGet", "Query"].iter().any(|word| verb.starts_with(word))
    };
    let read_only = by_role["admin"].iter().filter(reads).cloned().collect();
    by_role.insert(READS.to_lowercase(), read_only);
    let hub_only = ["dynamodb:", "events:", "secretsmanager:", "sts:"];
    let is_hub_only = |action: &String| hub_only.iter().any(|service| action.starts_with(service));
    let elsewhere = all.into_iter().filter(|action| !is_hub_only(action));
    by_role.insert(accounts::OTHER.to_owned(), elsewhere.collect());

    for (name, role) in roles() {
        let mut expected = by_role[name].clone();
        if name != accounts::OTHER {
            let asked = name.starts_with("admin");
            if !asked {
                expected.extend(OF_RARE_CALLS.map(str::to_owned));
            }
            // Only who looks into clusters is in a network, and nobody puts messages before admin.
            let network =
                |action: &&&str| name == "workloads" || asked || !action.starts_with("ec2:");
            let queue = |action: &&&str| !asked || !action.starts_with("sqs:");
            let of_lambda = OF_LAMBDA.iter().filter(network).filter(queue);
            expected.extend(of_lambda.map(|action| (*action).to_owned()));
            expected.insert(OF_DESTINATIONS.to_owned());
        }
        assert_eq!(granted(role), expected, "{name}");
    }
}

/// Patterns of partitions, by role and by whether it reads or writes them.
type Partitions = BTreeMap<(String, &'static str), BTreeSet<String>>;

/// The pattern of a partition's key: `SA#*` of `SA#svc-etl`.
fn pattern(partition: &str) -> String {
    partition.split_once('#').map_or(partition.to_owned(), |(kind, _)| format!("{kind}#*"))
}

fn partitions_used(calls: &[Call]) -> Partitions {
    let mut used = Partitions::new();
    for call in calls.iter().filter(|call| call.service == "dynamodb") {
        let Some(name) = caller(call) else { continue };
        for demand in demands(call) {
            let (kind, _) = LEDGER.iter().find(|(_, all)| all.contains(&demand.action)).unwrap();
            let patterns = demand.context[PARTITIONS].iter().map(|one| pattern(one));
            used.entry((name.clone(), kind)).or_default().extend(patterns);
        }
    }
    for (name, rare) in OF_RARE_WRITES {
        let patterns = rare.map(str::to_owned);
        used.entry((name.to_owned(), "writes")).or_default().extend(patterns);
    }
    // Reconcile carries out whatever the association function left unfinished.
    let bind = used[&("association".to_owned(), "writes")].clone();
    used.get_mut(&("reconcile".to_owned(), "writes")).unwrap().extend(bind);
    // A write that meets a conflict reads what it was to write: it may be there already.
    for name in FUNCTIONS.map(str::to_lowercase) {
        let written = used[&(name.clone(), "writes")].clone();
        used.get_mut(&(name, "reads")).unwrap().extend(written);
    }
    // The same program, which may only read.
    let read = used[&("admin".to_owned(), "reads")].clone();
    used.insert((READS.to_lowercase(), "reads"), read);
    used
}

fn partitions_granted<'a>(roles: impl IntoIterator<Item = (&'a String, &'a Role)>) -> Partitions {
    let mut granted = Partitions::new();
    for (name, role) in roles {
        for statement in role.values().flatten() {
            for (kind, actions) in LEDGER {
                if statement.actions.iter().any(|action| actions.contains(&action.as_str())) {
                    let patterns = statement.values(PARTITIONS).cloned();
                    granted.entry((name.clone(), kind)).or_default().extend(patterns);
                }
            }
        }
    }
    granted
}

#[tokio::test]
async fn each_role_has_the_partitions_that_its_function_uses() {
    let calls = everything().await;
    let used = partitions_used(&calls);
    assert_eq!(partitions_granted(roles()), used);
    let wide = roles().iter().map(|(name, role)| (name, with_partitions(role, |_| "*".to_owned())));
    for (name, role) in wide.filter(|(name, _)| *name != accounts::OTHER) {
        let granted = partitions_granted([(name, &role)]);
        assert!(granted.iter().all(|(key, patterns)| used[key] != *patterns), "{name} with all");
    }

    // Without a partition that a call uses, the call is refused.
    let mut checked = 0;
    for call in calls.iter().filter(|call| call.service == "dynamodb") {
        let Some(name) = caller(call) else { continue };
        for demand in demands(call) {
            assert!(allowed(&roles()[&name], &demand), "{name}: {demand:?}");
            let patterns: BTreeSet<_> =
                demand.context[PARTITIONS].iter().map(|one| pattern(one)).collect();
            for taken in patterns {
                let other = |one: &str| if one == taken { "OTHER" } else { one }.to_owned();
                let less = with_partitions(&roles()[&name], other);
                assert!(!allowed(&less, &demand), "{name} without {taken}: {demand:?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn no_role_reaches_partitions_of_another_function() {
    let on = |action, partitions: &[&str]| {
        let all = partitions.iter();
        all.fold(demand(action, "Ledger.Arn"), |demand, one| demand.with(PARTITIONS, *one))
    };
    let write = |partitions: &[&str]| on("dynamodb:PutItem", partitions);
    for (name, partition) in [
        ("workloads", "BINDINGS"),
        ("workloads", "SA#svc-etl"),
        ("workloads", "KSA#domino-compute/svc-etl-sa"),
        ("workloads", "CLUSTERS"),
        ("workloads", "HISTORY#svc-etl"),
        ("workloads", "CLUSTER#arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        ("association", "INSIDE#arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        ("association", "TOLD#arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        ("association", "DOMINO"),
        ("reconcile", "INSIDE#arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        ("admin", "CLUSTER#arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        ("admin", "DOMINO"),
    ] {
        let role = &roles()[name];
        assert!(!allowed(role, &write(&[partition])), "{name} {partition}");
        // One among others is enough.
        assert!(!allowed(role, &write(&["SA#svc-etl", "TOLD#any", partition])), "{name}");
    }
    for (name, role) in roles() {
        assert!(!allowed(role, &write(&[])), "{name} without a key");
        assert!(!allowed(role, &on("dynamodb:Query", &[])), "{name} without a key");
        assert!(!allowed(role, &write(&["UNKNOWN#svc-etl"])), "{name}");
        assert!(!allowed(role, &on("dynamodb:Scan", &["BINDINGS"])), "{name}");
    }
    assert!(allowed(&roles()["workloads"], &on("dynamodb:Query", &["BINDINGS"])));
    for partition in ["BINDINGS", "SA#svc-etl", "CLUSTERS", "CLUSTER#any", "REJECTED#2026-11-29"] {
        assert!(!allowed(&roles()[&READS.to_lowercase()], &write(&[partition])), "{partition}");
    }
}

#[test]
fn a_call_that_a_role_does_not_allow_is_found() {
    let call = |operation: &str, object: &str| Call {
        began: jiff::Timestamp::UNIX_EPOCH,
        at: jiff::Timestamp::UNIX_EPOCH,
        caller: "LOCALASSOCIATION".to_owned(),
        account: ACCOUNT.to_owned(),
        service: if operation.ends_with("Association") { "eks" } else { "iam" }.to_owned(),
        operation: operation.to_owned(),
        object: object.to_owned(),
        status: 200,
        error: None,
    };
    let policy_of = |deployment: &str| {
        let blue = "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap();
        node_policy::policy_arn(deployment, &blue, 1).unwrap().to_string()
    };
    let ours = policy_of(DEPLOYMENT);
    assert!(missing(&[call("AttachRolePolicy", &format!("{ours} blue-eks-nodes"))]).is_empty());
    for (operation, object) in [
        ("AttachRolePolicy", format!("{ours} etl")),
        (
            "AttachRolePolicy",
            "arn:aws:iam::aws:policy/AdministratorAccess blue-eks-nodes".to_owned(),
        ),
        ("CreatePolicyVersion", format!("arn:aws:iam::{ACCOUNT}:policy/other")),
        // Of a deployment whose id begins like ours.
        ("CreatePolicyVersion", policy_of(&format!("{DEPLOYMENT}-eu"))),
        ("DeletePolicy", ours.clone()),
        ("DeletePodIdentityAssociation", "a-1 in cluster red".to_owned()),
    ] {
        assert!(!missing(&[call(operation, &object)]).is_empty(), "{operation} {object}");
    }
}

#[test]
fn reconcile_alone_reads_a_secret_and_only_with_domino() {
    let reads = |template: &Template, name: &str| {
        granted(&role(template, &format!("{name}Role")))
            .iter()
            .any(|action| action.starts_with("secretsmanager:"))
    };
    let (with, without) = (hub(), hub_with(&[]));
    for name in FUNCTIONS.iter().chain([&READS]) {
        let asks = *name == "Reconcile";
        assert_eq!((reads(&with, name), reads(&without, name)), (asks, false), "{name}");
    }
}

#[test]
fn no_role_may_use_s3() {
    for (name, role) in roles() {
        let granted = granted(role);
        assert!(!granted.iter().any(|action| action.starts_with("s3:")), "{name}: {granted:?}");
    }
}

/// Of the hub's policies that are about clusters, Ask alone is not there. The one role there may do
/// all that it grants by Bind, and by Reach the rest.
#[test]
fn the_other_account_has_the_hubs_policies_word_for_word() {
    let hub = hub();
    // With the hub's own parameters, so that nothing but the words can differ.
    let lists = scene::settings().into_iter().chain(accounts::settings());
    let lists: BTreeMap<String, String> = lists.collect();
    let spoke = spoke_with(|name| Value::from(lists[name].clone()))
        .with("AWS::Region", REGION)
        .with("AWS::AccountId", ACCOUNT);
    let statements = |template: &Template, policy: &str| {
        let document = &template.document["Resources"][policy]["Properties"]["PolicyDocument"];
        template.evaluate(document).unwrap()["Statement"].as_array().unwrap().clone()
    };
    let policies: Vec<String> = role(&spoke, "ClustersRole").into_keys().collect();
    assert_eq!(policies, ["BindPolicy", "GiveUpPolicy", "LookPolicy", "ReachPolicy"]);
    for policy in ["BindPolicy", "GiveUpPolicy", "LookPolicy"] {
        assert_eq!(statements(&spoke, policy), statements(&hub, policy), "{policy}");
    }
    let ask = statements(&hub, "AskPolicy");
    for statement in statements(&spoke, "ReachPolicy") {
        assert!(ask.contains(&statement), "{statement:#}");
    }
}

#[test]
fn roles_are_passed_to_pod_identity_alone_and_foreign_associations_are_out_of_reach() {
    let allowed_role = format!("arn:aws:iam::{ACCOUNT}:role/domino/etl");
    let pass = |role: &str, service: &str| {
        demand("iam:PassRole", role).with("iam:PassedToService", service)
    };
    let association = format!("arn:aws:eks:{REGION}:{ACCOUNT}:podidentityassociation/blue/a-1");
    for name in ["association", "reconcile"] {
        let role = &roles()[name];
        assert!(allowed(role, &pass(&allowed_role, "pods.eks.amazonaws.com")));
        assert!(!allowed(role, &pass(&allowed_role, "ec2.amazonaws.com")));
        let admin = format!("arn:aws:iam::{ACCOUNT}:role/admin");
        assert!(!allowed(role, &pass(&admin, "pods.eks.amazonaws.com")));
        for action in ["eks:UpdatePodIdentityAssociation", "eks:DeletePodIdentityAssociation"] {
            let foreign = demand(action, &association);
            assert!(!allowed(role, &foreign), "{action}");
            assert!(!allowed(role, &foreign.with(OUR_RESOURCE, "another")), "{action}");
        }
    }
    let workloads = &roles()["workloads"];
    assert!(!allowed(workloads, &pass(&allowed_role, "pods.eks.amazonaws.com")));
    assert!(OUR_REQUEST.ends_with(DEPLOYMENT_TAG) && OUR_RESOURCE.ends_with(DEPLOYMENT_TAG));
}

#[test]
fn the_environment_of_every_function_is_settings_that_it_takes() {
    let mut given = all_options();
    given.extend([("SweepMax", json!("200")), ("SweepMaxPercent", json!("75"))]);
    let hub = hub_with(&given);
    for name in FUNCTIONS.into_iter().chain([READS]) {
        let of = |part: &Value| -> BTreeMap<String, String> {
            let variables = hub.evaluate(&part["Environment"]["Variables"]);
            let pairs = variables.unwrap_or_default();
            let pairs = pairs.as_object().into_iter().flatten();
            pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
        };
        let mut variables = of(&hub.document["Globals"]["Function"]);
        let own = &hub.document["Resources"][format!("{name}Function")]["Properties"];
        variables.extend(of(own));
        variables.insert("AWS_REGION".to_owned(), REGION.to_owned());
        let get = |name: &str| variables.get(name).cloned();
        let settings = Settings::read(get).unwrap();
        assert_eq!(settings.deployment_id, DEPLOYMENT);
        let domino = DominoSettings::read(get).unwrap();
        assert_eq!(domino.is_some(), name == "Reconcile", "{name}");
        assert!(name == "Reconcile" || !variables.keys().any(|key| key.starts_with("DOMINO_")));
        if name == "Reconcile" {
            assert_eq!(settings.own_roles.len(), 3, "two of its own, one that is assumed");
        }
        assert_eq!(settings.read_only, name == READS, "{name}");
        let sweep = WorkloadSettings::read(get).unwrap().sweep.unwrap();
        if ["Workloads", "Admin", READS].contains(&name) {
            let Ceilings { per_sweep, per_namespace, share_percent, .. } = sweep.rules.ceilings;
            assert_eq!((per_sweep, per_namespace, share_percent), (200, 200, 75), "{name}");
        }

        // Every variable is one that docs or README list.
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let text = |file: &str| std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
        let listed = text("README.md") + &text("docs/operations.md");
        for variable in variables.keys().filter(|key| *key != "AWS_REGION") {
            assert!(listed.contains(&format!("`{variable}`")), "{variable} is not listed");
        }
    }
}

//! From blue to green: what a preflight says, what is done, and a retirement's guard.

use std::collections::BTreeSet;

use pod_identity_core::{DEPLOYMENT_TAG, Pattern, RoleArn, SERVICE_ACCOUNT_TAG};
use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{PortFault, When, World};
use serde_json::{Value, json};

use crate::office::{ACCOUNT, Office, TRUSTED, cluster, role, text};

/// Trusted, if a condition of one statement holds.
fn trusted_if(condition: &Value) -> String {
    let mut policy: Value = serde_json::from_str(TRUSTED).unwrap();
    policy["Statement"][0]["Condition"] = condition.clone();
    policy.to_string()
}

fn to_green() -> Value {
    let node_role = format!("arn:aws:iam::{ACCOUNT}:role/green-eks-nodes");
    json!({
        "action": "migrate", "from": "blue",
        "to": { "clusterArn": cluster("green"), "nodeRoleArns": [node_role] },
    })
}

/// Only blue is registered.
fn on_blue() -> Office {
    let office = Office::new();
    office.register("blue");
    office
}

fn bind(office: &Office, payload: Value) {
    let mut payload = payload;
    payload["action"] = json!("bind");
    office.applied(payload);
}

fn verdict<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let all = answer["preflight"]["verdicts"].as_array().unwrap();
    all.iter().find(|one| one["serviceAccount"] == name).unwrap()
}

#[test]
fn a_preflight_says_of_every_binding_whether_it_will_work_on_green() {
    let mut office = on_blue();
    office
        .settings
        .rules
        .target_roles
        .push(Pattern::new("arn:aws:iam::111122223333:role/target/*"));
    let target: RoleArn = format!("arn:aws:iam::{ACCOUNT}:role/target/blue-only").parse().unwrap();
    {
        let mut world = office.ports.world();
        let blue_arn = json!({ "StringEquals": { "aws:SourceArn": cluster("blue") } });
        world.add_role(&role("narrow"), &trusted_if(&blue_arn));
        let external = "eu-west-1/111122223333/blue/domino-compute/svc-target-sa";
        let external = json!({ "StringEquals": { "sts:ExternalId": external } });
        world.add_role(&target, &trusted_if(&external));
        let (blue, green) = (cluster("blue"), cluster("green"));
        let (theirs, etl) = ("arn:aws:iam::111122223333:role/theirs", role("etl").to_string());
        world.add_foreign_association(&blue, "kube-system", "karpenter", theirs).unwrap();
        let owner = "arn:aws:eks:eu-west-1:111122223333:addon/blue/aws-ebs-csi-driver/1";
        world.add_addon_association(&blue, "kube-system", "ebs-csi", theirs, owner).unwrap();
        world.add_foreign_association(&green, "domino-compute", "svc-taken-sa", &etl).unwrap();
    }
    bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
    bind(&office, json!({ "serviceAccount": "svc-narrow", "roleArn": role("narrow") }));
    bind(&office, json!({ "serviceAccount": "svc-taken", "roleArn": role("train") }));
    bind(
        &office,
        json!({
            "serviceAccount": "svc-target", "roleArn": role("etl"), "targetRoleArn": target,
            "disableSessionTags": true,
        }),
    );
    let other = "arn:aws:iam::444455556666:role/lake";
    bind(
        &office,
        json!({
            "serviceAccount": "svc-lake", "roleArn": role("etl"), "targetRoleArn": other,
            "disableSessionTags": true,
        }),
    );
    bind(
        &office,
        json!({
            "serviceAccount": "svc-named", "roleArn": role("etl"), "clusters": ["blue"],
        }),
    );
    office.reconcile("blue");

    let answer = office.planned(to_green());
    let words = text(&answer);
    let counts = &answer["preflight"]["counts"];
    assert_eq!(*counts, json!({ "ready": 1, "willBreak": 3, "unknown": 1 }), "{words}");
    let narrow = verdict(&answer, "svc-narrow");
    assert_eq!(narrow["verdict"], "willBreak");
    let reason = narrow["reason"].as_str().unwrap();
    assert!(reason.contains("on cluster blue, and not on green: "), "{reason}");
    assert!(reason.contains("aws:SourceArn"), "the condition is named: {reason}");
    assert!(
        narrow["remediation"].as_str().unwrap().contains("AllowEksAuthToAssumeRoleForPodIdentity")
    );
    let taken = verdict(&answer, "svc-taken")["reason"].as_str().unwrap();
    assert!(taken.contains("svc-taken-sa in cluster green already has association"), "{taken}");
    let of_green = "eu-west-1/111122223333/green/domino-compute/svc-target-sa";
    let kept_out = verdict(&answer, "svc-target");
    assert_eq!(kept_out["verdict"], "willBreak");
    assert!(kept_out["remediation"].as_str().unwrap().contains(of_green), "{kept_out}");
    let lake = verdict(&answer, "svc-lake");
    assert_eq!(lake["verdict"], "unknown");
    let of_lake = "`eu-west-1/111122223333/green/domino-compute/svc-lake-sa`";
    assert!(lake["remediation"].as_str().unwrap().contains(of_lake), "{lake}");

    let ready = json!({ "serviceAccount": "svc-etl", "verdict": "ready" });
    assert_eq!(*verdict(&answer, "svc-etl"), ready);
    assert_eq!(answer["preflight"]["verdicts"].as_array().unwrap().len(), 5, "one for each");
    assert_eq!(answer["preflight"]["leftBehindUnknown"], Value::Null);

    let staying = &answer["preflight"]["staying"][0];
    assert_eq!(staying["serviceAccount"], "svc-named");
    assert!(staying["remediation"].as_str().unwrap().contains(cluster("green").as_str()));
    let left = answer["preflight"]["leftBehind"].to_string();
    assert!(
        left.contains("kube-system/karpenter") && left.contains("add-on arn:aws:eks"),
        "{left}"
    );
    assert!(!left.contains("svc-etl-sa"), "what is ours is not left behind: {left}");
    assert!(words.contains("of 5 service accounts 0 are ready (0 %), 5 pending"), "{words}");
    assert!(words.contains("Next:\n  1. repair what will break"), "{words}");
    let last = r#"{"action": "retire", "cluster": "blue", "mode": "apply"}"#;
    assert!(words.contains(last), "a step that does something: {words}");
    assert!(words.contains("changes to make inside cluster green: + service account"), "{words}");
}

#[test]
fn what_nobody_could_look_at_is_unknown_and_not_empty() {
    let office = on_blue();
    bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
    let left = |answer: &Value| answer["preflight"]["leftBehind"].clone();
    office.calls();
    assert_eq!(left(&office.planned(to_green())), json!([]));
    let lists =
        office.calls().iter().filter(|it| it.ends_with("ListPodIdentityAssociations")).count();
    // The last two are green's, for its quota, and blue's.
    let denied =
        |nth| PortFault::nth("ListPodIdentityAssociations", nth, When::Before, ErrorKind::Denied);
    office.ports.fault(denied(lists));
    let answer = office.planned(to_green());
    assert_eq!(left(&answer), Value::Null, "{}", text(&answer));
    let why = answer["preflight"]["leftBehindUnknown"].as_str().unwrap();
    assert!(text(&answer).contains(&format!("What others have on blue is unknown: {why}")));
    office.ports.fault(denied(lists - 1));
    let answer = office.planned(to_green());
    let findings = answer["preflight"]["findings"].to_string();
    assert!(
        findings.contains("how many associations cluster green has is not known"),
        "{findings}"
    );
}

#[test]
fn what_is_missing_inside_green_is_told() {
    let mut office = on_blue();
    office.inside.service_accounts = false;
    bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
    let agent = "eks-pod-identity-agent";
    office.ports.world().eks.cluster_mut(&cluster("green")).unwrap().addons.remove(agent);
    let answer = office.planned(to_green());
    let reason = verdict(&answer, "svc-etl")["reason"].as_str().unwrap();
    assert!(reason.contains("no Kubernetes service account domino-compute/svc-etl-sa"), "{reason}");
    let findings = answer["preflight"]["findings"].to_string();
    assert!(findings.contains("has no EKS add-on eks-pod-identity-agent"), "{findings}");
}

/// What the one binding is on a green whose agent's add-on has a status, or none.
fn with_agent(status: Option<&str>) -> (String, Value) {
    let office = on_blue();
    bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
    {
        let mut world = office.ports.world();
        let addons = &mut world.eks.cluster_mut(&cluster("green")).unwrap().addons;
        match status {
            Some(status) => {
                addons.get_mut("eks-pod-identity-agent").unwrap().status = status.to_owned();
            }
            None => addons.clear(),
        }
    }
    let answer = office.planned(to_green());
    (text(&answer).to_owned(), verdict(&answer, "svc-etl").clone())
}

#[test]
fn nobody_is_ready_for_sure_on_a_green_without_a_healthy_agent() {
    for (status, expected, named) in [
        (Some("ACTIVE"), "ready", ""),
        (None, "unknown", "cluster green has no EKS add-on eks-pod-identity-agent"),
        (Some("DEGRADED"), "unknown", "is DEGRADED"),
        (Some("CREATING"), "unknown", "is CREATING"),
        (Some("CREATE_FAILED"), "unknown", "is CREATE_FAILED"),
        (Some("DELETING"), "willBreak", "is DELETING"),
    ] {
        let (words, said) = with_agent(status);
        assert_eq!(said["verdict"], expected, "{status:?}: {words}");
        let reason = said["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(named), "{status:?}: {said}");
    }
    let (words, said) = with_agent(None);
    let remediation = said["remediation"].as_str().unwrap();
    assert!(
        remediation.contains("install the add-on") && remediation.contains("then ask again"),
        "{words}"
    );
}

#[test]
fn nobody_is_ready_for_sure_on_a_green_of_which_eks_tells_nothing() {
    for kind in [ErrorKind::Denied, ErrorKind::Passing] {
        let office = on_blue();
        bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
        let fault = PortFault::nth("DescribeAddon", 1, When::Before, kind);
        office.ports.fault(PortFault { lasting: true, ..fault });
        let answer = office.planned(to_green());
        assert_eq!(verdict(&answer, "svc-etl")["verdict"], "unknown", "{}", text(&answer));
    }
}

#[test]
fn an_annotation_of_irsa_is_told_for_what_it_does() {
    let office = on_blue();
    bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
    {
        let report = role("report").to_string();
        let annotations = [("eks.amazonaws.com/role-arn", report.as_str())];
        let (mut world, green) = (office.ports.world(), cluster("green"));
        world.add_service_account(&green, "domino-compute", "svc-etl-sa", &annotations).unwrap();
    }
    let findings = office.planned(to_green())["preflight"]["findings"].to_string();
    let says =
        "a pod that is admitted there while EKS does not show its association gets that role";
    assert!(findings.contains(says), "{findings}");
}

#[test]
fn nobody_is_ready_for_sure_where_nobody_can_look_inside_green() {
    for (operation, kind) in [
        ("list serviceaccounts", ErrorKind::Unreachable),
        ("list serviceaccounts", ErrorKind::Denied),
        ("list serviceaccounts", ErrorKind::Passing),
        ("list mutations", ErrorKind::Passing),
    ] {
        let office = on_blue();
        bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
        let ready = json!({ "ready": 1, "willBreak": 0, "unknown": 0 });
        assert_eq!(office.planned(to_green())["preflight"]["counts"], ready);
        let fault = PortFault { lasting: true, ..PortFault::nth(operation, 1, When::Before, kind) };
        office.ports.fault(fault);
        let answer = office.planned(to_green());
        let unknown = json!({ "ready": 0, "willBreak": 0, "unknown": 1 });
        assert_eq!(answer["preflight"]["counts"], unknown, "{operation}: {}", text(&answer));
        let said = verdict(&answer, "svc-etl");
        let reason = said["reason"].as_str().unwrap();
        assert!(
            reason.contains(
                "Kubernetes service accounts and the mapping on cluster green are unknown: "
            ),
            "{reason}"
        );
        let remediation = said["remediation"].as_str().unwrap();
        assert!(
            remediation.contains("the workloads function") && remediation.contains("AdminInVpc")
        );
    }
}

#[test]
fn a_role_whose_trust_was_narrowed_since_is_named_though_green_is_filled() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    let blue_arn = json!({ "ArnEquals": { "aws:SourceArn": cluster("blue") } });
    office.ports.world().set_trust(&role("etl"), &trusted_if(&blue_arn));
    let answer = office.planned(json!({ "action": "migrate", "from": "blue", "to": "green" }));
    let reason = verdict(&answer, "svc-etl")["reason"].as_str().unwrap();
    assert!(reason.contains("on cluster blue, and not on green: "), "{reason}");
    assert_eq!(answer["progress"]["readyPercent"], 100);
}

#[test]
fn a_migration_registers_green_once_and_may_be_repeated() {
    let office = on_blue();
    bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
    office.reconcile("blue");
    office.planned(to_green());
    let requests = |office: &Office| {
        let world = office.ports.world();
        let all = world.bus.events.iter().filter(|one| {
            one.detail_type == "Reconciliation Requested"
                && one.detail["clusterArn"] == json!(cluster("green"))
        });
        all.count()
    };
    assert_eq!(requests(&office), 0);
    let first = office.applied(to_green());
    assert!(text(&first).contains("reconcile was asked to fill it"), "{}", text(&first));
    assert_eq!((requests(&office), &first["progress"]["pendingPercent"]), (1, &json!(100)));
    let again = office.applied(to_green());
    assert!(text(&again).contains("registered already"), "{}", text(&again));
    assert_eq!(requests(&office), 2);
    let history = office.done(json!({ "action": "history", "cluster": "green" }));
    let accepted = history["history"].as_array().unwrap().iter();
    let accepted = accepted.filter(|entry| entry["outcome"] == "accepted").count();
    assert_eq!(accepted, 1, "the same registration is no news");
    assert_eq!(history["history"][0]["change"]["fill"], json!(cluster("green")));
    office.reconcile("green");
    assert_eq!(office.there("green", "svc-etl-sa").unwrap().role_arn, role("etl").to_string());
    let done = office.planned(to_green());
    assert_eq!(done["progress"]["readyPercent"], 100, "{}", text(&done));
    assert_eq!(done["preflight"]["counts"]["ready"], 1);
}

#[test]
fn what_cannot_be_migrated_is_refused_with_the_remediation() {
    let office = on_blue();
    let ask = |from: &str, to: Value| json!({ "action": "migrate", "from": from, "to": to });
    let registration = "give `to` as { clusterArn, nodeRoleArns, assumeRoleArn }";
    let unknown = office.refused(ask("blue", json!("green")));
    assert!(unknown.contains("no registered cluster is called `green`"), "{unknown}");
    assert!(unknown.contains(registration), "at once: {unknown}");
    let by_arn = office.refused(ask("blue", json!(cluster("green"))));
    assert!(by_arn.contains(registration), "{by_arn}");
    let itself = office.refused(ask("blue", json!("blue")));
    assert!(itself.contains("one cluster"), "{itself}");
    let unregistered = office.refused(ask(cluster("red").as_str(), json!("blue")));
    assert!(unregistered.contains("is not registered"), "{unregistered}");
    let not_listed = json!({ "clusterArn": "arn:aws:eks:us-east-1:111122223333:cluster/green" });
    let not_listed = office.refused(ask("blue", not_listed));
    assert!(not_listed.contains("CLUSTERS"), "{not_listed}");
}

#[test]
fn a_green_or_a_node_role_that_does_not_exist_breaks_every_binding() {
    let office = on_blue();
    bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
    let ghost = format!("arn:aws:iam::{ACCOUNT}:role/ghost-eks-nodes");
    for (to, named) in [
        (json!({ "clusterArn": cluster("gone") }), "cluster/gone"),
        (json!({ "clusterArn": cluster("green"), "nodeRoleArns": [ghost] }), "ghost-eks-nodes"),
    ] {
        let answer = office.planned(json!({ "action": "migrate", "from": "blue", "to": to }));
        let said = verdict(&answer, "svc-etl");
        assert_eq!(said["verdict"], "willBreak", "{}", text(&answer));
        assert!(said["reason"].as_str().unwrap().contains(named), "{said}");
    }
}

#[test]
fn more_associations_than_eks_takes_are_told() {
    let office = on_blue();
    {
        let mut world = office.ports.world();
        for at in 0..4_999 {
            let name = format!("other-{at}");
            let (green, theirs) = (cluster("green"), role("etl").to_string());
            world.add_foreign_association(&green, "kube-system", &name, &theirs).unwrap();
        }
    }
    for name in ["svc-etl", "svc-report"] {
        bind(&office, json!({ "serviceAccount": name, "roleArn": role("etl") }));
    }
    let answer = office.planned(to_green());
    let findings = answer["preflight"]["findings"].to_string();
    assert!(findings.contains("would have 5001 associations"), "{findings}");
    let counts = &answer["preflight"]["counts"];
    assert_eq!(*counts, json!({ "ready": 1, "willBreak": 0, "unknown": 1 }), "{}", text(&answer));
    let beyond = verdict(&answer, "svc-report");
    assert!(beyond["reason"].as_str().unwrap().contains("would have 5001"), "{beyond}");
    assert!(beyond["remediation"].as_str().unwrap().contains("not adjustable"), "{beyond}");
}

#[test]
fn roles_that_the_node_policies_cannot_list_break_in_strict_mode() {
    let mut office = on_blue();
    import(&office, 600, 600);
    office.settings.policy_slots = 4;
    let full = |office: &Office| {
        let answer = office.planned(to_green());
        let findings = answer["preflight"]["findings"].to_string();
        assert!(findings.contains("would have to list 600 more roles"), "{findings}");
        answer["preflight"]["counts"].clone()
    };
    assert_eq!(full(&office)["willBreak"], 0, "the cluster statement grants them all the same");
    office.settings.plan.strict = true;
    office.settings.plan.cluster_statement = false;
    let counts = full(&office);
    let broken = counts["willBreak"].as_u64().unwrap();
    assert!((10..200).contains(&broken), "{counts}");
}

/// Of 600 bindings, those that are no more than unknown, and those that will break, in record mode
/// without the cluster statement.
fn beyond_the_room(prepare: impl FnOnce(&Office)) -> (u64, u64) {
    let mut office = on_blue();
    office.settings.plan.cluster_statement = false;
    office.settings.policy_slots = 4;
    prepare(&office);
    import(&office, 600, 600);
    let answer = office.planned(to_green());
    let counts = &answer["preflight"]["counts"];
    (counts["unknown"].as_u64().unwrap(), counts["willBreak"].as_u64().unwrap())
}

#[test]
fn roles_beyond_the_room_are_not_ready_in_record_mode_unless_something_else_grants_them() {
    let known = |office: &Office| {
        office.register("green");
        office.bind("svc-etl", "etl");
    };
    let (unknown, broken) = beyond_the_room(|_| {});
    assert!((10..200).contains(&unknown) && broken == 0, "a new green: {unknown} {broken}");
    let (unknown, broken) = beyond_the_room(known);
    assert!((10..200).contains(&broken) && unknown == 0, "{unknown} {broken}");
    let granted = beyond_the_room(|office| {
        let node_role = format!("arn:aws:iam::{ACCOUNT}:role/green-eks-nodes").parse().unwrap();
        let mut world = office.ports.world();
        let now = world.now;
        world.iam.attach(&node_role, "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy", now);
        drop(world);
        known(office);
    });
    assert_eq!(granted, (0, 0), "another policy of the node role grants them");
}

#[test]
fn what_the_node_policies_of_green_list_already_counts_for_their_room() {
    let mut office = on_blue();
    office.settings.policy_slots = 1;
    let shown = |office: &Office| {
        let findings = office.planned(to_green())["preflight"]["findings"].to_string();
        let (_, words) = findings.split_once("would have to list ").unwrap();
        let (needed, words) = words.split_once(" more roles, and have no room for ").unwrap();
        let (lacking, _) = words.split_once(" of them").unwrap();
        (needed.parse::<usize>().unwrap(), lacking.parse::<usize>().unwrap())
    };
    import_more(&office, 0..60, 60);
    office.applied(to_green());
    office.reconcile("green");
    import_more(&office, 60..150, 150);
    let (needed, lacking) = shown(&office);
    assert_eq!(needed, 90);
    let mut fresh = on_blue();
    fresh.settings.policy_slots = 1;
    import(&fresh, 150, 150);
    assert_eq!(shown(&fresh), (150, lacking), "the same roles have the same room");
    fresh.settings.policy_slots = 10;
    let findings = fresh.planned(to_green())["preflight"]["findings"].to_string();
    assert!(!findings.contains("more roles"), "{findings}");
}

/// So many bindings, `svc-0000` and so on, with so many roles.
fn import(office: &Office, bindings: usize, roles: usize) {
    import_more(office, 0..bindings, roles);
}

fn import_more(office: &Office, bindings: std::ops::Range<usize>, roles: usize) {
    for at in 0..roles {
        office.ports.world().add_role(&role(&format!("r-{at:04}")), TRUSTED);
    }
    let count = bindings.len();
    let rows: Vec<Value> = bindings
        .map(|at| {
            let role = role(&format!("r-{:04}", at % roles));
            json!({ "serviceAccount": format!("svc-{at:04}"), "roleArn": role })
        })
        .collect();
    let done = office.applied(json!({ "action": "import", "rows": rows }));
    assert_eq!(done["counts"]["new"], count, "{}", text(&done));
}

/// The roles that the policies of green's node role list.
fn listed(world: &World) -> BTreeSet<String> {
    let node_role = format!("arn:aws:iam::{ACCOUNT}:role/green-eks-nodes").parse().unwrap();
    let mut listed = BTreeSet::new();
    for policy in world.iam.attached_to(&node_role) {
        let document: Value =
            serde_json::from_str(world.iam.document_in_force(&policy).unwrap()).unwrap();
        let statements = document["Statement"].as_array().unwrap();
        let resources = statements.iter().flat_map(|one| match &one["Resource"] {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        });
        let roles = resources.filter_map(|one| Some(one.as_str()?.to_owned()));
        listed.extend(roles.filter(|one| one.contains(":role/")));
    }
    listed
}

#[test]
fn a_migration_of_a_thousand_bindings_that_dies_again_and_again_doubles_and_loses_nothing() {
    let office = on_blue();
    import(&office, 1_000, 40);
    let planned = office.planned(to_green());
    assert_eq!(planned["preflight"]["counts"]["ready"], 1_000, "{}", text(&planned));
    office.applied(to_green());
    office.ports.world().settings.visible_after = jiff::SignedDuration::from_secs(20);
    let mut random: u64 = 7;
    let mut runs = 0;
    loop {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let polls = 300 + usize::try_from(random >> 33).unwrap() % 900;
        runs += 1;
        if office.reconcile_for("green", polls) {
            break;
        }
        assert!(runs < 200, "it never ends");
    }
    assert!(runs > 3, "it was not interrupted: {runs}");
    {
        let world = office.ports.world();
        let all = world.eks.associations(&cluster("green"));
        assert_eq!(all.len(), 1_000);
        let places: BTreeSet<&str> = all.iter().map(|one| one.service_account.as_str()).collect();
        assert_eq!(places.len(), 1_000);
        for one in &all {
            let name = one.service_account.strip_suffix("-sa").unwrap();
            let at: usize = name.strip_prefix("svc-").unwrap().parse().unwrap();
            assert_eq!(one.role_arn, role(&format!("r-{:04}", at % 40)).to_string());
            assert_eq!(
                (&*one.tags[DEPLOYMENT_TAG], &*one.tags[SERVICE_ACCOUNT_TAG]),
                ("acme", name)
            );
        }
        let roles = (0..40).map(|at| role(&format!("r-{at:04}")).to_string());
        assert_eq!(listed(&world), roles.collect());
    }
    let done = office.applied(to_green());
    assert_eq!(done["progress"]["ready"], 1_000, "{}", text(&done));
}

#[test]
fn a_migration_of_a_thousand_bindings_takes_at_most_two_calls_each_and_150() {
    let office = on_blue();
    import(&office, 1_000, 40);
    office.calls();
    office.applied(to_green());
    let asked = office.calls();
    office.reconcile("green");
    let mut by_kind = std::collections::BTreeMap::new();
    for call in office.calls() {
        *by_kind.entry(call).or_insert(0) += 1;
    }
    let carried_out: usize = by_kind.values().sum();
    println!("apply: {} calls; reconcile: {carried_out}: {by_kind:?}", asked.len());
    assert_eq!(by_kind["eks CreatePodIdentityAssociation"], 1_000);
    assert!(carried_out <= 2_150, "{by_kind:?}");
}

#[test]
fn a_retirement_says_who_holds_it_up_who_loses_and_what_goes() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    bind(
        &office,
        json!({
            "serviceAccount": "svc-named", "roleArn": role("etl"), "clusters": ["blue"],
        }),
    );
    office.reconcile("blue");
    let retire = |exemptions: Value| json!({ "action": "retire", "cluster": "blue", "exemptServiceAccounts": exemptions });
    let held = office.planned(retire(json!([])));
    assert_eq!(held["retirementBlockedBy"], json!(["svc-named"]));
    assert!(text(&held).contains("Held up by 1, ready on no other cluster: svc-named."));
    let exemptions = office.planned(retire(json!(["svc-named"])));
    assert_eq!(
        (&exemptions["retirementBlockedBy"], &exemptions["lose"]),
        (&json!([]), &json!(["svc-named"]))
    );
    let words = text(&exemptions);
    assert!(words.contains("- association domino-compute/svc-etl-sa"), "{words}");
    // Nothing is refused, and nothing goes before the guard is met.
    let applied = office.applied(retire(json!([])));
    assert_eq!(applied["retirementBlockedBy"], json!(["svc-named"]));
    office.reconcile("blue");
    assert!(office.there("blue", "svc-named-sa").is_some());
    office.applied(retire(json!(["*"])));
    office.reconcile("blue");
    assert!(office.there("blue", "svc-named-sa").is_none());
    let company = office.refused(retire(json!(["*", "svc-etl"])));
    assert!(company.contains("stands alone"), "{company}");
}

/// The last read of an operation fails, of an invocation that was done once without.
fn the_last_fails(office: &Office, operation: &str) {
    let suffix = format!(" {operation}");
    let count = office.calls().iter().filter(|call| call.ends_with(&suffix)).count();
    office.ports.fault(PortFault::nth(operation, count, When::Before, ErrorKind::Passing));
}

#[test]
fn what_the_ledger_has_is_said_though_nothing_can_be_read_behind_it() {
    let office = on_blue();
    bind(&office, json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") }));
    office.applied(to_green());
    office.calls();
    office.applied(to_green());
    the_last_fails(&office, "Query");
    let answer = office.applied(to_green());
    let words = text(&answer);
    assert!(words.contains("reconcile was asked to go on"), "{words}");
    assert!(words.contains("progress on cluster green could not be read: "), "{words}");
    assert!(answer["progress"]["unknown"].is_string(), "{answer}");

    let retire = json!({ "action": "retire", "cluster": "blue" });
    office.applied(retire.clone());
    office.calls();
    office.applied(retire.clone());
    the_last_fails(&office, "Query");
    let answer = office.applied(retire);
    let words = text(&answer);
    assert!(words.contains("The ledger has it"), "{words}");
    let unread = "Who holds the retirement of cluster blue up could not be read: ";
    assert!(words.contains(unread), "{words}");
    assert!(
        answer["retirementBlockedByUnknown"].is_string() && answer["retirementBlockedBy"].is_null(),
        "{answer}"
    );
}

//! Flows that together make every call that the functions make.

use jiff::Timestamp;
use local::InvocationResult;
use local::scene;
use local::wire::Saved;
use pod_identity_core::{DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG, node_policy};
use pod_identity_events::{detail_type, samples, source};
use pod_identity_world::{UpdateAssociation, World};
use serde_json::{Value, json};

use crate::accounts;
use crate::scenario::{
    Scenario, assigned, deactivated, event, registered, role, somebody, unassigned,
};

/// Short waits: a lost answer costs less than a second.
const SETTINGS: [(&str, &str); 4] = [
    ("CALL_TIMEOUT_MS", "400"),
    ("CALL_ATTEMPTS", "2"),
    ("CALL_BACKOFF_MS", "1"),
    ("CALL_BACKOFF_MAX_MS", "5"),
];

/// What happened before, and the batch during which something breaks.
#[derive(Clone)]
pub(crate) struct Flow {
    pub(crate) name: &'static str,
    before: Vec<Vec<String>>,
    pub(crate) batch: Vec<String>,
    /// What a function is asked instead, until it answers without an error.
    pub(crate) question: Option<Question>,
    /// What is done to AWS before anything, and after `before`.
    world: fn(&mut World),
    meddle: fn(&mut World),
    settings: Vec<(String, String)>,
    /// Whether a child that lived before knows more, such as credentials.
    pub(crate) needs_new_child: bool,
}

/// What a function is asked.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) function: &'static str,
    pub(crate) payload: Value,
    /// What reconcile makes of it, where it is an administrator's: a request for a cluster.
    pub(crate) goes_on: Option<Value>,
}

impl Flow {
    fn new(name: &'static str, before: Vec<Vec<String>>, batch: Vec<String>) -> Self {
        Self {
            name,
            before,
            batch,
            question: None,
            world: |_| {},
            meddle: |_| {},
            settings: Vec::new(),
            needs_new_child: false,
        }
    }

    /// A stage for it, on which nothing has happened yet.
    pub(crate) async fn stage(&self) -> Scenario {
        self.stage_with(&SETTINGS).await
    }

    /// The same with time enough for every call, so that none is made twice.
    pub(crate) async fn patient_stage(&self) -> Scenario {
        self.stage_with(&[("CALL_TIMEOUT_MS", "10000"), ("CALL_ATTEMPTS", "2")]).await
    }

    async fn stage_with(&self, settings: &[(&str, &str)]) -> Scenario {
        let mut world = scene::world(Timestamp::now()).unwrap();
        (self.world)(&mut world);
        let own = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let settings: Vec<(&str, &str)> = settings.iter().copied().chain(own).collect();
        Scenario::of(world, &settings).await
    }

    /// What happened before happens, and what is only done after a plan is planned.
    pub(crate) async fn begin(&mut self, scenario: &mut Scenario) -> Saved {
        for batch in &self.before {
            scenario.deliver(batch).await;
        }
        (self.meddle)(&mut scenario.stage.world());
        let adopts = |question: &&mut Question| question.payload["action"] == "adopt";
        if let Some(Question { payload, .. }) = self.question.as_mut().filter(adopts) {
            let mut plan = payload.clone();
            plan["mode"] = json!("plan");
            let planned = scenario.stage.admin().invoke(plan.to_string()).await.unwrap();
            let InvocationResult::Answer(planned) = planned else { panic!("{plan}: {planned:?}") };
            payload["plan"] = planned["plan"].clone();
        }
        scenario.stage.world().calls.clear();
        scenario.stage.save().await
    }
}

fn reconciled(name: &'static str, before: Vec<Vec<String>>) -> Flow {
    let payload = request("blue");
    let question = Question { function: "reconcile", payload, goes_on: None };
    Flow { question: Some(question), ..Flow::new(name, before, Vec::new()) }
}

fn request(cluster: &str) -> Value {
    json!({ "clusterArn": scene::cluster(cluster).unwrap() })
}

/// An administrator asks for a change of a cluster or on it.
fn administered(
    name: &'static str,
    before: Vec<Vec<String>>,
    cluster: &str,
    mut payload: Value,
) -> Flow {
    payload["mode"] = json!("apply");
    let goes_on = Some(request(cluster));
    let question = Question { function: "admin", payload, goes_on };
    Flow { question: Some(question), ..Flow::new(name, before, Vec::new()) }
}

pub(crate) fn bound_by_hand() -> Flow {
    let payload = json!({ "action": "bind", "serviceAccount": "svc-new", "roleArn": role("new") });
    administered("admin: bind", on_blue(), "blue", payload)
}

pub(crate) fn unbound_by_hand() -> Flow {
    let payload = json!({ "action": "unbind", "serviceAccount": "svc-first" });
    administered("admin: unbind", on_blue(), "blue", payload)
}

pub(crate) fn adopted() -> Flow {
    let one = json!({
        "namespace": "domino-compute", "serviceAccount": "theirs", "as": "svc-theirs",
    });
    let payload = json!({ "action": "adopt", "cluster": "blue", "associations": [one] });
    let mut flow = administered("admin: adopt", on_blue(), "blue", payload);
    flow.world = |world| {
        let blue = scene::cluster("blue").unwrap();
        world.add_foreign_association(&blue, "domino-compute", "theirs", &role("new")).unwrap();
    };
    flow
}

pub(crate) fn registered_by_hand() -> Flow {
    let payload = json!({ "action": "clusters", "register": request("green") });
    administered("admin: register", on_blue(), "green", payload)
}

/// Everything works on green too.
pub(crate) fn retired_by_hand() -> Flow {
    let mut before = vec![vec![registered("green", 1)]];
    before.extend(on_blue());
    let payload = json!({ "action": "clusters", "retire": { "cluster": "blue" } });
    administered("admin: retire", before, "blue", payload)
}

pub(crate) fn steady_cluster() -> Flow {
    reconciled("reconcile: steady", on_blue())
}

/// One association is gone, another has a foreign role.
pub(crate) fn drift() -> Flow {
    let mut before = on_blue();
    before.push(vec![assigned("svc-second", "old", 3)]);
    let mut flow = reconciled("reconcile: drift", before);
    flow.meddle = |world| {
        let blue = scene::cluster("blue").unwrap();
        let id_of = |world: &World, name: &str| {
            world.eks.find(&blue, "domino-compute", name).unwrap().id.clone()
        };
        let (first, second) = (id_of(world, "svc-first-sa"), id_of(world, "svc-second-sa"));
        world.delete_pod_identity_association(&somebody(), "blue", &first).unwrap();
        let update = UpdateAssociation {
            cluster: "blue".to_owned(),
            association_id: second,
            role_arn: Some(role("new")),
            ..UpdateAssociation::default()
        };
        world.update_pod_identity_association(&somebody(), &update).unwrap();
    };
    flow
}

/// Blue is retired, and everything works on green. Others' associations keep its node policies.
pub(crate) fn retirement() -> Flow {
    retired("reconcile: retirement")
}

/// Blue is retired and gone: its node policies are deleted, and it leaves the registry.
pub(crate) fn departure() -> Flow {
    let mut flow = retired("reconcile: departure");
    flow.meddle = |world| world.remove_cluster(&scene::cluster("blue").unwrap());
    flow
}

fn retired(name: &'static str) -> Flow {
    let retired = json!({ "clusterArn": scene::cluster("blue").unwrap() });
    let retired = event(source::ADMINISTRATION, detail_type::CLUSTER_RETIRED, retired, 10);
    let mut before = vec![vec![registered("blue", 1), registered("green", 2)]];
    // One binding: of several, each is looked for side by side until the first
    // finds the cluster gone, so that the number of calls would be chance.
    before.push(vec![assigned("svc-first", "report", 3)]);
    // The policy has an old version, which has to go first.
    before.push(vec![assigned("svc-first", "new", 5)]);
    before.push(vec![retired]);
    reconciled(name, before)
}

fn on_blue() -> Vec<Vec<String>> {
    vec![vec![registered("blue", 1)], vec![assigned("svc-first", "report", 2)]]
}

fn with(name: &str, as_role: &str, extra: Value, second: i64) -> String {
    let mut detail = json!({ "serviceAccount": name, "roleArn": role(as_role) });
    detail.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, detail, second)
}

fn registered_alone(cluster: &str, second: i64) -> String {
    let detail = json!({ "clusterArn": scene::cluster(cluster).unwrap() });
    event(source::ADMINISTRATION, detail_type::CLUSTER_REGISTERED, detail, second)
}

pub(crate) fn first_binding() -> Flow {
    Flow::new(
        "first binding",
        vec![vec![registered("blue", 1)]],
        vec![assigned("svc-new", "new", 10)],
    )
}

pub(crate) fn node_groups() -> Flow {
    let before = vec![vec![registered_alone("green", 1)]];
    Flow::new("node roles from node groups", before, vec![assigned("svc-new", "new", 10)])
}

/// The first policy is nearly full with roles of others.
pub(crate) fn second_policy() -> Flow {
    let mut flow = Flow::new("second policy", on_blue(), vec![with_long_role("svc-new", 99, 10)]);
    flow.world = |world| {
        let blue = scene::cluster("blue").unwrap();
        for at in 0..10 {
            let name = format!("theirs-{at}");
            let role = long_role(at);
            world.add_foreign_association(&blue, "domino-compute", &name, &role).unwrap();
        }
        let ours = long_role(99).parse().unwrap();
        world.add_role(&ours, accounts::TRUST);
    };
    flow
}

/// As long as IAM takes them: ten fill a policy.
fn long_role(at: usize) -> String {
    let path = format!("domino/{}", "long/".repeat(100));
    scene::role(&format!("{path}role-{at:02}")).unwrap().to_string()
}

fn with_long_role(name: &str, at: usize, second: i64) -> String {
    let detail = json!({ "serviceAccount": name, "roleArn": long_role(at) });
    event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, detail, second)
}

/// The ledger that knew the policy was lost: it exists, and lists another role.
pub(crate) fn known_policy() -> Flow {
    let mut flow = Flow::new(
        "known policy",
        vec![vec![registered("blue", 1)]],
        vec![assigned("svc-new", "new", 10)],
    );
    flow.world = |world| {
        let blue = scene::cluster("blue").unwrap();
        let arn = node_policy::policy_arn("local", &blue, 1).unwrap();
        let roles = [scene::role("report").unwrap()].into();
        let document = node_policy::document(&roles, None);
        let tags = [(DEPLOYMENT_TAG.to_owned(), "local".to_owned())].into();
        let path = node_policy::policy_path("local", &blue);
        world.create_policy(&somebody(), arn.name(), &path, "", &document, &tags).unwrap();
    };
    flow
}

/// The policy has five versions.
pub(crate) fn pruned_versions() -> Flow {
    let mut before = on_blue();
    let roles = ["old", "archive", "warehouse", "report-readonly"];
    let events = roles
        .iter()
        .zip(3..)
        .map(|(role, second)| vec![assigned(&format!("svc-as-{role}"), role, second)]);
    before.extend(events);
    Flow::new("pruned versions", before, vec![assigned("svc-new", "new", 10)])
}

pub(crate) fn change_of_role() -> Flow {
    Flow::new("change of role", on_blue(), vec![assigned("svc-first", "new", 10)])
}

const TARGET: &str = "arn:aws:iam::444455556666:role/domino-target-x";

pub(crate) fn target_role_set() -> Flow {
    let set = with("svc-first", "report", json!({ "targetRoleArn": TARGET }), 10);
    Flow::new("target role set", on_blue(), vec![set])
}

pub(crate) fn target_role_cleared() -> Flow {
    let mut before = on_blue();
    before.push(vec![with("svc-first", "report", json!({ "targetRoleArn": TARGET }), 3)]);
    Flow::new("target role cleared", before, vec![assigned("svc-first", "report", 10)])
}

pub(crate) fn removals() -> Flow {
    let mut before = on_blue();
    before.push(vec![assigned("svc-second", "report", 3)]);
    let batch = vec![unassigned("svc-first", 10), deactivated("svc-second", 11)];
    Flow::new("removals", before, batch)
}

pub(crate) fn move_of_kubernetes_account() -> Flow {
    let elsewhere = json!({ "kubernetes": { "serviceAccount": "elsewhere" } });
    Flow::new("move", on_blue(), vec![with("svc-first", "report", elsewhere, 10)])
}

/// Who held the place goes, and who waited gets it.
pub(crate) fn handing_over() -> Flow {
    let place = json!({ "kubernetes": { "serviceAccount": "svc-first-sa" } });
    let mut before = on_blue();
    before.push(vec![with("svc-other", "new", place, 3)]);
    Flow::new("handing over", before, vec![unassigned("svc-first", 10)])
}

/// Somebody has taken our tags off what is removed.
pub(crate) fn untagged() -> Flow {
    let mut flow = Flow::new("untagged", on_blue(), vec![unassigned("svc-first", 10)]);
    flow.meddle = |world| {
        let blue = scene::cluster("blue").unwrap();
        let first = world.eks.find(&blue, "domino-compute", "svc-first-sa").unwrap().clone();
        let keys: Vec<String> = first.tags.keys().cloned().collect();
        world.untag_resource(&somebody(), &first.arn, &keys).unwrap();
    };
    flow
}

/// Somebody has copied our tag onto an association that is not ours.
pub(crate) fn copied_tag() -> Flow {
    let mut before = on_blue();
    before.push(vec![assigned("svc-warehouse", "warehouse", 3)]);
    let mut flow =
        Flow::new("copied tag", before, vec![assigned("svc-warehouse", "warehouse", 10)]);
    flow.meddle = |world| {
        let blue = scene::cluster("blue").unwrap();
        let found = world.eks.find(&blue, "domino-compute", "svc-warehouse-sa");
        let theirs = found.unwrap().arn.clone();
        let tags = [(DEPLOYMENT_TAG, scene::DEPLOYMENT)];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        world.tag_resource(&somebody(), &theirs, &tags).unwrap();
        assert!(
            !world
                .eks
                .find(&blue, "domino-compute", "svc-warehouse-sa")
                .unwrap()
                .tags
                .contains_key(SERVICE_ACCOUNT_TAG)
        );
    };
    flow
}

pub(crate) fn registration_and_retirement() -> Flow {
    let retired = json!({ "clusterArn": scene::cluster("blue").unwrap() });
    let retired = event(source::ADMINISTRATION, detail_type::CLUSTER_RETIRED, retired, 10);
    let batch = vec![registered("green", 11), retired];
    Flow::new("registration and retirement", on_blue(), batch)
}

pub(crate) fn refused_and_superseded() -> Flow {
    let rejected = samples::rejected()[0].json.to_owned();
    let late = unassigned("svc-first", 1);
    let blocked = assigned("svc-legacy", "untrusted-legacy", 10);
    let waiting = with("svc-later", "new", json!({ "clusters": ["amber"] }), 11);
    let batch = vec![rejected, "no JSON".to_owned(), late, blocked, waiting];
    Flow::new("refused, superseded, blocked, waiting", on_blue(), batch)
}

pub(crate) fn several_clusters() -> Flow {
    let mut before = on_blue();
    before.push(vec![registered("green", 3)]);
    let batch = vec![
        assigned("svc-new", "new", 10),
        assigned("svc-more", "old", 11),
        unassigned("svc-first", 12),
    ];
    Flow::new("several clusters", before, batch)
}

pub(crate) fn other_account() -> Flow {
    let mut flow = Flow::new(
        "cluster of another account",
        vec![vec![accounts::their_registration(1)]],
        vec![accounts::theirs_assigned(10)],
    );
    flow.world = accounts::add_their_account;
    flow.settings = accounts::settings();
    flow.needs_new_child = true;
    flow
}

pub(crate) fn pages() -> Flow {
    let mut flow = Flow::new(
        "lists of several pages",
        vec![vec![registered_alone("green", 1)]],
        vec![assigned("svc-new", "new", 10), assigned("svc-more", "old", 11)],
    );
    flow.world = |world| {
        world.settings.page_size = 1;
        let green = scene::cluster("green").unwrap();
        let role = role("report");
        world.add_foreign_association(&green, "domino-compute", "theirs", &role).unwrap();
    };
    flow
}

/// All of them.
pub(crate) fn all() -> Vec<Flow> {
    vec![
        first_binding(),
        node_groups(),
        second_policy(),
        known_policy(),
        pruned_versions(),
        change_of_role(),
        target_role_set(),
        target_role_cleared(),
        removals(),
        move_of_kubernetes_account(),
        handing_over(),
        untagged(),
        copied_tag(),
        registration_and_retirement(),
        refused_and_superseded(),
        several_clusters(),
        other_account(),
        pages(),
        steady_cluster(),
        drift(),
        retirement(),
        departure(),
        bound_by_hand(),
        unbound_by_hand(),
        adopted(),
        registered_by_hand(),
        retired_by_hand(),
    ]
}

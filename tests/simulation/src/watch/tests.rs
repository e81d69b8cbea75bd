//! That every invariant can be broken, and is then told by its name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use jiff::SignedDuration;
use pod_identity_core::{Desired, HeldAssociation, Version, association_tags};
use pod_identity_engine::ports::{
    AssociationUpdate, ClusterAccess, EksWriter, Expect, IamWriter, Item, LedgerWriter,
    NewAssociation, NewPolicy, Write,
};
use pod_identity_world::WorldPorts;
use serde_json::json;

use super::*;
use crate::hands;
use crate::history::{Hand, Setup};

const REQUEST: &str = "request-1";

fn setup() -> Setup {
    Setup { strict: true, ..Setup::plain() }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        let context = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return value;
        }
    }
}

/// blue, watched, and what a run may do to it.
struct Scene {
    world: Arc<Mutex<World>>,
    ports: WorldPorts,
    watch: Watch,
    access: ClusterAccess,
    /// Whether the ledger is another deployment's.
    elsewhere: bool,
    /// Of a reconciliation: the roles that bindings named when it began.
    named: Option<BTreeSet<RoleArn>>,
}

impl Scene {
    fn new() -> Self {
        let world = stage::world(&setup());
        let watch = Watch::new(&world.lock().unwrap());
        let ports = WorldPorts::new(Arc::clone(&world), REQUEST);
        let access = ClusterAccess { cluster: stage::cluster(0), assume_role: None };
        Self { world, ports, watch, access, elsewhere: false, named: None }
    }

    /// A run that holds the lease of blue.
    fn leased() -> Self {
        let scene = Self::new();
        let until = scene.world.lock().unwrap().now + SignedDuration::from_secs(60);
        let body = json!({ "owner": REQUEST, "expiresAt": until.to_string() });
        scene.put(lease_key(&stage::cluster(0)), body);
        scene
    }

    fn put(&self, key: pod_identity_engine::ports::Key, body: serde_json::Value) {
        let item = Item { key, revision: "r".to_owned(), body };
        let write = Write::Put { item, expires_at: None, expect: Expect::Anything };
        wait(self.ports.write(&[write])).unwrap();
    }

    /// A policy that lists roles, attached to the node role; where nothing is registered the
    /// ledger asks for no grant, so this registers blue as well.
    fn grants(&self, roles: &[u8]) {
        let cluster = stage::cluster(0);
        let version = "000000000000000#e";
        let node_roles = stage::node_roles(&cluster, false);
        let registration = json!({ "cluster": cluster, "nodeRoles": node_roles });
        let record = json!({ "registration": registration, "version": version });
        let mut clusters = BTreeMap::new();
        clusters.insert(cluster.to_string(), record);
        self.put(registry_key(), json!({ "clusters": clusters }));
        let roles = roles.iter().map(|index| stage::role(*index)).collect();
        let new = NewPolicy {
            arn: node_policy::policy_arn(DEPLOYMENT, &cluster, 1).unwrap(),
            description: String::new(),
            document: node_policy::document(&roles, None),
            tags: BTreeMap::new(),
        };
        wait(self.ports.create_policy(&self.access, &new)).unwrap();
        for node_role in node_roles {
            wait(self.ports.attach_policy(&self.access, &node_role, &new.arn)).unwrap();
        }
        self.knows("v1");
    }

    /// The ledger knows a version of the first policy.
    fn knows(&self, version: &str) {
        let mut record = NodePolicyRecord::default();
        record.projection.assign(1, BTreeSet::new(), false);
        record.projection.policies.get_mut(&1).unwrap().is_written(version.to_owned());
        self.put(node_policy_key(&stage::cluster(0)), json!(record));
    }

    /// What is written from now on is not this run's second time.
    fn another_run(&mut self) {
        self.watch.written.clear();
    }

    /// A new version of the first policy.
    fn lists(&self, roles: &[u8]) {
        let arn = node_policy::policy_arn(DEPLOYMENT, &stage::cluster(0), 1).unwrap();
        let roles = roles.iter().map(|index| stage::role(*index)).collect();
        let document = node_policy::document(&roles, None);
        wait(self.ports.create_policy_version(&self.access, &arn, &document)).unwrap();
    }

    fn bind(&self, role: &str) {
        self.bind_at(0, role);
    }

    /// Binds a role, and gives the association's id.
    fn bind_at(&self, place: u8, role: &str) -> String {
        let new = NewAssociation {
            kubernetes: stage::place(place),
            desired: desired(role),
            tags: association_tags(DEPLOYMENT, &"svc-0".parse().unwrap()),
            client_token: format!("t-{}", self.world.lock().unwrap().calls.len()),
        };
        wait(self.ports.create_association(&self.access, &new)).unwrap().id
    }

    fn foreign(&self) -> String {
        let world = self.world.lock().unwrap();
        world.eks.associations(&stage::cluster(0))[0].id.clone()
    }

    fn look(&mut self) -> Result<(), &'static str> {
        let world = self.world.lock().unwrap();
        let step = Step {
            request: REQUEST,
            late: false,
            disturbed: false,
            replaced: false,
            elsewhere: self.elsewhere,
            beyond: false,
            may_be_full: false,
            meddled: false,
            registries: &[registry(&world)],
            named: self.named.as_ref(),
            ceiling: 1,
        };
        self.watch.look(&world, &step).map_err(|violation| violation.rule)
    }
}

fn desired(role: &str) -> Desired {
    Desired {
        role: role.parse().unwrap(),
        target_role: None,
        disable_session_tags: false,
        session_policy: None,
    }
}

#[test]
fn what_is_granted_and_bound_under_the_lease_breaks_nothing() {
    let mut scene = Scene::leased();
    scene.grants(&[0]);
    assert_eq!(scene.look(), Ok(()));
    scene.bind(stage::role(0).as_str());
    assert_eq!(scene.look(), Ok(()));
}

#[test]
fn a_writer_without_the_lease_is_told() {
    let mut scene = Scene::new();
    scene.grants(&[0]);
    assert_eq!(scene.look(), Err("one writer per cluster"));
}

#[test]
fn a_writer_whose_lease_is_over_is_told() {
    let mut scene = Scene::leased();
    scene.grants(&[0]);
    scene.world.lock().unwrap().now += SignedDuration::from_secs(61);
    assert_eq!(scene.look(), Err("one writer per cluster"));
}

#[test]
fn a_role_that_is_bound_and_not_granted_is_told() {
    let mut scene = Scene::leased();
    scene.grants(&[0]);
    assert_eq!(scene.look(), Ok(()));
    scene.bind(stage::role(1).as_str());
    assert_eq!(scene.look(), Err("grant before bind"));
}

#[test]
fn a_role_that_is_not_admitted_is_told() {
    let mut scene = Scene::leased();
    let admin = "arn:aws:iam::111122223333:role/admin".parse().unwrap();
    let trust = scene.world.lock().unwrap().iam.trust(&stage::role(0)).unwrap().to_owned();
    scene.world.lock().unwrap().add_role(&admin, &trust);
    scene.bind(admin.as_str());
    assert_eq!(scene.look(), Err("nothing is bound that is not admitted"));
}

#[test]
fn a_foreign_association_that_is_changed_or_deleted_is_told() {
    let mut scene = Scene::leased();
    let update = AssociationUpdate {
        id: scene.foreign(),
        kubernetes: stage::place(1),
        desired: desired(stage::role(0).as_str()),
        client_token: "t".to_owned(),
    };
    wait(scene.ports.update_association(&scene.access, &update)).unwrap();
    assert_eq!(scene.look(), Err("foreign associations are never changed"));

    let mut scene = Scene::leased();
    wait(scene.ports.delete_association(&scene.access, &scene.foreign())).unwrap();
    assert_eq!(scene.look(), Err("foreign associations are never changed"));
}

#[test]
fn a_deletion_that_the_ledger_does_not_know_of_is_told() {
    let mut scene = Scene::leased();
    scene.grants(&[0]);
    scene.bind(stage::role(0).as_str());
    assert_eq!(scene.look(), Ok(()));
    // A binding that was never given up.
    scene.put(binding_key(&"svc-0".parse().unwrap()), json!({}));
    let place = stage::place(0);
    let id = {
        let world = scene.world.lock().unwrap();
        let found = world.eks.find(&stage::cluster(0), NAMESPACE, place.service_account());
        found.unwrap().id.clone()
    };
    wait(scene.ports.delete_association(&scene.access, &id)).unwrap();
    assert_eq!(scene.look(), Err("only what was given up is deleted"));
}

#[test]
fn a_run_that_makes_more_again_than_its_ceiling_is_told_unless_the_cluster_is_new() {
    for rebuilt in [false, true] {
        let mut scene = Scene::leased();
        let role = stage::role(0);
        scene.grants(&[0]);
        let (blue, name) = (stage::cluster(0), "svc-0".parse().unwrap());
        let version = Version::new(stage::time(0), "e".to_owned());
        let binding = json!({
            "version": version, "state": { "is": "unbound", "reason": "unassigned" },
            "detailType": "",
            "requestId": "", "pace": { "since": stage::time(0), "changes": 1 },
            "claimedAt": stage::time(0),
        });
        scene.put(binding_key(&name), binding);
        for place in [0, 2] {
            let id = scene.bind_at(place, role.as_str());
            let held = HeldAssociation {
                id,
                arn: "arn".to_owned(),
                service_account: name.clone(),
                version: version.clone(),
                desired: desired(role.as_str()),
            };
            let account = AccountRecord { held: Some(held), ..AccountRecord::default() };
            scene.put(account_key(&blue, &stage::place(place)), json!(account));
        }
        assert_eq!(scene.look(), Ok(()));
        {
            let mut world = scene.world.lock().unwrap();
            if rebuilt {
                world.remove_cluster(&blue);
                scene.watch.merge_in(&world);
                stage::add_cluster(&mut world, &blue);
            } else {
                for _ in 0..2 {
                    let all = world.eks.associations(&blue);
                    let nth = u8::try_from(all.iter().position(|one| is_ours(one)).unwrap());
                    hands::act(&mut world, Hand::Delete { cluster: 0, nth: nth.unwrap() });
                }
            }
            scene.watch.merge_in(&world);
        }
        scene.bind_at(0, role.as_str());
        assert_eq!(scene.look(), Ok(()));
        scene.bind_at(2, role.as_str());
        let rule = (!rebuilt).then_some("no run makes more again than its ceiling");
        assert_eq!(scene.look().err(), rule);
    }
}

#[test]
fn a_policy_that_loses_a_role_is_told() {
    let mut scene = Scene::leased();
    scene.grants(&[0, 1]);
    assert_eq!(scene.look(), Ok(()));
    scene.lists(&[0]);
    assert_eq!(scene.look(), Err("no role leaves a node policy"));
}

#[test]
fn a_role_of_a_version_that_the_ledger_does_not_know_may_be_written_over_and_merged() {
    let mut scene = Scene::leased();
    scene.grants(&[0]);
    assert_eq!(scene.look(), Ok(()));
    scene.another_run();
    scene.lists(&[0, 1]);
    assert_eq!(scene.look(), Ok(()));
    scene.another_run();
    scene.lists(&[0]);
    assert_eq!(scene.look(), Ok(()));
    scene.lists(&[0, 1]);
    assert_eq!(scene.look(), Ok(()));
    scene.knows("v4");
    scene.another_run();
    scene.lists(&[0]);
    assert_eq!(scene.look(), Err("no role leaves a node policy"));
}

#[test]
fn a_change_on_the_word_of_another_deployment_is_told() {
    let mut scene = Scene::leased();
    scene.elsewhere = true;
    scene.grants(&[0]);
    assert_eq!(scene.look(), Err("another deployment's ledger changes nothing"));
}

#[test]
fn a_policy_that_is_written_twice_by_a_run_is_told() {
    let mut scene = Scene::leased();
    scene.grants(&[0]);
    assert_eq!(scene.look(), Ok(()));
    let arn = node_policy::policy_arn(DEPLOYMENT, &stage::cluster(0), 1).unwrap();
    let document = node_policy::document(&[stage::role(0), stage::role(1)].into(), None);
    wait(scene.ports.create_policy_version(&scene.access, &arn, &document)).unwrap();
    assert_eq!(scene.look(), Err("a run writes a policy once"));
}

#[test]
fn a_policy_may_be_written_again_when_the_run_looked_again_after_a_pause() {
    let mut scene = Scene::leased();
    scene.grants(&[0]);
    assert_eq!(scene.look(), Ok(()));
    scene.ports.world().now += SignedDuration::from_secs(PAUSE);
    let arn = node_policy::policy_arn(DEPLOYMENT, &stage::cluster(0), 1).unwrap();
    let document = node_policy::document(&[stage::role(0), stage::role(1)].into(), None);
    wait(scene.ports.create_policy_version(&scene.access, &arn, &document)).unwrap();
    assert_eq!(scene.look(), Ok(()));
}

#[test]
fn a_policy_that_says_more_than_roles_is_told() {
    let mut scene = Scene::leased();
    let new = NewPolicy {
        arn: node_policy::policy_arn(DEPLOYMENT, &stage::cluster(0), 1).unwrap(),
        description: String::new(),
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#.to_owned(),
        tags: BTreeMap::new(),
    };
    wait(scene.ports.create_policy(&scene.access, &new)).unwrap();
    assert_eq!(scene.look(), Err("a node policy is a list that fits"));
}

#[test]
fn a_reconciliation_may_take_out_what_nobody_uses_and_nothing_else() {
    let mut scene = Scene::leased();
    scene.grants(&[0, 1, 2]);
    scene.look().unwrap();
    scene.another_run();
    scene.named = Some(BTreeSet::new());
    let foreign = stage::role(0);
    let blue = stage::cluster(0);
    let (namespace, name) = ("team", "theirs");
    scene
        .world
        .lock()
        .unwrap()
        .add_foreign_association(&blue, namespace, name, foreign.as_str())
        .unwrap();
    scene.watch.merge_in(&scene.world.lock().unwrap());
    scene.lists(&[0, 1]);
    scene.look().unwrap();
    scene.knows("v2");
    scene.lists(&[1]);
    assert_eq!(scene.look(), Err("unbind before trim"));
}

#[test]
fn a_policy_is_detached_and_deleted_by_a_reconciliation_only_and_only_if_it_is_not_needed() {
    for (reconciles, used) in [(true, false), (true, true), (false, false)] {
        let mut scene = Scene::leased();
        scene.grants(&[0]);
        scene.look().unwrap();
        let blue = stage::cluster(0);
        if used {
            let role = stage::role(0);
            scene
                .world
                .lock()
                .unwrap()
                .add_foreign_association(&blue, "team", "x", role.as_str())
                .unwrap();
        }
        scene.watch.merge_in(&scene.world.lock().unwrap());
        scene.named = reconciles.then(BTreeSet::new);
        let arn = node_policy::policy_arn(DEPLOYMENT, &blue, 1).unwrap();
        for node_role in stage::node_roles(&blue, false) {
            wait(scene.ports.detach_policy(&scene.access, &node_role, &arn)).unwrap();
        }
        let rule = match (reconciles, used) {
            (true, false) => None,
            (true, true) => Some("unbind before trim"),
            (false, _) => Some("only reconcile detaches"),
        };
        assert_eq!(scene.look().err(), rule);
        wait(scene.ports.delete_policy(&scene.access, &arn)).unwrap();
        let rule = (!reconciles).then_some("only reconcile deletes a policy");
        assert_eq!(scene.look().err(), rule);
    }
}

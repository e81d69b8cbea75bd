//! What somebody does to AWS by hand.

use std::collections::BTreeSet;

use pod_identity_core::{association_tags, node_policy};
use pod_identity_engine::ports::Association;
use pod_identity_world::{Caller, CreateAssociation, UpdateAssociation, World};

use crate::history::Hand;
use crate::stage::{self, ACCOUNT};

fn caller() -> Caller {
    Caller { name: "hand".to_owned(), account: ACCOUNT.to_owned(), region: "eu-west-1".to_owned() }
}

fn nth_association(world: &World, cluster: u8, nth: u8) -> Option<Association> {
    let all = world.eks.associations(&stage::cluster(cluster));
    let nth = usize::from(nth) % all.len().max(1);
    all.get(nth).map(|association| (*association).clone())
}

fn nth_policy(world: &World, nth: u8) -> Option<String> {
    let all: Vec<&str> = world.iam.policy_arns().collect();
    all.get(usize::from(nth) % all.len().max(1)).map(|arn| (*arn).to_owned())
}

/// Writes a new version, and makes room for it as a person would.
fn write(world: &mut World, policy: &str, document: &str) {
    let who = caller();
    let versions = world.list_policy_versions(&who, policy, None, None);
    let versions = versions.map(|page| page.items).unwrap_or_default();
    if let (5.., Some(oldest)) =
        (versions.len(), versions.iter().rev().find(|version| !version.is_default))
    {
        let _ = world.delete_policy_version(&who, policy, &oldest.id);
    }
    // IAM may refuse it; then it did not happen.
    let _ = world.create_policy_version(&who, policy, document, true);
}

/// Does it, if it can be done.
pub(crate) fn act(world: &mut World, hand: Hand) {
    let who = caller();
    match hand {
        Hand::Create { cluster, place, role } => {
            let place = stage::place(place);
            let input = CreateAssociation {
                cluster: stage::cluster(cluster).name().to_owned(),
                namespace: place.namespace().to_owned(),
                service_account: place.service_account().to_owned(),
                role_arn: stage::role(role).to_string(),
                ..CreateAssociation::default()
            };
            let _ = world.create_pod_identity_association(&who, input);
        }
        Hand::Delete { cluster, nth } => {
            if let Some(found) = nth_association(world, cluster, nth) {
                let name = stage::cluster(cluster).name().to_owned();
                let _ = world.delete_pod_identity_association(&who, &name, &found.id);
            }
        }
        Hand::Change { cluster, nth, role } => {
            if let Some(found) = nth_association(world, cluster, nth) {
                let input = UpdateAssociation {
                    cluster: stage::cluster(cluster).name().to_owned(),
                    association_id: found.id,
                    role_arn: Some(stage::role(role).to_string()),
                    ..UpdateAssociation::default()
                };
                let _ = world.update_pod_identity_association(&who, &input);
            }
        }
        Hand::Untag { cluster, nth } => {
            if let Some(found) = nth_association(world, cluster, nth) {
                let keys: Vec<String> = found.tags.keys().cloned().collect();
                let _ = world.untag_resource(&who, &found.arn, &keys);
            }
        }
        Hand::Tag { cluster, nth, name } => {
            if let Some(found) = nth_association(world, cluster, nth)
                && let Ok(name) = stage::name(name).parse()
            {
                let tags = association_tags(stage::DEPLOYMENT, &name);
                let _ = world.tag_resource(&who, &found.arn, &tags);
            }
        }
        Hand::Policy { nth, role } => {
            let Some(arn) = nth_policy(world, nth) else { return };
            let Some((mut roles, cluster)) = read(world, &arn) else { return };
            match role {
                Some(role) => _ = roles.insert(stage::role(role)),
                None => _ = roles.pop_first(),
            }
            let statement = world.iam.document_in_force(&arn).unwrap().contains(":cluster/");
            let document = node_policy::document(&roles, statement.then_some(&cluster));
            write(world, &arn, &document);
        }
        Hand::Garble { nth } => {
            let Some(arn) = nth_policy(world, nth) else { return };
            let more = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
            write(world, &arn, more);
        }
        Hand::Detach { nth } => {
            let Some(arn) = nth_policy(world, nth) else { return };
            for cluster in stage::clusters() {
                for role in stage::node_roles(&cluster, true) {
                    let _ = world.detach_role_policy(&who, role.name(), &arn);
                }
            }
        }
        Hand::Attach { cluster } => {
            let cluster = stage::cluster(cluster);
            let name = format!("somebodys-{}", world.iam.policy_arns().count());
            let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
            if let Ok(made) =
                world.create_policy(&who, &name, "/", "", document, &Default::default())
            {
                for role in stage::node_roles(&cluster, false) {
                    let _ = world.attach_role_policy(&who, role.name(), &made.arn);
                }
            }
        }
        Hand::Trust { role, trusts } => stage::set_trust(world, role, trusts),
        Hand::DeleteCluster { cluster } => world.remove_cluster(&stage::cluster(cluster)),
        Hand::CreateCluster { cluster } => {
            let cluster = stage::cluster(cluster);
            if world.eks.cluster_arns().all(|known| *known != cluster) {
                stage::add_cluster(world, &cluster);
            }
        }
    }
}

/// The roles of a node policy that says no more than a list, and its cluster.
fn read(
    world: &World,
    arn: &str,
) -> Option<(BTreeSet<pod_identity_core::RoleArn>, pod_identity_core::ClusterArn)> {
    let text = world.iam.document_in_force(arn)?;
    let cluster = stage::clusters().find(|c| arn.contains(&format!("-{}-", c.name())))?;
    let shard = node_policy::parse(1, text, &cluster)?;
    Some((shard.roles, cluster))
}

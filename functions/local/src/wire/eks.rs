//! EKS: REST with JSON bodies.

use std::collections::BTreeMap;

use http::Method;
use jiff::Timestamp;
use pod_identity_engine::ports::{Association, AssociationFilter};
use pod_identity_world::{AwsError, Caller, CreateAssociation, UpdateAssociation, World};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::request::Request;

pub(super) enum Operation {
    Create(CreateAssociation),
    List { cluster: String, filter: AssociationFilter, page: Page },
    Describe { cluster: String, id: String },
    Update(UpdateAssociation),
    Delete { cluster: String, id: String },
    DescribeCluster { cluster: String },
    ListAddons { cluster: String, page: Page },
    DescribeAddon { cluster: String, name: String },
    ListNodegroups { cluster: String, page: Page },
    DescribeNodegroup { cluster: String, name: String },
    Tag { arn: String, tags: BTreeMap<String, String> },
    Untag { arn: String, keys: Vec<String> },
    ListTags { arn: String },
}

pub(super) struct Page {
    size: Option<usize>,
    token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    namespace: Option<String>,
    service_account: Option<String>,
    role_arn: Option<String>,
    target_role_arn: Option<String>,
    disable_session_tags: Option<bool>,
    policy: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    client_request_token: Option<String>,
}

impl Operation {
    pub(super) fn route(request: &Request) -> Result<Self, AwsError> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let body = || -> Result<Body, AwsError> {
            if request.body.is_empty() {
                return Ok(Body::default());
            }
            serde_json::from_slice(&request.body)
                .map_err(|error| AwsError::new(400, "SerializationException", error.to_string()))
        };
        let get = request.method == Method::GET;
        let post = request.method == Method::POST;
        let delete = request.method == Method::DELETE;
        Ok(match segments.as_slice() {
            ["clusters", cluster] if get => {
                Self::DescribeCluster { cluster: (*cluster).to_owned() }
            }
            ["clusters", cluster, "pod-identity-associations"] if post => {
                Self::create(cluster, body()?)?
            }
            ["clusters", cluster, "pod-identity-associations"] if get => Self::List {
                cluster: (*cluster).to_owned(),
                filter: AssociationFilter {
                    namespace: request.parameter("namespace"),
                    service_account: request.parameter("serviceAccount"),
                },
                page: page(request)?,
            },
            ["clusters", cluster, "pod-identity-associations", id] if get => {
                Self::Describe { cluster: (*cluster).to_owned(), id: (*id).to_owned() }
            }
            ["clusters", cluster, "pod-identity-associations", id] if post => {
                let body = body()?;
                Self::Update(UpdateAssociation {
                    cluster: (*cluster).to_owned(),
                    association_id: (*id).to_owned(),
                    role_arn: body.role_arn,
                    target_role_arn: body.target_role_arn,
                    disable_session_tags: body.disable_session_tags,
                    policy: body.policy,
                })
            }
            ["clusters", cluster, "pod-identity-associations", id] if delete => {
                Self::Delete { cluster: (*cluster).to_owned(), id: (*id).to_owned() }
            }
            ["clusters", cluster, "addons"] if get => {
                Self::ListAddons { cluster: (*cluster).to_owned(), page: page(request)? }
            }
            ["clusters", cluster, "addons", name] if get => {
                Self::DescribeAddon { cluster: (*cluster).to_owned(), name: (*name).to_owned() }
            }
            ["clusters", cluster, "node-groups"] if get => {
                Self::ListNodegroups { cluster: (*cluster).to_owned(), page: page(request)? }
            }
            ["clusters", cluster, "node-groups", name] if get => {
                Self::DescribeNodegroup { cluster: (*cluster).to_owned(), name: (*name).to_owned() }
            }
            // Clients differ in whether they encode the slashes of the ARN.
            ["tags", arn @ ..] if !arn.is_empty() => {
                let arn = arn.join("/");
                if post {
                    Self::Tag { arn, tags: body()?.tags.unwrap_or_default() }
                } else if delete {
                    let keys = request.query.iter().filter(|(key, _)| key == "tagKeys");
                    Self::Untag { arn, keys: keys.map(|(_, value)| value.clone()).collect() }
                } else {
                    Self::ListTags { arn }
                }
            }
            _ => {
                return Err(AwsError::new(
                    404,
                    "UnknownOperationException",
                    format!("{} {} is not part of this AWS", request.method, request.path),
                ));
            }
        })
    }

    fn create(cluster: &str, body: Body) -> Result<Self, AwsError> {
        let required = |value: Option<String>, name: &str| {
            value.ok_or_else(|| {
                AwsError::new(400, "InvalidParameterException", format!("{name} is required."))
            })
        };
        Ok(Self::Create(CreateAssociation {
            cluster: cluster.to_owned(),
            namespace: required(body.namespace, "namespace")?,
            service_account: required(body.service_account, "serviceAccount")?,
            role_arn: required(body.role_arn, "roleArn")?,
            target_role_arn: body.target_role_arn,
            disable_session_tags: body.disable_session_tags,
            policy: body.policy,
            tags: body.tags.unwrap_or_default(),
            client_request_token: body.client_request_token,
        }))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "CreatePodIdentityAssociation",
            Self::List { .. } => "ListPodIdentityAssociations",
            Self::Describe { .. } => "DescribePodIdentityAssociation",
            Self::Update(_) => "UpdatePodIdentityAssociation",
            Self::Delete { .. } => "DeletePodIdentityAssociation",
            Self::DescribeCluster { .. } => "DescribeCluster",
            Self::ListAddons { .. } => "ListAddons",
            Self::DescribeAddon { .. } => "DescribeAddon",
            Self::ListNodegroups { .. } => "ListNodegroups",
            Self::DescribeNodegroup { .. } => "DescribeNodegroup",
            Self::Tag { .. } => "TagResource",
            Self::Untag { .. } => "UntagResource",
            Self::ListTags { .. } => "ListTagsForResource",
        }
    }

    pub(super) fn object(&self) -> String {
        match self {
            Self::Create(input) => {
                format!(
                    "{}/{} in cluster {}",
                    input.namespace, input.service_account, input.cluster
                )
            }
            Self::Update(input) => {
                format!("{} in cluster {}", input.association_id, input.cluster)
            }
            Self::List { cluster, .. }
            | Self::DescribeCluster { cluster }
            | Self::ListAddons { cluster, .. }
            | Self::ListNodegroups { cluster, .. } => format!("cluster {cluster}"),
            Self::Describe { cluster, id } | Self::Delete { cluster, id } => {
                format!("{id} in cluster {cluster}")
            }
            Self::DescribeNodegroup { cluster, name } | Self::DescribeAddon { cluster, name } => {
                format!("{name} of cluster {cluster}")
            }
            Self::Tag { arn, .. } | Self::Untag { arn, .. } | Self::ListTags { arn } => arn.clone(),
        }
    }

    pub(super) fn perform(self, world: &mut World, caller: &Caller) -> Result<Value, AwsError> {
        Ok(match self {
            Self::Create(input) => {
                let cluster = input.cluster.clone();
                let made = world.create_pod_identity_association(caller, input)?;
                json!({"association": association(&cluster, &made)})
            }
            Self::List { cluster, filter, page } => {
                let token = page.token.as_deref();
                let list = world
                    .list_pod_identity_associations(caller, &cluster, &filter, page.size, token)?;
                let items: Vec<Value> = list
                    .items
                    .iter()
                    .map(|item| {
                        without_nulls(json!({
                            "clusterName": cluster,
                            "namespace": item.namespace,
                            "serviceAccount": item.service_account,
                            "associationArn": item.arn,
                            "associationId": item.id,
                            "ownerArn": item.owner_arn,
                        }))
                    })
                    .collect();
                json!({"associations": items, "nextToken": list.next})
            }
            Self::Describe { cluster, id } => {
                let found = world.describe_pod_identity_association(caller, &cluster, &id)?;
                json!({"association": association(&cluster, &found)})
            }
            Self::Update(input) => {
                let changed = world.update_pod_identity_association(caller, &input)?;
                json!({"association": association(&input.cluster, &changed)})
            }
            Self::Delete { cluster, id } => {
                let deleted = world.delete_pod_identity_association(caller, &cluster, &id)?;
                json!({"association": association(&cluster, &deleted)})
            }
            Self::DescribeCluster { cluster } => {
                let found = world.describe_cluster(caller, &cluster)?;
                let node_role = Some(&found.node_role).filter(|role| !role.is_empty());
                json!({"cluster": {
                    "name": found.name,
                    "arn": found.arn,
                    "createdAt": seconds(found.created_at),
                    "status": found.status,
                    "version": found.version,
                    "endpoint": found.endpoint,
                    "certificateAuthority": { "data": found.certificate_authority },
                    "accessConfig": { "authenticationMode": found.authentication_mode },
                    "resourcesVpcConfig": {
                        "endpointPublicAccess": found.endpoint_public_access,
                        "endpointPrivateAccess": found.endpoint_private_access,
                    },
                    "computeConfig": { "enabled": found.auto_mode, "nodeRoleArn": node_role },
                }})
            }
            Self::ListAddons { cluster, page } => {
                let token = page.token.as_deref();
                let list = world.list_addons(caller, &cluster, page.size, token)?;
                json!({"addons": list.items, "nextToken": list.next})
            }
            Self::DescribeAddon { cluster, name } => {
                let found = world.describe_addon(caller, &cluster, &name)?;
                json!({"addon": {
                    "addonName": name,
                    "clusterName": cluster,
                    "status": found.status,
                    "addonVersion": found.version,
                    "health": { "issues": [] },
                }})
            }
            Self::ListNodegroups { cluster, page } => {
                let token = page.token.as_deref();
                let list = world.list_nodegroups(caller, &cluster, page.size, token)?;
                json!({"nodegroups": list.items, "nextToken": list.next})
            }
            Self::DescribeNodegroup { cluster, name } => {
                let role = world.describe_nodegroup(caller, &cluster, &name)?;
                json!({"nodegroup": {
                    "nodegroupName": name,
                    "clusterName": cluster,
                    "nodeRole": role,
                    "status": "ACTIVE",
                }})
            }
            Self::Tag { arn, tags } => {
                world.tag_resource(caller, &arn, &tags)?;
                json!({})
            }
            Self::Untag { arn, keys } => {
                world.untag_resource(caller, &arn, &keys)?;
                json!({})
            }
            Self::ListTags { arn } => {
                json!({"tags": world.list_tags_for_resource(caller, &arn)?})
            }
        })
    }
}

fn page(request: &Request) -> Result<Page, AwsError> {
    let size =
        request.parameter("maxResults").map(|size| size.parse()).transpose().map_err(|_| {
            AwsError::new(400, "InvalidParameterException", "maxResults must be between 1 and 100.")
        })?;
    Ok(Page { size, token: request.parameter("nextToken") })
}

fn association(cluster: &str, association: &Association) -> Value {
    without_nulls(json!({
        "clusterName": cluster,
        "namespace": association.namespace,
        "serviceAccount": association.service_account,
        "roleArn": association.role_arn,
        "associationArn": association.arn,
        "associationId": association.id,
        "tags": association.tags,
        "createdAt": association.created_at.map(seconds),
        "modifiedAt": association.modified_at.map(seconds),
        "ownerArn": association.owner_arn,
        "disableSessionTags": association.disable_session_tags,
        "targetRoleArn": association.target_role_arn,
        "externalId": association.external_id,
        "policy": association.policy,
    }))
}

/// EKS's times: seconds since 1970 with the milliseconds behind the point.
#[allow(clippy::cast_precision_loss)]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

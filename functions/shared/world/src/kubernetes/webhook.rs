//! What EKS's webhook does to a pod when it is admitted, and never later.
//! <https://github.com/aws/amazon-eks-pod-identity-webhook>

use serde_json::{Value, json};

use super::Moment;

const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const WEB_IDENTITY: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE: &str = "AWS_ROLE_ARN";

struct Injection<'a> {
    environment: [(&'static str, &'a str); 2],
    volume: &'static str,
    directory: &'static str,
    audience: &'static str,
    file: &'static str,
}

/// Gives a pod credentials: of Pod Identity when its service account has an association, else of
/// IRSA when it is annotated with a role. Never both.
pub(super) fn inject(pod: &mut Value, account: &Value, moment: &Moment<'_>) {
    let metadata = &account["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let role = text(&metadata["annotations"]["eks.amazonaws.com/role-arn"]);
    let injection = if (moment.associated)(&namespace, &name) {
        Injection {
            environment: [
                (URI, "http://169.254.170.23/v1/credentials"),
                (
                    TOKEN_FILE,
                    "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token",
                ),
            ],
            volume: "eks-pod-identity-token",
            directory: "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount",
            audience: "pods.eks.amazonaws.com",
            file: "eks-pod-identity-token",
        }
    } else if !role.is_empty() {
        Injection {
            environment: [
                (ROLE, &role),
                (WEB_IDENTITY, "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"),
            ],
            volume: "aws-iam-token",
            directory: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
            audience: "sts.amazonaws.com",
            file: "token",
        }
    } else {
        return;
    };
    let skipped = text(&pod["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"]);
    let skipped: Vec<&str> = skipped.split(',').map(str::trim).collect();
    for kind in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(kind).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if !skipped.contains(&container["name"].as_str().unwrap_or_default()) {
                injection.put_into(container, moment.region);
            }
        }
    }
    push(
        &mut pod["spec"]["volumes"],
        json!({ "name": injection.volume, "projected": { "sources": [
            { "serviceAccountToken": {
                "audience": injection.audience,
                "expirationSeconds": 86_400,
                "path": injection.file,
            } },
        ] } }),
    );
}

impl Injection<'_> {
    fn put_into(&self, container: &mut Value, region: &str) {
        let has = |container: &Value, name: &str| {
            let env = container["env"].as_array();
            env.into_iter().flatten().any(|variable| variable["name"] == name)
        };
        // Who set one of them is left alone.
        if !self.environment.iter().any(|(name, _)| has(container, name)) {
            let regional = [
                ("AWS_STS_REGIONAL_ENDPOINTS", "regional"),
                ("AWS_DEFAULT_REGION", region),
                ("AWS_REGION", region),
            ];
            for (name, value) in regional.iter().chain(&self.environment) {
                if !has(container, name) {
                    push(&mut container["env"], json!({ "name": name, "value": value }));
                }
            }
        }
        let mount = json!({ "name": self.volume, "mountPath": self.directory, "readOnly": true });
        push(&mut container["volumeMounts"], mount);
    }
}

fn push(list: &mut Value, value: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(value),
        None => *list = json!([value]),
    }
}

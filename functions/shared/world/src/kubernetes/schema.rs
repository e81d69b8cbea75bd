//! Which fields objects have. Names that are not here are rejected, or dropped as the real server
//! does when it is told to warn only.

use serde_json::{Value, json};

use super::store::Key;
use super::{ApiStatus, KubernetesCluster, KubernetesRequest, Resource};

/// What stands in a field.
enum Shape {
    /// Whatever; what is inside is not looked at.
    Any,
    Text,
    Whole,
    Flag,
    /// Texts by name.
    Texts,
    Each(&'static Shape),
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Any, Each, Fields, Flag, Text, Texts, Whole};

const METADATA: Shape = Fields(&[
    ("name", Text),
    ("generateName", Text),
    ("namespace", Text),
    ("uid", Text),
    ("resourceVersion", Text),
    ("generation", Whole),
    ("creationTimestamp", Any),
    ("deletionTimestamp", Any),
    ("deletionGracePeriodSeconds", Whole),
    ("labels", Texts),
    ("annotations", Texts),
    ("finalizers", Each(&Text)),
    ("managedFields", Each(&Any)),
    (
        "ownerReferences",
        Each(&Fields(&[
            ("apiVersion", Text),
            ("kind", Text),
            ("name", Text),
            ("uid", Text),
            ("controller", Flag),
            ("blockOwnerDeletion", Flag),
        ])),
    ),
]);

const SECURITY_CONTEXT: Shape = Fields(&[
    ("allowPrivilegeEscalation", Flag),
    ("appArmorProfile", Any),
    ("capabilities", Any),
    ("fsGroup", Whole),
    ("privileged", Flag),
    ("procMount", Text),
    ("readOnlyRootFilesystem", Flag),
    ("runAsGroup", Whole),
    ("runAsNonRoot", Flag),
    ("runAsUser", Whole),
    ("seLinuxOptions", Any),
    ("seccompProfile", Any),
    ("supplementalGroups", Any),
    ("sysctls", Any),
]);

const CONTAINER: Shape = Fields(&[
    ("name", Text),
    ("image", Text),
    ("imagePullPolicy", Text),
    ("command", Each(&Text)),
    ("args", Each(&Text)),
    ("workingDir", Text),
    ("env", Each(&Fields(&[("name", Text), ("value", Text), ("valueFrom", Any)]))),
    ("envFrom", Any),
    ("ports", Any),
    ("resources", Any),
    ("volumeMounts", Any),
    ("livenessProbe", Any),
    ("readinessProbe", Any),
    ("startupProbe", Any),
    ("lifecycle", Any),
    ("restartPolicy", Text),
    ("securityContext", SECURITY_CONTEXT),
    ("stdin", Flag),
    ("tty", Flag),
    ("terminationMessagePath", Text),
    ("terminationMessagePolicy", Text),
]);

const POD_SPEC: Shape = Fields(&[
    ("containers", Each(&CONTAINER)),
    ("initContainers", Each(&CONTAINER)),
    ("volumes", Each(&Any)),
    ("serviceAccountName", Text),
    ("serviceAccount", Text),
    ("automountServiceAccountToken", Flag),
    ("terminationGracePeriodSeconds", Whole),
    ("activeDeadlineSeconds", Whole),
    ("restartPolicy", Text),
    ("dnsPolicy", Text),
    ("enableServiceLinks", Flag),
    ("nodeName", Text),
    ("nodeSelector", Texts),
    ("affinity", Any),
    ("tolerations", Any),
    ("priority", Whole),
    ("priorityClassName", Text),
    ("preemptionPolicy", Text),
    ("schedulerName", Text),
    ("securityContext", SECURITY_CONTEXT),
    ("imagePullSecrets", Any),
    ("hostname", Text),
    ("hostNetwork", Flag),
    ("hostPID", Flag),
    ("hostIPC", Flag),
    ("runtimeClassName", Text),
]);

const POD: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    ("spec", POD_SPEC),
    ("status", Any),
]);

const NAMESPACE: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    ("spec", Any),
    ("status", Any),
]);

const SERVICE_ACCOUNT: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    ("automountServiceAccountToken", Flag),
    ("imagePullSecrets", Any),
    ("secrets", Any),
]);

const BUDGET: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    (
        "spec",
        Fields(&[
            ("selector", Fields(&[("matchLabels", Texts), ("matchExpressions", Each(&Any))])),
            ("minAvailable", Any),
            ("maxUnavailable", Any),
            ("unhealthyPodEvictionPolicy", Text),
        ]),
    ),
    ("status", Any),
]);

/// Domino's: `rules` at the top level. Rules of other kinds are not looked at.
const MUTATION: Shape =
    Fields(&[("apiVersion", Text), ("kind", Text), ("metadata", METADATA), ("rules", Each(&RULE))]);

/// The same as older versions of domsed define it.
const OLD_MUTATION: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    ("rules", Each(&OLD_RULE)),
]);

const IDENTITY: Shape = Fields(&[
    ("cloud_type", Text),
    ("default_sa", Text),
    ("assume_sa_mapping", Flag),
    // The definition preserves unknown fields there: any value goes.
    ("user_mappings", Any),
]);

const OLD_IDENTITY: Shape =
    Fields(&[("cloud_type", Text), ("default_sa", Text), ("user_mappings", Texts)]);

macro_rules! rule {
    ($identity:ident) => {
        Fields(&[
            ("labelSelectors", Each(&Text)),
            ("enabled", Flag),
            ("matchBuilds", Flag),
            ("cloudWorkloadIdentity", $identity),
            ("jqSelector", Any),
            ("matchContexts", Any),
            ("insertLabels", Any),
            ("insertVolumes", Any),
            ("insertContainer", Any),
            ("insertTolerations", Any),
            ("modifyAnnotation", Any),
            ("modifyLabel", Any),
            ("modifyEnv", Any),
            ("modifySecurityContext", Any),
            ("overlayScript", Any),
        ])
    };
}

const RULE: Shape = rule!(IDENTITY);
const OLD_RULE: Shape = rule!(OLD_IDENTITY);

impl KubernetesCluster {
    /// What the definition of Mutations fills in, and what it demands.
    pub(super) fn fill_defaults(&self, key: &Key, object: &mut Value) -> Result<(), ApiStatus> {
        if key.resource != Resource::Mutations {
            return Ok(());
        }
        let wrong =
            |field: &str, why: &str| ApiStatus::invalid(key.resource, &key.name, field, why);
        let Some(rules) = object["rules"].as_array_mut() else {
            return Err(wrong("rules", "Required value"));
        };
        for (at, rule) in rules.iter_mut().enumerate() {
            if rule["matchBuilds"].is_null() {
                rule["matchBuilds"] = json!(false);
            }
            let identity = &mut rule["cloudWorkloadIdentity"];
            if !identity.is_object() {
                if let Some(rule) = rule.as_object_mut() {
                    rule.remove("cloudWorkloadIdentity");
                }
                continue;
            }
            let cloud = identity["cloud_type"].as_str().unwrap_or_default();
            if !["", "aws", "azure", "gcp"].contains(&cloud) {
                let field = format!("rules[{at}].cloudWorkloadIdentity.cloud_type");
                let why = format!(
                    "Unsupported value: \"{cloud}\": supported values: \"aws\", \"azure\", \"gcp\""
                );
                return Err(wrong(&field, &why));
            }
            if !self.settings.old_mutations && identity["assume_sa_mapping"].is_null() {
                identity["assume_sa_mapping"] = json!(false);
            }
        }
        Ok(())
    }
}

const DELETE_OPTIONS: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("gracePeriodSeconds", Whole),
    ("preconditions", Fields(&[("uid", Text), ("resourceVersion", Text)])),
    ("orphanDependents", Flag),
    ("propagationPolicy", Text),
    ("dryRun", Each(&Text)),
]);

const EVICTION: Shape = Fields(&[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", METADATA),
    ("deleteOptions", DELETE_OPTIONS),
]);

/// Checks a body in place. With `strict` an unknown field is an error; without, it goes away.
pub(super) fn check(
    request: &mut KubernetesRequest,
    strict: bool,
    old_mutations: bool,
) -> Result<(), ApiStatus> {
    use super::Verb;
    let (shape, kind) = match (request.verb, request.resource) {
        (Verb::Delete, _) => (&DELETE_OPTIONS, "DeleteOptions"),
        _ if request.eviction => (&EVICTION, "Eviction"),
        (_, Resource::Pods) => (&POD, "Pod"),
        (_, Resource::Namespaces) => (&NAMESPACE, "Namespace"),
        (_, Resource::ServiceAccounts) => (&SERVICE_ACCOUNT, "ServiceAccount"),
        (_, Resource::PodDisruptionBudgets) => (&BUDGET, "PodDisruptionBudget"),
        (_, Resource::Mutations) if old_mutations => (&OLD_MUTATION, "Mutation"),
        (_, Resource::Mutations) => (&MUTATION, "Mutation"),
    };
    if request.body.is_null() && request.verb == Verb::Delete {
        return Ok(());
    }
    if !request.body.is_object() {
        return Err(ApiStatus::bad_request(format!("the body is no {kind}")));
    }
    let mut unknown = Vec::new();
    let applies = request.verb == Verb::Patch;
    let (namespace, name) = (request.namespace().to_owned(), request.object_name().to_owned());
    let untyped = |why: &str| ApiStatus::untyped(request.resource, &namespace, &name, why);
    walk(shape, &mut request.body, "", &mut unknown).map_err(|error| match applies {
        true => untyped(&error),
        false => ApiStatus::bad_request(format!("{kind} cannot be handled as a {kind}: {error}")),
    })?;
    // An apply is held to the schema whatever it asks for.
    if let (true, Some(field)) = (applies, unknown.first()) {
        return Err(untyped(&format!(".{field}: field not declared in schema")));
    }
    if unknown.is_empty() || !strict {
        return Ok(());
    }
    let fields: Vec<String> =
        unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
    let version = request.resource.version();
    Err(ApiStatus::bad_request(format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
        fields.join(", ")
    )))
}

fn walk(
    shape: &Shape,
    value: &mut Value,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let wrong = |wanted: &str, found: &Value| {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        Err(format!("json: cannot unmarshal {found} into field {path} of type {wanted}"))
    };
    match (shape, value) {
        (Any, _) | (_, Value::Null) | (Text, Value::String(_)) | (Flag, Value::Bool(_)) => Ok(()),
        (Whole, Value::Number(number)) if number.is_i64() => Ok(()),
        (Texts, Value::Object(fields)) => match fields.values().find(|text| !text.is_string()) {
            None => Ok(()),
            Some(other) => wrong("string", other),
        },
        (Each(shape), Value::Array(values)) => {
            for (index, value) in values.iter_mut().enumerate() {
                walk(shape, value, &format!("{path}[{index}]"), unknown)?;
            }
            Ok(())
        }
        (Fields(known), Value::Object(fields)) => {
            let mut strange = Vec::new();
            for (name, value) in fields.iter_mut() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match known.iter().find(|(known, _)| known == name) {
                    // What is null is absent.
                    Some(_) if value.is_null() => strange.push(name.clone()),
                    Some((_, shape)) => walk(shape, value, &path, unknown)?,
                    None => {
                        unknown.push(path);
                        strange.push(name.clone());
                    }
                }
            }
            strange.iter().for_each(|name| drop(fields.remove(name)));
            Ok(())
        }
        (Text, other) => wrong("string", other),
        (Whole, other) => wrong("int64", other),
        (Flag, other) => wrong("bool", other),
        (Texts | Fields(_), other) => wrong("object", other),
        (Each(_), other) => wrong("array", other),
    }
}

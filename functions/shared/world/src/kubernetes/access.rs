//! Who may do what.

use super::store::Key;
use super::{ApiStatus, KubernetesCluster, KubernetesRequest, PatchKind, Verb};

/// What a user may do, as a rule of RBAC says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Namespace; everywhere when absent.
    pub namespace: Option<String>,
    /// Resource, a subresource behind a slash: `pods`, `pods/eviction`.
    pub resource: String,
    /// Verbs.
    pub verbs: Vec<Verb>,
    /// Names of the objects (`resourceNames`); all when empty. A request without a name fits none.
    pub names: Vec<String>,
}

impl AccessRule {
    /// Verbs on a resource in a namespace.
    #[must_use]
    pub fn in_namespace(namespace: &str, resource: &str, verbs: &[Verb]) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            resource: resource.to_owned(),
            verbs: verbs.to_vec(),
            names: Vec::new(),
        }
    }

    /// The same, of one object alone.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { names: vec![name.to_owned()], ..self }
    }
}

impl KubernetesCluster {
    pub(super) fn authenticate(&self, user: &str) -> Result<(), ApiStatus> {
        match &self.settings.users {
            Some(users) if !users.contains(user) => {
                Err(ApiStatus::new(401, "Unauthorized", "Unauthorized"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn authorize(
        &self,
        request: &KubernetesRequest,
        user: &str,
    ) -> Result<(), ApiStatus> {
        self.authorize_verb(request, request.verb, user)?;
        // An apply that would create needs both.
        let creates = request.verb == Verb::Patch
            && request.patch == PatchKind::Apply
            && !self.objects.contains_key(&Key::of(request));
        if creates { self.authorize_verb(request, Verb::Create, user) } else { Ok(()) }
    }

    fn authorize_verb(
        &self,
        request: &KubernetesRequest,
        verb: Verb,
        user: &str,
    ) -> Result<(), ApiStatus> {
        let Some(rules) = self.settings.rules.get(user) else { return Ok(()) };
        let resource = request.rbac_resource();
        let allowed = rules.iter().any(|rule| {
            rule.resource == resource
                && rule.verbs.contains(&verb)
                && (rule.namespace.is_none() || rule.namespace == request.namespace)
                // A POST names its object in the body alone, where authorization does not look.
                && (rule.names.is_empty()
                    || request.name.as_ref().is_some_and(|name| rule.names.contains(name)))
        });
        if allowed {
            return Ok(());
        }
        let place = match &request.namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let words = format!(
            "User \"{user}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}",
            verb.name(),
            request.resource.group()
        );
        Err(ApiStatus::forbidden(request.resource, request.object_name(), &words))
    }
}

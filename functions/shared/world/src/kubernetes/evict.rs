//! Evictions, and the budgets that forbid them.

use serde_json::{Value, json};

use super::delete::DeleteOptions;
use super::pods::{controller, is_terminating};
use super::selector::Selector;
use super::status::DISRUPTION_BUDGET;
use super::store::Key;
use super::{ApiStatus, KubernetesCluster, KubernetesRequest, Moment, Reply, Resource};

/// How the pods of a budget stand.
struct Standing {
    expected: i64,
    desired: i64,
    healthy: i64,
}

impl Standing {
    fn allowed(&self) -> i64 {
        (self.healthy - self.desired).max(0)
    }
}

impl KubernetesCluster {
    pub(super) fn evict(&mut self, request: &KubernetesRequest, moment: &Moment<'_>) -> Reply {
        let body = &request.body;
        let version = body["apiVersion"].as_str().unwrap_or("policy/v1");
        if !["policy/v1", "policy/v1beta1"].contains(&version)
            || body["kind"].as_str().is_some_and(|kind| kind != "Eviction")
        {
            return Err(ApiStatus::bad_request("the body is no Eviction of policy/v1"));
        }
        let named = body["metadata"]["name"].as_str();
        if named.is_some_and(|name| name != request.object_name()) {
            let words = "name in URL does not match name in Eviction object";
            return Err(ApiStatus::bad_request(words));
        }
        let key = Key::of(request);
        let pod = self.objects.get(&key).ok_or_else(|| key.not_found())?;
        if !passes_budgets(pod) {
            self.check_budgets(&key, pod)?;
        }
        // The server tries again what a conflict refuses, and a precondition that fails for a pod that budgets
        // do not protect is one to it.
        let slow = passes_budgets(pod);
        let removed = self.remove(&key, &DeleteOptions::of(&body["deleteOptions"]), moment);
        removed.map_err(|status| ApiStatus { is_late: slow && status.code == 409, ..status })?;
        let done = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
        });
        Ok((201, done))
    }

    fn check_budgets(&self, key: &Key, pod: &Value) -> Result<(), ApiStatus> {
        let budgets = self.all(Resource::PodDisruptionBudgets, &key.namespace);
        let budgets: Vec<&Value> = budgets.filter(|budget| selects(budget, pod)).collect();
        let [budget] = budgets.as_slice() else {
            if budgets.is_empty() {
                return Ok(());
            }
            let words = "This pod has more than one PodDisruptionBudget, which the eviction \
                         subresource does not support.";
            return Err(ApiStatus::new(500, "", words));
        };
        let standing = self.standing(budget);
        let enough = standing.desired > 0 && standing.healthy >= standing.desired;
        let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
        if !is_ready(pod) && (always || enough) {
            return Ok(());
        }
        if standing.allowed() > 0 {
            return Ok(());
        }
        let words = "Cannot evict pod as it would violate the pod's disruption budget.";
        let cause = format!(
            "The disruption budget {} needs {} healthy pods and has {} currently",
            budget["metadata"]["name"].as_str().unwrap_or_default(),
            standing.desired,
            standing.healthy
        );
        Err(ApiStatus::new(429, "TooManyRequests", words).cause(DISRUPTION_BUDGET, &cause, None))
    }

    fn standing(&self, budget: &Value) -> Standing {
        let namespace = budget["metadata"]["namespace"].as_str().unwrap_or_default();
        let pods = self.all(Resource::Pods, namespace).filter(|pod| selects(budget, pod));
        let pods: Vec<&Value> = pods.collect();
        let healthy = pods.iter().filter(|pod| is_ready(pod) && !is_terminating(pod)).count();
        // A terminating pod whose place is taken already is not expected any more.
        let counted = |pod: &&&Value| !is_terminating(pod) || !self.is_restarted(pod);
        let of_scale =
            |pod: &&&Value| controller(pod).is_some_and(|owner| owner["kind"] == "ReplicaSet");
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let healthy = whole(healthy);
        let spec = &budget["spec"];
        if let Some(desired) = spec["minAvailable"].as_i64() {
            let expected = whole(pods.iter().filter(counted).count());
            return Standing { expected, desired, healthy };
        }
        // Shares need a controller that has a scale; a Job has none, and then nothing is allowed.
        if pods.iter().any(|pod| controller(pod).is_some() && !of_scale(&pod)) {
            return Standing { expected: 0, desired: i64::MAX, healthy };
        }
        let expected = whole(pods.iter().filter(counted).filter(of_scale).count());
        let share = |value: &Value| -> Option<i64> {
            if let Some(count) = value.as_i64() {
                return Some(count);
            }
            let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
            Some(expected.saturating_mul(percent).saturating_add(99) / 100)
        };
        let desired = match (share(&spec["minAvailable"]), share(&spec["maxUnavailable"])) {
            (Some(least), _) => least,
            (None, Some(most)) => (expected - most).max(0),
            (None, None) => 0,
        };
        Standing { expected, desired, healthy }
    }

    /// An object as it is answered: a budget comes with its status.
    pub(super) fn shown(&self, key: &Key, object: &Value) -> Value {
        let mut shown = object.clone();
        if key.resource == Resource::PodDisruptionBudgets {
            let standing = self.standing(object);
            shown["status"] = json!({
                "currentHealthy": standing.healthy,
                "desiredHealthy": standing.desired,
                "disruptionsAllowed": standing.allowed(),
                "expectedPods": standing.expected,
                "observedGeneration": 1,
            });
        }
        shown
    }
}

/// Pods that budgets do not protect: pending, over, terminating.
fn passes_budgets(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str();
    is_terminating(pod) || phase.is_none_or(|phase| phase != "Running")
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    conditions.into_iter().flatten().any(ready)
}

fn selects(budget: &Value, pod: &Value) -> bool {
    Selector::of_object(&budget["spec"]["selector"]).is_some_and(|selector| selector.fits(pod))
}

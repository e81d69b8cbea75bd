//! The life of pods between requests: the scheduler, the kubelet, and `ReplicaSets`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::store::Key;
use super::{KubernetesCluster, Moment, Resource, time};
use crate::settling::after;

impl KubernetesCluster {
    /// Stores an admitted pod; it is pending.
    pub(super) fn put_pod(&mut self, key: Key, mut pod: Value, now: Timestamp) -> Value {
        pod["status"] = json!({ "phase": "Pending", "qosClass": "BestEffort" });
        if let Some(spec) = pod["spec"].as_object_mut() {
            spec.remove("nodeName");
        }
        self.starting.insert(key.clone(), after(now, self.settings.starts_after));
        self.put_new(key, pod, now)
    }

    pub(super) fn start_pods(&mut self, now: Timestamp) {
        let due = self.starting.iter().filter(|(_, when)| **when <= now);
        let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            self.set_phase(&key, "Running", now);
        }
    }

    /// Puts a pod into a phase, in which it stays.
    pub(super) fn set_phase(&mut self, key: &Key, phase: &str, now: Timestamp) -> bool {
        self.starting.remove(key);
        let Some(pod) = self.objects.get(key) else { return false };
        let mut pod = pod.as_ref().clone();
        let ready = if phase == "Running" { "True" } else { "False" };
        if phase != "Pending" && pod["spec"]["nodeName"].is_null() {
            pod["spec"]["nodeName"] = json!("ip-10-0-0-1.ec2.internal");
            pod["status"]["startTime"] = time(now);
        }
        pod["status"]["phase"] = json!(phase);
        pod["status"]["conditions"] =
            json!([{ "type": "Ready", "status": ready, "lastTransitionTime": time(now) }]);
        self.put(key.clone(), pod);
        true
    }

    /// Takes away the pods whose grace period is over.
    pub(super) fn remove_terminated(&mut self, now: Timestamp) {
        let due = self.ending.iter().filter(|(_, when)| **when <= now);
        let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            self.take(&key);
        }
    }

    /// Remembers what a `ReplicaSet` makes its pods from: the pod before its admission.
    pub(super) fn note_template(&mut self, key: &Key, pod: Value) {
        if let Some(owner) = replica_set(&pod) {
            let owner = owner.to_owned();
            self.templates.insert((key.namespace.clone(), owner), pod);
        }
    }

    /// Whether another pod takes the place of one that goes.
    pub(super) fn is_restarted(&self, pod: &Value) -> bool {
        self.settings.restarts && replica_set(pod).is_some()
    }

    /// Does what the controller of a pod does once the pod is going. A `ReplicaSet` does not count
    /// terminating pods, so the next one comes at once; a Job's or a bare pod is gone for good.
    pub(super) fn restart(&mut self, pod: &Value, moment: &Moment<'_>) {
        if !self.is_restarted(pod) {
            return;
        }
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let Some(owner) = replica_set(pod) else { return };
        let place = (namespace.to_owned(), owner.to_owned());
        let Some(mut template) = self.templates.get(&place).cloned() else { return };
        let name = self.generated_name(&format!("{owner}-"));
        template["metadata"]["name"] = json!(name);
        // The controller would try for ever what admission refuses.
        let _ = self.insert(Key::new(Resource::Pods, namespace, &name), template, moment);
    }
}

/// The `ReplicaSet` that controls a pod.
fn replica_set(pod: &Value) -> Option<&str> {
    let owner = controller(pod).filter(|owner| owner["kind"] == "ReplicaSet")?;
    owner["name"].as_str()
}

/// The owner that controls a pod.
pub(super) fn controller(pod: &Value) -> Option<&Value> {
    let owners = pod["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)
}

pub(super) fn is_terminating(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

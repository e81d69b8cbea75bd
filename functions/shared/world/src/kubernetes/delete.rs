//! Deletion: preconditions and grace periods.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::pods::is_terminating;
use super::store::Key;
use super::{
    ApiStatus, KubernetesCluster, KubernetesRequest, Moment, Reply, Resource, read_time, time,
};
use crate::settling::after;

/// What a deletion asks for.
pub(super) struct DeleteOptions {
    uid: Option<String>,
    version: Option<String>,
    grace: Option<i64>,
}

impl DeleteOptions {
    pub(super) fn of(options: &Value) -> Self {
        let preconditions = &options["preconditions"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            uid: text(&preconditions["uid"]),
            version: text(&preconditions["resourceVersion"]),
            grace: options["gracePeriodSeconds"].as_i64(),
        }
    }

    fn check(&self, key: &Key, object: &Value) -> Result<(), ApiStatus> {
        let metadata = &object["metadata"];
        let conditions =
            [("UID", &self.uid, "uid"), ("ResourceVersion", &self.version, "resourceVersion")];
        for (what, wanted, field) in conditions {
            let found = metadata[field].as_str().unwrap_or_default();
            if let Some(wanted) = wanted
                && wanted != found
            {
                let why = format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in record \
                     ({found}). The object might have been deleted and then recreated"
                );
                return Err(
                    ApiStatus::conflict(key.resource, &key.name, &why).of_kind(key.resource)
                );
            }
        }
        Ok(())
    }
}

impl KubernetesCluster {
    pub(super) fn delete(&mut self, request: &KubernetesRequest, moment: &Moment<'_>) -> Reply {
        let mut options = DeleteOptions::of(&request.body);
        if let Some(grace) = request.parameter("gracePeriodSeconds") {
            let grace = grace.parse();
            options.grace =
                Some(grace.map_err(|_| {
                    ApiStatus::bad_request("gracePeriodSeconds is no whole number")
                })?);
        }
        let key = Key::of(request);
        let object = self.remove(&key, &options, moment)?;
        let answer = match request.resource {
            Resource::Pods | Resource::ServiceAccounts | Resource::Namespaces => object,
            resource => json!({
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": {
                    "name": key.name,
                    "group": resource.group(),
                    "kind": resource.plural(),
                    "uid": object["metadata"]["uid"],
                },
            }),
        };
        Ok((200, answer))
    }

    /// Begins the deletion of an object, or does it at once; answers the object.
    pub(super) fn remove(
        &mut self,
        key: &Key,
        options: &DeleteOptions,
        moment: &Moment<'_>,
    ) -> Result<Value, ApiStatus> {
        let found = self.objects.get(key).map(Arc::clone).ok_or_else(|| key.not_found())?;
        options.check(key, &found)?;
        if key.resource == Resource::Pods {
            return Ok(self.remove_pod(key, &found, options.grace, moment));
        }
        let metadata = &found["metadata"];
        if metadata["finalizers"].as_array().is_some_and(|all| !all.is_empty()) {
            if is_terminating(&found) {
                return Ok(found.as_ref().clone());
            }
            // It stays until whoever put the finalizers there takes them away.
            let mut object = found.as_ref().clone();
            object["metadata"]["deletionTimestamp"] = time(moment.now);
            object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
            return Ok(self.put(key.clone(), object));
        }
        self.take(key);
        if key.resource == Resource::Namespaces {
            let inside = self.objects.keys().filter(|one| one.namespace == key.name).cloned();
            let inside: Vec<Key> = inside.collect();
            inside.iter().for_each(|one| drop(self.take(one)));
        }
        Ok(found.as_ref().clone())
    }

    fn remove_pod(
        &mut self,
        key: &Key,
        found: &Value,
        asked: Option<i64>,
        moment: &Moment<'_>,
    ) -> Value {
        let own = found["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
        let scheduled = found["spec"]["nodeName"].is_string();
        let over = ["Succeeded", "Failed"].iter().any(|phase| found["status"]["phase"] == *phase);
        let grace = match asked.unwrap_or(own) {
            _ if !scheduled || over => 0,
            ..0 => 1,
            grace => grace,
        };
        let terminating = is_terminating(found);
        let mut from = moment.now;
        if terminating {
            let metadata = &found["metadata"];
            let before = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
            // Only a shorter time is taken, and it counts from the first deletion.
            if asked.is_none() || grace >= before {
                return found.clone();
            }
            let end = read_time(&metadata["deletionTimestamp"]).unwrap_or(moment.now);
            from = after(end, SignedDuration::from_secs(-before));
        }
        let mut pod = found.clone();
        if grace == 0 {
            self.take(key);
        } else {
            let end = after(from, SignedDuration::from_secs(grace));
            pod["metadata"]["deletionTimestamp"] = time(end);
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
            pod = self.put(key.clone(), pod);
            self.starting.remove(key);
            self.ending.insert(key.clone(), end);
        }
        if !terminating {
            self.restart(found, moment);
        }
        pod
    }
}

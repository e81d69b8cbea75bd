#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn pod(changes: &[(&str, Value)]) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "run-0123456789abcdef01234567-abcde", "namespace": "domino-compute", "uid": "u-1",
            "creationTimestamp": "2026-11-20T12:00:00Z",
            "labels": { "dominodatalab.com/workload-type": "Batch" },
        },
        "spec": {
            "serviceAccountName": "svc-etl-sa",
            "containers": [{ "name": "run", "image": "x", "env": [
                { "name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials" },
                { "name": "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "value": "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token" },
            ], "volumeMounts": [{ "name": "eks-pod-identity-token", "mountPath": "/x" }] }],
            "volumes": [{ "name": "eks-pod-identity-token", "projected": { "sources": [
                { "serviceAccountToken": { "audience": "pods.eks.amazonaws.com", "expirationSeconds": 86400, "path": "eks-pod-identity-token" } },
            ]}}],
        },
        "status": { "phase": "Running", "podIP": "10.0.0.1" },
    });
    for (at, value) in changes {
        *pod.pointer_mut(at).unwrap() = value.clone();
    }
    pod
}

fn read(changes: &[(&str, Value)]) -> Pod {
    serde_json::from_value(pod(changes)).unwrap()
}

#[test]
fn a_pod_that_the_webhook_injected_has_pod_identity_credentials() {
    let pod = read(&[]);
    assert_eq!(pod.credentials, GIVEN);
    assert!(pod.works());
    assert_eq!((pod.phase, pod.terminating, pod.owner), (Phase::Running, false, None));
    assert_eq!(pod.service_account, "svc-etl-sa");
}

const GIVEN: Credentials = Credentials {
    can_get: true,
    pod_identity: true,
    web_identity: false,
    static_keys: false,
    left_out: false,
};

/// A pod with one more container than `run`.
fn beside(container: Value) -> Pod {
    let mut object = pod(&[]);
    object["spec"]["containers"].as_array_mut().unwrap().push(container);
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_sidecar_with_keys_of_its_own_shadows_nothing() {
    let keys =
        json!({ "name": "executor", "env": [{ "name": "AWS_ACCESS_KEY_ID", "value": "k" }] });
    assert_eq!(beside(keys.clone()).credentials, GIVEN);
    // Where no container is the workload's by name, all of them are.
    let mut pod = beside(keys);
    pod.judge(&BTreeSet::from(["main".to_owned()]));
    let all = Credentials { pod_identity: false, static_keys: true, ..GIVEN };
    assert_eq!(pod.credentials, all);
    pod.judge(&BTreeSet::from(["executor".to_owned()]));
    let own = Credentials { left_out: true, ..all };
    assert_eq!(pod.credentials, own);
}

#[test]
fn a_workload_that_is_left_out_is_not_given_what_a_sidecar_has() {
    let mut object = pod(&[("/spec/containers/0/name", json!("sidecar"))]);
    object["metadata"]["annotations"] = json!({ "eks.amazonaws.com/skip-containers": "run" });
    object["spec"]["containers"].as_array_mut().unwrap().push(json!({ "name": "run" }));
    let skipped: Pod = serde_json::from_value(object).unwrap();
    let expected = Credentials { pod_identity: false, left_out: true, ..GIVEN };
    assert_eq!(skipped.credentials, expected);
    let mut labelled = pod(&[]);
    labelled["metadata"]["labels"] = json!({ "eks.amazonaws.com/skip-pod-identity-webhook": "x" });
    labelled["spec"]["containers"] = json!([{ "name": "run" }]);
    labelled["spec"]["volumes"] = json!([]);
    let labelled: Pod = serde_json::from_value(labelled).unwrap();
    assert_eq!(labelled.credentials, Credentials { left_out: true, ..Credentials::default() });
}

#[test]
fn whoever_mounts_the_token_can_get_the_role_however_it_is_pointed_there() {
    let uri = "/spec/containers/0/env/0";
    let name = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let port = json!({ "name": name, "value": "http://169.254.170.23:80/v1/credentials" });
    let from =
        json!({ "name": name, "valueFrom": { "configMapKeyRef": { "name": "c", "key": "k" } } });
    for own in [port, from] {
        assert_eq!(read(&[(uri, own)]).credentials, GIVEN);
    }
    let by_hand = read(&[("/spec/containers/0/env", json!([]))]).credentials;
    assert!(by_hand.can_get && !by_hand.pod_identity);
}

#[test]
fn a_pod_without_an_agent_beside_it_does_not_work_whatever_it_has() {
    for (at, value) in [
        ("/metadata/labels", json!({ "eks.amazonaws.com/fargate-profile": "p" })),
        ("/spec/nodeSelector", json!({ "beta.kubernetes.io/os": "windows" })),
    ] {
        let mut object = pod(&[]);
        object["spec"]["nodeSelector"] = json!({});
        *object.pointer_mut(at).unwrap() = value;
        let pod: Pod = serde_json::from_value(object).unwrap();
        assert_eq!((pod.credentials, pod.works()), (GIVEN, false));
    }
}

#[test]
fn the_endpoint_without_the_token_or_of_another_host_is_no_pod_identity() {
    let without = read(&[("/spec/volumes", json!([]))]);
    assert!(!without.credentials.pod_identity);
    let uri = "/spec/containers/0/env/0/value";
    let of_ecs = read(&[(uri, json!("http://169.254.170.2/v2/credentials"))]);
    assert!(!of_ecs.credentials.pod_identity);
    let of_ipv6 = read(&[(uri, json!("http://[fd00:ec2::23]/v1/credentials"))]);
    assert!(of_ipv6.credentials.pod_identity);
}

#[test]
fn web_identity_and_keys_of_the_workload_are_seen_wherever_their_value_comes_from() {
    let env = json!([{ "name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/x" }]);
    let irsa = read(&[("/spec/containers/0/env", env), ("/spec/volumes", json!([]))]);
    let only = Credentials { web_identity: true, ..Credentials::default() };
    assert_eq!(irsa.credentials, only);
    let env = json!([{ "name": "AWS_ACCESS_KEY_ID", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    let keys = read(&[("/spec/containers/0/env", env), ("/spec/volumes", json!([]))]);
    assert_eq!(keys.credentials, Credentials { static_keys: true, ..Credentials::default() });
}

#[test]
fn a_pod_whose_containers_are_all_skipped_is_left_out_and_not_missed() {
    let left_out = |env: Value, volumes: bool, skipped: Option<&str>| {
        let mut object = pod(&[("/spec/containers/0/env", env)]);
        if !volumes {
            object["spec"]["volumes"] = json!([]);
        }
        object["spec"]["initContainers"] = json!([{ "name": "init" }]);
        if let Some(names) = skipped {
            object["metadata"]["annotations"] =
                json!({ "eks.amazonaws.com/skip-containers": names });
        }
        serde_json::from_value::<Pod>(object).unwrap().credentials.left_out
    };
    // Without an association at its admission there is no token either.
    assert!(!left_out(json!([]), false, None));
    assert!(left_out(json!([]), false, Some("run")));
    assert!(!left_out(json!([]), false, Some("init")));
    // The webhook saw the association and gave the token to nobody.
    assert!(left_out(json!([]), true, Some("run,init")));
    let own =
        json!([{ "name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://localhost/" }]);
    assert!(left_out(own, true, None));
    let given = json!([{ "name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials" }]);
    assert!(!left_out(given, true, None));
}

#[test]
fn only_a_controller_counts_as_owner() {
    let mut object = pod(&[]);
    object["metadata"]["ownerReferences"] = json!([
        { "apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u-2" },
        { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u-3", "controller": true },
    ]);
    object["metadata"]["deletionTimestamp"] = json!("2026-11-20T13:00:00Z");
    let pod: Pod = serde_json::from_value(object).unwrap();
    assert_eq!(pod.owner, Some(Owner { kind: "ReplicaSet".to_owned(), name: "r".to_owned() }));
    assert!(pod.terminating);
}

#[test]
fn a_phase_that_is_neither_pending_nor_running_is_over() {
    for (phase, expected) in [
        (json!("Pending"), Phase::Pending),
        (json!("Running"), Phase::Running),
        (json!("Succeeded"), Phase::Over),
        (json!("Failed"), Phase::Over),
        (json!("Unknown"), Phase::Over),
    ] {
        assert_eq!(read(&[("/status/phase", phase)]).phase, expected);
    }
}

#[test]
fn a_service_account_shows_its_irsa_role() {
    let object = json!({ "metadata": {
        "name": "svc-etl-sa", "namespace": "domino-compute", "uid": "u",
        "annotations": { "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/irsa" },
    }});
    let account: ServiceAccount = serde_json::from_value(object).unwrap();
    assert_eq!(account.irsa_role(), Some("arn:aws:iam::111122223333:role/irsa"));
}

#[test]
fn a_service_account_shows_the_names_of_its_secrets() {
    let object = json!({
        "metadata": { "name": "svc-etl-sa", "namespace": "domino-compute", "uid": "u" },
        "secrets": [{ "name": "token" }],
        "imagePullSecrets": [{ "name": "registry" }],
    });
    let account: ServiceAccount = serde_json::from_value(object).unwrap();
    assert!(account.secrets.iter().eq(["registry", "token"]), "{:?}", account.secrets);
}

#[test]
fn what_can_keep_a_pod_from_its_credentials_is_seen() {
    let env = |more: &[(&str, &str)]| {
        let mut object = pod(&[]);
        let env = object["spec"]["containers"][0]["env"].as_array_mut().unwrap();
        env.extend(more.iter().map(|(name, value)| json!({ "name": name, "value": value })));
        serde_json::from_value::<Pod>(object).unwrap().obstacles
    };
    let only = |one: Obstacle| BTreeSet::from([one]);
    assert_eq!(read(&[]).obstacles, BTreeSet::new());
    assert_eq!(env(&[("AWS_CONFIG_FILE", "/x")]), only(Obstacle::Profile));
    let proxy = ("HTTP_PROXY", "http://proxy:3128");
    assert_eq!(env(&[proxy]), only(Obstacle::Proxy));
    assert_eq!(env(&[proxy, ("NO_PROXY", "localhost,.svc")]), only(Obstacle::Proxy));
    for no_proxy in ["169.254.170.23,[fd00:ec2::23]", "localhost,169.254.0.0/16", "*"] {
        assert_eq!(env(&[proxy, ("no_proxy", no_proxy)]), BTreeSet::new(), "{no_proxy}");
    }
    let fargate =
        read(&[("/metadata/labels", json!({ "eks.amazonaws.com/fargate-profile": "p" }))]);
    assert_eq!(fargate.obstacles, only(Obstacle::Fargate));
    for (field, value) in [
        ("os", json!({ "name": "windows" })),
        ("nodeSelector", json!({ "kubernetes.io/os": "windows" })),
    ] {
        let mut object = pod(&[]);
        object["spec"][field] = value;
        let windows: Pod = serde_json::from_value(object).unwrap();
        assert_eq!(windows.obstacles, only(Obstacle::Windows));
    }
}

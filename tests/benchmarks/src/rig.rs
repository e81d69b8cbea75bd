//! An AWS over TLS and a function that works against it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use local::wire::{Certificates, Wire};
use local::{Configuration, Function, InvocationResult, Log, Program, scene};
use pod_identity_core::RoleArn;
use pod_identity_events::{detail_type, source};
use pod_identity_world::{DominoPod, World};
use serde_json::{Value, json};

use crate::Failure;

/// Every role of a [`Rig`] trusts EKS Pod Identity in the way that the documentation shows.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"AllowEksAuthToAssumeRoleForPodIdentity","Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

/// Roles that a [`Rig`] has, `domino/role-0` and on.
pub(crate) const ROLES: usize = 100;

/// Services that the function calls. Each gets a port of its own, since on AWS
/// each has a host of its own and so costs a handshake.
const SERVICES: [&str; 4] = ["DYNAMODB", "EKS", "IAM", "EVENTBRIDGE"];

/// Where pods run.
const NAMESPACE: &str = "domino-compute";

/// Certificates, and the file of roots that a function is pointed at.
pub(crate) struct Trusted {
    certificates: Certificates,
    file: PathBuf,
}

impl Trusted {
    /// Writes a file with the root of our certificates and `others` (PEM) behind it.
    pub(crate) fn make(name: &str, others: &str) -> Result<Self, Failure> {
        let certificates = Certificates::make()?;
        let name = format!("domino-pod-identity-{}-{name}.pem", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, certificates.root_pem() + others)
            .map_err(|error| format!("failed to write {}: {error}", file.display()))?;
        Ok(Self { certificates, file })
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// An AWS with cluster blue and roles, and the association function in front of it.
pub(crate) struct Rig {
    pub(crate) wire: Wire,
    /// The association function.
    pub(crate) function: Function,
    settings: BTreeMap<String, String>,
    sent: i64,
}

impl Rig {
    /// Starts the AWS; the function starts with its first event.
    pub(crate) async fn start(program: Program, trusted: &Trusted) -> Result<Self, Failure> {
        let mut world = scene::world(Timestamp::now())?;
        add_roles(&mut world, ROLES)?;
        let wire = Wire::start(Arc::new(Mutex::new(world))).await?;
        wire.create_ledger_table(scene::REGION, scene::LEDGER_TABLE).await?;
        let mut settings = scene::settings();
        settings.insert("SSL_CERT_FILE".to_owned(), trusted.file.display().to_string());
        for service in SERVICES {
            let endpoint = wire.listen_tls(&trusted.certificates).await?;
            settings.insert(format!("AWS_ENDPOINT_URL_{service}"), endpoint);
        }
        wire.serve_kubernetes(&scene::cluster("blue")?, &trusted.certificates).await?;
        let function = function("association", program, wire.endpoint(), settings.clone());
        Ok(Self { wire, function, settings, sent: 0 })
    }

    /// Another function, with the same settings.
    pub(crate) fn another(&self, name: &str, program: Program) -> Function {
        function(name, program, self.wire.endpoint(), self.settings.clone())
    }

    /// So many service accounts work as so many roles in turns; each has its Kubernetes service
    /// account.
    pub(crate) async fn bind(&mut self, names: usize, roles: usize) -> Result<(), Failure> {
        self.assign(names, |n| n % roles).await?;
        let blue = scene::cluster("blue")?;
        let mut world = self.wire.world();
        for number in 0..names {
            let made =
                world.add_service_account(&blue, NAMESPACE, &format!("svc-{number}-sa"), &[]);
            made.map_err(|error| error.message)?;
        }
        Ok(())
    }

    /// Gives so many service accounts the roles of these numbers.
    pub(crate) async fn assign(
        &mut self,
        names: usize,
        role: impl Fn(usize) -> usize,
    ) -> Result<(), Failure> {
        let all: Vec<Value> =
            (0..names).map(|n| self.assigned(&format!("svc-{n}"), role(n))).collect();
        for batch in all.chunks(100) {
            self.deliver(batch).await?;
        }
        Ok(())
    }

    /// Sets what functions that are started from now on get.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.settings.insert(variable.to_owned(), value.to_owned());
    }

    /// Starts so many pods of each of so many service accounts on blue.
    pub(crate) fn start_pods(&self, names: usize, each: usize) -> Result<(), Failure> {
        let blue = scene::cluster("blue")?;
        let mut world = self.wire.world();
        for number in 0..names {
            let name = format!("svc-{number}");
            let pod = DominoPod::new(&format!("{name}-sa"), &name).owned_by("ReplicaSet");
            for _ in 0..each {
                world.add_domino_pod(&blue, &pod).map_err(|error| error.message)?;
            }
        }
        Ok(())
    }

    /// A service account loses its role.
    pub(crate) fn unassigned(&mut self, name: &str) -> Value {
        let detail = json!({ "serviceAccount": name });
        self.event(source::AUTOMATION, detail_type::ROLE_UNASSIGNED, detail)
    }

    /// Cluster blue is registered, and one service account works there: what
    /// the first event of a cluster costs is over.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        let detail = json!({
            "clusterArn": scene::cluster("blue")?,
            "nodeRoleArns": [scene::role("blue-eks-nodes")?],
        });
        let registered =
            self.event(source::ADMINISTRATION, detail_type::CLUSTER_REGISTERED, detail);
        self.deliver(&[registered]).await?;
        let assigned = self.assigned("svc-settled", 0);
        self.deliver(&[assigned]).await
    }

    /// A service account is bound to a role, by its number, on every cluster.
    pub(crate) fn assigned(&mut self, name: &str, number: usize) -> Value {
        let detail = json!({ "serviceAccount": name, "roleArn": role_arn(number) });
        self.event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, detail)
    }

    fn event(&mut self, source: &str, detail_type: &str, mut detail: Value) -> Value {
        self.sent += 1;
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_767_225_600 + self.sent);
        detail["schemaVersion"] = json!(1);
        detail["eventId"] = json!(format!("event-{}", self.sent));
        detail["occurredAt"] = json!(at.to_string());
        json!({
            "version": "0",
            "id": format!("00000000-0000-4000-8000-{:012}", self.sent),
            "detail-type": detail_type,
            "source": source,
            "account": scene::ACCOUNT,
            "time": at.to_string(),
            "region": scene::REGION,
            "resources": [],
            "detail": detail,
        })
    }

    /// Gives events to the function as one SQS batch, none of which may fail.
    pub(crate) async fn deliver(&self, events: &[Value]) -> Result<(), Failure> {
        let record = |(at, event): (usize, &Value)| {
            json!({
                "messageId": format!("00000000-0000-4000-8000-{at:012}"),
                "body": event.to_string(),
                "attributes": {},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "awsRegion": scene::REGION,
            })
        };
        let records: Vec<Value> = events.iter().enumerate().map(record).collect();
        let result = self.function.invoke(json!({ "Records": records }).to_string()).await?;
        match &result {
            InvocationResult::Answer(answer) if answer["batchItemFailures"] == json!([]) => Ok(()),
            _ => {
                let mut text = format!("the function did not do its work: {result:?}");
                for line in self.function.log().lines() {
                    let _ = write!(text, "\n{line}");
                }
                Err(text.into())
            }
        }
    }
}

/// Gives a world so many roles that trust EKS Pod Identity.
pub(crate) fn add_roles(world: &mut World, roles: usize) -> Result<(), Failure> {
    for number in 0..roles {
        world.add_role(&role_arn(number).parse::<RoleArn>()?, TRUST);
    }
    Ok(())
}

/// A role that a [`Rig`] has, by its number.
pub(crate) fn role_arn(number: usize) -> String {
    format!("arn:aws:iam::{}:role/domino/role-{number}", scene::ACCOUNT)
}

/// A function that is not started yet.
pub(crate) fn function(
    name: &str,
    program: Program,
    endpoint: &str,
    settings: BTreeMap<String, String>,
) -> Function {
    let configuration = Configuration {
        name: name.to_owned(),
        account: scene::ACCOUNT.to_owned(),
        region: scene::REGION.to_owned(),
        endpoint: endpoint.to_owned(),
        program,
        settings,
        timeout: Duration::from_secs(60),
    };
    Function::new(configuration, Log::new(false))
}

/// A program without arguments.
pub(crate) fn program(path: &Path) -> Program {
    Program { path: path.to_owned(), arguments: Vec::new() }
}

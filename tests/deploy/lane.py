"""The deployed template at work: PutEvents -> rule -> queue -> bootstrap -> associations and outcome events."""

import json
import os
import pathlib
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

from botocore.exceptions import ClientError
from stack import ACCOUNT, REGION, ROOT, Account, deploy, judgeable, ministack

LOG = ROOT / "target" / "ministack.log"
ID = "lane"
BUS = f"{ID}-pod-identity"
TAG = "domino-pod-identity:deployment"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }
    ],
}
AUTOMATION = "domino.automation"
ADMINISTRATION = "domino.administration"


def cluster(name):
    return f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}"


def role(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


class Lane:
    def __init__(self, account):
        self.account = account
        self.told = []
        self._second = 0

    def check(self, what, holds):
        print(f"  {'ok' if holds else 'NOT'}  {what}", flush=True)
        if not holds:
            self.explain()
            sys.exit(f"not so: {what}")

    def wait(self, what, look, seconds=120):
        """Waits until look answers something, and answers that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = look()
            if found:
                print(f"  ok   {what}", flush=True)
                return found
            time.sleep(0.5)
        self.explain()
        sys.exit(f"not so within {seconds} s: {what}")

    def explain(self):
        """What the functions logged, at the end."""
        for group in self.account.logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]:
            events = self.account.logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
            print(f"-- {group['logGroupName']}", file=sys.stderr)
            for event in events[-15:]:
                print(event["message"].rstrip()[:1500], file=sys.stderr)
        print(f"-- told: {[one['detail-type'] for one in self.told]}", file=sys.stderr)

    def put(self, source, *events):
        entries = []
        for detail_type, detail in events:
            self._second += 1
            at = datetime.now(timezone.utc) - timedelta(minutes=10) + timedelta(seconds=self._second)
            detail = {
                "schemaVersion": 1,
                "eventId": f"lane-{self._second}",
                "occurredAt": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                **detail,
            }
            entries.append(
                {"EventBusName": BUS, "Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
            )
        answer = self.account.events.put_events(Entries=entries)
        assert answer["FailedEntryCount"] == 0, answer

    def send(self, script, *words):
        """What Domino automation does: a script of events/automation, with the rights of its policy."""
        done = subprocess.run(
            [ROOT / "events" / "automation" / script, "--bus", BUS, *words],
            env={**os.environ, **self.account.sender},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{script} {' '.join(words)} ended with {done.returncode}: {done.stderr}")

    def ask(self, function, **payload):
        """What an administrator does in the console: an invocation, and its answer."""
        answer = self.account.lambda_.invoke(
            FunctionName=f"{ID}-pod-identity-{function}", Payload=json.dumps(payload)
        )
        body = json.loads(answer["Payload"].read())
        self.check(f"{function} answers {payload.get('action', 'the dashboard')}", "FunctionError" not in answer)
        return body

    def spy(self):
        """A queue that gets whatever is on the bus."""
        self.spied = self.account.sqs.create_queue(QueueName="spy")["QueueUrl"]
        self.account.events.put_rule(Name="spy", EventBusName=BUS, EventPattern='{"source": [{"prefix": "domino."}]}')
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:spy"
        self.account.events.put_targets(Rule="spy", EventBusName=BUS, Targets=[{"Id": "spy", "Arn": arn}])

    def events(self, detail_type, **fields):
        """What the bus was told so far, of a type and with these fields."""
        while True:
            messages = self.account.sqs.receive_message(QueueUrl=self.spied, MaxNumberOfMessages=10).get("Messages", [])
            for message in messages:
                self.told.append(json.loads(message["Body"]))
                self.account.sqs.delete_message(QueueUrl=self.spied, ReceiptHandle=message["ReceiptHandle"])
            if not messages:
                break
        return [
            one["detail"]
            for one in self.told
            if one["detail-type"] == detail_type and all(one["detail"].get(key) == value for key, value in fields.items())
        ]

    def associations(self, name):
        found = {}
        for one in self.account.eks.list_pod_identity_associations(clusterName=name)["associations"]:
            try:
                described = self.account.eks.describe_pod_identity_association(
                    clusterName=name, associationId=one["associationId"]
                )
            except self.account.eks.exceptions.ResourceNotFoundException:
                # Reconcile has deleted it since the listing.
                continue
            found[one["serviceAccount"]] = described["association"]
        return found

    def messages(self, queue):
        url = self.account.sqs.get_queue_url(QueueName=f"{BUS}-{queue}")["QueueUrl"]
        found = []
        while True:
            messages = self.account.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            found += messages
            if not messages:
                return found


def sender(account):
    """A user with the policy of events/automation; answers the environment of its programs."""
    text = (ROOT / "events" / "automation" / "sender-policy.json").read_text()
    for placeholder, value in {"REGION": REGION, "ACCOUNT": ACCOUNT, "DEPLOYMENT-ID": ID}.items():
        text = text.replace(placeholder, value)
    policy = json.loads(text)
    judgeable(policy)
    account.iam.create_user(UserName="pipeline")
    account.iam.put_user_policy(UserName="pipeline", PolicyName="send", PolicyDocument=json.dumps(policy))
    key = account.iam.create_access_key(UserName="pipeline")["AccessKey"]
    return {
        # The AWS CLI of these tests, and no other.
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": account.url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def prepare(account):
    """A bucket, clusters and roles that are there before us."""
    # Without paths: ministack judges calls on a role without its path.
    for name in ("domino-etl", "domino-report", "blue-eks-nodes", "red-eks-nodes", "unlisted"):
        account.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    for name in ("blue", "red"):
        account.eks.create_cluster(
            name=name, roleArn=role("unlisted"), resourcesVpcConfig={"subnetIds": ["subnet-0a", "subnet-0b"]}
        )


PARAMETERS = {
    "DeploymentId": ID,
    "Clusters": f"{cluster('blue')},{cluster('red')}",
    "Roles": role("domino-*"),
    "NodeRoles": role("*-eks-nodes"),
    "AutomationSenders": role("senders/*"),
    "AdministrationSenders": role("senders/*"),
    "ReconcileSchedule": "rate(1 minute)",
    "SweepSchedule": "rate(1 minute)",
}


def bind(lane):
    print("from PutEvents to an association, and back to the bus")
    for name in ("blue", "red"):
        lane.put(
            ADMINISTRATION,
            ("Cluster Registered", {"clusterArn": cluster(name), "nodeRoleArns": [role(f"{name}-eks-nodes")]}),
        )
    lane.send("send.py", "assign", "svc-etl", role("domino-etl"), "--reason", "the deployment lane")
    for name in ("blue", "red"):
        found = lane.wait(f"svc-etl-sa has an association on {name}", lambda: lane.associations(name).get("svc-etl-sa"))
        lane.check(f"on {name} it is as the role that was asked for", found["roleArn"] == role("domino-etl"))
        lane.check(f"on {name} it carries the deployment's tag", found["tags"].get(TAG) == ID)
        lane.wait(
            f"Pod Identity Association Ready of {name} is on the bus",
            lambda: lane.events("Pod Identity Association Ready", clusterArn=cluster(name), serviceAccount="svc-etl"),
        )
    attached = lane.account.iam.list_attached_role_policies(RoleName="blue-eks-nodes")["AttachedPolicies"]
    lane.check("the node role has the policy that lists it", [one["PolicyName"] for one in attached] == [f"{ID}-{REGION}-blue-1"])


def enforced(lane):
    print("ministack enforces IAM")
    key, secret = (lane.account.sender[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    denied = None
    try:
        Account(lane.account.url, key, secret).eks.list_clusters()
    except ClientError as error:
        denied = error.response["Error"]["Code"]
    lane.check("who may send events may not list clusters", denied == "AccessDeniedException")


def reject(lane):
    print("an event that breaks a rule")
    lane.put(AUTOMATION, ("Service Account Role Assigned", {"serviceAccount": "svc-bad", "roleArn": role("unlisted")}))
    lane.wait("Service Account Event Rejected is on the bus", lambda: lane.events("Service Account Event Rejected"))
    rejected = lane.wait("it is in the rejected queue, for people", lambda: lane.messages("rejected"))
    lane.check("with the rule and the value that broke it", role("unlisted") in rejected[0]["Body"])


def poison(lane):
    print("a record that cannot be done, beside one that can")
    # Somebody holds red for an hour: its record fails each time, blue's does not.
    held = {"S": (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    key = {"pk": {"S": f"CLUSTER#{cluster('red')}"}, "sk": {"S": "LEASE"}}
    body = {"M": {"owner": {"S": "somebody"}, "expiresAt": held}}
    lane.account.dynamodb.put_item(TableName=BUS, Item={**key, "revision": {"S": "by-hand"}, "body": body})
    lane.put(
        AUTOMATION,
        *(
            (
                "Service Account Role Assigned",
                {"serviceAccount": f"svc-{name}", "roleArn": role("domino-report"), "clusters": [cluster(name)]},
            )
            for name in ("red", "blue")
        ),
    )
    lane.wait("svc-blue-sa has its association on blue", lambda: lane.associations("blue").get("svc-blue-sa"))
    dead = lane.wait("the record of red is a dead letter", lambda: lane.messages("automation-dead-letters"), 240)
    bodies = [json.loads(one["Body"])["detail"].get("serviceAccount") for one in dead]
    lane.check("alone", bodies == ["svc-red"])
    lane.check("none is of administration", not lane.messages("administration-dead-letters"))
    lane.check("and red has no association of it", "svc-red-sa" not in lane.associations("red"))
    lane.account.dynamodb.delete_item(TableName=BUS, Key=key)


def ask(lane):
    print("an administrator asks, and binds by hand")
    status = lane.ask("admin-read", action="status", serviceAccount="svc-etl")
    states = {one["clusterArn"]: one["condition"]["state"] for one in status["bindings"]}
    lane.check("svc-etl is ready on both clusters", states == {cluster(name): "ready" for name in ("blue", "red")})
    explained = lane.ask("admin-read", action="explain", serviceAccount="svc-etl", cluster="blue")
    association = lane.associations("blue")["svc-etl-sa"]["associationId"]
    lane.check("explain answers, and names the association", explained["ok"] and association in explained["text"])
    # Without Kubernetes nobody is ready for sure.
    migration = lane.ask("admin-read", action="migrate", **{"from": "blue", "to": "red"})
    counts = migration.get("preflight", {}).get("counts", {})
    lane.check(
        "migrate says of nobody that he is ready, and counts who is not known",
        migration["ok"] and counts["ready"] == 0 and counts["unknown"] + counts["willBreak"] >= 1,
    )
    asked = {"serviceAccount": "svc-hand", "roleArn": role("domino-report"), "clusters": [cluster("blue")]}
    planned = lane.ask("admin", action="bind", **asked)
    lane.check("the plan names the association", "+ association domino-compute/svc-hand-sa" in planned["text"])
    refused = lane.ask("admin-read", action="bind", mode="apply", **asked)
    lane.check("the read-only function refuses to apply", not refused["ok"])
    applied = lane.ask("admin", action="bind", mode="apply", actor="the lane", **asked)
    lane.check("the admin function takes it into the ledger", applied["ok"])
    lane.wait("reconcile makes the association", lambda: lane.associations("blue").get("svc-hand-sa"), 90)
    page = lane.ask("admin-read", widgetContext={"theme": "light", "width": 1000, "height": 500})
    lane.check("the dashboard's widget is HTML that shows the clusters", "<svg" in page and "blue" in page)


def import_and_export(lane):
    print("bindings are exported and imported")
    exported = lane.ask("admin-read", action="export", format="csv")
    lane.check("the export has bindings", exported["ok"] and exported["bindings"] > 0)
    lines = exported["csv"].splitlines()
    lane.check("the export has a line for each binding", len(lines) == 1 + exported["bindings"])
    imported = lane.ask("admin-read", action="import", csv=exported["csv"])
    lane.check("its import would change nothing", imported["counts"]["unchanged"] == exported["bindings"])


def schedules(lane):
    print("the schedules")
    for name in ("blue", "red"):
        lane.wait(
            f"a schedule asked for a reconciliation of {name}",
            lambda: lane.events(
                "Reconciliation Requested", clusterArn=cluster(name), reason="every cluster is reconciled"
            ),
            150,
        )
        lane.wait(
            f"a schedule asked for a sweep of {name}", lambda: lane.events("Sweep Requested", clusterArn=cluster(name)), 150
        )
    lane.wait("reconcile binds what was a dead letter", lambda: lane.associations("red").get("svc-red-sa"), 150)


def drift(lane):
    print("a change by hand, seen by CloudTrail")
    found = lane.associations("blue")["svc-etl-sa"]
    lane.account.eks.update_pod_identity_association(
        clusterName="blue", associationId=found["associationId"], roleArn=role("domino-report")
    )
    sample = json.loads((ROOT / "events/samples/trail/update.json").read_text())
    text = json.dumps(sample["detail"]).replace("111122223333", ACCOUNT)
    # ministack lets anybody put what only AWS can; on AWS it comes by itself.
    lane.account.events.put_events(
        Entries=[{"Source": "aws.eks", "DetailType": "AWS API Call via CloudTrail", "Detail": text}]
    )
    lane.wait(
        "the role is put back", lambda: lane.associations("blue")["svc-etl-sa"]["roleArn"] == role("domino-etl"), 150
    )
    lane.wait("Drift Corrected is on the bus", lambda: lane.events("Drift Corrected", clusterArn=cluster("blue")), 150)
    pattern = lane.account.events.describe_rule(Name=trail_rule(lane))["EventPattern"]
    own = json.loads((ROOT / "events/samples/trail/own.json").read_text())
    issuer = own["detail"]["userIdentity"]["sessionContext"]["sessionIssuer"]
    for name, expected in (("association", False), ("somebody", True)):
        issuer["arn"] = role(f"{ID}-{REGION}-{name}")
        matches = lane.account.events.test_event_pattern(EventPattern=pattern, Event=json.dumps(own))["Result"]
        lane.check(f"a call of role {name} {'is' if expected else 'is not'} taken for somebody's change", matches == expected)


def trail_rule(lane):
    rules = lane.account.events.list_rules()["Rules"]
    return next(one["Name"] for one in rules if "TrailRule" in one["Name"])


def unbind(lane):
    print("and away again")
    lane.send("send.sh", "unassign", "svc-etl")
    for name in ("blue", "red"):
        lane.wait(f"svc-etl-sa has no association on {name}", lambda: "svc-etl-sa" not in lane.associations(name))
        lane.wait(
            f"Pod Identity Association Removed of {name} is on the bus",
            lambda: lane.events("Pod Identity Association Removed", clusterArn=cluster(name), serviceAccount="svc-etl"),
        )
    lane.check("nothing was undeliverable", not lane.messages("undelivered"))


def main():
    for name in ("association", "reconcile", "workloads", "admin"):
        if not (ROOT / "target" / "lambda" / f"{name}.zip").exists():
            sys.exit(f"target/lambda/{name}.zip is missing: run tests/deploy/build first")
    with ministack(LOG) as url:
        account = Account(url)
        account.sender = sender(account)
        prepare(account)
        deploy(account, ID, PARAMETERS)
        print("deployed")
        lane = Lane(account)
        lane.spy()
        for part in (enforced, bind, ask, import_and_export, reject, poison, schedules, drift, unbind):
            part(lane)


if __name__ == "__main__":
    main()

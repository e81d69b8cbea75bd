"""ministack, and our stack in it."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "infra"))
from template import as_list, raw, transformed  # noqa: E402

REGION = "eu-west-1"
ACCOUNT = "000000000000"
# What ministack 1.5.33 cannot make: so neither the archive nor the schemas are seen at work. The bus's policy it makes
# nothing of: tests/infra judges what it denies, call by call.
UNKNOWN = {"AWS::CloudFormation::Stack", "AWS::Events::Archive"}


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def ministack(log):
    """ministack on a free port; IAM is enforced as far as it can. Answers its URL."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AUTH": "true",
        # Functions have it only if ministack itself has.
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }
    with open(log, "wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        for _ in range(120):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/_ministack/ready", timeout=1).read()
                break
            if server.poll() is not None:
                sys.exit(f"ministack ended at its start; its log is {log}")
            time.sleep(0.25)
        else:
            sys.exit(f"ministack was not ready after 30 s; its log is {log}")
        yield url
    finally:
        # The functions that it started are in its process group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


class Account:
    """Clients of an account, by default with the rights of its root."""

    def __init__(self, url, key="test", secret="test"):
        self._session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=REGION)
        self.url = url

    def __getattr__(self, service):
        client = self._session.client(service.rstrip("_"), endpoint_url=self.url)
        setattr(self, service, client)
        return client


# Condition keys that ministack 1.5.33 does not fill, so that nothing under them would ever be allowed.
UNFILLED = {"events:source", "iam:PolicyARN", "aws:ResourceTag/domino-pod-identity:deployment", "dynamodb:LeadingKeys"}


def judgeable(document):
    """A policy as ministack can judge it: which action on which kind of thing is left of it, and what it cannot
    tell apart is not. tests/tests/e2e/permissions judges the roles as they are."""
    for one in as_list(document["Statement"]):
        for statement in one["Fn::If"][1:] if "Fn::If" in one else [one]:
            if "Action" not in statement:
                continue
            condition = statement.get("Condition", {})
            for operator in list(condition):
                condition[operator] = {key: value for key, value in condition[operator].items() if key not in UNFILLED}
                if not condition[operator]:
                    del condition[operator]
            # Whatever is below a cluster is judged by the cluster's ARN.
            if all(action.startswith("eks:") for action in as_list(statement["Action"])):
                statement["Resource"] = {"Ref": "Clusters"}
    # A policy that is to be made has no ARN in the request.
    if any("iam:CreatePolicy" in as_list(one.get("Action", [])) for one in as_list(document["Statement"])):
        document["Statement"].append({"Effect": "Allow", "Action": "iam:CreatePolicy", "Resource": "*"})


def shortened(template):
    """The deployed form, with waits of seconds instead of minutes, and without what ministack lacks."""
    resources = {name: one for name, one in template["Resources"].items() if one["Type"] not in UNKNOWN}
    for name, one in resources.items():
        properties = one.get("Properties", {})
        if one["Type"] == "AWS::SQS::Queue" and "RedrivePolicy" in properties:
            properties["VisibilityTimeout"] = 5
            properties["RedrivePolicy"]["maxReceiveCount"] = 2
            if "DelaySeconds" in properties:
                properties["DelaySeconds"] = 1
        # ministack would compare a number with the text of the parameter.
        if one["Type"] == "AWS::Lambda::EventSourceMapping":
            scaling = properties.get("ScalingConfig", {})
            for key, value in scaling.items():
                scaling[key] = template["Parameters"][value["Ref"]]["Default"] if isinstance(value, dict) else value
        # One attempt at a lease that somebody holds, and an answer soon.
        if one["Type"] == "AWS::Lambda::Function":
            properties["Timeout"] = 20
        if one["Type"] == "AWS::IAM::ManagedPolicy":
            judgeable(properties["PolicyDocument"])
        if one["Type"] == "AWS::IAM::Role":
            for policy in properties.get("Policies", []):
                judgeable(policy["PolicyDocument"])
    return {**template, "Resources": resources}


def deploy(account, stack, parameters):
    """Uploads the functions, makes the stack, waits for it; answers its outputs."""
    account.s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
    for name in ("association", "reconcile", "workloads", "admin"):
        account.s3.upload_file(str(ROOT / "target" / "lambda" / f"{name}.zip"), "code", f"{name}.zip")
    template = shortened(transformed(raw(), "code", f"{account.url}/code"))
    account.s3.put_object(Bucket="code", Key="template.json", Body=json.dumps(template))
    account.cloudformation.create_stack(
        StackName=stack,
        TemplateURL=f"{account.url}/code/template.json",
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    for _ in range(240):
        found = account.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if found["StackStatus"] == "CREATE_COMPLETE":
            return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}
        if "FAILED" in found["StackStatus"] or "ROLLBACK" in found["StackStatus"]:
            events = account.cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            reasons = [
                f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason')}"
                for one in events
                if "FAILED" in one["ResourceStatus"]
            ]
            sys.exit(f"stack {stack} was not made: {found.get('StackStatusReason')}; {'; '.join(reasons)}")
        time.sleep(0.5)
    sys.exit(f"stack {stack} is still not made")

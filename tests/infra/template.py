"""Reads the templates of infra: as they are, and as CloudFormation gets them after the SAM transform."""

import copy
import logging
import os
import pathlib

import yaml
from samtranslator.translator.transform import transform

INFRA = pathlib.Path(__file__).resolve().parents[2] / "infra"
# It would say of every transform that it sends its metrics nowhere.
logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)


class _NoManagedPolicies:
    def load(self):
        return {}


def path(name):
    """Where a template is written."""
    return INFRA / (f"{name}.json" if name == "schemas" else f"{name}.yaml")


def raw(name="template"):
    """A template as it is written."""
    return yaml.safe_load(path(name).read_text())


def transformed(template, bucket="bucket", url="https://bucket.s3.eu-west-1.amazonaws.com"):
    """The template after packaging and the transform: code and nested templates in a bucket, by their names."""
    template = copy.deepcopy(template)
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            binary = resource["Metadata"]["BuildProperties"]["Binary"]
            resource["Properties"]["CodeUri"] = {"Bucket": bucket, "Key": f"{binary}.zip"}
        if resource["Type"] == "AWS::Serverless::Application":
            resource["Properties"]["Location"] = f"{url}/{resource['Properties']['Location']}"
    return transform(template, {}, _NoManagedPolicies())


def of_type(template, kind):
    """The resources of a type, by logical name: their properties."""
    resources = template["Resources"].items()
    return {name: one.get("Properties", {}) for name, one in resources if one["Type"] == kind}


def target(value):
    """The logical name that Ref or Fn::GetAtt names; none for anything else."""
    if isinstance(value, dict) and len(value) == 1:
        if "Ref" in value:
            return value["Ref"]
        if "Fn::GetAtt" in value:
            found = value["Fn::GetAtt"]
            return found.split(".")[0] if isinstance(found, str) else found[0]
    return None


def as_list(value):
    return value if isinstance(value, list) else [value]


# Values to look at policies with.
SAMPLE = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "DeploymentId": "acme",
    "HubAccount": "444455556666",
    "Clusters": ["arn:aws:eks:eu-west-1:111122223333:cluster/blue", "arn:aws:eks:eu-west-1:111122223333:cluster/green"],
    "Roles": ["arn:aws:iam::111122223333:role/domino/*"],
    "NodeRoles": ["arn:aws:iam::111122223333:role/*-eks-nodes"],
    "AssumeRoles": ["arn:aws:iam::444455556666:role/acme-clusters-eu-west-1"],
    "DominoKeyName": "domino",
    "AutomationSenders": ["arn:aws:iam::111122223333:role/senders/automation"],
    "AdministrationSenders": ["arn:aws:iam::111122223333:role/senders/administration"],
    "TrailAccounts": ["444455556666"],
    "BusArn": "arn:aws:events:eu-west-1:111122223333:event-bus/acme-pod-identity",
}
ARNS = {
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:eu-west-1:111122223333:table/{}",
    "AWS::Events::EventBus": "arn:aws:events:eu-west-1:111122223333:event-bus/{}",
    "AWS::Logs::LogGroup": "arn:aws:logs:eu-west-1:111122223333:log-group:{}:*",
    "AWS::SQS::Queue": "arn:aws:sqs:eu-west-1:111122223333:{}",
}


def evaluated(template, value):
    """A part of a template under the sample's values; what a condition would add is in."""
    if isinstance(value, list):
        return [evaluated(template, one) for one in value if one != {"Ref": "AWS::NoValue"}]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (name, argument), = value.items()
        if name == "Ref":
            return SAMPLE[argument]
        if name == "Fn::GetAtt":
            return ARNS[template["Resources"][argument[0]]["Type"]].format(argument[0])
        if name == "Fn::Sub":
            for key, found in SAMPLE.items():
                argument = argument.replace("${" + key + "}", str(found))
            return argument
        if name == "Fn::Join":
            return argument[0].join(evaluated(template, argument[1]))
        if name == "Fn::Split":
            return evaluated(template, argument[1]).split(argument[0])
        if name == "Fn::If":
            return evaluated(template, argument[1])
    return {key: evaluated(template, one) for key, one in value.items()}


def policies(template):
    """Every policy of the template's roles, evaluated, by a name."""
    found = {
        name: evaluated(template, one["PolicyDocument"])
        for name, one in of_type(template, "AWS::IAM::ManagedPolicy").items()
    }
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            found[name] = evaluated(template, policy["PolicyDocument"])
    return found

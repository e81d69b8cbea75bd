"""Writes infra/schemas.json, the stack of the schema registry, from events/schemas and events/samples.

Run it after either has changed; tests/infra compares. Python alone, no packages.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "infra" / "schemas.json"
# Where the Lambda console keeps the test events of every function of the account and region; each
# function's are the examples of a schema called after it.
# https://docs.aws.amazon.com/lambda/latest/dg/testing-functions.html#creating-shareable-events
TEST_EVENTS = "lambda-testevent-schemas"
# By function: the folders of events/samples that it takes.
SAMPLES = {"association": ["accepted"], "reconcile": ["reconcile", "trail"], "workloads": ["workloads"], "admin": ["admin"], "admin-read": ["admin"]}
# EventBridge's limit for the content of one schema.
MAX_CONTENT = 100_000


def _read(path):
    return json.loads(path.read_text())


def _compact(value):
    text = json.dumps(value, separators=(",", ":"))
    if len(text) > MAX_CONTENT:
        sys.exit(f"a schema has {len(text)} characters, and EventBridge takes {MAX_CONTENT}")
    return text


def _logical(*words):
    return "".join(re.sub(r"[^A-Za-z0-9]", "", word.title()) for word in words)


def _schemas():
    for path in sorted((ROOT / "events" / "schemas").glob("*.json")):
        schema = _read(path)
        source = schema["properties"]["source"]["enum"][0]
        name = f"{source}@{schema['title'].replace(' ', '')}"
        yield _logical(path.stem), {
            "Type": "AWS::EventSchemas::Schema",
            "Properties": {
                "RegistryName": {"Fn::GetAtt": ["Registry", "RegistryName"]},
                "SchemaName": name,
                "Description": f"{schema['title']} from {source}",
                "Type": "JSONSchemaDraft4",
                "Content": _compact(schema),
            },
        }


def _test_events(function, folders):
    paths = [path for folder in folders for path in sorted((ROOT / "events" / "samples" / folder).glob("*.json"))]
    examples = {path.stem: {"value": _read(path)} for path in paths}
    content = {
        "openapi": "3.0.0",
        "info": {"version": "1.0.0", "title": "Event"},
        "paths": {},
        "components": {"schemas": {"Event": {"type": "object"}}, "examples": examples},
    }
    return {
        "Type": "AWS::EventSchemas::Schema",
        "Condition": "HasTestEvents",
        "Properties": {
            # The registry by its name: it may be the account's own.
            "RegistryName": {"Fn::If": ["MakesTestEventRegistry", {"Fn::GetAtt": ["TestEventRegistry", "RegistryName"]}, TEST_EVENTS]},
            "SchemaName": {"Fn::Sub": f"_${{DeploymentId}}-pod-identity-{function}-schema"},
            "Description": {"Fn::Sub": f"Test events of function ${{DeploymentId}}-pod-identity-{function}"},
            "Type": "OpenApi3",
            "Content": _compact(content),
        },
    }


def template():
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "domino-pod-identity: schemas of its events, and test events of its functions. Written by infra/schemas.py.",
        "Parameters": {
            "DeploymentId": {
                "Type": "String",
                "AllowedPattern": "[a-z]([a-z0-9-]{0,30}[a-z0-9])?",
                "ConstraintDescription": "1 to 32 of a-z, 0-9 and -, a letter first, no - at the end",
                "Description": "DeploymentId of the stack of infra/template.yaml.",
            },
            "TestEvents": {
                "Type": "String",
                "Default": "none",
                "AllowedValues": ["none", "create", "exists"],
                "Description": f"Whether the functions get shareable test events, and whether registry {TEST_EVENTS} is there already.",
            },
        },
        "Conditions": {
            "HasTestEvents": {"Fn::Not": [{"Fn::Equals": [{"Ref": "TestEvents"}, "none"]}]},
            "MakesTestEventRegistry": {"Fn::Equals": [{"Ref": "TestEvents"}, "create"]},
        },
        "Resources": {
            "Registry": {
                "Type": "AWS::EventSchemas::Registry",
                "Properties": {
                    "RegistryName": {"Fn::Sub": "${DeploymentId}-pod-identity"},
                    "Description": {"Fn::Sub": "Events of domino-pod-identity, deployment ${DeploymentId}"},
                },
            },
            "TestEventRegistry": {
                "Type": "AWS::EventSchemas::Registry",
                "Condition": "MakesTestEventRegistry",
                # Others keep their test events in it too.
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {"RegistryName": TEST_EVENTS, "Description": "Shareable test events of Lambda functions"},
            },
            **dict(_schemas()),
            **{_logical(name, "test-events"): _test_events(name, folders) for name, folders in SAMPLES.items()},
        },
    }


if __name__ == "__main__":
    TEMPLATE.write_text(json.dumps(template(), indent=2) + "\n")

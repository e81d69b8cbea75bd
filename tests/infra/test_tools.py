"""The tools of the field hold for the templates, and each rejects what it is there for."""

import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from cloudformation_validate import CompositeEngine, TemplateContent
from template import path, policies, raw, transformed

NAMES = ["template", "cluster-account", "cluster-access", "trail-forward", "schemas"]
CFN_LINT = pathlib.Path(sys.prefix) / "bin" / "cfn-lint"
# In an environment of its own: it needs older libraries.
PARLIAMENT = os.environ["PARLIAMENT"]

# Findings of parliament that are meant, by policy: why.
WITHIN_CLUSTERS = "AWS's reference asks for the association, its user guide for the cluster too"
NETWORK = "network interfaces have no resource before they are made"
MEANT = {
    ("WorkloadsRole", "RESOURCE_STAR"): NETWORK,
    ("AdminRole", "RESOURCE_STAR"): NETWORK,
    ("AdminReadRole", "RESOURCE_STAR"): NETWORK,
    ("BindPolicy", "RESOURCE_MISMATCH eks:UpdatePodIdentityAssociation"): WITHIN_CLUSTERS,
    ("BindPolicy", "RESOURCE_MISMATCH eks:DeletePodIdentityAssociation"): WITHIN_CLUSTERS,
}


def lint_file(file):
    done = subprocess.run(
        [CFN_LINT, "--regions", "eu-west-1", "--", str(file)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def lint(template):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(template, file)
        file.flush()
        return lint_file(file.name)


def parliament(document):
    """What parliament finds in a policy, with the action where it names one."""
    done = subprocess.run(
        [PARLIAMENT, "--json"], input=json.dumps(document), capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr and "usage:" not in done.stderr, done.stderr
    found = set()
    for line in done.stdout.splitlines():
        finding = json.loads(line)
        details = finding["detail"] if isinstance(finding["detail"], list) else [{}]
        for detail in details or [{}]:
            action = detail.get("action") if isinstance(detail, dict) else None
            found.add(" ".join(filter(None, [finding["issue"], action])))
    return found


class CfnLint(unittest.TestCase):
    def test_templates_are_clean_as_they_are_written(self):
        for name in NAMES:
            with self.subTest(name):
                self.assertEqual(lint_file(path(name)), (0, ""))

    def test_the_template_is_clean_after_the_transform(self):
        self.assertEqual(lint(transformed(raw())), (0, ""))

    def test_broken_templates_are_rejected(self):
        broken = {
            "an attribute that does not exist": lambda t: t["Outputs"]["BusArn"].update(
                Value={"Fn::GetAtt": ["Bus", "Nothing"]}
            ),
            "a key that is no attribute of the table": lambda t: t["Resources"]["Ledger"]["Properties"][
                "KeySchema"
            ].append({"AttributeName": "nothing", "KeyType": "RANGE"}),
            "a property that does not exist": lambda t: t["Resources"]["Bus"]["Properties"].update(Colour="red"),
        }
        for what, change in broken.items():
            template = copy.deepcopy(raw())
            change(template)
            with self.subTest(what):
                self.assertNotEqual(lint(template)[0], 0)

    def test_templates_that_break_by_the_transform_are_rejected(self):
        broken = {
            "a runtime that does not exist": lambda t: t["Globals"]["Function"].update(Runtime="provided.al2099"),
            "a batch that SQS does not give": lambda t: t["Resources"]["AssociationFunction"]["Properties"]["Events"][
                "Automation"
            ]["Properties"].update(BatchSize=100000),
        }
        for what, change in broken.items():
            template = copy.deepcopy(raw())
            change(template)
            with self.subTest(what):
                self.assertNotEqual(lint(transformed(template))[0], 0)


class CloudFormationValidate(unittest.TestCase):
    engine = CompositeEngine()
    # Rules whose findings are meant: why.
    MEANT = {
        "F3031": "a list that is empty by default is only used under its condition, and there it is not",
        "E1150": "the same",
        "W1030": "the same of a boundary",
        "W9013": "sample events name the samples' account",
    }

    def findings(self, template):
        content = TemplateContent(json.dumps(template), "template")
        diagnostics = self.engine.validate_template(content).diagnostics
        return {one.rule_id: one.message for one in diagnostics if one.severity.name != "INFO"}

    def test_templates_have_no_finding_that_is_not_meant(self):
        meant = set()
        for name in NAMES:
            template = transformed(raw()) if name == "template" else raw(name)
            found = self.findings(template)
            meant |= set(found) & set(self.MEANT)
            with self.subTest(name):
                self.assertEqual({rule: why for rule, why in found.items() if rule not in self.MEANT}, {})
        self.assertEqual(meant, set(self.MEANT), "what is listed as meant and is no longer found")

    def test_broken_event_patterns_are_rejected(self):
        pattern = lambda t: t["Resources"]["TrailRule"]["Properties"]["EventPattern"]  # noqa: E731
        broken = {
            "a value that is no list": lambda t: pattern(t).update(source="aws.eks"),
            "a filter that does not exist": lambda t: pattern(t).update(source=[{"begins-with": "aws."}]),
        }
        for what, change in broken.items():
            template = transformed(raw())
            change(template)
            with self.subTest(what):
                self.assertNotEqual(set(self.findings(template)) - set(self.MEANT), set())


class Parliament(unittest.TestCase):
    def test_actions_and_arns_exist_and_fit(self):
        meant = set()
        for name in ["template", "cluster-account", "trail-forward"]:
            for policy, document in policies(raw(name)).items():
                found = {(policy, issue) for issue in parliament(document)}
                meant |= found & set(MEANT)
                with self.subTest(policy):
                    self.assertEqual(found - set(MEANT), set())
        self.assertEqual(meant, set(MEANT), "what is listed as meant and is no longer found")

    def test_broken_policies_are_rejected(self):
        document = policies(raw())["BindPolicy"]
        for what, change in {
            "an action that does not exist": {"Action": "eks:CreatePodIdentity"},
            "an ARN that does not fit the action": {"Resource": "arn:aws:s3:::bucket"},
        }.items():
            spoiled = copy.deepcopy(document)
            spoiled["Statement"][0].update(change)
            with self.subTest(what):
                self.assertNotEqual(parliament(spoiled), parliament(document))


if __name__ == "__main__":
    unittest.main()

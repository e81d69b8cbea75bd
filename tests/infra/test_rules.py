"""Our own rules hold for the templates, and each finds what it is there for."""

import copy
import json
import pathlib
import re
import subprocess
import sys
import unittest

import botocore
import rules
from template import of_type, path, raw, transformed

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra"))
import schemas  # noqa: E402

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def _metrics(*files):
    """The metrics that code writes: their names as its lines have them, and those of cases of stale pods."""
    text = "".join((ROOT / "functions" / file / "metrics.rs").read_text() for file in files)
    return set(re.findall(r'\("(\w+)", "(?:Count|Milliseconds|Percent)"', text)) | set(re.findall(r'Case::\w+ => "(\w+)"', text))


# By the dimension beside Deployment; those of clusters count by Deployment alone too.
WRITTEN = {
    "Function": _metrics("association/src"),
    None: _metrics("reconcile/src", "workloads/src", "shared/function/src") | {"BindingsBlocked"},
}
TEMPLATE = raw()
OTHERS = ["cluster-account", "cluster-access", "trail-forward", "schemas"]


def resource(template, name):
    return template["Resources"][name]["Properties"]


def spoil(change):
    template = copy.deepcopy(TEMPLATE)
    change(template)
    return transformed(template)


def _remove_statement(template, role, sid):
    document = resource(template, role)["Policies"][0]["PolicyDocument"]
    document["Statement"] = [one for one in document["Statement"] if one.get("Sid") != sid]


def _statement(template, role, sid):
    statements = resource(template, role)["Policies"][0]["PolicyDocument"]["Statement"]
    return next(one for one in statements if one.get("Sid") == sid)


def _bus(template):
    return resource(template, "Bus")["Policy"]["Statement"]


def _replace(template, old, new):
    body = resource(template, "Dashboard")["DashboardBody"]
    body["Fn::Sub"] = body["Fn::Sub"].replace(old, new)


# What is done to the template, and the rule that has to see it.
BROKEN = {
    "a queue that does not admit a rule": (
        rules.queue_policies_admit_their_rules,
        lambda t: resource(t, "WorkloadsQueuePolicy")["PolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"].pop(),
    ),
    "a dead-letter queue that does not admit a rule": (
        rules.queue_policies_admit_their_rules,
        lambda t: t["Resources"].pop("UndeliveredPolicy"),
    ),
    "a rule without a dead-letter queue": (
        rules.queue_policies_admit_their_rules,
        lambda t: resource(t, "AutomationRule")["Targets"][0].pop("DeadLetterConfig"),
    ),
    "a schedule that may not send": (
        rules.senders_of_a_queue_may_send,
        lambda t: _remove_statement(t, "SchedulerRole", "Ask"),
    ),
    "a role without sqs:DeleteMessage": (
        rules.consumers_may_take_from_their_queue,
        lambda t: _statement(t, "ReconcileRole", "TakeFromQueue")["Action"].remove("sqs:DeleteMessage"),
    ),
    "whole batches delivered again": (
        rules.consumers_may_take_from_their_queue,
        lambda t: resource(t, "AssociationFunction")["Events"]["Automation"]["Properties"].pop("FunctionResponseTypes"),
    ),
    "a visibility time-out that is too short": (
        rules.consumers_may_take_from_their_queue,
        lambda t: resource(t, "AdministrationQueue").update(VisibilityTimeout=360),
    ),
    "a second queue that the role may not take from": (
        rules.consumers_may_take_from_their_queue,
        lambda t: _statement(t, "AssociationRole", "TakeFromQueue")["Resource"].pop(),
    ),
    "a reserved concurrency below that of the event sources": (
        rules.event_sources_fit_the_reserved_concurrency,
        lambda t: resource(t, "AssociationFunction").update(ReservedConcurrentExecutions=99),
    ),
    "an event source that takes all of the account's concurrency": (
        rules.event_sources_fit_the_reserved_concurrency,
        lambda t: resource(t, "AssociationFunction")["Events"]["Automation"]["Properties"].pop("ScalingConfig"),
    ),
    "automation's events in the queue of administration": (
        rules.each_source_has_its_own_queue,
        lambda t: resource(t, "AdministrationRule")["EventPattern"]["source"].append("domino.automation"),
    ),
    "automation's events in no queue": (
        rules.each_source_has_its_own_queue,
        lambda t: t["Resources"].pop("AutomationRule"),
    ),
    "a FIFO dead-letter queue": (
        rules.queues_end_in_standard_dead_letter_queues,
        lambda t: resource(t, "AutomationDeadLetters").update(FifoQueue=True),
    ),
    "a queue without dead letters": (
        rules.queues_end_in_standard_dead_letter_queues,
        lambda t: resource(t, "WorkloadsQueue").pop("RedrivePolicy"),
    ),
    "an undefined transformer variable": (
        rules.transformers_use_what_they_define,
        lambda t: resource(t, "AutomationRule")["Targets"][0].update(
            InputTransformer={"InputPathsMap": {"a": "$.a"}, "InputTemplate": '{"x": <b>}'}
        ),
    ),
    "a schedule's variable that Scheduler does not know": (
        rules.transformers_use_what_they_define,
        lambda t: resource(t, "SweepTimer")["Target"].update(Input='{"id": "<aws.scheduler.nothing>"}'),
    ),
    "a dashboard that is no JSON": (
        rules.dashboards_are_json_over_what_exists,
        lambda t: resource(t, "Dashboard")["DashboardBody"].update({"Fn::Sub": '{"widgets": [}'}),
    ),
    "a dashboard over a queue that is gone": (
        rules.dashboards_are_json_over_what_exists,
        lambda t: t["Resources"].pop("RejectedQueue"),
    ),
    "a bus on which anybody registers clusters": (
        rules.the_bus_is_closed,
        lambda t: _bus(t).pop(1),
    ),
    "a bus on which anybody speaks for us": (
        rules.the_bus_is_closed,
        lambda t: _bus(t)[2]["Condition"]["ArnNotLike"].update({"aws:PrincipalArn": "*"}),
    ),
    "a bus on which a sender may add what is not its own": (
        rules.the_bus_is_closed,
        lambda t: _bus(t).pop(3),
    ),
    "a bus that is open to every account": (
        rules.the_bus_is_closed,
        lambda t: _bus(t)[4]["Fn::If"][1].update(Principal="*"),
    ),
    "a policy of another bus": (
        rules.the_bus_is_closed,
        lambda t: resource(t, "Bus").update(Name="other"),
    ),
    "a statement of the bus beside its policy": (
        rules.the_bus_is_closed,
        lambda t: t["Resources"].update(More={"Type": "AWS::Events::EventBusPolicy", "Properties": {}}),
    ),
    "an alarm that the dashboard does not show": (
        rules.the_dashboard_shows_every_alarm,
        lambda t: _replace(t, '"${NamesAlarm.Arn}", ', ""),
    ),
    "a right everywhere": (
        rules.nothing_is_allowed_everywhere,
        lambda t: resource(t, "BindPolicy")["PolicyDocument"]["Statement"][-1].update(Resource="*"),
    ),
    "every action of a service": (
        rules.nothing_is_allowed_everywhere,
        lambda t: resource(t, "ReadPolicy")["PolicyDocument"]["Statement"][0].update(Action="dynamodb:*"),
    ),
    "a role without the boundary": (
        rules.every_role_takes_the_boundary,
        lambda t: resource(t, "SchedulerRole").pop("PermissionsBoundary"),
    ),
    "schemas in every region": (
        rules.what_a_region_may_lack_has_a_condition,
        lambda t: t["Resources"]["EventSchemas"].pop("Condition"),
    ),
    "a right on the whole ledger": (
        rules.rights_on_the_ledger_name_partitions,
        lambda t: resource(t, "ReadPolicy")["PolicyDocument"]["Statement"][0].pop("Condition"),
    ),
    "a right on every partition of the ledger": (
        rules.rights_on_the_ledger_name_partitions,
        lambda t: _statement(t, "WorkloadsRole", "ReadLedger")["Condition"]["ForAllValues:StringLike"].update({"dynamodb:LeadingKeys": ["*"]}),
    ),
    "a right on the ledger for requests without a key": (
        rules.rights_on_the_ledger_name_partitions,
        lambda t: _statement(t, "WorkloadsRole", "ReadLedger")["Condition"].pop("Null"),
    ),
    "a ledger without point-in-time recovery": (
        rules.the_ledger_is_kept_safe,
        lambda t: resource(t, "Ledger").pop("PointInTimeRecoverySpecification"),
    ),
    "a ledger that goes with its stack": (
        rules.the_ledger_is_kept_safe,
        lambda t: t["Resources"]["Ledger"].pop("DeletionPolicy"),
    ),
    "a function whose errors nobody sees": (
        rules.functions_are_watched_and_logged,
        lambda t: t["Resources"].pop("WorkloadsErrorsAlarm"),
    ),
    "dead letters that nobody sees": (
        rules.functions_are_watched_and_logged,
        lambda t: t["Resources"].pop("ReconcileDeadLettersAlarm"),
    ),
    "a log that is kept for ever": (
        rules.functions_are_watched_and_logged,
        lambda t: resource(t, "AssociationLog").pop("RetentionInDays"),
    ),
    "an alarm that ends before the next reconciliation": (
        rules.alarms_outlast_the_time_between_two_runs,
        lambda t: resource(t, "BindingsBlockedAlarm").update(TreatMissingData="notBreaching"),
    ),
    "an alarm that an hourly sweep cannot raise": (
        rules.alarms_outlast_the_time_between_two_runs,
        lambda t: resource(t, "SweepHaltedAlarm").pop("DatapointsToAlarm"),
    ),
    "a parameter without bounds": (
        rules.parameters_are_explained,
        lambda t: t["Parameters"]["DeploymentId"].pop("AllowedPattern"),
    ),
    "system:masters": (
        rules.nobody_becomes_master,
        lambda t: resource(t, "Bus").update(Description="system:masters"),
    ),
}


def refused(parameters):
    """What CloudFormation says of a stack with these parameters, the others as they are by default."""
    values = {name: one.get("Default", "given") for name, one in TEMPLATE["Parameters"].items()} | parameters

    def holds(condition):
        ((function, terms),) = condition.items()
        if function == "Fn::Not":
            return not holds(terms[0])
        value, other = values[terms[0]["Ref"]], terms[1]
        members = {"Fn::Equals": [value], "Fn::EachMemberEquals": value.split(",")}[function]
        return all(member == other for member in members)

    for rule in TEMPLATE["Rules"].values():
        if "RuleCondition" not in rule or holds(rule["RuleCondition"]):
            yield from (one["AssertDescription"] for one in rule["Assertions"] if not holds(one["Assert"]))


class Parameters(unittest.TestCase):
    def test_parameters_that_need_others_are_refused_without(self):
        self.assertEqual(list(refused({})), [])
        vpc = {"SubnetIds": "subnet-1,subnet-2", "SecurityGroupIds": "sg-1", "AdminInVpc": "true"}
        self.assertEqual(list(refused(vpc)), [])
        for parameters, said in [
            ({"TestEvents": "default", "Schemas": "off"}, "TestEvents needs Schemas on"),
            ({"NodePolicy": "strict", "ClusterStatement": "true"}, "NodePolicy strict needs ClusterStatement false"),
            ({"DominoUrl": "https://domino.example"}, "DominoUrl needs DominoKeyName"),
            (vpc | {"SecurityGroupIds": ""}, "SubnetIds needs SecurityGroupIds"),
            (vpc | {"SubnetIds": ""}, "AdminInVpc true needs SubnetIds"),
        ]:
            self.assertEqual(list(refused(parameters)), [said])


class Rules(unittest.TestCase):
    def test_every_rule_holds_for_the_template(self):
        template = transformed(TEMPLATE)
        for rule in rules.ALL:
            with self.subTest(rule.__name__):
                self.assertEqual(list(rule(template)), [])
        self.assertEqual(list(rules.alarms_and_dashboards_are_of_metrics_that_are_written(template, WRITTEN)), [])

    def test_the_other_templates_keep_those_that_concern_them(self):
        for name in OTHERS:
            template = raw(name)
            for rule in (rules.nothing_is_allowed_everywhere, rules.parameters_are_explained, rules.nobody_becomes_master, rules.queue_policies_admit_their_rules, rules.every_role_takes_the_boundary):
                with self.subTest(f"{name} {rule.__name__}"):
                    self.assertEqual(list(rule(template)), [])

    def test_every_rule_finds_what_it_is_there_for(self):
        for what, (rule, change) in BROKEN.items():
            with self.subTest(what):
                self.assertNotEqual(list(rule(spoil(change))), [])
        self.assertEqual({rule for rule, _ in BROKEN.values()}, set(rules.ALL))

    def test_a_reserved_concurrency_that_holds_all_event_sources_is_right(self):
        template = spoil(lambda t: resource(t, "AssociationFunction").update(ReservedConcurrentExecutions=100))
        self.assertEqual(list(rules.event_sources_fit_the_reserved_concurrency(template)), [])

    def test_what_watches_or_shows_a_metric_that_nobody_writes_is_found(self):
        for what, change in {
            "an alarm": lambda t: resource(t, "OrphansAlarm").update(MetricName="Nonsense"),
            "an alarm of what another function writes": lambda t: resource(t, "BusyNameAlarm").update(MetricName="SweepHalted"),
            "a number of the dashboard": lambda t: _replace(t, '"Accepted"', '"Nonsense"'),
            "a search of the dashboard": lambda t: _replace(t, "PodsRevoked", "PodsForgotten"),
        }.items():
            with self.subTest(what):
                found = rules.alarms_and_dashboards_are_of_metrics_that_are_written(spoil(change), WRITTEN)
                self.assertEqual(len(list(found)), 1)

    def test_every_metric_is_documented(self):
        for name in set().union(*WRITTEN.values()):
            self.assertIn(f"`{name}`", OPERATIONS)


class Documentation(unittest.TestCase):
    def test_the_runbook_has_every_alarm_and_no_other(self):
        named = set(re.findall(r"`(?:\.\.\.)?(\w+Alarm)`", (ROOT / "docs" / "runbook.md").read_text()))
        alarms = set(of_type(TEMPLATE, "AWS::CloudWatch::Alarm"))
        kinds = {"ErrorsAlarm", "ThrottlesAlarm"}
        self.assertLessEqual(kinds, named)
        each = {name for name in alarms if re.sub("^(Association|Reconcile|Workloads|Admin|AdminRead)(?=Errors|Throttles)", "", name) in kinds}
        self.assertEqual(len(each), 2 * len(of_type(TEMPLATE, "AWS::Serverless::Function")))
        self.assertEqual(named - kinds, alarms - each)

    def test_the_dependencies_are_listed(self):
        of_workspace = (ROOT / "Cargo.toml").read_text().split("[workspace.dependencies]")[1].split("\n[")[0]
        names = re.findall(r"^([\w-]+) = (?!\{ path)", of_workspace, re.M)
        listed = (ROOT / "docs" / "architecture.md").read_text().split("## Dependencies")[1]
        # Of one family all but the first by their ends.
        listed = [name.lstrip("-") for row in re.findall(r"^\| (`.+?) \|", listed, re.M) for name in re.findall(r"`([\w-]+)`", row)]
        self.assertGreater(len(names), 40)
        for name in names:
            self.assertTrue(any(name == one or re.fullmatch(f"aws-(sdk|smithy)-{one}", name) for one in listed), name)

    def test_the_command_line_waits_as_long_as_functions_may_take(self):
        longest = max(one["Timeout"] for one in of_type(TEMPLATE, "AWS::Serverless::Function").values())
        for document in sorted((ROOT / "docs").glob("*.md")):
            for one in re.findall(r"^ *(.*?aws lambda invoke (?:.*\\\n)*.*)$", document.read_text(), re.M):
                with self.subTest(document.name, command=one):
                    self.assertGreater(int(re.search(r"--cli-read-timeout (\d+)", one)[1]), longest)
                    # A change must not be repeated by the command line while the first is at work.
                    self.assertTrue(one.startswith("AWS_MAX_ATTEMPTS=1 "))


class Senders(unittest.TestCase):
    """The scripts of events/automation, and the policies of those who send."""

    def test_a_time_that_does_not_exist_is_not_sent(self):
        for script in ("send.sh", "send.py"):
            for at, code in {
                "2026-02-28T09:00:00Z": 0,
                "2026-02-29T09:00:00Z": 2,
                "2024-02-29T23:59:59.5Z": 0,
                "2026-13-01T09:00:00Z": 2,
                "2026-11-31T09:00:00Z": 2,
                "2026-11-08T24:00:00Z": 2,
            }.items():
                with self.subTest(script, at=at):
                    command = [ROOT / "events" / "automation" / script, "--bus", "b", "--print", "--occurred-at", at, "unassign", "svc"]
                    done = subprocess.run(command, capture_output=True, text=True, check=False)
                    self.assertEqual(done.returncode, code, done.stderr)
                    self.assertEqual(f"there is no time `{at}`" in done.stderr, code == 2)

    def test_each_source_has_a_policy_that_lets_send_it_and_nothing_else(self):
        for name in ("automation", "administration"):
            policy = json.loads((ROOT / "events" / name / "sender-policy.json").read_text())
            (statement,) = policy["Statement"]
            self.assertEqual(statement["Condition"]["ForAllValues:StringEquals"], {"events:source": f"domino.{name}"})
            self.assertEqual(statement["Condition"]["Null"], {"events:source": "false"})
            self.assertEqual(statement["Action"], "events:PutEvents")


class Schemas(unittest.TestCase):
    def test_the_stack_of_the_registry_is_what_events_say(self):
        self.assertEqual(path("schemas").read_text(), json.dumps(schemas.template(), indent=2) + "\n")

    def test_every_function_and_every_event_is_in_it(self):
        resources = of_type(raw("schemas"), "AWS::EventSchemas::Schema").values()
        events = [one for one in resources if one["Type"] == "JSONSchemaDraft4"]
        self.assertEqual(len(events), len(list((ROOT / "events" / "schemas").glob("*.json"))))
        functions = of_type(TEMPLATE, "AWS::Serverless::Function").values()
        expected = {f"_{one['FunctionName']['Fn::Sub']}-schema" for one in functions}
        named = {one["SchemaName"]["Fn::Sub"] for one in resources if one["Type"] == "OpenApi3"}
        self.assertEqual(named, expected)
        for one in resources:
            self.assertIsInstance(json.loads(one["Content"]), dict)


class Partitions(unittest.TestCase):
    """The table of partitions is botocore's."""

    SOURCE = (ROOT / "functions/shared/core/src/partition.rs").read_text()
    TABLE = re.findall(r'Partition \{ name: "([^"]+)", region_prefix: "([^"]*)", domain: "([^"]+)" \}', SOURCE)

    def test_every_region_is_in_its_partition(self):
        for partition in json.loads(
            (pathlib.Path(botocore.__file__).parent / "data" / "partitions.json").read_text()
        )["partitions"]:
            for region in partition["regions"]:
                if region.endswith("-global"):
                    continue
                name, _, domain = next(one for one in self.TABLE if region.startswith(one[1]))
                self.assertEqual((name, domain), (partition["id"], partition["outputs"]["dnsSuffix"]), region)


if __name__ == "__main__":
    unittest.main()

"""Rules that no tool checks. Each takes the transformed template and answers what breaks it."""

import fnmatch
import json
import re

from template import as_list, evaluated, of_type, target

OWN_SOURCE = "domino.pod-identity"
SENDERS = {"domino.automation", "domino.administration", OWN_SOURCE}
# Not bound to a resource by AWS: traces, and network interfaces before they exist.
ANY_RESOURCE = re.compile(r"xray:Put|ec2:(Describe|AssignPrivate|UnassignPrivate|CreateNetworkInterface|DeleteNetworkInterface)")


def _statements(document):
    """Statements, those under Fn::If too."""
    for one in as_list(document["Statement"]):
        for branch in one["Fn::If"][1:] if "Fn::If" in one else [one]:
            if "Effect" in branch:
                yield branch


def _role_statements(template, role):
    properties = of_type(template, "AWS::IAM::Role")[role]
    managed = of_type(template, "AWS::IAM::ManagedPolicy")
    for policy in properties.get("Policies", []):
        yield from _statements(policy["PolicyDocument"])
    for arn in properties.get("ManagedPolicyArns", []):
        yield from _statements(managed[target(arn)]["PolicyDocument"])


def queue_policies_admit_their_rules(template):
    admitted = set()
    for policy in of_type(template, "AWS::SQS::QueuePolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Principal"] != {"Service": "events.amazonaws.com"} or statement["Action"] != "sqs:SendMessage":
                continue
            queue = target(statement["Resource"])
            rules = statement.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn", [])
            if queue in [target(one) for one in policy["Queues"]]:
                admitted |= {(target(rule), queue) for rule in as_list(rules)}
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        for one in rule["Targets"]:
            if "DeadLetterConfig" not in one:
                yield f"what rule {name} cannot deliver is lost"
            for queue in (target(one["Arn"]), target(one.get("DeadLetterConfig", {}).get("Arn"))):
                if queue in of_type(template, "AWS::SQS::Queue") and (name, queue) not in admitted:
                    yield f"{queue} does not admit rule {name}"


def senders_of_a_queue_may_send(template):
    for name, schedule in of_type(template, "AWS::Scheduler::Schedule").items():
        to = schedule["Target"]
        queues = {target(to["Arn"]), target(to["DeadLetterConfig"]["Arn"])}
        for statement in _role_statements(template, target(to["RoleArn"])):
            if "sqs:SendMessage" in as_list(statement["Action"]):
                queues -= {target(one) for one in as_list(statement["Resource"])}
        for queue in queues:
            yield f"the role of schedule {name} may not send to {queue}"


def consumers_may_take_from_their_queue(template):
    functions = of_type(template, "AWS::Lambda::Function")
    for name, mapping in of_type(template, "AWS::Lambda::EventSourceMapping").items():
        queue = target(mapping["EventSourceArn"])
        role = target(functions[target(mapping["FunctionName"])]["Role"])
        needed = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
        for statement in _role_statements(template, role):
            if queue in [target(one) for one in as_list(statement["Resource"])]:
                needed -= set(as_list(statement["Action"]))
        for action in sorted(needed):
            yield f"{role} lacks {action} on {queue} for {name}"
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name} delivers whole batches again"
        timeout = functions[target(mapping["FunctionName"])]["Timeout"]
        visibility = of_type(template, "AWS::SQS::Queue")[queue]["VisibilityTimeout"]
        least = 6 * timeout + mapping.get("MaximumBatchingWindowInSeconds", 0)
        if visibility < least:
            yield f"{queue} shows messages again after {visibility} s; six time-outs and the batching window are {least} s"


def event_sources_fit_the_reserved_concurrency(template):
    """Lambda throttles what is above it, and a throttled message comes nearer to the dead letters."""
    parameters = template["Parameters"]

    def bound(value, which):
        return int(parameters[target(value)].get(which, 0)) if target(value) else int(value)

    functions = of_type(template, "AWS::Lambda::Function")
    needed = dict.fromkeys(functions, 0)
    for name, mapping in of_type(template, "AWS::Lambda::EventSourceMapping").items():
        most = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        if most is None:
            yield f"{name} has no maximum concurrency"
            continue
        needed[target(mapping["FunctionName"])] += bound(most, "MaxValue")
    for name, function in functions.items():
        reserved = function.get("ReservedConcurrentExecutions")
        if reserved is not None and needed[name] and needed[name] > bound(reserved, "MinValue"):
            yield f"the event sources of {name} may take {needed[name]}, more than is reserved"


def each_source_has_its_own_queue(template):
    """What one sender puts does not wait behind what another one puts."""
    senders = SENDERS - {OWN_SOURCE}
    functions = {}
    for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values():
        functions[target(mapping["EventSourceArn"])] = target(mapping["FunctionName"])
    sources = {}
    for rule in of_type(template, "AWS::Events::Rule").values():
        for one in rule["Targets"]:
            sources.setdefault(target(one["Arn"]), set()).update(senders & set(rule["EventPattern"]["source"]))
    for queue, found in sources.items():
        if len(found) > 1:
            yield f"{queue} has the events of {sorted(found)}"
    delivered = {source for queue, found in sources.items() for source in found if functions.get(queue) == "AssociationFunction"}
    for source in sorted(senders - delivered):
        yield f"the association function gets no event of {source}"


def queues_end_in_standard_dead_letter_queues(template):
    queues = of_type(template, "AWS::SQS::Queue")
    for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values():
        queue = target(mapping["EventSourceArn"])
        if "RedrivePolicy" not in queues[queue]:
            yield f"{queue} has no dead-letter queue"
    for name, queue in queues.items():
        if queue.get("FifoQueue"):
            yield f"{name} is a FIFO queue, to which no rule delivers and which no dead letter reaches"


def transformers_use_what_they_define(template):
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        for one in rule["Targets"]:
            transformer = one.get("InputTransformer", {})
            used = set(re.findall(r"<([\w.-]+)>", str(transformer.get("InputTemplate", ""))))
            known = set(transformer.get("InputPathsMap", {}))
            for variable in sorted(used - known):
                if not variable.startswith("aws.events."):
                    yield f"rule {name} uses <{variable}>, which it does not define"
    context = {f"aws.scheduler.{one}" for one in ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")}
    for name, schedule in of_type(template, "AWS::Scheduler::Schedule").items():
        text = schedule["Target"]["Input"]
        json.loads(text)
        for variable in sorted(set(re.findall(r"<([\w.-]+)>", text)) - context):
            yield f"schedule {name} uses <{variable}>, which Scheduler does not know"


def dashboards_are_json_over_what_exists(template):
    for name, dashboard in of_type(template, "AWS::CloudWatch::Dashboard").items():
        text = dashboard["DashboardBody"]["Fn::Sub"]
        for variable in re.findall(r"\$\{([\w:]+)(?:\.\w+)?\}", text):
            if variable not in template["Resources"] and variable not in template["Parameters"] and not variable.startswith("AWS::"):
                yield f"{name} names {variable}, which is nothing"
        try:
            widgets = json.loads(text)["widgets"]
        except ValueError as error:
            yield f"{name} is no JSON: {error}"
            continue
        places = [(w["x"] + dx, w["y"] + dy) for w in widgets for dx in range(w["width"]) for dy in range(w["height"])]
        if len(places) != len(set(places)):
            yield f"two widgets of {name} overlap"


def denies(policy, sender, sources):
    """Whether a bus's policy denies a call of PutEvents with entries of these sources."""
    for statement in policy["Statement"]:
        if statement["Effect"] != "Deny":
            continue
        holds = True
        for operator, keys in statement.get("Condition", {}).items():
            for key, values in keys.items():
                values = as_list(values)
                if (operator, key) == ("ForAnyValue:StringEquals", "events:source"):
                    holds &= any(source in values for source in sources)
                elif (operator, key) == ("ForAnyValue:StringNotEquals", "events:source"):
                    holds &= any(source not in values for source in sources)
                elif (operator, key) == ("ArnNotLike", "aws:PrincipalArn"):
                    holds &= not any(fnmatch.fnmatchcase(sender, value) for value in values)
                else:
                    raise ValueError(f"{operator} of {key} is not judged here")
        if holds:
            return True
    return False


def bus_calls():
    """Calls of PutEvents, by sender and sources, and whether each has to be denied."""
    role = "arn:aws:iam::111122223333:role/"
    own = {f"{role}acme-eu-west-1-{name}" for name in ("association", "reconcile", "workloads", "admin")}
    speaks = {
        "domino.automation": {f"{role}senders/automation"},
        "domino.administration": {f"{role}senders/administration"},
        OWN_SOURCE: own,
    }
    strangers = {f"{role}stranger", f"{role}acme-eu-west-1-admin-read", "arn:aws:iam::111122223333:user/senders/automation"}
    for sender in strangers.union(*speaks.values()):
        for source, senders in speaks.items():
            yield sender, [source], sender not in senders
            # One entry that is not the sender's is enough.
            yield sender, [source, "aws.eks", "domino.other"], True
        yield sender, ["domino.other"], True


def the_bus_is_closed(template):
    """Each source is denied to all but its own, and every other source to everybody; in one policy of the bus."""
    for name in of_type(template, "AWS::Events::EventBusPolicy"):
        yield f"{name} is a statement of its own, which CloudFormation may lose beside others"
    bus = of_type(template, "AWS::Events::EventBus")["Bus"]
    policy = evaluated(template, bus.get("Policy", {"Statement": []}))
    arn = f"arn:aws:events:eu-west-1:111122223333:event-bus/{evaluated(template, bus['Name'])}"
    for statement in policy["Statement"]:
        if statement["Resource"] != arn:
            yield f"{statement['Sid']} is about {statement['Resource']}, and the bus is {arn}"
        opens = statement["Principal"] in ("*", {"AWS": "*"}) or not statement.get("Condition")
        if statement["Effect"] == "Allow" and opens:
            yield f"{statement['Sid']} opens the bus to everybody"
    for sender, sources, denied in bus_calls():
        if denies(policy, sender, sources) != denied:
            yield f"{sender} {'may' if denied else 'may not'} send {sources}"


def nothing_is_allowed_everywhere(template):
    documents = [(name, one["PolicyDocument"]) for name, one in of_type(template, "AWS::IAM::ManagedPolicy").items()]
    for name, role in of_type(template, "AWS::IAM::Role").items():
        documents += [(name, policy["PolicyDocument"]) for policy in role.get("Policies", [])]
    for name, document in documents:
        for statement in _statements(document):
            for action in as_list(statement["Action"]):
                if "*" in action:
                    yield f"{name} allows {action}"
                if "*" in as_list(statement["Resource"]) and not ANY_RESOURCE.match(action):
                    yield f"{name} allows {action} everywhere"


def every_role_takes_the_boundary(template):
    for name, role in of_type(template, "AWS::IAM::Role").items():
        if {"Ref": "PermissionsBoundary"} not in role.get("PermissionsBoundary", {}).get("Fn::If", []):
            yield f"{name} does not take the permissions boundary"


def what_a_region_may_lack_has_a_condition(template):
    """EventBridge Schemas, which not every region has: a resource that cannot be made rolls the whole stack back."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudFormation::Stack" and resource.get("Condition") != "HasSchemas":
            yield f"{name} is made in regions without EventBridge Schemas too"


def rights_on_the_ledger_name_partitions(template):
    tables = set(of_type(template, "AWS::DynamoDB::Table"))
    for role in of_type(template, "AWS::IAM::Role"):
        for statement in _role_statements(template, role):
            if not tables & {target(one) for one in as_list(statement["Resource"])}:
                continue
            condition = statement.get("Condition", {})
            partitions = as_list(condition.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", []))
            if not partitions or any(not re.fullmatch(r"[A-Z]+|[A-Z]+#\*", one) for one in partitions):
                yield f"{role} has partitions of the ledger that are not named: {statement['Sid']}"
            # The operator holds for a set that is empty.
            if condition.get("Null") != {"dynamodb:LeadingKeys": "false"}:
                yield f"{role} has every partition for a request without a key: {statement['Sid']}"


def the_ledger_is_kept_safe(template):
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        table = resource["Properties"]
        for what, holds in {
            "point-in-time recovery": table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"),
            "encryption": table.get("SSESpecification", {}).get("SSEEnabled"),
            "deletion protection": table.get("DeletionProtectionEnabled"),
            "expiry": table.get("TimeToLiveSpecification", {}).get("AttributeName") == "expiresAt",
            "a DeletionPolicy of Retain": resource.get("DeletionPolicy") == "Retain",
        }.items():
            if not holds:
                yield f"{name} has no {what}"


def functions_are_watched_and_logged(template):
    functions = of_type(template, "AWS::Lambda::Function")
    groups = of_type(template, "AWS::Logs::LogGroup")
    watched = set()
    for alarm in of_type(template, "AWS::CloudWatch::Alarm").values():
        for dimension in alarm["Dimensions"]:
            watched.add((alarm["MetricName"], target(dimension["Value"])))
        if not alarm.get("AlarmActions"):
            yield f"nobody hears the alarm of {alarm['MetricName']}"
    for name, function in functions.items():
        for metric in ("Errors", "Throttles"):
            if (metric, name) not in watched:
                yield f"no alarm of {metric} of {name}"
        group = groups.get(target(function["LoggingConfig"]["LogGroup"]), {})
        if "RetentionInDays" not in group:
            yield f"{name} keeps its log for ever"
        if function["TracingConfig"] != {"Mode": "Active"}:
            yield f"{name} is not traced"
    for name, queue in of_type(template, "AWS::SQS::Queue").items():
        redrive = queue.get("RedrivePolicy")
        if redrive:
            dead = target(redrive["deadLetterTargetArn"])
            if ("ApproximateNumberOfMessagesVisible", dead) not in watched:
                yield f"no alarm of dead letters in {dead}"
            if ("ApproximateAgeOfOldestMessage", name) not in watched:
                yield f"no alarm of the age of messages in {name}"


def the_dashboard_shows_every_alarm(template):
    text = of_type(template, "AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    shown = set(re.findall(r"\$\{(\w+Alarm)\.Arn\}", text))
    for name in set(of_type(template, "AWS::CloudWatch::Alarm")) - shown:
        yield f"the dashboard does not show {name}"


def alarms_and_dashboards_are_of_metrics_that_are_written(template, written):
    """`written`: the dimension beside Deployment (none where metrics count over clusters), and the metrics."""
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
        if alarm["Namespace"] == "DominoPodIdentity":
            others = [one["Name"] for one in alarm["Dimensions"] if one["Name"] != "Deployment"]
            if alarm["MetricName"] not in written.get(others[0] if others else None, []):
                yield f"{name} watches {alarm['MetricName']}, which no function writes"
    for name, dashboard in of_type(template, "AWS::CloudWatch::Dashboard").items():
        text = dashboard["DashboardBody"]["Fn::Sub"]
        for metric in re.findall(r'\["DominoPodIdentity", "(\w+)", "Deployment", "[^"]+", "Function",', text):
            if metric not in written["Function"]:
                yield f"{name} shows {metric}, which no function writes"
        for metric in re.findall(r'\bMetricName=\\"(\w+)', text):
            if metric not in written[None]:
                yield f"{name} shows {metric} by cluster, which no function writes"


def alarms_outlast_the_time_between_two_runs(template):
    """Runs write what they find; between two of them there is nothing, which is no good news."""
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
        if alarm["Namespace"] != "DominoPodIdentity" or len(alarm["Dimensions"]) > 1:
            continue
        if alarm["EvaluationPeriods"] == 1:
            if alarm["TreatMissingData"] != "ignore":
                yield f"{name} tells that all is well before the next run"
        # An hour is the longest time between two sweeps that SweepSchedule's description admits.
        elif alarm["Period"] * alarm["EvaluationPeriods"] < 3600 * alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]):
            yield f"{name} asks for more runs than an hourly schedule has in that time"


def parameters_are_explained(template):
    for name, parameter in template["Parameters"].items():
        if not parameter.get("Description"):
            yield f"{name} has no description"
        bounds = {"AllowedPattern", "AllowedValues", "MinValue"}
        if not bounds & set(parameter):
            yield f"{name} takes anything"
        if "AllowedPattern" in parameter and "ConstraintDescription" not in parameter:
            yield f"{name} does not say what it takes"


def nobody_becomes_master(template):
    if "system:" in json.dumps(template):
        yield "a group of Kubernetes itself is handed out"


ALL = [
    queue_policies_admit_their_rules,
    senders_of_a_queue_may_send,
    consumers_may_take_from_their_queue,
    event_sources_fit_the_reserved_concurrency,
    each_source_has_its_own_queue,
    queues_end_in_standard_dead_letter_queues,
    transformers_use_what_they_define,
    dashboards_are_json_over_what_exists,
    the_bus_is_closed,
    the_dashboard_shows_every_alarm,
    nothing_is_allowed_everywhere,
    every_role_takes_the_boundary,
    what_a_region_may_lack_has_a_condition,
    rights_on_the_ledger_name_partitions,
    the_ledger_is_kept_safe,
    functions_are_watched_and_logged,
    alarms_outlast_the_time_between_two_runs,
    parameters_are_explained,
    nobody_becomes_master,
]

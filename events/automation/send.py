#!/usr/bin/env python3
"""Sends service account events to the bus of domino-pod-identity. Needs Python 3.9 and boto3."""

import argparse
import csv
import json
import os
import re
import shlex
import sys
import uuid
from datetime import datetime, timezone

SOURCE = "domino.automation"
TYPES = {
    "assign": "Service Account Role Assigned",
    "unassign": "Service Account Role Unassigned",
    "deactivate": "Service Account Deactivated",
}
# PutEvents' limit.
ENTRIES_A_CALL = 10

# The function has the rules; these keep obvious slips from being sent.
LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
ROLE = (r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]+", "the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/[PATH/]NAME")
BUS = (r"[A-Za-z0-9._:/-]+", "the name or ARN of an event bus")
NAME = (r"[A-Za-z0-9._@+=-]{1,128}", "the name of a Domino service account: 1 to 128 letters, digits and ._@+=-")
NAMESPACE = (LABEL, "a Kubernetes namespace")
ACCOUNT = (rf"{LABEL}(\.{LABEL})*", "the name of a Kubernetes service account")
CLUSTER = (
    r"(arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:cluster/)?[0-9A-Za-z][A-Za-z0-9_-]*",
    "the name or ARN of an EKS cluster",
)
ID = (r'[!"$-~]{1,128}', "1 to 128 visible ASCII characters without #")
TIME = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z",
    "a time in UTC such as 2026-11-03T09:00:00.000Z",
)
REMARK = (r"(?s).{0,512}", "at most 512 characters")

COLUMNS = ["serviceAccount", "roleArn", "namespace", "kubernetesServiceAccount", "clusters", "targetRoleArn", "reason"]


class Refused(Exception):
    """Something that is not sent, and why."""


def checked(what, value, rule):
    pattern, expected = rule
    if value and not re.fullmatch(pattern, value, re.ASCII):
        raise Refused(f"{what} `{value}` is not {expected}")
    return value


def on_the_calendar(at):
    """A time of the right form that is one."""
    checked("time", at, TIME)
    try:
        datetime.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise Refused(f"there is no time `{at}`") from None
    return at


def now():
    at = datetime.now(timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def selection(clusters):
    """What detail.clusters says: a list, or all."""
    if clusters == ["all"]:
        return "all"
    return [checked("cluster", cluster, CLUSTER) for cluster in clusters]


def event(verb, name, event_id, at, role=None, namespace=None, account=None, clusters=(), target=None, actor=None, reason=None):
    """The detail of an event, without what is empty."""
    if not name or (verb == "assign" and not role):
        raise Refused("a service account, and a role to assign, have to be named")
    kubernetes = {
        "namespace": checked("namespace", namespace, NAMESPACE),
        "serviceAccount": checked("Kubernetes service account", account, ACCOUNT),
    }
    checked("service account", name, NAME)
    detail = {
        "schemaVersion": 1,
        "eventId": checked("event id", event_id, ID),
        "occurredAt": on_the_calendar(at),
        "serviceAccount": name,
        "kubernetes": {key: value for key, value in kubernetes.items() if value},
        "roleArn": checked("role", role, ROLE),
        "targetRoleArn": checked("target role", target, ROLE),
        "clusters": selection(list(clusters)),
        "actor": checked("actor", actor, REMARK),
        "reason": checked("reason", reason, REMARK),
    }
    return verb, {key: value for key, value in detail.items() if value}


def rows(path):
    """The rows of a CSV file with a header, by column."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            found = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path} cannot be read: {error}") from error
    header = reader.fieldnames or []
    unknown = [column for column in header if column not in COLUMNS]
    if unknown or not {"serviceAccount", "roleArn"} <= set(header):
        raise Refused(f"{path} has the columns {header}; serviceAccount and roleArn have to be there, and may be {COLUMNS[2:]}")
    for number, row in enumerate(found, 1):
        if None in row or None in row.values():
            raise Refused(f"{path}, row {number}: it has not as many values as the header has columns")
        yield number, {column: value.strip() for column, value in row.items()}


def events(options):
    """What was asked for: of a file a whole list."""
    event_id, at = options["event_id"], options["occurred_at"]
    if options["command"] != "assign-all":
        more = {key: options.get(key) for key in ("role", "namespace", "account", "target", "actor", "reason")}
        clusters = options.get("clusters") or []
        return [event(options["command"], options["name"], event_id, at, clusters=clusters, **more)]
    path, found = options["file"], {}
    for number, row in rows(path):
        name = row["serviceAccount"]
        if name in found:
            raise Refused(f"{path}, row {number}: {name} is there twice, and one event would overtake the other")
        try:
            found[name] = event(
                "assign",
                name,
                # Each change has an id of its own, the same when the file is sent again.
                f"{event_id}-{name}",
                at,
                role=row["roleArn"],
                namespace=row.get("namespace"),
                account=row.get("kubernetesServiceAccount"),
                clusters=row.get("clusters", "").split(),
                target=row.get("targetRoleArn"),
                actor=options["actor"],
                reason=row.get("reason") or options["reason"],
            )
        except Refused as refused:
            raise Refused(f"{path}, row {number}: {refused}") from refused
    if not found:
        raise Refused(f"{path} has no row")
    return list(found.values())


def entries(bus, found):
    compact = {"separators": (",", ":")}
    return [
        {"EventBusName": bus, "Source": SOURCE, "DetailType": TYPES[verb], "Detail": json.dumps(detail, **compact)}
        for verb, detail in found
    ]


def put(client, bus, found):
    """Sends at most ten events. Answers what EventBridge did not take, one line each."""
    answer = client.put_events(Entries=entries(bus, found))
    failures = []
    # PutEvents succeeds even when it does not take an entry.
    for (verb, detail), one in zip(found, answer["Entries"]):
        if one.get("EventId"):
            print(f"sent {named(verb, detail)} to bus {bus} as {one['EventId']}")
        else:
            failures.append(f"failed to send {named(verb, detail)}: {one.get('ErrorCode')}: {one.get('ErrorMessage')}")
    if answer["FailedEntryCount"] and not failures:
        failures.append(f"EventBridge did not take {answer['FailedEntryCount']} of {len(found)} events, and does not say which")
    return failures


def named(verb, detail):
    return f"{TYPES[verb]} of {detail['serviceAccount']}"


def send(bus, found):
    """Sends everything, ten at a time. A call that fails ends it."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return ["boto3 is missing: install it with pip"]
    failures, sent = [], 0
    try:
        # boto3 itself knows AWS_DEFAULT_REGION only.
        client = boto3.client("events", region_name=os.environ.get("AWS_REGION"))
        while sent < len(found):
            failures += put(client, bus, found[sent : sent + ENTRIES_A_CALL])
            sent += ENTRIES_A_CALL
    except (BotoCoreError, ClientError) as error:
        more = len(found) - sent - 1
        others = f" and {more} events after it" if more else ""
        failures.append(f"failed to send {named(*found[sent])}{others} to bus {bus}: {error}")
    return failures


def parser():
    # In front of the command and behind it alike: the defaults are set afterwards.
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--bus", help="name or ARN of the bus: output BusName of the deployment")
    common.add_argument("--event-id", help="id of this change, the same on every retry; a new UUID by default")
    common.add_argument("--occurred-at", help="when it was made, such as 2026-11-03T09:00:00.000Z; now by default")
    common.add_argument("--actor", help="who did it, as you claim")
    common.add_argument("--reason", help="why")
    common.add_argument("--print", dest="show", action="store_true", help="show the entries, send nothing")
    top = argparse.ArgumentParser(prog="send.py", description=__doc__, parents=[common], allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, text):
        return commands.add_parser(name, help=text, parents=[common], allow_abbrev=False)

    assign = command("assign", "a service account works as a role from now on")
    assign.add_argument("name", metavar="NAME")
    assign.add_argument("role", metavar="ROLE_ARN")
    assign.add_argument("--namespace", help="Kubernetes namespace; the deployment's first by default")
    assign.add_argument("--kubernetes-service-account", dest="account", help="by the deployment's naming rule by default")
    assign.add_argument("--clusters", nargs="+", metavar="NAME_OR_ARN", help="all registered ones by default")
    assign.add_argument("--target-role", dest="target", metavar="ARN", help="role that EKS goes on to")
    command("unassign", "it works as no role any more").add_argument("name", metavar="NAME")
    command("deactivate", "the same, because it was deactivated").add_argument("name", metavar="NAME")
    every = command("assign-all", "assigns what a CSV file lists")
    every.add_argument("file", metavar="FILE.csv", help=f"columns: {', '.join(COLUMNS)}; only the first two have to be there")
    return top


def main():
    given = vars(parser().parse_args())
    options = {key: None for key in ("bus", "event_id", "occurred_at", "actor", "reason", "show")} | given
    try:
        if not options["bus"]:
            raise Refused("--bus is missing: it is the output BusName of the deployment")
        checked("bus", options["bus"], BUS)
        options["event_id"] = options["event_id"] or str(uuid.uuid4())
        options["occurred_at"] = options["occurred_at"] or now()
        found = events(options)
    except Refused as refused:
        print(f"send.py: {refused}", file=sys.stderr)
        return 2
    if options["show"]:
        print(json.dumps(entries(options["bus"], found), separators=(",", ":")))
        return 0
    again = f"--event-id {shlex.quote(options['event_id'])} --occurred-at {options['occurred_at']}"
    failures = send(options["bus"], found)
    for failure in failures:
        print(f"send.py: {failure}", file=sys.stderr)
    if failures:
        print(f"send.py: to send the same again, repeat it with {again}", file=sys.stderr)
        return 1
    print(f"to send the same again: {again}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

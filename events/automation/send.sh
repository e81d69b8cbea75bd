#!/usr/bin/env bash
# Sends one service account event to the bus of domino-pod-identity. Needs bash and the AWS CLI, nothing else.
set -euo pipefail
# Ranges in patterns are of ASCII.
export LC_ALL=C

usage() {
    cat <<'END'
usage: send.sh --bus BUS assign NAME ROLE_ARN [--namespace N] [--kubernetes-service-account SA]
                                              [--clusters NAME_OR_ARN ...] [--target-role ARN]
       send.sh --bus BUS unassign NAME
       send.sh --bus BUS deactivate NAME

options of each, anywhere:
  --bus BUS            name or ARN of the bus: output BusName of the deployment
  --event-id ID        id of this change, the same on every retry; a new UUID by default
  --occurred-at TIME   when it was made, such as 2026-11-03T09:00:00.000Z; now by default
  --actor TEXT         who did it, as you claim
  --reason TEXT        why
  --print              show the entry, send nothing
END
}

refuse() {
    echo "send.sh: $1" >&2
    exit 2
}

# check WHAT VALUE PATTERN EXPECTED
check() {
    [[ $2 =~ $3 ]] || refuse "$1 \`$2\` is not $4"
}

# Whether a time of the right form is on the calendar. 10# because 08 would be octal.
exists() {
    local year=$((10#${1:0:4})) month=$((10#${1:5:2})) day=$((10#${1:8:2}))
    local days=(31 28 31 30 31 30 31 31 30 31 30 31)
    if ((year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))); then days[1]=29; fi
    ((month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1])) &&
        ((10#${1:11:2} <= 23 && 10#${1:14:2} <= 59 && 10#${1:17:2} <= 59))
}

# A JSON string. Only printable ASCII gets here, so that nothing else has to be escaped.
json() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "$text"
}

field() {
    if [[ -n $2 ]]; then printf ',"%s":%s' "$1" "$(json "$2")"; fi
}

new_id() {
    if [[ -r /proc/sys/kernel/random/uuid ]]; then
        cat /proc/sys/kernel/random/uuid
    elif command -v uuidgen >/dev/null; then
        uuidgen
    else
        refuse "no UUID can be made here: pass one with --event-id"
    fi
}

# To the millisecond, because times order changes.
now() {
    local at=${EPOCHREALTIME:-} fraction
    if [[ -n $at ]]; then
        fraction=${at#*[.,]}
        TZ=UTC0 printf '%(%Y-%m-%dT%H:%M:%S)T.%sZ' "${at%%[.,]*}" "${fraction:0:3}"
    else
        date -u +%Y-%m-%dT%H:%M:%S.%3NZ
    fi
}

bus='' id='' at='' actor='' reason='' print=''
namespace='' account='' target=''
clusters=() words=()
while (($#)); do
    option=$1
    shift
    case $option in
    --help | -h) usage && exit ;;
    --print) print=yes ;;
    --clusters)
        while (($#)) && [[ $1 != --* ]]; do
            clusters+=("$1")
            shift
        done
        ((${#clusters[@]})) || refuse "--clusters names no cluster"
        ;;
    --bus | --event-id | --occurred-at | --actor | --reason | --namespace | --kubernetes-service-account | --target-role)
        (($#)) || refuse "$option has no value"
        case $option in
        --bus) bus=$1 ;;
        --event-id) id=$1 ;;
        --occurred-at) at=$1 ;;
        --actor) actor=$1 ;;
        --reason) reason=$1 ;;
        --namespace) namespace=$1 ;;
        --kubernetes-service-account) account=$1 ;;
        --target-role) target=$1 ;;
        esac
        shift
        ;;
    -*) refuse "unknown option $option; --help lists them" ;;
    *) words+=("$option") ;;
    esac
done

role_pattern='^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]+$'
role_words='the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/[PATH/]NAME'
verb=${words[0]:-}
case $verb in
assign)
    ((${#words[@]} == 3)) || refuse "assign takes NAME and ROLE_ARN"
    detail_type='Service Account Role Assigned'
    check role "${words[2]}" "$role_pattern" "$role_words"
    ;;
unassign | deactivate)
    ((${#words[@]} == 2)) || refuse "$verb takes NAME alone"
    [[ -z $namespace$account$target${clusters[*]-} ]] ||
        refuse "$verb says nothing of namespaces, accounts, clusters or target roles: it is of the service account everywhere"
    detail_type='Service Account Role Unassigned'
    if [[ $verb == deactivate ]]; then detail_type='Service Account Deactivated'; fi
    ;;
'') usage >&2 && exit 2 ;;
*) refuse "unknown command $verb: it is assign, unassign or deactivate" ;;
esac
name=${words[1]}

# The function has the rules; these keep obvious slips, and whatever is no plain text, from being sent.
[[ -n $bus ]] || refuse "--bus is missing: it is the output BusName of the deployment"
check bus "$bus" '^[A-Za-z0-9._:/-]+$' "the name or ARN of an event bus"
check 'service account' "$name" '^[A-Za-z0-9._@+=-]{1,128}$' \
    "the name of a Domino service account: 1 to 128 letters, digits and ._@+=-"
label='[a-z0-9]([a-z0-9-]*[a-z0-9])?'
[[ -z $namespace ]] || check namespace "$namespace" "^$label\$" "a Kubernetes namespace"
[[ -z $account ]] || check 'Kubernetes service account' "$account" "^$label(\\.$label)*\$" \
    "the name of a Kubernetes service account"
[[ -z $target ]] || check 'target role' "$target" "$role_pattern" "$role_words"
for remark in "$actor" "$reason"; do
    check remark "$remark" '^[ -~]*$' "printable ASCII; send.py takes other characters"
    ((${#remark} <= 512)) || refuse "a remark has ${#remark} characters; at most 512 are taken"
done
[[ -n $id ]] || id=$(new_id)
check 'event id' "$id" '^[!-~]{1,128}$' "1 to 128 visible ASCII characters"
[[ $id != *'#'* ]] || refuse "event id \`$id\` has a #, which no event id may have"
[[ -n $at ]] || at=$(now)
check time "$at" '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$' \
    "a time in UTC such as 2026-11-03T09:00:00.000Z; pass one with --occurred-at"
exists "$at" || refuse "there is no time \`$at\`; pass one with --occurred-at"

detail='{"schemaVersion":1'$(field eventId "$id")$(field occurredAt "$at")$(field serviceAccount "$name")
if [[ $verb == assign ]]; then
    if [[ -n $namespace$account ]]; then
        kubernetes=$(field namespace "$namespace")$(field serviceAccount "$account")
        detail+=',"kubernetes":{'${kubernetes#,}'}'
    fi
    detail+=$(field roleArn "${words[2]}")$(field targetRoleArn "$target")
    if ((${#clusters[@]} == 1)) && [[ ${clusters[0]} == all ]]; then
        detail+=$(field clusters all)
    elif ((${#clusters[@]})); then
        list=
        for cluster in "${clusters[@]}"; do
            check cluster "$cluster" '^(arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:cluster/)?[0-9A-Za-z][A-Za-z0-9_-]*$' \
                "the name or ARN of an EKS cluster"
            list+=,$(json "$cluster")
        done
        detail+=',"clusters":['${list#,}']'
    fi
fi
detail+=$(field actor "$actor")$(field reason "$reason")'}'

entry=$(field EventBusName "$bus")$(field Source domino.automation)$(field DetailType "$detail_type")$(field Detail "$detail")
entries='[{'${entry#,}'}]'
if [[ -n $print ]]; then
    printf '%s\n' "$entries"
    exit
fi

printf -v again -- '--event-id %q --occurred-at %s' "$id" "$at"
fail() {
    echo "send.sh: failed to send $detail_type of $name to bus $bus: $1" >&2
    echo "send.sh: to send the same again, repeat it with $again" >&2
    exit 1
}

# PutEvents succeeds even when it does not take the entry.
answer=$(aws events put-events --entries "$entries" --output text \
    --query '[FailedEntryCount, Entries[0].EventId, Entries[0].ErrorCode, Entries[0].ErrorMessage]') ||
    fail "the AWS CLI ended with $?"
IFS=$'\t' read -r failed taken code message <<<"$answer"
[[ $failed == 0 ]] || fail "$code: $message"
echo "sent $detail_type of $name to bus $bus as $taken"
echo "to send the same again: $again"

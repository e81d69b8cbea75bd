//! Changes of JSON that leave it JSON.

use serde_json::{Map, Value, json};

/// Changes one value somewhere in a document, also in a document inside a string.
pub(crate) fn json(data: &[u8], seed: u32) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(data).ok()?;
    let mut dice = Dice(u64::from(seed) | 1 << 40);
    let count = nodes(&value);
    change_nth(&mut value, dice.below(count), &mut dice);
    Some(value.to_string().into_bytes())
}

/// xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).unwrap_or_default() % limit.max(1)
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

fn change_nth(value: &mut Value, nth: usize, dice: &mut Dice) {
    if nth == 0 {
        *value = changed(value.take(), dice);
        return;
    }
    let mut rest = nth - 1;
    let inner: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => return,
    };
    for one in inner {
        let count = nodes(one);
        if rest < count {
            return change_nth(one, rest, dice);
        }
        rest -= count;
    }
}

fn changed(value: Value, dice: &mut Dice) -> Value {
    if dice.below(4) == 0 {
        return other(dice);
    }
    match value {
        Value::Object(mut map) => {
            object(&mut map, dice);
            Value::Object(map)
        }
        Value::Array(mut list) => {
            let at = dice.below(list.len() + 1);
            match dice.below(3) {
                0 if !list.is_empty() => drop(list.remove(at.min(list.len() - 1))),
                1 if !list.is_empty() => list.insert(at, list[at.min(list.len() - 1)].clone()),
                _ => list.insert(at, other(dice)),
            }
            Value::Array(list)
        }
        Value::String(text) => string(text, dice),
        other => json!([other.clone(), other]),
    }
}

fn object(map: &mut Map<String, Value>, dice: &mut Dice) {
    let names: Vec<String> = map.keys().cloned().collect();
    let name = if names.is_empty() { dice.of(NAMES).to_owned() } else { dice.of(&names) };
    match dice.below(4) {
        0 => drop(map.remove(&name)),
        1 => {
            let moved = map.remove(&name).unwrap_or_default();
            map.insert(dice.of(NAMES).to_owned(), moved);
        }
        2 => drop(map.insert(dice.of(NAMES).to_owned(), other(dice))),
        _ => drop(map.insert(name, other(dice))),
    }
}

fn string(text: String, dice: &mut Dice) -> Value {
    if let Some(inner) = json(text.as_bytes(), dice.below(1 << 30) as u32) {
        return String::from_utf8_lossy(&inner).into_owned().into();
    }
    let at = text.floor_char_boundary(dice.below(text.len() + 1));
    let (head, tail) = text.split_at(at);
    let mark =
        dice.of(&["", "/", ":", "*", "#", "\u{0}", "\"", "\\", "é", "😀", "-", ".", "0", "A"]);
    match dice.below(4) {
        0 => head.to_owned(),
        1 => format!("{head}{mark}{tail}"),
        2 => text.repeat(2),
        _ => format!("{head}{mark}{}", tail.chars().skip(1).collect::<String>()),
    }
    .into()
}

const NAMES: &[&str] = &[
    "Records",
    "messageId",
    "body",
    "id",
    "source",
    "detail-type",
    "detail",
    "resources",
    "account",
    "time",
    "region",
    "version",
    "schemaVersion",
    "eventId",
    "occurredAt",
    "serviceAccount",
    "kubernetes",
    "namespace",
    "roleArn",
    "targetRoleArn",
    "disableSessionTags",
    "sessionPolicy",
    "clusters",
    "actor",
    "reason",
    "clusterArn",
    "nodeRoleArns",
    "assumeRoleArn",
    "unknown",
    "",
];

fn other(dice: &mut Dice) -> Value {
    const TEXTS: &[&str] = &[
        "",
        "all",
        "blue",
        "green",
        "amber",
        "teal",
        "violet",
        "svc-known",
        "svc-known-sa",
        "svc-good",
        "svc-warehouse",
        "svc-warehouse-sa",
        "default",
        "domino-compute",
        "domino.automation",
        "domino.administration",
        "Service Account Role Assigned",
        "Service Account Role Unassigned",
        "Service Account Deactivated",
        "Cluster Registered",
        "Cluster Retired",
        "arn:aws:iam::111122223333:role/domino/report",
        "arn:aws:iam::111122223333:role/domino/no-such",
        "arn:aws:iam::111122223333:role/domino/untrusted-legacy",
        "arn:aws:iam::444455556666:role/domino/report",
        "arn:aws:iam::444455556666:role/domino-target-train",
        "arn:aws:iam::111122223333:role/blue-eks-nodes",
        "arn:aws:iam::111122223333:role/no-such-eks-nodes",
        "arn:aws:eks:eu-west-1:111122223333:cluster/blue",
        "arn:aws:eks:eu-west-1:111122223333:cluster/teal",
        "arn:aws:eks:eu-west-1:444455556666:cluster/blue",
        "2026-11-03T09:00:00.000Z",
        "2026-11-03T09:00:00.000+00:00",
        "2026-09-03T09:00:00Z",
        "2026-10-01T00:00:00Z",
        "2026-11-20T12:00:00Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-12-31T23:59:60Z",
        "{\"Version\":\"2012-10-17\",\"Statement\":[]}",
        "good",
        "preparation-of-29",
    ];
    match dice.below(10) {
        0 => Value::Null,
        1 => json!(dice.below(2) == 0),
        2 => dice.of(&[
            json!(0),
            json!(1),
            json!(2),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(u64::MAX),
        ]),
        3 => json!([]),
        4 => json!({}),
        5 => (0..dice.below(100)).fold(json!(0), |inner, _| json!([inner])),
        _ => json!(dice.of(TEXTS)),
    }
}

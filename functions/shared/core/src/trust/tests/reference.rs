//! A slow and obvious evaluation: IAM's two-valued rules, by the book, in every world.
//!
//! A world says how everything turns out that nobody knows beforehand: the values of
//! unknown keys, whether `*` covers a service, what a variable becomes, what an
//! operator means that IAM's pages leave open. Shares no code with the evaluation.

use std::collections::BTreeMap;

use serde_json::Value;

/// One way in which the unknown can turn out; made up as the evaluation asks.
#[derive(Default)]
pub(super) struct World {
    /// What was chosen, of how many.
    path: Vec<(usize, usize)>,
    chosen: BTreeMap<String, usize>,
}

impl World {
    fn choose(&mut self, about: String, of: usize) -> usize {
        if let Some(&choice) = self.chosen.get(&about) {
            return choice;
        }
        let at = self.chosen.len();
        if at == self.path.len() {
            self.path.push((0, of));
        }
        let choice = self.path[at].0;
        self.chosen.insert(about, choice);
        choice
    }

    fn toss(&mut self, about: String) -> bool {
        self.choose(about, 2) == 1
    }

    fn next(mut self) -> Option<Self> {
        while let Some((choice, of)) = self.path.pop() {
            if choice + 1 < of {
                self.path.push((choice + 1, of));
                return Some(Self { path: self.path, chosen: BTreeMap::new() });
            }
        }
        None
    }
}

/// What all worlds say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Worlds {
    pub(super) allowed_in_some: bool,
    pub(super) refused_in_some: bool,
    /// Whether anything unknown was met.
    pub(super) unknown_met: bool,
}

/// Looks into at most so many worlds; fewer make the reference weaker, not wrong.
const MOST_WORLDS: usize = 3_000;

pub(super) fn in_all_worlds(document: &Value, session_tags: bool) -> Worlds {
    let mut all = Worlds { allowed_in_some: false, refused_in_some: false, unknown_met: false };
    let mut next = Some(World::default());
    for _ in 0..MOST_WORLDS {
        let Some(mut world) = next else { break };
        if allowed(document, session_tags, &mut world) {
            all.allowed_in_some = true;
        } else {
            all.refused_in_some = true;
        }
        all.unknown_met |= !world.chosen.is_empty();
        if all.allowed_in_some && all.refused_in_some {
            break;
        }
        next = world.next();
    }
    all
}

fn allowed(document: &Value, session_tags: bool, world: &mut World) -> bool {
    let actions: &[&str] =
        if session_tags { &["sts:AssumeRole", "sts:TagSession"] } else { &["sts:AssumeRole"] };
    let statements = list(&document["Statement"]);
    actions.iter().all(|action| {
        let mut applying = |effect: &str| {
            statements.iter().enumerate().any(|(number, statement)| {
                statement["Effect"] == effect
                    && applies(document, number, statement, action, session_tags, world)
            })
        };
        !applying("Deny") && applying("Allow")
    })
}

fn applies(
    document: &Value,
    number: usize,
    statement: &Value,
    action: &str,
    session_tags: bool,
    world: &mut World,
) -> bool {
    principal_matches(number, statement, world)
        && action_matches(number, statement, action, world)
        && pairs(&statement["Condition"]).iter().all(|(operator, keys)| {
            pairs(keys).iter().all(|(key, values)| {
                let variables = document["Version"] == "2012-10-17";
                let condition = PolicyCondition {
                    operator,
                    key,
                    values: list(values).iter().map(text).collect(),
                    variables,
                };
                condition.holds(number, session_tags, world)
            })
        })
}

fn principal_matches(number: usize, statement: &Value, world: &mut World) -> bool {
    let Some(principal) = statement.get("Principal") else {
        return world.toss(format!("NotPrincipal of {number}"));
    };
    let everyone = principal == "*"
        || pairs(principal).iter().any(|(_, names)| list(names).iter().any(|name| name == "*"));
    list(&principal["Service"]).iter().any(|name| name == "pods.eks.amazonaws.com")
        || (everyone && world.toss(format!("* of {number}")))
}

fn action_matches(number: usize, statement: &Value, action: &str, world: &mut World) -> bool {
    match statement.get("Action") {
        None => world.toss(format!("NotAction of {number} and {action}")),
        Some(actions) => list(actions)
            .iter()
            .any(|name| like(&text(name).to_lowercase(), &action.to_lowercase())),
    }
}

enum Context {
    Absent,
    One(String),
    Many(Vec<String>),
}

/// Values that any unknown key may have.
const CANDIDATES: [&str; 5] = ["o-1", "o-2", "run-abc", "true", "something else"];

fn context(key: &str, session_tags: bool, world: &mut World) -> Context {
    let key = key.to_lowercase();
    let one = |value: &str| Context::One(value.to_owned());
    let tag = |value: &str| if session_tags { one(value) } else { Context::Absent };
    let tags = "eks-cluster-arn eks-cluster-name kubernetes-namespace kubernetes-service-account \
                kubernetes-pod-name kubernetes-pod-uid";
    match key.as_str() {
        "aws:sourcearn" => one("arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        "aws:sourceaccount" => one("111122223333"),
        "aws:principalisawsservice" => one("true"),
        "aws:principalservicename" => one("pods.eks.amazonaws.com"),
        "aws:tagkeys" | "sts:transitivetagkeys" if session_tags => {
            Context::Many(tags.split_whitespace().map(str::to_owned).collect())
        }
        "aws:tagkeys" | "sts:transitivetagkeys" | "sts:externalid" => Context::Absent,
        "aws:requesttag/eks-cluster-arn" => tag("arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        "aws:requesttag/eks-cluster-name" => tag("blue"),
        "aws:requesttag/kubernetes-namespace" => tag("domino-compute"),
        "aws:requesttag/kubernetes-service-account" => tag("svc-etl-sa"),
        "aws:requesttag/kubernetes-pod-name" | "aws:requesttag/kubernetes-pod-uid" => {
            if !session_tags {
                return Context::Absent;
            }
            let choice = world.choose(format!("value of {key}"), CANDIDATES.len());
            one(CANDIDATES[choice])
        }
        _ if key.starts_with("aws:requesttag/") || key.starts_with("aws:principaltag/") => {
            Context::Absent
        }
        _ => match world.choose(format!("value of {key}"), CANDIDATES.len() + 2) {
            0 => Context::Absent,
            1 => Context::Many(vec!["o-1".to_owned(), "something else".to_owned()]),
            choice => one(CANDIDATES[choice - 2]),
        },
    }
}

struct PolicyCondition<'a> {
    operator: &'a str,
    key: &'a str,
    values: Vec<String>,
    variables: bool,
}

impl PolicyCondition<'_> {
    fn holds(&self, number: usize, session_tags: bool, world: &mut World) -> bool {
        let name = format!("{} on {} of {number}", self.operator, self.key);
        let Some((set, base, if_exists)) = self.parts() else {
            return world.toss(name);
        };
        let mut values: Vec<Option<String>> = Vec::new();
        for value in &self.values {
            values.push(match value.split_once("${") {
                Some((before, rest)) if self.variables => {
                    let after = rest.split_once('}').map_or("", |(_, after)| after);
                    let becomes = ["", "domino-compute", "compute", "blue", "*"];
                    match world.choose(format!("variable in {value}"), becomes.len() + 2) {
                        // Unresolved, it may make the whole statement invalid.
                        0 => return false,
                        // Or it is nothing that any value equals.
                        1 => None,
                        choice => Some(format!("{before}{}{after}", becomes[choice - 2])),
                    }
                }
                _ => Some(value.clone()),
            });
        }
        let context = context(self.key, session_tags, world);
        if base == "Null" {
            let absent = matches!(context, Context::Absent).to_string();
            return values.contains(&Some(absent));
        }
        let negated = base.contains("Not");
        let mut one = |found: &String| {
            let fits = values.iter().flatten().any(|wanted| fits(&base, found, wanted, world));
            fits != negated
        };
        match (context, set) {
            (Context::One(found), _) => one(&found),
            (Context::Many(found), "ForAllValues") => found.iter().all(one),
            (Context::Many(found), "ForAnyValue") => found.iter().any(one),
            // Not to be used on lists; nobody says what comes of it.
            (Context::Many(_), _) => world.toss(name),
            (Context::Absent, "ForAllValues") => true,
            (Context::Absent, "ForAnyValue") if if_exists => world.toss(name),
            (Context::Absent, "ForAnyValue") => false,
            (Context::Absent, _) => if_exists || negated,
        }
    }

    /// Set operator, operator, and whether it has IfExists; None for what is not in the book.
    fn parts(&self) -> Option<(&str, String, bool)> {
        let (set, name) = self.operator.split_once(':').unwrap_or(("", self.operator));
        let base = name.replace("IfExists", "");
        let if_exists = base != name;
        let book = "StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase \
                    StringLike StringNotLike ArnEquals ArnNotEquals ArnLike ArnNotLike Bool";
        let known = base == "Null" && set.is_empty() && !if_exists
            || book.split_whitespace().any(|operator| operator == base)
                && ["", "ForAllValues", "ForAnyValue"].contains(&set);
        known.then_some((set, base, if_exists))
    }
}

fn fits(base: &str, found: &str, wanted: &str, world: &mut World) -> bool {
    let undefined = format!("{base} of {wanted} and {found}");
    match base.replace("Not", "").as_str() {
        "StringEquals" => found == wanted,
        "StringEqualsIgnoreCase" => found.to_lowercase() == wanted.to_lowercase(),
        "StringLike" => like(wanted, found),
        "ArnEquals" | "ArnLike" => {
            let (wanted, found) = (arn(wanted), arn(found));
            if wanted.len() != 6 || found.len() != 6 {
                return world.toss(undefined);
            }
            (0..6).all(|part| like(wanted[part], found[part]))
        }
        _ => {
            let truth = ["true", "false"];
            if !truth.contains(&wanted) || !truth.contains(&found) {
                return world.toss(undefined);
            }
            wanted == found
        }
    }
}

fn arn(text: &str) -> Vec<&str> {
    text.splitn(6, ':').collect()
}

fn like(pattern: &str, text: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            text.char_indices().any(|(at, _)| like(rest, &text[at..])) || like(rest, "")
        }
        Some(letter) => {
            let mut others = text.chars();
            others.next().is_some_and(|other| letter == '?' || letter == other)
                && like(letters.as_str(), others.as_str())
        }
    }
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn pairs(value: &Value) -> Vec<(String, Value)> {
    let object = value.as_object().cloned().unwrap_or_default();
    object.into_iter().collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

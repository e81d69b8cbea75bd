//! AWS calls of each case, over the real function, the SDK and TLS.

use std::collections::BTreeSet;

use local::{Program, table};
use pod_identity_world::Call;
use serde_json::Value;

use crate::Failure;
use crate::figures::by_operation;
use crate::rig::{Rig, Trusted};

const CASES: [&str; 4] = ["new role", "listed role", "duplicate", "100 bindings, 40 roles"];

/// The most calls of each case. The batch: two a binding and sixty.
const GOALS: [usize; 4] = [10, 8, 3, 260];

pub(crate) async fn run() -> Result<String, Failure> {
    let trusted = Trusted::make("calls", "")?;
    let mut rig = Rig::start(Program::myself("association")?, &trusted).await?;
    rig.settle().await?;

    let new = rig.assigned("svc-new", 1);
    let listed = rig.assigned("svc-listed", 1);
    let batch: Vec<Value> =
        (0..100).map(|n| rig.assigned(&format!("svc-{n}"), 2 + n % 40)).collect();
    let mut cases: [Vec<Call>; 4] = Default::default();
    let batches = [vec![new.clone()], vec![listed], vec![new], batch];
    for (case, events) in cases.iter_mut().zip(batches) {
        let before = rig.wire.log().len();
        rig.deliver(&events).await?;
        *case = rig.wire.log().split_off(before);
    }

    let row = |name: &str, cells: [String; 4]| {
        let [a, b, c, d] = cells;
        [name.to_owned(), a, b, c, d]
    };
    let counts = by_operation(cases.each_ref().map(Vec::as_slice));
    let mut rows: Vec<[String; 5]> =
        counts.into_iter().map(|(operation, cells)| row(&operation, cells)).collect();
    let totals: Vec<usize> = cases.iter().map(Vec::len).collect();
    let judged = |case: usize| {
        let verdict = if totals[case] <= GOALS[case] { "ok" } else { "OVER" };
        format!("{} {verdict}", totals[case])
    };
    rows.push(row("all", [0, 1, 2, 3].map(judged)));
    rows.push(row("goal, at most", GOALS.map(|goal| goal.to_string())));

    let headings = ["operation", CASES[0], CASES[1], CASES[2], CASES[3]];
    let (versions, policies) = policy_versions(&cases[3]);
    let verdict = if versions == policies { "ok" } else { "OVER" };
    Ok(format!(
        "AWS calls of each case, attempts of the SDK included\n{}\n\
         Versions that the batch wrote, for each touched policy: {versions} for {policies}, {verdict}\n",
        table(headings, &rows)
    ))
}

/// Policy versions that were written, and policies that they belong to.
fn policy_versions(calls: &[Call]) -> (usize, usize) {
    let writes = ["CreatePolicy", "CreatePolicyVersion"];
    let written: Vec<&str> = calls
        .iter()
        .filter(|call| writes.contains(&call.operation.as_str()))
        .map(|call| call.object.as_str())
        .collect();
    (written.len(), written.iter().collect::<BTreeSet<_>>().len())
}

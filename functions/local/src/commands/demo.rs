//! `cargo run`: the samples through the function, and what came of them.

use std::time::Instant;

use pod_identity_core::{ClusterArn, DEPLOYMENT_TAG};
use pod_identity_events::detail_type;
use pod_identity_world::{Caller, UpdateAssociation};
use serde_json::json;

use super::{CommandError, ask, last_words, play, pods, say, stage, story};
use crate::child::Log;
use crate::scene::{ACCOUNT, CLUSTERS, REGION};
use crate::show;
use crate::stage::Stage;

/// Answers whether everything went as expected.
pub(super) async fn run(log: Log) -> Result<bool, CommandError> {
    let begun = Instant::now();
    let mut stage = stage(log).await?;
    say(&format!(
        "AWS account {ACCOUNT} in {REGION}, embedded, at {}\n\
         EKS clusters {}; functions association, reconcile and workloads, each run by lambda_runtime in a process of its own\n",
        stage.wire().endpoint(),
        CLUSTERS.join(", "),
    ));
    let mut problems = Vec::new();
    let batches = story()?;
    let total = batches.len();
    for (index, batch) in batches.iter().enumerate() {
        let from = Instant::now();
        say(&format!("Batch {} of {total}, {} events", index + 1, batch.len()));
        problems.extend(play(&mut stage, batch).await);
        say(&format!("  ({} ms)\n", from.elapsed().as_millis()));
        if !stage.queue().dead_letters().is_empty() {
            break;
        }
    }
    say("Somebody gives an association on blue another role");
    problems.extend(drift(&mut stage).await);
    say("");
    problems.extend(pods::play(&mut stage).await);
    say("");
    tables(&stage).await?;
    if problems.is_empty() {
        say(&format!("As expected, in {:.1} s.", begun.elapsed().as_secs_f64()));
        return Ok(true);
    }
    say(&format!("Not as expected:\n  {}\n", problems.join("\n  ")));
    say(&last_words(&stage));
    Ok(false)
}

/// Changes an association by hand and lets the reconcile function look at its cluster; answers
/// what should not have happened.
async fn drift(stage: &mut Stage) -> Vec<String> {
    let Some((cluster, id, role)) = change_by_hand(stage) else {
        return vec!["no association on blue could be changed by hand".to_owned()];
    };
    let (said, problem) = ask(stage.reconcile(), &json!({ "clusterArn": cluster })).await;
    say(&format!("  {said}"));
    let mut published = false;
    for event in stage.new_events() {
        published |= event.detail_type == detail_type::DRIFT_CORRECTED;
        say(&format!("  {}", show::outcome(&event).join("\n  ")));
    }
    let back = stage
        .world()
        .eks
        .associations(&cluster)
        .iter()
        .any(|one| one.id == id && one.role_arn == role);
    let wrong = (!(published && back))
        .then(|| format!("association {id} on blue was not given role {role} back"));
    problem.into_iter().chain(wrong).collect()
}

/// Gives one of our associations on blue another role; answers which, and the role before.
fn change_by_hand(stage: &Stage) -> Option<(ClusterArn, String, String)> {
    let mut world = stage.world();
    let blue = ClusterArn::new("aws", REGION, ACCOUNT, "blue").ok()?;
    let ours = |one: &&pod_identity_core::Association| one.tags.contains_key(DEPLOYMENT_TAG);
    let found = world.eks.associations(&blue).into_iter().find(ours)?.clone();
    let other = format!("arn:aws:iam::{ACCOUNT}:role/domino/new");
    let hand = Caller {
        name: "by-hand".to_owned(),
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    let update = UpdateAssociation {
        cluster: "blue".to_owned(),
        association_id: found.id.clone(),
        role_arn: Some(other),
        ..UpdateAssociation::default()
    };
    world.update_pod_identity_association(&hand, &update).ok()?;
    Some((blue, found.id, found.role_arn))
}

async fn tables(stage: &Stage) -> Result<(), CommandError> {
    let items = stage.ledger().await.map_err(CommandError::Ledger)?;
    say(&show::ledger(&items));
    let world = stage.world();
    say(&format!("{}\n{}", show::aws(&world), show::calls(&world, "association")));
    Ok(())
}

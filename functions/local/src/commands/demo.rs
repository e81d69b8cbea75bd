//! `cargo run`: the samples through the function, and what came of them.

use std::time::Instant;

use super::{CommandError, last_words, play, say, stage, story};
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
         EKS clusters {}; function association, run by lambda_runtime in a process of its own\n",
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
    tables(&stage).await?;
    if problems.is_empty() {
        say(&format!("As expected, in {:.1} s.", begun.elapsed().as_secs_f64()));
        return Ok(true);
    }
    say(&format!("Not as expected:\n  {}\n", problems.join("\n  ")));
    say(&last_words(&stage));
    Ok(false)
}

async fn tables(stage: &Stage) -> Result<(), CommandError> {
    let items = stage.ledger().await.map_err(CommandError::Ledger)?;
    say(&show::ledger(&items));
    let world = stage.world();
    say(&format!("{}\n{}", show::aws(&world), show::calls(&world, "association")));
    Ok(())
}

#![allow(clippy::unwrap_used)]

use super::*;
use crate::answer;

fn verdicts(count: usize, why: &str) -> BTreeMap<DominoName, MigrationVerdict> {
    let one = |at| {
        let verdict = match at % 2 {
            0 => MigrationVerdict::Ready,
            _ => MigrationVerdict::Breaks(Reason::new(why, "mend it")),
        };
        (format!("svc-{at:04}").parse().unwrap(), verdict)
    };
    (0..count).map(one).collect()
}

#[test]
fn a_verdict_has_its_words_unless_it_is_ready() {
    let (all, left_out) = verdicts_data(&verdicts(2, "it is so"), MOST_BYTES);
    assert_eq!(left_out, 0);
    let breaks = json!({
        "serviceAccount": "svc-0001", "verdict": "willBreak", "reason": "it is so",
        "remediation": "mend it",
    });
    assert_eq!(all, [json!({ "serviceAccount": "svc-0000", "verdict": "ready" }), breaks]);
}

#[test]
fn every_verdict_of_a_full_cluster_fits_an_answer() {
    let (all, left_out) = verdicts_data(&verdicts(5_000, &"x".repeat(2_000)), MOST_BYTES);
    assert_eq!(all.len(), 5_000);
    assert!((1..2_500).contains(&left_out), "{left_out}");
    let with_words = all.iter().filter(|one| one["reason"].is_string()).count();
    assert_eq!(with_words, 2_500 - left_out);
    // The rest is for what others have on the cluster, and for the text.
    assert!(json!(all).to_string().len() < answer::MOST_BYTES / 2);
}

#[test]
fn a_table_that_is_cut_says_how_much_is_left() {
    let row = |at: usize| [at.to_string()];
    assert_eq!(rows(&["n"], (0..0).map(row)), "");
    assert!(rows(&["n"], (0..ROWS).map(row)).ends_with("199\n"));
    let cut = rows(&["n"], (0..ROWS + 3).map(row));
    assert!(cut.ends_with("199\nand 3 more, see the data of this answer\n"), "{cut}");
}

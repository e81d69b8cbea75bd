//! Histories that once broke an invariant. Each file is named after its seed and the bug.
#![allow(clippy::unwrap_used, clippy::panic)]

use simulation::history::History;
use simulation::play;

#[test]
fn no_bug_that_was_found_comes_back() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/found");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let history: History = serde_json::from_str(&text).unwrap();
        if let Err(violation) = play(&history) {
            panic!("{}: {violation}", file.display());
        }
    }
}

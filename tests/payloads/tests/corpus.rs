//! The kept corpus of the fuzzer and every sample event, without the fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use payloads::{judge, judge_text};
use pod_identity_events::samples;

#[test]
fn kept_corpus_meets_every_demand() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/handler");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        println!("{}", path.display());
        judge(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 20, "{count} files");
}

#[test]
fn samples_cut_off_anywhere_meet_every_demand() {
    for sample in samples::accepted().iter().chain(samples::rejected()) {
        judge(sample.json.as_bytes());
        // Long ones are long by one string.
        let text = &sample.json[..sample.json.len().min(1_000)];
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)).step_by(53) {
            judge_text(&text[..end]);
        }
    }
}

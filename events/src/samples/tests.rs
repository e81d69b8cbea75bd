#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

fn assert_listed(folder: &str, extension: &str, samples: &[Sample]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(folder);
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let listed: BTreeSet<String> = samples.iter().map(|sample| sample.name.to_owned()).collect();
    assert_eq!(listed, files);
}

#[test]
fn every_file_is_listed() {
    assert_listed("accepted", "json", accepted());
    assert_listed("rejected", "json", rejected());
    assert_listed("rejected", "txt", rejected());
    assert_listed("outgoing", "json", outgoing());
    assert_listed("trail", "json", trail());
}

#[test]
fn accepted_samples_are_in_the_order_of_their_numbers() {
    assert!(accepted().is_sorted_by_key(|sample| sample.name));
}

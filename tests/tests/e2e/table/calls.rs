//! The table covers every operation that the functions can make.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{faultless, flow};

/// What the AWS crate can ask, but neither function ever does here: no flow has Domino as a source.
const OF_OTHER_FUNCTIONS: [&str; 2] = ["DescribeAddon", "GetSecretValue"];

/// Every operation of the SDK that the AWS crate calls, by its source: what
/// stands between a client and `.send()`. The SDK assumes roles by itself.
fn operations() -> BTreeSet<String> {
    let mut files = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/shared/aws/src");
    sources(&folder, &mut files);
    let mut found = BTreeSet::from(["AssumeRole".to_owned()]);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text: String = text.split_whitespace().collect();
        let mut sends = text.matches(".send()").count();
        for client in [
            ".eks(access).await.",
            ".iam(access).await.",
            ".dynamodb().await.",
            ".eventbridge().await.",
            ".secrets().await.",
        ] {
            for (at, _) in text.match_indices(client) {
                let rest = &text[at + client.len()..];
                let (operation, _) = rest.split_once('(').unwrap();
                found.insert(pascal(operation));
                sends = sends.checked_sub(1).unwrap_or_else(|| panic!("{}", file.display()));
            }
        }
        assert_eq!(sends, 0, "{} makes calls in a way that this test does not see", file.display());
    }
    found
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            files.push(path);
        }
    }
}

fn pascal(name: &str) -> String {
    let upper = |word: &str| format!("{}{}", word[..1].to_uppercase(), &word[1..]);
    name.split('_').map(upper).collect()
}

#[tokio::test]
async fn flows_make_every_call_that_the_function_can_make() {
    let mut seen = BTreeSet::new();
    for mut flow in flow::all() {
        seen.extend(faultless(&mut flow).await.calls.into_iter().map(|(operation, _)| operation));
    }
    let mut operations = operations();
    assert!(operations.len() > 20, "{operations:?}");
    for operation in OF_OTHER_FUNCTIONS {
        assert!(operations.remove(operation), "nothing calls {operation}");
    }
    assert_eq!(seen, operations);
}

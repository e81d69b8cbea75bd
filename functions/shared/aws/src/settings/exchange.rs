//! The bucket over which the admin function exchanges files.

use std::net::Ipv4Addr;

use super::read::Variables;

/// What S3 keeps for aliases, directory buckets and examples.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
const PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl<G: Fn(&str) -> Option<String>> Variables<G> {
    /// The bucket; none when no files are exchanged.
    pub(super) fn exchange_bucket(&mut self) -> Option<String> {
        let name = self.text(
            "EXCHANGE_BUCKET",
            "",
            "the name of a general purpose bucket of S3 (no ARN, no alias): 3 to 63 lower case letters, digits, `-` and `.`, with a letter or digit at both ends",
            is_bucket,
        );
        (!name.is_empty()).then_some(name)
    }
}

fn is_bucket(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    (3..=63).contains(&text.len())
        && text.bytes().all(|b| is_plain(b) || b"-.".contains(&b))
        && ends.iter().all(|end| end.is_some_and(is_plain))
        && !text.contains("..")
        && text.parse::<Ipv4Addr>().is_err()
        && !PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        && !SUFFIXES.iter().any(|suffix| text.ends_with(suffix))
}

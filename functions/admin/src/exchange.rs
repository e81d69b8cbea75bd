//! Files of bindings in S3, when they are not in the payload.

use pod_identity_core::sha256;
use pod_identity_engine::chain;
use pod_identity_engine::ports::{Clock, KubernetesReader, ObjectPlace, ObjectReader};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::desk::{Desk, Looks};
use crate::request::Mode;

/// Most bytes of a key: S3's limit.
const MAX_KEY_BYTES: usize = 1024;

/// The one bucket that files are exchanged over, and what reads them.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Reads files. What writes them is made in mode apply alone.
    pub reader: &'a dyn ObjectReader,
}

impl std::fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// A file, as a request names it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Location {
    bucket: Option<String>,
    key: String,
}

impl Location {
    /// Where it is, and what reads it, if it is in reach.
    pub(crate) fn reach<'a>(
        &self,
        exchange: Option<Exchange<'a>>,
    ) -> Result<(ObjectPlace, &'a dyn ObjectReader), String> {
        let Self { bucket, key } = self;
        let Some(Exchange { bucket: ours, reader }) = exchange else {
            return Err(format!(
                "s3://{}/{key}: this deployment exchanges no files over S3; set the parameter ExchangeBucket (EXCHANGE_BUCKET of the function), or give the rows in the payload and take them from the answer",
                bucket.as_deref().unwrap_or("(no bucket)")
            ));
        };
        if let Some(bucket) = bucket.as_ref().filter(|bucket| *bucket != ours) {
            return Err(format!(
                "s3://{bucket}/{key}: bucket {bucket} is not the one that files are exchanged over, which is {ours}; leave bucket out"
            ));
        }
        if !(1..=MAX_KEY_BYTES).contains(&key.len()) {
            return Err(format!(
                "a key in bucket {ours} has 1 to {MAX_KEY_BYTES} bytes, and this one has {}",
                key.len()
            ));
        }
        Ok((ObjectPlace { bucket: ours.to_owned(), key: key.clone() }, reader))
    }
}

/// A file that is to be read, and the digest of what a plan has shown of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Pinned {
    bucket: Option<String>,
    key: String,
    sha256: Option<String>,
}

/// A file as it was read.
pub(crate) struct File {
    pub(crate) place: ObjectPlace,
    /// SHA-256 of its bytes, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) text: String,
}

impl File {
    /// What was read.
    pub(crate) fn words(&self) -> String {
        let Self { place, sha256, text: _ } = self;
        format!("\n{place} has the SHA-256 {sha256}; mode apply takes this file and no other.\n")
    }

    /// How exactly that is asked for again.
    pub(crate) fn pin(&self) -> Value {
        json!({ "key": self.place.key, "sha256": self.sha256 })
    }
}

/// Reads a file. Whoever may write the bucket could change it after the plan: mode apply takes it
/// only with the digest that the plan told.
pub(crate) async fn read(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    mode: Mode,
    Pinned { bucket, key, sha256: planned }: Pinned,
) -> Result<File, String> {
    let (place, reader) = Location { bucket, key }.reach(desk.exchange)?;
    if mode == Mode::Apply && planned.is_none() {
        return Err(format!(
            "{place}: mode apply takes a file only as a plan has shown it, and `from` has no sha256; plan again (mode plan), and send the `apply` that its answer tells"
        ));
    }
    desk.hurry()?;
    let bytes = reader.get_object(&place).await.map_err(|error| chain(&error))?;
    let found = sha256(&bytes);
    if let Some(planned) = planned.filter(|planned| !planned.eq_ignore_ascii_case(&found)) {
        return Err(format!(
            "{place} is not the file that was planned: it has the SHA-256 {found}, and {planned} was asked for; plan again (mode plan) without sha256, look at what is new, and send the `apply` that its answer tells"
        ));
    }
    let text =
        String::from_utf8(bytes).map_err(|error| format!("{place} is not UTF-8: {error}"))?;
    Ok(File { place, sha256: found, text })
}

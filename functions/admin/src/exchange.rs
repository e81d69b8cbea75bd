//! Files of bindings in S3, when they are not in the payload.

use pod_identity_engine::chain;
use pod_identity_engine::ports::{Clock, KubernetesReader, ObjectPlace, ObjectReader};
use serde::Deserialize;

use crate::desk::{Desk, Looks};

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
    pub(crate) key: String,
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

/// The text of a file.
pub(crate) async fn read(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    location: &Location,
) -> Result<String, String> {
    let (place, reader) = location.reach(desk.exchange)?;
    desk.hurry()?;
    let bytes = reader.get_object(&place).await.map_err(|error| chain(&error))?;
    String::from_utf8(bytes).map_err(|error| format!("{place} is not UTF-8: {error}"))
}

//! Files in a store of objects, such as S3.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::PortError;

/// Most bytes of a file that is read. Its rows take several times as much in a function's memory.
pub const MAX_OBJECT_BYTES: usize = 8 * 1024 * 1024;

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPlace {
    /// The bucket.
    pub bucket: String,
    /// The key in it.
    pub key: String,
}

impl fmt::Display for ObjectPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// What [`ObjectReader`] answers with.
pub type ObjectAnswer<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, PortError>> + 'a>>;

/// Reads files.
///
/// It can be used as a `dyn`, as [`super::DominoReader`]: few deployments have such a store.
pub trait ObjectReader {
    /// A file as a whole.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Passing`, and `Invalid` for one of more than [`MAX_OBJECT_BYTES`].
    fn get_object<'a>(&'a self, place: &'a ObjectPlace) -> ObjectAnswer<'a>;
}

/// Writes files.
pub trait ObjectWriter {
    /// Writes a file, over one that is there.
    ///
    /// # Errors
    /// `NotFound` where there is no such bucket, `Denied`, `Passing`.
    async fn put_object(
        &self,
        place: &ObjectPlace,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<(), PortError>;
}

//! Where files of bindings are fetched from and put to, when they are not in the payload.

use std::pin::Pin;

/// A call under way. Boxed, so that whoever holds the port need not be generic over it.
pub type Fetching<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// A store of files, such as S3. Errors are in words, with the way out.
pub trait Objects: std::fmt::Debug {
    /// Reads a file.
    fn get<'a>(&'a self, bucket: &'a str, key: &'a str) -> Fetching<'a, Vec<u8>>;

    /// Writes a file, over one that is there.
    fn put<'a>(&'a self, bucket: &'a str, key: &'a str, body: Vec<u8>) -> Fetching<'a, ()>;
}

/// There is none.
#[derive(Debug, Clone, Copy)]
pub struct NoObjects;

impl NoObjects {
    fn refused<'a, T: 'a>(bucket: &str, key: &str) -> Fetching<'a, T> {
        let why = format!(
            "s3://{bucket}/{key}: files in S3 are not supported yet; give the rows in the payload, and take them from the answer"
        );
        Box::pin(std::future::ready(Err(why)))
    }
}

impl Objects for NoObjects {
    fn get<'a>(&'a self, bucket: &'a str, key: &'a str) -> Fetching<'a, Vec<u8>> {
        Self::refused(bucket, key)
    }

    fn put<'a>(&'a self, bucket: &'a str, key: &'a str, _: Vec<u8>) -> Fetching<'a, ()> {
        Self::refused(bucket, key)
    }
}

//! Amazon S3, as far as files go that are written and read as a whole.

use std::collections::BTreeMap;

use crate::error::AwsError;
use crate::world::World;

/// Most bytes of a key.
const MAX_KEY_BYTES: usize = 1024;

/// The buckets, and the files in them by their keys.
#[derive(Debug, Clone, Default)]
pub struct S3 {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it was said to be.
    pub content_type: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl S3 {
    /// Makes a bucket, unless it is there.
    pub fn add_bucket(&mut self, name: &str) {
        self.buckets.entry(name.to_owned()).or_default();
    }

    /// A file, if it is there.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<&Object> {
        self.buckets.get(bucket)?.get(key)
    }
}

impl World {
    /// `GetObject`, by a caller who may list the bucket: to any other a file that is not there is
    /// `AccessDenied`.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    pub fn get_object(&self, bucket: &str, key: &str) -> Result<Object, AwsError> {
        let files = self.s3.buckets.get(bucket).ok_or_else(no_such_bucket)?;
        let found = files.get(key).cloned();
        found.ok_or_else(|| AwsError::new(404, "NoSuchKey", "The specified key does not exist."))
    }

    /// `PutObject`, over one that is there.
    ///
    /// # Errors
    /// `NoSuchBucket`, `KeyTooLongError`.
    pub fn put_object(&mut self, bucket: &str, key: &str, object: Object) -> Result<(), AwsError> {
        let files = self.s3.buckets.get_mut(bucket).ok_or_else(no_such_bucket)?;
        if key.len() > MAX_KEY_BYTES {
            return Err(AwsError::new(400, "KeyTooLongError", "Your key is too long"));
        }
        files.insert(key.to_owned(), object);
        Ok(())
    }
}

fn no_such_bucket() -> AwsError {
    AwsError::new(404, "NoSuchBucket", "The specified bucket does not exist")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixture::world;

    fn object(body: &str) -> Object {
        Object { content_type: "text/csv".to_owned(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_put_replaces_the_file_and_buckets_do_not_share_keys() {
        let mut world = world();
        world.s3.add_bucket("files");
        world.s3.add_bucket("others");
        world.put_object("files", "a/b", object("old")).unwrap();
        world.put_object("files", "a/b", object("new")).unwrap();
        world.s3.add_bucket("files");
        assert_eq!(world.get_object("files", "a/b"), Ok(object("new")));
        assert_eq!(world.get_object("others", "a/b").unwrap_err().code, "NoSuchKey");
    }

    #[test]
    fn what_is_missing_is_said_in_the_words_of_s3() {
        let mut world = world();
        world.s3.add_bucket("files");
        let code = |outcome: Result<Object, AwsError>| outcome.unwrap_err().code;
        assert_eq!(code(world.get_object("files", "k")), "NoSuchKey");
        assert_eq!(code(world.get_object("gone", "k")), "NoSuchBucket");
        assert_eq!(world.put_object("gone", "k", object("")).unwrap_err().code, "NoSuchBucket");
        let longest = "k".repeat(1024);
        world.put_object("files", &longest, object("")).unwrap();
        let longer = world.put_object("files", &format!("{longest}k"), object(""));
        assert_eq!(longer.unwrap_err().code, "KeyTooLongError");
    }
}

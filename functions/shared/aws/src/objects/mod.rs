//! Files in S3.

mod errors;
#[cfg(test)]
mod tests;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use pod_identity_engine::ports::{
    ErrorKind, MAX_OBJECT_BYTES, ObjectAnswer, ObjectPlace, ObjectReader, ObjectWriter, PortError,
};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::clients::{Aws, AwsWriter};
use crate::errors::invalid;
use errors::told;

const READ: &str = "read";
const WRITE: &str = "write";

/// Reads files. The client is kept here and not beside the others, and built when it is first
/// needed, so that no function has S3 in it that exchanges no files.
#[derive(Debug)]
pub struct Objects {
    aws: Aws,
    client: OnceCell<Client>,
}

impl Objects {
    pub(crate) fn new(aws: Aws) -> Self {
        Self { aws, client: OnceCell::new() }
    }

    async fn s3(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(self.aws.config().await) }).await
    }

    /// The SDK's time-outs end with the head of an answer.
    async fn get(&self, place: &ObjectPlace) -> Result<Vec<u8>, PortError> {
        let longest = self.aws.calls().longest();
        timeout(longest, self.read(place)).await.unwrap_or_else(|_| {
            let why = format!("it was not read within {} ms", longest.as_millis());
            Err(PortError { kind: ErrorKind::Passing, ..invalid(READ, place.to_string(), why) })
        })
    }

    async fn read(&self, place: &ObjectPlace) -> Result<Vec<u8>, PortError> {
        let (bucket, key) = (&place.bucket, &place.key);
        let sent = self.s3().await.get_object().bucket(bucket).key(key).send().await;
        let answer = sent.map_err(|error| told(READ, place, error))?;
        let said = answer.content_length().and_then(|length| usize::try_from(length).ok());
        if let Some(length) = said.filter(|length| *length > MAX_OBJECT_BYTES) {
            return Err(too_long(place, &format!("{length} bytes")));
        }
        whole(place, answer.body).await
    }
}

/// All bytes of a body, whatever its length was said to be.
async fn whole(place: &ObjectPlace, mut body: ByteStream) -> Result<Vec<u8>, PortError> {
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|error| PortError {
            kind: ErrorKind::Passing,
            ..invalid(READ, place.to_string(), error)
        })?;
        if bytes.len() + part.len() > MAX_OBJECT_BYTES {
            return Err(too_long(place, &format!("more than {MAX_OBJECT_BYTES} bytes")));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn too_long(place: &ObjectPlace, has: &str) -> PortError {
    let why = format!(
        "it has {has}, and at most {MAX_OBJECT_BYTES} are read; split the file into several"
    );
    invalid(READ, place.to_string(), why)
}

impl ObjectReader for Objects {
    fn get_object<'a>(&'a self, place: &'a ObjectPlace) -> ObjectAnswer<'a> {
        Box::pin(self.get(place))
    }
}

impl ObjectWriter for AwsWriter {
    async fn put_object(
        &self,
        place: &ObjectPlace,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<(), PortError> {
        let objects = Objects::new(self.aws.clone());
        let put = objects.s3().await.put_object().bucket(&place.bucket).key(&place.key);
        let put = put.content_type(content_type).body(ByteStream::from(body));
        put.send().await.map_err(|error| told(WRITE, place, error))?;
        Ok(())
    }
}

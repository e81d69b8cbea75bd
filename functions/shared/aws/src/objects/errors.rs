//! What S3's errors come to, in words that say the way out.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use pod_identity_engine::ports::{ObjectPlace, PortError};

use super::WRITE;
use crate::errors::port_error;

/// An error, and what it means for whoever asked.
#[derive(Debug, thiserror::Error)]
#[error("{means}")]
struct Told {
    means: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

/// Turns the SDK's error into a port's.
pub(super) fn told<E>(
    operation: &'static str,
    place: &ObjectPlace,
    error: SdkError<E, HttpResponse>,
) -> PortError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let error = port_error(operation, place.to_string(), error);
    let Some(means) = error.code.as_deref().and_then(|code| means(operation, code)) else {
        return error;
    };
    PortError { source: Box::new(Told { means, source: error.source }), ..error }
}

/// What a code means, where S3's own words do not say it.
fn means(operation: &str, code: &str) -> Option<&'static str> {
    Some(match code {
        "NoSuchKey" => "there is no such file",
        "NoSuchBucket" => "there is no such bucket; check EXCHANGE_BUCKET",
        "AccessDenied" if operation == WRITE => {
            "the role may not write it: it needs s3:PutObject, the bucket policy must not deny it, and a bucket with a key of KMS needs kms:GenerateDataKey too"
        }
        // Without s3:ListBucket a file that is not there is answered like one that may not be read.
        // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        "AccessDenied" => {
            "it is not there, or the role may not read it: it needs s3:GetObject, the bucket policy must not deny it, and a file under a key of KMS needs kms:Decrypt too"
        }
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => {
            "the bucket is in another region than this function; name one of the same region"
        }
        "InvalidObjectState" => "the file is archived; restore it first",
        _ => return None,
    })
}

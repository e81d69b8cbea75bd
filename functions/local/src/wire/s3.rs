//! S3: REST, the bucket in the path, errors in XML of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response};
use http_body_util::Full;
use pod_identity_world::{AwsError, Object, World};

use super::answer::{Answer, with_id};
use super::request::{Request, decoded};

const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-crc32");

pub(super) struct Operation {
    bucket: String,
    key: String,
    what: What,
}

enum What {
    Get,
    Put(Object),
}

impl Operation {
    pub(super) fn route(request: &Request) -> Result<Self, AwsError> {
        let path = request.path.strip_prefix('/').unwrap_or(&request.path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        // The SDK names the operation in the query; anything else there asks for another one.
        let plain = request.query.iter().all(|(name, _)| name == "x-id");
        let what = match request.method {
            Method::GET if plain && !key.is_empty() => What::Get,
            Method::PUT if plain && !key.is_empty() => What::Put(object(request)?),
            _ => return Err(absent(&format!("{} {}", request.method, request.path))),
        };
        Ok(Self { bucket: decoded(bucket), key: decoded(key), what })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.what {
            What::Get => "GetObject",
            What::Put(_) => "PutObject",
        }
    }

    pub(super) fn object(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }

    pub(super) fn perform(self, world: &mut World, id: &str) -> Result<Answer, AwsError> {
        let found = match self.what {
            What::Get => world.get_object(&self.bucket, &self.key)?,
            What::Put(object) => {
                world.put_object(&self.bucket, &self.key, object)?;
                let mut answer = Response::new(Full::default());
                with_id(&mut answer, id);
                return Ok(answer);
            }
        };
        let checksum = HeaderValue::from_str(&checksum(&found.body));
        let mut answer = Response::new(Full::new(Bytes::from(found.body)));
        let headers = answer.headers_mut();
        headers.extend(checksum.map(|sum| (CHECKSUM, sum)));
        headers.extend(HeaderValue::from_str(&found.content_type).map(|kind| (CONTENT_TYPE, kind)));
        with_id(&mut answer, id);
        Ok(answer)
    }
}

fn absent(what: &str) -> AwsError {
    AwsError::new(501, "NotImplemented", format!("{what} is not part of this AWS"))
}

/// The file that is put, if it came as it was sent. A body in memory is sent as it is, with its
/// checksum in a header; one that is streamed comes in signed chunks with a trailer.
fn object(request: &Request) -> Result<Object, AwsError> {
    let text = |name: &HeaderName| header(&request.headers, name);
    if text(&CONTENT_ENCODING).contains("aws-chunked") {
        return Err(absent("the content encoding aws-chunked"));
    }
    let is_other =
        |name: &&HeaderName| name.as_str().starts_with("x-amz-checksum-") && **name != CHECKSUM;
    if let Some(other) = request.headers.keys().find(is_other) {
        return Err(absent(other.as_str()));
    }
    let said = text(&CHECKSUM);
    if !said.is_empty() && said != checksum(&request.body) {
        let message = "The CRC32 you specified did not match the calculated checksum.";
        return Err(AwsError::new(400, "BadDigest", message));
    }
    let content_type = match text(&CONTENT_TYPE) {
        "" => "binary/octet-stream",
        given => given,
    };
    Ok(Object { content_type: content_type.to_owned(), body: request.body.to_vec() })
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// CRC-32 in base64, as S3 has it in headers.
fn checksum(bytes: &[u8]) -> String {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    STANDARD.encode((!crc).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32_of_the_standard() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(checksum(b"123456789"), STANDARD.encode(0xcbf4_3926_u32.to_be_bytes()));
    }
}

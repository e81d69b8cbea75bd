//! A request as AWS's front end sees it.

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

/// A request with its body, and the scope of its signature.
pub(super) struct Request {
    pub(super) method: Method,
    /// Still percent-encoded, since a slash inside a segment is.
    pub(super) path: String,
    /// Decoded, in order; keys can repeat.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) access_key: String,
    pub(super) region: String,
    /// The signing name; empty for a request that is not signed.
    pub(super) service: String,
    /// The SDK's id of the call, the same for each of its attempts.
    pub(super) invocation: Option<String>,
}

impl Request {
    pub(super) async fn read(request: http::Request<Incoming>) -> Result<Self, hyper::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let scope = scope(&parts.headers).unwrap_or_default();
        let [access_key, region, service] = scope;
        let invocation = parts.headers.get("amz-sdk-invocation-id");
        let invocation = invocation.and_then(|id| id.to_str().ok()).map(str::to_owned);
        Ok(Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: pairs(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            body,
            access_key,
            region,
            service,
            invocation,
        })
    }

    /// The segments of the path, decoded.
    pub(super) fn segments(&self) -> Vec<String> {
        self.path.split('/').skip(1).map(decoded).collect()
    }

    /// The first value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    /// The operation of a JSON protocol: `X-Amz-Target` behind the dot.
    pub(super) fn target(&self) -> Option<&str> {
        let target = self.headers.get("x-amz-target")?.to_str().ok()?;
        target.split_once('.').map(|(_, operation)| operation)
    }
}

/// Access key, region and service, from
/// `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...`.
fn scope(headers: &HeaderMap) -> Option<[String; 3]> {
    let authorization = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    let credential = credential.split(',').next()?;
    let parts: Vec<&str> = credential.trim().split('/').collect();
    match parts.as_slice() {
        [key, _, region, service, _] => {
            Some([(*key).to_owned(), (*region).to_owned(), (*service).to_owned()])
        }
        _ => None,
    }
}

/// The pairs of a query string or a form.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(&key.replace('+', " ")), decoded(&value.replace('+', " ")))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

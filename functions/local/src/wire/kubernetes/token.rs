//! EKS's bearer tokens: a signed URL of STS's `GetCallerIdentity`, checked as
//! aws-iam-authenticator does, and its signature as STS does.
//! <https://github.com/kubernetes-sigs/aws-iam-authenticator>

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use pod_identity_core::{Partition, hex};
use sha2::{Digest, Sha256};

use crate::wire::SECRET_ACCESS_KEY;

const PREFIX: &str = "k8s-aws-v1.";
const MAX_BYTES: usize = 4_096;
/// How long a token is good after it was signed, whatever `X-Amz-Expires` says.
const LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// How far STS lets a caller's clock be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// What may be in the query; nothing may be there twice.
const PARAMETERS: [&str; 10] = [
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-user-agent",
];

/// A token is not good; says why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is refused: {0}")]
pub(super) struct Refused(pub(super) &'static str);

/// Whose signature a token has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) access_key: String,
    pub(super) session_token: Option<String>,
}

pub(super) fn verify(token: &str, cluster: &str, now: Timestamp) -> Result<Signed, Refused> {
    if token.len() > MAX_BYTES {
        return Err(Refused("it has more than 4,096 bytes"));
    }
    let url = token.strip_prefix(PREFIX).ok_or(Refused("it does not begin with k8s-aws-v1."))?;
    let url = URL_SAFE_NO_PAD.decode(url).map_err(|_| Refused("it is no unpadded base64url"))?;
    let url = String::from_utf8(url).map_err(|_| Refused("it is no text"))?;
    let uri: Uri = url.parse().map_err(|_| Refused("it is no URL"))?;
    if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") {
        return Err(Refused("it is no https URL with the path /"));
    }
    let host = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let query = uri.query().unwrap_or_default();
    let parameters = parameters(query)?;
    let get = |name: &'static str| parameters.get(name).map(String::as_str).unwrap_or_default();
    if get("action") != "GetCallerIdentity" || get("version") != "2011-06-15" {
        return Err(Refused("its action is not GetCallerIdentity of 2011-06-15"));
    }
    if get("x-amz-algorithm") != "AWS4-HMAC-SHA256" {
        return Err(Refused("its algorithm is not AWS4-HMAC-SHA256"));
    }
    if !get("x-amz-expires").parse::<u32>().is_ok_and(|seconds| seconds <= 900) {
        return Err(Refused("X-Amz-Expires is not between 0 and 900"));
    }
    let date = get("x-amz-date");
    let signed_at = time(date).ok_or(Refused("X-Amz-Date is no time"))?;
    let age = now.duration_since(signed_at);
    if age > LIFETIME || age < -AHEAD {
        return Err(Refused("it is older than 15 minutes, or from the future"));
    }
    let scope: Vec<&str> = get("x-amz-credential").split('/').collect();
    let [access_key, day, region, "sts", "aws4_request"] = scope.as_slice() else {
        return Err(Refused("its credential is not for sts"));
    };
    if !date.starts_with(*day) {
        return Err(Refused("its credential is of another day"));
    }
    if !is_sts(host, region) {
        return Err(Refused("its host is not STS in the region of its credential"));
    }

    let headers = get("x-amz-signedheaders");
    if !headers.split(';').any(|header| header == "x-k8s-aws-id") {
        return Err(Refused("x-k8s-aws-id is not among its signed headers"));
    }
    let mut canonical_headers = String::new();
    for header in headers.split(';') {
        // What STS is sent: nothing but these.
        let value = match header {
            "host" => host,
            "x-k8s-aws-id" => cluster,
            _ => return Err(Refused("it has other signed headers than host and x-k8s-aws-id")),
        };
        canonical_headers.push_str(&format!("{header}:{value}\n"));
    }
    if !headers.split(';').any(|header| header == "host") {
        return Err(Refused("host is not among its signed headers"));
    }
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !is_signature(pair)).collect();
    pairs.sort_unstable();
    let request =
        format!("GET\n/\n{}\n{canonical_headers}\n{headers}\n{}", pairs.join("&"), sha256(""));
    let text =
        format!("AWS4-HMAC-SHA256\n{date}\n{day}/{region}/sts/aws4_request\n{}", sha256(&request));
    // Only the day is looked at.
    let seconds = u64::try_from(signed_at.as_second()).unwrap_or_default();
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let key = generate_signing_key(SECRET_ACCESS_KEY, moment, region, "sts");
    if calculate_signature(key, text.as_bytes()) != get("x-amz-signature") {
        return Err(Refused("its signature is not of this cluster's name and a known key"));
    }
    Ok(Signed {
        access_key: (*access_key).to_owned(),
        session_token: parameters.get("x-amz-security-token").cloned(),
    })
}

/// The parameters by their names in lower case, decoded.
fn parameters(query: &str) -> Result<BTreeMap<String, String>, Refused> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.to_ascii_lowercase();
        if !PARAMETERS.contains(&name.as_str()) {
            return Err(Refused("it has a parameter that is not GetCallerIdentity's"));
        }
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        if parameters.insert(name, value).is_some() {
            return Err(Refused("it has a parameter twice"));
        }
    }
    Ok(parameters)
}

fn is_signature(pair: &str) -> bool {
    pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("x-amz-signature"))
}

/// STS in a region, or everywhere, which is us-east-1 to a signature.
fn is_sts(host: &str, region: &str) -> bool {
    let suffix = Partition::of_region(region).domain;
    let regional = ["sts", "sts-fips"].map(|name| format!("{name}.{region}.{suffix}"));
    regional.iter().any(|one| one == host) || (host == "sts.amazonaws.com" && region == "us-east-1")
}

/// `20261120T120000Z`.
fn time(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

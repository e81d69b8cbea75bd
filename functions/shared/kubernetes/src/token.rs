//! The bearer token of EKS: a presigned `GetCallerIdentity`, which the cluster sends to STS to
//! learn who calls.
//!
//! As in <https://github.com/kubernetes-sigs/aws-iam-authenticator>.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Request};
use pod_identity_core::{ClusterArn, Partition};

const PREFIX: &str = "k8s-aws-v1.";
/// Binds the signature to one cluster: no other accepts it.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// What every client of EKS signs with. The cluster counts from the signing time all the same.
const EXPIRES_IN: Duration = Duration::from_secs(60);
/// A cluster accepts a token for 15 minutes after it was signed.
const RENEW_AFTER: Duration = Duration::from_secs(10 * 60);
/// A token ends with the credentials that signed it.
const BEFORE_CREDENTIALS_END: Duration = Duration::from_secs(60);
/// Clusters refuse longer ones.
const MAX_LENGTH: usize = 4096;

/// A bearer token. Its text is in no log and in no `Debug`.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    authorization: HeaderValue,
    renew_at: SystemTime,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("failed to sign a token")]
    Signing(#[source] Box<dyn Error + Send + Sync>),
    #[error(
        "the token has {0} bytes, a cluster takes {MAX_LENGTH}: the session token of the \
         credentials is too long, use a role with fewer or shorter session tags and policies"
    )]
    TooLong(usize),
}

impl Token {
    /// Signs a token for one cluster. Makes no call.
    pub(crate) fn sign(
        cluster: &ClusterArn,
        credentials: Credentials,
        now: SystemTime,
    ) -> Result<Self, TokenError> {
        let url = presigned(cluster, &credentials, now).map_err(TokenError::Signing)?;
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url));
        if token.len() > MAX_LENGTH {
            return Err(TokenError::TooLong(token.len()));
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|error| TokenError::Signing(error.into()))?;
        authorization.set_sensitive(true);
        let end = credentials.expiry().and_then(|end| end.checked_sub(BEFORE_CREDENTIALS_END));
        let renew_at = end.map_or(now + RENEW_AFTER, |end| end.min(now + RENEW_AFTER));
        Ok(Self { authorization, renew_at })
    }

    /// Whether the cluster surely still takes it. By the clock on the wall: while a Lambda is
    /// frozen, the other one stands still.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        // A clock that was set back says nothing about the age.
        now < self.renew_at && self.renew_at <= now + RENEW_AFTER
    }

    /// Value of the `Authorization` header, marked as sensitive.
    pub(crate) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }
}

fn presigned(
    cluster: &ClusterArn,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let url = format!(
        "https://sts.{}.{}/?Action=GetCallerIdentity&Version=2011-06-15",
        cluster.region(),
        Partition::called(cluster.partition()).domain,
    );
    let identity = Identity::from(credentials.clone());
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES_IN);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(cluster.region())
        .name("sts")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let headers = [(CLUSTER_HEADER, cluster.name())];
    let request = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))?;
    let (instructions, _signature) = sign(request, &params)?.into_parts();
    let mut request = Request::get(&url).body(())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request.uri().to_string())
}

//! Tokens as a client of EKS makes them, by the SDKs' own signer.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What a token is made of; what is not said is right.
pub(crate) struct Token<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) access_key: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) session_token: Option<&'a str>,
    pub(crate) region: &'a str,
    pub(crate) url: &'a str,
    pub(crate) method: &'a str,
    pub(crate) header: &'a str,
    pub(crate) expires: u64,
    pub(crate) time: SystemTime,
}

impl<'a> Token<'a> {
    pub(crate) fn new(cluster: &'a str, access_key: &'a str) -> Self {
        Self {
            cluster,
            access_key,
            secret: "local",
            session_token: None,
            region: "eu-west-1",
            url: "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            method: "GET",
            header: "x-k8s-aws-id",
            expires: 60,
            time: SystemTime::now(),
        }
    }

    /// The signed URL.
    pub(crate) fn sign(&self) -> String {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(self.expires));
        let session_token = self.session_token.map(str::to_owned);
        let credentials =
            Credentials::new(self.access_key, self.secret, session_token, None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&credentials)
            .region(self.region)
            .name("sts")
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = [(self.header, self.cluster)];
        let body = SignableBody::Bytes(&[]);
        let request =
            SignableRequest::new(self.method, self.url, headers.into_iter(), body).unwrap();
        let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
        let mut signed = http::Request::get(self.url).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut signed);
        signed.uri().to_string()
    }

    pub(crate) fn text(&self) -> String {
        encode(&self.sign())
    }
}

pub(crate) fn encode(url: &str) -> String {
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}

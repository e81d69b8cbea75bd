//! The key to Domino's API, out of Secrets Manager.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use pod_identity_engine::ports::PortError;
use serde_json::Value;

use crate::clients::Aws;
use crate::errors::{invalid, port_error};
use crate::settings::TokenHeader;

const API_KEY: HeaderName = HeaderName::from_static("x-domino-api-key");

/// A key. It is shown nowhere: `Debug` hides it, and the header that takes it is marked as
/// sensitive, which HTTP libraries respect in their own logs.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ApiToken(String);

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl ApiToken {
    /// Reads the secret: the key alone, or a JSON object with the key as `token`.
    pub(super) async fn read(aws: &Aws, secret: &str) -> Result<Self, PortError> {
        let object = || format!("secret {}", name_of(secret));
        let answer = aws.secrets().await.get_secret_value().secret_id(secret).send().await;
        let answer = answer.map_err(|error| port_error("read", object(), error))?;
        Self::of(answer.secret_string().unwrap_or_default())
            .ok_or_else(|| invalid("read", object(), EXPECTED))
    }

    fn of(secret: &str) -> Option<Self> {
        let text = match serde_json::from_str::<Value>(secret) {
            Ok(Value::Object(fields)) => fields.get("token")?.as_str()?.to_owned(),
            _ => secret.to_owned(),
        };
        let text = text.trim();
        let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// A request for what is at `url`.
    pub(super) fn request(&self, url: &str, header: TokenHeader) -> Option<HttpRequest> {
        let (name, value) = match header {
            TokenHeader::ApiKey => (API_KEY, self.0.clone()),
            TokenHeader::Bearer => (AUTHORIZATION, format!("Bearer {}", self.0)),
        };
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        let request = http::Request::get(url)
            .header(name, value)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::USER_AGENT, "domino-pod-identity")
            .body(SdkBody::empty());
        HttpRequest::try_from(request.ok()?).ok()
    }

    /// The text without the key, if Domino should send it back.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "(hidden)")
    }
}

const EXPECTED: &str = "it holds no key: it must be the key alone, or a JSON object with the key as `token`, of visible ASCII characters";

/// What a secret is called, without what its ARN has before and the characters that Secrets Manager
/// puts behind.
pub(super) fn name_of(secret: &str) -> &str {
    secret.split_once(":secret:").map_or(secret, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_secret_is_the_key_or_an_object_that_names_it() {
        for secret in ["KEY", " KEY\n", r#"{"token":"KEY","other":1}"#] {
            assert_eq!(ApiToken::of(secret), Some(ApiToken("KEY".to_owned())), "{secret}");
        }
        for secret in ["", "{}", r#"{"token":7}"#, "two words", r#"{"token":""}"#, "k\u{e9}y"] {
            assert_eq!(ApiToken::of(secret), None, "{secret}");
        }
    }

    #[test]
    fn a_key_is_hidden_wherever_it_is_shown() {
        let token = ApiToken::of("KEY-123").unwrap();
        assert_eq!(format!("{token:?}"), "Token(hidden)");
        for header in [TokenHeader::ApiKey, TokenHeader::Bearer] {
            let request = token.request("https://domino.example.com/", header).unwrap();
            let request = request.try_into_http1x().unwrap();
            let shown = format!("{request:?}");
            assert!(!shown.contains("KEY-123") && shown.contains("Sensitive"), "{shown}");
        }
        assert_eq!(token.hidden_in("a KEY-123 b"), "a (hidden) b");
    }
}

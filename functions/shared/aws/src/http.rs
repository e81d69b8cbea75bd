//! One HTTP client for all SDK clients.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};

/// The SDK's default HTTPS client, built once.
///
/// Left to themselves, the SDK clients build a connector each, and one more
/// to see whether they could: the system's certificates are parsed twice a
/// client. Here a connector is built at the first request, one for each pair
/// of time-outs; proxies come from the environment, as by default.
pub(crate) fn shared_client() -> SharedHttpClient {
    let connectors = Mutex::new(BTreeMap::new());
    http_client_fn(move |settings, components| {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = connectors.lock().unwrap_or_else(PoisonError::into_inner);
        connectors
            .entry(timeouts)
            .or_insert_with(|| {
                let mut builder =
                    Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
                builder.set_connector_settings(Some(settings.clone()));
                builder.set_sleep_impl(components.sleep_impl());
                builder.set_proxy_config(Some(ProxyConfig::from_env()));
                SharedHttpConnector::new(builder.build())
            })
            .clone()
    })
}

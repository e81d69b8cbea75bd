//! One HTTP client for all SDK clients.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};

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
            .or_insert_with(|| build(settings.clone(), components.sleep_impl()))
            .clone()
    })
}

/// A connector of its own kind, for what is no AWS service. It gives up a connection after
/// `connect`; how long an answer may take is the caller's.
pub(crate) fn connector(connect: Duration) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(connect).build();
    build(settings, Some(SharedAsyncSleep::new(TokioSleep::new())))
}

fn build(settings: HttpConnectorSettings, sleep: Option<SharedAsyncSleep>) -> SharedHttpConnector {
    let mut builder = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    builder.set_connector_settings(Some(settings));
    builder.set_sleep_impl(sleep);
    builder.set_proxy_config(Some(ProxyConfig::from_env()));
    SharedHttpConnector::new(builder.build())
}

//! The same AWS over TLS.

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use local::wire::Certificates;

use super::*;

/// A client over TLS that believes in `root` alone.
async fn eks_over_tls(wire: &Wire, endpoint: &str, root: &str) -> aws_sdk_eks::Client {
    let roots = TrustStore::empty().with_pem_certificate(root.as_bytes());
    let client = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(TlsContext::builder().with_trust_store(roots).build().unwrap())
        .build_https();
    let config = config(wire, 0).await.to_builder().endpoint_url(endpoint).http_client(client);
    aws_sdk_eks::Client::new(&config.build())
}

#[tokio::test]
async fn the_same_aws_answers_on_every_port() {
    let wire = wire().await;
    let certificates = Certificates::make().unwrap();
    let first = wire.listen_tls(&certificates).await.unwrap();
    let second = wire.listen_tls(&certificates).await.unwrap();
    assert_ne!(first, second);
    create(&eks(&wire, 0).await, "plain").await.unwrap();
    for (endpoint, name) in [(&first, "first"), (&second, "second")] {
        let eks = eks_over_tls(&wire, endpoint, &certificates.root_pem()).await;
        create(&eks, name).await.unwrap();
    }
    assert_eq!(wire.world().eks.associations(&blue()).len(), 3);
}

#[tokio::test]
async fn a_client_that_does_not_know_the_root_makes_no_call() {
    let wire = wire().await;
    let endpoint = wire.listen_tls(&Certificates::make().unwrap()).await.unwrap();
    let other = Certificates::make().unwrap().root_pem();
    create(&eks_over_tls(&wire, &endpoint, &other).await, "svc").await.unwrap_err();
    assert!(wire.log().is_empty());
}

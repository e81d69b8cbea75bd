//! TLS in front of the wire: certificates made at run time.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{self, ServerConfig};

/// The host that the certificates are for.
const HOST: &str = "localhost";

/// Certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A key or a certificate.
    #[error("failed to make a certificate for {HOST}")]
    Certificate(#[from] rcgen::Error),
    /// The server's side of TLS.
    #[error("failed to set up TLS with a certificate for {HOST}")]
    Server(#[from] rustls::Error),
}

/// A certificate for `localhost` with everything above it. Like those of AWS's
/// endpoints it comes with an intermediate one, and all keys are RSA with
/// 2,048 bits, so that a client has as much to check.
pub struct Certificates {
    root: Certificate,
    pub(super) acceptor: TlsAcceptor,
}

impl Certificates {
    /// Makes three keys and their certificates, which takes some tenths of a second.
    ///
    /// # Errors
    /// When the cryptography refuses.
    pub fn make() -> Result<Self, TlsError> {
        let key = || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        let (root_key, middle_key, own_key) = (key()?, key()?, key()?);
        let root_parameters = authority("Loopback root");
        let root = root_parameters.self_signed(&root_key)?;
        let root_issuer = Issuer::new(root_parameters, root_key);
        let middle_parameters = authority("Loopback intermediate");
        let middle = middle_parameters.signed_by(&middle_key, &root_issuer)?;
        let middle_issuer = Issuer::new(middle_parameters, middle_key);
        let own = CertificateParams::new([HOST.to_owned()])?.signed_by(&own_key, &middle_issuer)?;

        let chain = vec![own.into(), middle.into()];
        let key = PrivatePkcs8KeyDer::from(own_key.serialize_der());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key.into())?;
        // Ports stand for hosts here: what one gave a client must not shorten another's handshake.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { root, acceptor: TlsAcceptor::from(Arc::new(server)) })
    }

    /// The root in PEM, for the file that `SSL_CERT_FILE` names.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters
}

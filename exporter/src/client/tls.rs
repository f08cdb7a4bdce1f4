//! TLS of a client: trusted authorities, its own certificate, and the choice to accept any server.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::config::TlsConfig;
use super::error::ClientError;
use crate::support::error_chain::error_chain;
use crate::support::pem::PemFile;

/// Switches TLS on for an endpoint.
pub(super) fn secured(endpoint: Endpoint, tls: &TlsConfig) -> Result<Endpoint, ClientError> {
    let mut config = ClientTlsConfig::new();
    for path in &tls.ca {
        config = config.ca_certificate(Certificate::from_pem(certificates(path)?));
    }
    if tls.ca.is_empty() && !tls.allow_insecure {
        config = config.with_native_roots();
    }
    if let Some((cert, key)) = &tls.identity {
        let key = PemFile::of_key(key)?;
        key.private_key()?;
        config = config.identity(Identity::from_pem(certificates(cert)?, key.text));
    }
    if let Some(name) = &tls.server_name {
        config = config.domain_name(name);
    }
    let configured = if tls.allow_insecure {
        endpoint.tls_config_with_verifier(config, Arc::new(AcceptAnyServer::new()))
    } else {
        endpoint.tls_config(config)
    };
    configured.map_err(|error| ClientError::Tls { message: error_chain(&error) })
}

/// The text of a file with at least one certificate: the transport would take any other for an empty list.
fn certificates(path: &Path) -> Result<Vec<u8>, ClientError> {
    let file = PemFile::of_certificates(path)?;
    file.certificates()?;
    Ok(file.text)
}

/// Accepts every certificate: the connection is encrypted, but the server is not authenticated.
#[derive(Debug)]
struct AcceptAnyServer(CryptoProvider);

impl AcceptAnyServer {
    fn new() -> Self {
        Self(rustls::crypto::ring::default_provider())
    }
}

impl ServerCertVerifier for AcceptAnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

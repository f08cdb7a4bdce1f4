//! TLS of a client: whom it trusts, who it is, and the choice to trust anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::client::hubble::{ClientError, TlsOptions};

/// An endpoint that speaks TLS.
pub(super) fn secured(endpoint: Endpoint, options: &TlsOptions) -> Result<Endpoint, ClientError> {
    let mut config = ClientTlsConfig::new();
    for path in &options.ca {
        config = config.ca_certificate(Certificate::from_pem(certificates(path)?));
    }
    if options.ca.is_empty() && !options.allow_insecure {
        config = config.with_native_roots();
    }
    if let Some((cert, key)) = &options.identity {
        let key_text = read(key)?;
        PrivateKeyDer::from_pem_slice(&key_text).map_err(|error| wrong(key, "private key", &error))?;
        config = config.identity(Identity::from_pem(certificates(cert)?, key_text));
    }
    if let Some(name) = &options.server_name {
        config = config.domain_name(name);
    }
    let configured = if options.allow_insecure {
        endpoint.tls_config_with_verifier(config, Arc::new(Anybody::new()))
    } else {
        endpoint.tls_config(config)
    };
    configured.map_err(|error| ClientError::Tls { message: crate::support::error_chain::error_chain(&error) })
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|source| ClientError::File { path: path.to_owned(), message: source.to_string() })
}

/// The text of a file with at least one certificate: the transport would take any other for none at all.
fn certificates(path: &Path) -> Result<Vec<u8>, ClientError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong(path, "certificate", &"none in the file")),
        Ok(_) => Ok(text),
        Err(error) => Err(wrong(path, "certificate", &error)),
    }
}

fn wrong(path: &Path, what: &str, error: &dyn std::fmt::Display) -> ClientError {
    ClientError::File { path: PathBuf::from(path), message: format!("{what}: {error}") }
}

/// Accepts every certificate. What is encrypted still is, but nobody knows for whom: only where the user says so.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl Anybody {
    fn new() -> Self {
        Self(rustls::crypto::ring::default_provider())
    }
}

impl ServerCertVerifier for Anybody {
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

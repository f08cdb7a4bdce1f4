//! TLS of the client: authorities and client certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eyepiece_config::Tls;
use http::uri::Scheme;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};

/// The error of configuring TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has no such item.
    #[error("cannot use the {what} in {}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The expected item.
        what: &'static str,
        /// The error.
        message: String,
    },
    /// No authority is configured, and the system has none.
    #[error("the system has no root certificates (install ca-certificates, or set tls.ca){detail}")]
    NoRoots {
        /// The system's error.
        detail: String,
    },
    /// Certificate and key do not match, or their algorithm is unknown.
    #[error("cannot use the client certificate in {} with key {}: {message}", cert.display(), key.display())]
    Identity {
        /// Certificate file.
        cert: PathBuf,
        /// Key file.
        key: PathBuf,
        /// The error.
        message: String,
    },
    /// The TLS library failed.
    #[error("cannot configure TLS: {message}")]
    Library {
        /// The error.
        message: String,
    },
}

/// The client's TLS settings. Files are read even for `http://`, so that a wrong path is an error at the start.
pub(super) fn client_config(tls: &Tls, scheme: Option<&Scheme>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Library { message: error.to_string() })?
        .with_root_certificates(roots(tls, scheme)?);
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else { return Ok(builder.with_no_client_auth()) };
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, "private key", error))?;
    builder.with_client_auth_cert(certificates(cert)?, private).map_err(|error| TlsError::Identity {
        cert: cert.clone(),
        key: key.clone(),
        message: error.to_string(),
    })
}

fn roots(tls: &Tls, scheme: Option<&Scheme>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &tls.ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| file(ca, "certificate", error))?;
        }
    } else if scheme == Some(&Scheme::HTTPS) {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let detail = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(TlsError::NoRoots { detail });
        }
    }
    Ok(roots)
}

/// Reads the certificates of a PEM file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| file(path, "certificate", error))?;
    if certificates.is_empty() {
        return Err(file(path, "certificate", "none in the file"));
    }
    Ok(certificates)
}

fn file(path: &Path, what: &'static str, error: impl std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), what, message: error.to_string() }
}

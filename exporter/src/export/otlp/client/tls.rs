//! TLS of the client: authorities and client certificate.

use std::path::PathBuf;
use std::sync::Arc;

use eyepiece_config::Tls;
use http::uri::Scheme;
use rustls::{ClientConfig, RootCertStore, crypto};

use crate::support::pem::{PemError, PemFile};

/// The error of configuring TLS.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum TlsError {
    /// A file cannot be read, or has no such item.
    #[error(transparent)]
    File(#[from] PemError),
    /// No authority is configured, and the system has none.
    #[error(
        "cannot verify the server: the system has no root certificates{detail}; install ca-certificates, or set tls.ca"
    )]
    NoRoots { detail: String },
    /// Certificate and key do not match, or their algorithm is unknown.
    #[error("cannot use the client certificate in {} with key {}: {message}", cert.display(), key.display())]
    Identity { cert: PathBuf, key: PathBuf, message: String },
    /// The TLS library failed.
    #[error("cannot configure TLS: {message}")]
    Library { message: String },
}

/// The client's TLS settings. Files are read even for `http://`, so that a wrong path is an error at the start.
pub(super) fn client_config(tls: &Tls, scheme: Option<&Scheme>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Library { message: error.to_string() })?
        .with_root_certificates(roots(tls, scheme)?);
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else { return Ok(builder.with_no_client_auth()) };
    let private = PemFile::of_key(key)?.private_key()?;
    let chain = PemFile::of_certificates(cert)?.certificates()?;
    builder.with_client_auth_cert(chain, private).map_err(|error| TlsError::Identity {
        cert: cert.clone(),
        key: key.clone(),
        message: error.to_string(),
    })
}

fn roots(tls: &Tls, scheme: Option<&Scheme>) -> Result<RootCertStore, TlsError> {
    if let Some(ca) = &tls.ca {
        return Ok(PemFile::of_certificates(ca)?.authorities()?);
    }
    let mut roots = RootCertStore::empty();
    if scheme == Some(&Scheme::HTTPS) {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let detail = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(TlsError::NoRoots { detail });
        }
    }
    Ok(roots)
}

//! The PEM files of a server, and the TLS configuration that they make: TLS 1.3 only, one application protocol.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, crypto, version};

use crate::support::pem::{PemError, PemFile};

/// The PEM files of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Authorities of client certificates; `None`: clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// The error of using the files. Never contains their contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum TlsError {
    /// A file is unreadable, or lacks the expected content.
    #[error(transparent)]
    File(#[from] PemError),
    /// Certificate and key do not match, or their algorithm is unsupported.
    #[error("cannot use certificate {} with key {}: {message}", cert.display(), key.display())]
    Pair { cert: PathBuf, key: PathBuf, message: String },
    /// The TLS library rejects the authorities or the version.
    #[error("cannot configure TLS: {message}")]
    Library { message: String },
}

/// The files' contents.
#[derive(PartialEq, Eq)]
pub(super) struct TlsContents {
    cert: PemFile,
    key: PemFile,
    client_ca: Option<PemFile>,
}

impl TlsFiles {
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca).cloned().collect()
    }

    /// Reads the files and checks whether they make a server configuration.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn check(&self) -> Result<(), TlsError> {
        self.config(&self.read()?, b"").map(drop)
    }

    pub(super) fn read(&self) -> Result<TlsContents, TlsError> {
        Ok(TlsContents {
            cert: PemFile::of_certificates(&self.cert)?,
            key: PemFile::of_key(&self.key)?,
            client_ca: self.client_ca.as_deref().map(PemFile::of_certificates).transpose()?,
        })
    }

    /// Builds rustls' configuration from the contents. `protocol` is the one that clients may choose in ALPN.
    pub(super) fn config(&self, contents: &TlsContents, protocol: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
        let library = |error: &dyn std::fmt::Display| TlsError::Library { message: error.to_string() };
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|error| library(&error))?;
        let builder = match &contents.client_ca {
            Some(file) => {
                let roots = Arc::new(file.authorities()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| library(&error))?)
            }
            None => builder.with_no_client_auth(),
        };
        let key = contents.key.private_key()?;
        let chain = contents.cert.certificates()?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| TlsError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            message: error.to_string(),
        })?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Arc::new(config))
    }
}

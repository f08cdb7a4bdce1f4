//! TLS of the server: TLS 1.3 and HTTP/2 only; client certificates if authorities are configured.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto, version};

/// HTTP/2 in ALPN (RFC 9113, 3.2).
const ALPN: &[u8] = b"h2";
/// The largest PEM file: a chain or a list of authorities has some kilobytes for each certificate.
const MAX_FILE_BYTES: u64 = 4 << 20;

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
pub enum TlsError {
    /// A file is unreadable, or lacks the expected content.
    #[error("cannot use the {what} in {}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The expected content.
        what: &'static str,
        /// The cause.
        message: String,
    },
    /// Certificate and key do not match, or their algorithm is unsupported.
    #[error("cannot use certificate {} with key {}: {message}", cert.display(), key.display())]
    Pair {
        /// Certificate file.
        cert: PathBuf,
        /// Key file.
        key: PathBuf,
        /// The cause.
        message: String,
    },
    /// The TLS library rejects the authorities or the version.
    #[error("cannot configure TLS: {message}")]
    Library {
        /// The cause.
        message: String,
    },
}

/// The files' contents.
#[derive(PartialEq, Eq)]
pub(super) struct TlsContents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl TlsFiles {
    /// All paths.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca).cloned().collect()
    }

    /// Reads the files and checks whether they make a server configuration.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn check(&self) -> Result<(), TlsError> {
        self.config(&self.read()?).map(drop)
    }

    pub(super) fn read(&self) -> Result<TlsContents, TlsError> {
        Ok(TlsContents {
            cert: read(&self.cert, "certificate")?,
            key: read(&self.key, "private key")?,
            client_ca: self.client_ca.as_ref().map(|path| read(path, "certificate")).transpose()?,
        })
    }

    /// Builds rustls' configuration from the contents.
    pub(super) fn config(&self, contents: &TlsContents) -> Result<Arc<ServerConfig>, TlsError> {
        let library = |error: &dyn std::fmt::Display| TlsError::Library { message: error.to_string() };
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|error| library(&error))?;
        let builder = match (&self.client_ca, &contents.client_ca) {
            (Some(path), Some(bytes)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, bytes)? {
                    roots.add(certificate).map_err(|error| file(path, "certificate", error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| library(&error))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let key =
            PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| file(&self.key, "private key", error))?;
        let chain = certificates(&self.cert, &contents.cert)?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| TlsError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            message: error.to_string(),
        })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(file(path, what, error)),
        Ok(size) if size as u64 > MAX_FILE_BYTES => {
            Err(file(path, what, format!("the file has more than {MAX_FILE_BYTES} bytes")))
        }
        Ok(_) => Ok(bytes),
    }
}

/// The certificates of a PEM text, at least one.
fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match certificates {
        Err(error) => Err(file(path, "certificate", error)),
        Ok(certificates) if certificates.is_empty() => Err(file(path, "certificate", "none in the file")),
        Ok(certificates) => Ok(certificates),
    }
}

fn file(path: &Path, what: &'static str, error: impl std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), what, message: error.to_string() }
}

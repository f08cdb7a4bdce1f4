//! Certificates and private keys of PEM files.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::bounded_read;

const CERTIFICATE: &str = "certificate";
const PRIVATE_KEY: &str = "private key";
/// The largest file: a chain or a list of authorities has some kilobytes for each certificate.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A file that is unreadable or lacks what it should contain. Never has its contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the {what} in {}: {message}", path.display())]
pub struct PemError {
    /// The file.
    pub path: PathBuf,
    /// The expected content: certificates, or a private key.
    pub what: &'static str,
    /// The cause.
    pub message: String,
}

/// A file's text, and its path for errors. Without `Debug`: a key is secret.
#[derive(PartialEq, Eq)]
pub struct PemFile {
    path: PathBuf,
    /// The contents.
    pub text: Vec<u8>,
}

impl PemFile {
    /// Reads a file of certificates.
    ///
    /// # Errors
    /// It is unreadable or too large.
    pub fn of_certificates(path: &Path) -> Result<Self, PemError> {
        Self::read(path, CERTIFICATE)
    }

    /// Reads a file with a private key.
    ///
    /// # Errors
    /// It is unreadable or too large.
    pub fn of_key(path: &Path) -> Result<Self, PemError> {
        Self::read(path, PRIVATE_KEY)
    }

    fn read(path: &Path, what: &'static str) -> Result<Self, PemError> {
        let file = |text| Self { path: path.to_owned(), text };
        match bounded_read::read(path, MAX_FILE_BYTES) {
            Ok(Some(text)) => Ok(file(text)),
            Ok(None) => Err(file(Vec::new()).fault(what, format!("the file has more than {MAX_FILE_BYTES} bytes"))),
            Err(error) => Err(file(Vec::new()).fault(what, error)),
        }
    }

    /// Returns its certificates, at least one.
    ///
    /// # Errors
    /// It has none, or one is damaged.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, PemError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        match found {
            Ok(found) if found.is_empty() => Err(self.fault(CERTIFICATE, "none in the file")),
            Ok(found) => Ok(found),
            Err(error) => Err(self.fault(CERTIFICATE, error)),
        }
    }

    /// Returns its certificates as authorities.
    ///
    /// # Errors
    /// It has none, or one is no authority's.
    pub fn authorities(&self) -> Result<RootCertStore, PemError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| self.fault(CERTIFICATE, error))?;
        }
        Ok(roots)
    }

    /// Returns its private key.
    ///
    /// # Errors
    /// It has none.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, PemError> {
        PrivateKeyDer::from_pem_slice(&self.text).map_err(|error| self.fault(PRIVATE_KEY, error))
    }

    fn fault(&self, what: &'static str, cause: impl std::fmt::Display) -> PemError {
        PemError { path: self.path.clone(), what, message: cause.to_string() }
    }
}

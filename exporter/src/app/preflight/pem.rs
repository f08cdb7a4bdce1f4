//! Checks PEM files: readable, with the expected content, certificate and key matching.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, crypto};

use super::problems::Problems;

/// The path of a key, and the file that it names.
type File<'a> = (&'a str, Option<&'a Path>);

/// The files of one connection or server.
pub(super) struct Files<'a> {
    /// Authorities of the other side.
    pub(super) ca: File<'a>,
    /// Our certificate and its chain.
    pub(super) cert: File<'a>,
    /// Its private key.
    pub(super) key: File<'a>,
}

const RIGHT_CERTIFICATE: &str = "name a readable PEM file with a certificate (-----BEGIN CERTIFICATE-----)";
const RIGHT_KEY: &str = "name a readable PEM file with a private key (-----BEGIN PRIVATE KEY-----)";

impl Files<'_> {
    /// Checks each file by itself, then certificate and key together.
    pub(super) fn check(&self, problems: &mut Problems<'_>) {
        if let (key, Some(path)) = self.ca
            && let Err(wrong) = authorities(path)
        {
            problems.add(key, format!("{}: {wrong}", path.display()), RIGHT_CERTIFICATE);
        }
        let chain = part(self.cert, certificates, RIGHT_CERTIFICATE, problems);
        let private = part(self.key, private_key, RIGHT_KEY, problems);
        if let (Some(chain), Some(private)) = (chain, private)
            && let Err(error) = CertifiedKey::from_der(chain, private, &crypto::ring::default_provider())
        {
            let right = format!("use the key of this certificate in {}", self.key.0);
            problems.add(self.cert.0, format!("certificate and key do not match: {error}"), &right);
        }
    }
}

/// The contents of a file; `None` without a file, or if it has a problem.
fn part<T>(
    (key, path): File<'_>,
    read: impl FnOnce(&Path) -> Result<T, String>,
    right: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let path = path?;
    read(path).map_err(|wrong| problems.add(key, format!("{}: {wrong}", path.display()), right)).ok()
}

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in the file".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("no certificate: {error}")),
    }
}

fn authorities(path: &Path) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("no authority's certificate: {error}"))?;
    }
    Ok(())
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| format!("no private key: {error}"))
}

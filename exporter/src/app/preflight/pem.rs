//! Checks PEM files: readable, with the expected content, certificate and key matching.

use std::path::Path;

use rustls::crypto;
use rustls::sign::CertifiedKey;

use super::problems::Problems;
use crate::support::pem::{PemError, PemFile};

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
        part(self.ca, |path| PemFile::of_certificates(path)?.authorities(), RIGHT_CERTIFICATE, problems);
        let chain = part(self.cert, |path| PemFile::of_certificates(path)?.certificates(), RIGHT_CERTIFICATE, problems);
        let private = part(self.key, |path| PemFile::of_key(path)?.private_key(), RIGHT_KEY, problems);
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
    read: impl FnOnce(&Path) -> Result<T, PemError>,
    right: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let path = path?;
    read(path).map_err(|wrong| problems.add(key, wrong.to_string(), right)).ok()
}

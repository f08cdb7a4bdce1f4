//! Authorities and certificates as files, for servers and clients that speak TLS to each other.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority with its own folder.
#[derive(Debug)]
pub struct Pki {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// Files of a certificate and its key, as texts: arguments and settings are.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate, PEM.
    pub cert: String,
    /// Its private key, PEM.
    pub key: String,
}

impl Pki {
    /// A new authority.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // No two authorities have the same name.
        let name = folder.path().file_name().context("a folder without a name")?.to_string_lossy();
        params.distinguished_name.push(DnType::CommonName, name.as_ref());
        let key = KeyPair::generate()?;
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key)?.pem())?;
        Ok(Self { folder, issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate.
    pub fn ca(&self) -> String {
        text(&self.folder.path().join("ca.pem"))
    }

    /// A new certificate of this authority for names and IP addresses, in files named after the first of them.
    pub fn sign(&self, names: &[&str]) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        let first = names.first().context("a certificate without names")?.replace('*', "any");
        let file = |kind: &str| -> PathBuf { self.folder.path().join(format!("{first}.{kind}.pem")) };
        std::fs::write(file("cert"), params.signed_by(&key, &self.issuer)?.pem())?;
        std::fs::write(file("key"), key.serialize_pem())?;
        Ok(Pair { cert: text(&file("cert")), key: text(&file("key")) })
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

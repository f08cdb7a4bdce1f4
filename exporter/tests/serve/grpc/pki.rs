//! Authorities and certificates, as files and as clients have them.

use std::path::PathBuf;
use std::sync::Arc;

use eyepiece::serve::tls::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, crypto};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// The name in the servers' certificates.
pub(crate) const NAME: &str = "us.default.hubble-grpc.cilium.io";

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// An authority, and a folder for files.
pub(crate) struct Pki {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) ca: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // No two authorities have the same name.
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let ca = params.self_signed(&key).unwrap().pem();
        Self { folder, ca, issuer: Issuer::new(params, key) }
    }

    /// A new certificate of this authority.
    pub(crate) fn sign(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Pair { cert: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a server's files; `client_ca` is an authority's text.
    pub(crate) fn files(&self, client_ca: Option<&str>) -> TlsFiles {
        self.write(&self.sign(NAME));
        let client_ca = client_ca.map(|text| {
            std::fs::write(self.path("client-ca"), text).unwrap();
            self.path("client-ca")
        });
        TlsFiles { cert: self.path("cert"), key: self.path("key"), client_ca }
    }

    pub(crate) fn write(&self, pair: &Pair) {
        std::fs::write(self.path("cert"), &pair.cert).unwrap();
        std::fs::write(self.path("key"), &pair.key).unwrap();
    }

    /// Returns a TLS configuration of tonic's clients that trusts this authority.
    pub(crate) fn client(&self, identity: Option<&Pair>) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca)).domain_name(NAME);
        match identity {
            Some(pair) => config.identity(Identity::from_pem(&pair.cert, &pair.key)),
            None => config,
        }
    }

    /// A client's settings, for handshakes that shall fail.
    pub(crate) fn raw(
        &self,
        version: &'static SupportedProtocolVersion,
        alpn: &[u8],
        identity: Option<&Pair>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

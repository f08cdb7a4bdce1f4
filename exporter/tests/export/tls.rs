//! TLS over both protocols: own authority, client certificate, and what must not be trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eyepiece::export::otlp::client::Client;
use eyepiece_config::{Export, Protocol, Signal};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::http::Receiver;
use crate::support::{Received, Running, TIMEOUT, batch, config, grpc, settings, sums};

/// An authority, and a server's and a client's certificate that it signed.
pub(crate) struct Pki {
    folder: tempfile::TempDir,
    ca: String,
    pub(crate) server: (String, String),
}

impl Pki {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let signed = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let (server, client) = (signed("127.0.0.1"), signed("client"));
        let pki = Self { folder, ca, server };
        for (name, text) in [("ca", &pki.ca), ("cert", &client.0), ("key", &client.1)] {
            std::fs::write(pki.path(name), text).unwrap();
        }
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The acceptor of a test server, which trusts only clients of our authority.
    fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        let provider = Arc::new(crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let chain = vec![CertificateDer::from_pem_slice(self.server.0.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.server.1.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
        Arc::new(config).into()
    }
}

fn client(mut settings: Export, ca: Option<&Path>, identity: Option<(PathBuf, PathBuf)>) -> Client {
    settings.tls.ca = ca.map(Path::to_owned);
    (settings.tls.cert, settings.tls.key) = identity.unzip();
    Client::new(&settings, Signal::Logs).unwrap()
}

async fn delivered(client: Client) -> u64 {
    let running = Running::start(&config(), client);
    running.sink.try_send(batch(0..25));
    let counters = running.counters.clone();
    crate::support::eventually(|| counters.delivered.get() == 25 || counters.requests_retried.get() > 3).await;
    let time = if counters.delivered.get() == 25 { TIMEOUT } else { Duration::ZERO };
    let (delivered, dropped) = sums(&running.end(time).await);
    assert_eq!((delivered + dropped[4], dropped[1]), (25, 0));
    delivered
}

/// Checks each protocol with the right files, without a client certificate, with a foreign one, a foreign authority.
async fn check(url: String, protocol: Protocol, pki: &Pki) {
    let other = Pki::new();
    let settings = settings(url, protocol);
    let identity = |pki: &Pki| Some((pki.path("cert"), pki.path("key")));
    for (ca, identity, expected) in
        [(pki, identity(pki), 25), (pki, None, 0), (pki, identity(&other), 0), (&other, identity(pki), 0)]
    {
        assert_eq!(delivered(client(settings.clone(), Some(&ca.path("ca")), identity)).await, expected);
    }
}

#[tokio::test]
async fn grpc_with_both_certificates() {
    let pki = Pki::new();
    let identity = Identity::from_pem(&pki.server.0, &pki.server.1);
    let tls = ServerTlsConfig::new().identity(identity).client_ca_root(Certificate::from_pem(&pki.ca));
    let (address, _) = grpc(&Received::default(), "127.0.0.1:0", Some(tls)).await;
    check(format!("https://{address}"), Protocol::Grpc, &pki).await;
}

#[tokio::test]
async fn http_with_both_certificates() {
    let pki = Pki::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = pki.acceptor();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client without a certificate is turned away here.
                if let Ok(stream) = acceptor.accept(stream).await {
                    Receiver::default().serve(stream).await;
                }
            });
        }
    });
    check(format!("https://{address}"), Protocol::HttpProtobuf, &pki).await;
}

#[test]
fn unusable_tls_files_are_named() {
    let pki = Pki::new();
    std::fs::write(pki.path("empty"), "").unwrap();
    let other = Pki::new();
    let cases = [
        (Some("missing"), None, ["certificate", "missing", ": No such file"]),
        (Some("empty"), None, ["certificate", "empty", ": none in the file"]),
        (Some("key"), None, ["certificate", "key", ": none in the file"]),
        (None, Some((pki.path("missing"), pki.path("key"))), ["certificate", "missing", ": No such file"]),
        (None, Some((pki.path("cert"), pki.path("empty"))), ["private key", "empty", ": "]),
        (None, Some((pki.path("cert"), other.path("key"))), ["client certificate", "cert", " with key "]),
    ];
    for (ca, identity, [what, name, rest]) in cases {
        let mut settings = settings("http://127.0.0.1:1".into(), Protocol::Grpc);
        settings.tls.ca = ca.map(|name| pki.path(name));
        (settings.tls.cert, settings.tls.key) = identity.unzip();
        let error = Client::new(&settings, Signal::Logs).unwrap_err().to_string();
        let expected = format!("cannot use the {what} in {}{rest}", pki.path(name).display());
        assert!(error.contains(&expected), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
}

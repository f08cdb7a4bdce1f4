//! TLS: the right authority, the wrong one, another name, and a server without.

use std::path::Path;

use eyepiece::client::config::TlsConfig;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::transport::{Identity, ServerTlsConfig};

use super::scripted::{Reader, Server};

/// The name in the server's certificate.
const NAME: &str = "node.default.hubble-grpc.cilium.io";

/// An authority in a file, and a server that it vouches for.
fn authority(file: &Path) -> ServerTlsConfig {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    std::fs::write(file, params.self_signed(&key).expect("signed").pem()).expect("written");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![NAME.to_owned()]).expect("parameters");
    let cert = params.signed_by(&key, &issuer).expect("signed").pem();
    ServerTlsConfig::new().identity(Identity::from_pem(cert, key.serialize_pem()))
}

fn options(ca: &Path, name: &str) -> Option<TlsConfig> {
    Some(TlsConfig { ca: vec![ca.to_owned()], server_name: Some(name.to_owned()), ..TlsConfig::default() })
}

#[test]
fn trusted_certificate_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let mut server = Server::start_at("127.0.0.1:0", false, Some(authority(&ca)));
    let mut reader = Reader::start_with(&server.address.to_string(), options(&ca, NAME));
    server.call().flows([1]);
    reader.expect([1]);
}

#[test]
fn untrusted_certificate_is_refused_and_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, other) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    authority(&other);
    let server = Server::start_at("127.0.0.1:0", false, Some(authority(&ca)));
    let address = server.address.to_string();
    for (tls, reason) in [
        (options(&other, NAME), "tls"),
        (options(&ca, "other.example"), "tls"),
        (options(&folder.path().join("none.pem"), NAME), "file"),
    ] {
        let mut reader = Reader::start_with(&address, tls);
        reader.until_reason(reason);
    }
    let plain = Server::start();
    Reader::start_with(&plain.address.to_string(), options(&ca, NAME)).until_reason("tls");
    // Without TLS to one with it: the connection is there, and the first call ends it.
    let mut reader = Reader::start(&address);
    reader.until("an end", |reader| reader.number("eyepiece.source.interruptions", None) > 0);
}

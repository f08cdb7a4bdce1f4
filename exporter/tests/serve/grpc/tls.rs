//! TLS: accepted and refused clients, the reasons, and certificates that change while streams go on.

use std::sync::Arc;
use std::time::Duration;

use eyepiece::services::peer::peer_client::PeerClient;
use eyepiece_hubble::proto::peer::NotifyRequest;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::pki::{NAME, Pki};
use super::support::{Setup, TIMEOUT, health};

/// Handshakes and reads until the other side ends it: a certificate is refused only after the handshake.
async fn handshake(address: std::net::SocketAddr, config: Arc<ClientConfig>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    if let Ok(mut stream) = TlsConnector::from(config).connect(name, stream).await {
        let end = timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await.expect("it is ended");
        assert!(end.is_err() || end.is_ok_and(|size| size == 0));
    }
}

/// Writes some bytes and reads until the other side ends it.
async fn bytes(address: std::net::SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("it is ended").unwrap_or_default();
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn unauthorized_clients_are_refused_with_reason() {
    let (pki, clients, other) = (Pki::new(), Pki::new(), Pki::new());
    let server = Setup { tls: Some(pki.files(Some(&clients.ca))), ..Setup::default() }.start().await;
    let (good, bad) = (clients.sign("client"), other.sign("client"));
    for (config, reason) in [
        (pki.raw(&TLS12, b"h2", Some(&good)), "tls_version"),
        (pki.raw(&TLS13, b"http/1.1", Some(&good)), "no_http2_offered"),
        (pki.raw(&TLS13, b"h2", None), "no_client_certificate"),
        (pki.raw(&TLS13, b"h2", Some(&bad)), "bad_client_certificate"),
        (other.raw(&TLS13, b"h2", Some(&good)), "not_trusted"),
    ] {
        handshake(server.tcp(), config).await;
        server.until("refused", reason, 1).await;
    }
    for (text, reason, count) in [(PREFACE, "plaintext_to_tls", 1), (b"GET / HTTP/1.1\r\n\r\n", "plaintext_to_tls", 2)]
    {
        bytes(server.tcp(), text).await;
        server.until("refused", reason, count).await;
    }
    drop(TcpStream::connect(server.tcp()).await.unwrap());
    server.until("refused", "closed_early", 1).await;
    // An authorized client is accepted.
    let channel = server.tls_channel(pki.client(Some(&good))).await.unwrap();
    assert_eq!(health(channel, "").await.unwrap(), 1);
    server.ask_to_end(TIMEOUT);
    server.ended().await;
}

#[tokio::test]
async fn tls_client_on_plain_port_fails() {
    let (pki, server) = (Pki::new(), Setup::default().start().await);
    handshake(server.tcp(), pki.raw(&TLS13, b"h2", None)).await;
    server.until("refused", "tls_to_plaintext", 1).await;
    bytes(server.tcp(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.until("refused", "http1", 1).await;
    bytes(server.tcp(), b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").await;
    server.until("refused", "not_http2", 1).await;
    // The preface, and then what is no frame.
    bytes(server.tcp(), &[PREFACE, &[0xff; 64]].concat()).await;
    server.until("ended", "failed", 1).await;
    assert_eq!(health(server.channel().await, "").await.unwrap(), 1);
}

#[tokio::test]
async fn reload_of_certificates_keeps_streams() {
    let (old, new) = (Pki::new(), Pki::new());
    let list = old.path("peers");
    std::fs::write(&list, "b=10.0.0.2:1").unwrap();
    let setup = Setup { tls: Some(old.files(None)), peers_file: Some(list.clone()), ..Setup::default() };
    let server = setup.start().await;
    let channel = server.tls_channel(old.client(None)).await.unwrap();
    let mut stream = PeerClient::new(channel.clone()).notify(NotifyRequest {}).await.unwrap().into_inner();
    for expected in ["us", "b"] {
        let change = stream.message().await.unwrap().unwrap();
        assert_eq!(change.name, expected);
        assert_eq!(change.tls.unwrap().server_name, format!("{expected}.default.hubble-grpc.cilium.io"));
    }
    // Half of a pair: the old one stays.
    let pair = new.sign(NAME);
    std::fs::write(old.path("cert"), &pair.cert).unwrap();
    server.until("reloads", "failed", 1).await;
    assert!(server.tls_channel(old.client(None)).await.is_ok());
    assert!(server.tls_channel(new.client(None)).await.is_err());
    std::fs::write(old.path("key"), &pair.key).unwrap();
    server.until("reloads", "ok", 1).await;
    assert!(server.tls_channel(old.client(None)).await.is_err(), "only clients of the new authority");
    let next = server.tls_channel(new.client(None)).await.unwrap();
    assert_eq!(health(next, "").await.unwrap(), 1);
    // The stream and its connection live on.
    std::fs::write(&list, "b=10.0.0.2:2").unwrap();
    let change = timeout(TIMEOUT, stream.message()).await.unwrap().unwrap().unwrap();
    assert_eq!((change.name.as_str(), change.address.as_str(), change.r#type), ("b", "10.0.0.2:2", 3));
    assert_eq!(health(channel, "").await.unwrap(), 1);
    assert_eq!(server.number("reloads", "failed"), 1, "counted once");
}

#[tokio::test]
async fn authorities_of_clients_change_too() {
    let (pki, first, second) = (Pki::new(), Pki::new(), Pki::new());
    let server = Setup { tls: Some(pki.files(Some(&first.ca))), ..Setup::default() }.start().await;
    let (old, new) = (first.sign("client"), second.sign("client"));
    let mut served = Vec::new();
    for round in 0..2 {
        for pair in [&old, &new] {
            let answer = match server.tls_channel(pki.client(Some(pair))).await {
                Ok(channel) => health(channel, "").await.is_ok(),
                Err(_) => false,
            };
            served.push(answer);
        }
        if round == 0 {
            std::fs::write(pki.path("client-ca"), &second.ca).unwrap();
            server.until("reloads", "ok", 1).await;
        }
    }
    assert_eq!(served, [true, false, false, true]);
}

/// As Kubernetes mounts a secret: the files are links into a folder that is swapped as a whole.
#[tokio::test]
async fn swapped_secret_is_reloaded() {
    let (pki, new) = (Pki::new(), Pki::new());
    let version = |name: &str, pki: &Pki, of: &Pki| {
        let pair = of.sign(NAME);
        std::fs::create_dir(pki.path(name)).unwrap();
        std::fs::write(pki.path(name).join("cert"), pair.cert).unwrap();
        std::fs::write(pki.path(name).join("key"), pair.key).unwrap();
        std::os::unix::fs::symlink(name, pki.path("..tmp")).unwrap();
        std::fs::rename(pki.path("..tmp"), pki.path("..data")).unwrap();
    };
    version("..1", &pki, &pki);
    for name in ["cert", "key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), pki.path(name)).unwrap();
    }
    let files = eyepiece::serve::tls::TlsFiles { cert: pki.path("cert"), key: pki.path("key"), client_ca: None };
    let server = Setup { tls: Some(files), ..Setup::default() }.start().await;
    assert!(server.tls_channel(pki.client(None)).await.is_ok());
    for (round, (name, of)) in [("..2", &new), ("..3", &pki)].into_iter().enumerate() {
        version(name, &pki, of);
        server.until("reloads", "ok", round as u64 + 1).await;
        assert!(server.tls_channel(of.client(None)).await.is_ok());
    }
    assert_eq!(server.number("reloads", "failed"), 0);
    // A change of another file in the folder causes no reload.
    std::fs::write(pki.path("other"), "x").unwrap();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.number("reloads", "ok"), 2);
}

#[tokio::test]
async fn unusable_tls_files_fail_start() {
    let (pki, other) = (Pki::new(), Pki::new());
    let good = pki.files(Some(&other.ca));
    std::fs::write(pki.path("empty"), "").unwrap();
    std::fs::write(pki.path("other-key"), other.sign(NAME).key).unwrap();
    let with = |change: &dyn Fn(&mut eyepiece::serve::tls::TlsFiles)| {
        let mut files = good.clone();
        change(&mut files);
        files
    };
    for (files, expected) in [
        (with(&|files| files.cert = pki.path("missing")), "missing: "),
        (with(&|files| files.cert = pki.path("empty")), "empty: none in the file"),
        (with(&|files| files.key = pki.path("empty")), "empty: "),
        (with(&|files| files.key = pki.path("other-key")), "with key "),
        (with(&|files| files.client_ca = Some(pki.path("key"))), "key: none in the file"),
    ] {
        let config = eyepiece::serve::grpc::Config {
            listen: Vec::new(),
            tls: Some(files),
            limits: eyepiece::serve::grpc::Limits::default(),
            version: "1".parse().unwrap(),
            telemetry: eyepiece::support::telemetry::Telemetry::default(),
        };
        let error = config.bind().await.err().expect("no server").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
}

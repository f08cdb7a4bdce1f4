//! Checks the client's connection to a server, and the errors without one.

use std::fs;
use std::net::TcpListener;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::server::{Answers, Server, flow};
use super::{eyepiece, observe, text, texts};

fn one() -> Answers {
    Answers { flows: vec![flow("a")], ..Answers::default() }
}

#[test]
fn unreachable_server_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("unix://{}/none.sock", folder.path().display());
    let (code, out, err) = texts(&observe(&missing, &[]));
    let expected = format!(
        "eyepiece: cannot reach {missing}: No such file or directory (os error 2): is its server running? eyepiece's own listens at hubble.listen\n"
    );
    assert_eq!((code, out.as_str(), err), (1, "", expected));
    let gone = folder.path().join("gone.sock");
    drop(std::os::unix::net::UnixListener::bind(&gone).unwrap());
    let (code, _, err) = texts(&observe(text(&gone), &[]));
    assert!(code == 1 && err.contains("Connection refused") && err.contains(": its server has ended"), "{err}");
    // A free port, given back: no process listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, _, err) = texts(&observe(&free, &[]));
    assert!(code == 1 && err.starts_with(&format!("eyepiece: cannot reach {free}: Connection refused")), "{err}");
    let (code, _, err) = texts(&eyepiece(&["status", "--hubble", &free]).output().unwrap());
    assert!(code == 1 && err.contains(&free), "{err}");
}

#[test]
fn silent_server_is_bounded_by_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tls://{}", listener.local_addr().unwrap());
    let (code, _, err) = texts(&observe(&address, &["--timeout", "100ms"]));
    assert!(code == 1 && err.starts_with(&format!("eyepiece: cannot reach {address}: ")), "{err}");
}

#[test]
fn address_comes_from_flag_variable_configuration() {
    let (flag, variable, own) = (Server::start(one()), Server::start(one()), Server::start(one()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, format!("[hubble]\nlisten = [\"127.0.0.1:1\", \"{}\"]\n", own.address)).unwrap();
    let run = |flags: &[&str], variable: Option<&str>| {
        let mut command = eyepiece(&[&["--config", text(&file), "observe"], flags].concat());
        command.envs(variable.map(|value| ("HUBBLE_SERVER", value)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    run(&["--server", &flag.address], Some(&variable.address));
    run(&[], Some(&variable.address));
    run(&[], None);
    for server in [flag, variable, own] {
        assert_eq!(server.asked.lock().unwrap().flows.len(), 1);
    }
    let silent = eyepiece(&["--set", "hubble.listen=", "observe"]).output().unwrap();
    assert!(texts(&silent).2.contains("hubble.listen is empty"), "{silent:?}");
    let wrong = eyepiece(&["--set", "hubble.nonsense=1", "observe"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(78), "{wrong:?}");
}

/// An authority, and certificates of it for `localhost` and for a client.
struct Authority {
    folder: TempDir,
    ca: String,
    server: (String, String),
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let folder = tempfile::tempdir().unwrap();
    let client = issue("client");
    for (name, content) in [("ca.pem", &ca.pem()), ("client.pem", &client.0), ("client.key", &client.1)] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    Authority { folder, ca: ca.pem(), server: issue("hubble.test") }
}

impl Authority {
    fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    fn config(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(Identity::from_pem(&self.server.0, &self.server.1))
    }
}

#[test]
fn tls_trusts_given_authority() {
    let authority = authority();
    let server = Server::start_tcp(one(), Some(authority.config()));
    let (plain, secure, ca) = (server.address.clone(), format!("tls://{}", server.address), authority.path("ca.pem"));
    let (ca, name) = (["--tls-ca-cert-files", &ca], ["--tls-server-name", "hubble.test"]);
    for (address, flags, expected) in [
        (&secure, [&ca[..], &name].concat(), 0),
        (&plain, [&ca[..], &name].concat(), 0),
        (&plain, [&["--tls"][..], &ca, &name].concat(), 0),
        (&secure, vec!["--tls-allow-insecure"], 0),
        (&secure, ca.to_vec(), 1),
        (&secure, name.to_vec(), 1),
        (&plain, vec![], 1),
    ] {
        let (code, out, err) = texts(&observe(address, &flags));
        assert_eq!(
            (code, out.is_empty(), err.is_empty()),
            (expected, expected == 1, expected == 0),
            "{flags:?} {out} {err}"
        );
        if flags.is_empty() {
            assert!(err.contains("the connection broke: ") && err.contains("TLS on one side"), "{err}");
        } else if expected == 1 {
            assert!(
                err.contains(&format!("cannot reach {secure}: ")) && err.contains("certificate"),
                "{flags:?} {err}"
            );
        }
    }
    let mut command = eyepiece(&["observe", "--server", &plain]);
    command.envs([
        ("HUBBLE_TLS", "true"),
        ("HUBBLE_TLS_CA_CERT_FILES", ca[1]),
        ("HUBBLE_TLS_SERVER_NAME", "hubble.test"),
    ]);
    assert_eq!(texts(&command.output().unwrap()).0, 0);
}

#[test]
fn client_presents_certificate() {
    let authority = authority();
    let config = authority.config().client_ca_root(Certificate::from_pem(&authority.ca));
    let server = Server::start_tcp(one(), Some(config));
    let (ca, cert, key) = (authority.path("ca.pem"), authority.path("client.pem"), authority.path("client.key"));
    let trust = ["--tls-ca-cert-files", &ca, "--tls-server-name", "hubble.test"];
    let identity = ["--tls-client-cert-file", &cert, "--tls-client-key-file", &key];
    let basic = ["--basic-auth-username", "me", "--basic-auth-password", "s3cret"];
    assert_eq!(texts(&observe(&server.address, &trust)).0, 1);
    assert_eq!(texts(&observe(&server.address, &[&trust[..], &identity, &basic].concat())).0, 0);
    assert_eq!(server.asked.lock().unwrap().authorization, ["Basic bWU6czNjcmV0"]);
    for (flag, file, expected) in [
        ("--tls-ca-cert-files", "none.pem", "none.pem: No such file"),
        ("--tls-ca-cert-files", "client.key", "client.key: none in the file"),
        ("--tls-client-key-file", "ca.pem", "cannot use the private key in "),
    ] {
        let path = authority.path(file);
        let flags: Vec<_> = [&trust[..], &identity].concat().into_iter().collect();
        let output = observe(&server.address, &[&flags[..], &[flag, &path]].concat());
        let (code, _, err) = texts(&output);
        assert!(code == 1 && err.contains(expected), "{flag} {file}: {err}");
    }
}

//! Settings that do not fit this machine are reported with their keys, all at once.

use std::collections::BTreeMap;
use std::path::Path;

use eyepiece_config::{Enabled, Listen, Secret, Settings, SourceKind};
use rcgen::{CertificateParams, KeyPair};

use super::{check, warnings};
use crate::app::certificates::Certificates;
use crate::source::datapath::lock;

/// The problems, each as its text.
fn problems(settings: &Settings) -> Vec<String> {
    let origins = BTreeMap::from([("otlp.tls.ca".to_owned(), "--set otlp.tls.ca".to_owned())]);
    check(settings, &origins)
        .err()
        .map_or_else(Vec::new, |error| error.problems.iter().map(ToString::to_string).collect())
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.otlp.endpoint = "https://127.0.0.1:4317".to_owned();
    settings
}

/// A certificate and its key in a folder, by these names.
fn pair(folder: &Path, names: [&str; 2]) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["h".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join(names[0]), certificate.pem()).unwrap();
    std::fs::write(folder.join(names[1]), key.serialize_pem()).unwrap();
}

#[test]
fn unusable_files_are_reported_with_keys() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| (!name.is_empty()).then(|| folder.path().join(name));
    pair(folder.path(), ["cert", "key"]);
    pair(folder.path(), ["other", "otherkey"]);
    std::fs::write(folder.path().join("text"), "hello").unwrap();
    std::fs::write(folder.path().join("broken"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
        .unwrap();
    for (ca, cert, key, expected) in [
        ("cert", "cert", "key", &[][..]),
        (
            "none",
            "cert",
            "key",
            &["otlp.tls.ca (from --set otlp.tls.ca): cannot use the certificate in /|none: No such file"],
        ),
        (
            "text",
            "cert",
            "key",
            &["otlp.tls.ca (from --set otlp.tls.ca): cannot use the certificate in /|text: none in the file"],
        ),
        (
            "",
            "text",
            "text",
            &[
                "otlp.tls.cert: cannot use the certificate in /|text: none in the file",
                "otlp.tls.key: cannot use the private key in /|text: ",
            ],
        ),
        (
            "broken",
            "none",
            "none",
            &[
                "otlp.tls.ca (",
                "otlp.tls.cert: cannot use the certificate in /|none: No such file",
                "otlp.tls.key: cannot use the private key in /|none: No such",
            ],
        ),
        ("cert", "cert", "otherkey", &["otlp.tls.cert: certificate and key do not match"]),
    ] {
        let mut settings = settings();
        settings.otlp.tls.ca = at(ca);
        (settings.otlp.tls.cert, settings.otlp.tls.key) = (at(cert), at(key));
        let found = problems(&settings);
        assert_eq!(found.len(), expected.len(), "{ca} {cert} {key}: {found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            let expected = expected.replace("/|", &format!("{}/", folder.path().display()));
            assert!(found.starts_with(&expected), "{found} / {expected}");
        }
    }
}

#[test]
fn file_of_signal_has_own_key() {
    let mut settings = settings();
    settings.otlp.logs.overrides.tls.ca = Some("/nonexistent/logs.pem".into());
    settings.otlp.tls.ca = Some("/nonexistent/all.pem".into());
    let found = problems(&settings);
    assert!(
        found.len() == 2
            && found[0].starts_with("otlp.logs.tls.ca: cannot use the certificate in /nonexistent/logs.pem: "),
        "{found:#?}"
    );
    assert!(
        found[1]
            .starts_with("otlp.tls.ca (from --set otlp.tls.ca): cannot use the certificate in /nonexistent/all.pem: "),
        "{found:#?}"
    );
    settings.otlp.logs.enabled = false;
    settings.otlp.metrics.enabled = false;
    assert_eq!(problems(&settings), [""; 0], "an export that is off needs no files");
}

#[test]
fn unusable_listeners_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut settings = Settings::default();
    settings.admin.listen = Some("203.0.113.7:9966".parse().unwrap());
    settings.monitor.socket = Some(file.clone());
    settings.monitor.group = "no-such-group".to_owned();
    settings.hubble.listen_given = true;
    settings.hubble.listen = vec![
        Listen::Tcp("203.0.113.8:4244".parse().unwrap()),
        Listen::Tcp("127.0.0.1:4244".parse().unwrap()),
        Listen::Unix("/nonexistent/folder/h.sock".into()),
        Listen::Unix(folder.path().join("h.sock")),
        Listen::Unix(Path::new(lock::FOLDER).join("h.sock")),
    ];
    settings.hubble.group = "no-such-group".to_owned();
    let found = problems(&settings);
    let expected = [
        "admin.listen: 203.0.113.7 is no address of this machine; ".to_owned(),
        "hubble.group: there is no group \"no-such-group\" on this machine; ".to_owned(),
        "hubble.listen: 203.0.113.8 is no address of this machine; ".to_owned(),
        "hubble.listen: there is no folder /nonexistent/folder; ".to_owned(),
        "monitor.group: there is no group \"no-such-group\" on this machine; ".to_owned(),
        format!("monitor.socket: {} is there, and is no socket; ", file.display()),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(&expected), "{found} / {expected}");
    }
}

#[test]
fn default_address_checks_group_and_files() {
    let folder = tempfile::tempdir().unwrap();
    pair(folder.path(), ["cert", "key"]);
    let mut settings = Settings::default();
    settings.hubble.listen = vec![Listen::Unix("/nonexistent/folder/h.sock".into())];
    settings.hubble.group = "no-such-group".to_owned();
    let tls = &mut settings.hubble.tls;
    (tls.cert, tls.key) = (Some(folder.path().join("cert")), Some(folder.path().join("key")));
    tls.client_ca = Some("/nonexistent/ca.pem".into());
    assert!(!settings.hubble.listen_given);
    let found = problems(&settings);
    let expected = [
        "hubble.group: there is no group \"no-such-group\" on this machine; ",
        "hubble.tls.client_ca: cannot use the certificate in /nonexistent/ca.pem: No such file",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:#?}");
}

#[test]
fn server_error_names_key_of_file() {
    let folder = tempfile::tempdir().unwrap();
    pair(folder.path(), ["cert", "key"]);
    for (name, expected) in [("cert", "hubble.tls.cert"), ("key", "hubble.tls.key"), ("ca", "hubble.tls.client_ca")] {
        let at = |file: &str| Some(folder.path().join(if file == name { "missing" } else { file }));
        let mut settings = Settings::default();
        (settings.hubble.tls.cert, settings.hubble.tls.key) = (at("cert"), at("key"));
        let client_ca = if name == "ca" { "missing" } else { "cert" };
        settings.hubble.tls.client_ca = Some(folder.path().join(client_ca));
        let certificates = Certificates::of_hubble(&settings);
        let error = certificates.files().unwrap().check().unwrap_err();
        assert_eq!(certificates.error(&error).key, expected);
    }
}

#[test]
fn unusable_sources_are_reported() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut settings = Settings::default();
    settings.source.kind = SourceKind::Replay;
    for (path, expected) in [
        ("/nonexistent/events".to_owned(), "replay.path: cannot read /nonexistent/events: No such file"),
        (file.path().display().to_string(), "replay.path: invalid recording "),
        ("-".to_owned(), ""),
    ] {
        settings.replay.path.clone_from(&path);
        let found = problems(&settings);
        assert_eq!(found.len(), usize::from(!expected.is_empty()), "{path}: {found:?}");
        assert!(found.iter().all(|found| found.starts_with(expected)), "{found:?}");
    }
    let mut settings = Settings::default();
    settings.datapath.drops_ignore = ["NO_SUCH", "no_socket", "NEITHER"].map(str::to_owned).into();
    let found = problems(&settings);
    assert!(found.len() == 2 && found.iter().all(|found| found.starts_with("datapath.drops_ignore: ")), "{found:?}");
}

#[test]
fn unusable_metadata_files_warn() {
    const KUBECONFIG: &str = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                              users: [{name: u, user: {token: t}}]\n\
                              contexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n";
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(at("names"), "[[name]]\nname = 'one'\naddresses = ['192.0.2.1']\n").unwrap();
    std::fs::write(at("kubeconfig"), KUBECONFIG).unwrap();
    std::fs::write(at("broken"), "a = 1").unwrap();
    std::fs::write(at("contextless"), KUBECONFIG.replace("current-context: c\n", "")).unwrap();
    let found = |settings: &Settings| -> Vec<String> {
        let origins = BTreeMap::from([("metadata.file.path".to_owned(), "--set metadata.file.path".to_owned())]);
        warnings(settings, &origins).iter().map(ToString::to_string).collect()
    };
    const FILE: &str = "metadata.file.path (from --set metadata.file.path): ";
    const KUBERNETES: &str = "metadata.kubernetes.kubeconfig: cannot read kubeconfig /|";
    let mut settings = Settings::default();
    for (names, kubeconfig, expected) in [
        ("names", "kubeconfig", vec![]),
        ("pipe", "pipe", vec![]),
        ("none", "none", vec![format!("{FILE}cannot read /|none: No such file"), format!("{KUBERNETES}none: ")]),
        ("broken", "broken", vec![format!("{FILE}/|broken: invalid line 1"), format!("{KUBERNETES}broken: ")]),
        ("names", "contextless", vec![format!("{KUBERNETES}contextless: ")]),
        ("names", ".", vec![format!("{KUBERNETES}.: ")]),
    ] {
        settings.metadata.file.path = Some(at(names));
        settings.metadata.kubernetes.kubeconfig = Some(at(kubeconfig));
        let found = found(&settings);
        assert_eq!(found.len(), expected.len(), "{names} {kubeconfig}: {found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            let expected = expected.replace("/|", &format!("{}/", folder.path().display()));
            assert!(found.starts_with(&expected), "{found} / {expected}");
        }
    }
    settings.metadata.file.path = Some(at("none"));
    settings.metadata.kubernetes.enabled = Enabled::Off;
    assert_eq!(found(&settings).len(), 1, "kubernetes is off");
    settings.source.kind = SourceKind::Hubble;
    assert_eq!(found(&settings), [""; 0], "flows of another Hubble carry their names");
}

#[test]
fn headers_of_protocol_are_reported() {
    let mut settings = Settings::default();
    settings.otlp.logs.overrides.headers.insert("host".to_owned(), Secret::new("x"));
    let found = problems(&settings);
    assert!(found.len() == 1 && found[0].starts_with("otlp.logs.headers: `host` is set by the protocol"), "{found:?}");
}

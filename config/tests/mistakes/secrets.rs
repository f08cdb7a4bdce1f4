//! Secrets: warnings of those that others can read, and messages, which show none.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use eyepiece_config::{HIDDEN, Signal, Sources, load};

use crate::mistakes;
use crate::support::{file, ok};

/// The warnings about a secret.
fn warnings(sets: &[&str]) -> Vec<String> {
    ok("", &[], sets).warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn secret_header_over_plain_http_warns() {
    const AUTH: &str = "otlp.headers.Authorization=Bearer x";
    let warning = |key: &str, names: &str, host: &str| {
        format!(
            "{key}: {names} would be sent to {host} unencrypted: the endpoint begins with http://; use an https:// \
             endpoint, or leave the secret out"
        )
    };
    let general = warning("otlp.headers (from --set otlp.headers.Authorization)", "authorization", "collector");
    for (sets, expected) in [
        (&[AUTH, "otlp.endpoint=http://collector:4317"][..], vec![general.clone()]),
        (&[AUTH, "otlp.endpoint=http://collector:4317", "otlp.logs.endpoint=https://logs:1"], vec![general.clone()]),
        (&[AUTH, "otlp.endpoint=http://collector:4317", "otlp.metrics.enabled=false"], vec![general]),
        (
            &["otlp.logs.headers=a=b,x-api-key=c", "otlp.endpoint=http://collector:4317"],
            vec![warning("otlp.logs.headers (from --set otlp.logs.headers)", "x-api-key", "collector")],
        ),
        (&[AUTH], vec![]),
        (&[AUTH, "otlp.endpoint=https://collector:4317"], vec![]),
        (&[AUTH, "otlp.endpoint=http://127.0.0.1:4317"], vec![]),
        (&[AUTH, "otlp.endpoint=http://[::1]:4317"], vec![]),
        (&[AUTH, "otlp.endpoint=http://collector:4317", "otlp.protocol=stdout"], vec![]),
        (&["otlp.headers.x-scope-orgid=tenant", "otlp.endpoint=http://collector:4317"], vec![]),
    ] {
        assert_eq!(warnings(sets), expected, "{sets:?}");
    }
}

fn at(path: &Path, mode: u32) -> Vec<String> {
    set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
    let loaded = load(&Sources { file: Some(path.to_owned()), ..Sources::default() });
    loaded.expect("good settings").warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn readable_file_with_secret_header_warns() {
    for (text, holds) in [
        ("[otlp]\nheaders = { Authorization = \"Bearer x\" }", true),
        ("[otlp.logs]\nheaders = \"x-api-key=secret\"", true),
        ("[otlp]\nheaders = { x-scope-orgid = \"tenant\" }", false),
        ("[node]\nname = \"a\"", false),
    ] {
        let file = file(text);
        for (mode, readable) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            let found = at(file.path(), mode);
            assert_eq!(found.len(), usize::from(holds && readable), "{text} {mode:o}: {found:?}");
            let start = format!("{}: every user of this machine can read the file", file.path().display());
            assert!(found.iter().all(|found| found.starts_with(&start)), "{found:?}");
            assert!(found.iter().all(|found| !found.contains("Bearer x") && !found.contains("=secret")), "{found:?}");
        }
    }
}

#[test]
fn readable_private_key_warns() {
    let (key, config) = (file("a key"), file(""));
    for table in ["otlp.tls", "otlp.logs.tls", "hubble.tls", "hubble_source.tls", "prometheus.tls"] {
        // Settings that use TLS, so that there is no other warning.
        let text = format!(
            "otlp.endpoint = \"https://c:1\"\nhubble.listen = [\"127.0.0.1:1\"]\n\
             hubble_source.address = \"c:1\"\n{table}.cert = \"/c\"\n{table}.key = \"{}\"\n",
            key.path().display()
        );
        std::fs::write(config.path(), text).expect("our own file");
        for (mode, readable) in [(0o600, false), (0o644, true)] {
            set_permissions(key.path(), Permissions::from_mode(mode)).expect("our own file");
            let found = at(config.path(), 0o600);
            assert_eq!(found.len(), usize::from(readable), "{table} {mode:o}: {found:?}");
            assert!(found.iter().all(|found| found.starts_with(&format!("{table}.key"))), "{found:?}");
        }
    }
}

#[test]
fn readable_kubeconfig_with_secret_warns() {
    for (text, holds) in [
        ("users:\n- name: u\n  user:\n    token: abc\n", true),
        (r#"{"users":[{"name":"u","user":{"token":"abc"}}]}"#, true),
        ("users:\n- user:\n    client-key-data: abc\n", true),
        ("users:\n- user: {username: me, password: abc}\n", true),
        ("users:\n- user:\n    tokenFile: /t\n    client-key: /k\n    client-certificate-data: abc\n", false),
        ("", false),
    ] {
        let kubeconfig = file(text);
        let config = file(&format!("metadata.kubernetes.kubeconfig = \"{}\"\n", kubeconfig.path().display()));
        for (mode, readable) in [(0o600, false), (0o640, false), (0o644, true)] {
            set_permissions(kubeconfig.path(), Permissions::from_mode(mode)).expect("our own file");
            let found = at(config.path(), 0o600);
            assert_eq!(found.len(), usize::from(holds && readable), "{text} {mode:o}: {found:?}");
            assert!(found.iter().all(|found| found.starts_with("metadata.kubernetes.kubeconfig (from /")), "{found:?}");
            assert!(found.iter().all(|found| found.contains("a token or key") && !found.contains("abc")), "{found:?}");
        }
    }
}

#[test]
fn secrets_are_never_shown() {
    let loaded = ok("", &["OTEL_EXPORTER_OTLP_HEADERS=k=s3cret"], &["otlp.logs.headers.authorization=s3cret"]);
    let (debug, printed) = (format!("{loaded:?}"), loaded.print());
    let export = format!("{:?}", loaded.settings.otlp.export(Signal::Logs));
    for text in [&debug, &printed, &export] {
        assert!(!text.contains("s3cret") && text.contains(HIDDEN), "{text}");
    }
    assert!(
        printed.contains("headers = { \"authorization\" = \"<hidden>\" } # --set otlp.logs.headers.authorization\n")
    );
    for set in [
        "otlp.headers=s3cret",
        "otlp.headers=a=s3cret%",
        "otlp.headers=Basic s3cret==",
        "otlp.headers=Basic s3cret=%",
        "otlp.headers.a=s3cret\n",
        "otlp.endpoint=http://a:s3cret@c",
        "otlp.endpoint=c:4317?token=s3cret",
        "otlp.endpoint=s3cret?://c",
        "otlp.logs.endpoint=ftp://c/path?token=s3cret",
    ] {
        let found = mistakes("", &[], &[set]);
        assert!(found.len() == 1 && !found[0].contains("s3cret"), "{found:?}");
    }
    let found = mistakes("", &["OTEL_EXPORTER_OTLP_HEADERS=Basic s3cret=="], &[]);
    assert!(found.len() == 1 && found[0].contains("entry 1 has no header name;"), "{found:?}");
    assert!(!found[0].contains("s3cret"), "{found:?}");
    let found = mistakes("[otlp]\nheaders = { a = \"s3cret\" ", &[], &[]);
    assert!(found.len() == 1 && !found[0].contains("s3cret"), "{found:?}");
}

//! Warnings of secrets that others can read: headers over plaintext, and files that every user can read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use figment::value::{Dict, Value};

use super::finding::{Finding, warning};
use crate::choices::Protocol;
use crate::convert;
use crate::error::Problem;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::signal::Signal;

/// The keys of headers.
pub(crate) const HEADERS: [&str; 3] = ["otlp.headers", "otlp.metrics.headers", "otlp.logs.headers"];

/// Parts of the names of headers with a secret.
const SECRET_PARTS: [&str; 10] =
    ["auth", "cookie", "credential", "key", "passw", "secret", "session", "signature", "token", "x-honeycomb-team"];

/// Keys in a kubeconfig that hold a secret: tokens of all kinds, passwords and private keys.
const KUBECONFIG_SECRETS: [&str; 3] = ["token:", "password:", "client-key-data:"];

/// Bytes of a kubeconfig that are searched: it has a few kilobytes.
const KUBECONFIG_BYTES: u64 = 1 << 20;

/// Read permission of others, beside owner and group.
const OTHERS_READ: u32 = 0o004;

fn is_secret(header: &str) -> bool {
    let header = header.to_lowercase();
    SECRET_PARTS.iter().any(|part| header.contains(part))
}

/// Warns of secret headers that leave this machine unencrypted, and of keys and tokens that every user can read.
pub(super) fn check(settings: &Settings, findings: &mut Vec<Finding>) {
    let otlp = &settings.otlp;
    let mut warned = BTreeSet::new();
    for signal in Signal::ALL {
        let export = otlp.export(signal);
        let Some(host) = plain_host(&export.endpoint) else { continue };
        if !export.enabled || export.protocol == Protocol::Stdout || is_loopback(host) {
            continue;
        }
        let own = otlp.signal(signal).1;
        let key =
            if own.headers.is_empty() { HEADERS[0].to_owned() } else { format!("otlp.{}.headers", signal.name()) };
        let names = secret_names(&export.headers);
        // A warning for each key: both signals may share the headers and the receiver.
        if names.is_empty() || !warned.insert(key.clone()) {
            continue;
        }
        let wrong = format!("{names} would be sent to {host} unencrypted: the endpoint begins with http://");
        let right = "use an https:// endpoint, or leave the secret out";
        let own_endpoint = format!("otlp.{}.endpoint", signal.name());
        findings.push(warning(&key, wrong, right, &["otlp.endpoint", &own_endpoint]));
    }
    let signals = [("otlp.tls.key", &otlp.tls), ("otlp.metrics.tls.key", &otlp.metrics.overrides.tls)];
    let signals = signals.into_iter().chain([("otlp.logs.tls.key", &otlp.logs.overrides.tls)]);
    let keys = signals.map(|(key, tls)| (key, tls.key.as_deref()));
    let kubeconfig = settings.metadata.kubernetes.kubeconfig.as_deref();
    let kubeconfig = ("metadata.kubernetes.kubeconfig", kubeconfig.filter(|path| has_secret(path)), "a token or key");
    let servers = [
        ("hubble.tls.key", settings.hubble.tls.key.as_deref()),
        ("prometheus.tls.key", settings.prometheus.tls.key.as_deref()),
        ("hubble_source.tls.key", settings.hubble_source.tls.key.as_deref()),
    ];
    let keys = keys.chain(servers).map(|(key, path)| (key, path, "a private key"));
    for (key, path, secret) in keys.chain([kubeconfig]) {
        if let Some(path) = path.filter(|path| others_can_read(path)) {
            let wrong = format!("every user of this machine can read {}, which holds {secret}", path.display());
            findings.push(warning(key, wrong, "take the permission from others: chmod o-r", &[]));
        }
    }
}

fn secret_names(headers: &BTreeMap<String, Secret>) -> String {
    let names: Vec<&str> = headers.keys().map(String::as_str).filter(|name| is_secret(name)).collect();
    names.join(", ")
}

/// The host of an unencrypted URL.
fn plain_host(url: &str) -> Option<&str> {
    let authority = url.strip_prefix("http://")?.split('/').next()?;
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next();
    }
    authority.split(':').next()
}

fn is_loopback(host: &str) -> bool {
    let host = host.to_lowercase();
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn others_can_read(path: &Path) -> bool {
    // Other checks report a missing file.
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & OTHERS_READ != 0)
}

/// Returns whether a kubeconfig, in YAML or JSON, has a secret itself rather than the path of one.
fn has_secret(kubeconfig: &Path) -> bool {
    if !kubeconfig.is_file() {
        return false;
    }
    let mut bytes = Vec::new();
    // Other checks report an unreadable file.
    let read = File::open(kubeconfig).map(|file| file.take(KUBECONFIG_BYTES).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes).replace(['"', '\''], "");
    read.is_ok() && KUBECONFIG_SECRETS.iter().any(|key| text.contains(key))
}

/// The warning of a configuration file with secret headers that every user can read.
pub(crate) fn check_file(path: &Path, values: &Dict) -> Option<Problem> {
    let values = Value::from(values.clone());
    check_headers(path, HEADERS.iter().filter_map(|key| values.find_ref(key)).flat_map(names))
}

/// The warning of a configuration file with headers of these names, if one of them is secret and every user can read
/// the file.
pub(crate) fn check_headers(path: &Path, names: impl IntoIterator<Item = String>) -> Option<Problem> {
    let names: BTreeSet<String> = names.into_iter().filter(|name| is_secret(name)).collect();
    let first = names.first().filter(|_| others_can_read(path))?;
    Some(Problem {
        key: path.display().to_string(),
        origin: String::new(),
        wrong: format!("every user of this machine can read the file, which holds the header {first}"),
        right: "take the permission from others: chmod o-r".to_owned(),
    })
}

/// Names of headers, from a table or a text.
pub(crate) fn names(headers: &Value) -> Vec<String> {
    match headers {
        Value::Dict(_, table) => table.keys().cloned().collect(),
        Value::String(_, text) => convert::pairs(text).unwrap_or_default().into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_loopback, is_secret, plain_host};

    #[test]
    fn secret_headers_are_recognised_by_name() {
        for (name, expected) in [
            ("authorization", true),
            ("Proxy-Authorization", true),
            ("x-api-key", true),
            ("x-honeycomb-team", true),
            ("cookie", true),
            ("x-scope-orgid", false),
            ("user-agent", false),
        ] {
            assert_eq!(is_secret(name), expected, "{name}");
        }
    }

    #[test]
    fn host_of_plain_url_is_found() {
        for (url, host, loopback) in [
            ("http://collector:4317", Some("collector"), false),
            ("http://localhost:4318/v1/logs", Some("localhost"), true),
            ("http://otel.LOCALHOST", Some("otel.LOCALHOST"), true),
            ("http://127.9.9.9:1", Some("127.9.9.9"), true),
            ("http://[::1]:4317", Some("::1"), true),
            ("http://[::ffff:127.0.0.1]:4317", Some("::ffff:127.0.0.1"), true),
            ("http://[fd00::1]:4317", Some("fd00::1"), false),
            ("http://localhost.example", Some("localhost.example"), false),
            ("https://collector:4317", None, false),
        ] {
            assert_eq!(plain_host(url), host, "{url}");
            assert_eq!(host.is_some_and(is_loopback), loopback, "{url}");
        }
    }
}

//! A mistake or a warning about several keys.

use std::path::PathBuf;

use crate::settings::ServerTls;

/// A mistake or a warning about several keys.
pub(crate) struct Finding {
    /// The key to report.
    pub(crate) key: String,
    pub(crate) wrong: String,
    /// The expected form.
    pub(crate) right: String,
    /// The other keys that the check read; if one of them was refused, the finding is dropped.
    pub(crate) seen: Vec<String>,
    /// Its severity.
    pub(crate) severity: Severity,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The settings cannot be used.
    Mistake,
    /// The value can be ignored: a variable of OpenTelemetry may be meant for other programs. Else a mistake.
    Harmless,
    /// The settings work, with an effect that may be unexpected.
    Warning,
}

pub(super) fn finding(
    key: impl Into<String>,
    wrong: impl Into<String>,
    right: impl Into<String>,
    seen: &[&str],
) -> Finding {
    let seen = seen.iter().map(|&key| key.to_owned()).collect();
    Finding { key: key.into(), wrong: wrong.into(), right: right.into(), seen, severity: Severity::Mistake }
}

pub(super) fn warning(key: &str, wrong: impl Into<String>, right: &str, seen: &[&str]) -> Finding {
    Finding { severity: Severity::Warning, ..finding(key, wrong, right, seen) }
}

/// Checks that a certificate comes with its key, and the reverse.
pub(super) fn pair(table: &str, files: (&Option<PathBuf>, &Option<PathBuf>), findings: &mut Vec<Finding>) {
    let (cert, key) = (format!("{table}.cert"), format!("{table}.key"));
    let is_server = matches!(table, "hubble.tls" | "prometheus.tls");
    let certificate = if is_server { "certificate" } else { "client certificate" };
    match files {
        (Some(_), None) => {
            findings.push(finding(cert, format!("a {certificate} without its key"), format!("set {key} too"), &[&key]));
        }
        (None, Some(_)) => {
            findings.push(finding(
                &key,
                format!("a key without its {certificate}"),
                format!("set {cert} too"),
                &[&cert],
            ));
        }
        _ => {}
    }
}

/// Checks a server's certificates.
pub(super) fn server_tls(table: &str, tls: &ServerTls, findings: &mut Vec<Finding>) {
    pair(table, (&tls.cert, &tls.key), findings);
    if tls.client_ca.is_some() && tls.cert.is_none() && tls.key.is_none() {
        let wrong = "without a certificate of our own there is no TLS, and no client is asked for one";
        let (cert, key) = (format!("{table}.cert"), format!("{table}.key"));
        let right = format!("set {cert} and {key} too");
        findings.push(finding(format!("{table}.client_ca"), wrong, right, &[&cert, &key]));
    }
}

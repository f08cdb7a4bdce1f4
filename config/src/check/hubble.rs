//! Checks of Hubble's API: duplicate addresses and peers, unused certificates, open addresses.

use std::collections::BTreeSet;

use super::finding::{Finding, finding, pair, server_tls, warning};
use crate::addresses::{Listen, UNIX};
use crate::choices::SourceKind;
use crate::settings::Settings;

/// Every contradiction in `[hubble]` and `[hubble_source]`.
pub(super) fn check(settings: &Settings, findings: &mut Vec<Finding>) {
    let (hubble, source) = (&settings.hubble, &settings.hubble_source);
    let addresses: Vec<_> = hubble.listen.iter().map(ToString::to_string).collect();
    // Port 0 is another port each time.
    let fixed = addresses.iter().map(String::as_str).filter(|address| !address.ends_with(":0"));
    check_unique("hubble.listen", fixed, findings);
    check_unique("hubble.peers", hubble.peers.iter().map(|peer| peer.name.as_str()), findings);
    server_tls("hubble.tls", &hubble.tls, findings);
    pair("hubble_source.tls", (&source.tls.cert, &source.tls.key), findings);
    let tls = &source.tls;
    let is_encrypted = tls.ca.is_some() || tls.cert.is_some() && tls.key.is_some() || !tls.server_name.is_empty();
    if is_encrypted && source.address.starts_with(UNIX) {
        let wrong = "hubble_source.address is a unix socket, which is never encrypted";
        let right = "leave hubble_source.tls out, or name a host and a port";
        let seen = ["hubble_source.tls.cert", "hubble_source.tls.server_name", "hubble_source.address"];
        findings.push(finding("hubble_source.tls.ca", wrong, right, &seen));
    }
    if settings.source.kind == SourceKind::Hubble && settings.monitor.socket.is_some() {
        let wrong =
            "source.kind is hubble, which delivers decoded flows: there is no payload for the monitor's clients";
        let right = "leave it out, or read from cilium-monitor; clients of Hubble get the flows at hubble.listen";
        findings.push(finding("monitor.socket", wrong, right, &["source.kind"]));
    }
    if hubble.listen.is_empty() {
        return;
    }
    if hubble.tls.cert.is_none() && hubble.tls.key.is_none() {
        for open in hubble.listen.iter().filter(|listen| !listen.is_local()) {
            let wrong = format!("{open} is reached from other machines, and without TLS: every client sees all flows");
            let right = "set hubble.tls.cert and hubble.tls.key, or listen on 127.0.0.1 or a unix socket";
            findings.push(warning("hubble.listen", wrong, right, &["hubble.tls.cert", "hubble.tls.key"]));
        }
    } else if !hubble.listen.iter().any(|listen| matches!(listen, Listen::Tcp(_))) {
        let wrong = "hubble.listen has only unix sockets, which are never encrypted";
        let right = "add an address such as 0.0.0.0:4244 to hubble.listen, or leave the certificate out";
        findings.push(warning("hubble.tls.cert", wrong, right, &["hubble.listen"]));
    }
}

fn check_unique<'a>(key: &str, names: impl Iterator<Item = &'a str>, findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            findings.push(finding(key, format!("{name} is listed twice"), "leave one of them out", &[]));
        }
    }
}

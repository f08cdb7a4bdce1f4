//! Checks of Hubble's API: addresses and peers that stand twice, certificates that protect nothing, open doors.

use std::collections::BTreeSet;

use super::{Finding, finding, pair, warning};
use crate::addresses::{Listen, UNIX};
use crate::choices::SourceKind;
use crate::settings::Settings;

/// Every contradiction in `[hubble]` and `[hubble_source]`.
pub(super) fn check(settings: &Settings, findings: &mut Vec<Finding>) {
    let (hubble, source) = (&settings.hubble, &settings.hubble_source);
    let addresses: Vec<_> = hubble.listen.iter().map(ToString::to_string).collect();
    // Port 0 is another one each time.
    let fixed = addresses.iter().map(String::as_str).filter(|address| !address.ends_with(":0"));
    twice("hubble.listen", fixed, findings);
    twice("hubble.peers", hubble.peers.iter().map(|peer| peer.name.as_str()), findings);
    pair("hubble.tls", (&hubble.tls.cert, &hubble.tls.key), findings);
    pair("hubble_source.tls", (&source.tls.cert, &source.tls.key), findings);
    if hubble.tls.client_ca.is_some() && hubble.tls.cert.is_none() && hubble.tls.key.is_none() {
        let wrong = "without a certificate of our own there is no TLS, and no client is asked for one";
        let right = "set hubble.tls.cert and hubble.tls.key too";
        findings.push(finding("hubble.tls.client_ca", wrong, right, &["hubble.tls.cert", "hubble.tls.key"]));
    }
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
            "source.kind is hubble, whose flows come decoded: no payload is left that a monitor's client could get";
        let right = "leave it out, or read from cilium-monitor; clients of Hubble get the flows at hubble.listen";
        findings.push(finding("monitor.socket", wrong, right, &["source.kind"]));
    }
    if hubble.listen.is_empty() {
        return;
    }
    if hubble.tls.cert.is_none() && hubble.tls.key.is_none() {
        for open in hubble.listen.iter().filter(|listen| !listen.is_local()) {
            let wrong =
                format!("{open} is reached from other machines, and without TLS: whoever connects sees all flows");
            let right = "set hubble.tls.cert and hubble.tls.key, or listen on 127.0.0.1 or a unix socket";
            findings.push(warning("hubble.listen", wrong, right, &["hubble.tls.cert", "hubble.tls.key"]));
        }
    } else if !hubble.listen.iter().any(|listen| matches!(listen, Listen::Tcp(_))) {
        let wrong = "hubble.listen has only unix sockets, which are never encrypted";
        let right = "add an address such as 0.0.0.0:4244 to hubble.listen, or leave the certificate out";
        findings.push(warning("hubble.tls.cert", wrong, right, &["hubble.listen"]));
    }
}

fn twice<'a>(key: &str, names: impl Iterator<Item = &'a str>, findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            findings.push(finding(key, format!("{name} is there twice"), "leave one of them out", &[]));
        }
    }
}

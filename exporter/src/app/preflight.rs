//! Checks settings against this machine before anything is built: files, groups, addresses, folders, kernel names.
//!
//! `config check` and the start of `run` and `record` make the same checks, so what passes one passes the other, but for
//! what only a running program can meet: an address in use, a missing privilege.

mod pem;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use eyepiece_config::{ConfigError, Export, Listen, Loaded, Problem, Protocol, Settings, Signal, SourceKind};
use http::Uri;

use self::pem::Files;
use super::{AppError, hubble, monitor};
use crate::client::address::Address;
use crate::export::otlp;
use crate::source::datapath::btf::Btf;
use crate::source::datapath::{kernel_names, lock};
use crate::source::replay;

/// Checks all settings, with the origins of those that were given.
///
/// # Errors
/// Every setting that this machine does not allow.
pub fn check(settings: &Settings, origins: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    let mut found = Found { origins, problems: Vec::new() };
    otlp(settings, &mut found);
    served(settings, &mut found);
    source(settings, &mut found);
    let mut problems = found.problems;
    problems.sort_by(|a, b| a.key.cmp(&b.key));
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
}

/// What may be a surprise: files that may come later, and are not there now.
pub fn warnings(loaded: &Loaded) -> Vec<Problem> {
    let mut found = Found { origins: &loaded.origins, problems: Vec::new() };
    let hubble = &loaded.settings.hubble;
    if let Some(path) = hubble.peers_file.as_ref().filter(|_| !hubble.listen.is_empty())
        && let Err(wrong) = crate::serve::peer::check_file(path)
    {
        found.add("hubble.peers_file", wrong, "until it can be read, its nodes are unknown");
    }
    found.problems
}

/// Problems so far.
struct Found<'a> {
    origins: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Found<'_> {
    fn add(&mut self, key: &str, wrong: impl Into<String>, right: &str) {
        let origin = self.origins.get(key).cloned().unwrap_or_default();
        self.problems.push(Problem { key: key.to_owned(), origin, wrong: wrong.into(), right: right.to_owned() });
    }
}

/// The receivers: certificates and headers.
fn otlp(settings: &Settings, found: &mut Found<'_>) {
    let otlp = &settings.otlp;
    for (signal, own) in [(Signal::Logs, &otlp.logs.overrides), (Signal::Metrics, &otlp.metrics.overrides)] {
        let export = otlp.export(signal);
        if !export.enabled || export.protocol == Protocol::Stdout {
            continue;
        }
        // A signal's own value counts for more, so it is the one that is wrong.
        let key = |name: &str, is_own: bool| match is_own {
            true => format!("otlp.{}.{name}", signal.name()),
            false => format!("otlp.{name}"),
        };
        let [ca, cert, private] = [
            ("tls.ca", own.tls.ca.is_some()),
            ("tls.cert", own.tls.cert.is_some()),
            ("tls.key", own.tls.key.is_some()),
        ]
        .map(|(name, is_own)| key(name, is_own));
        let tls = &export.tls;
        let files = Files {
            ca: (&ca, tls.ca.as_deref()),
            cert: (&cert, tls.cert.as_deref()),
            key: (&private, tls.key.as_deref()),
        };
        files.check(found);
        if tls.ca.is_none() && is_https(&export) && rustls_native_certs::load_native_certs().certs.is_empty() {
            found.add(&ca, "the system has no root certificates", "install ca-certificates, or name a file");
        }
        for error in otlp::config::check(&export, signal) {
            let is_own = match error.key {
                "endpoint" => own.endpoint.is_some(),
                "headers" => !own.headers.is_empty(),
                _ => false,
            };
            found.add(&key(error.key, is_own), error.message, "see `eyepiece config reference`");
        }
    }
}

fn is_https(export: &Export) -> bool {
    export.endpoint.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https"))
}

/// What we serve: addresses, sockets' folders and groups, certificates.
fn served(settings: &Settings, found: &mut Found<'_>) {
    if let Some(listen) = settings.admin.listen {
        local(listen.ip(), "admin.listen", found);
    }
    if let Some(path) = &settings.monitor.socket {
        socket(path, "monitor.socket", found);
        group("monitor.group", &settings.monitor.group, found);
    }
    let hubble = &settings.hubble;
    // The default address may be out of reach.
    if hubble.listen.is_empty() || !hubble.listen_given {
        return;
    }
    for listen in &hubble.listen {
        match listen {
            Listen::Unix(path) => socket(path, "hubble.listen", found),
            Listen::Tcp(address) => local(address.ip(), "hubble.listen", found),
        }
    }
    group("hubble.group", &hubble.group, found);
    let tls = &hubble.tls;
    let files = Files {
        ca: ("hubble.tls.client_ca", tls.client_ca.as_deref()),
        cert: ("hubble.tls.cert", tls.cert.as_deref()),
        key: ("hubble.tls.key", tls.key.as_deref()),
    };
    files.check(found);
    // What the files alone do not show: a key of an algorithm that the server does not have.
    if !found.problems.iter().any(|problem| problem.key.starts_with("hubble.tls."))
        && let Some(Err(error)) = hubble::certificates(settings).map(|files| files.check())
    {
        found.add("hubble.tls.cert", error.to_string(), "use another certificate and its key");
    }
}

/// Whether an address is this machine's; whether its port is free, only a start can tell.
fn local(ip: IpAddr, key: &str, found: &mut Found<'_>) {
    if let Err(error) = TcpListener::bind((ip, 0))
        && error.kind() == io::ErrorKind::AddrNotAvailable
    {
        let wrong = format!("{ip} is no address of this machine");
        found.add(key, wrong, "use one of its addresses, 127.0.0.1, or 0.0.0.0 for all of them");
    }
}

/// Whether a socket can be made at a path.
fn socket(path: &Path, key: &str, found: &mut Found<'_>) {
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Our own is made where it is missing.
    if !folder.is_dir() && folder != Path::new(lock::FOLDER) {
        found.add(key, format!("there is no folder {}", folder.display()), "make it, or use another path");
    } else if path.symlink_metadata().is_ok_and(|there| !there.file_type().is_socket()) {
        let wrong = format!("{} is there, and is no socket", path.display());
        found.add(key, wrong, "remove it, or use another path");
    }
}

fn group(key: &'static str, name: &str, found: &mut Found<'_>) {
    // Where the list of groups cannot be read, the start reports it.
    if let Err(AppError::Setting { key, wrong, right }) = monitor::group(key, name) {
        found.add(key, wrong, right);
    }
}

/// Where events come from.
fn source(settings: &Settings, found: &mut Found<'_>) {
    match settings.source.kind {
        SourceKind::Datapath => drop_reasons(&settings.datapath.drops_ignore, found),
        SourceKind::CiliumMonitor => {}
        SourceKind::Replay => {
            if let Err(error) = replay::check(&settings.replay.path) {
                found.add("replay.path", error, "name a file that `eyepiece record --raw` wrote");
            }
        }
        SourceKind::Hubble => {
            let hubble = &settings.hubble_source;
            if let Err(error) = hubble.address.parse::<Address>() {
                found.add("hubble_source.address", error.to_string(), "use unix:// and a path, or a host and a port");
            }
            let tls = &hubble.tls;
            let files = Files {
                ca: ("hubble_source.tls.ca", tls.ca.as_deref()),
                cert: ("hubble_source.tls.cert", tls.cert.as_deref()),
                key: ("hubble_source.tls.key", tls.key.as_deref()),
            };
            files.check(found);
        }
    }
}

/// Whether this kernel has the drop reasons; a kernel without types cannot be watched at all.
fn drop_reasons(names: &[String], found: &mut Found<'_>) {
    if names.is_empty() {
        return;
    }
    let Ok(types) = Btf::from_kernel() else { return };
    for name in kernel_names::unknown_reasons(&types, names) {
        let wrong = format!("this kernel has no drop reason {name:?}");
        found.add("datapath.drops_ignore", wrong, "use the names that `reason` has in metrics, such as NO_SOCKET");
    }
}

#[cfg(test)]
mod tests;

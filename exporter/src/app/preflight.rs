//! Checks settings against this machine before anything is built: files, groups, addresses, folders, kernel names.
//!
//! `config check` makes the same checks as the start of `run` and `record`. Only a start finds an address in use or a
//! missing privilege.

mod pem;
mod problems;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use eyepiece_config::{
    ConfigError, Enabled, Export, HubbleSource, Listen, Problem, Protocol, Settings, Signal, SourceKind,
};
use http::Uri;

use self::pem::Files;
use self::problems::Problems;
use super::certificates::Certificates;
use super::error::{AppError, SettingError};
use super::socket;
use crate::client::address::Address;
use crate::export::otlp;
use crate::metadata::file::check_file;
use crate::metadata::kubernetes::check_kubeconfig;
use crate::serve::peer;
use crate::source::datapath::btf::Btf;
use crate::source::datapath::{kernel_names, lock};
use crate::source::replay;

/// Checks all settings, with the origins of those that were given.
///
/// # Errors
/// Every setting that does not fit this machine.
pub fn check(settings: &Settings, origins: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    let mut problems = Problems::new(origins);
    check_otlp(settings, &mut problems);
    check_served(settings, &mut problems);
    check_source(settings, &mut problems);
    problems.finish()
}

/// Warns of files that cannot be used now and are read again later.
pub fn warnings(settings: &Settings, origins: &BTreeMap<String, String>) -> Vec<Problem> {
    let Settings { hubble, metadata, .. } = settings;
    let has_metadata = matches!(settings.source.kind, SourceKind::Datapath | SourceKind::CiliumMonitor);
    let has_kubernetes = has_metadata && metadata.kubernetes.enabled != Enabled::Off;
    let files = [
        (
            "hubble.peers_file",
            hubble.peers_file.as_deref().filter(|_| !hubble.listen.is_empty()),
            peer::check_file as fn(&Path) -> Result<(), String>,
            "until it can be read, its nodes are unknown",
        ),
        (
            "metadata.file.path",
            metadata.file.path.as_deref().filter(|_| has_metadata),
            check_file,
            "until it can be used, its names are unknown",
        ),
        (
            "metadata.kubernetes.kubeconfig",
            metadata.kubernetes.kubeconfig.as_deref().filter(|_| has_kubernetes),
            check_kubeconfig,
            "until it can be used, pods and services have no names",
        ),
    ];
    let mut problems = Problems::new(origins);
    for (key, path, check, right) in files {
        // A pipe may block, and its content can be read once only.
        let is_pipe = |path: &&Path| path.metadata().is_ok_and(|found| found.file_type().is_fifo());
        if let Some(Err(wrong)) = path.filter(|path| !is_pipe(path)).map(check) {
            problems.add(key, wrong, right);
        }
    }
    problems.into_list()
}

/// Checks certificates and headers of the receivers.
fn check_otlp(settings: &Settings, problems: &mut Problems<'_>) {
    let otlp = &settings.otlp;
    for (signal, own) in [(Signal::Logs, &otlp.logs.overrides), (Signal::Metrics, &otlp.metrics.overrides)] {
        let export = otlp.export(signal);
        if !export.enabled || export.protocol == Protocol::Stdout {
            continue;
        }
        // A signal's own value replaces the general one, so it is the one that is wrong.
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
        files.check(problems);
        if tls.ca.is_none() && is_https(&export) && rustls_native_certs::load_native_certs().certs.is_empty() {
            problems.add(&ca, "the system has no root certificates", "install ca-certificates, or name a file");
        }
        for error in otlp::config::check(&export) {
            let key = key(error.key, !own.headers.is_empty());
            problems.add(&key, error.message, "see `eyepiece config reference`");
        }
    }
}

fn is_https(export: &Export) -> bool {
    export.endpoint.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https"))
}

/// Checks the settings of servers: addresses, sockets' folders and groups, certificates.
fn check_served(settings: &Settings, problems: &mut Problems<'_>) {
    if let Some(listen) = settings.admin.listen {
        check_local(listen.ip(), "admin.listen", problems);
    }
    if let Some(path) = &settings.monitor.socket {
        check_socket(path, "monitor.socket", problems);
        check_group("monitor.group", &settings.monitor.group, problems);
    }
    if let Some(listen) = settings.prometheus.listen {
        check_local(listen.ip(), "prometheus.listen", problems);
        check_certificates(&Certificates::of_prometheus(settings), "prometheus.tls.", problems);
    }
    let hubble = &settings.hubble;
    if hubble.listen.is_empty() {
        return;
    }
    // A default address that cannot be bound is only a warning at the start.
    for listen in hubble.listen.iter().filter(|_| hubble.listen_given) {
        match listen {
            Listen::Unix(path) => check_socket(path, "hubble.listen", problems),
            Listen::Tcp(address) => check_local(address.ip(), "hubble.listen", problems),
        }
    }
    check_group("hubble.group", &hubble.group, problems);
    check_certificates(&Certificates::of_hubble(settings), "hubble.tls.", problems);
}

/// Checks the certificates of a server, whose keys start with `table`.
fn check_certificates(certificates: &Certificates<'_>, table: &str, problems: &mut Problems<'_>) {
    let [cert, key, ca] = certificates.by_key();
    Files { ca, cert, key }.check(problems);
    // The server may lack the algorithm of a key that is valid by itself.
    if !problems.has_any_below(table)
        && let Some(Err(error)) = certificates.files().map(|files| files.check())
    {
        problems.add_setting(certificates.error(&error));
    }
}

/// Checks that an address is this machine's; whether its port is free, only the start finds out.
fn check_local(ip: IpAddr, key: &str, problems: &mut Problems<'_>) {
    if let Err(error) = TcpListener::bind((ip, 0))
        && error.kind() == io::ErrorKind::AddrNotAvailable
    {
        let wrong = format!("{ip} is no address of this machine");
        problems.add(key, wrong, "use one of its addresses, 127.0.0.1, or 0.0.0.0 for all of them");
    }
}

/// Checks that a socket can be created at a path.
fn check_socket(path: &Path, key: &str, problems: &mut Problems<'_>) {
    let folder = path.parent().unwrap_or(Path::new("/"));
    // The start creates our own folder.
    if !folder.is_dir() && folder != Path::new(lock::FOLDER) {
        problems.add(key, format!("there is no folder {}", folder.display()), "make it, or use another path");
    } else if path.symlink_metadata().is_ok_and(|there| !there.file_type().is_socket()) {
        let wrong = format!("{} is there, and is no socket", path.display());
        problems.add(key, wrong, "remove it, or use another path");
    }
}

fn check_group(key: &'static str, name: &str, problems: &mut Problems<'_>) {
    // The start reports that the list of groups cannot be read.
    if let Err(AppError::Setting(error)) = socket::group(key, name) {
        problems.add_setting(error);
    }
}

/// Checks the source's file, address, certificates or drop reasons.
fn check_source(settings: &Settings, problems: &mut Problems<'_>) {
    match settings.source.kind {
        SourceKind::Datapath => check_drop_reasons(&settings.datapath.drops_ignore, problems),
        SourceKind::CiliumMonitor => {}
        SourceKind::Replay => {
            if let Err(error) = replay::check(&settings.replay.path) {
                problems.add("replay.path", error, "name a file that `eyepiece record --raw` wrote");
            }
        }
        SourceKind::Hubble => check_hubble_source(&settings.hubble_source, problems),
    }
}

fn check_hubble_source(settings: &HubbleSource, problems: &mut Problems<'_>) {
    if let Err(error) = settings.address.parse::<Address>() {
        problems.add_setting(SettingError::hubble_address(&error));
    }
    let tls = &settings.tls;
    let files = Files {
        ca: ("hubble_source.tls.ca", tls.ca.as_deref()),
        cert: ("hubble_source.tls.cert", tls.cert.as_deref()),
        key: ("hubble_source.tls.key", tls.key.as_deref()),
    };
    files.check(problems);
}

/// Checks that this kernel has the drop reasons; a kernel without types cannot be watched at all.
fn check_drop_reasons(names: &[String], problems: &mut Problems<'_>) {
    if names.is_empty() {
        return;
    }
    let Ok(types) = Btf::from_kernel() else { return };
    for name in kernel_names::unknown_reasons(&types, names) {
        problems.add_setting(SettingError::unknown_drop_reason(name));
    }
}

#[cfg(test)]
mod tests;

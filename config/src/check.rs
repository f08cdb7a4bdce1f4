//! Checks that need more than one key.

mod finding;
mod hubble;
mod monitor;
pub(crate) mod secrets;

use self::finding::{finding, pair, server_tls, warning};
use crate::choices::{HandlerName, Protocol, SourceKind};
use crate::handlers::Handler;
use crate::settings::{Otlp, Settings};
use crate::signal::{Signal, path};

pub(crate) use self::finding::{Finding, Severity};

/// Every contradiction in the settings.
pub(crate) fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let otlp = &settings.otlp;
    check_source(settings, &mut findings);
    check_export(settings, &mut findings);
    check_handlers(&settings.metrics.hubble, &mut findings);
    hubble::check(settings, &mut findings);
    server_tls("prometheus.tls", &settings.prometheus.tls, &mut findings);
    monitor::check(settings, &mut findings);
    pair("otlp.tls", (&otlp.tls.cert, &otlp.tls.key), &mut findings);
    for signal in Signal::ALL {
        check_signal(otlp, signal, &mut findings);
    }
    check_unused_tls(otlp, &mut findings);
    secrets::check(settings, &mut findings);
    findings
}

/// Checks that the source has interfaces or a file.
fn check_source(settings: &Settings, findings: &mut Vec<Finding>) {
    if settings.datapath.interfaces.include.is_empty() {
        let right = "name the interfaces to watch, or \"*\" for all";
        findings.push(finding(
            "datapath.interfaces.include",
            "the list is empty, so nothing would be watched",
            right,
            &[],
        ));
    }
    if settings.source.kind == SourceKind::Replay && settings.replay.path.is_empty() {
        let right = "name the file that `eyepiece record --raw` wrote, or \"-\" for standard input";
        findings.push(finding("replay.path", "source.kind is replay, and there is no file", right, &["source.kind"]));
    }
}

/// Checks batches, expiry and printed metrics.
fn check_export(settings: &Settings, findings: &mut Vec<Finding>) {
    let (otlp, metrics) = (&settings.otlp, &settings.metrics);
    if otlp.logs.batch_records > otlp.logs.queue_records {
        findings.push(finding(
            "otlp.logs.batch_records",
            format!("{} is more than otlp.logs.queue_records holds", otlp.logs.batch_records),
            format!("use at most {}", otlp.logs.queue_records),
            &["otlp.logs.queue_records"],
        ));
    }
    if otlp.metrics.enabled && !metrics.idle_expiry.is_zero() && metrics.idle_expiry < otlp.metrics.interval {
        findings.push(finding(
            "metrics.idle_expiry",
            "series would be dropped before they are exported",
            "use at least otlp.metrics.interval, or 0s for never",
            &["otlp.metrics.interval"],
        ));
    }
    let (metrics, logs) = (otlp.export(Signal::Metrics), otlp.export(Signal::Logs));
    if metrics.enabled
        && metrics.protocol == Protocol::Stdout
        && !otlp.metrics.table
        && !(logs.enabled && logs.protocol == Protocol::Stdout)
    {
        findings.push(warning(
            "otlp.metrics.table",
            "the protocol of metrics is stdout, where they are printed only as a table: nothing is printed",
            "set it to true, use another protocol, or set otlp.metrics.enabled = false",
            &["otlp.protocol", "otlp.metrics.protocol", "otlp.logs.protocol", "otlp.logs.enabled"],
        ));
    }
}

/// Reports handlers that are skipped.
fn check_handlers(handlers: &[Handler], findings: &mut Vec<Finding>) {
    for handler in handlers {
        if handler.name.is_none() {
            let wrong = format!("{:?} is no handler of Hubble's metrics, it is skipped", handler.given_name());
            let right = format!("use {}", HandlerName::NAMES.join(", "));
            findings.push(warning("metrics.hubble", wrong, &right, &[]));
        }
    }
}

fn check_signal(otlp: &Otlp, signal: Signal, findings: &mut Vec<Finding>) {
    let (_, own) = otlp.signal(signal);
    let table = format!("otlp.{}", signal.name());
    pair(&format!("{table}.tls"), (&own.tls.cert, &own.tls.key), findings);
    let export = otlp.export(signal);
    let own_key = format!("{table}.endpoint");
    let key = if own.endpoint.is_some() { own_key.as_str() } else { "otlp.endpoint" };
    let own_protocol = format!("{table}.protocol");
    let path = path(own.endpoint.as_deref().unwrap_or(&otlp.endpoint));
    if export.enabled && export.protocol == Protocol::Grpc && !matches!(path, "" | "/") {
        let known = findings.iter().any(|finding| finding.key == key);
        if !known {
            let wrong = format!("a gRPC endpoint has no path, this one has {path:?}");
            let right = "leave the path out, or set the protocol to http/protobuf";
            let found = finding(key, wrong, right, &["otlp.protocol", &own_protocol]);
            findings.push(Finding { severity: Severity::Harmless, ..found });
        }
    }
    let tls = &own.tls;
    if export.enabled && export.endpoint.starts_with("http://") {
        for (name, file) in [("ca", &tls.ca), ("cert", &tls.cert)] {
            if file.is_some() {
                let seen = ["otlp.endpoint", own_key.as_str()];
                findings.push(plain(format!("{table}.tls.{name}"), &seen));
            }
        }
    }
}

/// Reports certificates for a plaintext connection.
fn check_unused_tls(otlp: &Otlp, findings: &mut Vec<Finding>) {
    let exports: Vec<_> =
        Signal::ALL.iter().map(|&signal| otlp.export(signal)).filter(|export| export.enabled).collect();
    if exports.is_empty() || exports.iter().any(|export| export.endpoint.starts_with("https://")) {
        return;
    }
    for (name, file) in [("ca", &otlp.tls.ca), ("cert", &otlp.tls.cert)] {
        if file.is_some() {
            let seen = ["otlp.endpoint", "otlp.metrics.endpoint", "otlp.logs.endpoint"];
            findings.push(plain(format!("otlp.tls.{name}"), &seen));
        }
    }
}

fn plain(key: String, seen: &[&str]) -> Finding {
    let wrong = "the endpoint begins with http://, so nothing is encrypted";
    Finding { severity: Severity::Harmless, ..finding(key, wrong, "use an https:// endpoint, or leave it out", seen) }
}

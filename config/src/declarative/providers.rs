//! Reads `logger_provider` and `meter_provider`.

use std::net::SocketAddr;

use super::apply::apply;
use super::exporter::{self, Exporter, ExporterKind};
use super::node::{NodeValue, integer};
use super::report::{LocatedNode, Report};
use super::table::{
    BATCH_PROCESSOR, LOGGER_PROVIDER, METER_PROVIDER, PERIODIC_READER, PROMETHEUS, PULL_READER, READER,
    SIMPLE_PROCESSOR,
};
use crate::otel;
use crate::signal::Signal;

/// Reads the processors of log records, of which one is supported.
pub(super) fn read_logger_provider(at: &LocatedNode<'_>, report: &mut Report) {
    let mistakes = report.problems.len();
    apply(at, &[LOGGER_PROVIDER], "", report);
    let warnings = report.warnings.len();
    let mut exporters = Vec::new();
    for processor in required_items(at, "processors", report) {
        let Some((kind, body)) = processor.only_entry(report) else { continue };
        match kind {
            "batch" | "simple" => exporters.extend(Exporter::find(kind, body, report)),
            "event_to_span_event_bridge/development" => report.unsupported(&body),
            _ => report.unknown(&body, &["batch", "simple"]),
        }
    }
    let Some(exporter) = Exporter::choose(exporters, "log records", report) else {
        if report.problems.len() == mistakes {
            let wrong = format!("no log record would be exported, not supported is {}", names(report, warnings));
            report.wrong(at, wrong, "use batch with otlp_grpc, otlp_http or console");
        }
        return;
    };
    let owner = &exporter.owner;
    if exporter.owner_kind == "batch" {
        apply(owner, &[BATCH_PROCESSOR], "", report);
        bound_batches(owner, report);
    } else {
        apply(owner, &[SIMPLE_PROCESSOR], "", report);
        if exporter.kind != ExporterKind::Console {
            report.warn(owner, "not supported, records are sent in batches", "use batch");
        }
    }
    exporter.read(Signal::Logs, report);
}

/// Without a size of batches, adds the one that the queue allows.
fn bound_batches(processor: &LocatedNode<'_>, report: &mut Report) {
    let Some(queue) = processor.child("max_queue_size") else { return };
    if let NodeValue::Integer(size) = queue.node.value
        && u32::try_from(size).ok().and_then(otel::bounded_batch).is_some()
        && processor.child("max_export_batch_size").is_none()
    {
        report.set(&queue, "otlp.logs.batch_records", integer(size));
    }
}

/// Reads the readers of metrics: one that sends and one that serves are supported.
pub(super) fn read_meter_provider(at: &LocatedNode<'_>, report: &mut Report) {
    let mistakes = report.problems.len();
    apply(at, &[METER_PROVIDER], "", report);
    let warnings = report.warnings.len();
    let (mut senders, mut servers) = (Vec::new(), Vec::new());
    for reader in required_items(at, "readers", report) {
        let Some((kind, body)) = reader.only_entry(report) else { continue };
        match kind {
            "periodic" => senders.extend(Exporter::find(kind, body, report)),
            "pull" => servers.extend(find_prometheus(body, report)),
            _ => report.unknown(&body, &["periodic", "pull"]),
        }
    }
    for (_, other) in servers.iter().skip(1) {
        report.warn(other, "a second endpoint of Prometheus is not supported, it is ignored", "leave one of them out");
    }
    let (sender, server) = (Exporter::choose(senders, "metrics", report), servers.first());
    match (&sender, server) {
        (None, None) if report.problems.len() == mistakes => {
            let wrong = format!("no metric would be exported, not supported is {}", names(report, warnings));
            report.wrong(at, wrong, "use periodic with otlp_grpc, otlp_http or console");
        }
        (None, Some((reader, _))) => report.set(reader, "otlp.metrics.enabled", false),
        _ => {}
    }
    if let Some((reader, exporter)) = server {
        apply(reader, &[PULL_READER, READER], "", report);
        read_prometheus(exporter, report);
    }
    if let Some(sender) = sender {
        apply(&sender.owner, &[PERIODIC_READER, READER], "", report);
        sender.read(Signal::Metrics, report);
        if let Some((reader, _)) = server {
            choose_cardinality_limit([reader, &sender.owner], report);
        }
    }
}

/// Sets the greater limit of two readers: there is one for both.
fn choose_cardinality_limit(readers: [&LocatedNode<'_>; 2], report: &mut Report) {
    let limits = readers.into_iter().filter_map(|reader| {
        let at = reader.child("cardinality_limits")?.child("default")?;
        let NodeValue::Integer(limit) = at.node.value else { return None };
        Some((limit, at))
    });
    let mut limits: Vec<_> = limits.collect();
    limits.sort_by_key(|(limit, _)| *limit);
    if let [(smaller, at), (greater, greater_at)] = limits.as_slice()
        && smaller < greater
    {
        let wrong = format!("both readers have one limit, the greater one of {greater} is used");
        report.warn(at, wrong, "set the same limit in both readers");
        report.set(greater_at, "metrics.max_series", integer(*greater));
    }
}

/// The nodes of the warnings from an index on.
fn names(report: &Report, first: usize) -> String {
    let names: Vec<_> = report.warnings.iter().skip(first).map(|warning| warning.key.as_str()).collect();
    names.join(", ")
}

/// The exporter for Prometheus of a reader, with the reader.
fn find_prometheus<'n>(reader: LocatedNode<'n>, report: &mut Report) -> Option<(LocatedNode<'n>, LocatedNode<'n>)> {
    const NAME: &str = "prometheus/development";
    let (name, at) = exporter::entry(&reader, report)?;
    if name == NAME {
        return Some((reader, at));
    }
    report.unknown(&at, &[NAME]);
    None
}

/// Adds the address of the Prometheus endpoint.
fn read_prometheus(exporter: &LocatedNode<'_>, report: &mut Report) {
    apply(exporter, &[PROMETHEUS], "", report);
    let ip = match exporter.child("host") {
        None => otel::listen_ip(otel::PROMETHEUS_HOST),
        Some(at) => at.text(report).and_then(|host| {
            let ip = otel::listen_ip(host);
            if ip.is_none() {
                let wrong = format!("invalid host {host:?}: expected localhost or an IP address of this machine");
                report.wrong(&at, wrong, "correct it, or leave it out");
            }
            ip
        }),
    };
    let port = match exporter.child("port") {
        None => Some(otel::PROMETHEUS_PORT),
        Some(at) => {
            let port = match at.node.value {
                NodeValue::Integer(number) => u16::try_from(number).ok(),
                _ => None,
            };
            if port.is_none() {
                report.wrong(&at, "invalid port: expected 0 to 65535", "correct it, or leave it out");
            }
            port
        }
    };
    if let (Some(ip), Some(port)) = (ip, port) {
        report.set(exporter, "prometheus.listen", SocketAddr::new(ip, port).to_string());
    }
}

/// The items of a list that a mapping must have.
fn required_items<'n>(at: &LocatedNode<'n>, name: &str, report: &mut Report) -> Vec<LocatedNode<'n>> {
    if let Some(list) = at.child(name) {
        return list.items(report);
    }
    // Anything but a mapping is reported already.
    if matches!(at.node.value, NodeValue::Map(_)) {
        report.wrong(at, format!("it has no {name}"), format!("add the node {name}, or leave {} out", at.path));
    }
    Vec::new()
}

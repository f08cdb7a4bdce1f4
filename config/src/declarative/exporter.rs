//! The exporters that send, of processors of log records and of readers of metrics.

use super::apply::apply;
use super::pairs::{self, Pair, PairKind};
use super::report::{LocatedNode, Report};
use super::table::{GRPC, HEADER, HTTP, METRIC_CONSOLE, METRIC_EXPORTER, NO_ROWS, OTLP};
use crate::signal::Signal;

/// The headers of requests.
const HEADERS: PairKind = PairKind {
    node: "headers",
    rows: HEADER,
    text: |_, value, report| value.text(report).map(str::to_owned),
    name: header_name,
};

/// The name of an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExporterKind {
    Grpc,
    Http,
    Console,
}

/// An exporter.
#[derive(Debug)]
pub(super) struct Exporter<'n> {
    pub(super) kind: ExporterKind,
    pub(super) at: LocatedNode<'n>,
    /// The name of its processor or reader.
    pub(super) owner_kind: &'n str,
    /// Its processor or reader.
    pub(super) owner: LocatedNode<'n>,
}

impl<'n> Exporter<'n> {
    /// The exporter of a processor or reader; `None` if it is unsupported, or if it has a mistake.
    pub(super) fn find(owner_kind: &'n str, owner: LocatedNode<'n>, report: &mut Report) -> Option<Self> {
        let (name, at) = entry(&owner, report)?;
        let kind = match name {
            "otlp_grpc" => ExporterKind::Grpc,
            "otlp_http" => ExporterKind::Http,
            "console" => ExporterKind::Console,
            "otlp_file/development" => {
                report.unsupported(&at);
                return None;
            }
            _ => {
                report.unknown(&at, &["otlp_grpc", "otlp_http", "console"]);
                return None;
            }
        };
        Some(Self { kind, at, owner_kind, owner })
    }

    /// The one in use: one of OTLP before the console. The others are named.
    pub(super) fn choose(mut exporters: Vec<Self>, records: &str, report: &mut Report) -> Option<Self> {
        let is_otlp = |exporter: &Self| exporter.kind != ExporterKind::Console;
        let index = exporters.iter().position(is_otlp).unwrap_or(0);
        let chosen = (index < exporters.len()).then(|| exporters.remove(index));
        for other in &exporters {
            let right = "leave one of them out; a collector can send to several receivers";
            report.warn(&other.at, format!("a second exporter of {records} is not supported, it is ignored"), right);
        }
        chosen
    }

    /// Adds the settings of a signal.
    pub(super) fn read(&self, signal: Signal, report: &mut Report) {
        let keys = format!("otlp.{}.", signal.name());
        let of_signal = match (signal, self.kind) {
            (Signal::Metrics, ExporterKind::Console) => METRIC_CONSOLE,
            (Signal::Metrics, _) => METRIC_EXPORTER,
            (Signal::Logs, _) => NO_ROWS,
        };
        let (protocol, tables) = match self.kind {
            ExporterKind::Grpc => ("grpc", [OTLP, GRPC, of_signal]),
            ExporterKind::Http => ("http/protobuf", [OTLP, HTTP, of_signal]),
            ExporterKind::Console => ("stdout", [NO_ROWS, NO_ROWS, of_signal]),
        };
        report.set(&self.at, format!("{keys}protocol"), protocol);
        apply(&self.at, &tables, &keys, report);
        if self.kind == ExporterKind::Console {
            if signal == Signal::Metrics {
                // Metrics are printed as a table only.
                report.set(&self.at, "otlp.metrics.table", true);
            }
            return;
        }
        self.read_endpoint(&keys, report);
        pairs::read(&self.at, &HEADERS, &format!("{keys}headers"), report);
    }

    /// Adds the endpoint; over gRPC, one without a scheme uses TLS unless `insecure` is true.
    fn read_endpoint(&self, keys: &str, report: &mut Report) {
        let insecure = self.at.child("tls").and_then(|tls| tls.child("insecure"));
        let is_insecure = insecure.is_some_and(|at| at.flag(report).unwrap_or_default());
        let Some(at) = self.at.child("endpoint") else { return };
        let Some(text) = at.text(report) else { return };
        let scheme = match self.kind {
            ExporterKind::Grpc if !text.contains("://") && is_insecure => "http://",
            ExporterKind::Grpc if !text.contains("://") => "https://",
            _ => "",
        };
        report.set(&at, format!("{keys}endpoint"), format!("{scheme}{text}"));
    }
}

/// The entry of the exporter that a processor or reader must have.
pub(super) fn entry<'n>(owner: &LocatedNode<'n>, report: &mut Report) -> Option<(&'n str, LocatedNode<'n>)> {
    match owner.child("exporter") {
        Some(exporter) => exporter.only_entry(report),
        None => {
            report.wrong(owner, "it has no exporter", "add the node exporter");
            None
        }
    }
}

/// A header's name in lower case, as in HTTP/2. An invalid one is not quoted: without its name, a secret stands there.
fn header_name(header: &Pair<'_>, report: &mut Report) -> Option<String> {
    match http::HeaderName::from_bytes(header.name.as_bytes()) {
        Ok(name) => {
            if !header.at.node.has_variable {
                report.literal_headers.push(name.to_string());
            }
            Some(name.to_string())
        }
        Err(_) => {
            report.wrong(header.at, format!("{} has no header name", header.label), "use letters, digits and -");
            None
        }
    }
}

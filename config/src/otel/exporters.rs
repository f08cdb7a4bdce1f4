//! OpenTelemetry's variables that select exporters, and those that have no effect here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::variables::{Variables, flag, get, problem};
use crate::error::Problem;

/// The defaults of `OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT`, by the specification.
pub(crate) const PROMETHEUS_HOST: &str = "localhost";
pub(crate) const PROMETHEUS_PORT: u16 = 9464;

/// Variables of metrics and logs in the specification that have no effect. Those of traces are no concern of this program.
const UNSUPPORTED: [&str; 3] =
    ["OTEL_ENTITIES", "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "OTEL_METRICS_EXEMPLAR_FILTER"];

/// An exporter of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exporter {
    Otlp,
    Console,
    Prometheus,
    None,
}

/// Adds the settings of the selection of exporters.
pub(super) fn settings<'a>(
    variables: &'a Variables,
    warnings: &mut Vec<Problem>,
    settings: &mut Vec<(&'a str, &'static str, String)>,
) {
    for name in UNSUPPORTED {
        if get(variables, name).is_some() {
            warnings.push(problem(name, "the variable is not supported and ignored", "unset it"));
        }
    }
    let is_disabled = flag(variables, "OTEL_SDK_DISABLED", warnings) == Some(true);
    if let Some((name, _)) = get(variables, "OTEL_SDK_DISABLED").filter(|_| is_disabled) {
        settings.extend(["otlp.metrics.enabled", "otlp.logs.enabled"].map(|path| (name, path, "false".to_owned())));
        return;
    }
    if let Some((name, value)) = get(variables, "OTEL_LOGS_EXPORTER") {
        let selected = list(name, value, &[Exporter::Otlp, Exporter::Console, Exporter::None], warnings);
        signal(name, &selected, ["otlp.logs.enabled", "otlp.logs.protocol"], warnings, settings);
    }
    if let Some((name, value)) = get(variables, "OTEL_METRICS_EXPORTER") {
        let all = [Exporter::Otlp, Exporter::Console, Exporter::Prometheus, Exporter::None];
        let selected = list(name, value, &all, warnings);
        signal(name, &selected, ["otlp.metrics.enabled", "otlp.metrics.protocol"], warnings, settings);
        if selected.contains(&Exporter::Console) && !selected.contains(&Exporter::Otlp) {
            // Metrics are printed as a table only.
            settings.push((name, "otlp.metrics.table", "true".to_owned()));
        }
        if selected.contains(&Exporter::Prometheus) {
            let address = prometheus(variables, warnings);
            settings.extend(address.map(|address| (name, "prometheus.listen", address.to_string())));
        }
    }
}

/// The exporters of a list; others are left out with a warning.
fn list(name: &str, value: &str, allowed: &[Exporter], warnings: &mut Vec<Problem>) -> Vec<Exporter> {
    let mut selected = Vec::new();
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let exporter = match word.to_ascii_lowercase().as_str() {
            "otlp" => Some(Exporter::Otlp),
            "console" | "logging" => Some(Exporter::Console),
            "prometheus" => Some(Exporter::Prometheus),
            "none" => Some(Exporter::None),
            _ => None,
        };
        match exporter.filter(|exporter| allowed.contains(exporter)) {
            Some(exporter) => selected.push(exporter),
            None => {
                let right = match allowed.contains(&Exporter::Prometheus) {
                    true => "use otlp, console, prometheus or none",
                    false => "use otlp, console or none",
                };
                warnings.push(problem(name, format!("{word:?} is not known, it is ignored"), right));
            }
        }
    }
    selected
}

/// Adds the settings of a signal: switched off, or printed. `paths` are those of the switch and the protocol.
fn signal<'a>(
    name: &'a str,
    selected: &[Exporter],
    [enabled, protocol]: [&'static str; 2],
    warnings: &mut Vec<Problem>,
    settings: &mut Vec<(&'a str, &'static str, String)>,
) {
    match (selected.contains(&Exporter::Otlp), selected.contains(&Exporter::Console)) {
        (true, true) => {
            let wrong = "otlp and console exclude each other, console is ignored";
            warnings.push(problem(name, wrong, "use one of them"));
        }
        (true, false) => {}
        (false, true) => settings.push((name, protocol, "stdout".to_owned())),
        (false, false) if !selected.is_empty() => settings.push((name, enabled, "false".to_owned())),
        (false, false) => {}
    }
}

/// The address of the Prometheus endpoint.
fn prometheus(variables: &Variables, warnings: &mut Vec<Problem>) -> Option<SocketAddr> {
    let (host_name, port_name) = ("OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT");
    let host = get(variables, host_name).map_or(PROMETHEUS_HOST, |(_, value)| value);
    let port = get(variables, port_name).map(|(_, value)| value);
    let mut refuse = |name, value: &str, right| {
        warnings.push(problem(name, format!("{value:?} is not usable, metrics are not served"), right));
        None
    };
    match (listen_ip(host), port.map_or(Ok(PROMETHEUS_PORT), str::parse)) {
        (None, _) => refuse(host_name, host, "use localhost or an IP address of this machine"),
        (_, Err(_)) => refuse(port_name, port.unwrap_or_default(), "use a port from 0 to 65535"),
        (Some(ip), Ok(port)) => Some(SocketAddr::new(ip, port)),
    }
}

/// The address to listen on by a host; `None` if it is neither `localhost` nor an IP address.
pub(crate) fn listen_ip(host: &str) -> Option<IpAddr> {
    match host {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.trim_matches(['[', ']']).parse().ok(),
    }
}

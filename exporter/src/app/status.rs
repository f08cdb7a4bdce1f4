//! Serves the admin endpoint: what /status, /lookup and /readyz answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use eyepiece_config::{Readiness, Settings, SourceKind, public_url};

use super::feed::SourceViews;
use crate::metadata::provider::{Condition, Provider};
use crate::metadata::registry::Registry;
use crate::serve::admin::{Bound, Config, Documents, Ready};
use crate::serve::http::Server;
use crate::source::datapath::attach::{HookState, Hooks, Mode};
use crate::source::datapath::links::inventory::Interfaces;
use crate::support::capabilities;
use crate::support::clock::unix_now;
use crate::support::decode_errors::Example;
use crate::support::export_health::Report;
use crate::support::lookup::Lookup;
use crate::support::status::{
    ExampleStatus, ExportStatus, HookStatus, InterfacesStatus, ProviderStatus, SampleStatus, Status,
};
use crate::support::telemetry::Telemetry;

/// Binds the admin endpoint's address; returns `None` if it is off.
pub(super) fn bind(settings: &Settings) -> anyhow::Result<Option<Bound>> {
    let config = |listen| Config { listen, hosts: settings.admin.hosts.clone() };
    let bound = settings.admin.listen.map(|listen| config(listen).bind()).transpose();
    bound.context("cannot serve the admin endpoint")
}

/// Returns the condition of /readyz; the settings decide whether a failing export counts.
pub(super) fn readiness(settings: &Settings, telemetry: &Telemetry) -> Ready {
    match settings.admin.readiness {
        Readiness::Started => Ready::default(),
        Readiness::Exporting => {
            let exports = telemetry.exports().clone();
            Ready::unless(move || {
                let failing: Vec<_> = exports.list().into_iter().map(export).filter(|export| export.failing).collect();
                let texts: Vec<_> = failing.iter().map(ToString::to_string).collect();
                (!texts.is_empty()).then(|| texts.join("\n"))
            })
        }
    }
}

/// The documents of the admin endpoint: the status, and look-ups of names.
struct AdminDocuments<F> {
    status: F,
    registry: Arc<Registry>,
}

impl<F: Fn() -> Status + Send + Sync + 'static> Documents for AdminDocuments<F> {
    fn status(&self) -> Status {
        (self.status)()
    }

    fn lookup(&self, query: &str) -> Lookup {
        self.registry.lookup(query)
    }
}

/// Starts the admin endpoint; returns `None` if it is off.
pub(super) fn serve(
    listener: Option<Bound>,
    settings: &Settings,
    ready: Ready,
    views: SourceViews,
    registry: Arc<Registry>,
    telemetry: &Telemetry,
) -> anyhow::Result<Option<Server>> {
    let Some(listener) = listener else { return Ok(None) };
    let telemetry = telemetry.clone();
    let (node, source) = (settings.node.name.clone(), settings.source.kind.name().to_owned());
    let (shown, start) = (shown(settings), Instant::now());
    let example_bytes = settings.admin.example_bytes as usize;
    let status_registry = Arc::clone(&registry);
    let status = move || Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: node.clone(),
        uptime_seconds: start.elapsed().as_secs(),
        // The endpoint sets it.
        ready: false,
        pid: std::process::id(),
        source: source.clone(),
        exports: telemetry.exports().list().into_iter().map(export).collect(),
        interfaces: views.interfaces.as_ref().map(|inventory| interfaces(inventory.get())),
        settings: shown.clone(),
        connection: views.connection.as_ref().map(|connection| connection()),
        metadata: status_registry.conditions().into_iter().map(provider).collect(),
        hooks: views.hooks.as_ref().map(|(hooks, mode)| attached(hooks, *mode)).unwrap_or_default(),
        privileges: capabilities::held().map(Into::into).unwrap_or_default(),
        undecodable: telemetry.examples().list().iter().map(|each| example(each, example_bytes)).collect(),
        samples: samples(&telemetry),
    };
    let documents = AdminDocuments { status, registry };
    let admin = listener.serve(ready, documents).context("cannot serve the admin endpoint")?;
    tracing::info!("admin listener on {}", admin.addr);
    Ok(Some(admin))
}

fn samples(telemetry: &Telemetry) -> Vec<SampleStatus> {
    let durations = telemetry.durations().into_iter().map(SampleStatus::from);
    telemetry.samples().into_iter().map(SampleStatus::from).chain(durations).collect()
}

fn export(report: Report) -> ExportStatus {
    let Report { signal, failure, queued } = report;
    let status = ExportStatus { signal: signal.to_owned(), queued, ..ExportStatus::default() };
    match failure {
        None => status,
        Some(failure) => ExportStatus {
            failing: true,
            since_seconds: failure.since.elapsed().as_secs(),
            attempts: failure.attempts,
            error: Some(failure.error),
            ..status
        },
    }
}

fn provider((provider, (condition, objects)): (Provider, (Condition, usize))) -> ProviderStatus {
    let (state, since, error) = match condition {
        Condition::Connecting(error) => ("connecting", None, error),
        Condition::Current => ("current", None, None),
        Condition::Limited(why) => ("limited", None, Some(why)),
        Condition::Stale { since, error } => ("stale", Some(since), Some(error)),
        Condition::Unavailable(error) => ("unavailable", None, Some(error)),
    };
    ProviderStatus {
        provider: provider.name().to_owned(),
        state: state.to_owned(),
        objects: objects as u64,
        stale_seconds: since.and_then(|since| since.elapsed().ok()).map_or(0, |age| age.as_secs()),
        error,
    }
}

fn interfaces(interfaces: Interfaces) -> InterfacesStatus {
    let Interfaces { endpoints, uplinks, left_out, unmatched } = interfaces;
    InterfacesStatus {
        endpoints,
        uplinks,
        left_out: left_out.into_iter().map(|(why, count)| (why.to_owned(), count)).collect(),
        unmatched: unmatched.iter().map(ToString::to_string).collect(),
    }
}

/// An event that could not be decoded, with at most `bytes` of its bytes.
fn example(example: &Example, bytes: usize) -> ExampleStatus {
    let bytes = example.bytes().iter().take(bytes).map(|byte| format!("{byte:02x}"));
    ExampleStatus {
        reason: example.reason.to_owned(),
        seconds_ago: unix_now().saturating_sub(example.time) / 1_000_000_000,
        length: example.length as u64,
        bytes: bytes.collect(),
    }
}

fn attached(hooks: &Hooks, mode: Mode) -> Vec<HookStatus> {
    let status = |(ifindex, state): (u32, HookState)| HookStatus {
        hook: state.hook.to_owned(),
        interface: state.interface,
        ifindex,
        attached: state.error.is_none(),
        by: if ifindex == 0 { "tp_btf" } else { mode.name() }.to_owned(),
        error: state.error,
    };
    hooks.list().into_iter().map(status).collect()
}

/// Settings that explain the counters.
fn shown(settings: &Settings) -> BTreeMap<String, String> {
    let (datapath, cilium, replay) = (&settings.datapath, &settings.cilium_monitor, &settings.replay);
    let source = match settings.source.kind {
        SourceKind::Datapath => vec![
            ("datapath.transport", datapath.transport.name().to_owned()),
            ("datapath.aggregation", datapath.aggregation.name().to_owned()),
            ("datapath.interval", format!("{:?}", datapath.interval)),
            ("datapath.capture_bytes", datapath.capture_bytes.to_string()),
        ],
        SourceKind::CiliumMonitor => {
            vec![("cilium_monitor.socket", cilium.socket.clone()), ("cilium_monitor.version", cilium.version.clone())]
        }
        SourceKind::Hubble => vec![("hubble_source.address", settings.hubble_source.address.clone())],
        SourceKind::Replay => {
            vec![("replay.path", replay.path.clone()), ("replay.speed", format!("{:?}", replay.speed))]
        }
    };
    let general = [
        ("node.cluster", settings.node.cluster.clone()),
        ("monitor.socket", settings.monitor.socket.as_ref().map(|path| path.display().to_string()).unwrap_or_default()),
        ("otlp.protocol", settings.otlp.protocol.name().to_owned()),
        ("otlp.endpoint", public_url(&settings.otlp.endpoint)),
    ];
    source.into_iter().chain(general).map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use eyepiece_config::Settings;

    use super::{example, shown};
    use crate::support::decode_errors::Examples;

    #[test]
    fn endpoint_is_shown_without_secrets() {
        let mut settings = Settings::default();
        settings.otlp.endpoint = "https://user:password@c:4318/v1?token=secret".to_owned();
        assert_eq!(shown(&settings).get("otlp.endpoint").map(String::as_str), Some("https://c:4318/v1"));
    }

    #[test]
    fn example_bytes_are_hidden_by_default() {
        let examples = Examples::default();
        let mut recorder = examples.recorder();
        recorder.record("short", 0, b"\x04secret");
        recorder.publish();
        let list = examples.list();
        let by_default = Settings::default().admin.example_bytes as usize;
        for (bytes, shown) in [(by_default, ""), (2, "0473"), (64, "04736563726574")] {
            let status = example(&list[0], bytes);
            assert_eq!((status.bytes.as_str(), status.length, status.reason.as_str()), (shown, 7, "short"));
        }
    }
}

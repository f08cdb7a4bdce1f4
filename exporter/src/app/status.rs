//! What /status says of the running program.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context as _;
use eyepiece_config::Settings;

use crate::admin::{Admin, Bound, Config, HookStatus, Ready, Status};
use crate::source::datapath::attach::{Hooks, Mode};
use crate::telemetry::Telemetry;

/// Takes the admin endpoint's address; none where it is switched off.
pub(super) fn listen(settings: &Settings) -> anyhow::Result<Option<Bound>> {
    let bound = settings.admin.listen.map(|listen| Config { listen }.bind()).transpose();
    bound.context("cannot serve the admin endpoint")
}

/// Starts the admin endpoint; none where it is switched off.
pub(super) fn serve(
    listener: Option<Bound>,
    settings: &Settings,
    ready: Ready,
    hooks: Hooks,
    mode: Mode,
    telemetry: &Telemetry,
) -> anyhow::Result<Option<Admin>> {
    let Some(listener) = listener else { return Ok(None) };
    let (mode, telemetry) = (mode.name(), telemetry.clone());
    let (node, source) = (settings.node.name.clone(), settings.source.kind.name().to_owned());
    let (shown, start) = (shown(settings), Instant::now());
    let status = move || Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: node.clone(),
        uptime_seconds: start.elapsed().as_secs(),
        // The endpoint fills it in.
        ready: false,
        source: source.clone(),
        settings: shown.clone(),
        hooks: hooks
            .list()
            .into_iter()
            .map(|(ifindex, state)| HookStatus {
                hook: state.hook.to_owned(),
                interface: state.interface,
                ifindex,
                attached: state.error.is_none(),
                by: if ifindex == 0 { "tp_btf" } else { mode }.to_owned(),
                error: state.error,
            })
            .collect(),
        samples: telemetry.samples().into_iter().map(Into::into).collect(),
    };
    let admin = listener.serve(ready, status).context("cannot serve the admin endpoint")?;
    tracing::info!("admin listener on {}", admin.addr);
    Ok(Some(admin))
}

/// Settings that explain the numbers.
fn shown(settings: &Settings) -> BTreeMap<String, String> {
    let datapath = &settings.datapath;
    [
        ("node.cluster", settings.node.cluster.clone()),
        ("datapath.transport", datapath.transport.name().to_owned()),
        ("datapath.aggregation", datapath.aggregation.name().to_owned()),
        ("datapath.interval", format!("{:?}", datapath.interval)),
        ("datapath.capture_bytes", datapath.capture_bytes.to_string()),
        ("otlp.protocol", settings.otlp.protocol.name().to_owned()),
        ("otlp.endpoint", settings.otlp.endpoint.clone()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

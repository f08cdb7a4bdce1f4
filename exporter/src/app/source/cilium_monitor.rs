//! The wiring of a running Cilium agent as the source.

use anyhow::Context as _;

use crate::app::error::AppError;
use crate::app::feed::{CILIUM, Emitter, Feed, HaltOnDrop, SourceDeps};
use crate::app::names::{KernelNameSource, MachineNames};
use crate::source::cilium_monitor;
use crate::source::cilium_monitor::status::View;
use crate::source::cilium_monitor::{Config, STABLE_AFTER, STALL};
use crate::support::status::ConnectionStatus;

/// Builds the source; the agent may start later.
pub(super) fn build(deps: &SourceDeps<'_>) -> Result<Feed, AppError> {
    let settings = &deps.settings.cilium_monitor;
    let config = Config { socket: settings.socket.clone().into(), stall: STALL, stable_after: STABLE_AFTER };
    let (source, controls) =
        cilium_monitor::build(config, deps.telemetry).context("cannot read the agent's monitor")?;
    let names = MachineNames::new(KernelNameSource::Unknown, deps.publisher.clone());
    let mut feed = Feed::new(source, names, HaltOnDrop(controls.halt));
    let peer = settings.socket.clone();
    feed.control.views.connection = Some(Box::new(move || connection(&peer, &controls.view)));
    feed.emitter = Emitter { name: CILIUM.to_owned(), version: settings.version.clone() };
    Ok(feed)
}

fn connection(peer: &str, view: &View) -> ConnectionStatus {
    let now = view.get();
    ConnectionStatus {
        peer: peer.to_owned(),
        connected: now.reason.is_none(),
        reason: now.reason.map(|reason| reason.name().to_owned()),
        since_seconds: now.since.elapsed().as_secs(),
        interruptions: now.interruptions,
        nodes: Vec::new(),
    }
}

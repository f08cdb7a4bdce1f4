//! The wiring of a running Cilium agent as the source.

use anyhow::Context as _;

use super::{CILIUM, Emitter, Feed, Halted, Parts, Running};
use crate::app::AppError;
use crate::app::names::{Kernel, MachineNames};
use crate::serve::admin::ConnectionStatus;
use crate::source::cilium_monitor;
use crate::source::cilium_monitor::status::View;
use crate::source::cilium_monitor::{Config, STABLE_AFTER, STALL};

/// Makes the source; the agent may come later.
pub(super) fn build(parts: &Parts<'_>) -> Result<Feed, AppError> {
    let settings = &parts.settings.cilium_monitor;
    let config = Config { socket: settings.socket.clone().into(), stall: STALL, stable_after: STABLE_AFTER };
    let (source, controls) =
        cilium_monitor::build(config, parts.telemetry).context("cannot read the agent's monitor")?;
    let names = MachineNames::new(Kernel::Unknown, parts.publisher.clone(), parts.symbols.clone());
    let mut feed = Feed::new(source, names, Running::Halted(Halted(controls.halt)));
    let peer = settings.socket.clone();
    feed.connection = Some(Box::new(move || connection(&peer, &controls.view)));
    feed.emitter = Emitter { name: CILIUM.to_owned(), version: settings.version.clone() };
    Ok(feed)
}

/// The connection as it is now.
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

//! The wiring of a running Cilium agent as the source.

use anyhow::Context as _;

use super::{Emitter, Feed, Halted, Parts, Running};
use crate::app::AppError;
use crate::app::names::{Kernel, MachineNames};
use crate::source::cilium_monitor::{self, Config, STALL};

/// Whose events the agent's are.
const EMITTER: &str = "cilium";

/// Makes the source; the agent may come later.
pub(super) fn build(parts: &Parts<'_>) -> Result<Feed, AppError> {
    let settings = &parts.settings.cilium_monitor;
    let config = Config { socket: settings.socket.clone().into(), stall: STALL };
    let (source, controls) =
        cilium_monitor::build(config, parts.telemetry).context("cannot read the agent's monitor")?;
    let names = MachineNames::new(Kernel::Unknown, parts.publisher.clone(), parts.symbols.clone());
    let mut feed = Feed::new(source, names, Running::Halted(Halted(controls.halt)));
    feed.connection = Some((settings.socket.clone(), controls.view));
    feed.emitter = Emitter { name: EMITTER.to_owned(), version: settings.version.clone() };
    Ok(feed)
}

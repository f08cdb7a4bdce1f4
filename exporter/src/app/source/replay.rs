//! The wiring of a recording as the source.

use anyhow::Context as _;

use super::{Emitter, Feed, Halted, Parts, Running};
use crate::app::AppError;
use crate::app::names::{Kernel, MachineNames};
use crate::app::record::{EMITTER_NAME, EMITTER_VERSION};
use crate::source::replay;
use crate::source::replay::{Config, ReplayError};

/// Opens the recording.
pub(super) fn build(parts: &Parts<'_>) -> Result<Feed, AppError> {
    let settings = &parts.settings.replay;
    let config = Config { path: settings.path.clone(), speed: settings.speed };
    let with = replay::Deps {
        symbols: parts.symbols.clone(),
        publisher: parts.publisher.clone(),
        telemetry: parts.telemetry,
        shutdown: parts.leave,
    };
    let (source, controls) = match replay::build(&config, with) {
        Err(ReplayError::Interrupted) => return Err(AppError::Left),
        built => built.context("cannot play the recording")?,
    };
    let names = Kernel::Recorded(controls.names);
    let names = MachineNames::new(names, parts.publisher.clone(), parts.symbols.clone());
    let mut feed = Feed::new(source, names, Running::Halted(Halted(controls.halt)));
    feed.finished = Some(controls.finished);
    let of_origin = |key| controls.origin.get(key).cloned();
    if let Some(name) = of_origin(EMITTER_NAME) {
        feed.emitter = Emitter { name, version: of_origin(EMITTER_VERSION).unwrap_or_default() };
    }
    Ok(feed)
}

//! The wiring of a recording as the source.

use anyhow::Context as _;

use crate::app::error::AppError;
use crate::app::feed::{EMITTER_NAME, EMITTER_VERSION, Emitter, Feed, HaltOnDrop, SourceDeps};
use crate::app::names::{KernelNameSource, MachineNames};
use crate::source::replay;
use crate::source::replay::{Config, ReplayError};

/// Opens the recording.
pub(super) fn build(deps: &SourceDeps<'_>) -> Result<Feed, AppError> {
    let settings = &deps.settings.replay;
    let config = Config { path: settings.path.clone(), speed: settings.speed };
    let replay_deps = replay::Deps {
        symbols: deps.symbols.clone(),
        publisher: deps.publisher.clone(),
        telemetry: deps.telemetry,
        shutdown: deps.halt,
    };
    let (source, controls) = match replay::build(&config, replay_deps) {
        Err(ReplayError::Interrupted) => return Err(AppError::Interrupted),
        built => built.context("cannot play the recording")?,
    };
    let kernel = KernelNameSource::Recorded(controls.names);
    let names = MachineNames::new(kernel, deps.publisher.clone());
    let mut feed = Feed::new(source, names, HaltOnDrop(controls.halt));
    feed.control.finished = Some(controls.finished);
    let of_origin = |key| controls.origin.get(key).cloned();
    if let Some(name) = of_origin(EMITTER_NAME) {
        feed.emitter = Emitter { name, version: of_origin(EMITTER_VERSION).unwrap_or_default() };
    }
    Ok(feed)
}

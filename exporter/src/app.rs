//! The only wiring: starts the components, waits for the end, and ends them in order.

mod certificates;
mod error;
mod exports;
mod feed;
mod hubble;
mod identity;
mod mapping;
mod metadata;
mod monitor;
mod names;
pub mod preflight;
mod prometheus;
pub mod record;
mod running;
mod signals;
mod socket;
mod source;
mod start;
mod status;
mod undelivered;

use anyhow::Context as _;
use eyepiece_config::Settings;
use tokio::runtime::Runtime;

pub use self::error::{AppError, SettingError};
use self::record::RecordConfig;
use self::signals::Signals;
use self::start::StartDeps;
use crate::recording::Summary;
use crate::support::capabilities::Capabilities;
use crate::support::{capabilities, server_runtime};

/// Threads of the runtime: exports and netlink wait more than they compute.
const WORKERS: usize = 2;

/// Runs until a signal or the end of the source, and until what was queued is delivered.
///
/// # Errors
/// The start failed, a component failed, or the shutdown took too long.
pub fn run(settings: Settings) -> Result<(), AppError> {
    run_with(settings, None)?.result
}

/// Records the source's events until a signal, a limit, or the source's end. The summary holds the writer's error.
///
/// # Errors
/// The start failed, or the file cannot be created.
pub fn record(settings: Settings, config: &RecordConfig) -> Result<Outcome, AppError> {
    run_with(config.apply(settings)?, Some(config))
}

/// The result of a run that had started.
#[derive(Debug)]
pub struct Outcome {
    /// The recording's summary, whatever else failed; `None` without a file.
    pub summary: Option<Summary>,
    /// The first failure, also of a component that did not end in time.
    pub result: Result<(), AppError>,
}

fn run_with(settings: Settings, record: Option<&RecordConfig>) -> Result<Outcome, AppError> {
    server_runtime::raise_descriptors();
    capabilities::confine();
    let signals = Signals::listen(settings.node.drain)?;
    let runtime = runtime()?;
    let deps = StartDeps { runtime: &runtime, signals: &signals, record };
    let mut app = match start::start(settings, &deps) {
        Err(AppError::Interrupted) => return Ok(Outcome { summary: None, result: Ok(()) }),
        started => started?,
    };
    let waited = runtime.block_on(app.wait(&signals));
    signals.begin_shutdown();
    let (summary, ended) = app.shut_down(&runtime);
    runtime.shutdown_background();
    Ok(Outcome { summary, result: waited.and(ended).map_err(AppError::Failed) })
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("eyepiece")
        .on_thread_start(|| capabilities::keep(Capabilities::NONE))
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

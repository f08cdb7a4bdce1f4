//! Builds the configured source, and what only it has.

mod datapath;

use eyepiece_config::{Settings, SourceKind};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::AppError;
use super::names::MachineNames;
use crate::enrich::Publisher;
use crate::pipeline::Learn;
use crate::source::Source;
use crate::source::datapath::attach::{Hooks, Mode};
use crate::symbols::Symbols;
use crate::telemetry::Telemetry;

/// What a source is built with.
pub(super) struct Parts<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) settings: &'a Settings,
    pub(super) symbols: &'a Symbols,
    /// Where a source that knows who is who says so.
    pub(super) publisher: &'a Publisher,
    pub(super) telemetry: &'a Telemetry,
}

/// A source that is ready to be read.
pub(super) struct Feed {
    /// The pipeline's.
    pub(super) source: Box<dyn Source>,
    /// Where the pipeline tells new addresses.
    pub(super) learn: Learn,
    /// The machine's names, as far as the source knows them.
    pub(super) names: MachineNames,
    /// The hooks of the datapath and how they are attached; none from other sources.
    pub(super) hooks: Option<(Hooks, Mode)>,
    /// Hears when the source is all there; none where there is nothing to wait for.
    pub(super) synced: Option<oneshot::Receiver<()>>,
    /// What feeds the source; whoever drops it ends that.
    pub(super) running: Running,
}

/// What feeds a source beside the pipeline's thread. Dropped while the pipeline still reads: the last events go to it.
pub(super) enum Running {
    /// Kernel programs, and the watcher of interfaces.
    Datapath(datapath::Attached),
}

impl Running {
    /// What has ended though nobody asked it to.
    pub(super) fn failed(&self) -> Option<&'static str> {
        match self {
            Self::Datapath(attached) => attached.has_ended().then_some("the watcher of interfaces has ended"),
        }
    }
}

/// Builds the source that the settings name; whatever fails, nothing of ours is left on the machine.
pub(super) fn build(parts: &Parts<'_>) -> Result<Feed, AppError> {
    match parts.settings.source.kind {
        SourceKind::Datapath => datapath::build(parts),
    }
}

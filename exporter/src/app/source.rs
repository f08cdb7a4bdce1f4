//! Builds the configured source.

mod cilium_monitor;
mod datapath;
mod hubble;
mod replay;

use eyepiece_config::SourceKind;

use super::error::AppError;
use super::feed::{Feed, SourceDeps};

/// Builds the source that the settings name. After an error nothing of ours is left on the machine.
pub(super) fn build(deps: &SourceDeps<'_>) -> Result<Feed, AppError> {
    match deps.settings.source.kind {
        SourceKind::Datapath => datapath::build(deps),
        SourceKind::CiliumMonitor => cilium_monitor::build(deps),
        SourceKind::Replay => replay::build(deps),
        SourceKind::Hubble => hubble::build(deps),
    }
}

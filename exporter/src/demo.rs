//! The demonstration: hosts in network namespaces, traffic between them, and what eyepiece tells of it.

use eyepiece_config::Settings;

use crate::app::AppError;

/// Shows flows and metrics of made-up hosts, until it is over or interrupted.
///
/// # Errors
/// What kept it from starting.
pub fn run(settings: Settings) -> Result<(), AppError> {
    drop(settings);
    Err(AppError::Failed(anyhow::anyhow!("not built into this step")))
}

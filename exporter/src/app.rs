//! The wiring of the whole program, and how it can fail.

use eyepiece_config::Settings;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The kernel refused for want of a privilege.
    #[error("missing privilege {privilege}: {operation} was refused; run as root or grant {privilege}")]
    MissingPrivilege {
        /// The capability's name, such as `CAP_BPF`.
        privilege: String,
        /// What was refused.
        operation: String,
    },
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Runs until a signal ends it and what was queued is delivered.
///
/// # Errors
/// What kept it from starting, or from ending in time.
pub fn run(settings: Settings) -> Result<(), AppError> {
    drop(settings);
    Err(AppError::Failed(anyhow::anyhow!("not built into this step")))
}

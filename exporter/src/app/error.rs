//! Errors of the program's start and run.

use crate::client::address::AddressError;
use crate::source::datapath::DatapathError;
use crate::source::datapath::object::LoadError;
use crate::support::error_chain::error_chain;

/// The error of a command.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum AppError {
    /// The kernel refused an operation for lack of a privilege.
    #[error("missing privilege: {operation}")]
    MissingPrivilege { operation: String },
    /// A setting does not fit this machine.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A signal came during the start, and nothing of ours is left on the machine: no failure.
    #[error("interrupted during the start")]
    Interrupted,
    /// Anything else.
    #[error("{}", error_chain(.0.as_ref()))]
    Failed(#[from] anyhow::Error),
}

/// A setting that does not fit this machine.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {wrong}; {right}")]
pub struct SettingError {
    /// Path of the key.
    pub key: &'static str,
    /// The fault.
    pub wrong: String,
    /// The expected form.
    pub right: &'static str,
}

impl SettingError {
    /// A name in `datapath.drops_ignore` that the running kernel lacks.
    pub(super) fn unknown_drop_reason(name: &str) -> Self {
        Self {
            key: "datapath.drops_ignore",
            wrong: format!("this kernel has no drop reason {name:?}"),
            right: "use the names that `reason` has in metrics, such as NO_SOCKET",
        }
    }

    /// A `hubble_source.address` that no client can connect to.
    pub(super) fn hubble_address(error: &AddressError) -> Self {
        let right = "use unix:// and a path, or a host and a port";
        Self { key: "hubble_source.address", wrong: error.to_string(), right }
    }
}

impl From<DatapathError> for AppError {
    fn from(error: DatapathError) -> Self {
        match error {
            DatapathError::Privileges(_) | DatapathError::Load(LoadError::Privilege { .. }) => {
                Self::MissingPrivilege { operation: error.to_string() }
            }
            DatapathError::UnknownReason { name } => SettingError::unknown_drop_reason(&name).into(),
            other => Self::Failed(other.into()),
        }
    }
}

//! Why the program cannot start, or failed while it ran.

use crate::client::address::AddressError;
use crate::source::datapath::DatapathError;
use crate::source::datapath::object::LoadError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The kernel refused an operation for lack of a privilege.
    #[error("missing privilege: {operation}")]
    MissingPrivilege {
        /// What was refused, and what it needs.
        operation: String,
    },
    /// A setting does not fit this machine.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A signal came during the start, and nothing of ours is left on the machine: no failure.
    #[error("interrupted during the start")]
    Interrupted,
    /// Anything else.
    #[error("{}", with_causes(.0))]
    Failed(#[from] anyhow::Error),
}

/// A setting that does not fit this machine.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {wrong}; {right}")]
pub struct SettingError {
    /// Path of the key.
    pub key: &'static str,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
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

/// An error and its causes, without those that the text already contains.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| match cause.to_string() {
        cause if text.is_empty() => cause,
        cause if text.contains(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}

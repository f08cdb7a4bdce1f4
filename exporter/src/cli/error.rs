//! The error of a command, and its exit code.

use std::path::PathBuf;

use eyepiece_config::ConfigError;

use super::observe::error::ObserveError;
use crate::app::AppError;
use crate::client::admin::AdminClientError;
use crate::client::error::ClientError;
use crate::demo::DemoError;
use crate::exit_code::Exit;

/// The error of a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Status(#[from] AdminClientError),
    #[error(transparent)]
    Observe(ObserveError),
    #[error("no admin address is known: admin.listen is empty; set it, or use --address")]
    NoAddress,
    #[error("no provider has an entry for it")]
    NotFound,
    #[error("unknown sub-command {name:?}")]
    NoSuchCommand { name: String },
    #[error("cannot write to standard output: {source}")]
    Output {
        #[from]
        source: std::io::Error,
    },
    #[error("cannot write the recording {path} to its end: {source}", path = path.display())]
    Recording { path: PathBuf, source: std::io::Error },
    #[error("cannot set up the log: {source}")]
    Log { source: tracing_subscriber::util::TryInitError },
}

impl From<DemoError> for CliError {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::App(error) => Self::App(error),
            DemoError::Output { source } => Self::Output { source },
        }
    }
}

impl From<ObserveError> for CliError {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::Config(error) => Self::Config(error),
            ObserveError::Output(source) => Self::Output { source },
            error => Self::Observe(error),
        }
    }
}

impl CliError {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::App(AppError::Setting(_)) => Exit::Config,
            Self::App(AppError::MissingPrivilege { .. }) => Exit::Privilege,
            Self::NoSuchCommand { .. }
            | Self::Observe(ObserveError::Usage(_) | ObserveError::Client(ClientError::Config(_))) => Exit::Usage,
            Self::App(AppError::Failed(_) | AppError::Interrupted)
            | Self::Status(_)
            | Self::Observe(_)
            | Self::NoAddress
            | Self::NotFound
            | Self::Output { .. }
            | Self::Recording { .. }
            | Self::Log { .. } => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AppError, CliError, Exit};

    #[test]
    fn missing_privilege_has_exit_code_77() {
        let error = CliError::from(AppError::MissingPrivilege { operation: "loading a program".to_owned() });
        assert_eq!(error.exit() as u8, 77);
        assert_eq!(error.to_string(), "missing privilege: loading a program");
        let error = CliError::from(AppError::from(anyhow::anyhow!("cause").context("what")));
        assert_eq!((error.exit(), error.to_string().as_str()), (Exit::Failed, "what: cause"));
    }
}

//! The error of starting the datapath.

use std::io;

use thiserror::Error;

use super::object::LoadError;
use super::privileges::MissingCapabilities;

/// The error of starting the datapath.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum DatapathError {
    /// The kernel programs.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The process has too few privileges.
    #[error(transparent)]
    Privileges(#[from] MissingCapabilities),
    /// The configuration names a drop reason that this kernel does not have.
    #[error("datapath.drops_ignore: this kernel has no drop reason {name:?}")]
    UnknownReason { name: String },
    /// Two exporters cannot be attached by clsact: neither can distinguish its filters from the other's.
    #[error("{owner} is attached by clsact in this network namespace; stop it, or set datapath.attach to \"tcx\"")]
    NotAlone { owner: String },
    /// Threads, descriptors, maps.
    #[error("cannot start the datapath: {what}: {source}")]
    System { what: &'static str, source: io::Error },
}

impl DatapathError {
    /// Returns a function for `map_err` that makes the error of the operation `what`.
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

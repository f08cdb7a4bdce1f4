//! Settings of the providers of names.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::choices::{Enabled, PodScope};
use crate::units::path;

/// Where the names of addresses, containers and pods come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// `[metadata.kubernetes]`
    pub kubernetes: Kubernetes,
}

/// The API server of a Kubernetes cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Whether it is asked.
    pub enabled: Enabled,
    /// How it is reached from outside of the cluster; `None` = as a pod, by its service account.
    #[serde(with = "path")]
    pub kubeconfig: Option<PathBuf>,
    /// Whose pods.
    pub scope: PodScope,
}

//! Settings of the providers of names and metadata.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::choices::{Enabled, PodScope, Switch};
use crate::units::path;

/// Where names and labels of the ends of flows come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// `[metadata.docker]`
    pub docker: Docker,
    /// `[metadata.kubernetes]`
    pub kubernetes: Kubernetes,
    /// `[metadata.cgroup]`
    pub cgroup: MetadataCgroup,
    /// `[metadata.file]`
    pub file: MetadataFile,
    /// `[metadata.dns]`
    pub dns: MetadataDns,
}

/// Docker, or podman by its compatible socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Docker {
    /// Whether it is asked.
    pub enabled: Enabled,
    /// Absolute path of its socket.
    pub socket: String,
}

impl Default for Docker {
    fn default() -> Self {
        Self { enabled: Enabled::Auto, socket: "/var/run/docker.sock".to_owned() }
    }
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
    /// The pods that are asked for.
    pub scope: PodScope,
}

/// This machine's control groups and processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataCgroup {
    /// Whether units, containers and processes are named by their control groups and sockets.
    pub enabled: Switch,
}

/// A file of names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataFile {
    /// Its path; `None` = no file.
    #[serde(with = "path")]
    pub path: Option<PathBuf>,
}

/// Names in DNS answers that were seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataDns {
    /// Whether addresses are named by DNS answers.
    pub enabled: Switch,
    /// The most names that are kept.
    pub max_names: u32,
}

impl Default for MetadataDns {
    fn default() -> Self {
        Self { enabled: Switch::On, max_names: 65_536 }
    }
}

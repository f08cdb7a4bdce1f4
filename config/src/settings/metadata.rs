//! Settings of the providers of names and metadata.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::choices::Switch;
use crate::units::path;

/// Where names and labels of the ends of flows come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// `[metadata.cgroup]`
    pub cgroup: MetadataCgroup,
    /// `[metadata.file]`
    pub file: MetadataFile,
    /// `[metadata.dns]`
    pub dns: MetadataDns,
}

/// This machine's control groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataCgroup {
    /// Whether units, containers and processes are named by their control groups.
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

//! Settings of the providers of names.

use serde::{Deserialize, Serialize};

use crate::choices::Enabled;

/// Where the names of addresses, containers and pods come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// `[metadata.docker]`
    pub docker: Docker,
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
